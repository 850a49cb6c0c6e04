//! Nodes are not ready, grouped by why.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::NODES;
use crate::detectors::observed::{self, Observed, Wording, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, shell};
use crate::evidence::excerpt;
use crate::facts::{Condition, Node, Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "node-not-ready",
    chapter: Chapter::Nodes,
    title: "Nodes are not ready",
    guide: &["4"],
    needs: &[NODES],
    explains: &[
        "service-pods-not-ready",
        "kube-proxy-not-running",
        "tunnel-down",
        "pod-unschedulable",
        "service-local-traffic-only",
    ],
    doc: Doc {
        meaning: "A node that is not ready gets no new pods, and after five minutes its pods are made anew elsewhere. Its kubelet reports no more (unknown: the node, its way to the API server, or its certificate), or says itself what is wrong: the network plugin, the container runtime, memory, disk.",
        decision: "The condition Ready of each node, grouped by the reason that it and its other conditions give. Confirmed. Critical when no node is ready or more than half are not. Nodes younger than ten minutes that say what they wait for are told as low: they start.",
        action: "All at once: the network or the API server. Single ones: what the reason says; restart or reimage the machine.",
        reference: "AKS: basic troubleshooting of Node Not Ready failures; node auto-repair.",
    },
    detect,
};

/// Why a node is not ready: a kind to group by, and words.
fn why(node: &Node, ready: &Condition) -> (&'static str, String) {
    let message = &*ready.message;
    let has = |words: &str| message.contains(words);
    let pressure = node
        .status
        .conditions
        .iter()
        .find(|condition| condition.r#type.ends_with("Pressure") && &*condition.status == "True");
    let (kind, text) = match () {
        () if &*ready.status == "Unknown" || has("stopped posting node status") => (
            "silent",
            "the kubelet reports no more: the machine is down, has no way to the API server, or its certificate is over",
        ),
        () if has("NetworkPluginNotReady") || has("cni plugin not initialized") => {
            ("network", "the network plugin is not ready")
        }
        () if has("PLEG is not healthy") => ("runtime", "the container runtime does not keep up (PLEG)"),
        () if has("container runtime") || has("runtime is down") => {
            ("runtime", "the container runtime does not answer")
        }
        () if pressure.is_some() => ("pressure", "the node is short of memory, disk or process ids"),
        () => ("other", "for a reason that the bundle does not tell"),
    };
    let words = pressure.filter(|_| kind == "pressure").map_or(message, |item| &*item.message);
    (kind, if words.is_empty() { text.to_owned() } else { format!("{text} ({words})") })
}

/// How young a node may be that still starts, in microseconds.
const STARTING: i64 = 10 * 60 * 1_000_000;

fn detect(cluster: &Cluster) -> Outcome {
    let nodes = &cluster.facts.objects.nodes;
    let known = nodes.iter().filter(|(_, seen)| seen.object.ready().is_some()).count();
    let mut groups: BTreeMap<(&'static str, bool), (Observed, String)> = BTreeMap::new();
    for (key, seen) in nodes.iter() {
        let node = &seen.object;
        let Some(ready) = node
            .status
            .conditions
            .iter()
            .find(|condition| &*condition.r#type == "Ready")
            .filter(|condition| &*condition.status != "True")
        else {
            continue;
        };
        let (kind, words) = why(node, ready);
        let made = node.metadata.creation_timestamp.0;
        // A node that starts says what it waits for; one that went silent had started.
        let young = made.zip(cluster.anchor).is_some_and(|(made, now)| now - made < STARTING && now >= made);
        let starting = young && kind != "silent";
        let (observed, text) = groups.entry((kind, starting)).or_insert_with(|| (Observed::default(), words));
        observed.count += 1;
        observed.nodes.insert(key.name.to_string());
        let since = ready.last_transition_time.0;
        observed.span = time::joined(observed.span, since.map(|at| (at, at)));
        observed.evidence.extend(seen.evidence("Node", key).into_iter().take(1).map(|mut place| {
            place.excerpt =
                excerpt(format!("Ready is {}: {} {}", ready.status, ready.reason, ready.message).as_bytes());
            place
        }));
        let _ = text;
    }
    let down: usize = groups.values().map(|(group, _)| group.nodes.len()).sum();
    groups
        .into_iter()
        .filter_map(|((kind, starting), (observed, group))| {
            finding(cluster, kind, starting, &group, observed, down, known)
        })
        .collect::<Vec<_>>()
        .into()
}

fn finding(
    cluster: &Cluster,
    kind: &str,
    starting: bool,
    why: &str,
    mut given: Observed,
    down: usize,
    all: usize,
) -> Option<Finding> {
    let names = listed(given.nodes.iter().map(String::as_str), 3);
    let count = given.nodes.len();
    let most = down * 2 > all;
    let severity = match (starting, most && all > 1) {
        (true, _) => Severity::Low,
        (false, true) => Severity::Critical,
        (false, false) => Severity::High,
    };
    let struggling = observed::signals(cluster, |key| {
        (key.signal == Signal::NodeStruggles && given.nodes.contains(&*key.node)).then_some(())
    })
    .remove(&());
    if let Some(more) = struggling {
        given.evidence.extend(more.evidence);
    }
    let together = if down == all && all > 1 {
        " No node of the cluster is ready: what they share is at fault, their way to the API server (network, DNS, firewall, certificate) first of all."
    } else if most {
        " More than half of the nodes are not ready: look for what they share."
    } else {
        ""
    };
    let repair = ["NodeRebootStart", "NodeReimageStart", "NodeRedeployStart"].iter().any(|reason| {
        cluster.facts.events.of_reason(reason).any(|(key, _)| given.nodes.contains(&*key.name))
    });
    let repaired = if repair { " AKS tries to repair: events tell of a reboot or reimage." } else { "" };
    let since = given.span.map_or_else(String::new, |(first, _)| format!(" since {}", time::show(first)));
    let fix = match kind {
        "silent" => {
            "See in Azure whether the machine runs. If several went silent at once, find what they share: route, security group, firewall, DNS, certificates. Single ones: restart, then reimage the machine."
        }
        "network" => {
            "Look at the pods of the network plugin on that node, and at /etc/cni/net.d; reimage the node if they don't come up."
        }
        "runtime" => {
            "The node has more containers or disk work than it can follow: see the disk's limits, and restart containerd or the node."
        }
        "pressure" => "See what the node is short of; set requests and limits, or give it more.",
        _ => "Describe the node and read its kubelet's journal.",
    };
    let first = given.nodes.iter().next().cloned().unwrap_or_default();
    let says = Wording {
        severity,
        confidence: Confidence::Confirmed,
        unit: "node",
        cause: if starting {
            format!("{} ({names}) is younger than ten minutes and not ready yet: {why}. That is normal while a node starts.", observed::capital(&counted(count, "node")))
        } else {
            format!("{count} of {all} nodes not ready{since} ({names}): {why}.{together}{repaired}")
        },
        fix: fix.to_owned(),
        commands: vec![
            format!("kubectl describe node {}", shell(&first)),
            "az vmss list-instances -g NODE_RESOURCE_GROUP -n VMSS --query \"[].{id:instanceId,name:osProfile.computerName,state:provisioningState}\" -o table".to_owned(),
        ],
        verify: vec!["kubectl get nodes   # Ready".to_owned()],
    };
    let short = why.split([':', '(']).next().unwrap_or(why).trim();
    let title = format!("{count} of {all} nodes not ready ({names}): {short}");
    given.finding(&DETECTOR, if starting { "starting" } else { kind }, title, says)
}
