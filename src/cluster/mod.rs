//! REASON: everything that was read, frozen, with the engines that answer questions of it.

pub mod ipam;
pub mod rbac;
mod requests;

use crate::facts::{Denial, DenialKey, Facts};

/// The bundle as one cluster.
pub struct Cluster {
    /// What was read.
    pub facts: Facts,
    /// Denied requests: audit events and access log lines joined by audit id.
    pub denials: Vec<(DenialKey, Denial)>,
    /// How that join went.
    pub joined: requests::Joined,
    /// Addresses per node.
    pub ledger: ipam::Ledger,
    /// Newest absolute time of the bundle, in microseconds since 1970.
    pub anchor: Option<i64>,
    /// About when the logs end: a time that at least two of them reach, since a single text may name any date.
    pub logs_end: Option<i64>,
}

impl Cluster {
    /// Freezes the facts and builds the indexes.
    pub fn freeze(mut facts: Facts) -> Self {
        facts.objects.settle();
        let anchor = facts.span.newest().or(facts.text_span.newest());
        let (denials, joined) = requests::join(&facts);
        let ledger = ipam::Ledger::build(&facts, anchor);
        let logs_end = logs_end(&facts, anchor);
        Self { facts, denials, joined, ledger, anchor, logs_end }
    }
}

fn logs_end(facts: &Facts, anchor: Option<i64>) -> Option<i64> {
    let entries = facts.coverage.entries.values();
    let mut ends: Vec<i64> =
        entries.filter_map(|entry| entry.span.resolve(anchor)).map(|(_, end)| end).collect();
    ends.sort_unstable();
    ends.into_iter().rev().nth(1).max(facts.span.newest())
}
