//! Answers of Azure Data Explorer and of Log Analytics' older interface: `{"Tables":[…]}` of version 1 and the list of frames of
//! version 2 (<https://learn.microsoft.com/kusto/api/rest/response-http>). Their rows are those of Log Analytics tables.

use serde_json::Value;

use super::shared::rows::{RecordRow, Table, column_name};
use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::facts::Facts;

pub(super) struct Kusto;
pub(super) const FORMAT: Kusto = Kusto;

impl InputFormat for Kusto {
    fn name(&self) -> &'static str {
        "kusto"
    }

    fn about(&self) -> &'static str {
        "answer of Azure Data Explorer (Kusto), version 1 or 2"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = head.bytes.trim_ascii_start();
        let has = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
        let old = text.starts_with(b"{") && has("\"Tables\"") && has("\"ColumnName\"");
        let new = text.starts_with(b"[") && has("\"FrameType\"");
        if old || new { 96 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let Ok(value) = serde_json::from_slice::<Value>(piece.bytes) else {
            facts.problem(piece.source, "an answer of Kusto that could not be understood: it may be cut");
            return 0;
        };
        let tables = match &value {
            Value::Array(frames) => frames.as_slice(),
            other => other.get("Tables").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default(),
        };
        let mut rows = 0;
        for table in tables {
            rows += self::rows(table, piece, rows, facts);
        }
        rows.max(1)
    }
}

/// Reads the rows of a table; those of no known table are counted.
fn rows(table: &Value, piece: &Piece<'_>, before: u64, facts: &mut Facts) -> u64 {
    let list = |key: &str| table.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names: Vec<String> = list("Columns")
        .iter()
        .filter_map(|column| column.get("ColumnName")?.as_str())
        .map(column_name)
        .collect();
    let kind = Table::of(&names);
    let mut count = 0;
    for row in list("Rows") {
        let Value::Array(values) = row else { continue };
        count += 1;
        let Some(table) = kind else { continue };
        let texts: Vec<String> = values
            .iter()
            .map(|value| match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            })
            .collect();
        let cell = |name: &'static str| -> Option<&str> {
            let at = names.iter().position(|column| column.eq_ignore_ascii_case(name))?;
            texts.get(at).map(String::as_str)
        };
        let at = piece.offset + before + count;
        RecordRow { table, cell: &cell, source: piece.source, line: piece.first_line, at, order: None }
            .read(facts);
    }
    count
}
