//! Azure diagnostic settings in a storage account (`PT1H.json`, JSON lines) or through an Event Hub
//! (`{"records":[…]}`): control plane logs in `properties.log`, as a string.

use memchr::memmem;

use super::kubernetes_json::LineCounter;
use super::shared::json::{JsonFramer, Scanned, Scanner};
use super::shared::line;
use super::shared::log_line::Surroundings;
use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Lines};
use crate::facts::Facts;

pub(super) struct DiagnosticRecords;
pub(super) const FORMAT: DiagnosticRecords = DiagnosticRecords;

impl InputFormat for DiagnosticRecords {
    fn name(&self) -> &'static str {
        "azure-diagnostics"
    }

    fn about(&self) -> &'static str {
        "Azure diagnostic settings records (storage PT1H.json, Event Hub) of the AKS control plane"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = head.bytes.trim_ascii_start();
        let has = |word: &str| memmem::find(text, word.as_bytes()).is_some();
        let record = has("\"category\"") && has("\"properties\"") && has("\"resourceId\"");
        if text.starts_with(b"{") && record && (has("\"log\"") || has("\"time\"")) { 96 } else { 0 }
    }

    fn framer(&self, head: &Head<'_>) -> Box<dyn Framer> {
        if wrapped(head.bytes) { Box::<JsonFramer>::default() } else { Box::new(Lines) }
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let audit = memmem::find_iter(piece.bytes, b"\\\"auditID\\\"").count() as u64;
        facts.api_server.audit_events += audit;
        facts.api_server.log_lines += (memmem::find_iter(piece.bytes, b"\"category\":\"kube-apiserver\"")
            .count()
            + memmem::find_iter(piece.bytes, b"\"category\": \"kube-apiserver\"").count())
            as u64;
        if piece.context.is_none() && !wrapped(piece.bytes) {
            line::scan(piece, facts);
            return piece
                .bytes
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.trim_ascii().is_empty())
                .count() as u64;
        }
        let mut lines = LineCounter::new(piece);
        let mut records = 0;
        let mut scanner = piece.context.map_or_else(Scanner::default, Scanner::within);
        scanner.run(piece.bytes, |found| {
            if let Scanned::Element { start, end } | Scanned::Document { start, end } = found {
                records += 1;
                let record = piece.bytes.get(start..end).unwrap_or_default();
                let number = lines.at(start);
                let around = Surroundings { at: piece.offset + start as u64, ..Surroundings::default() };
                line::consider(record, around, piece.source, number, facts);
            }
            true
        });
        records
    }
}

/// Whether the records are the elements of one document.
fn wrapped(text: &[u8]) -> bool {
    let head = text.trim_ascii_start();
    let head = head.get(..200).unwrap_or(head);
    memmem::find(head, b"\"records\"").is_some() || head.starts_with(b"[")
}
