//! Many findings of one kind: the worst are told one by one, the rest in one.

use crate::detectors::details::texts;
use crate::detectors::{Chapter, Detector, Finding};
use crate::evidence::EXAMPLES;

/// Findings of a detector that are told one by one.
const ONE_BY_ONE: usize = 40;
/// Subjects and titles that the rest names.
const NAMED: usize = 200;

/// The word that stands in the id of what was folded.
const REST: &str = "others";

/// Whether a finding stands for many.
pub(super) fn is_rest(finding: &Finding) -> bool {
    finding.id.rsplit('.').next() == Some(REST) && finding.unit == "finding"
}

/// Leaves the worst findings of a detector, and one for all others. A refused identity has its own fix, so those
/// are never joined. The findings are in order, worst first.
pub(super) fn joined(detector: &Detector, mut findings: Vec<Finding>) -> Vec<Finding> {
    if findings.len() <= ONE_BY_ONE + 1 || detector.chapter == Chapter::Authorization {
        return findings;
    }
    let rest = findings.split_off(ONE_BY_ONE);
    let evidence: Vec<_> =
        rest.iter().filter_map(|item| item.evidence.first()).take(EXAMPLES).cloned().collect();
    let title = format!("{}: {} more like those above", detector.title, rest.len());
    let Some(mut joined) = Finding::new(detector.id, REST, title, evidence) else { return findings };
    if let Some(worst) = rest.first() {
        joined.severity = worst.severity;
        joined.confidence = worst.confidence;
        joined.fix = worst.fix.clone();
        joined.fix.manifests = Vec::new();
        joined.fix.commands = Vec::new();
        joined.fix.text = format!("As for those above. {}", worst.fix.text);
    }
    joined.count = rest.len() as u64;
    joined.unit = "finding";
    joined.subjects = rest.iter().flat_map(|item| item.subjects.iter().cloned()).take(NAMED).collect();
    joined.details.common.titles = texts(rest.iter().take(NAMED).map(|item| &item.title));
    joined.cause = format!(
        "The same as in the {ONE_BY_ONE} findings above, which are the worst, {} times more.",
        rest.len()
    );
    joined.verify = rest.first().map(|item| item.verify.clone()).unwrap_or_default();
    findings.push(joined);
    findings
}
