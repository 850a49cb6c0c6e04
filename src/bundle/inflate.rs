//! Deflated members of zips, inflated with state that is used again: an archive of very many small members would otherwise
//! take and give back so much memory for each that the allocator is left with pieces.

use std::io::{self, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// Bytes of packed input at a time.
const INPUT: usize = 16 << 10;

/// State of an inflation, to be used again.
pub(super) struct Inflater {
    state: Decompress,
    input: Box<[u8]>,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self { state: Decompress::new(false), input: vec![0; INPUT].into() }
    }
}

/// A deflated stream, and whether what came out of it is what went in.
pub(super) struct Inflated<'a> {
    source: &'a mut dyn Read,
    inflater: &'a mut Inflater,
    /// Bytes of the input that are used, and that are there.
    used: usize,
    filled: usize,
    sum: Crc,
    /// The checksum that the archive's directory gives.
    wanted: u32,
    ended: bool,
}

impl<'a> Inflated<'a> {
    pub(super) fn new(source: &'a mut dyn Read, inflater: &'a mut Inflater, wanted: u32) -> Self {
        inflater.state.reset(false);
        Self { source, inflater, used: 0, filled: 0, sum: Crc::new(), wanted, ended: false }
    }
}

impl Read for Inflated<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !out.is_empty() {
            if self.used == self.filled {
                self.filled = self.source.read(&mut self.inflater.input)?;
                self.used = 0;
            }
            let Inflater { state, input } = &mut *self.inflater;
            let rest = input.get(self.used..self.filled).unwrap_or_default();
            let (read, given) = (state.total_in(), state.total_out());
            let status = state.decompress(rest, out, FlushDecompress::None)?;
            let given = (state.total_out() - given) as usize;
            self.used += (state.total_in() - read) as usize;
            self.sum.update(out.get(..given).unwrap_or_default());
            self.ended = status == Status::StreamEnd;
            if given > 0 {
                return Ok(given);
            }
            if self.filled == 0 && !self.ended {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the packed data ends early"));
            }
        }
        if self.ended && self.sum.sum() != self.wanted {
            // It is said once, after all that came out.
            self.wanted = self.sum.sum();
            return Err(io::Error::new(io::ErrorKind::InvalidData, "Invalid checksum"));
        }
        Ok(0)
    }
}
