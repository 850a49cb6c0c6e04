//! A service of a node that Kubernetes needs does not run, as `systemctl status` says.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cluster::pods::{Why, why_not_ready};
use crate::detectors::observed::{self, Observed, Wording, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Need, Outcome, Severity};
use crate::evidence::Evidence;
use crate::facts::{Key, Place, SystemUnit};

pub(super) const DETECTOR: Detector = Detector {
    id: "node-service-stopped",
    chapter: Chapter::Nodes,
    title: "kubelet, containerd, kube-proxy or a control plane service stopped on a node",
    needs: &[UNITS],
    explains: &[
        "node-not-ready",
        "sandbox-failed-otherwise",
        "service-pods-not-ready",
        "pod-not-running",
        "pod-unschedulable",
        "kube-proxy-not-running",
        "cni-not-ready",
    ],
    doc: Doc {
        meaning: "A service of a node that Kubernetes needs is stopped or failed: without kubelet the node goes NotReady, without containerd no container starts, without kube-proxy Services do not work from the node, without kube-scheduler new pods stay Pending, without kube-controller-manager no workload gets pods.",
        decision: "The Active line of systemctl status, list-units, or sc queryex: inactive, failed, stopped, or restarting again and again. Confirmed; low when the node is Ready in the bundle, possible when the Windows event log alone says that it terminated. Units that are disabled, masked or not found are left out: another runtime or a static pod may do their work.",
        action: "Read the unit's journal, repair what stopped it, and start it.",
        reference: "systemd: systemctl(1). Kubernetes: Troubleshooting Clusters. AKS: Node Not Ready.",
    },
    detect: Evaluation::Rule(detect),
};

const UNITS: Need = Need {
    what: "systemctl status of the services on the nodes",
    why: "it shows whether kubelet, containerd and the others run",
    command: "systemctl status --no-pager kubelet containerd kube-proxy kube-scheduler kube-controller-manager > systemctl.txt   # on each node",
    met: |cluster| !cluster.facts.nodes.units.is_empty(),
};

/// Units, what ends with them, and how bad that is.
const SERVICES: &[(&str, &str, Severity)] = &[
    ("kubelet", "the node goes NotReady and its pods are evicted after five minutes", Severity::Critical),
    ("containerd", "no container can be started on the node, and it goes NotReady", Severity::Critical),
    ("crio", "no container can be started on the node, and it goes NotReady", Severity::Critical),
    ("docker", "no container can be started on the node, and it goes NotReady", Severity::Critical),
    ("kube-scheduler", "new pods stay Pending without any event", Severity::Critical),
    ("kube-controller-manager", "workloads get no pods, Services no endpoints", Severity::Critical),
    ("kube-apiserver", "the API does not answer", Severity::Critical),
    ("etcd", "the API server cannot read or write", Severity::Critical),
    (
        "kube-proxy",
        "Services cannot be reached from the node once their endpoints change",
        Severity::Critical,
    ),
    ("k3s", "the node goes NotReady", Severity::Critical),
    ("k3s-agent", "the node goes NotReady", Severity::Critical),
    ("rke2-server", "the node goes NotReady", Severity::Critical),
    ("rke2-agent", "the node goes NotReady", Severity::Critical),
    ("flanneld", "pods of the node have no network to other nodes", Severity::High),
];

/// Whether a state is one in which the service does no work.
fn is_stopped(active: &str) -> bool {
    ["inactive", "failed", "STOPPED", "terminated"].iter().any(|word| active.starts_with(word))
        || active.contains("auto-restart")
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut groups: BTreeMap<(&'static str, String), Observed> = BTreeMap::new();
    for (place, unit) in cluster.facts.nodes.units.iter() {
        let Some((name, ..)) = SERVICES.iter().find(|(name, ..)| *name == &*unit.unit) else { continue };
        if !is_stopped(&unit.active) || unit.enabled == Some(false) {
            continue;
        }
        let observed = groups.entry((name, unit.active.to_string())).or_default();
        observed.count += 1;
        observed.evidence.extend(unit.evidence.clone());
        observed.nodes.extend(node_of(cluster, place, unit));
    }
    groups
        .into_iter()
        .filter_map(|((name, active), observed)| finding(cluster, name, &active, observed))
        .collect()
}

/// The node of an output: as the journal's lines in it say, else the folder that it lies in.
fn node_of(cluster: &Cluster, place: &Place, unit: &SystemUnit) -> Option<String> {
    let nodes = &cluster.facts.objects.nodes;
    let known = |name: &str| nodes.get("", name).is_some();
    let mut folders: Vec<&str> = place.source.split(['/', '!']).collect();
    folders.pop();
    let by_path = folders.iter().rev().find(|name| known(name));
    let named = unit.node.as_deref();
    named
        .filter(|name| known(name))
        .or(by_path.copied())
        .or(named)
        .or_else(|| if nodes.is_empty() { folders.last().copied() } else { None })
        .map(ToOwned::to_owned)
}

/// Pods that wait for a service that places or creates them.
fn waiting(cluster: &Cluster, name: &str) -> Vec<(Key, Option<Evidence>)> {
    if name != "kube-scheduler" {
        return Vec::new();
    }
    let pods = cluster.facts.objects.pods.iter();
    pods.filter(|(key, seen)| {
        let pod = &seen.object;
        &*pod.status.phase == "Pending"
            && pod.spec.node_name.is_empty()
            && !matches!(why_not_ready(&cluster.facts, key, pod), Some(Why::Unscheduled(words)) if !words.is_empty())
    })
    .map(|(key, seen)| (key.clone(), seen.evidence("Pod", key).into_iter().next()))
    .collect()
}

fn finding(cluster: &Cluster, name: &str, active: &str, mut observed: Observed) -> Option<Finding> {
    let (_, harm, severity) = SERVICES.iter().find(|(unit, ..)| *unit == name)?;
    let nodes: Vec<&str> = observed.nodes.iter().map(String::as_str).collect();
    let on = match nodes.as_slice() {
        [] => "a node".to_owned(),
        [node] => format!("node {node}"),
        several => counted(several.len(), "node"),
    };
    let names = listed(nodes.iter().copied(), 5);
    let waiting = waiting(cluster, name);
    let pods: Vec<String> = waiting.iter().map(|(key, _)| key.label()).collect();
    let pending = if pods.is_empty() {
        String::new()
    } else {
        format!(" Pending without a scheduler event: {}.", listed(pods.iter().map(String::as_str), 3))
    };
    for (key, place) in waiting {
        observed.pods.insert(key);
        observed.evidence.extend(place.map(|mut place| {
            place.excerpt = "Pending, no node, no scheduler event".into();
            place
        }));
    }
    // A node that is Ready has its kubelet and its runtime: the output is older, or they were started again.
    let of_node = matches!(name, "kubelet" | "containerd" | "crio" | "docker");
    let recovered = of_node && !observed.nodes.is_empty() && observed::recovered(cluster, &observed.nodes);
    let (severity, confidence) = if recovered {
        (Severity::Low, Confidence::Possible)
    } else if active.starts_with("terminated") {
        (Severity::Medium, Confidence::Possible)
    } else {
        (*severity, Confidence::Confirmed)
    };
    let says = Wording {
        severity,
        confidence,
        unit: "node",
        cause: format!(
            "The service manager reports {name} as {active} on {}: {harm}.{pending}",
            if names.is_empty() { "a node" } else { &names }
        ),
        fix: format!(
            "Read why {name} stopped (its journal), repair that, and start it. Starting a stopped service interrupts nothing that still runs."
        ),
        commands: vec![
            format!("journalctl -u {name} --no-pager -n 100   # on the node"),
            format!("systemctl start {name}   # on the node"),
        ],
        verify: vec![format!("systemctl is-active {name}   # on the node: active")],
    };
    let title = format!("{name} is {active} on {on}");
    let mut finding = observed.finding(&DETECTOR, &format!("{name} {names}"), title, says)?;
    finding.details.workload.unit = Some(name.to_owned());
    Some(finding)
}
