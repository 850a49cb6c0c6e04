//! Whatever ends a run, an output is the whole new one or the old one, and nothing else is left in its folder.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use std::os::unix::process::ExitStatusExt;

use crate::common;

const OLD: &str = "the report of yesterday\n";

/// A folder with two old reports.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["r.md", "r.html"] {
        fs::write(folder.path().join(name), OLD).unwrap();
    }
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Nothing has changed, and nothing has come.
fn is_as_it_was(folder: &Path) {
    assert_eq!(names(folder), ["r.html", "r.md"]);
    for name in names(folder) {
        assert_eq!(fs::read_to_string(folder.join(&name)).unwrap(), OLD, "{name}");
    }
}

/// A report of the sample, begun by a shell that first does something to itself.
fn in_shell(before: &str, arguments: &str, folder: &Path) -> (ExitStatus, String) {
    let bundle = common::sample("bundles/contoso-shop");
    let run = Command::new("sh")
        .args(["-c", &format!("{before} exec \"$0\" report \"$1\" -q {arguments}")])
        .args([Path::new(env!("CARGO_BIN_EXE_kubetriage")), &bundle])
        .current_dir(folder)
        .output()
        .unwrap();
    (run.status, String::from_utf8_lossy(&run.stderr).into_owned())
}

/// Files of at most 100 blocks of half or one KiB, which the Markdown fits in and the page does not.
const SMALL: &str = "ulimit -f 100;";
const BOTH: &str = "-o r.md -o r.html";

#[test]
fn a_disk_that_is_full_after_the_first_report_leaves_both_old_ones() {
    let folder = folder();
    let (status, says) = in_shell(&format!("trap '' XFSZ; {SMALL}"), BOTH, folder.path());
    assert_eq!(status.code(), Some(1), "{says}");
    assert!(says.contains("can't write `r.html`: choose another place with -o"), "{says}");
    is_as_it_was(folder.path());
    let (status, _) = in_shell("", BOTH, folder.path());
    assert_eq!(status.code(), Some(0));
    assert_eq!(names(folder.path()), ["r.html", "r.md"]);
    assert!(fs::read_to_string(folder.path().join("r.html")).unwrap().ends_with("</html>"));
}

#[test]
fn a_signal_in_the_midst_of_writing_leaves_the_old_reports_and_nothing_else() {
    let folder = folder();
    // The system ends it at the 101st block.
    let (status, _) = in_shell(SMALL, BOTH, folder.path());
    assert_eq!(status.code(), None);
    is_as_it_was(folder.path());
}

#[test]
fn a_map_of_pseudonyms_takes_its_place_with_its_report_or_not_at_all() {
    let folder = folder();
    fs::write(folder.path().join("map.tsv"), OLD).unwrap();
    let redact = "--redact all --redact-map map.tsv";
    let (status, _) = in_shell("", &format!("{redact} -o r.html -o absent/r.md"), folder.path());
    assert_eq!(status.code(), Some(1));
    assert_eq!(fs::read_to_string(folder.path().join("map.tsv")).unwrap(), OLD);
    let (status, _) = in_shell("", &format!("{redact} -o r.html"), folder.path());
    assert_eq!(status.code(), Some(0));
    assert_ne!(fs::read_to_string(folder.path().join("map.tsv")).unwrap(), OLD);
    let mode = fs::metadata(folder.path().join("map.tsv")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o600);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error_and_no_other_output_is_written() {
    let folder = folder();
    for arguments in ["-o r.md -o - --format html > /dev/full", "-o r.html -o /dev/full --format json"] {
        let (status, says) = in_shell("", arguments, folder.path());
        assert_eq!(status.code(), Some(1), "{arguments}: {says}");
        assert!(says.contains("can't write"), "{arguments}: {says}");
        is_as_it_was(folder.path());
    }
}

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    let folder = folder();
    let bundle = common::sample("bundles/contoso-shop");
    for arguments in [["report", "-q", "-o", "-"], ["inspect", "--quiet", "--format", "json"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kubetriage"))
            .args(arguments)
            .arg(&bundle)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut says = String::new();
        child.stderr.take().unwrap().read_to_string(&mut says).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{says}");
        assert_eq!(says, "");
    }
    let (status, says) = in_shell("", "-o r.md >&- 2>&-", folder.path());
    assert_eq!(status.code(), Some(0), "{says}");
}

/// A run that has read the beginning of its input, and waits for the rest of it.
fn waiting(folder: &Path) -> Child {
    // Whoever runs the tests in the background ignores SIGINT, and all that it starts do, too.
    let mut child = Command::new("env")
        .args(["--default-signal=INT,TERM", env!("CARGO_BIN_EXE_kubetriage")])
        .args(["report", "-", "-o", "r.md", "-o", "r.html"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let line = b"E1123 10:00:00.000000       1 r.go:1] pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" at the cluster scope\n";
    // More than a pipe holds: what is written has been taken by the reader.
    child.stdin.as_mut().unwrap().write_all(&line.repeat(5_000)).unwrap();
    child
}

#[test]
fn signals_in_mid_run_end_it_and_leave_the_old_reports() {
    for (name, number) in [("INT", 2), ("TERM", 15), ("KILL", 9)] {
        let folder = folder();
        let mut child = waiting(folder.path());
        let kill = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let since = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(since.elapsed() < Duration::from_secs(30), "{name} does not end it");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.signal(), Some(number), "{name}");
        is_as_it_was(folder.path());
    }
}

#[test]
fn a_run_that_nobody_ends_takes_the_place_of_the_old_reports() {
    let folder = folder();
    let mut child = waiting(folder.path());
    drop(child.stdin.take());
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    child.wait().unwrap();
    assert_eq!(names(folder.path()), ["r.html", "r.md"]);
    assert!(fs::read_to_string(folder.path().join("r.md")).unwrap().contains("bob"));
}
