//! Blocks of text on their way from the readers to the workers, and the memory they may take.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use memmap2::MmapMut;

/// Bytes of a block: large enough that the cost per block is nothing, small enough to stay in cache.
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// One file of the bundle, wherever it lay.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path with `!` between an archive and what lies in it.
    pub path: Arc<str>,
    /// Modification time from the archive or the file system, in seconds since 1970. It is the time of
    /// the copy as often as that of the file: never an event time.
    pub modified: Option<i64>,
}

impl Entry {
    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit(['/', '!']).next().unwrap_or(&self.path)
    }
}

/// A piece of an entry that ends at a record boundary.
pub struct Block {
    /// Which entry.
    pub entry: Arc<Entry>,
    /// Which format recognised it: what [`super::Recogniser`] said.
    pub format: u16,
    /// What a reader of this block must know of the text before it: a CSV header, the head of a list.
    pub context: Option<Arc<[u8]>>,
    /// Line of the first byte, from 1.
    pub first_line: u64,
    /// Bytes of the entry before this block.
    pub offset: u64,
    /// Newlines in the block.
    pub lines: u64,
    /// The entry is one block: this one.
    pub whole: bool,
    /// The last record was longer than [`super::Limits::line_bytes`] and ends at the cut.
    pub cut_short: bool,
    buffer: Buffer,
    pool: Arc<BufferPool>,
}

impl Block {
    /// The text.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.filled()
    }

    pub(super) fn new(entry: Arc<Entry>, format: u16, buffer: Buffer, pool: Arc<BufferPool>) -> Self {
        // A bundle of many small files has many small blocks: they wait for their workers in what they need.
        let buffer = if buffer.len() <= SMALL && buffer.bytes.len() >= BLOCK_BYTES {
            Buffer { bytes: Memory::Plain(buffer.filled().to_vec()), filled: buffer.len(), pool: None }
        } else {
            buffer
        };
        let lines = memchr::memchr_iter(b'\n', buffer.filled()).count() as u64;
        pool.take_permit(weight(&buffer));
        Self {
            entry,
            format,
            context: None,
            first_line: 1,
            offset: 0,
            lines,
            whole: false,
            cut_short: false,
            buffer,
            pool,
        }
    }
}

/// What a block takes, in bytes: itself and what it is of, besides its text.
fn weight(buffer: &Buffer) -> usize {
    buffer.bytes.len() + 4096
}

impl Drop for Block {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        self.pool.give_permit_back(weight(&buffer));
    }
}

/// Memory that goes back to the system as soon as it is given up: what blocks took shall be there for what was read of
/// them, and an allocator may keep it.
enum Memory {
    Mapped(MmapMut),
    /// Nothing, or what the allocator gave where the system maps no memory.
    Plain(Vec<u8>),
}

impl Memory {
    /// So many zeros.
    fn zeros(length: usize) -> Self {
        MmapMut::map_anon(length).map_or_else(|_| Self::Plain(vec![0; length]), Self::Mapped)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::Plain(Vec::new())
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(memory) => memory,
            Self::Plain(memory) => memory,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Mapped(memory) => memory,
            Self::Plain(memory) => memory,
        }
    }
}

/// Initialised memory with a fill mark, so that reused buffers need no clearing.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Memory,
    filled: usize,
    /// Where its memory goes when it is dropped.
    pool: Option<Arc<BufferPool>>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.keep(std::mem::take(&mut self.bytes));
        }
    }
}

impl Buffer {
    pub(super) fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.filled
    }

    /// Room for more, growing by a block when full.
    pub(super) fn spare(&mut self) -> &mut [u8] {
        if self.filled == self.bytes.len() {
            // By half, so that a document of many blocks is not copied for each of them.
            let blocks = self.filled / BLOCK_BYTES;
            let mut larger = Memory::zeros((blocks + 1 + blocks / 2) * BLOCK_BYTES);
            if let Some(same) = larger.get_mut(..self.filled) {
                same.copy_from_slice(&self.bytes);
            }
            self.bytes = larger;
        }
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    pub(super) fn advance(&mut self, read: usize) {
        self.filled = (self.filled + read).min(self.bytes.len());
    }

    pub(super) fn extend(&mut self, more: &[u8]) {
        let mut rest = more;
        while !rest.is_empty() {
            let spare = self.spare();
            let n = spare.len().min(rest.len());
            let (now, later) = rest.split_at(n);
            if let Some(target) = spare.get_mut(..n) {
                target.copy_from_slice(now);
            }
            self.advance(n);
            rest = later;
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.filled = self.filled.min(len);
    }

    /// Drops the first bytes.
    pub(super) fn drain(&mut self, count: usize) {
        let count = count.min(self.filled);
        self.bytes.copy_within(count..self.filled, 0);
        self.filled -= count;
    }
}

/// Reused buffers, and a bound on the bytes under way: readers wait while the workers are behind.
pub(super) struct BufferPool {
    state: Mutex<PoolState>,
    freed: Condvar,
    budget: usize,
}

#[derive(Default)]
struct PoolState {
    free: Vec<Memory>,
    in_flight: usize,
    /// Threads that hold a nested zip.
    holding: usize,
}

/// Blocks up to this length are copied, in bytes.
const SMALL: usize = BLOCK_BYTES / 16;

/// Most buffers kept for the next blocks.
const SPARE: usize = 16;

/// Most nested zips held at a time, whatever the number of threads.
const HOLDS: usize = 2;

/// The right to hold a nested zip; given back when dropped.
pub(super) struct Hold(Arc<BufferPool>);

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.holding = state.holding.saturating_sub(1);
        drop(state);
        self.0.freed.notify_all();
    }
}

impl BufferPool {
    pub(super) fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), freed: Condvar::new(), budget })
    }

    pub(super) fn take(self: &Arc<Self>) -> Buffer {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = state.free.pop();
        drop(state);
        let bytes = bytes.unwrap_or_else(|| Memory::zeros(BLOCK_BYTES));
        Buffer { bytes, filled: 0, pool: Some(Arc::clone(self)) }
    }

    /// Keeps memory for the next block. What waited while objects were read is not needed again, nor is room for a long
    /// record.
    fn keep(&self, bytes: Memory) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.free.len() < SPARE && bytes.len() == BLOCK_BYTES {
            state.free.push(bytes);
        }
    }

    /// Waits until fewer than [`HOLDS`] nested zips are held.
    pub(super) fn hold(self: Arc<Self>) -> Hold {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.holding >= HOLDS {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.holding += 1;
        drop(state);
        Hold(self)
    }

    /// Waits until the bytes under way leave room; one block always may go, however large.
    fn take_permit(&self, bytes: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.in_flight > 0 && state.in_flight + bytes > self.budget {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.in_flight += bytes;
    }

    fn give_permit_back(&self, bytes: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_flight = state.in_flight.saturating_sub(bytes);
        drop(state);
        self.freed.notify_all();
    }
}
