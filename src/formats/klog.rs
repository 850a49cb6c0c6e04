//! klog text, the log of Kubernetes' own components: `I1123 20:52:03.889309   16403 file.go:64] …`.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::shared::line::{self, Interest};
use super::shared::sections;
use super::shared::unwrap::klog_time;
use super::{Head, InputFormat, Piece, share_of_lines};
use crate::facts::Facts;

pub(super) struct Klog;
pub(super) const FORMAT: Klog = Klog;

impl InputFormat for Klog {
    fn name(&self) -> &'static str {
        "klog"
    }

    fn about(&self) -> &'static str {
        "text log of a Kubernetes component (kube-apiserver, kubelet, controllers)"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        // Continuation lines (stacks, readyz reports) have no header.
        let share = share_of_lines(head.bytes, 200, |line| klog_time(line).is_some());
        // A few lines of client-go may stand before what kubectl was asked for.
        if share >= 50 && !sections::short_and_mixed(head.bytes) { 90 } else { 0 }
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        read_log(piece, facts)
    }
}

/// Reads log lines of any wrapping; gives their number.
pub(super) fn read_log(piece: &Piece<'_>, facts: &mut Facts) -> u64 {
    let requests = line::of_api_server(piece.bytes);
    if requests > 0 {
        line::scan_by(piece, interest, facts);
    } else {
        line::scan(piece, facts);
    }
    facts.api_server.log_lines += requests;
    line::lines(piece)
}

/// The file that writes the access lines, since 1.20.
const ACCESS: &str = "httplog.go:";

static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(ACCESS));
static STATUS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(" resp="));

/// Bytes of a line in which that name stands, whatever is put before it by runtimes and journals.
const HEAD: usize = 160;

/// Bytes at the end of a line in which the status stands.
const TAIL: usize = 16;

/// An access line ends with the status, `resp=200`. One that was answered well, or with not found or a conflict, tells
/// nothing; after an error of the server the line goes on with what it said.
fn interest(line: &[u8]) -> Interest {
    let line = line.trim_ascii_end();
    let tail = line.get(line.len().saturating_sub(TAIL)..).unwrap_or(line);
    let plain = tail.last_chunk::<9>().and_then(|end| end.strip_prefix(b" resp="));
    let status = plain.or_else(|| STATUS.find(tail).and_then(|at| tail.get(at + 6..)));
    let given = matches!(status, Some([b'1'..=b'3', _, _] | b"404" | b"409"));
    let head = line.get(..HEAD).unwrap_or(line);
    // Behind a header without anything before it, whose process has up to seven digits.
    let named = || {
        line.get(30..).is_some_and(|rest| rest.starts_with(ACCESS.as_bytes())) || NAME.find(head).is_some()
    };
    if given && named() { Interest::Nothing } else { Interest::All }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_access_lines_that_were_answered_are_passed_over() {
        let line = |end: &str| {
            format!(
                "I1123 20:52:03.889309   16403 httplog.go:132] \"HTTP\" verb=\"LIST\" URI=\"/api\" userAgent=\"x resp=200\"{end}"
            )
        };
        for end in [" srcIP=\"10.0.0.1:5\" resp=200", " resp=404\r", " resp=101"] {
            assert!(interest(line(end).as_bytes()) == Interest::Nothing, "{end}");
        }
        for end in [
            " resp=403",
            " resp=401",
            " resp=500 statusStack=\"…\"",
            " resp=429",
            " resp=20",
            "",
            " resp=2000",
        ] {
            assert!(interest(line(end).as_bytes()) == Interest::All, "{end}");
        }
        assert!(interest(b"E1123 20:52:03.889309 1 x.go:1] dial tcp resp=200") == Interest::All);
    }
}
