//! What is fuzzed, one function a file: each takes bytes and panics when the program does not do with them as it should.
//! The fuzz targets call these, and so does the replay of the saved inputs, which needs no libFuzzer.

#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc, reason = "panicking is how a fault is told")]
#![allow(clippy::disallowed_methods, reason = "inputs become files")]

mod archive;
mod csv;
mod engines;
mod json;
mod messages;
mod pipeline;
mod redaction;
mod render;
pub mod seeds;
mod splitter;
mod time;

use std::path::Path;
use std::sync::LazyLock;

use kubetriage::Options;
use kubetriage::bundle::{Input, Limits};
use kubetriage::cluster::Cluster;
use kubetriage::diagnosis::{Diagnosis, Verdict};
use kubetriage::facts::Facts;
use kubetriage::report::{Format, Redacted, inspection, render as rendered, summary};
use tempfile::TempDir;

pub use self::archive::archive;
pub use self::csv::csv;
pub use self::engines::engines;
pub use self::json::json;
pub use self::messages::messages;
pub use self::pipeline::pipeline;
pub use self::redaction::redaction;
pub use self::render::render;
pub use self::splitter::splitter;
pub use self::time::time;

/// A check and its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 10] = [
    ("archive", archive),
    ("csv", csv),
    ("engines", engines),
    ("json", json),
    ("messages", messages),
    ("pipeline", pipeline),
    ("redaction", redaction),
    ("render", render),
    ("splitter", splitter),
    ("time", time),
];

/// Longest input worth a try: what is longer is slow, and finds no more.
pub const INPUT_BYTES: usize = 64 << 10;

/// What begins the name of a file in an input that is several files.
const FILE_MARK: &str = "@@ ";

/// The files of an input: each after a line `@@ name`. What stands before the first such line is a file as well.
fn files(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = vec![("input.txt".to_owned(), Vec::new())];
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(FILE_MARK.as_bytes()) {
            // A few are enough: more of them only take time.
            Some(name) if found.len() < 8 => {
                let name = String::from_utf8_lossy(name);
                let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
                let name: String =
                    name.trim().chars().map(|c| if plain(c) { c } else { '_' }).take(60).collect();
                let known = found.iter().any(|(other, _)| *other == name);
                let free = !known && !name.trim_matches('.').is_empty();
                found.push((if free { name } else { format!("{}-{name}.txt", found.len()) }, Vec::new()));
            }
            _ => found.last_mut().expect("never empty").1.extend_from_slice(line),
        }
    }
    found.retain(|(_, bytes)| !bytes.is_empty());
    found
}

/// A folder with these files, which ends with it.
fn folder(files: &[(String, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for the input");
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).expect("a file of the input");
    }
    folder
}

/// What an input of a fuzzer may cost.
fn limits() -> Limits {
    Limits {
        entries: 300,
        total_bytes: 16 << 20,
        document_bytes: 4 << 20,
        line_bytes: 1 << 20,
        ..Limits::default()
    }
}

fn options(threads: usize) -> Options {
    Options { threads: Some(threads), limits: limits(), ..Options::default() }
}

/// Whether one of so many parts of a check is due. Of a fuzzer's input it is one, which its length chooses: what takes long
/// is mutated a few times a second otherwise, and finds nothing. A replay checks all.
fn is_due(data: &[u8], part: usize, parts: usize) -> bool {
    !cfg!(fuzzing) || data.len() % parts == part
}

/// What a folder tells, which must not cost any part of it. Nothing of it is fit to be shown yet.
fn judged(folder: &Path, threads: usize) -> (Cluster, Diagnosis) {
    let inputs = [Input::Path(folder.to_owned())];
    let cluster = kubetriage::read(&inputs, &options(threads)).expect("the folder is there");
    let mut found = Diagnosis::of(&cluster, vec!["bundle".to_owned()], None);
    assert!(found.internal_errors.is_empty(), "{:?}", found.internal_errors);
    for problem in found.coverage.entries.iter().filter_map(|entry| entry.problem.as_ref()) {
        assert!(!problem.contains("fault of kubetriage"), "{problem}");
    }
    if cfg!(fuzzing) {
        found.verdicts.retain(|verdict| !OF_NOTHING.contains(verdict));
    }
    (cluster, found)
}

/// What is said of each cause whatever the bundle: nine tenths of most reports, and nothing that an input can change.
static OF_NOTHING: LazyLock<Vec<Verdict>> =
    LazyLock::new(|| Diagnosis::of(&Cluster::freeze(Facts::default()), Vec::new(), None).verdicts);

/// All that can be shown of a result, by the name of the output; of a fuzzer's input one of them.
fn outputs(result: &Redacted, data: &[u8]) -> Vec<(&'static str, String)> {
    type Output = (&'static str, fn(&Redacted) -> String);
    const ALL: [Output; 7] = [
        ("html", |result| plain(result, Format::Html)),
        ("md", |result| plain(result, Format::Markdown)),
        ("json", |result| plain(result, Format::Json)),
        ("sarif", |result| plain(result, Format::Sarif)),
        ("xml", |result| plain(result, Format::Junit)),
        ("terminal", |result| summary(result, 100)),
        ("inspect", |result| inspection(result, 100, true)),
    ];
    let due = ALL.iter().enumerate().filter(|(at, _)| is_due(data, *at, ALL.len()));
    due.map(|(_, (name, output))| (*name, output(result))).collect()
}

fn plain(result: &Redacted, format: Format) -> String {
    rendered(result, format).expect("templates are sound")
}
