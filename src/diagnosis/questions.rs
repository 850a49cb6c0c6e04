//! What to ask the customer for: what would refute or complete the diagnosis first.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::chains::may_make;
use super::{Ask, RootCause};
use crate::detectors::{self, Confidence, Detector, Finding, Need, Severity};

/// Most that are asked of a customer at once.
const MOST: usize = 6;
/// Root causes about which is asked.
const LEADING: usize = 3;

/// What a cause needs and does not have.
pub(super) struct OpenQuestion {
    pub(super) detector: &'static Detector,
    pub(super) need: &'static Need,
}

/// How much an answer would say of what was found: of a deeper cause, of what is only suspected, of the same chapter.
fn weight(
    question: &OpenQuestion,
    leading: &[(&'static Detector, &Finding)],
    suspected: &BTreeSet<&str>,
) -> usize {
    let detector = question.detector;
    // What ends with words of its own says itself why.
    let says_why = |finding: &Finding| {
        finding.confidence == Confidence::Confirmed && !finding.details.workload.last_words.is_empty()
    };
    let explains = leading.iter().any(|(found, finding)| {
        detector.explains.contains(&found.id) && !says_why(finding) && may_make(detector, true, finding)
    });
    let same = suspected.contains(detector.id);
    // Of what is proved, nothing near it needs to be known.
    let near = leading.iter().any(|(found, finding)| {
        found.chapter == detector.chapter && finding.confidence < Confidence::Confirmed
    });
    usize::from(explains) * 8 + usize::from(same) * 8 + usize::from(near)
}

/// What else decides which questions make sense.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    /// The cluster is not on Azure.
    pub(super) elsewhere: bool,
    /// More causes could be checked than not: where nothing was found, nothing needs to be asked.
    pub(super) mostly_checked: bool,
}

/// Several causes may need the same: one line, and the reason that they share.
pub(super) fn join(
    questions: &[OpenQuestion],
    roots: &[RootCause],
    findings: &[Finding],
    setting: Setting,
) -> Vec<Ask> {
    let leading: Vec<(&'static Detector, &Finding)> = roots
        .iter()
        .filter(|root| root.severity >= Severity::Medium)
        .filter_map(|root| findings.iter().find(|finding| finding.id == root.id))
        .filter_map(|finding| Some((detectors::find(finding.detector)?, finding)))
        .take(LEADING)
        .collect();
    let suspected: BTreeSet<&str> = findings
        .iter()
        .filter(|finding| finding.confidence < Confidence::Confirmed && finding.severity >= Severity::Medium)
        .map(|finding| finding.detector)
        .collect();
    // Nothing was found: whatever most causes need.
    let nothing = leading.is_empty();
    let mut joined: Vec<JoinedQuestion> = Vec::new();
    for question in questions {
        // Who has no Azure can't run its commands.
        if setting.elsewhere && is_of_azure(question.need) {
            continue;
        }
        let weight = if nothing {
            usize::from(!setting.mostly_checked)
        } else {
            weight(question, &leading, &suspected)
        };
        match joined.iter_mut().find(|other| other.need.command == question.need.command) {
            Some(other) => {
                other.causes += 1;
                other.weight += weight;
            }
            None => joined.push(JoinedQuestion {
                need: question.need,
                first: question.detector.title,
                causes: 1,
                weight,
            }),
        }
    }
    drop_parts(&mut joined);
    joined.sort_by_key(|item| Reverse((item.weight, item.causes)));
    joined
        .into_iter()
        .enumerate()
        .map(|(at, item)| Ask {
            what: item.need.what.to_owned(),
            why: if item.causes > 1 {
                format!("for {} of the causes: {}", item.causes, item.need.why)
            } else {
                format!("{}: {}", item.first, item.need.why)
            },
            command: item.need.command.to_owned(),
            decides: at < MOST && item.weight > 0,
        })
        .collect()
}

/// Whether all of its commands are Azure's.
fn is_of_azure(need: &Need) -> bool {
    let mut commands = need.command.lines().filter(|line| !line.trim().is_empty());
    commands.clone().next().is_some() && commands.all(|line| line.trim_start().starts_with("az "))
}

struct JoinedQuestion {
    need: &'static Need,
    /// Title of the first cause that needs it.
    first: &'static str,
    causes: usize,
    weight: usize,
}

/// A command that is part of another's need not be given twice.
fn drop_parts(joined: &mut Vec<JoinedQuestion>) {
    let mut at = 0;
    while let Some(item) = joined.get(at) {
        let command = item.need.command;
        let holds = |other: &JoinedQuestion| {
            other.need.command.len() > command.len()
                && command.lines().all(|line| other.need.command.lines().any(|ours| ours == line))
        };
        match joined.iter().position(holds) {
            Some(whole) => {
                let (causes, weight) = (item.causes, item.weight);
                if let Some(other) = joined.get_mut(whole) {
                    other.causes += causes;
                    other.weight += weight;
                }
                joined.remove(at);
            }
            None => at += 1,
        }
    }
}
