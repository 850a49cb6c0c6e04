//! Archives that are small and unpack to much, and files that never end: bounded memory, a line in the report, and what lies
//! beside them is read.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use zip::write::SimpleFileOptions;

use crate::common;

const LOG: &[u8] = b"E1123 10:00:00.000000       1 r.go:1] pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" at the cluster scope\n";
const FOUND: &str = "user bob cannot list pods cluster-wide (forbidden)";

/// The report of the program on a path, with what it took.
struct Ran {
    code: i32,
    mebibytes: u64,
    report: Value,
    text: String,
}

fn report(path: &Path, arguments: &[&str]) -> Ran {
    let temp = tempfile::tempdir().unwrap();
    let json = temp.path().join("r.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubetriage"))
        .args(["report", "-q", "-o"])
        .arg(&json)
        .arg(path)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let peak = common::peak_memory(child.id());
    let status = child.wait().unwrap();
    let mebibytes = peak.join().unwrap() >> 20;
    let text = fs::read_to_string(&json).unwrap();
    let code = status.code().unwrap();
    Ran { code, mebibytes, report: serde_json::from_str(&text).unwrap(), text }
}

fn tar_gz<'a>(members: impl IntoIterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn zip<'a>(members: impl IntoIterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An archive that holds one archive ten times, and so on down.
fn tenfold(levels: usize, pack: impl Fn(Vec<(String, &[u8])>) -> Vec<u8>) -> Vec<u8> {
    (0..levels).fold(LOG.to_vec(), |within, level| {
        pack((0..10).map(|at| (format!("{level}-{at}"), within.as_slice())).collect())
    })
}

/// A zip in which ten names stand for the bytes of one member.
fn overlapping(within: &[u8]) -> Vec<u8> {
    let names: Vec<String> = (0..10).map(|at| format!("{at}.zip")).collect();
    let mut whole = zip([(names[0].clone(), within)]);
    let directory = whole.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    let end = whole.windows(4).rposition(|bytes| bytes == b"PK\x05\x06").unwrap();
    let record = whole[directory..end].to_vec();
    whole.truncate(directory);
    for name in &names {
        let mut record = record.clone();
        record[46..46 + name.len()].copy_from_slice(name.as_bytes());
        whole.extend(record);
    }
    let length = (record.len() * names.len()) as u32;
    whole.extend(b"PK\x05\x06\0\0\0\0\x0a\0\x0a\0");
    whole.extend(length.to_le_bytes());
    whole.extend((directory as u32).to_le_bytes());
    whole.extend([0, 0]);
    whole
}

#[test]
fn archives_that_hold_an_archive_ten_times_a_level_leave_half_for_what_lies_beside_them() {
    let temp = tempfile::tempdir().unwrap();
    for (name, bomb) in [("tar", tenfold(5, |all| tar_gz(all))), ("zip", tenfold(5, |all| zip(all)))] {
        let path = temp.path().join(name);
        fs::write(&path, tar_gz([("a-bomb".to_owned(), &*bomb), ("b/kube.log".to_owned(), LOG)])).unwrap();
        let ran = report(&path, &["--max-entries", "2000"]);
        assert!(ran.text.contains("half of the entries"), "{name}: the limit is not told");
        let entries = ran.report["coverage"]["entries"].as_array().unwrap();
        assert!(
            entries.iter().any(|entry| entry["path"] == "b/kube.log" && entry["recognised"] == true),
            "{name}"
        );
        assert!(ran.report["coverage"]["entry_count"].as_u64().unwrap() <= 2010, "{name}");
    }
}

#[test]
fn a_zip_whose_members_share_their_bytes_is_read_once() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("b.zip");
    let bomb = (0..9).fold(zip([("kube.log".to_owned(), LOG)]), |within, _| overlapping(&within));
    fs::write(&path, &bomb).unwrap();
    let ran = report(&path, &[]);
    assert!(ran.text.contains("also those of another member"), "{}", ran.text);
    assert!(ran.text.contains(FOUND), "what is there once is lost");
    assert!(ran.report["coverage"]["entry_count"].as_u64().unwrap() < 110);
}

#[test]
fn names_of_sixty_kilobytes_are_cut_when_they_come_in() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("n.tgz");
    let names = (0..300).map(|at| (format!("{at}-{}/kube.log", "n".repeat(60_000)), LOG));
    fs::write(&path, tar_gz(names)).unwrap();
    let ran = report(&path, &[]);
    assert!(ran.mebibytes <= 256, "{} MiB", ran.mebibytes);
    assert!(ran.text.len() < 4 << 20, "{} bytes", ran.text.len());
    assert!(ran.text.contains(FOUND));
    assert!(
        ran.report["coverage"]["entries"].as_array().unwrap().iter().all(|entry| entry["path"]
            .as_str()
            .unwrap()
            .len()
            < 1100)
    );
}

#[test]
fn what_a_limit_cuts_off_does_not_depend_on_threads() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("bundle");
    fs::create_dir(&folder).unwrap();
    for at in 0..60 {
        let user = format!(
            "E1123 10:00:{at:02}.000000       1 r.go:1] pods is forbidden: User \"user-{at}\" cannot list resource \"pods\" in API group \"\" at the cluster scope\n"
        );
        fs::write(folder.join(format!("{at}.log")), user.repeat(at + 1)).unwrap();
    }
    fs::write(folder.join("more.zip"), zip((0..60).map(|at| (format!("{at}.log"), LOG)))).unwrap();
    for limit in [["--max-entries", "31"], ["--max-entries", "90"], ["--max-bytes", "100kB"]] {
        let one = report(&folder, &[&limit[..], &["--threads", "1"]].concat());
        assert!(one.text.contains("the rest is not read"), "{limit:?}");
        for threads in ["2", "4", "8"] {
            let many = report(&folder, &[&limit[..], &["--threads", threads]].concat());
            assert!(one.text == many.text, "{limit:?} with {threads} threads");
        }
    }
}

#[test]
fn a_script_or_a_zip_before_a_zip_hides_neither() {
    let temp = tempfile::tempdir().unwrap();
    let second = zip([("b/kube.log".to_owned(), LOG)]);
    let fronts = [
        b"#!/bin/sh\necho unpacking\nexit 0\n".to_vec(),
        zip([("a/readme.txt".to_owned(), &b"hello\n"[..])]),
    ];
    for front in fronts {
        let path = temp.path().join("b");
        fs::write(&path, [front, second.clone()].concat()).unwrap();
        let ran = report(&path, &[]);
        assert!(ran.text.contains(FOUND));
        assert_eq!(ran.report["coverage"]["entry_count"], 2);
    }
}

#[test]
fn sizes_that_lie_and_members_without_a_name_cost_themselves_alone() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("b");
    // A zip whose directory gives the first member a size of four gigabytes.
    let mut lying = zip([("a.log".to_owned(), LOG), ("b.log".to_owned(), LOG)]);
    let at = lying.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    lying[at + 24..at + 28].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    fs::write(&path, &lying).unwrap();
    assert!(report(&path, &[]).text.contains(FOUND));
    // A tar in which one member has no name, and one a size of -1 in base 256.
    let member = |name: &str, size: &[u8; 12]| {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.as_mut_bytes()[124..136].copy_from_slice(size);
        header.set_cksum();
        let mut whole = header.as_bytes().to_vec();
        whole.extend(LOG);
        whole.resize(whole.len().next_multiple_of(512), 0);
        whole
    };
    let length = format!("{:011o}\0", LOG.len());
    let length: [u8; 12] = length.into_bytes().try_into().unwrap();
    for (name, size) in [("", length), ("minus.log", [0xff; 12])] {
        fs::write(&path, [member(name, &size), member("last.log", &length), vec![0; 1024]].concat()).unwrap();
        let ran = report(&path, &[]);
        assert!(ran.text.contains(FOUND), "{name}");
        assert!(ran.text.contains("last.log"), "{name}: what follows is lost");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn pipes_devices_and_files_of_the_kernel_are_never_waited_for() {
    let temp = tempfile::tempdir().unwrap();
    let pipe = temp.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(report(&pipe, &[]).code, 3);
    assert!(report(Path::new("/dev/zero"), &[]).text.contains("not opened"));
    assert!(report(Path::new("/proc"), &[]).text.contains("a folder of the running kernel, not read"));
    fs::write(temp.path().join("kube.log"), LOG).unwrap();
    let ran = report(temp.path(), &[]);
    assert!(ran.text.contains(FOUND) && ran.text.contains("not a regular file, not opened"));
}

#[test]
fn fifty_thousand_ordinary_entries_fit() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("many.tgz");
    fs::write(&path, tar_gz((0..50_000).map(|at| (format!("pods/{}/log-{at}.log", at % 100), LOG)))).unwrap();
    let ran = report(&path, &[]);
    assert!(ran.mebibytes <= 128, "{} MiB", ran.mebibytes);
    assert!(ran.text.len() < 4 << 20, "{} bytes", ran.text.len());
    assert_eq!(ran.report["coverage"]["entry_count"], 50_000);
    assert!(ran.text.contains(FOUND));
}

#[test]
fn thousands_of_refused_identities_are_one_short_report_with_exact_totals() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("many.log");
    let lines = (0..5_000).map(|at| format!("E1123 10:00:{:02}.000000       1 r.go:1] pods is forbidden: User \"user-{at}\" cannot list resource \"pods\" in API group \"\" at the cluster scope\n", at % 60));
    fs::write(&path, lines.collect::<String>()).unwrap();
    let ran = report(&path, &[]);
    assert!(ran.text.len() < 4 << 20, "{} bytes", ran.text.len());
    let findings = ran.report["findings"].as_array().unwrap();
    let (rest, single): (Vec<&Value>, Vec<&Value>) =
        findings.iter().partition(|finding| finding["unit"] == "finding");
    let total = single.len() as u64 + rest.iter().map(|rest| rest["count"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(total, 5_000);
}

#[test]
fn empty_documents_between_lines_cost_what_lines_cost() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("table.txt");
    let table = "NAMESPACE   NAME    READY   STATUS    RESTARTS   AGE\nshop        web-7   1/1     Running   0          1d\n";
    let log = String::from_utf8_lossy(LOG);
    // A table, 400,000 documents that are nothing, and a line that tells something.
    fs::write(&path, format!("{table}{}{log}", "{}\n[1]\n{\"a\":[]}\n{}\n".repeat(100_000))).unwrap();
    let since = std::time::Instant::now();
    let ran = report(&path, &[]);
    assert!(since.elapsed() < std::time::Duration::from_secs(60), "{:?}", since.elapsed());
    assert!(ran.mebibytes <= 256, "{} MiB", ran.mebibytes);
    assert!(ran.text.contains(FOUND), "what follows them is lost");
    assert_eq!(ran.report["inventory"]["objects"]["pods"], 1, "a document is no row of the table");
}
