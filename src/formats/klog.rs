//! klog text, the log of Kubernetes' own components: `I1123 20:52:03.889309   16403 file.go:64] …`.

use memchr::memmem;

use super::shared::line::{self, klog_time};
use super::{Format, Head, Piece, share_of_lines, text};
use crate::facts::Facts;

pub(super) struct Klog;
pub(super) const FORMAT: Klog = Klog;

impl Format for Klog {
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
        if share >= 50 && !text::short_and_mixed(head.bytes) { 90 } else { 0 }
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        read_log(piece, facts)
    }
}

/// Reads log lines of any wrapping; gives their number.
pub(super) fn read_log(piece: &Piece<'_>, facts: &mut Facts) -> u64 {
    line::scan(piece, facts);
    let lines = memchr::memchr_iter(b'\n', piece.bytes.trim_ascii_end()).count() as u64 + 1;
    // Only the API server writes access lines; one in a block is enough to know whose log it is.
    if memmem::find(piece.bytes, b"httplog.go:").is_some() || memmem::find(piece.bytes, b"wrap.go:").is_some() {
        facts.api_server.log_lines += lines;
    }
    lines
}
