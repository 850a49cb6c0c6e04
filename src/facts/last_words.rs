//! What a log says at its end: the line that names the failure, when its last lines hold one.

use std::sync::Arc;

use super::tally::BoundedMap;
use super::time::When;
use crate::evidence::Evidence;

/// The end of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastWords {
    /// The last line that was looked at: of two pieces of a log, the later one speaks.
    pub end: u64,
    /// Lines that name a failure, the last ones of it, in their order; none when the log ends without one.
    pub lines: Vec<Evidence>,
    /// The very last line, when none names a failure.
    pub last: Option<Evidence>,
    /// When the last of them was written.
    pub when: Option<When>,
}

/// By entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogEnds {
    /// Of each log.
    pub map: BoundedMap<Arc<str>, LastWords, 50_000>,
}

impl LogEnds {
    /// Notes the end of a piece of a log.
    pub fn add(&mut self, source: &Arc<str>, found: LastWords) {
        if let Some(kept) = self.map.slot(Arc::clone(source)) {
            keep_later(kept, found);
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        self.map.merge(other.map, keep_later);
    }
}

fn keep_later(kept: &mut LastWords, other: LastWords) {
    if other.end > kept.end {
        *kept = other;
    }
}
