//! A disk that dies while it is read: what came before is read, the rest is said, and nothing hangs.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::sync::Mutex;

use super::block::{BLOCK_BYTES, BufferPool};
use super::frame::Lines;
use super::limits::{Allowance, Limits};
use super::progress::Progress;
use super::stream_reader::{EntryReport, Recognised, Recogniser, StreamPlace, StreamReader};
use super::{Block, Entry};

/// What a dying disk says.
const EIO: i32 = 5;

/// Gives so many bytes, a few at a time and with interruptions, and then an error, again and again.
struct DyingDisk<'a> {
    bytes: &'a [u8],
    at: usize,
    interrupted: bool,
}

impl Read for DyingDisk<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let count = rest.len().min(out.len()).min(777);
        out[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

struct OfLines;

impl Recogniser for OfLines {
    fn recognise(&self, _entry: &Entry, _head: &[u8]) -> Recognised {
        Recognised { format: 0, framer: Box::new(Lines) }
    }
}

/// What is read of a stream before its disk dies: the texts by their paths, and the reports.
fn read(bytes: &[u8]) -> (BTreeMap<String, String>, Vec<EntryReport>) {
    let (limits, progress) = (Limits::default(), Progress::default());
    let texts = Mutex::new(BTreeMap::<String, String>::new());
    let send = |block: Block| {
        let text = String::from_utf8_lossy(block.bytes()).into_owned();
        texts.lock().unwrap().entry(block.entry.path.to_string()).or_default().push_str(&text);
    };
    let mut reader = StreamReader {
        limits: &limits,
        recogniser: &OfLines,
        progress: &progress,
        send: &send,
        pool: BufferPool::new(8 * BLOCK_BYTES),
        reports: Vec::new(),
        zips: HashMap::new(),
        inflaters: Vec::new(),
        held: 0,
        allowance: Allowance::of(&limits),
        beside_others: false,
        tentative: false,
    };
    let place = StreamPlace {
        path: "bundle".to_owned(),
        members_under: String::new(),
        modified: None,
        depth: 0,
        beside_others: false,
    };
    reader.stream(&place, &mut DyingDisk { bytes, at: 0, interrupted: false });
    let reports = std::mem::take(&mut reader.reports);
    drop(reader);
    (texts.into_inner().unwrap(), reports)
}

fn text(name: &str) -> String {
    format!("{name} has a line\n").repeat(400)
}

const NAMES: [&str; 3] = ["a.log", "b.log", "c.log"];

fn tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in NAMES {
        let text = text(name);
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn zip() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for name in NAMES {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text(name).as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn a_log_on_a_dying_disk_is_read_up_to_there_and_the_error_is_named() {
    let whole = text("a.log");
    let (texts, reports) = read(&whole.as_bytes()[..5000]);
    assert_eq!(texts["bundle"], whole[..5000]);
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(report.bytes, 5000);
    assert!(report.problems[0].contains("ends early, after 5000 bytes"), "{:?}", report.problems);
    assert!(report.problems[0].contains(&io::Error::from_raw_os_error(EIO).to_string()));
}

#[test]
fn an_archive_on_a_dying_disk_gives_what_lies_before_wherever_it_dies() {
    for (kind, archive) in
        [("tar", tar()), ("tar.gz", gzip(&tar())), ("zip", zip()), ("zip.gz", gzip(&zip()))]
    {
        let mut most = 0;
        for cut in (0..=archive.len()).step_by(archive.len() / 60) {
            let (texts, reports) = read(&archive[..cut]);
            let problems: Vec<&String> = reports.iter().flat_map(|report| &report.problems).collect();
            assert!(!problems.is_empty(), "{kind} dies at {cut}, and nothing says so");
            assert!(!problems.iter().any(|problem| problem.contains("fault of kubetriage")), "{problems:?}");
            for (path, read) in &texts {
                let whole = NAMES.iter().find(|name| *name == path).map(|name| text(name));
                // What is no archive yet is text, or nothing.
                assert!(
                    whole.is_none_or(|whole| whole.starts_with(read.as_str())),
                    "{kind} at {cut}: {path}"
                );
            }
            let count = NAMES.iter().filter(|name| texts.get(**name).is_some_and(|read| *read == text(name)));
            let count = count.count();
            assert!(count >= most || kind.contains(".gz"), "{kind} at {cut} gives less than before");
            most = most.max(count);
        }
        assert!(most >= 2, "{kind} gives {most} members");
    }
}
