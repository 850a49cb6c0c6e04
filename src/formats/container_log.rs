//! Container logs as the CRI writes them: `2026-11-23T20:05:01.123456789Z stderr F message`.

use super::{Format, Head, Piece, share_of_lines};
use crate::facts::{Facts, time};

pub(super) struct ContainerLog;
pub(super) const FORMAT: ContainerLog = ContainerLog;

impl Format for ContainerLog {
    fn name(&self) -> &'static str {
        "cri-log"
    }

    fn about(&self) -> &'static str {
        "container log with the CRI's time, stream and flag before each line"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let cri = share_of_lines(head.bytes, 50, |line| {
            let Some((_, length)) = time::rfc3339(line) else { return false };
            let rest = line.get(length..).unwrap_or_default();
            rest.starts_with(b" stderr ") || rest.starts_with(b" stdout ")
        });
        if cri >= 80 { 92 } else { 0 }
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        super::klog::read_log(piece, facts)
    }
}
