//! CoreDNS: `[ERROR] plugin/errors: 2 name. A: read udp …: i/o timeout`, query log, start-up lines. The
//! current format has no times (coredns/coredns `plugin/log`, `plugin/errors`).

use super::shared::log::LineLog;
use crate::facts::time;

pub(super) const FORMAT: LineLog = LineLog {
    name: "coredns-log",
    about: "log of CoreDNS: errors, queries, plugins",
    score: 86,
    share: 50,
    looks,
};

fn looks(line: &[u8]) -> bool {
    let severities = [&b"[INFO] "[..], b"[WARNING] ", b"[ERROR] ", b"[FATAL] ", b"[PANIC] "];
    if severities.iter().any(|severity| line.starts_with(severity)) {
        return true;
    }
    // Before 1.5 lines began with a date; `kubectl logs --timestamps` puts one there, too.
    let dated = time::rfc3339(line).map(|(_, length)| length).or_else(|| time::go_log(line).map(|_| 19));
    let rest = dated.and_then(|length| line.get(length..)).unwrap_or_default().trim_ascii_start();
    if severities.iter().any(|severity| rest.starts_with(severity)) {
        return true;
    }
    // `.:53`, `CoreDNS-1.9.3`, `linux/amd64, go1.18.2, 45b0a11`.
    line.starts_with(b"CoreDNS-") || line.starts_with(b".:53") || line.starts_with(b"linux/")
}
