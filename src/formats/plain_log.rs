//! Logs without any form of their own, known by the place that a collector gave them.
//!
//! The content cannot tell: a line such as `hello` may be anything. But a file below `pods/logs/` of a
//! Replicated bundle, or `…/logs/current.log` of a must-gather, is the log of a container, whatever it says.

use super::{Head, InputFormat, Piece, klog};
use crate::facts::Facts;

pub(super) struct PlainLog;
pub(super) const FORMAT: PlainLog = PlainLog;

impl InputFormat for PlainLog {
    fn name(&self) -> &'static str {
        "plain-log"
    }

    fn about(&self) -> &'static str {
        "log without times, known by its place in the bundle"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        // A document is what it says that it is.
        let document = matches!(head.bytes.trim_ascii_start().first(), Some(b'{' | b'[' | b'<'));
        if !document && is_log_place(&head.entry.path) { 5 } else { 0 }
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        klog::read_log(piece, facts)
    }
}

/// Whether collectors put logs there.
pub(super) fn is_log_place(path: &str) -> bool {
    const NAMES: [&str; 6] = ["logs.txt", "kubelet", "messages", "syslog", "dmesg", "docker"];
    const FOLDERS: [&str; 11] = [
        "/logs/current",
        "/logs/previous",
        "/logs/rotated/",
        "/logs/",
        "podlogs/",
        "podscontainerlogs/",
        "systemlogs/",
        "nodelogs/",
        "var/log/",
        "journald/",
        "host_service_logs/",
    ];
    let name = path.rsplit(['/', '!']).next().unwrap_or(path);
    name.to_ascii_lowercase().ends_with(".log")
        || name.contains(".log.")
        || NAMES.contains(&name)
        || ["logs_", "logs-", "journalctl"].iter().any(|start| name.starts_with(start))
        || FOLDERS.iter().any(|folder| path.contains(folder))
}
