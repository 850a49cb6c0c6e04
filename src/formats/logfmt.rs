//! logfmt: `time="2026-11-23T20:05:01Z" level=error msg="…"` (containerd, Docker, many Go programs).

use super::shared::log::LineLog;

pub(super) const FORMAT: LineLog = LineLog {
    name: "logfmt",
    about: "log of key=value pairs (containerd and other Go programs)",
    score: 83,
    share: 60,
    looks,
};

fn looks(line: &[u8]) -> bool {
    let has = |word: &str| memchr::memmem::find(line, word.as_bytes()).is_some();
    let leads = [&b"time="[..], b"ts=", b"t=", b"level="].iter().any(|key| line.starts_with(key));
    leads && (has("level=") || has("lvl=") || has("msg="))
}
