//! Calico: `2026-01-02 03:04:05.678 [WARNING][123] felix/int_dataplane.go 100: message key=value`, and BIRD.

use super::shared::log::LineLog;
use crate::facts::time;

pub(super) const FORMAT: LineLog = LineLog {
    name: "calico-log",
    about: "log of calico-node: felix, confd, BIRD",
    score: 87,
    share: 50,
    looks,
};

fn looks(line: &[u8]) -> bool {
    if line.starts_with(b"bird: ") || line.starts_with(b"bird6: ") {
        return true;
    }
    let Some((_, length)) = time::rfc3339(line) else { return false };
    let rest = line.get(length..).unwrap_or_default();
    let severities =
        [&b" [INFO]["[..], b" [WARNING][", b" [ERROR][", b" [DEBUG][", b" [FATAL][", b" [PANIC]["];
    severities.iter().any(|severity| rest.starts_with(severity))
}
