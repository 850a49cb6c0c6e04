//! The container runtime of a node has no CNI plugin.

use std::collections::BTreeMap;

use super::common::{node_word, observed_refusals, on_node};
use crate::cluster::reachability::joined_over;
use crate::cluster::{Cluster, episode};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, SubjectRef,
};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{RUNTIME, Recovery, Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "cni-not-ready",
    chapter: Chapter::IpAllocation,
    title: "CNI plugin not initialized (NetworkPluginNotReady)",
    needs: &[NODES],
    explains: &["sandbox-failed-otherwise", "node-not-ready", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "The container runtime finds no CNI configuration or binary (`cni plugin not initialized`, `no networks found in /etc/cni/net.d`, `failed to find plugin … in path`), so the node is NotReady or its pods get no network. Every node reports this in its first minute.",
        decision: "Confirmed when the node's Ready condition or its container runtime (crictl info: NetworkReady false) reports it; likely when a log repeats it for more than five minutes, up to its end; possible when the lines have no time and not all nodes are Ready. Nodes that are Ready by now are left out.",
        action: "Check the pods that install the CNI plugin (azure-cns, cilium, calico-node) and the node's provisioning log.",
        reference: "AKS: Basic troubleshooting of Node Not Ready failures. Kubernetes: Network Plugins; Troubleshooting CNI plugin-related errors.",
    },
    detect: Evaluation::Rule(detect),
};

const NODES: crate::detectors::Need = crate::detectors::Need {
    what: "the nodes, or logs of their kubelets",
    why: "they show whether the CNI plugin is ready",
    command: "kubectl get nodes -o json > nodes.json",
    met: |cluster| !cluster.facts.objects.nodes.is_empty() || cluster.logs_end.is_some(),
};

/// A node that starts reports it for a while.
const START_MINUTES: i64 = 10;

/// It does not take so long to start.
const LONG_MINUTES: i64 = 5;

/// What a node says: times, first and last, where, and that it is so at the end.
#[derive(Default)]
struct Said {
    count: u64,
    span: Option<(i64, i64)>,
    evidence: Vec<Evidence>,
    now: bool,
    /// The longest time over which one log repeats it, in microseconds.
    length: i64,
    /// What its logs say of its end.
    over: Option<bool>,
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut by_node: BTreeMap<String, Said> = BTreeMap::new();
    for (key, seen) in cluster.facts.objects.nodes.iter() {
        let words = ["cni plugin not initialized", "NetworkPluginNotReady", "no networks found in"];
        let condition = seen.object.status.conditions.iter().find(|condition| {
            &*condition.r#type == "Ready"
                && &*condition.status != "True"
                && words.iter().any(|word| condition.message.contains(word))
        });
        if let Some(condition) = condition {
            let message = by_node.entry(key.name.to_string()).or_default();
            message.now = true;
            message.evidence.extend(seen.evidence("Node", key).into_iter().take(1).map(|place| Evidence {
                excerpt: crate::evidence::excerpt(condition.message.as_bytes()),
                ..place
            }));
        }
    }
    // What the runtime itself says of the moment in which it was asked.
    let runtimes = cluster.facts.conditions.of_kind(RUNTIME, "NetworkReady");
    for (key, seen) in runtimes.filter(|(_, seen)| &*seen.status == "False") {
        let message = by_node.entry(key.name.to_string()).or_default();
        message.now = true;
        message.evidence.push(seen.place.clone());
    }
    for (key, tally) in observed_refusals(cluster, Signal::CniNotReady) {
        let pod = cluster.facts.objects.pods.get(&key.namespace, &key.pod);
        let node =
            if key.node.is_empty() { pod.map_or("", |pod| &*pod.object.spec.node_name) } else { &key.node };
        let message = by_node.entry(node.to_owned()).or_default();
        message.count += tally.count();
        message.span = time::joined(message.span, tally.span.resolve(cluster.anchor));
        message.length = message.length.max(tally.span.length());
        let over = episode::is_over(
            &cluster.facts,
            Some(Recovery::Network),
            &tally.span,
            tally.count(),
            tally.examples.as_slice(),
        );
        message.over = joined_over(message.over, over);
        message.evidence.extend(tally.examples.as_slice().iter().take(3).cloned());
    }
    let findings = by_node.into_iter().filter_map(|(node, message)| finding(cluster, &node, message));
    findings.collect()
}

/// Whether the bundle shows nodes, and all of them ready.
fn all_ready(cluster: &Cluster) -> bool {
    let nodes = || cluster.facts.objects.nodes.iter();
    let ready = |item: &crate::facts::Condition| &*item.r#type == "Ready" && &*item.status == "True";
    nodes().len() > 0 && nodes().all(|(_, seen)| seen.object.status.conditions.iter().any(ready))
}

fn finding(cluster: &Cluster, node: &str, mut message: Said) -> Option<Finding> {
    let ready = cluster.facts.objects.nodes.get("", node).map(|seen| {
        seen.object
            .status
            .conditions
            .iter()
            .any(|condition| &*condition.r#type == "Ready" && &*condition.status == "True")
    });
    // Until the end of the logs, or long before it.
    let open = match message.over {
        Some(over) => !over,
        None => message
            .span
            .zip(cluster.logs_end)
            .is_some_and(|((_, last), end)| end - last < START_MINUTES * 60_000_000),
    };
    let long = message.length > LONG_MINUTES * 60_000_000;
    let undated = message.span.is_none() && message.over.is_none() && message.count > 0;
    let confidence = match (message.now, ready) {
        (true, _) => Confidence::Confirmed,
        // A node that is ready by now has started since.
        (_, Some(true)) => return None,
        _ if long && open => Confidence::Likely,
        // Some node said it at some time: if all are ready by now, each has started since.
        _ if undated && !(node.is_empty() && all_ready(cluster)) => Confidence::Possible,
        _ => return None,
    };
    message.evidence.truncate(EXAMPLES);
    let mut finding = Finding::new(
        DETECTOR.id,
        node,
        format!("{}: CNI plugin not initialized (NetworkPluginNotReady)", on_node(node)),
        message.evidence,
    )?;
    finding.severity = if confidence == Confidence::Possible { Severity::Medium } else { Severity::Critical };
    finding.confidence = confidence;
    finding.count = message.count.max(1);
    finding.seen(message.span);
    if !node.is_empty() {
        finding.subjects =
            vec![SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.to_owned() }];
    }
    let when = message.span.map_or_else(String::new, |(first, last)| {
        format!(" between {} and {}", time::show(first), time::show(last))
    });
    finding.cause = format!(
        "The container runtime found no CNI configuration or binary{when}{}. What installs it (node provisioning, azure-cns, cilium or calico-node) has not run or has failed.",
        if message.now { ", and the node is NotReady because of it" } else { "" }
    );
    let name = node_word(node);
    finding.fix = Fix {
        text: "Find the pod that installs the CNI plugin on the node, and why it does not run. If it runs on other nodes, check the node's provisioning log.".to_owned(),
        commands: vec![
            format!("kubectl get pods -n kube-system -o wide --field-selector spec.nodeName={name}"),
            format!("kubectl debug node/{name} -it --image=mcr.microsoft.com/azure-cli -- chroot /host sh -c 'ls -la /etc/cni/net.d /opt/cni/bin; tail -50 /var/log/azure/cluster-provision.log'"),
        ],
        manifests: Vec::new(),
    };
    finding.verify = vec![format!("kubectl get node {name}   # STATUS Ready")];
    Some(finding)
}
