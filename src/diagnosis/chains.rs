//! Which finding explains which: a detector names the detectors whose findings it may be the cause of, and two
//! findings are joined when they have a subject in common and their times agree.

use std::collections::{BTreeMap, BTreeSet};

use crate::detectors::{self, Confidence, Finding, SubjectRef};

/// Sets `explained_by` of every finding that another one explains.
pub(super) fn explain(findings: &mut [Finding]) {
    let mut by_subject: BTreeMap<SubjectRef, Vec<usize>> = BTreeMap::new();
    for (at, finding) in findings.iter().enumerate() {
        for subject in &finding.subjects {
            by_subject.entry(subject.clone()).or_default().push(at);
        }
    }
    let mut links: Vec<(usize, usize)> = Vec::new();
    for (cause, finding) in findings.iter().enumerate() {
        let explains = detectors::find(finding.detector).map_or(&[][..], |detector| detector.explains);
        // A mere possibility explains nothing.
        if explains.is_empty() || finding.confidence == Confidence::Possible {
            continue;
        }
        let related: BTreeSet<usize> = finding
            .subjects
            .iter()
            .filter_map(|subject| by_subject.get(subject))
            .flatten()
            .copied()
            .collect();
        for symptom in related {
            let Some(other) = findings.get(symptom) else { continue };
            if symptom != cause && explains.contains(&other.detector) && times_agree(finding, other) {
                links.push((cause, symptom));
            }
        }
    }
    let ids: Vec<String> = findings.iter().map(|finding| finding.id.clone()).collect();
    for (cause, symptom) in &links {
        // Two that name each other as symptoms: neither is the cause.
        if links.contains(&(*symptom, *cause)) {
            continue;
        }
        if let (Some(finding), Some(id)) = (findings.get_mut(*symptom), ids.get(*cause)) {
            finding.explained_by.push(id.clone());
        }
    }
}

/// A cause that began after its symptom had ended is none. What has no time agrees.
fn times_agree(cause: &Finding, symptom: &Finding) -> bool {
    match (&cause.first_seen, &symptom.last_seen) {
        // RFC 3339 in UTC sorts as text.
        (Some(begin), Some(end)) => begin <= end,
        _ => true,
    }
}

/// All that a finding explains, directly or by way of others.
pub(super) fn symptoms(of: &str, findings: &[Finding]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = vec![of.to_owned()];
    while let Some(cause) = open.pop() {
        for finding in findings.iter().filter(|finding| finding.explained_by.contains(&cause)) {
            if finding.id != of && !found.contains(&finding.id) {
                found.push(finding.id.clone());
                open.push(finding.id.clone());
            }
        }
    }
    found
}
