//! What several tests need.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use kubetriage::bundle::{self, Input, Progress};
use kubetriage::facts::Facts;
use kubetriage::report::Redacted;
use kubetriage::{Options, diagnose, scan};

/// The top of the project.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A path below `samples`.
pub fn sample(path: &str) -> PathBuf {
    root().join("samples").join(path)
}

/// Folders below a folder, by name.
pub fn folders(of: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(of)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// Files below a folder, at any depth, by name.
pub fn files(of: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(of).sort_by_file_name();
    walk.into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect()
}

/// The last part of a path.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Options with so many threads.
pub fn threads(count: usize) -> Options {
    Options { threads: Some(count), ..Options::default() }
}

/// Diagnoses one path.
pub fn diagnosis(path: &Path) -> Redacted {
    diagnose(&[Input::Path(path.to_owned())], &threads(2)).unwrap()
}

/// Reads one path into facts.
pub fn facts(path: &Path, options: &Options) -> Facts {
    let opened =
        bundle::open(&[Input::Path(path.to_owned())], &kubetriage::bundle::Limits::default()).unwrap();
    scan(&opened, options, &Progress::default())
}
