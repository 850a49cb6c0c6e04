//! The reader threads: inflate, walk archives, decode, cut, send.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

use super::archive::{self, Container, Names};
use super::block::{BLOCK_BYTES, Block, Buffer, Entry, Pool};
use super::decode;
use super::frame::Framer;
use super::input::{self, Input, Job, OpenError};
use super::limits::Limits;

/// Bytes under way between readers and workers.
const IN_FLIGHT_BYTES: usize = 32 << 20;

/// Decides what an entry is, from its first block.
pub trait Recogniser: Sync {
    /// Looks at the first bytes of a text entry, up to a block of it.
    fn recognise(&self, entry: &Entry, head: &[u8]) -> Recognised;
}

/// The answer of a [`Recogniser`].
pub struct Recognised {
    /// Given back with each block.
    pub format: u16,
    /// How to cut the entry.
    pub framer: Box<dyn Framer>,
}

/// What became of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryReport {
    /// Path of the entry.
    pub path: Arc<str>,
    /// Bytes of text read, after decompression and decoding.
    pub bytes: u64,
    /// Why it was not handed to a format: empty, binary, a link.
    pub not_text: Option<String>,
    /// What was damaged or cut.
    pub problems: Vec<String>,
}

/// How far the reading has come, for a progress bar.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes taken from disk.
    pub packed: AtomicU64,
    /// Bytes after decompression.
    pub unpacked: AtomicU64,
    /// Entries begun.
    pub entries: AtomicU64,
    current: Mutex<String>,
}

impl Progress {
    /// The entry being read.
    pub fn current(&self) -> String {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn enter(&self, path: &str) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        path.clone_into(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What is to be read: the inputs, found and listed.
pub struct Inputs {
    jobs: Vec<Job>,
    /// Bytes on disk of all inputs, 0 for the standard input.
    pub packed_bytes: u64,
}

/// Finds the inputs. Fails when one of them can't be opened at all.
pub fn open(inputs: &[Input]) -> Result<Inputs, OpenError> {
    let (jobs, packed_bytes) = input::jobs(inputs)?;
    Ok(Inputs { jobs, packed_bytes })
}

impl Inputs {
    /// Reads everything on `threads` reader threads, hands the blocks to `send`, and reports on every
    /// entry in the order of paths.
    ///
    /// Folders and zip members are read in parallel; a tar is one stream, read by one thread.
    pub fn read(
        &self,
        limits: &Limits,
        recogniser: &dyn Recogniser,
        threads: usize,
        progress: &Progress,
        send: &(dyn Fn(Block) + Sync),
    ) -> Vec<EntryReport> {
        let next = AtomicUsize::new(0);
        let pool = Pool::new(IN_FLIGHT_BYTES + threads * 4 * BLOCK_BYTES);
        let reports = Mutex::new(Vec::new());
        let readers = threads.clamp(1, self.jobs.len().max(1));
        std::thread::scope(|scope| {
            for _ in 0..readers {
                scope.spawn(|| {
                    let mut reader = Reader {
                        limits,
                        recogniser,
                        progress,
                        send,
                        pool: Arc::clone(&pool),
                        reports: Vec::new(),
                        zips: HashMap::new(),
                    };
                    while let Some(job) = self.jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        // What brings the reader down costs that input, and is said.
                        if catch_unwind(AssertUnwindSafe(|| reader.run(job))).is_err() {
                            let why =
                                "could not be read to its end: this is a fault of kubetriage".to_owned();
                            reader.report(job.shown(), 0, None, vec![why]);
                        }
                    }
                    reports.lock().unwrap_or_else(PoisonError::into_inner).append(&mut reader.reports);
                });
            }
        });
        let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
        reports.sort_by(|a, b| a.path.cmp(&b.path));
        reports
    }
}

/// Where the stream being read lies.
struct Place {
    /// Its name, should it turn out to be a file.
    path: String,
    /// What its members are named below, should it turn out to be an archive.
    members_under: String,
    modified: Option<i64>,
    /// Archives and compressions around it.
    depth: u8,
}

struct Reader<'a> {
    limits: &'a Limits,
    recogniser: &'a dyn Recogniser,
    progress: &'a Progress,
    send: &'a (dyn Fn(Block) + Sync),
    pool: Arc<Pool>,
    reports: Vec<EntryReport>,
    /// Directories of the zips that this thread has open.
    zips: HashMap<PathBuf, ZipArchive<BufReader<File>>>,
}

impl Reader<'_> {
    fn run(&mut self, job: &Job) {
        let place = |members_under: &str, modified| Place {
            path: job.shown().to_owned(),
            members_under: members_under.to_owned(),
            modified,
            depth: 0,
        };
        match job {
            Job::Skipped { shown, why, bytes } => {
                self.report(shown, *bytes, Some(why.clone()), Vec::new());
            }
            Job::Stdin { members_under } => {
                let mut packed = Packed { inner: io::stdin().lock(), progress: self.progress };
                self.stream(&place(members_under, None), &mut packed);
            }
            Job::File { path, members_under, .. } => match File::open(path) {
                Ok(file) => {
                    let modified = file.metadata().ok().and_then(|meta| seconds(meta.modified().ok()?));
                    let mut packed = Packed { inner: file, progress: self.progress };
                    self.stream(&place(members_under, modified), &mut packed);
                }
                Err(error) => self.unreadable(job.shown(), &error),
            },
            Job::ZipMember { path, shown, index } => self.zip_member(path, shown, *index),
        }
    }

    fn zip_member(&mut self, path: &Path, shown: &str, index: usize) {
        // Taken out while in use: reading a member borrows the archive, and the reader itself.
        let opened = match self.zips.remove(path) {
            Some(archive) => Ok(archive),
            None => File::open(path)
                .and_then(|file| ZipArchive::new(BufReader::new(file)).map_err(io::Error::other)),
        };
        match opened {
            Ok(mut archive) => {
                self.member_of_zip(&mut archive, index, shown.to_owned(), 1, true);
                // Jobs come in order: the archive before this one is done.
                self.zips.clear();
                self.zips.insert(path.to_owned(), archive);
            }
            Err(error) => self.unreadable(shown, &error),
        }
    }

    fn member_of_zip<R: Read + io::Seek>(
        &mut self,
        archive: &mut ZipArchive<R>,
        index: usize,
        path: String,
        depth: u8,
        on_disk: bool,
    ) {
        match archive.by_index(index) {
            Ok(mut member) => {
                if on_disk {
                    self.progress.packed.fetch_add(member.compressed_size(), Ordering::Relaxed);
                }
                if member.is_symlink() {
                    self.report(&path, 0, Some("link, not followed".to_owned()), Vec::new());
                    return;
                }
                let packed = member.compressed_size();
                let place = Place { members_under: path.clone(), path, modified: None, depth };
                let mut bounded = Ratio::new(&mut member, self.limits, Expansion::Known(packed));
                self.stream(&place, &mut bounded);
            }
            Err(zip::result::ZipError::UnsupportedArchive(why)) => {
                let why = if why == zip::result::ZipError::PASSWORD_REQUIRED {
                    "encrypted: ask for it without a password, or unpack it first".to_owned()
                } else {
                    format!("can't be unpacked: {why}")
                };
                self.report(&path, 0, None, vec![why]);
            }
            Err(error) => self.report(&path, 0, None, vec![format!("can't be unpacked: {error}")]),
        }
    }

    /// Reads one stream to its end: a text, or a container and all that lies in it.
    fn stream(&mut self, place: &Place, source: &mut dyn Read) {
        let mut filling = Filling::new(source, self.pool.take());
        filling.fill(self.limits, self.progress);
        match archive::detect(filling.buffer.filled()) {
            Some(container) if place.depth >= self.limits.depth => {
                let why = format!(
                    "archive nested deeper than {} levels, not opened ({container:?}); raise --max-depth",
                    self.limits.depth
                );
                self.report(&place.path, 0, None, vec![why]);
            }
            Some(Container::Unsupported(kind)) => {
                let why = format!("{kind} archives are not read by this version; unpack it first");
                self.report(&place.path, filling.total, None, vec![why]);
            }
            Some(Container::Gzip) => self.gzip(place, filling),
            Some(Container::Tar) => self.tar(place, filling),
            Some(Container::Zip) => self.zip(place, filling),
            None => match decode::detect(filling.buffer.filled()) {
                (Some(encoding), _) => {
                    let mut decoded = decode::Decoding::new(filling.into_read(), encoding);
                    let mut filling = Filling::new(&mut decoded, self.pool.take());
                    filling.fill(self.limits, self.progress);
                    self.text(place, filling);
                }
                (None, mark) => {
                    filling.buffer.drain(mark);
                    self.text(place, filling);
                }
            },
        }
    }

    fn gzip(&mut self, place: &Place, filling: Filling<'_>) {
        let packed = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: filling.into_read(), count: Arc::clone(&packed) };
        let mut inflated = MultiGzDecoder::new(BufReader::with_capacity(128 << 10, counted));
        let mut bounded = Ratio::new(&mut inflated, self.limits, Expansion::Counted(packed));
        let inner = Place {
            path: place.path.clone(),
            members_under: place.members_under.clone(),
            modified: place.modified,
            depth: place.depth + 1,
        };
        self.stream(&inner, &mut bounded);
    }

    /// Walks a tar by its raw headers: the long-name records are read here, with a bound on their size.
    fn tar(&mut self, place: &Place, filling: Filling<'_>) {
        const NAME_BYTES: u64 = 64 << 10;
        const PAX_BYTES: u64 = 1 << 20;
        let mut archive = tar::Archive::new(filling.into_read());
        let entries = match archive.entries() {
            Ok(entries) => entries.raw(true),
            Err(error) => {
                self.report(&place.path, 0, None, vec![format!("can't be read as tar: {error}")]);
                return;
            }
        };
        let mut names = Names::default();
        let mut long_name: Option<Vec<u8>> = None;
        let mut seen = 0_u64;
        for found in entries {
            let mut entry = match found {
                Ok(entry) => entry,
                Err(error) => {
                    let why = format!("archive damaged or cut after {seen} entries: {error}");
                    self.report(&place.path, 0, None, vec![why]);
                    return;
                }
            };
            let kind = entry.header().entry_type();
            if kind.is_gnu_longname() {
                let mut name = Vec::new();
                let _ = entry.by_ref().take(NAME_BYTES).read_to_end(&mut name);
                name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
                long_name = Some(name);
                continue;
            }
            if kind.is_pax_local_extensions() {
                let mut records = Vec::new();
                let _ = entry.by_ref().take(PAX_BYTES).read_to_end(&mut records);
                let path = tar::PaxExtensions::new(&records)
                    .flatten()
                    .find(|record| record.key_bytes() == b"path")
                    .map(|record| record.value_bytes().to_vec());
                long_name = path.or(long_name);
                continue;
            }
            if kind.is_gnu_longlink() || kind.is_pax_global_extensions() || kind.is_dir() {
                if kind.is_dir() {
                    long_name = None;
                }
                continue;
            }
            let raw = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
            let name = names.unique(String::from_utf8_lossy(&raw).into_owned());
            let path = archive::join(&place.members_under, &name);
            seen += 1;
            if kind.is_symlink() || kind.is_hard_link() {
                let target = entry.link_name_bytes().unwrap_or_default();
                let why = format!("link to {}, not followed", String::from_utf8_lossy(&target));
                self.report(&path, 0, Some(why), Vec::new());
            } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
                let size = entry.header().size().unwrap_or(0);
                let modified = entry.header().mtime().ok().and_then(|time| i64::try_from(time).ok());
                let inner = Place { members_under: path.clone(), path, modified, depth: place.depth + 1 };
                let mut member = Member { inner: &mut entry, left: size };
                self.stream(&inner, &mut member);
                // What nobody wanted to read must still be there.
                if member.left > 0 {
                    let _ = io::copy(&mut member, &mut io::sink());
                }
                if member.left > 0 {
                    let why = format!("the archive ends {} bytes before the end of this entry", member.left);
                    self.report(&inner.path, 0, None, vec![why]);
                }
            } else {
                let why = "device, pipe or other special file, not opened".to_owned();
                self.report(&path, 0, Some(why), Vec::new());
            }
        }
    }

    /// A zip within a stream: its directory is at its end, so it is held whole, within the limit.
    fn zip(&mut self, place: &Place, filling: Filling<'_>) {
        let mut held = Vec::new();
        let limit = self.limits.document_bytes as u64;
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
        match ZipArchive::new(Cursor::new(held.as_slice())) {
            Ok(mut archive) => {
                let mut names = Names::default();
                for index in 0..archive.len() {
                    let name = archive::member_name(&archive, index);
                    if name.ends_with(['/', '\\']) {
                        continue;
                    }
                    let path = archive::join(&place.members_under, &names.unique(name));
                    self.member_of_zip(&mut archive, index, path, place.depth + 1, false);
                }
            }
            Err(error) => {
                let saved = self.zip_without_directory(place, &held);
                problems.push(format!(
                    "zip directory can't be read ({error}): the archive is damaged or cut; \
                     {saved} members were read from the front"
                ));
            }
        }
        if !problems.is_empty() {
            self.report(&place.path, held.len() as u64, None, problems);
        }
    }

    /// Reads what can be read of a cut zip by its local headers.
    fn zip_without_directory(&mut self, place: &Place, held: &[u8]) -> usize {
        let mut cursor = Cursor::new(held);
        let mut names = Names::default();
        let mut read = 0;
        while let Ok(Some(mut member)) = zip::read::read_zipfile_from_stream(&mut cursor) {
            let path = archive::join(&place.members_under, &names.unique(member_label(&member, read)));
            if !member.is_dir() {
                let packed = member.compressed_size();
                let inner =
                    Place { members_under: path.clone(), path, modified: None, depth: place.depth + 1 };
                let mut bounded = Ratio::new(&mut member, self.limits, Expansion::Known(packed));
                self.stream(&inner, &mut bounded);
            }
            read += 1;
        }
        read
    }

    /// Cuts a text into blocks and sends them.
    fn text(&mut self, place: &Place, mut filling: Filling<'_>) {
        let entry = Arc::new(Entry { path: Arc::from(place.path.as_str()), modified: place.modified });
        self.progress.enter(&place.path);
        if self.progress.entries.load(Ordering::Relaxed) > self.limits.entries {
            let why = format!("more than {} entries; raise --max-entries", self.limits.entries);
            self.report(&place.path, 0, None, vec![why]);
            return;
        }
        let head = filling.buffer.filled();
        if head.is_empty() {
            let problems = filling.problem.take().into_iter().collect();
            self.report(&place.path, 0, Some("empty".to_owned()), problems);
            return;
        }
        if let Some(kind) = archive::binary_kind(head) {
            let mut total = filling.total;
            let mut problems: Vec<_> = filling.problem.take().into_iter().collect();
            match io::copy(&mut filling.into_read(), &mut io::sink()) {
                Ok(copied) => total = copied,
                Err(error) => problems.push(format!("stream ends early: {error}")),
            }
            self.report(&place.path, total, Some(kind.to_owned()), problems);
            return;
        }
        let Recognised { format, framer } = self.recogniser.recognise(&entry, head);
        let problems = self.cut(&entry, format, framer, &mut filling);
        self.report(&place.path, filling.total, None, problems);
    }

    fn cut(
        &self,
        entry: &Arc<Entry>,
        format: u16,
        mut framer: Box<dyn Framer>,
        filling: &mut Filling<'_>,
    ) -> Vec<String> {
        let limit = if framer.whole() { self.limits.document_bytes } else { self.limits.line_bytes };
        let mut first_line = 1;
        let mut first = true;
        let mut too_long = 0_u64;
        loop {
            let context = framer.context();
            let mut cut = framer.cut(filling.buffer.filled(), filling.ended);
            let mut cut_short = false;
            if cut == 0 && !filling.ended {
                if filling.buffer.len() < limit {
                    filling.fill(self.limits, self.progress);
                    continue;
                }
                // One record fills the limit: what is there goes, the rest of it is dropped.
                too_long += 1;
                cut_short = true;
                cut = filling.buffer.len();
            }
            let mut rest = self.pool.take();
            rest.extend(filling.buffer.filled().get(cut..).unwrap_or_default());
            let mut full = std::mem::replace(&mut filling.buffer, rest);
            full.truncate(cut);
            let whole = first && filling.ended && filling.buffer.len() == 0;
            if full.len() > 0 {
                let mut block = Block::new(Arc::clone(entry), format, full, Arc::clone(&self.pool));
                block.context = context;
                block.first_line = first_line;
                block.whole = whole;
                block.cut_short = cut_short;
                first_line += block.lines;
                (self.send)(block);
            }
            first = false;
            if cut_short {
                first_line += self.skip_record(framer.as_mut(), filling);
            }
            if filling.ended && filling.buffer.len() == 0 {
                break;
            }
            filling.fill(self.limits, self.progress);
        }
        let mut problems: Vec<_> = filling.problem.take().into_iter().collect();
        if too_long > 0 {
            let what = if framer.whole() { "--max-document" } else { "--max-line" };
            problems.push(format!(
                "{too_long} lines or objects longer than {limit} bytes were cut; raise {what}"
            ));
        }
        problems
    }

    /// Drops bytes up to the next record; gives the newlines dropped.
    fn skip_record(&self, framer: &mut dyn Framer, filling: &mut Filling<'_>) -> u64 {
        let mut lines = 0;
        loop {
            let count = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count() as u64;
            if let Some(at) = framer.resume(filling.buffer.filled()) {
                lines += count(filling.buffer.filled().get(..at).unwrap_or_default());
                filling.buffer.drain(at);
                return lines;
            }
            lines += count(filling.buffer.filled());
            filling.buffer.truncate(0);
            if filling.ended {
                return lines;
            }
            filling.fill(self.limits, self.progress);
        }
    }

    fn unreadable(&mut self, shown: &str, error: &io::Error) {
        self.report(shown, 0, None, vec![format!("can't be read: {error}")]);
    }

    fn report(&mut self, path: &str, bytes: u64, not_text: Option<String>, problems: Vec<String>) {
        self.reports.push(EntryReport { path: Arc::from(path), bytes, not_text, problems });
    }
}

/// A stream being read into a buffer, with what went wrong on the way.
struct Filling<'a> {
    source: &'a mut dyn Read,
    buffer: Buffer,
    /// Bytes read so far.
    total: u64,
    ended: bool,
    problem: Option<String>,
}

impl<'a> Filling<'a> {
    fn new(source: &'a mut dyn Read, buffer: Buffer) -> Self {
        Self { source, buffer, total: 0, ended: false, problem: None }
    }

    /// Reads until the buffer is a full block larger, or the stream ends. An error ends it: what came
    /// before stays.
    fn fill(&mut self, limits: &Limits, progress: &Progress) {
        let goal = (self.buffer.len() / BLOCK_BYTES + 1) * BLOCK_BYTES;
        while !self.ended && self.buffer.len() < goal {
            let left = limits.total_bytes.saturating_sub(progress.unpacked.load(Ordering::Relaxed));
            let room = self.buffer.spare();
            let room_len = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if room_len == 0 {
                self.stop(format!(
                    "more than {} bytes in all, the rest is not read; raise --max-bytes",
                    limits.total_bytes
                ));
                break;
            }
            match self.source.read(room.get_mut(..room_len).unwrap_or_default()) {
                Ok(0) => self.ended = true,
                Ok(read) => {
                    self.buffer.advance(read);
                    self.total += read as u64;
                    progress.unpacked.fetch_add(read as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let total = self.total;
                    self.stop(format!("ends early, after {total} bytes: {error}"));
                }
            }
        }
    }

    fn stop(&mut self, why: String) {
        self.ended = true;
        self.problem = Some(why);
    }

    /// The stream from its start: what is in the buffer, then the rest.
    fn into_read(self) -> Resumed<'a> {
        Resumed { buffer: self.buffer, given: 0, source: self.source, ended: self.ended }
    }
}

/// A stream that was looked into, from its start.
struct Resumed<'a> {
    buffer: Buffer,
    given: usize,
    source: &'a mut dyn Read,
    ended: bool,
}

impl Read for Resumed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = self.buffer.filled().get(self.given..).unwrap_or_default();
        if rest.is_empty() {
            return if self.ended { Ok(0) } else { self.source.read(out) };
        }
        let count = io::Read::read(&mut { rest }, out)?;
        self.given += count;
        Ok(count)
    }
}

/// Counts what is taken from disk.
struct Packed<'a, R> {
    inner: R,
    progress: &'a Progress,
}

impl<R: Read> Read for Packed<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.progress.packed.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A tar member, with what is still to come of it.
struct Member<'a, R> {
    inner: &'a mut R,
    left: u64,
}

impl<R: Read> Read for Member<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

enum Expansion {
    Known(u64),
    Counted(Arc<AtomicU64>),
}

/// Stops a stream that expands beyond all reason.
struct Ratio<'a, R> {
    inner: &'a mut R,
    packed: Expansion,
    given: u64,
    most: u64,
}

impl<'a, R> Ratio<'a, R> {
    fn new(inner: &'a mut R, limits: &Limits, packed: Expansion) -> Self {
        Self { inner, packed, given: 0, most: limits.ratio }
    }
}

impl<R: Read> Read for Ratio<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given > Limits::RATIO_FLOOR {
            let packed = match &self.packed {
                Expansion::Known(bytes) => *bytes,
                Expansion::Counted(bytes) => bytes.load(Ordering::Relaxed),
            };
            if self.given > packed.saturating_mul(self.most) {
                return Err(io::Error::other(format!(
                    "expands more than {} times, which looks like a zip bomb; raise --max-ratio",
                    self.most
                )));
            }
        }
        let read = self.inner.read(out)?;
        self.given += read as u64;
        Ok(read)
    }
}

fn member_label<R: Read>(member: &zip::read::ZipFile<'_, R>, index: usize) -> String {
    member
        .name()
        .map_or_else(|_| format!("member {index} (its name can't be read)"), std::borrow::Cow::into_owned)
}

fn seconds(time: std::time::SystemTime) -> Option<i64> {
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
