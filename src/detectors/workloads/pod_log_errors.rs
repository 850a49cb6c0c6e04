//! The log of a pod ends with errors, and nothing else is known to be wrong with it.

use crate::cluster::Cluster;
use crate::cluster::pods::words::{last_words, without_time};
use crate::detectors::details::texts;
use crate::detectors::needs::POD_LOGS;
use crate::detectors::observed::{Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::evidence::Evidence;
use crate::facts::text::beginning;
use crate::facts::{Key, Pod};

/// Characters of a line that fit into a title.
const TITLE: usize = 110;
/// Lines that may stand behind the failure with which a log ends.
const BEHIND: u64 = 5;
/// A bundle with more logs than this is a dump of everything: nobody picked them.
const PICKED: usize = 5;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-log-errors",
    chapter: Chapter::Workloads,
    title: "Log of a pod ends with errors",
    needs: &[POD_LOGS],
    explains: &[],
    doc: Doc {
        meaning: "A pod runs, and the log that was sent of it ends with errors.",
        decision: "Only where somebody picked the logs: when the bundle has very few. The last line that names a failure is quoted, and nothing is concluded from it: possible at most. Pods that another finding is about are left out.",
        action: "Read the line: what it names (a host, a file, a setting, a password) is what to look at.",
        reference: "Kubernetes: Debug Running Pods; Logging Architecture.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    if cluster.facts.log_ends.map.len() > PICKED {
        return Outcome::default();
    }
    let pods = cluster.facts.objects.pods.iter();
    let running = pods.filter(|(_, seen)| &*seen.object.status.phase == "Running");
    running
        .filter(|(key, _)| ends_with_it(cluster, key))
        .filter_map(|(key, seen)| finding(key, &seen.object, last_words(&cluster.facts, key, "")))
        .collect()
}

/// Whether nothing but a few lines stands behind the last failure in its log.
fn ends_with_it(cluster: &Cluster, key: &Key) -> bool {
    last_words(&cluster.facts, key, "").last().is_some_and(|last| {
        let end = cluster.facts.log_ends.map.iter().find(|(path, _)| **path == last.source);
        end.is_some_and(|(_, end)| end.end.saturating_sub(last.line) <= BEHIND)
    })
}

fn finding(key: &Key, pod: &Pod, lines: &[Evidence]) -> Option<Finding> {
    let last = lines.last()?;
    let mut observed = Observed { count: lines.len() as u64, ..Observed::default() };
    observed.pods.insert(key.clone());
    observed.evidence.extend(lines.iter().cloned());
    let target = format!("{} -n {}", shell(&key.name), shell(&key.namespace));
    let says = Wording {
        severity: Severity::Low,
        confidence: Confidence::Possible,
        unit: "line",
        cause: format!(
            "Pod {} is {}, and its log ends with: {}",
            key.label(),
            if pod.is_ready() { "ready" } else { "Running" },
            last.excerpt
        ),
        fix: "Look at what the line names: a host, a file, a setting, a password. Compare it with what the pod is given (env, ConfigMap, Secret).".to_owned(),
        commands: vec![format!("kubectl logs {target} --all-containers --tail=100")],
        verify: vec![format!("kubectl logs {target} --all-containers --since=5m   # without the error")],
    };
    let title = format!(
        "Pod {}: log ends with an error: {}",
        key.label(),
        beginning(without_time(&last.excerpt), TITLE)
    );
    let mut finding = observed.finding(&DETECTOR, &key.label(), title, says)?;
    finding.details.workload.last_words = texts(lines.iter().map(|line| &line.excerpt));
    Some(finding)
}
