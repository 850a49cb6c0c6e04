//! Log Analytics results as JSON: `az monitor log-analytics query` (a flat array, every value a string),
//! the REST API (`{"tables":[{"columns":[…],"rows":[[…]]}]}`), and data export (`PT05M.json`, one row a
//! line, `Type` names the table).

use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::kubernetes_json::LineCounter;
use super::shared::json::{JsonFramer, Scanned, Scanner};
use super::shared::rows::{RecordRow, Table, column_name};
use super::{Head, InputFormat, Piece};
use crate::bundle::Framer;
use crate::facts::Facts;

pub(super) struct LogAnalyticsJson;
pub(super) const FORMAT: LogAnalyticsJson = LogAnalyticsJson;

impl InputFormat for LogAnalyticsJson {
    fn name(&self) -> &'static str {
        "log-analytics-json"
    }

    fn about(&self) -> &'static str {
        "Log Analytics result as JSON: az CLI, REST tables, data export lines"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = head.bytes.trim_ascii_start();
        let has = |word: &str| memmem::find(text, word.as_bytes()).is_some();
        let rest = text.starts_with(b"{") && has("\"tables\"") && has("\"columns\"");
        let az = text.starts_with(b"[") && has("\"TableName\"");
        let export =
            text.starts_with(b"{") && has("\"TimeGenerated\"") && (has("\"Type\"") || has("\"_ResourceId\""));
        if rest || az || export { 93 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::<JsonFramer>::default()
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut lines = LineCounter::new(piece);
        let mut columns = piece.context.map(columns).unwrap_or_default();
        let mut scanner = piece.context.map_or_else(Scanner::default, Scanner::within);
        let mut rows = 0;
        let mut unread = 0_u64;
        scanner.run(piece.bytes, |found| {
            match found {
                Scanned::Head { start, end } => {
                    columns = self::columns(piece.bytes.get(start..end).unwrap_or_default());
                }
                Scanned::Element { start, end } | Scanned::Document { start, end } => {
                    rows += 1;
                    let json = piece.bytes.get(start..end).unwrap_or_default();
                    let line = lines.at(start);
                    if !row(json, &columns, piece, (line, piece.offset + start as u64), facts) {
                        unread += 1;
                    }
                }
                Scanned::Text { .. } | Scanned::End { .. } => {}
            }
            true
        });
        if unread > 0 {
            let problem = "rows of no table that is read, or damaged".to_owned();
            *facts.coverage.entry(piece.source).problems.entry(problem).or_default() += unread;
        }
        rows
    }
}

/// The column names in the head of a REST result.
fn columns(head: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Column {
        #[serde(alias = "ColumnName")]
        name: String,
    }
    let Some(at) = memmem::rfind(head, b"\"columns\"").or_else(|| memmem::rfind(head, b"\"Columns\"")) else {
        return Vec::new();
    };
    let rest = head.get(at..).unwrap_or_default();
    let Some(open) = memchr::memchr(b'[', rest) else { return Vec::new() };
    let Some(end) = crate::bytes::json::value_end(rest, open) else { return Vec::new() };
    let list: Vec<Column> =
        serde_json::from_slice(rest.get(open..end).unwrap_or_default()).unwrap_or_default();
    list.into_iter().map(|column| column_name(&column.name)).collect()
}

/// Reads a row that is an array of cells or an object of columns.
fn row(
    json: &[u8],
    columns: &[String],
    piece: &Piece<'_>,
    (line, at): (u64, u64),
    facts: &mut Facts,
) -> bool {
    let (names, values): (Vec<String>, Vec<Value>) = match serde_json::from_slice(json) {
        Ok(Value::Array(values)) => (columns.to_vec(), values),
        Ok(Value::Object(map)) => by_column(map),
        _ => return false,
    };
    let Some(table) = Table::of(&names) else { return false };
    let texts: Vec<String> = values
        .into_iter()
        .map(|value| match value {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        })
        .collect();
    let cell = |name: &'static str| -> Option<&str> {
        let at = names.iter().position(|column| column.eq_ignore_ascii_case(name))?;
        texts.get(at).map(String::as_str)
    };
    RecordRow { table, cell: &cell, source: piece.source, line, at, order: None }.read(facts);
    true
}

fn by_column(map: Map<String, Value>) -> (Vec<String>, Vec<Value>) {
    map.into_iter().map(|(name, value)| (column_name(&name), value)).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_from_the_head_of_a_rest_result() {
        let head = br#"{"tables":[{"name":"PrimaryResult","columns":[{"name":"TimeGenerated","type":"datetime"},{"name":"log_s","type":"string"}],"rows":["#;
        assert_eq!(columns(head), ["TimeGenerated", "log_s"]);
    }
}
