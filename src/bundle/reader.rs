//! The reader threads: inflate, walk archives, decode, cut, send.

use std::collections::{BTreeSet, HashMap};
use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use zip::ZipArchive;

use super::ahead::Ahead;
use super::archive::{self, Container};
use super::block::{BLOCK_BYTES, Block, Buffer, BufferPool, Entry};
use super::decode;
use super::frame::Framer;
use super::input::{self, Input, Job, OpenError, open_file};
use super::limits::{Allowance, Limits};
use super::progress::Progress;
use super::stream::{Filling, Packed, Patient};
use super::stream_reader::{EntryReport, LinkTarget, Recognised, Recogniser, StreamPlace, StreamReader};

/// Bytes under way between readers and workers.
///
/// Objects and tables take longer to read than to inflate, logs the other way round: what waits here while the first are
/// worked on keeps the workers busy while the second come in.
const IN_FLIGHT_BYTES: usize = 40 << 20;

/// Says of each link whether what it points to was read.
fn settle_links(reports: &mut [EntryReport]) {
    let read: BTreeSet<Arc<str>> = reports
        .iter()
        .filter(|report| report.link.is_none())
        .map(|report| Arc::clone(&report.path))
        .collect();
    for report in reports {
        let Some(link) = report.link.take() else { continue };
        let where_to = match link {
            LinkTarget::Outside => "leads out of the bundle, not followed",
            LinkTarget::Within(target) if read.contains(&target) => "read there",
            LinkTarget::Within(target) => {
                let folder: Arc<str> = Arc::from(format!("{target}/"));
                let next = read.range(folder.clone()..).next();
                let is_folder = next.is_some_and(|path| path.starts_with(&*folder));
                if is_folder { "a folder, read there" } else { "not in the bundle" }
            }
        };
        report.not_text = report.not_text.take().map(|given| format!("{given}: {where_to}"));
    }
}

/// What is to be read: the inputs, found and listed.
pub struct Inputs {
    jobs: Vec<Job>,
    /// Bytes on disk of all inputs, 0 for the standard input.
    pub packed_bytes: u64,
}

/// Finds the inputs. Fails when one of them can't be opened at all.
pub fn open(inputs: &[Input], limits: &Limits) -> Result<Inputs, OpenError> {
    let (jobs, packed_bytes) = input::jobs(inputs, limits.entries)?;
    Ok(Inputs { jobs, packed_bytes })
}

impl Inputs {
    /// Whether all of it can be read once more.
    pub fn is_repeatable(&self) -> bool {
        !self.jobs.iter().any(|job| matches!(job, Job::Stdin { .. }))
    }

    /// Reads everything on `threads` reader threads, hands the blocks to `send`, and reports on every
    /// entry in the order of paths.
    ///
    /// Folders and zip members are read in parallel; a tar is one stream, read by one thread.
    ///
    /// Where a limit bites depends on the threads: then what was read is to be thrown away, and read again by one.
    pub fn read(
        &self,
        limits: &Limits,
        recogniser: &dyn Recogniser,
        threads: usize,
        progress: &Progress,
        send: &(dyn Fn(Block) + Sync),
    ) -> Vec<EntryReport> {
        let next = AtomicUsize::new(0);
        let pool = BufferPool::new(IN_FLIGHT_BYTES + threads * 4 * BLOCK_BYTES);
        let reports = Mutex::new(Vec::new());
        let readers = threads.clamp(1, self.jobs.len().max(1));
        let cut = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..readers {
                scope.spawn(|| {
                    let mut reader = StreamReader {
                        limits,
                        recogniser,
                        progress,
                        send,
                        pool: Arc::clone(&pool),
                        reports: Vec::new(),
                        zips: HashMap::new(),
                        inflaters: Vec::new(),
                        held: 0,
                        allowance: Allowance::of(limits),
                        beside_others: self.jobs.len() > 1,
                        tentative: readers > 1 && self.is_repeatable(),
                    };
                    while let Some(job) = self.jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if reader.is_over() {
                            // One line says it; a million of them would be the cost that the limit is to prevent.
                            cut.store(true, Ordering::Relaxed);
                            break;
                        }
                        reader.allowance = Allowance::of(limits);
                        // What brings the reader down costs that input, and is said.
                        if catch_unwind(AssertUnwindSafe(|| reader.run(job))).is_err() {
                            let why =
                                "could not be read to its end: this is a fault of kubetriage".to_owned();
                            reader.report(job.label(), 0, None, vec![why]);
                        }
                    }
                    reports.lock().unwrap_or_else(PoisonError::into_inner).append(&mut reader.reports);
                });
            }
        });
        let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
        let allowance = Allowance::of(limits);
        let too_many = progress.entries.load(Ordering::Relaxed) > limits.entries
            || progress.names.load(Ordering::Relaxed) > Limits::NAMES;
        if cut.into_inner() || (too_many && self.jobs.len() > 1) {
            let bytes = progress.unpacked.load(Ordering::Relaxed) >= allowance.bytes;
            let why = if bytes { allowance.too_many_bytes() } else { allowance.too_many_entries(progress) };
            reports.push(EntryReport::failed("(the rest)", why));
        }
        // Two entries may have one path; which thread came first is not to be seen.
        reports.sort_by(|a, b| {
            (&a.path, a.bytes, &a.not_text, &a.problems).cmp(&(&b.path, b.bytes, &b.not_text, &b.problems))
        });
        settle_links(&mut reports);
        reports
    }
}

impl StreamReader<'_> {
    fn run(&mut self, job: &Job) {
        let place = |members_under: &str, modified| StreamPlace {
            path: job.label().to_owned(),
            members_under: members_under.to_owned(),
            modified,
            depth: 0,
            beside_others: self.beside_others,
        };
        match job {
            Job::Link { entry_name, members_under, target } => {
                let name = entry_name
                    .strip_prefix(members_under.as_str())
                    .unwrap_or(entry_name)
                    .trim_start_matches('/');
                if !self.enter(entry_name) {
                    return;
                }
                let within = archive::resolve(name, target).filter(|_| !target.starts_with('/'));
                let within = within.map(|inner| match members_under.as_str() {
                    "" => inner,
                    label => format!("{label}/{inner}"),
                });
                self.report_link(entry_name, target, within);
            }
            Job::Skipped { entry_name, why, bytes } => {
                if self.enter(entry_name) {
                    self.report(entry_name, *bytes, Some(why.clone()), Vec::new());
                }
            }
            Job::Stdin { members_under } => {
                let mut packed = Packed { inner: io::stdin().lock(), progress: self.progress };
                self.stream(&place(members_under, None), &mut packed);
            }
            Job::Front { path, members_under, bytes, .. } => match open_file(path) {
                Ok(file) => {
                    let mut packed = Packed { inner: file.take(*bytes), progress: self.progress };
                    self.stream(&place(members_under, None), &mut packed);
                }
                Err(error) => self.unreadable(job.label(), &error),
            },
            Job::Overlapping { entry_name } => self.overlapping(entry_name),
            Job::File { path, members_under, .. } => match open_file(path) {
                Ok(file) => {
                    let meta = file.metadata().ok();
                    let modified = meta.as_ref().and_then(|meta| seconds(meta.modified().ok()?));
                    let place = place(members_under, modified);
                    let ahead = if is_long_archive(&file) { Ahead::of(file) } else { Err(file) };
                    let progress = self.progress;
                    match ahead {
                        Ok(ahead) => self.stream(&place, &mut Packed { inner: ahead, progress }),
                        Err(file) => {
                            // What is written to a file while it is read would be followed without an end.
                            let length = meta.filter(Metadata::is_file).map_or(u64::MAX, |meta| meta.len());
                            let inner = Patient(file).take(length);
                            self.stream(&place, &mut Packed { inner, progress });
                        }
                    }
                }
                Err(error) => self.unreadable(job.label(), &error),
            },
            Job::CutZip { path, entry_name, members_under } => self.cut_zip(path, entry_name, members_under),
            Job::ZipMember { path, entry_name, index, members_under } => {
                self.zip_member(path, entry_name, members_under, *index);
            }
        }
    }

    /// A zip on disk whose directory can't be read: its members from the front, as a stream.
    fn cut_zip(&mut self, path: &Path, entry_name: &str, members_under: &str) {
        let place = StreamPlace {
            path: entry_name.to_owned(),
            members_under: members_under.to_owned(),
            modified: None,
            depth: 0,
            beside_others: false,
        };
        match File::open(path) {
            Ok(file) => {
                let mut packed = Packed { inner: BufReader::new(file), progress: self.progress };
                let saved = self.zip_without_directory(&place, &mut packed);
                let why = format!(
                    "zip directory can't be read, or is too long: the archive is damaged, cut, or has too many members; \
                     {saved} members were read from the front"
                );
                self.report(entry_name, 0, None, vec![why]);
            }
            Err(error) => self.unreadable(entry_name, &error),
        }
    }

    fn zip_member(&mut self, path: &Path, entry_name: &str, members_under: &str, index: usize) {
        // Taken out while in use: reading a member borrows the archive, and the reader itself.
        let opened = match self.zips.remove(path) {
            Some(archive) => Ok(archive),
            None => File::open(path)
                .and_then(|file| ZipArchive::new(BufReader::new(file)).map_err(io::Error::other)),
        };
        match opened {
            Ok(mut archive) => {
                let within = StreamPlace {
                    path: members_under.to_owned(),
                    members_under: members_under.to_owned(),
                    modified: None,
                    depth: 0,
                    beside_others: true,
                };
                self.member_of_zip(&mut archive, index, entry_name.to_owned(), &within, true);
                // Jobs come in order: the archive before this one is done.
                self.zips.clear();
                self.zips.insert(path.to_owned(), archive);
            }
            Err(error) => self.unreadable(entry_name, &error),
        }
    }

    /// Reads one stream to its end: a text, or a container and all that lies in it.
    pub(super) fn stream(&mut self, place: &StreamPlace, source: &mut dyn Read) {
        let mut filling = Filling::new(source, self.pool.take());
        filling.fill(self.allowance, self.progress);
        match archive::detect(filling.buffer.filled()) {
            Some(container) if place.depth >= self.limits.depth => {
                let why = format!(
                    "archive nested deeper than {} levels, not opened ({container:?}); raise --max-depth",
                    self.limits.depth
                );
                if self.enter(&place.path) {
                    self.report(&place.path, 0, None, vec![why]);
                }
            }
            Some(Container::Unsupported(kind)) => {
                let why = format!("{kind} archives are not read; unpack it first");
                if self.enter(&place.path) {
                    self.report(&place.path, filling.total, None, vec![why]);
                }
            }
            Some(container) if container.is_compression() => {
                self.compressed(place, container, filling);
            }
            Some(container) => {
                let outer = self.allowance;
                if place.beside_others {
                    if !self.enter(&place.path) {
                        return;
                    }
                    self.allowance = outer.half(self.progress);
                }
                if container == Container::Tar {
                    self.tar(place, filling);
                } else {
                    self.zip(place, filling);
                }
                self.allowance = outer;
            }
            None => self.decoded(place, filling, 0),
        }
    }

    /// Brings a text into UTF-8 without escapes, step by step.
    fn decoded(&mut self, place: &StreamPlace, mut filling: Filling<'_>, steps: u8) {
        let (step, mark) = decode::detect(filling.buffer.filled());
        filling.buffer.drain(mark);
        match step.filter(|_| steps < 2) {
            Some(step) => {
                let mut decoded = step.over(filling.into_read());
                let mut next = Filling::new(&mut decoded, self.pool.take());
                next.fill(self.allowance, self.progress);
                self.decoded(place, next, steps + 1);
            }
            None => self.text(place, filling),
        }
    }

    /// Passes over bytes that nobody reads, within the limits; gives how many there were.
    pub(super) fn skip(&mut self, source: &mut dyn Read, most: u64) -> u64 {
        if most == 0 {
            return 0;
        }
        let mut limited = source.take(most);
        let mut filling = Filling::new(&mut limited, self.pool.take());
        filling.pass(self.allowance, self.progress);
        filling.total
    }

    /// Cuts a text into blocks and sends them.
    fn text(&mut self, place: &StreamPlace, mut filling: Filling<'_>) {
        let entry = Arc::new(Entry { path: Arc::from(place.path.as_str()), modified: place.modified });
        if !self.enter(&place.path) {
            return;
        }
        let head = filling.buffer.filled();
        if head.is_empty() {
            let problems = filling.problem.take().into_iter().collect();
            self.report(&place.path, 0, Some("empty".to_owned()), problems);
            return;
        }
        if let Some(kind) = archive::binary_kind(head) {
            filling.pass(self.allowance, self.progress);
            let problems = filling.problem.take().into_iter().collect();
            self.report(&place.path, filling.total, Some(kind.to_owned()), problems);
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
        let mut offset = 0;
        let mut first = true;
        let mut too_long = 0_u64;
        loop {
            let context = framer.context();
            let mut cut = framer.cut(filling.buffer.filled(), filling.ended);
            let mut cut_short = false;
            if cut == 0 && !filling.ended {
                if filling.buffer.len() < limit {
                    filling.fill(self.allowance, self.progress);
                    continue;
                }
                // One record fills the limit: what is there goes, the rest of it is dropped.
                too_long += 1;
                cut_short = true;
                cut = filling.buffer.len();
            }
            let mut rest = Buffer::default();
            if cut < filling.buffer.len() || !filling.ended {
                rest = self.pool.take();
                rest.extend(filling.buffer.filled().get(cut..).unwrap_or_default());
            }
            let mut full = std::mem::replace(&mut filling.buffer, rest);
            full.truncate(cut);
            let whole = first && filling.ended && filling.buffer.len() == 0;
            if full.len() > 0 {
                let mut block = Block::new(Arc::clone(entry), format, full, Arc::clone(&self.pool));
                block.context = context;
                block.first_line = first_line;
                block.offset = offset;
                block.whole = whole;
                block.cut_short = cut_short;
                first_line += block.lines;
                offset += cut as u64;
                (self.send)(block);
            }
            first = false;
            if cut_short {
                first_line += self.skip_record(framer.as_mut(), filling);
            }
            if filling.ended && filling.buffer.len() == 0 {
                break;
            }
            filling.fill(self.allowance, self.progress);
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
            filling.fill(self.allowance, self.progress);
        }
    }

    /// Counts an entry. `false` when there are too many.
    pub(super) fn enter(&mut self, path: &str) -> bool {
        self.progress.enter(path);
        let over = self.progress.entries.load(Ordering::Relaxed) > self.allowance.entries
            || self.progress.names.load(Ordering::Relaxed) > Limits::NAMES;
        if over {
            self.progress.limited.store(true, Ordering::Relaxed);
        }
        !over
    }

    /// Whether nothing more may be read here.
    pub(super) fn is_over(&self) -> bool {
        let Progress { entries, names, unpacked, .. } = self.progress;
        let over = entries.load(Ordering::Relaxed) > self.allowance.entries
            || names.load(Ordering::Relaxed) > Limits::NAMES
            || unpacked.load(Ordering::Relaxed) >= self.allowance.bytes;
        if over {
            self.progress.limited.store(true, Ordering::Relaxed);
        }
        over || (self.tentative && self.progress.is_limited())
    }

    /// Why nothing more may be read here.
    pub(super) fn too_many(&self) -> String {
        if self.progress.unpacked.load(Ordering::Relaxed) >= self.allowance.bytes {
            self.allowance.too_many_bytes()
        } else {
            self.allowance.too_many_entries(self.progress)
        }
    }

    fn unreadable(&mut self, entry_name: &str, error: &io::Error) {
        self.report(entry_name, 0, None, vec![format!("can't be read: {error}")]);
    }

    pub(super) fn report(&mut self, path: &str, bytes: u64, not_text: Option<String>, problems: Vec<String>) {
        self.reports.push(EntryReport { path: Arc::from(path), bytes, not_text, problems, link: None });
    }

    pub(super) fn report_link(&mut self, path: &str, target: &str, within: Option<String>) {
        let not_text = Some(format!("link to {target}"));
        let link = Some(within.map_or(LinkTarget::Outside, |target| LinkTarget::Within(Arc::from(target))));
        self.reports.push(EntryReport {
            path: Arc::from(path),
            bytes: 0,
            not_text,
            problems: Vec::new(),
            link,
        });
    }
}

/// Whether the inflating of a file takes long enough that its reading is worth a thread.
fn is_long_archive(mut file: &File) -> bool {
    const LONG: u64 = 8 << 20;
    if !file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() >= LONG) {
        return false;
    }
    let mut head = [0; 16];
    let known =
        file.read_exact(&mut head).is_ok() && archive::detect(&head).is_some_and(Container::is_compression);
    file.rewind().is_ok() && known
}

fn seconds(time: std::time::SystemTime) -> Option<i64> {
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
