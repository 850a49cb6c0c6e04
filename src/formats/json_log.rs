//! Logs of one JSON object a line: klog with `--logging-format=json`, zap (Azure CNI and CNS, etcd).

use memchr::memmem;

use super::{Head, InputFormat, Piece, share_of_lines};
use crate::facts::Facts;

pub(super) struct JsonLog;
pub(super) const FORMAT: JsonLog = JsonLog;

impl InputFormat for JsonLog {
    fn name(&self) -> &'static str {
        "json-log"
    }

    fn about(&self) -> &'static str {
        "log of one JSON object a line (klog JSON, zap)"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let share = share_of_lines(head.bytes, 50, |line| {
            let has = |word: &str| memmem::find(line, word.as_bytes()).is_some();
            let message = has("\"msg\"") || has("\"message\"") || has("\"MESSAGE\"");
            let timed =
                has("\"ts\"") || has("\"time\"") || has("\"timestamp\"") || has("\"__REALTIME_TIMESTAMP\"");
            line.starts_with(b"{") && message && timed && !has("\"auditID\"")
        });
        if share >= 80 { 80 } else { 0 }
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        super::klog::read_log(piece, facts)
    }
}
