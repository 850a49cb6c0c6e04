//! Access logs of web servers: `10.0.0.1 - - [23/Nov/2026:20:05:01 +0000] "GET / HTTP/1.1" 200 …` (nginx,
//! Apache, ingress controllers).

use super::shared::log::LineLog;

pub(super) const FORMAT: LineLog = LineLog {
    name: "access-log",
    about: "access log of a web server or an ingress controller",
    score: 60,
    share: 30,
    looks,
};

fn looks(line: &[u8]) -> bool {
    let Some(open) = memchr::memchr(b'[', line) else { return false };
    let stamp = line.get(open + 1..open + 13).unwrap_or_default();
    // Day, month by name, year: `23/Nov/2026:`.
    stamp.get(2) == Some(&b'/') && stamp.get(6) == Some(&b'/') && stamp.get(11) == Some(&b':')
}
