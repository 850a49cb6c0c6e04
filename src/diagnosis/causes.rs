//! Root causes in rows, as a reader wants them: what differs only in whom it hits is one row, however many they are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RootCause;
use crate::detectors::{Confidence, Finding, FindingState, Severity, SubjectRef};
use crate::facts::text::counted;

/// Subjects that a row names.
const NAMED: usize = 3;

/// One cause, of one subject or of many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CauseRow {
    /// The fault in one line.
    pub title: String,
    /// The worst of its findings.
    pub severity: Severity,
    /// The surest.
    pub confidence: Confidence,
    /// Ongoing when one of them is.
    pub state: FindingState,
    /// It is about what the customer asks about.
    pub in_question: bool,
    /// Why, in a sentence.
    pub why: String,
    /// What to do first, in a sentence.
    pub first_step: String,
    /// Ids of the findings that are this cause, the worst first.
    pub findings: Vec<String>,
    /// Ids of the findings that follow from it.
    pub follows: Vec<String>,
}

/// RBAC denies it, whichever rule is missing or wrong.
pub(super) fn is_missing_rule(finding: &Finding) -> bool {
    finding.details.authorization.bundle_rbac.is_some()
}

/// A subject as people name it.
pub(super) fn name(subject: &SubjectRef) -> String {
    if subject.namespace.is_empty() {
        subject.name.clone()
    } else {
        format!("{}/{}", subject.namespace, subject.name)
    }
}

fn named(subjects: &[&SubjectRef]) -> String {
    let names: Vec<String> = subjects.iter().take(NAMED).map(|subject| name(subject)).collect();
    let more = subjects.len().saturating_sub(NAMED);
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
}

/// The title of several findings of one cause.
fn title(findings: &[&Finding]) -> String {
    let subjects: BTreeSet<&SubjectRef> =
        findings.iter().filter_map(|finding| finding.subjects.first()).collect();
    let subjects: Vec<&SubjectRef> = subjects.into_iter().collect();
    if findings.iter().all(|finding| is_missing_rule(finding)) {
        let requests: u64 = findings.iter().map(|finding| finding.count).sum();
        let identities: BTreeSet<&str> =
            findings.iter().filter_map(|finding| finding.details.authorization.identity.as_deref()).collect();
        return format!(
            "{} denied by RBAC, 403 Forbidden ({}): {}",
            counted(identities.len().max(1), "identity"),
            counted(requests, "request"),
            named(&subjects)
        );
    }
    let Some((first, others)) = findings.split_first() else { return String::new() };
    let ours = first.subjects.first();
    let others: BTreeSet<&SubjectRef> = others
        .iter()
        .filter_map(|finding| finding.subjects.first())
        .filter(|subject| Some(*subject) != ours)
        .collect();
    let others: Vec<&SubjectRef> = others.into_iter().collect();
    if others.is_empty() {
        return format!("{} (and {} more)", first.title, findings.len() - 1);
    }
    format!("{}; also {}", first.title, named(&others))
}

/// The detector, or what stands for several; what is said; and how bad it is, but of several that are one row in any case.
type RowKey = (&'static str, String, Option<Severity>);

/// What is one row: all that RBAC denies, and the findings of any other cause that say the same of different objects.
fn row_of(root: &RootCause, finding: &Finding) -> RowKey {
    if is_missing_rule(finding) {
        ("RBAC", String::new(), None)
    } else {
        (finding.detector, without_names(finding), Some(root.severity))
    }
}

/// A title without the names of what it is about, its numbers, and what stands in brackets.
fn without_names(finding: &Finding) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let (mut depth, mut after_container) = (0_usize, false);
    for word in finding.title.split_whitespace() {
        let (opens, closes) = (word.matches('(').count(), word.matches(')').count());
        let inside = depth > 0 || word.starts_with('(');
        depth = (depth + opens).saturating_sub(closes);
        let bare = word.trim_matches(|c: char| matches!(c, ':' | ',' | ';' | '"'));
        let name = bare.rsplit('/').next().unwrap_or(bare);
        let is_name = finding.subjects.iter().any(|subject| {
            subject.name == name
                || subject.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
                || bare == subject.namespace
        });
        let number = bare.chars().all(|c| c.is_ascii_digit()) && !bare.is_empty();
        if !inside && !is_name && !number && !std::mem::take(&mut after_container) {
            kept.push(word);
        }
        after_container = word == "container";
    }
    kept.join(" ")
}

/// How many objects suffer from a cause: its subjects and those of what follows from it.
fn breadth(row: &CauseRow, by_id: &BTreeMap<&str, &Finding>) -> usize {
    let all = row.findings.iter().chain(&row.follows).filter_map(|id| by_id.get(id.as_str()));
    all.flat_map(|finding| &finding.subjects).collect::<BTreeSet<_>>().len()
}

/// The rows of root causes, by harm: how bad, how sure, whether it goes on, how many suffer from it.
pub(super) fn rows(roots: &[RootCause], findings: &[Finding]) -> Vec<CauseRow> {
    let by_id: BTreeMap<&str, &Finding> =
        findings.iter().map(|finding| (finding.id.as_str(), finding)).collect();
    let mut groups: Vec<(RowKey, Vec<(&RootCause, &Finding)>)> = Vec::new();
    for root in roots {
        let Some(finding) = by_id.get(root.id.as_str()) else { continue };
        let key = row_of(root, finding);
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, group)) => group.push((root, finding)),
            None => groups.push((key, vec![(root, finding)])),
        }
    }
    let mut rows: Vec<CauseRow> = groups
        .into_iter()
        .filter_map(|(_, group)| {
            let (first, _) = group.first()?;
            let ours: BTreeSet<&str> = group.iter().map(|(root, _)| root.id.as_str()).collect();
            let mut follows: Vec<String> = Vec::new();
            for id in group.iter().flat_map(|(root, _)| &root.findings) {
                if !ours.contains(id.as_str()) && !follows.contains(id) {
                    follows.push(id.clone());
                }
            }
            let of_group: Vec<&Finding> = group.iter().map(|(_, finding)| *finding).collect();
            Some(CauseRow {
                title: if group.len() == 1 { first.title.clone() } else { title(&of_group) },
                severity: group.iter().map(|(root, _)| root.severity).max().unwrap_or(first.severity),
                confidence: first.confidence,
                state: group
                    .iter()
                    .map(|(root, _)| root.state)
                    .min_by_key(|state| *state != FindingState::Ongoing)
                    .unwrap_or_default(),
                in_question: group.iter().any(|(root, _)| root.in_question),
                why: first.why.clone(),
                first_step: first.first_step.clone(),
                findings: group.iter().map(|(root, _)| root.id.clone()).collect(),
                follows,
            })
        })
        .collect();
    rows.sort_by_cached_key(|row| {
        Reverse((
            row.severity == Severity::Critical,
            row.in_question,
            row.severity,
            row.confidence,
            row.state == FindingState::Ongoing,
            breadth(row, &by_id),
        ))
    });
    rows
}
