//! Archives of any kind, damaged in any way, one in another.

use std::collections::BTreeMap;
use std::sync::Mutex;

use kubetriage::bundle::{self, EntryReport, Input, Progress};
use kubetriage::formats::ByContent;

use crate::{folder, limits};

/// The text of each entry, put together from its blocks.
type Texts = BTreeMap<String, BTreeMap<u64, Vec<u8>>>;

/// Bytes as an archive: it is read to its end, within the limits, and gives the same on any number of threads.
pub fn archive(data: &[u8]) {
    let folder = folder(&[("bundle".to_owned(), with_sums(data))]);
    let path = folder.path().join("bundle");
    let (reports, texts) = read(&path, 1);
    let bytes: u64 = reports.iter().map(|report| report.bytes).sum();
    // The one in which the limit is reached is told as well, as is what holds it.
    let most = limits().entries + u64::from(limits().depth) + 2;
    assert!(reports.len() as u64 <= most, "{} entries", reports.len());
    assert!(bytes <= limits().total_bytes + (1 << 20), "{bytes} bytes");
    for problem in reports.iter().flat_map(|report| &report.problems) {
        assert!(!problem.contains("fault of kubetriage"), "{problem}");
    }
    for text in texts.values() {
        let mut expected = 0;
        for (offset, bytes) in text {
            assert!(*offset >= expected, "blocks overlap at {offset}");
            expected = offset + bytes.len() as u64;
        }
    }
    assert_eq!((reports, texts), read(&path, 3), "not the same on several threads");
}

fn read(path: &std::path::Path, threads: usize) -> (Vec<EntryReport>, Texts) {
    let Ok(inputs) = bundle::open(&[Input::Path(path.to_owned())], &kubetriage::bundle::Limits::default())
    else {
        return Default::default();
    };
    let texts = Mutex::new(Texts::new());
    let progress = Progress::default();
    let reports = inputs.read(&limits(), &ByContent, threads, &progress, &|block| {
        let mut texts = texts.lock().expect("no thread has failed");
        let entry = texts.entry(block.entry.path.to_string()).or_default();
        // Two entries of one name are two files: the longer text of a place stands for both.
        let text = entry.entry(block.offset).or_default();
        let one_more = block.bytes().to_vec();
        if (text.len(), &*text) < (one_more.len(), &one_more) {
            *text = one_more;
        }
    });
    // What a limit cuts off is read again in order, as the pipeline does.
    if threads > 1 && progress.is_limited() {
        return read(path, 1);
    }
    (reports, texts.into_inner().expect("no thread has failed"))
}

/// Headers of a tar with the sums that they should have: without them a changed header would only be refused.
fn with_sums(data: &[u8]) -> Vec<u8> {
    let mut mended = data.to_vec();
    for header in mended.chunks_exact_mut(512) {
        if header[257..262] == *b"ustar" {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    mended
}
