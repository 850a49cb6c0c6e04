//! Streams on their way in: filled into buffers, resumed, counted, and stopped when they grow beyond reason.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::block::{BLOCK_BYTES, Buffer};
use super::limits::{Allowance, Limits};
use super::progress::Progress;

/// A stream being read into a buffer, with what went wrong on the way.
pub(super) struct Filling<'a> {
    pub(super) source: &'a mut dyn Read,
    pub(super) buffer: Buffer,
    /// Bytes read so far.
    pub(super) total: u64,
    pub(super) ended: bool,
    pub(super) problem: Option<String>,
}

impl<'a> Filling<'a> {
    pub(super) fn new(source: &'a mut dyn Read, buffer: Buffer) -> Self {
        Self { source, buffer, total: 0, ended: false, problem: None }
    }

    /// Reads until the buffer is a full block larger, or the stream ends. An error ends it: what came
    /// before stays.
    pub(super) fn fill(&mut self, allowance: Allowance, progress: &Progress) {
        let goal = (self.buffer.len() / BLOCK_BYTES + 1) * BLOCK_BYTES;
        while !self.ended && self.buffer.len() < goal {
            let left = allowance.bytes.saturating_sub(progress.unpacked.load(Ordering::Relaxed));
            let room = self.buffer.spare();
            let room_len = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if room_len == 0 {
                progress.limited.store(true, Ordering::Relaxed);
                self.stop(allowance.too_many_bytes());
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
                    let stated = error.get_ref().and_then(|inner| inner.downcast_ref::<ReportedError>());
                    let total = self.total;
                    let why = stated.map_or_else(
                        || format!("ends early, after {total} bytes: {error}"),
                        |given| given.0.clone(),
                    );
                    self.stop(why);
                }
            }
        }
    }

    pub(super) fn stop(&mut self, why: String) {
        self.ended = true;
        self.problem = Some(why);
    }

    /// Reads on to the end without keeping anything.
    pub(super) fn pass(&mut self, allowance: Allowance, progress: &Progress) {
        while !self.ended {
            self.buffer.truncate(0);
            self.fill(allowance, progress);
        }
        self.buffer.truncate(0);
    }

    /// The stream from its start: what is in the buffer, then the rest, then what went wrong.
    pub(super) fn into_read(self) -> Resumed<'a> {
        Resumed {
            buffer: self.buffer,
            given: 0,
            source: self.source,
            ended: self.ended,
            problem: self.problem,
        }
    }
}

/// A stream that was looked into, from its start.
pub(super) struct Resumed<'a> {
    buffer: Buffer,
    given: usize,
    source: &'a mut dyn Read,
    ended: bool,
    problem: Option<String>,
}

/// An error that is already a sentence of the report.
#[derive(Debug)]
struct ReportedError(String);

impl std::fmt::Display for ReportedError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for ReportedError {}

impl Read for Resumed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = self.buffer.filled().get(self.given..).unwrap_or_default();
        if rest.is_empty() {
            return match self.problem.take() {
                Some(problem) => Err(io::Error::other(ReportedError(problem))),
                None if self.ended => Ok(0),
                None => self.source.read(out),
            };
        }
        let count = io::Read::read(&mut { rest }, out)?;
        self.given += count;
        Ok(count)
    }
}

/// Counts what is taken from disk.
pub(super) struct Packed<'a, R> {
    pub(super) inner: R,
    pub(super) progress: &'a Progress,
}

impl<R: Read> Read for Packed<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.progress.packed.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A pipe, opened so that nobody waits for a writer: what has one is waited for.
pub(super) struct Patient<R>(pub(super) R);

impl<R: Read> Read for Patient<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(out) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(WAIT),
                read => return read,
            }
        }
    }
}

/// How long to wait before a pipe is asked again.
const WAIT: Duration = Duration::from_millis(5);

pub(super) struct CountingReader<R> {
    pub(super) inner: R,
    pub(super) count: Arc<AtomicU64>,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A tar member, with what is still to come of it.
pub(super) struct Member<'a> {
    pub(super) inner: &'a mut dyn Read,
    pub(super) left: u64,
}

impl Read for Member<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        // Some decoders take a read of no bytes for the end of what they decode.
        if most == 0 {
            return Ok(0);
        }
        let read = self.inner.read(out.get_mut(..most).unwrap_or_default())?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

pub(super) enum Expansion {
    Known(u64),
    Counted(Arc<AtomicU64>),
}

/// Stops a stream that expands beyond all reason, once the bundle has no more of it left.
pub(super) struct Ratio<'a, R> {
    inner: &'a mut R,
    packed: Expansion,
    progress: &'a Progress,
    given: u64,
    /// Of these, bytes that count among what is forgiven.
    forgiven: u64,
    most: u64,
}

impl<'a, R> Ratio<'a, R> {
    pub(super) fn new(inner: &'a mut R, limits: &Limits, progress: &'a Progress, packed: Expansion) -> Self {
        Self { inner, packed, progress, given: 0, forgiven: 0, most: limits.ratio }
    }
}

impl<R: Read> Read for Ratio<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let packed = match &self.packed {
            Expansion::Known(bytes) => *bytes,
            Expansion::Counted(bytes) => bytes.load(Ordering::Relaxed),
        };
        if self.given > packed.saturating_mul(self.most) {
            let more = self.given - self.forgiven;
            self.forgiven = self.given;
            if self.progress.forgiven.fetch_add(more, Ordering::Relaxed) + more > Limits::FORGIVEN {
                self.progress.limited.store(true, Ordering::Relaxed);
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
