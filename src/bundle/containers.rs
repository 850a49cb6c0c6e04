//! Walks what holds other entries: compressed streams, tar, zip.
//!
//! A damaged archive costs what is damaged: a tar goes on at the next header that is whole, a zip
//! without its directory is read from the front.

use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use zip::{CompressionMethod, ZipArchive};

use super::archive::{self, Container, Names};
use super::inflate::{Inflated, Inflater};
use super::stream::{CountingReader, Expansion, Filling, Member, Ratio};
use super::stream_reader::{StreamPlace, StreamReader};

/// Bytes of a tar record.
const RECORD: usize = 512;
/// Longest name that a long-name record may give.
const NAME_BYTES: u64 = 64 << 10;
/// Longest list of extended attributes.
const PAX_BYTES: u64 = 1 << 20;
/// Largest window of a zstd stream, as a power of two: what `--long=27` writes, and the default limit of zstd itself.
const ZSTD_WINDOW_LOG: u32 = 27;
/// Most memory for the dictionary of an xz stream, in KiB: `xz -9` takes 65 MiB.
const XZ_KIB: u32 = 130 << 10;

impl StreamReader<'_> {
    pub(super) fn compressed(&mut self, place: &StreamPlace, container: Container, filling: Filling<'_>) {
        let packed = Arc::new(AtomicU64::new(0));
        let counted = CountingReader { inner: filling.into_read(), count: Arc::clone(&packed) };
        let buffered = BufReader::with_capacity(128 << 10, counted);
        let mut inflated: Box<dyn Read> = match container {
            Container::Zstd => match zstd::stream::read::Decoder::with_buffer(buffered) {
                Ok(mut decoder) => {
                    let _ = decoder.window_log_max(ZSTD_WINDOW_LOG);
                    Box::new(decoder)
                }
                Err(error) => {
                    self.report(&place.path, 0, None, vec![format!("can't be unpacked: {error}")]);
                    return;
                }
            },
            Container::Xz => Box::new(XzReader::new_mem_limit(buffered, true, XZ_KIB)),
            Container::Bzip2 => Box::new(MultiBzDecoder::new(buffered)),
            _ => Box::new(MultiGzDecoder::new(buffered)),
        };
        let mut bounded = Ratio::new(&mut inflated, self.limits, self.progress, Expansion::Counted(packed));
        let inner = StreamPlace {
            path: place.path.clone(),
            members_under: place.members_under.clone(),
            modified: place.modified,
            depth: place.depth + 1,
            beside_others: place.beside_others,
        };
        self.stream(&inner, &mut bounded);
    }

    /// Walks a tar by its raw headers. Zero blocks do not end it, so that archives written one after the
    /// other are all read.
    pub(super) fn tar(&mut self, place: &StreamPlace, filling: Filling<'_>) {
        let mut source = filling.into_read();
        let mut names = Names::default();
        let mut walk = TarWalk::default();
        loop {
            if self.is_over() {
                walk.note(self.too_many());
                break;
            }
            let mut header = tar::Header::new_old();
            match fill_record(&mut source, header.as_mut_bytes()) {
                Ok(0) => break,
                Ok(RECORD) => {}
                Ok(_) => {
                    walk.note(format!("archive cut in the header after {} entries", walk.seen));
                    break;
                }
                Err(error) => {
                    walk.note(format!("archive damaged or cut after {} entries: {error}", walk.seen));
                    break;
                }
            }
            if header.as_bytes().iter().all(|byte| *byte == 0) {
                continue;
            }
            if !archive::is_tar_header(header.as_bytes()) {
                walk.lost += 1;
                continue;
            }
            if walk.lost > 0 {
                let lost = std::mem::take(&mut walk.lost) * RECORD as u64;
                walk.note(format!(
                    "archive damaged after {} entries: {lost} bytes belong to none",
                    walk.seen
                ));
            }
            if !self.tar_entry(place, &header, &mut source, &mut walk, &mut names) {
                break;
            }
        }
        if walk.lost > 0 {
            let lost = walk.lost * RECORD as u64;
            walk.note(format!("archive damaged after {} entries: {lost} bytes belong to none", walk.seen));
        }
        if !walk.problems.is_empty() {
            self.report(&place.path, 0, None, walk.problems);
        }
    }

    /// One header and its body. `false` when the archive ends within it.
    fn tar_entry(
        &mut self,
        place: &StreamPlace,
        header: &tar::Header,
        source: &mut dyn Read,
        walk: &mut TarWalk,
        names: &mut Names,
    ) -> bool {
        let kind = header.entry_type();
        let size = walk.size.take().or_else(|| entry_size(header)).unwrap_or_else(|| {
            walk.note(format!(
                "the size of entry {} can't be read: what it holds is not found",
                walk.seen + 1
            ));
            0
        });
        let mut member = Member { inner: source, left: size };
        let mut short = |limit: u64| {
            let mut bytes = Vec::new();
            let _ = Read::by_ref(&mut member).take(limit).read_to_end(&mut bytes);
            bytes
        };
        let mut path = String::new();
        if kind.is_gnu_longname() {
            walk.name = Some(until_nul(short(NAME_BYTES)));
        } else if kind.is_gnu_longlink() {
            walk.link = Some(until_nul(short(NAME_BYTES)));
        } else if kind.is_pax_local_extensions() {
            walk.extended(&short(PAX_BYTES));
        } else if kind.is_pax_global_extensions() || kind.is_dir() {
            walk.name = None;
            walk.link = None;
        } else {
            let raw = walk.name.take().unwrap_or_else(|| header.path_bytes().into_owned());
            let mut name = archive::slashes(&String::from_utf8_lossy(&raw));
            if name.is_empty() {
                name = format!("entry {} (without a name)", walk.seen + 1);
            }
            let name = names.unique(name);
            path = archive::join(&place.members_under, &name);
            walk.seen += 1;
            if kind.is_symlink() || kind.is_hard_link() {
                let pointed =
                    walk.link.take().or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
                let target = String::from_utf8_lossy(&pointed.unwrap_or_default()).into_owned();
                let from = if kind.is_hard_link() { "" } else { name.as_str() };
                self.link(&path, &place.members_under, from, &target);
            } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
                let modified = header.mtime().ok().and_then(|time| i64::try_from(time).ok());
                let inner = StreamPlace {
                    members_under: path.clone(),
                    path: path.clone(),
                    modified,
                    depth: place.depth + 1,
                    beside_others: true,
                };
                self.stream(&inner, &mut member);
            } else {
                let why = "device, pipe or other special file, not opened".to_owned();
                if self.enter(&path) {
                    self.report(&path, 0, Some(why), Vec::new());
                }
            }
        }
        // What nobody wanted to read must still be there, and the padding after it.
        let padding = (RECORD as u64 - size % RECORD as u64) % RECORD as u64;
        let unread = member.left;
        let skipped = self.skip(&mut member, unread);
        if skipped < unread && self.is_over() {
            walk.note(self.too_many());
            return false;
        }
        if skipped < unread {
            let missing = unread - skipped;
            if path.is_empty() {
                walk.note(format!("archive cut after {} entries, in the record of a name", walk.seen));
            } else {
                let why = format!("the archive ends {missing} bytes before the end of this entry");
                self.report(&path, 0, None, vec![why]);
            }
            return false;
        }
        let source = member.inner;
        let whole = self.skip(source, padding) == padding;
        if !whole {
            let cut = format!("archive damaged or cut after {} entries: what follows is lost", walk.seen);
            walk.note(if self.is_over() { self.too_many() } else { cut });
        }
        whole
    }

    /// A zip within a stream: its directory is at its end, so it is held whole, within the limit. Zips
    /// within zips share that limit.
    pub(super) fn zip(&mut self, place: &StreamPlace, filling: Filling<'_>) {
        let _hold = (self.held == 0).then(|| Arc::clone(&self.pool).hold());
        let mut held = Vec::new();
        let limit = self.limits.document_bytes.saturating_sub(self.held) as u64;
        let read = filling.into_read().take(limit + 1).read_to_end(&mut held);
        let mut problems = Vec::new();
        if let Err(error) = read {
            problems.push(format!("stream ends early: {error}"));
        }
        if held.len() as u64 > limit {
            problems.push(format!(
                "nested zip larger than {limit} bytes, members past that are lost; \
                 raise --max-document or give the zip itself as the input"
            ));
            held.truncate(limit as usize);
        }
        self.held += held.len();
        match ZipArchive::new(Cursor::new(held.as_slice())) {
            Ok(mut archive) => {
                let mut names = Names::default();
                let overlapping = archive::overlapping(&archive);
                for index in 0..archive.len() {
                    if self.is_over() {
                        problems.push(self.too_many());
                        break;
                    }
                    let name = archive::member_name(&archive, index);
                    if name.ends_with(['/', '\\']) {
                        continue;
                    }
                    let path = archive::join(&place.members_under, &names.unique(name));
                    if overlapping.contains(&index) {
                        self.overlapping(&path);
                    } else {
                        self.member_of_zip(&mut archive, index, path, place, false);
                    }
                }
            }
            Err(error) => {
                let saved = self.zip_without_directory(place, &mut Cursor::new(held.as_slice()));
                problems.push(format!(
                    "zip directory can't be read ({error}): the archive is damaged or cut; \
                     {saved} members were read from the front"
                ));
            }
        }
        self.held -= held.len();
        if !problems.is_empty() {
            self.report(&place.path, held.len() as u64, None, problems);
        }
    }

    pub(super) fn member_of_zip<R: Read + io::Seek>(
        &mut self,
        archive: &mut ZipArchive<R>,
        index: usize,
        path: String,
        within: &StreamPlace,
        on_disk: bool,
    ) {
        let plain = archive.by_index_data(index).is_ok_and(|member| {
            member.compression() == CompressionMethod::Deflated && !member.encrypted() && !member.is_symlink()
        });
        let opened = if plain { archive.by_index_raw(index) } else { archive.by_index(index) };
        match opened {
            Ok(mut member) => {
                if on_disk {
                    self.progress.packed.fetch_add(member.compressed_size(), Ordering::Relaxed);
                }
                if member.is_symlink() {
                    let mut target = String::new();
                    let _ = Read::by_ref(&mut member).take(4096).read_to_string(&mut target);
                    let below = within.members_under.len() + usize::from(!within.members_under.is_empty());
                    let name = path.get(below..).unwrap_or(&path).to_owned();
                    self.link(&path, &within.members_under, &name, &target);
                    return;
                }
                let packed = member.compressed_size();
                let place = StreamPlace {
                    members_under: path.clone(),
                    path,
                    modified: None,
                    depth: within.depth + 1,
                    beside_others: true,
                };
                if plain {
                    let mut inflater = self.inflaters.pop().unwrap_or_else(Inflater::new);
                    let sum = member.crc32();
                    let mut inflated = Inflated::new(&mut member, &mut inflater, sum);
                    let expansion = Expansion::Known(packed);
                    self.stream(
                        &place,
                        &mut Ratio::new(&mut inflated, self.limits, self.progress, expansion),
                    );
                    self.inflaters.push(inflater);
                } else {
                    let expansion = Expansion::Known(packed);
                    self.stream(&place, &mut Ratio::new(&mut member, self.limits, self.progress, expansion));
                }
            }
            Err(zip::result::ZipError::UnsupportedArchive(why)) => {
                let why = if why == zip::result::ZipError::PASSWORD_REQUIRED {
                    "encrypted: ask for it without a password, or unpack it first".to_owned()
                } else {
                    format!("can't be unpacked: {why}")
                };
                if self.enter(&path) {
                    self.report(&path, 0, None, vec![why]);
                }
            }
            Err(error) => {
                if self.enter(&path) {
                    self.report(&path, 0, None, vec![format!("can't be unpacked: {error}")]);
                }
            }
        }
    }

    /// A member whose bytes are those of another.
    pub(super) fn overlapping(&mut self, path: &str) {
        if self.enter(path) {
            let why =
                "its bytes in the archive are also those of another member: read there, once".to_owned();
            self.report(path, 0, None, vec![why]);
        }
    }

    /// Reads what can be read of a cut zip by its local headers.
    pub(super) fn zip_without_directory(&mut self, place: &StreamPlace, source: &mut dyn Read) -> usize {
        let mut names = Names::default();
        let mut read = 0;
        let mut source = source;
        while !self.is_over()
            && let Ok(Some(mut member)) = zip::read::read_zipfile_from_stream(&mut source)
        {
            let path = archive::join(&place.members_under, &names.unique(member_label(&member, read)));
            if !member.is_dir() {
                let packed = member.compressed_size();
                let inner = StreamPlace {
                    members_under: path.clone(),
                    path,
                    modified: None,
                    depth: place.depth + 1,
                    beside_others: true,
                };
                let mut bounded =
                    Ratio::new(&mut member, self.limits, self.progress, Expansion::Known(packed));
                self.stream(&inner, &mut bounded);
            }
            read += 1;
        }
        read
    }

    /// A link is a word: what it points to is read where it lies, once.
    pub(super) fn link(&mut self, path: &str, members_under: &str, from: &str, target: &str) {
        if self.enter(path) {
            let within = archive::resolve(from, target).map(|inner| archive::join(members_under, &inner));
            self.report_link(path, target, within);
        }
    }
}

/// What the records before a tar entry say of it, and what was wrong so far.
#[derive(Default)]
struct TarWalk {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    seen: u64,
    /// Records that are no header, since the last one that is.
    lost: u64,
    problems: Vec<String>,
}

impl TarWalk {
    fn note(&mut self, problem: String) {
        if self.problems.len() < 20 {
            self.problems.push(problem);
        }
    }

    fn extended(&mut self, records: &[u8]) {
        for record in tar::PaxExtensions::new(records).flatten() {
            match record.key_bytes() {
                b"path" => self.name = Some(record.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(record.value_bytes().to_vec()),
                b"size" => self.size = record.value().ok().and_then(|size| size.parse().ok()),
                _ => {}
            }
        }
    }
}

/// The size of an entry in its header; `None` when it is none, or below zero (base 256 has a sign).
fn entry_size(header: &tar::Header) -> Option<u64> {
    let size = header.entry_size().ok()?;
    i64::try_from(size).is_ok().then_some(size)
}

fn until_nul(mut name: Vec<u8>) -> Vec<u8> {
    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
    name
}

/// Reads a whole record if there is one; gives how many bytes there were.
fn fill_record(source: &mut dyn Read, record: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while have < record.len() {
        match source.read(record.get_mut(have..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

fn member_label<R: Read>(member: &zip::read::ZipFile<'_, R>, index: usize) -> String {
    member
        .name()
        .map_or_else(|_| format!("member {index} (its name can't be read)"), std::borrow::Cow::into_owned)
}
