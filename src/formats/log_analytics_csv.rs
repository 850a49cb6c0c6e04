//! Log Analytics results as CSV (portal "Export to CSV"; re-saved from Excel with `;`) or as the TSV that
//! someone pasted. Quoted cells may hold line breaks, so blocks are cut outside quotes.

use std::cell::RefCell;

use super::shared::csv_rows::CsvRows;
use super::shared::line::Signs;
use super::shared::rows::{DateOrder, RecordRow, Table, column_name};
use super::{Head, InputFormat, Piece};
use crate::bundle::Framer;
use crate::facts::Facts;
use crate::facts::text::lossy;

pub(super) struct LogAnalyticsCsv;
pub(super) const FORMAT: LogAnalyticsCsv = LogAnalyticsCsv;

impl InputFormat for LogAnalyticsCsv {
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
        if !first.contains(&delimiter) {
            return 0;
        }
        let columns = header(first, delimiter);
        if columns.len() >= 2 && Table::of(&columns).is_some() { 94 } else { 0 }
    }

    fn framer(&self, head: &Head<'_>) -> Box<dyn Framer> {
        let first = head.bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Box::new(CsvRows::new(delimiter(first)))
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let first = piece.context.unwrap_or(piece.bytes);
        let first = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let delimiter = delimiter(first);
        let columns = header(first, delimiter);
        let Some(table) = Table::of(&columns) else { return 0 };
        let order = date_order(piece, &columns, delimiter);
        let columns = Columns { names: &columns, known: RefCell::default() };
        let read = |record: &csv::ByteRecord, line: u64, begins: u64, facts: &mut Facts| {
            let (at, source) = (piece.offset + begins, piece.source);
            let column = |name: &'static str| columns.position(name);
            if let Ok(text) = std::str::from_utf8(record.as_slice()) {
                let cell = |name| text.get(record.range(column(name)?)?);
                RecordRow { table, cell: &cell, source, line, at, order }.read(facts);
            } else {
                let cells: Vec<_> = record.iter().map(lossy).collect();
                let cell = |name| cells.get(column(name)?).map(AsRef::as_ref);
                RecordRow { table, cell: &cell, source, line, at, order }.read(facts);
            }
        };
        if table.is_text() {
            let (gathered, rows) = Gathered::of(piece, delimiter);
            each_row(piece, &gathered.bytes, false, delimiter, facts, |record, start, facts| {
                let (begins, line) = gathered.place(start.at);
                read(record, line, begins as u64, facts);
            });
            return rows;
        }
        let mut rows = 0;
        each_row(piece, piece.bytes, piece.context.is_none(), delimiter, facts, |record, start, facts| {
            rows += 1;
            read(record, piece.first_line + start.line.saturating_sub(1), start.at, facts);
        });
        rows
    }
}

/// The columns of a table, by the names that are asked for: each is looked for once.
struct Columns<'a> {
    names: &'a [String],
    known: RefCell<Vec<(&'static str, Option<usize>)>>,
}

impl Columns<'_> {
    fn position(&self, name: &'static str) -> Option<usize> {
        let mut known = self.known.borrow_mut();
        // Names are literals: the same one mostly stands at the same address.
        if let Some((_, at)) = known.iter().find(|(ours, _)| std::ptr::eq(*ours, name) || *ours == name) {
            return *at;
        }
        let at = self.names.iter().position(|column| column.eq_ignore_ascii_case(name));
        known.push((name, at));
        at
    }
}

/// Where a row begins in its text: byte, and line from 1.
#[derive(Clone, Copy)]
struct RowStart {
    at: u64,
    line: u64,
}

/// Goes over the rows of a text; what can't be read ends it, and is said.
fn each_row(
    piece: &Piece<'_>,
    text: &[u8],
    has_header: bool,
    delimiter: u8,
    facts: &mut Facts,
    mut row: impl FnMut(&csv::ByteRecord, RowStart, &mut Facts),
) {
    let mut reader = reader(text, has_header, delimiter);
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {
                let (at, line) = record.position().map_or((0, 1), |at| (at.byte(), at.line()));
                // A row ends at its carriage return for the reader: the line feed stands before the next one.
                let rest = usize::try_from(at).ok().and_then(|at| text.get(at..)).unwrap_or_default();
                let breaks = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
                let (skipped, lines) = breaks
                    .fold((0, 0), |(bytes, lines), byte| (bytes + 1, lines + u64::from(*byte == b'\n')));
                row(&record, RowStart { at: at + skipped, line: line + lines }, facts);
            }
            Ok(false) => return,
            Err(error) => {
                facts.problem(piece.source, &format!("CSV rows that could not be read: {error}"));
                return;
            }
        }
    }
}

/// The rows of a text that hold a signature, one behind the other.
#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// Where each begins: here, in the piece, and on which line of the entry.
    places: Vec<(usize, usize, u64)>,
}

impl Gathered {
    /// Of a piece; and how many rows it has. Doubled quotes hide no signature: these have quotes only at their ends.
    fn of(piece: &Piece<'_>, delimiter: u8) -> (Self, u64) {
        let mut gathered = Self::default();
        let mut signs = Signs::of(piece.bytes);
        let mut ends = CsvRows::new(delimiter);
        let (mut start, mut counted, mut line, mut rows) = (0, 0, piece.first_line, 0);
        let mut header = piece.context.is_none();
        while start < piece.bytes.len() {
            let end = ends.next(piece.bytes).unwrap_or(piece.bytes.len());
            let row = piece.bytes.get(start..end).unwrap_or_default();
            if !row.trim_ascii().is_empty() && !std::mem::take(&mut header) {
                rows += 1;
                if signs.within(start..end) {
                    let before = piece.bytes.get(counted..start).unwrap_or_default();
                    line += memchr::memchr_iter(b'\n', before).count() as u64;
                    counted = start;
                    gathered.places.push((gathered.bytes.len(), start, line));
                    gathered.bytes.extend_from_slice(row);
                }
            }
            start = end;
        }
        (gathered, rows)
    }

    /// Where in the piece, and on which line of the entry, the row stands that is here at `at`.
    fn place(&self, at: u64) -> (usize, u64) {
        let after = self.places.partition_point(|(here, ..)| *here as u64 <= at);
        after
            .checked_sub(1)
            .and_then(|index| self.places.get(index))
            .map_or((0, 0), |(_, begins, line)| (*begins, *line))
    }
}

fn reader(text: &[u8], has_header: bool, delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(has_header).flexible(true).delimiter(delimiter).from_reader(text)
}

/// Day first or month first, as one clear date of the column decides for all; only looked for when the
/// first date is not clear.
fn date_order(piece: &Piece<'_>, columns: &[String], delimiter: u8) -> Option<DateOrder> {
    let at = columns.iter().position(|column| column == "TimeGenerated")?;
    let mut reader = reader(piece.bytes, piece.context.is_none(), delimiter);
    let mut record = csv::ByteRecord::new();
    let mut first = true;
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        let order = DateOrder::of(&lossy(record.get(at).unwrap_or_default()));
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
    let mut reader = reader(line, false, delimiter);
    let mut record = csv::ByteRecord::new();
    if !reader.read_byte_record(&mut record).unwrap_or(false) {
        return Vec::new();
    }
    record.iter().map(|cell| column_name(&lossy(cell))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn rows_of_windows_files_stand_where_they_stand() {
        let text = b"TimeGenerated,LogMessage,PodName\r\na,hello,x\r\nb,\"dial tcp 1.2.3.4:1: i/o timeout\r\nmore\",y\r\nc,hello,z\r\nd,dial tcp 1.2.3.4:2: i/o timeout,z\r\n";
        let source: Arc<str> = Arc::from("logs.csv");
        let entry = crate::bundle::Entry { path: Arc::clone(&source), modified: None };
        let piece = Piece {
            source: &source,
            entry: &entry,
            bytes: text,
            context: None,
            first_line: 1,
            offset: 0,
            whole: true,
            recognised: true,
            cut_short: false,
            node: None,
            command: None,
            in_cluster: false,
            log_of: None,
        };
        let mut facts = Facts::default();
        assert_eq!(FORMAT.read(&piece, &mut facts), 4);
        let mut lines: Vec<u64> = facts
            .attempts
            .map
            .iter()
            .flat_map(|(_, tally)| tally.examples.as_slice().iter().map(|example| example.line))
            .collect();
        lines.sort_unstable();
        assert_eq!(lines, [3, 6]);
        let (gathered, rows) = Gathered::of(&piece, b',');
        assert_eq!((gathered.places.len(), rows), (2, 4));
        let mut seen = Vec::new();
        each_row(&piece, text, true, b',', &mut facts, |_, start, _| seen.push((start.at, start.line)));
        assert_eq!(seen.iter().map(|(_, line)| *line).collect::<Vec<_>>(), [2, 3, 5, 6]);
    }

    #[test]
    fn excels_semicolons_are_seen() {
        assert_eq!(delimiter(b"TimeGenerated;log_s;pod_s"), b';');
    }
}
