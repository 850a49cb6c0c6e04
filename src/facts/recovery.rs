//! What says that something works: the counter-signs that end a fault, by the log that has them.

use std::sync::Arc;

use super::tally::BoundedMap;
use super::time::{Span, When};
use crate::evidence::{Evidence, Examples};

/// What works again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recovery {
    /// The API server answers, and allows what is needed: a node registered, a lease was acquired, caches are synced.
    ApiServer,
    /// The node's network is ready.
    Network,
}

/// Every recovery, by log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recoveries {
    map: BoundedMap<(Recovery, Arc<str>), RecoveryTally, 20_000>,
}

/// Recoveries of one kind in one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryTally {
    /// First and last.
    pub span: Span,
    /// Where.
    pub examples: Examples,
}

impl Recoveries {
    /// Notes one.
    pub fn add(&mut self, what: Recovery, when: Option<When>, source: &Arc<str>, line: u64, text: &[u8]) {
        let Some(tally) = self.map.slot((what, Arc::clone(source))) else { return };
        if let Some(when) = when {
            tally.span.add(when);
        }
        if tally.examples.wants(source, line) {
            tally.examples.add(Evidence::line(source, line, text));
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        self.map.merge(other.map, |kept, more| {
            kept.span.merge(more.span);
            kept.examples.merge(more.examples);
        });
    }

    /// Puts them in order.
    pub fn settle(&mut self) {
        self.map.settle();
    }

    /// Those of a log.
    pub fn of(&self, what: Recovery, source: &Arc<str>) -> Option<&RecoveryTally> {
        self.map.get(&(what, Arc::clone(source)))
    }
}
