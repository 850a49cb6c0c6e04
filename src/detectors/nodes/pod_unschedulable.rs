//! No node takes a pod, grouped by why.

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
    title: "No node takes a pod",
    guide: &["3.2"],
    needs: &[PODS],
    explains: &["service-pods-not-ready"],
    doc: Doc {
        meaning: "The scheduler finds no node for a pod, and says for how many nodes which condition was not met: too little cpu or memory left, as many pods as a node may have, a taint, a selector that no node matches, a volume in another zone.",
        decision: "Pending pods whose condition PodScheduled is false, or with events FailedScheduling, grouped by the conditions that the scheduler names. Confirmed. 'Too many pods' is the node's own limit (maxPods), and near to addresses running out.",
        action: "As the condition says: requests, limits of nodes, taints, selectors, zones; or more nodes.",
        reference: "AKS: troubleshoot pod scheduler errors. Kubernetes: assigning pods to nodes.",
    },
    detect,
};

/// Conditions: words of the scheduler, what they mean, what to do.
const CONDITIONS: &[(&str, &str, &str)] = &[
    (
        "Insufficient cpu",
        "too little cpu is left",
        "Lower the pod's cpu request if it asks for more than it needs, or add nodes.",
    ),
    (
        "Insufficient memory",
        "too little memory is left",
        "Lower the pod's memory request if it asks for more than it needs, or add nodes.",
    ),
    (
        "Too many pods",
        "nodes have as many pods as they may (maxPods)",
        "Add nodes, or a pool with a higher maxPods, whose subnet has the addresses for it.",
    ),
    (
        "volume node affinity conflict",
        "its volume is in a zone or on a node without room",
        "Let the volume be made where the pod can run (volumeBindingMode: WaitForFirstConsumer), or add a node in that zone.",
    ),
    (
        "untolerated taint",
        "nodes have a taint that it does not tolerate",
        "Tolerate the taint, or take it away; taints not-ready and unreachable are those of nodes that are down.",
    ),
    (
        "didn't match Pod's node affinity/selector",
        "no node has the labels that it asks for",
        "Correct the selector, or label nodes; a pool that was scaled to zero has none.",
    ),
    (
        "didn't match pod anti-affinity",
        "it keeps away from pods that are on every node",
        "Add nodes, or ask for it only as preferred.",
    ),
    (
        "unbound immediate PersistentVolumeClaims",
        "its volume claim is not bound",
        "See why the claim is not bound: its storage class, its quota.",
    ),
    ("unschedulable", "nodes are cordoned", "Uncordon nodes, or finish what cordoned them."),
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
        .collect::<Vec<_>>()
        .into()
}

fn finding(conditions: &[usize], words: &str, observed: Observed) -> Option<Finding> {
    let known: Vec<&(&str, &str, &str)> = conditions.iter().filter_map(|at| CONDITIONS.get(*at)).collect();
    let meaning = known.iter().map(|(_, meaning, _)| *meaning).collect::<Vec<_>>().join("; ");
    let meaning = if meaning.is_empty() { words.to_owned() } else { meaning };
    let fix = known.iter().map(|(.., fix)| *fix).collect::<Vec<_>>().join(" ");
    let pods: Vec<String> = observed.pods.iter().map(Key::label).collect();
    let first = observed.pods.iter().next().cloned()?;
    let says = Wording {
        severity: if observed.pods.len() > 5 { Severity::High } else { Severity::Medium },
        confidence: Confidence::Confirmed,
        unit: "pod",
        cause: format!(
            "No node takes {} ({}): {meaning}. The scheduler says: {}",
            counted(observed.pods.len(), "pod"),
            listed(pods.iter().map(String::as_str), 3),
            excerpt(words.as_bytes())
        ),
        fix: if fix.is_empty() { "See what the scheduler says of each node.".to_owned() } else { fix },
        commands: vec![
            format!("kubectl describe pod {} -n {}", shell(&first.name), shell(&first.namespace)),
            "kubectl describe nodes | grep -A 8 'Allocated resources'".to_owned(),
        ],
        verify: vec![
            "kubectl get pods -A --field-selector status.phase=Pending   # none of these".to_owned(),
        ],
    };
    let about = known.iter().map(|(words, ..)| *words).collect::<Vec<_>>().join(" ");
    let about = if about.is_empty() { first.label() } else { about };
    observed.finding(
        &DETECTOR,
        &about,
        format!(
            "No node takes {}: {}",
            if pods.len() == 1 { format!("pod {}", first.label()) } else { counted(pods.len(), "pod") },
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
