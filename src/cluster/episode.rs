//! Whether a fault is over, by the log that tells of it: each source has its own clock, and none says when another's faults end.

use std::collections::BTreeSet;

use crate::evidence::Evidence;
use crate::facts::{Facts, Recovery, time::Span};

/// Silence that is no mere pause, in microseconds.
const SILENCE: i64 = 10 * 60 * 1_000_000;
/// So many times the usual distance of two occurrences.
const GAPS: i64 = 3;

/// Whether what was seen at these places, so often, had ended when its log did: it recovered, or the log goes on without it for long.
/// `None` when the log tells no times.
pub fn is_over(
    facts: &Facts,
    recovery: Option<Recovery>,
    span: &Span,
    count: u64,
    places: &[Evidence],
) -> Option<bool> {
    let sources: BTreeSet<_> = places.iter().map(|place| &place.source).collect();
    let recovered = sources.iter().any(|source| {
        let tally = recovery.and_then(|what| facts.recoveries.of(what, source));
        tally.and_then(|tally| span.until_end_of(&tally.span)).is_some_and(|after| after >= 0)
    });
    if recovered {
        return Some(true);
    }
    // The log of a container that ended, ends with it: what its successor does stands in another.
    if sources.iter().all(|source| source.contains("previous")) {
        return None;
    }
    let logs = sources.iter().filter_map(|source| facts.coverage.entries.get(&***source));
    let silence = logs.filter_map(|log| span.until_end_of(&log.span)).max()?;
    let gap = span.length() / i64::try_from(count.saturating_sub(1).max(1)).unwrap_or(i64::MAX);
    Some(silence > SILENCE && silence > gap.saturating_mul(GAPS))
}
