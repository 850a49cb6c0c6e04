//! What happened when: refusals, failed connections, errors, events and restarts on one axis, with the onset of each
//! cause and the stretches of which no log tells.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RootCause;
use crate::cluster::Cluster;
use crate::detectors::Finding;
use crate::facts::time::{self, When};

/// Columns of the axis.
const COLUMNS: usize = 96;
/// Causes whose onset is marked.
const ONSETS: usize = 12;
/// A stretch without logs is told when it is at least this share of the whole.
const GAP_SHARE: i64 = 20;
/// Shortest span that is worth an axis, in microseconds.
const SHORTEST: i64 = 60 * 1_000_000;
/// Longest span: what lies further back than this is told by its dates, in microseconds.
const LONGEST: i64 = 7 * 24 * 3600 * 1_000_000;

/// One row of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lane {
    /// What is counted.
    #[serde(skip_deserializing)]
    pub what: &'static str,
    /// In the whole span.
    pub total: u64,
    /// By column.
    pub counts: Vec<u64>,
}

/// When a cause was first seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Onset {
    /// Id of the finding.
    pub id: String,
    /// The fault in one line.
    pub title: String,
    /// RFC 3339.
    pub at: String,
    /// Column.
    pub column: usize,
}

/// A stretch of which no log tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// RFC 3339.
    pub from: String,
    /// RFC 3339.
    pub to: String,
    /// First column.
    pub first: usize,
    /// Last column.
    pub last: usize,
}

/// The timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    /// RFC 3339.
    pub from: String,
    /// RFC 3339.
    pub to: String,
    /// Seconds of a column.
    pub column_seconds: u64,
    /// Rows with something in them.
    pub lanes: Vec<Lane>,
    /// Onsets, in order.
    pub onsets: Vec<Onset>,
    /// Gaps, in order.
    pub gaps: Vec<Gap>,
}

impl Timeline {
    pub(super) fn of(cluster: &Cluster, roots: &[RootCause], findings: &[Finding]) -> Option<Self> {
        let facts = &cluster.facts;
        // What began before the time that is asked for, and objects, tell of other times, too.
        let question = |at: &i64| facts.window.admits([Some(When::At(*at)), None]);
        let at = |when: When| when.resolve(cluster.anchor).filter(question);
        let refused: Vec<i64> =
            cluster.denials.iter().flat_map(|(_, denial)| denial.requests.times()).filter_map(at).collect();
        let attempts = facts.attempts.map.iter().flat_map(|(_, tally)| tally.sightings.times());
        let failed: Vec<i64> = attempts.filter_map(at).collect();
        let signals = facts.signals.map.iter().flat_map(|(_, tally)| tally.sightings.times());
        let errors: Vec<i64> = signals.filter_map(at).collect();
        let warnings = facts.events.map.iter().filter(|(key, _)| !key.normal);
        let events: Vec<i64> = warnings
            .filter_map(|(_, tally)| tally.span.resolve(cluster.anchor))
            .flat_map(|(first, last)| if first == last { vec![first] } else { vec![first, last] })
            .filter(question)
            .collect();
        let ended =
            facts.objects.pods.iter().flat_map(|(_, seen)| seen.object.status.container_statuses.iter());
        let restarts: Vec<i64> = ended
            .filter_map(|status| status.last_state.terminated.as_ref())
            .filter_map(|item| at(When::At(item.finished_at.0?)))
            .collect();
        let lanes = [
            ("requests refused (401, 403)", refused),
            ("connections failed", failed),
            ("known errors", errors),
            ("warning events, first and last", events),
            ("containers ended", restarts),
        ];
        let mut all: Vec<i64> = lanes.iter().flat_map(|(_, times)| times).copied().collect();
        all.sort_unstable();
        let last = *all.last()?;
        // A single old date must not press everything else into one column.
        let first = all.iter().copied().find(|at| last - at <= LONGEST)?;
        if last - first < SHORTEST {
            return None;
        }
        let width = ((last - first) / COLUMNS as i64).max(1);
        let column = |at: i64| (((at - first) / width).max(0) as usize).min(COLUMNS - 1);
        let lanes = lanes.into_iter().filter_map(|(what, times)| {
            let mut counts = vec![0; COLUMNS];
            let inside: Vec<i64> = times.into_iter().filter(|at| *at >= first).collect();
            for at in &inside {
                if let Some(count) = counts.get_mut(column(*at)) {
                    *count += 1;
                }
            }
            (!inside.is_empty()).then_some(Lane { what, total: inside.len() as u64, counts })
        });
        let mut onsets: Vec<Onset> = roots
            .iter()
            .filter_map(|root| {
                let finding = findings.iter().find(|finding| finding.id == root.id)?;
                let seen = finding.first_seen.as_ref()?;
                let micros = time::rfc3339(seen.as_bytes()).and_then(|(when, _)| at(when))?;
                let inside = (first..=last).contains(&micros);
                inside.then(|| Onset {
                    id: root.id.clone(),
                    title: root.title.clone(),
                    at: seen.clone(),
                    column: column(micros),
                })
            })
            .take(ONSETS)
            .collect();
        onsets.sort_by(|a, b| a.at.cmp(&b.at));
        Some(Self {
            from: time::rfc3339_text(first),
            to: time::rfc3339_text(last),
            column_seconds: (width / 1_000_000).max(1) as u64,
            lanes: lanes.collect(),
            onsets,
            gaps: gaps(cluster, &all, first, last, column),
        })
    }
}

/// Stretches of which nothing tells, by the first and last times of each log and by single times.
fn gaps(cluster: &Cluster, times: &[i64], first: i64, last: i64, column: impl Fn(i64) -> usize) -> Vec<Gap> {
    let entries = cluster.facts.coverage.entries.values();
    let mut covered: Vec<(i64, i64)> =
        entries.filter_map(|entry| entry.span.resolve(cluster.anchor)).collect();
    if covered.is_empty() {
        return Vec::new();
    }
    // What an event tells is told, too.
    covered.extend(times.iter().map(|at| (*at, *at)));
    covered.sort_unstable();
    let mut found = Vec::new();
    let mut until = first;
    for (begin, end) in covered.into_iter().chain([(last, last)]) {
        if begin > until && begin - until >= (last - first) / GAP_SHARE && begin <= last {
            found.push(Gap {
                from: time::rfc3339_text(until),
                to: time::rfc3339_text(begin),
                first: column(until),
                last: column(begin),
            });
        }
        until = until.max(end);
    }
    found
}
