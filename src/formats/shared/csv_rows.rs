//! Where the rows of CSV end: a quoted cell may hold line breaks.

use std::sync::Arc;

use crate::bundle::Framer;
use crate::bytes::blocks::{BLOCK, Lanes, parity};

/// Finds the ends of rows in a text that grows, and cuts blocks after them; the header goes with every block.
///
/// A quote opens a cell where a cell begins, or right behind the one that closed it, which makes a doubled quote.
/// Elsewhere it is a letter like any other. A carriage return alone ends a row as well, as for the reader of the rows;
/// none is cut there, so that a line is never torn.
#[derive(Debug)]
pub(in crate::formats) struct CsvRows {
    delimiter: u8,
    /// Bytes of the text that were looked at.
    scanned: usize,
    /// What the byte before that was.
    before: Before,
    /// Ends of rows that were found and not yet given: bit `n` stands for the byte `n` after `block`.
    ends: u64,
    block: usize,
    header: Option<Arc<[u8]>>,
}

/// What the last byte means for a quote that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// A cell may begin: it was a delimiter, a line break, or nothing.
    CellMayBegin,
    /// It closed a quoted cell.
    Closed,
    /// It stands within a quoted cell.
    InQuotes,
    /// Part of a bare cell.
    Bare,
}

impl CsvRows {
    pub(in crate::formats) fn new(delimiter: u8) -> Self {
        Self { delimiter, scanned: 0, before: Before::CellMayBegin, ends: 0, block: 0, header: None }
    }

    /// The end of the next row, when it is there.
    pub(in crate::formats) fn next(&mut self, text: &[u8]) -> Option<usize> {
        while self.ends == 0 {
            let rest = text.get(self.scanned..).filter(|rest| !rest.is_empty())?;
            let part = rest.get(..BLOCK).unwrap_or(rest);
            self.block = self.scanned;
            self.ends = match part.first_chunk().and_then(|block| self.orderly(block)) {
                Some(ends) => ends,
                None => self.carefully(part),
            };
            self.scanned += part.len();
        }
        let at = self.block + self.ends.trailing_zeros() as usize;
        self.ends &= self.ends - 1;
        Some(at + 1)
    }

    /// The ends of rows in a block in which every quote opens or closes; `None` when some quote is a letter.
    fn orderly(&mut self, bytes: &[u8; BLOCK]) -> Option<u64> {
        let lanes = Lanes::of(bytes);
        let (quotes, breaks) = (lanes.equal(b'"'), lanes.equal(b'\n'));
        let inside = parity(quotes) ^ if self.before == Before::InQuotes { u64::MAX } else { 0 };
        if quotes != 0 {
            let may_begin = quotes | breaks | lanes.equal(b'\r') | lanes.equal(self.delimiter);
            let first = u64::from(matches!(self.before, Before::CellMayBegin | Before::Closed));
            if quotes & inside & !(may_begin << 1 | first) != 0 {
                return None;
            }
        }
        self.before = match bytes.last() {
            _ if inside >> (BLOCK - 1) == 1 => Before::InQuotes,
            Some(b'"') => Before::Closed,
            Some(b'\n' | b'\r') => Before::CellMayBegin,
            Some(byte) if *byte == self.delimiter => Before::CellMayBegin,
            _ => Before::Bare,
        };
        Some(breaks & !inside)
    }

    /// The same for up to a block, byte by byte.
    fn carefully(&mut self, bytes: &[u8]) -> u64 {
        let mut ends = 0;
        for (at, byte) in bytes.iter().enumerate() {
            self.before = match (self.before, *byte) {
                (Before::InQuotes, b'"') => Before::Closed,
                (Before::InQuotes, _) | (Before::CellMayBegin | Before::Closed, b'"') => Before::InQuotes,
                (_, b'\n') => {
                    ends |= 1 << at;
                    Before::CellMayBegin
                }
                (_, byte) if byte == self.delimiter || byte == b'\r' => Before::CellMayBegin,
                _ => Before::Bare,
            };
        }
        ends
    }
}

impl Framer for CsvRows {
    fn cut(&mut self, buffer: &[u8], at_end: bool) -> usize {
        if at_end {
            return buffer.len();
        }
        let mut last = None;
        while let Some(end) = self.next(buffer) {
            last = Some(end);
        }
        let Some(boundary) = last else { return 0 };
        if self.header.is_none() {
            let end = memchr::memchr(b'\n', buffer).unwrap_or(boundary);
            self.header = buffer.get(..end).map(Arc::from);
        }
        self.scanned -= boundary;
        boundary
    }

    fn resume(&mut self, buffer: &[u8]) -> Option<usize> {
        self.scanned = 0;
        let boundary = self.next(buffer)?;
        *self = Self { header: self.header.take(), ..Self::new(self.delimiter) };
        Some(boundary)
    }

    fn context(&self) -> Option<Arc<[u8]>> {
        self.header.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(text: &[u8]) -> Vec<usize> {
        let mut rows = CsvRows::new(b',');
        std::iter::from_fn(|| rows.next(text)).collect()
    }

    proptest::proptest! {
        #[test]
        fn blocks_and_bytes_find_the_same_rows(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "\"", "\"\"", ",", "\n", "\r\n", "\r", "a", "5\" disk", ",\"quoted, \"\"twice\"\"\n and broken\",",
                "a rather long bare cell that reaches from one block into the next, and on",
            ]), 0..60),
        ) {
            let text = parts.concat();
            let mut bytes = CsvRows::new(b',');
            let found = bytes.carefully_all(text.as_bytes());
            proptest::prop_assert_eq!(ends(text.as_bytes()), found);
        }
    }

    impl CsvRows {
        fn carefully_all(&mut self, text: &[u8]) -> Vec<usize> {
            text.iter()
                .enumerate()
                .filter_map(|(at, byte)| (self.carefully(&[*byte]) == 1).then_some(at + 1))
                .collect()
        }
    }

    #[test]
    fn a_cell_with_line_breaks_is_not_torn() {
        let text = b"a,b\n1,\"x\ny \"\"q\"\"\nz\"\n2,w\n";
        let mut framer = CsvRows::new(b',');
        assert_eq!(framer.cut(&text[..12], false), 4);
        assert_eq!(framer.context().as_deref(), Some(&b"a,b"[..]));
        assert_eq!(framer.cut(&text[4..], false), text.len() - 4);
    }

    #[test]
    fn a_stray_quote_within_a_bare_cell_is_a_letter() {
        let text = b"a,b\n1,5\" disk\n2,x\n3,y\n";
        assert_eq!(ends(text), [4, 14, 18, 22]);
        let long = [&b"a,b\n"[..], &b"1,5\" disk\n".repeat(20)].concat();
        assert_eq!(ends(&long).len(), 21);
    }

    #[test]
    fn a_quoted_cell_behind_a_carriage_return_alone_is_not_torn() {
        let text = b"a,b\r\"x\ny\",z\n\"within\r\nand \r alone\",w\n";
        assert_eq!(ends(text), [12, text.len()]);
    }

    #[test]
    fn after_a_row_that_was_too_long_the_next_one_is_whole() {
        let mut framer = CsvRows::new(b',');
        assert_eq!(framer.cut(b"a,\"long", false), 0);
        assert_eq!(framer.resume(b" and long\n still\",b\nc,\"d\ne\",f\ng,h\n"), Some(20));
        let rest = b"c,\"d\ne\",f\ng,h\n";
        assert_eq!(framer.cut(rest, false), rest.len());
    }
}
