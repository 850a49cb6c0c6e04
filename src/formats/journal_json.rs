//! Journals as `journalctl -o json` writes them: `__REALTIME_TIMESTAMP`, `MESSAGE` (text, bytes or null),
//! `_SYSTEMD_UNIT`, `_HOSTNAME`.

use memchr::memmem;

use super::shared::log::LineLog;

pub(super) const FORMAT: LineLog =
    LineLog { name: "journal-json", about: "systemd journal as JSON lines", score: 98, share: 80, looks };

fn looks(line: &[u8]) -> bool {
    line.starts_with(b"{") && memmem::find(line, b"\"__REALTIME_TIMESTAMP\"").is_some()
}
