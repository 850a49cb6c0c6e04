//! Audit logs as the API server writes them: one event of audit.k8s.io a line.

use memchr::memmem;

use super::shared::json::fields;
use super::shared::line;
use super::{Format, Head, Piece, share_of_lines};
use crate::facts::Facts;

pub(super) struct AuditLog;
pub(super) const FORMAT: AuditLog = AuditLog;

impl Format for AuditLog {
    fn name(&self) -> &'static str {
        "audit-log"
    }

    fn about(&self) -> &'static str {
        "kube-apiserver audit log: audit.k8s.io events, one a line"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        // A list of events on one line is no log.
        if fields(head.bytes).any(|(key, _)| key == b"items") {
            return 0;
        }
        let audit = share_of_lines(head.bytes, 20, |line| {
            let has = |word: &str| memmem::find(line, word.as_bytes()).is_some();
            let event = has("\"auditID\"") || (has("\"verb\"") && has("\"responseStatus\""));
            line.trim_ascii_start().starts_with(b"{") && event
        });
        if audit >= 50 { 95 } else { 0 }
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        line::scan(piece, facts);
        let lines = memchr::memchr_iter(b'\n', piece.bytes.trim_ascii_end()).count() as u64;
        let events = lines + u64::from(!piece.bytes.trim_ascii().is_empty());
        facts.api_server.audit_events += events;
        events
    }
}
