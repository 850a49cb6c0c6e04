//! What no exact cause takes: pods that do not run are told in any case, and once.

use std::collections::BTreeSet;

use crate::detectors::{Confidence, Finding, Outcome, Severity, SubjectRef};

/// The detector that tells of every pod that does not run.
const OF_ALL: &str = "pod-not-running";

fn pods(finding: &Finding) -> impl Iterator<Item = &SubjectRef> {
    finding.subjects.iter().filter(|subject| subject.kind == "Pod")
}

/// Leaves out the pods that another finding is about, and the findings that have none left.
pub(super) fn keep_what_no_other_tells<'a>(outcomes: impl Iterator<Item = &'a mut Outcome>) {
    let mut outcomes: Vec<&mut Outcome> = outcomes.collect();
    let concerns_a_pod = |finding: &&Finding| {
        finding.detector != OF_ALL
            && finding.severity > Severity::Info
            && finding.confidence > Confidence::Possible
    };
    let covered: BTreeSet<SubjectRef> = outcomes
        .iter()
        .flat_map(|outcome| &outcome.findings)
        .filter(concerns_a_pod)
        .flat_map(pods)
        .cloned()
        .collect();
    for outcome in &mut outcomes {
        outcome
            .findings
            .retain(|finding| finding.detector != OF_ALL || pods(finding).any(|pod| !covered.contains(pod)));
    }
}
