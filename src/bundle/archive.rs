//! Containers by their first bytes, and the names inside them.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use foldhash::fast::FixedState;
use zip::ZipArchive;

use super::limits::Limits;

/// What the first bytes of a stream say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    Zip,
    Tar,
    /// Recognised, and not read.
    Unsupported(&'static str),
}

impl Container {
    /// Whether it is a compression of one stream.
    pub(super) fn is_compression(self) -> bool {
        matches!(self, Self::Gzip | Self::Zstd | Self::Xz | Self::Bzip2)
    }
}

/// Looks for the magic numbers of containers.
pub(super) fn detect(head: &[u8]) -> Option<Container> {
    if head.starts_with(&[0x1f, 0x8b, 0x08]) {
        return Some(Container::Gzip);
    }
    if is_zip(head) {
        return Some(Container::Zip);
    }
    if is_tar(head) {
        return Some(Container::Tar);
    }
    let unsupported = match head {
        // A skippable frame may stand first: pzstd writes one.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => return Some(Container::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => return Some(Container::Xz),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, ..]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, ..] => return Some(Container::Bzip2),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => "7-Zip",
        [b'R', b'a', b'r', b'!', 0x1a, 0x07, ..] => "RAR",
        [b'M', b'S', b'C', b'F', 0, ..] => "Windows cabinet",
        _ => return None,
    };
    Some(Container::Unsupported(unsupported))
}

/// A local file header, or the end record of an empty archive.
pub(super) fn is_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

/// `ustar` at offset 257, or an old tar header; the checksum must hold.
fn is_tar(head: &[u8]) -> bool {
    let Some(header) = head.get(..512) else { return false };
    header.get(257..262) == Some(b"ustar") || is_tar_header(header)
}

/// Whether a record of 512 bytes is a tar header: its checksum holds.
pub(super) fn is_tar_header(header: &[u8]) -> bool {
    let Some(field) = header.get(148..156) else { return false };
    let digits: String = field.iter().map(|byte| *byte as char).filter(char::is_ascii_digit).collect();
    let Ok(stored) = u32::from_str_radix(&digits, 8) else { return false };
    let blank = u32::from(b' ') * 8;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum::<u32>()
        - field.iter().map(|byte| u32::from(*byte)).sum::<u32>()
        + blank;
    stored == sum
}

/// The kinds of files that hold no text, so that they are named and not scanned.
pub(super) fn binary_kind(head: &[u8]) -> Option<&'static str> {
    let kind = match head {
        [0x7f, b'E', b'L', b'F', ..] => "program (ELF)",
        [0x89, b'P', b'N', b'G', ..] => "picture (PNG)",
        [0xff, 0xd8, 0xff, ..] => "picture (JPEG)",
        [b'G', b'I', b'F', b'8', ..] => "picture (GIF)",
        [b'%', b'P', b'D', b'F', ..] => "PDF document",
        [b'S', b'Q', b'L', b'i', b't', b'e', ..] => "SQLite database",
        [b'P', b'A', b'R', b'1', ..] => "Parquet table",
        [b'L', b'P', b'K', b'S', b'H', b'H', b'R', b'H', ..] => {
            "binary systemd journal (journalctl --file FILE > journal.txt makes text of it)"
        }
        [b'O', b'b', b'j', 0x01, ..] => {
            "Avro container, as Event Hubs Capture writes it (avro-tools tojson FILE > events.json)"
        }
        [b'E', b'l', b'f', b'F', b'i', b'l', b'e', 0, ..] => {
            "Windows event log (Get-WinEvent -Path FILE | Export-Csv events.csv)"
        }
        // The magic of bolt, on the first page behind its header of 16 bytes; etcd keeps its store so.
        [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, 0xed, 0xda, 0x0c, 0xed, ..] => {
            "etcd store or snapshot (etcdutl snapshot status FILE)"
        }
        [b'M', b'Z', ..] => "program (Windows)",
        [0xd4, 0xc3, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0xc3, 0xd4, ..]
        | [0x4d, 0x3c, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0x3c, 0x4d, ..]
        | [0x0a, 0x0d, 0x0d, 0x0a, ..] => "packet capture (tshark -r FILE > packets.txt makes text of it)",
        _ => {
            // A log that was truncated while it was written begins with a hole of NULs.
            let text = head.iter().position(|byte| *byte != 0).and_then(|at| head.get(at..)).unwrap_or(head);
            let sample = text.get(..8192).unwrap_or(text);
            let odd = |byte: &&u8| matches!(**byte, 0..=8 | 14..=26 | 28..=31 | 127);
            let controls = sample.iter().filter(odd).count();
            if controls * 10 > sample.len() {
                return Some("binary data");
            }
            return None;
        }
    };
    Some(kind)
}

/// The members of a zip whose bytes belong to another one as well, which comes first in the archive: a small archive that
/// unpacks to an enormous one is made like this.
pub(super) fn overlapping<R: Read + Seek>(archive: &ZipArchive<R>) -> HashSet<usize> {
    /// Bytes of a local file header without its name.
    const HEADER: u64 = 30;
    let spans = (0..archive.len()).filter_map(|index| {
        let member = archive.by_index_data(index).ok()?;
        let length = HEADER + member.name_raw().len() as u64 + member.compressed_size();
        Some((member.header_start(), index, length))
    });
    let mut spans: Vec<_> = spans.collect();
    spans.sort_unstable();
    let mut end = 0;
    spans
        .into_iter()
        .filter_map(|(start, index, length)| {
            if start < end {
                return Some(index);
            }
            end = start.saturating_add(length);
            None
        })
        .collect()
}

/// A path that is not too long to be held and shown: a longer one loses its middle.
pub(super) fn shortened(path: String) -> String {
    const GAP: &str = "\u{2026}";
    if path.len() <= Limits::PATH {
        return path;
    }
    let half = (Limits::PATH - GAP.len()) / 2;
    let front = (0..=half).rev().find_map(|end| path.get(..end)).unwrap_or_default();
    let back = (path.len() - half..path.len()).find_map(|start| path.get(start..)).unwrap_or_default();
    [front, GAP, back].concat()
}

/// Names an archive member below its archive: `logs.zip!var/log/kubelet.log`.
pub(super) fn join(base: &str, member: &str) -> String {
    let member = slashes(member);
    shortened(if base.is_empty() { member } else { format!("{base}!{member}") })
}

/// A member's name with `/`, without a leading `./`.
pub(super) fn slashes(member: &str) -> String {
    let member = member.replace('\\', "/");
    member.strip_prefix("./").map(ToOwned::to_owned).unwrap_or(member)
}

/// Where a link points to, as a name within the same archive; `None` when it leads out of it.
///
/// An absolute target is taken from the archive's root, as in a copy of a node's files.
pub(super) fn resolve(link: &str, target: &str) -> Option<String> {
    let target = target.replace('\\', "/");
    let mut parts: Vec<&str> = Vec::new();
    if !target.starts_with('/') {
        parts.extend(
            link.rsplit_once('/').map_or("", |(folder, _)| folder).split('/').filter(|p| !p.is_empty()),
        );
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Gives a second and third member of the same name a number: both are read, and evidence stays distinct.
///
/// Names are known by their hashes: two names with one hash get a number that they don't need, and no more.
#[derive(Default)]
pub(super) struct Names {
    hasher: FixedState,
    seen: HashMap<u64, u32>,
}

impl Names {
    pub(super) fn unique(&mut self, name: String) -> String {
        let name = shortened(name);
        let seen = self.seen.entry(self.hasher.hash_one(&name)).or_insert(0);
        *seen += 1;
        if *seen == 1 { name } else { format!("{name}#{seen}") }
    }
}

/// What the directory of a zip says.
pub(super) struct ZipDirectory {
    /// Bytes before the archive, in the same file.
    pub(super) front: u64,
    /// Its files.
    pub(super) members: Vec<ZipMember>,
}

/// A file of a zip.
pub(super) struct ZipMember {
    pub(super) index: usize,
    pub(super) name: String,
    /// Its bytes belong to another one, too.
    pub(super) overlapping: bool,
}

/// How many members a zip has by its end record, which stands in the last bytes; more than 65,534 stand in a record of their
/// own (APPNOTE 4.3.14). Where they can't be found, none: then the archive is read to see.
fn zip_count(file: &mut (impl Read + Seek)) -> u64 {
    /// The end record, and before it where the larger one stands.
    const END: i64 = 22;
    const LOCATOR: i64 = 20;
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let mut tail = [0; (END + LOCATOR) as usize];
    let mut record = [0; 56];
    let mut count = || {
        file.seek(SeekFrom::End(-(END + LOCATOR))).ok()?;
        file.read_exact(&mut tail).ok()?;
        let (locator, end) = tail.split_at(LOCATOR as usize);
        if !end.starts_with(b"PK\x05\x06") {
            return None;
        }
        let count = number(end.get(10..12)?);
        if count < 0xffff || !locator.starts_with(b"PK\x06\x07") {
            return Some(count);
        }
        file.seek(SeekFrom::Start(number(locator.get(8..16)?))).ok()?;
        file.read_exact(&mut record).ok()?;
        record.starts_with(b"PK\x06\x06").then(|| number(record.get(32..40).unwrap_or_default()))
    };
    let count = count().unwrap_or_default();
    if file.rewind().is_ok() { count } else { u64::MAX }
}

/// The directory of a zip; `None` when it can't be read, or has so many members that it is not to be held.
pub(super) fn zip_directory<R: Read + Seek>(mut file: R, most: u64) -> Option<ZipDirectory> {
    if zip_count(&mut file) > most {
        return None;
    }
    let archive = ZipArchive::new(BufReader::new(file)).ok()?;
    let overlapping = overlapping(&archive);
    let mut names = Names::default();
    let members = (0..archive.len())
        .map(|index| (index, member_name(&archive, index)))
        .filter(|(_, name)| !name.ends_with(['/', '\\']))
        .map(|(index, name)| ZipMember {
            index,
            name: names.unique(name),
            overlapping: overlapping.contains(&index),
        });
    Some(ZipDirectory { front: archive.offset(), members: members.collect() })
}

/// Whether a file that begins as something else ends as a zip: what unpacks itself is a script or a program before it.
pub(super) fn is_zip_to_its_end(path: &Path, head: &[u8]) -> bool {
    /// The end record, without a comment.
    const END: usize = 22;
    /// The longest comment.
    const COMMENT: usize = 65_535;
    let program = head.starts_with(b"#!") || head.starts_with(b"MZ");
    let most = if program { END + COMMENT } else { END };
    let Ok(mut file) = File::open(path) else { return false };
    let Ok(length) = file.seek(SeekFrom::End(0)) else { return false };
    let mut tail = Vec::new();
    let start = length.saturating_sub(most as u64);
    if file.seek(SeekFrom::Start(start)).and_then(|_| file.read_to_end(&mut tail)).is_err() {
        return false;
    }
    memchr::memmem::rfind(&tail, b"PK\x05\x06").is_some_and(|at| tail.len() - at >= END)
}

/// The name of a member; a name that can't be decoded is replaced by its number.
pub(super) fn member_name<R: Read + Seek>(archive: &ZipArchive<R>, index: usize) -> String {
    match archive.name_for_index(index) {
        Some(Ok(name)) => name.into_owned(),
        _ => format!("member {index} (its name can't be read)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_zip_names_use_slashes() {
        assert_eq!(join("logs.zip", "k\\azure-vnet.log"), "logs.zip!k/azure-vnet.log");
        assert_eq!(join("", "./a/b"), "a/b");
    }

    #[test]
    fn a_text_that_mentions_ustar_is_no_tar() {
        assert_eq!(detect(b"ustar is a format"), None);
        assert_eq!(detect(&[b'a'; 600]), None);
    }

    #[test]
    fn links_are_resolved_within_their_archive_only() {
        assert_eq!(resolve("a/b.log", "../c/d.log").as_deref(), Some("c/d.log"));
        assert_eq!(resolve("a/b.log", "../../etc/passwd"), None);
        assert_eq!(resolve("a/b.log", "/var/log/x").as_deref(), Some("var/log/x"));
        assert_eq!(resolve("", "a/b").as_deref(), Some("a/b"));
    }

    #[test]
    fn two_members_of_one_name_stay_apart() {
        let mut names = Names::default();
        assert_eq!(names.unique("a".into()), "a");
        assert_eq!(names.unique("a".into()), "a#2");
    }
}
