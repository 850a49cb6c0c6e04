//! Logs that are a line a record: what differs is how a line looks.

use crate::facts::Facts;
use crate::formats::{Head, InputFormat, Piece, klog, share_of_lines};

/// A log format that is known by the look of its lines.
pub(in crate::formats) struct LineLog {
    pub(in crate::formats) name: &'static str,
    pub(in crate::formats) about: &'static str,
    /// How sure it is, when enough lines look so.
    pub(in crate::formats) score: u8,
    /// Share of lines that must look so, in percent: the others are continuations.
    pub(in crate::formats) share: usize,
    /// Whether a line looks so.
    pub(in crate::formats) looks: fn(&[u8]) -> bool,
}

impl InputFormat for LineLog {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let share = share_of_lines(head.bytes, 200, self.looks);
        if share >= self.share.max(1) && !super::sections::short_and_mixed(head.bytes) {
            self.score
        } else {
            0
        }
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        klog::read_log(piece, facts)
    }
}
