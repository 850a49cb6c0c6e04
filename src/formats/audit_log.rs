//! Audit logs as the API server writes them: one event of audit.k8s.io a line.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use super::shared::json::fields;
use super::shared::line::{self, Interest};
use super::{Head, InputFormat, Piece, share_of_lines};
use crate::facts::Facts;

pub(super) struct AuditLog;
pub(super) const FORMAT: AuditLog = AuditLog;

impl InputFormat for AuditLog {
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
        let events = line::scan_by(piece, interest, facts);
        facts.api_server.audit_events += events;
        events
    }
}

static GROUP: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("audit.k8s.io/"));

/// `{"kind":"Event","apiVersion":"audit.k8s.io/v1",…`: of an event only refusals count. Whatever else stands in the file
/// is read like any line.
fn interest(line: &[u8]) -> Interest {
    // As the API server writes it.
    if line.starts_with(b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/") {
        return Interest::Refusals;
    }
    let head = line.get(..120).unwrap_or(line);
    let event = head.starts_with(b"{") && GROUP.find(head).is_some();
    if event { Interest::Refusals } else { Interest::All }
}
