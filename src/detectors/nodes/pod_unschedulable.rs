//! Pods that the scheduler cannot place (`FailedScheduling`), grouped by why.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cluster::service::{Why, why_not_ready};
use crate::detectors::needs::PODS;
use crate::detectors::observed::{Observed, Wording, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, shell};
use crate::evidence::excerpt;
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-unschedulable",
    chapter: Chapter::Nodes,
    title: "Pod Pending: FailedScheduling",
    needs: &[PODS],
    explains: &["service-pods-not-ready"],
    doc: Doc {
        meaning: "The scheduler finds no node for a pod (Unschedulable) and reports for how many nodes which reason applies: Insufficient cpu or memory, Too many pods, an untolerated taint, node affinity/selector, a volume in another zone, an unbound PersistentVolumeClaim.",
        decision: "Pending pods whose condition PodScheduled is False, or with FailedScheduling events, grouped by the reasons that the scheduler names. Confirmed. `Too many pods` is the node's max pods limit.",
        action: "Act on the reason: requests, max pods, taints, selectors, zones; or add nodes.",
        reference: "AKS: Troubleshoot pod scheduler errors in AKS. Kubernetes: Assigning Pods to Nodes; Taints and Tolerations.",
    },
    detect,
};

/// The scheduler's reasons: its words, a title, what to do.
const CONDITIONS: &[(&str, &str, &str)] = &[
    (
        "Insufficient cpu",
        "Insufficient cpu",
        "Lower the pod's cpu request if it is higher than needed, or add nodes.",
    ),
    (
        "Insufficient memory",
        "Insufficient memory",
        "Lower the pod's memory request if it is higher than needed, or add nodes.",
    ),
    (
        "Too many pods",
        "Too many pods (max pods per node reached)",
        "Add nodes, or a node pool with a higher max pods, whose subnet has the IPs for it.",
    ),
    (
        "volume node affinity conflict",
        "volume node affinity conflict (volume in another zone or on another node)",
        "Create the volume where the pod can run (volumeBindingMode: WaitForFirstConsumer), or add a node in the volume's zone.",
    ),
    (
        "untolerated taint",
        "untolerated taint",
        "Add a toleration to the pod, or remove the taint if it is no longer needed; the taints not-ready and unreachable mark nodes that are NotReady.",
    ),
    (
        "didn't match Pod's node affinity/selector",
        "nodeSelector/affinity matches no node",
        "Correct the nodeSelector or affinity, or label nodes; a node pool scaled to zero has no node to match.",
    ),
    (
        "didn't match pod anti-affinity",
        "pod anti-affinity excludes nodes",
        "Add nodes, or make the anti-affinity preferred instead of required.",
    ),
    (
        "unbound immediate PersistentVolumeClaims",
        "unbound PersistentVolumeClaim",
        "Check why the claim is not bound: its storage class, its provisioner, its quota.",
    ),
    (
        "unschedulable",
        "nodes cordoned (unschedulable)",
        "Uncordon the nodes once what cordoned them is finished.",
    ),
];

/// The conditions that a message names, by their place in the table.
fn named(message: &str) -> Vec<usize> {
    let found = CONDITIONS.iter().enumerate().filter(|(_, (words, ..))| message.contains(words));
    found.map(|(at, _)| at).collect()
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut groups: BTreeMap<Vec<usize>, (Observed, String)> = BTreeMap::new();
    for (key, seen) in
        cluster.facts.objects.pods.iter().filter(|(_, seen)| &*seen.object.status.phase == "Pending")
    {
        let Some(Why::Unscheduled(message)) = why_not_ready(&cluster.facts, key, &seen.object) else {
            continue;
        };
        if message.is_empty() {
            continue;
        }
        let (observed, words) = groups.entry(named(&message)).or_default();
        observed.count += 1;
        observed.pods.insert(key.clone());
        observed.evidence.extend(seen.evidence("Pod", key).into_iter().take(1).map(|mut place| {
            place.excerpt = excerpt(message.as_bytes());
            place
        }));
        if words.is_empty() {
            *words = message;
        }
    }
    groups
        .into_iter()
        .filter_map(|(conditions, (group, words))| finding(&conditions, &words, group))
        .collect()
}

/// The scheduler's reason as far as it fits into a title.
fn reason_of(words: &str) -> String {
    const MOST: usize = 60;
    let reason = words.split_once("nodes are available: ").map_or(words, |(_, rest)| rest);
    let reason = reason.split(". ").next().unwrap_or(reason).trim_end_matches('.');
    if reason.chars().count() <= MOST {
        return reason.to_owned();
    }
    let start: String = reason.chars().take(MOST).collect();
    format!("{}…", start.trim_end())
}

fn finding(conditions: &[usize], words: &str, observed: Observed) -> Option<Finding> {
    let known: Vec<&(&str, &str, &str)> = conditions.iter().filter_map(|at| CONDITIONS.get(*at)).collect();
    let meaning = known.iter().map(|(_, meaning, _)| *meaning).collect::<Vec<_>>().join("; ");
    let meaning = if meaning.is_empty() { reason_of(words) } else { meaning };
    let fix = known.iter().map(|(.., fix)| *fix).collect::<Vec<_>>().join(" ");
    let pods: Vec<String> = observed.pods.iter().map(Key::label).collect();
    let first = observed.pods.iter().next().cloned()?;
    let says = Wording {
        severity: if observed.pods.len() > 5 { Severity::High } else { Severity::Medium },
        confidence: Confidence::Confirmed,
        unit: "pod",
        cause: format!(
            "The scheduler cannot place {} (FailedScheduling): {}",
            listed(pods.iter().map(String::as_str), 3),
            excerpt(words.as_bytes())
        ),
        fix: if fix.is_empty() {
            "Read the scheduler's reason for each node in the pod's events.".to_owned()
        } else {
            fix
        },
        commands: vec![
            format!("kubectl describe pod {} -n {}", shell(&first.name), shell(&first.namespace)),
            "kubectl describe nodes | grep -A 8 'Allocated resources'".to_owned(),
        ],
        verify: vec![
            "kubectl get pods -A --field-selector status.phase=Pending   # none of these pods".to_owned(),
        ],
    };
    let about = known.iter().map(|(words, ..)| *words).collect::<Vec<_>>().join(" ");
    let about = if about.is_empty() { first.label() } else { about };
    observed.finding(
        &DETECTOR,
        &about,
        format!(
            "{} Pending: FailedScheduling, {}",
            if pods.len() == 1 { format!("Pod {}", first.label()) } else { counted(pods.len(), "pod") },
            crate::evidence::excerpt(meaning.as_bytes())
        ),
        says,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedulers_words_are_taken_apart() {
        let message = "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {dedicated: gpu}. preemption: 0/3 nodes are available";
        let words: Vec<&str> = named(message).into_iter().map(|at| CONDITIONS[at].0).collect();
        assert_eq!(words, ["Insufficient cpu", "untolerated taint"]);
    }
}
