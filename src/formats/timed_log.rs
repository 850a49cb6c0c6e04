//! Any other log whose lines begin with a time.

use super::shared::log::LineLog;
use super::shared::unwrap::klog_time;
use crate::facts::time;

pub(super) const FORMAT: LineLog =
    LineLog { name: "timed-log", about: "log whose lines begin with a time", score: 40, share: 25, looks };

fn looks(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"[").or_else(|| line.strip_prefix(b"\"")).unwrap_or(line);
    time::rfc3339(line).is_some()
        || time::syslog(line).is_some()
        || time::go_log(line).is_some()
        || time::unix_date(line).is_some()
        || time::web_log(line).is_some()
        || std::str::from_utf8(line.get(..line.len().min(40)).unwrap_or_default())
            .is_ok_and(|head| time::rfc1123(head).is_some())
        || klog_time(line).is_some()
}
