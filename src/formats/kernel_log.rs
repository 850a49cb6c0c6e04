//! The kernel's own log as `dmesg` prints it: `[  130.123456] text`, with a date in place of the seconds (`-T`), with facility
//! and level before it (`-x`), raw (`<4>[…]`) (util-linux `sys-utils/dmesg.c`). It begins with a bracket and is no JSON.

use super::{Head, InputFormat, Piece, klog, share_of_lines};
use crate::facts::Facts;
use crate::facts::text::lossy;
use crate::facts::time;

pub(super) struct KernelLog;
pub(super) const FORMAT: KernelLog = KernelLog;

impl InputFormat for KernelLog {
    fn name(&self) -> &'static str {
        "kernel-log"
    }

    fn about(&self) -> &'static str {
        "log of a node's kernel (dmesg)"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        if share_of_lines(head.bytes, 60, is_kernel_line) >= 70 { 88 } else { 0 }
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        klog::read_log(piece, facts)
    }
}

/// `[    0.000000] Linux version …`, `[Fri Nov 20 10:00:00 2026] …`.
fn is_kernel_line(line: &[u8]) -> bool {
    let line = line.get(..line.len().min(120)).unwrap_or(line);
    let Some(open) = memchr::memchr(b'[', line).filter(|at| *at <= 20) else { return false };
    // `<4>`, `kern  :warn  : `.
    let before = line.get(..open).unwrap_or_default();
    let level = before.is_empty()
        || before.starts_with(b"<") && before.ends_with(b">")
        || before.trim_ascii_end().ends_with(b":") && memchr::memchr(b':', before).is_some();
    let Some(stamp) = line.get(open + 1..).and_then(|rest| rest.split(|byte| *byte == b']').next()) else {
        return false;
    };
    let stamp = stamp.trim_ascii();
    let seconds = || {
        stamp.split(|byte| *byte == b'.').count() == 2
            && stamp.len() >= 8
            && stamp.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
    };
    // Behind the day of the week stands what syslog writes too.
    let date = || stamp.get(4..).is_some_and(|rest| time::syslog(rest).is_some());
    level && (seconds() || date()) && !lossy(line).contains("\"log\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_dmesg_is_known() {
        for line in [
            "[    0.000000] Linux version 5.15.0-1089-azure",
            "[12130.123456] nf_conntrack: nf_conntrack: table full, dropping packet",
            "[Fri Nov 20 10:00:00 2026] eth0: link up",
            "kern  :warn  : [  130.123456] nf_conntrack: table full",
            "<4>[  130.123456] nf_conntrack: table full",
        ] {
            assert!(is_kernel_line(line.as_bytes()), "{line}");
        }
        for line in
            ["[ERROR] plugin/errors", "[1.2, 3.4]", "[pod/a] x", "[2026-11-20 10:00:00] x", "x [1.000000] y"]
        {
            assert!(!is_kernel_line(line.as_bytes()), "{line}");
        }
    }
}
