//! `logs.txt` of `kubectl cluster-info dump`: each container's log between
//! `==== START logs for container C of pod NS/POD ====` and `==== END logs …`.

use super::{Head, InputFormat, Piece, klog};
use crate::facts::Facts;

pub(super) struct DumpedLogs;
pub(super) const FORMAT: DumpedLogs = DumpedLogs;

impl InputFormat for DumpedLogs {
    fn name(&self) -> &'static str {
        "dumped-logs"
    }

    fn about(&self) -> &'static str {
        "container logs framed by kubectl cluster-info dump"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        if head.bytes.trim_ascii_start().starts_with(b"==== START logs for container ") { 99 } else { 0 }
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        klog::read_log(piece, facts)
    }
}
