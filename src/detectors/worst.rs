//! Many findings of one kind: the worst are told one by one, the rest in one, whatever their number.

use super::details::texts;
use super::{Chapter, Finding, find};
use crate::evidence::{EXAMPLES, Evidence};

/// Findings of a detector that are told one by one.
const ONE_BY_ONE: usize = 40;
/// The same for refused identities: each has a fix of its own.
const IDENTITIES: usize = 200;
/// Subjects and titles that the rest names.
const NAMED: usize = 200;

/// The word that stands in the id of the finding for the rest.
const REST: &str = "others";

/// Whether a finding stands for many.
pub(super) fn is_rest(finding: &Finding) -> bool {
    finding.id.rsplit('.').next() == Some(REST) && finding.unit == "finding"
}

/// Collects the findings of a detector.
#[derive(Default)]
pub struct WorstFindings {
    kept: Vec<Finding>,
    rest: Option<Rest>,
}

/// What became of those that are not kept.
struct Rest {
    worst: Finding,
    count: u64,
    evidence: Vec<Evidence>,
    titles: Vec<String>,
    subjects: Vec<super::SubjectRef>,
}

impl WorstFindings {
    /// How many are told one by one.
    fn most(&self) -> usize {
        let detector = self.kept.first().and_then(|finding| find(finding.detector));
        let identities = detector.is_some_and(|detector| detector.chapter == Chapter::Authorization);
        if identities { IDENTITIES } else { ONE_BY_ONE }
    }

    fn push(&mut self, finding: Finding) {
        self.kept.push(finding);
        if self.kept.len() > 8 * IDENTITIES {
            self.prune();
        }
    }

    fn prune(&mut self) {
        let most = self.most();
        self.kept.sort_by_cached_key(Finding::rank);
        for finding in self.kept.drain(most.min(self.kept.len())..) {
            Rest::add(&mut self.rest, finding);
        }
    }

    /// The worst, in their order, and one for the rest.
    fn finish(mut self) -> Vec<Finding> {
        let most = self.most();
        if self.rest.is_some() || self.kept.len() > most + 1 {
            self.prune();
        } else {
            self.kept.sort_by_cached_key(Finding::rank);
        }
        self.kept.extend(self.rest.and_then(|rest| rest.finding(most)));
        self.kept
    }
}

impl Rest {
    fn add(rest: &mut Option<Self>, finding: Finding) {
        let Some(rest) = rest else {
            *rest = Some(Self {
                count: 1,
                evidence: finding.evidence.iter().take(1).cloned().collect(),
                titles: vec![finding.title.clone()],
                subjects: finding.subjects.clone(),
                worst: finding,
            });
            return;
        };
        rest.count += 1;
        if rest.evidence.len() < EXAMPLES {
            rest.evidence.extend(finding.evidence.first().cloned());
        }
        if rest.titles.len() < NAMED {
            rest.titles.push(finding.title.clone());
        }
        let free = NAMED.saturating_sub(rest.subjects.len());
        rest.subjects.extend(finding.subjects.iter().take(free).cloned());
        if finding.rank() < rest.worst.rank() {
            rest.worst = finding;
        }
    }

    fn finding(self, most: usize) -> Option<Finding> {
        let Self { worst, count, evidence, titles, subjects } = self;
        let detector = find(worst.detector)?;
        let title = format!("{}: {count} more like those above", detector.title);
        let mut joined = Finding::new(detector.id, REST, title, evidence)?;
        joined.severity = worst.severity;
        joined.confidence = worst.confidence;
        joined.fix.text = format!("As for those above. {}", worst.fix.text);
        joined.count = count;
        joined.unit = "finding";
        joined.subjects = subjects;
        joined.details.common.titles = texts(titles);
        joined.cause =
            format!("The same as in the {most} findings above, which are the worst, {count} times more.");
        joined.verify = worst.verify;
        Some(joined)
    }
}

impl FromIterator<Finding> for WorstFindings {
    fn from_iter<I: IntoIterator<Item = Finding>>(findings: I) -> Self {
        let mut worst = Self::default();
        findings.into_iter().for_each(|finding| worst.push(finding));
        worst
    }
}

impl From<WorstFindings> for Vec<Finding> {
    fn from(worst: WorstFindings) -> Self {
        worst.finish()
    }
}
