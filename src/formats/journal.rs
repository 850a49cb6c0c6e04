//! Journals as text: `journalctl` short and short-iso, syslog and messages files (journalctl(1)).

use super::shared::log::LineLog;
use crate::facts::time;

pub(super) const FORMAT: LineLog = LineLog {
    name: "journal",
    about: "systemd journal or syslog as text (short, short-iso)",
    score: 84,
    share: 60,
    looks,
};

fn looks(line: &[u8]) -> bool {
    // `-- Logs begin at …`, `-- Boot … --`.
    if line.starts_with(b"-- ") {
        return true;
    }
    let rest = if time::syslog(line).is_some() {
        // The clock may have a fraction: `Nov 23 20:05:01.123456`.
        line.get(15..).map(|rest| {
            rest.iter().position(|byte| *byte == b' ').and_then(|at| rest.get(at + 1..)).unwrap_or_default()
        })
    } else {
        time::rfc3339(line).and_then(|(_, length)| line.get(length..)?.strip_prefix(b" "))
    };
    // `host program[pid]: message`
    let Some(rest) = rest else { return false };
    let mut words = rest.splitn(3, |byte| *byte == b' ');
    let (host, program) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    !host.is_empty() && host.iter().all(plain) && program.ends_with(b":")
}
