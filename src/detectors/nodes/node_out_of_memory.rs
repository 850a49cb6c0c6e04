//! The memory of a node ran out, and its kernel killed a process.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::NODE_LOGS;
use crate::detectors::observed::{self, Observed, Wording, host_word, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::facts::{Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "node-out-of-memory",
    chapter: Chapter::Nodes,
    title: "Node out of memory: the kernel kills processes (SystemOOM)",
    needs: &[NODE_LOGS],
    explains: &["node-not-ready", "container-crash-loop", "node-service-stopped"],
    doc: Doc {
        meaning: "The node itself, not one container at its limit, had no memory left, and the kernel's OOM killer ended a process of its choice: any pod, or the kubelet and the container runtime.",
        decision: "Kernel lines `Out of memory: Killed process`, the kubelet's `System OOM encountered` (event SystemOOM) or `Got sys oom event`, by node. Likely and high when it happened more than once and not long ago, otherwise medium.",
        action: "Find the pods whose usage exceeds their requests, or that have no limit; set requests and limits so that they fit into the node's allocatable memory.",
        reference: "kubernetes.io: Node out of memory behavior. kubernetes/kubernetes pkg/kubelet/oom/oom_watcher_linux.go.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut found: BTreeMap<String, Observed> = observed::signals(cluster, |key| {
        (key.signal == Signal::SystemOutOfMemory).then(|| key.node.to_string())
    });
    let events = observed::events(cluster, "SystemOOM", |key, tally| {
        let victim = tally.examples.as_slice().first().and_then(|place| {
            let (_, rest) = place.excerpt.split_once("victim process: ")?;
            Some(rest.split([',', ' ']).next().unwrap_or_default().to_owned())
        });
        let fresh = tally.span.age_of_end().is_none_or(|age| age <= 30 * 60 * 1_000_000);
        (&*key.kind == "Node" && fresh).then(|| (key.name.to_string(), victim))
    });
    for ((node, victim), given) in events {
        let item = found.entry(node).or_default();
        // The kernel's lines of the same kills are counted already.
        item.count = item.count.max(given.count);
        item.span = time::joined(item.span, given.span);
        item.nodes.extend(given.nodes);
        item.evidence.extend(given.evidence);
        item.details.extend(victim.filter(|name| !name.is_empty()));
    }
    found.into_iter().filter_map(|(node, given)| finding(cluster, &node, given)).collect()
}

fn finding(cluster: &Cluster, node: &str, given: Observed) -> Option<Finding> {
    let over = given.is_over(cluster);
    let (severity, confidence) = match (over, given.count > 1) {
        (true, _) => (Severity::Low, Confidence::Possible),
        (false, true) => (Severity::High, Confidence::Likely),
        (false, false) => (Severity::Medium, Confidence::Likely),
    };
    let killed = listed(given.details.iter().map(String::as_str), 3);
    let killed = if killed.is_empty() { "a process".to_owned() } else { killed };
    let host = host_word(node, "NODE");
    let says = Wording {
        severity,
        confidence,
        unit: "kill",
        cause: format!("The node had no memory left{}, and the kernel killed {killed}. This is the node's memory, not a container limit: pods use more than they request, or a process outside pods grows.", given.when()),
        fix: "Compare what pods request with what they use, and set requests and limits so that their sum fits into the node's allocatable memory; move the largest pods to other nodes meanwhile.".to_owned(),
        commands: vec![
            format!("kubectl top pods -A --sort-by=memory | head -20; kubectl describe node {host}   # Allocated resources"),
            "journalctl -k | grep -e 'Out of memory' -e oom-kill   # on the node".to_owned(),
        ],
        verify: vec![format!("kubectl get events -A --field-selector reason=SystemOOM,involvedObject.name={host}   # no new ones")],
    };
    let whose = if node.is_empty() { "Unidentified node".to_owned() } else { format!("Node {node}") };
    let times = if given.count > 1 { format!(" ({} times)", given.count) } else { String::new() };
    let ended = if over { ", ended" } else { "" };
    let title = format!("{whose} out of memory: kernel killed {killed}{times}{ended}");
    given.finding(&DETECTOR, if node.is_empty() { "node" } else { node }, title, says)
}
