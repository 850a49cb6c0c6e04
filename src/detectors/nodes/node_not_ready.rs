//! Nodes that are `NotReady`, grouped by why.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::NODES;
use crate::detectors::observed::{self, Observed, Wording, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::evidence::excerpt;
use crate::facts::{Condition, Node, Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "node-not-ready",
    chapter: Chapter::Nodes,
    title: "Nodes NotReady",
    needs: &[NODES],
    explains: &[
        "connection-failing",
        "coredns-unhealthy",
        "service-pods-not-ready",
        "kube-proxy-not-running",
        "tunnel-down",
        "pod-unschedulable",
        "service-local-traffic-only",
        "api-server-pod-unhealthy",
        "pod-not-running",
    ],
    doc: Doc {
        meaning: "A NotReady node gets no new pods, and after five minutes its pods are evicted and replaced elsewhere. Either its kubelet stopped posting node status (NodeStatusUnknown: VM or kubelet down, no path to the API server, expired certificate), or it reports the reason: NetworkPluginNotReady, PLEG is not healthy, container runtime down, MemoryPressure, DiskPressure.",
        decision: "The Ready condition of each node, grouped by the reason that it and the other conditions give. Confirmed. Critical when more than half of several nodes are NotReady, otherwise high. Nodes created less than ten minutes before the capture that report what they wait for are low: they are starting.",
        action: "Many nodes at once: check the network path to the API server. Single nodes: act on the reported reason.",
        reference: "AKS: Basic troubleshooting of Node Not Ready failures; Node auto-repair. Kubernetes: Node Status.",
    },
    detect: Evaluation::Rule(detect),
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
    let (kind, text) = if ready.reason.is_empty()
        && message.is_empty()
        && ready.last_transition_time.0.is_none()
    {
        // A row of `kubectl get nodes` says `NotReady` of a silent kubelet and of one that reports why.
        ("row", "`kubectl get nodes` does not show why")
    } else if &*ready.status == "Unknown" || has("stopped posting node status") {
        (
            "silent",
            "Kubelet stopped posting node status: usually the VM or the kubelet is down, it cannot reach the API server, or its certificate expired",
        )
    } else if has("NetworkPluginNotReady") || has("cni plugin not initialized") {
        ("network", "CNI plugin not initialized: NetworkPluginNotReady")
    } else if has("PLEG is not healthy") {
        ("runtime", "PLEG is not healthy: the container runtime responds too slowly")
    } else if has("container runtime") || has("runtime is down") {
        ("runtime", "container runtime is down")
    } else if pressure.is_some() {
        ("pressure", "MemoryPressure, DiskPressure or PIDPressure")
    } else {
        ("other", "reason in the node's condition Ready")
    };
    let words = pressure.filter(|_| kind == "pressure").map_or(message, |item| &*item.message);
    // The kubelet's words often begin with the same term.
    let (head, rest) = text.split_once(": ").unwrap_or((text, ""));
    let repeated =
        words.get(..head.len()).is_some_and(|start| start.eq_ignore_ascii_case(head)) && !rest.is_empty();
    let whole = if words.is_empty() {
        text.to_owned()
    } else if repeated {
        format!("{} ({rest})", words.trim_end_matches('.'))
    } else {
        format!("{text} ({words})")
    };
    (kind, whole)
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
        // A node that starts reports what it waits for; one that went silent had started.
        let young = made.zip(cluster.anchor).is_some_and(|(made, now)| now - made < STARTING && now >= made);
        let starting = young && kind != "silent";
        let (observed, _) = groups.entry((kind, starting)).or_insert_with(|| (Observed::default(), words));
        observed.count += 1;
        observed.nodes.insert(key.name.to_string());
        let since = ready.last_transition_time.0;
        observed.span = time::joined(observed.span, since.map(|at| (at, at)));
        observed.evidence.extend(seen.evidence("Node", key).into_iter().take(1).map(|mut place| {
            place.excerpt =
                excerpt(format!("Ready is {}: {} {}", ready.status, ready.reason, ready.message).as_bytes());
            place
        }));
    }
    let down: usize = groups.values().map(|(group, _)| group.nodes.len()).sum();
    groups
        .into_iter()
        .filter_map(|((kind, starting), (observed, group))| {
            finding(cluster, kind, starting, &group, observed, down, known)
        })
        .collect()
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
        " No node in the bundle is Ready: check what they share, first their path to the API server (network, DNS, firewall, certificate)."
    } else if most {
        " More than half of the nodes are NotReady: look for what they share."
    } else {
        ""
    };
    let repair = ["NodeRebootStart", "NodeReimageStart", "NodeRedeployStart"].iter().any(|reason| {
        cluster.facts.events.of_reason(reason).any(|(key, _)| given.nodes.contains(&*key.name))
    });
    let repaired = if repair {
        " AKS node auto-repair has acted: there are events of a reboot, reimage or redeploy."
    } else {
        ""
    };
    let since = given.span.map_or_else(String::new, |(first, _)| format!(" since {}", time::show(first)));
    let fix = match kind {
        "silent" => {
            "Check that the VM and its kubelet run. If several nodes went silent at once, find what they share: route, NSG, firewall, DNS, certificates. For a single node, restart the kubelet; AKS node auto-repair restarts the VM after some minutes."
        }
        "network" => "Check the CNI plugin's pods on that node, and its configuration in /etc/cni/net.d.",
        "runtime" => {
            "Check the OS disk's IOPS limit, the number of pods and the load of the node. Restarting containerd on the node helps for a while; containers keep running."
        }
        "pressure" => "Find what uses up the resource; set requests and limits, or use larger nodes.",
        _ => "Describe the node and read its kubelet's journal (journalctl -u kubelet).",
    };
    let first = given.nodes.iter().next().cloned().unwrap_or_default();
    let says = Wording {
        severity,
        confidence: Confidence::Confirmed,
        unit: "node",
        cause: if starting {
            format!(
                "{} ({names}) {} created less than ten minutes before the capture: {why}. That is normal while a node starts.",
                counted(count, "node"),
                if count == 1 { "was" } else { "were" }
            )
        } else {
            format!(
                "{names}: {why}.{}{together}{repaired}",
                if since.is_empty() { String::new() } else { format!(" NotReady{since}.") }
            )
        },
        fix: fix.to_owned(),
        commands: if cluster.is_elsewhere() {
            vec![format!("kubectl describe node {}", shell(&first))]
        } else {
            vec![
            format!("kubectl describe node {}", shell(&first)),
            "az vmss list-instances -g NODE_RESOURCE_GROUP -n VMSS --query \"[].{id:instanceId,name:osProfile.computerName,state:provisioningState}\" -o table".to_owned(),
        ]
        },
        verify: vec!["kubectl get nodes   # STATUS Ready".to_owned()],
    };
    let short = why.split([':', '(']).next().unwrap_or(why).trim();
    let state = if starting { "starting, NotReady" } else { "NotReady" };
    let title = if all == 1 {
        format!("Node {names} {state}: {short}")
    } else {
        format!("{count} of {all} nodes {state} ({names}): {short}")
    };
    given.finding(&DETECTOR, if starting { "starting" } else { kind }, title, says)
}
