//! Logs of one JSON object a line: klog with `--logging-format=json`, zap (Azure CNI and CNS, etcd).

use memchr::memmem;

use super::shared::unwrap::json_time;
use super::{Head, InputFormat, Piece, share_of_lines};
use crate::facts::Facts;

pub(super) struct JsonLog;
pub(super) const FORMAT: JsonLog = JsonLog;

/// Keys that hold the text of a record.
const MESSAGE_KEYS: [&str; 14] = [
    "\"msg\"",
    "\"message\"",
    "\"MESSAGE\"",
    "\"Message\"",
    "\"MSG\"",
    "\"@message\"",
    "\"@m\"",
    "\"@mt\"",
    "\"log\"",
    "\"text\"",
    "\"event\"",
    "\"error\"",
    "\"err\"",
    "\"RenderedMessage\"",
];

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
            let message = MESSAGE_KEYS.iter().any(|key| has(key));
            let timed = json_time(line).is_some() || has("\"__REALTIME_TIMESTAMP\"");
            line.starts_with(b"{") && message && timed && !has("\"auditID\"")
        });
        if share >= 80 { 80 } else { 0 }
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        super::klog::read_log(piece, facts)
    }
}
