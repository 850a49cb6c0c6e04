//! What no exact cause takes: pods that do not run are told in any case, and once.

use std::collections::BTreeSet;

use crate::detectors::{Confidence, Finding, Outcome, Severity, SubjectRef};

/// The detectors that tell of pods of which no other tells, each after the one before it.
const OF_ALL: [&str; 2] = ["pod-not-running", "pod-log-errors"];

fn pods(finding: &Finding) -> impl Iterator<Item = &SubjectRef> {
    finding.subjects.iter().filter(|subject| subject.kind == "Pod")
}

/// Leaves out the pods that another finding is about, and the findings that have none left.
pub(super) fn keep_what_no_other_tells<'a>(outcomes: impl Iterator<Item = &'a mut Outcome>) {
    let mut outcomes: Vec<&mut Outcome> = outcomes.collect();
    for (at, of_all) in OF_ALL.iter().enumerate() {
        let later = OF_ALL.get(at..).unwrap_or_default();
        let concerns_a_pod = |finding: &&Finding| {
            !later.contains(&finding.detector)
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
            outcome.findings.retain(|finding| {
                finding.detector != *of_all || pods(finding).any(|pod| !covered.contains(pod))
            });
        }
    }
}
