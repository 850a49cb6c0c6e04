//! Where a growing buffer may be cut without tearing a record.

use std::sync::Arc;

/// Finds record boundaries in an entry as it is read. One framer lives as long as its entry.
pub trait Framer: Send {
    /// The largest number of bytes at the start of `buffer` that form whole records, 0 when none do yet.
    /// `buffer` starts at the last cut and grows between calls; `at_end` means that no more will come.
    fn cut(&mut self, buffer: &[u8], at_end: bool) -> usize;

    /// The first boundary, used to find the next record after one that was too long to keep.
    fn resume(&mut self, buffer: &[u8]) -> Option<usize>;

    /// What the record after the last cut needs from the text before it.
    fn context(&self) -> Option<Arc<[u8]>> {
        None
    }

    /// The document must be held in one piece, up to the document limit instead of the line limit.
    fn whole(&self) -> bool {
        false
    }
}

/// One record a line.
#[derive(Debug, Default)]
pub struct Lines;

impl Framer for Lines {
    fn cut(&mut self, buffer: &[u8], at_end: bool) -> usize {
        if at_end { buffer.len() } else { memchr::memrchr(b'\n', buffer).map_or(0, |at| at + 1) }
    }

    fn resume(&mut self, buffer: &[u8]) -> Option<usize> {
        memchr::memchr(b'\n', buffer).map(|at| at + 1)
    }
}

/// The entry is one record.
#[derive(Debug, Default)]
pub struct Whole;

impl Framer for Whole {
    fn cut(&mut self, buffer: &[u8], at_end: bool) -> usize {
        if at_end { buffer.len() } else { 0 }
    }

    fn resume(&mut self, _buffer: &[u8]) -> Option<usize> {
        None
    }

    fn whole(&self) -> bool {
        true
    }
}
