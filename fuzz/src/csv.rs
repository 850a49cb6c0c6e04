//! Where rows of CSV may be cut, against the `csv` crate.

use std::collections::BTreeSet;

use csv::ReaderBuilder;
use kubetriage::bundle::{Entry, Framer};
use kubetriage::formats::{FORMATS, Head};

/// No cut is within a row, byte by byte or all at a time.
pub fn csv(data: &[u8]) {
    // The header says what the delimiter is.
    let text = [b"TimeGenerated,Computer,LogMessage\n", data].concat();
    let begins = beginnings(&text);
    let mut framer = framer(&text);
    let mut start = 0;
    for end in 1..=text.len() {
        let cut = framer.cut(&text[start..end], false);
        assert!(cut <= end - start, "cut behind the end");
        if cut > 0 {
            start += cut;
            assert_eq!(text[start - 1], b'\n', "a row ends with its line");
            let next = begin(&text, start);
            assert!(next == text.len() || begins.contains(&next), "a row is torn at {start}");
        }
    }
    let mut framer = self::framer(&text);
    assert_eq!(framer.cut(&text, false), start);
}

/// Where the next row begins: the ends of lines before it are of none.
fn begin(text: &[u8], at: usize) -> usize {
    at + text[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

/// Where the rows begin for the `csv` crate.
fn beginnings(text: &[u8]) -> BTreeSet<usize> {
    let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let rows = reader.into_byte_records().map(|row| row.expect("bytes of any kind are CSV"));
    let starts = rows.filter_map(|row| usize::try_from(row.position()?.byte()).ok());
    starts.map(|at| begin(text, at)).collect()
}

fn framer(text: &[u8]) -> Box<dyn Framer> {
    let format =
        FORMATS.iter().find(|format| format.name() == "log-analytics-csv").expect("it is one of them");
    format.framer(&Head { entry: &Entry { path: "table.csv".into(), modified: None }, bytes: text })
}
