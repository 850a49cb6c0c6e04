//! Log Analytics results as CSV (portal "Export to CSV"; re-saved from Excel with `;`) or as the TSV that
//! someone pasted. Quoted cells may hold line breaks, so blocks are cut outside quotes.

use std::sync::Arc;

use super::shared::rows::{DateOrder, Row, Table, column_name};
use super::{Format, Head, Piece};
use crate::bundle::Framer;
use crate::facts::Facts;

pub(super) struct LogAnalyticsCsv;
pub(super) const FORMAT: LogAnalyticsCsv = LogAnalyticsCsv;

impl Format for LogAnalyticsCsv {
    fn name(&self) -> &'static str {
        "log-analytics-csv"
    }

    fn about(&self) -> &'static str {
        "Log Analytics / Container Insights table exported as CSV"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let Some(first) = head.bytes.split(|byte| *byte == b'\n').next() else { return 0 };
        if first.len() > 20_000 || matches!(first.first(), Some(b'{' | b'[')) {
            return 0;
        }
        let delimiter = delimiter(first);
        let columns = header(first, delimiter);
        if columns.len() >= 2 && Table::of(&columns).is_some() { 94 } else { 0 }
    }

    fn framer(&self, head: &Head<'_>) -> Box<dyn Framer> {
        let first = head.bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Box::new(CsvFramer { delimiter: delimiter(first), ..CsvFramer::default() })
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let first = piece.context.unwrap_or(piece.bytes);
        let first = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let delimiter = delimiter(first);
        let columns = header(first, delimiter);
        let Some(table) = Table::of(&columns) else { return 0 };
        let mut reader = rows_of(piece, delimiter);
        let mut record = csv::ByteRecord::new();
        let mut rows = 0;
        let order = date_order(piece, &columns, delimiter);
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let problem = format!("CSV rows that could not be read: {error}");
                    *facts.coverage.entry(piece.source).problems.entry(problem).or_default() += 1;
                    break;
                }
            }
            rows += 1;
            let line = piece.first_line + record.position().map_or(0, |position| position.line().saturating_sub(1));
            let cells: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
            let cell = |name: &str| -> Option<&str> {
                let at = columns.iter().position(|column| column.eq_ignore_ascii_case(name))?;
                cells.get(at).map(AsRef::as_ref)
            };
            let at = piece.offset + record.position().map_or(0, csv::Position::byte);
            Row { table, cell: &cell, source: piece.source, line, at, order }.read(facts);
        }
        rows
    }
}

/// The rows of a piece, without the header.
fn rows_of<'a>(piece: &Piece<'a>, delimiter: u8) -> csv::Reader<&'a [u8]> {
    csv::ReaderBuilder::new()
        .has_headers(piece.context.is_none())
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(piece.bytes)
}

/// Day first or month first, as one clear date of the column decides for all; only looked for when the
/// first date is not clear.
fn date_order(piece: &Piece<'_>, columns: &[String], delimiter: u8) -> Option<DateOrder> {
    let at = columns.iter().position(|column| column == "TimeGenerated")?;
    let mut reader = rows_of(piece, delimiter);
    let mut record = csv::ByteRecord::new();
    let mut first = true;
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        let order = DateOrder::of(&String::from_utf8_lossy(record.get(at).unwrap_or_default()));
        if first && order == DateOrder::Certain {
            return None;
        }
        first = false;
        if matches!(order, DateOrder::DayFirst | DateOrder::MonthFirst) {
            return Some(order);
        }
    }
    None
}

/// The separator that gives the header the most columns.
fn delimiter(header: &[u8]) -> u8 {
    let count = |byte: u8| memchr::memchr_iter(byte, header).count();
    [b',', b';', b'\t'].into_iter().max_by_key(|byte| (count(*byte), *byte == b',')).unwrap_or(b',')
}

fn header(line: &[u8], delimiter: u8) -> Vec<String> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(line);
    let mut record = csv::ByteRecord::new();
    if !reader.read_byte_record(&mut record).unwrap_or(false) {
        return Vec::new();
    }
    record.iter().map(|cell| column_name(&String::from_utf8_lossy(cell))).collect()
}

/// Cuts after a line break that is not within quotes; the header goes with every block.
#[derive(Debug, Default)]
struct CsvFramer {
    delimiter: u8,
    scanned: usize,
    in_quotes: bool,
    /// Where the last quoted cell closed: a quote right after it was a doubled one.
    closed: Option<usize>,
    header: Option<Arc<[u8]>>,
}

impl CsvFramer {
    fn boundary(&mut self, buffer: &[u8], first: bool) -> Option<usize> {
        let mut boundary = None;
        let rest = buffer.get(self.scanned..).unwrap_or_default();
        for found in memchr::memchr2_iter(b'"', b'\n', rest) {
            let at = self.scanned + found;
            if buffer.get(at) == Some(&b'"') {
                let before = at.checked_sub(1).and_then(|at| buffer.get(at)).copied();
                if self.in_quotes {
                    self.in_quotes = false;
                    self.closed = Some(at);
                } else if before.is_none_or(|byte| byte == self.delimiter || byte == b'\n')
                    || self.closed.is_some_and(|closed| closed + 1 == at)
                {
                    // Elsewhere a quote is a letter like any other.
                    self.in_quotes = true;
                }
            } else if !self.in_quotes {
                boundary = Some(at + 1);
                if first {
                    return boundary;
                }
            }
        }
        self.scanned = buffer.len();
        boundary
    }
}

impl Framer for CsvFramer {
    fn cut(&mut self, buffer: &[u8], at_end: bool) -> usize {
        if at_end {
            return buffer.len();
        }
        let Some(boundary) = self.boundary(buffer, false) else { return 0 };
        if self.header.is_none() {
            let end = memchr::memchr(b'\n', buffer).unwrap_or(boundary);
            self.header = buffer.get(..end).map(Arc::from);
        }
        self.scanned -= boundary;
        self.closed = None;
        boundary
    }

    fn resume(&mut self, buffer: &[u8]) -> Option<usize> {
        self.scanned = 0;
        self.closed = None;
        let boundary = self.boundary(buffer, true)?;
        self.scanned = 0;
        Some(boundary)
    }

    fn context(&self) -> Option<Arc<[u8]>> {
        self.header.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_with_line_breaks_is_not_torn() {
        let text = b"a,b\n1,\"x\ny \"\"q\"\"\nz\"\n2,w\n";
        let mut framer = CsvFramer { delimiter: b',', ..CsvFramer::default() };
        assert_eq!(framer.cut(&text[..12], false), 4);
        assert_eq!(framer.context().as_deref(), Some(&b"a,b"[..]));
        assert_eq!(framer.cut(&text[4..], false), text.len() - 4);
    }

    #[test]
    fn a_stray_quote_within_a_bare_cell_is_a_letter() {
        let text = b"a,b\n1,5\" disk\n2,x\n3,y\n";
        let mut framer = CsvFramer { delimiter: b',', ..CsvFramer::default() };
        assert_eq!(framer.cut(text, false), text.len());
    }

    #[test]
    fn excels_semicolons_are_seen() {
        assert_eq!(delimiter(b"TimeGenerated;log_s;pod_s"), b';');
    }
}
