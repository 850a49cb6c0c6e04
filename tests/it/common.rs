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

/// Watches the memory of a process that was just started, to its end: the peak in bytes. Its own bill (`ru_maxrss`) would begin with
/// the peak of this process, which holds the reports of all tests.
pub fn peak_memory(process: u32) -> std::thread::JoinHandle<u64> {
    let status = format!("/proc/{process}/status");
    std::thread::spawn(move || {
        let mut peak = 0;
        // A process that ended, and is not waited for yet, has no memory any more.
        while let Some(kibibytes) = std::fs::read_to_string(&status).ok().and_then(|text| high_water(&text)) {
            peak = peak.max(kibibytes << 10);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        peak
    })
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
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
