//! Pod sandboxes that could not be created, for another reason than a missing IP.

use crate::facts::text::beginning;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use foldhash::HashSet;

use super::common::{self, some};
use crate::cluster::{Cluster, episode};
use crate::detectors::details::texts;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, SubjectRef,
};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{EventKey, Recovery, Signal, time};
use crate::knowledge::MESSAGES;

/// Characters of a reason that fit into a title.
const TITLE: usize = 60;

pub(super) const DETECTOR: Detector = Detector {
    id: "sandbox-failed-otherwise",
    chapter: Chapter::IpAllocation,
    title: "FailedCreatePodSandBox: no known IPAM error",
    needs: &[common::REFUSALS],
    explains: &["service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "`Failed to create pod sandbox` has many reasons: the CNI plugin lacks a permission or a connection, its agent (calico-node, cilium) does not run, the pause image cannot be pulled, or the container runtime times out. The pods stay in ContainerCreating as with a missing IP, and need another fix.",
        decision: "FailedCreatePodSandBox events whose message has none of the texts of missing IPs, grouped by their error. Confirmed for a known error, likely for others. Pods that have an IP by now are left out. Kubelet logs with a known error count where no event has it: likely, unless their node is Ready by now.",
        action: "Act on the error in the message.",
        reference: "Kubernetes: Debug Pods; Troubleshooting CNI plugin-related errors. Calico: Troubleshooting, connection is unauthorized.",
    },
    detect: Evaluation::Rule(detect),
};

/// Texts of missing addresses: those are other causes.
const OF_ADDRESSES: &[&str] = &[
    "no IP addresses available",
    "o available address",
    "waiting on Azure CNS",
    "IPs available",
    "IPAM allocated only",
    "Could not allocate IP",
    "NCUpdate",
    ":10090",
    "cni plugin not initialized",
    "NetworkPluginNotReady",
    // A container's memory limit: container-out-of-memory.
    "OOM-killed",
];

fn is_of_addresses(text: &str) -> bool {
    static WORDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(OF_ADDRESSES).ok());
    let known = || {
        let message = MESSAGES.find(text)?.message;
        Signal::by_name(&message.means).filter(|signal| signal.refuses_a_pod())
    };
    WORDS.as_ref().is_some_and(|words| words.is_match(text)) || known().is_some()
}

/// Known reasons: what the message has, in words, and what to do.
const REASONS: &[(&str, &str, &str)] = &[
    (
        "connection is unauthorized",
        "Calico CNI: connection is unauthorized",
        "The API server rejects the Calico plugin's token. Restart calico-node on the node, so that it writes a new one (/etc/cni/net.d/calico-kubeconfig), and check the node's clock.",
    ),
    (
        "error getting ClusterInformation",
        "Calico CNI: error getting ClusterInformation",
        "The Calico plugin cannot read its configuration from the API server. Check that the node reaches the API server, then restart calico-node on it.",
    ),
    (
        "stat /var/lib/calico/nodename",
        "calico-node has not started on the node",
        "Check the calico-node pod of the node: its events and its log.",
    ),
    (
        "unable to connect to Cilium daemon",
        "unable to connect to Cilium daemon",
        "The Cilium agent is not running on the node. Check the cilium pod of the node: its events and its log.",
    ),
    (
        "i/o timeout",
        "i/o timeout",
        "The message names the address that timed out, often the API server. Check the node's path to it: firewall, routes, DNS.",
    ),
    (
        "connection refused",
        "connection refused",
        "The message names the address: check what should listen there.",
    ),
    (
        "context deadline exceeded",
        "context deadline exceeded",
        "The container runtime or the CNI plugin took too long. Check the load and disk latency of the node, and containerd's log.",
    ),
    (
        "failed to get sandbox image",
        "failed to get sandbox image (pause)",
        "Check that the node reaches the registry of the pause image (AKS: mcr.microsoft.com).",
    ),
    (
        "name is reserved for",
        "sandbox name is reserved for an earlier attempt",
        "The container runtime is slow. It usually recovers; otherwise restart containerd on the node: its containers keep running.",
    ),
];

#[derive(Default)]
struct RefusalGroup {
    count: u64,
    pods: BTreeSet<String>,
    nodes: BTreeSet<String>,
    span: Option<(i64, i64)>,
    evidence: Vec<Evidence>,
    message: String,
    of_logs: bool,
    /// A log tells of it up to its end.
    ongoing: bool,
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut groups: BTreeMap<usize, RefusalGroup> = BTreeMap::new();
    let signals = cluster.facts.signals.map.iter().filter(|(key, _)| key.signal.refuses_a_pod());
    let refused: HashSet<(&str, &str)> = signals.map(|(key, _)| (&*key.namespace, &*key.pod)).collect();
    for (key, tally) in cluster.facts.events.of_reason("FailedCreatePodSandBox") {
        if &*key.kind != "Pod" {
            continue;
        }
        let others: Vec<&Evidence> = tally
            .examples
            .as_slice()
            .iter()
            .filter(|example| example.excerpt.len() > 40 && !is_of_addresses(&example.excerpt))
            .collect();
        let Some(first) = others.first() else { continue };
        let pod = cluster.facts.objects.pods.get(&key.namespace, &key.name);
        if pod.is_some_and(|pod| {
            pod.object.ended() || pod.object.is_ready() || pod.object.addresses().next().is_some()
        }) || has_started_since(cluster, key)
        {
            continue;
        }
        // A message that was cut before its reason may be about addresses: another text may have said so.
        if refused.contains(&(&*key.namespace, &*key.name)) || key.name.is_empty() && !refused.is_empty() {
            continue;
        }
        let kind = REASONS
            .iter()
            .position(|(text, ..)| others.iter().any(|item| item.excerpt.contains(text)))
            .unwrap_or(REASONS.len());
        let group = groups.entry(kind).or_default();
        group.count += tally.count;
        group.pods.insert(format!("{}/{}", key.namespace, key.name));
        group.nodes.extend(tally.node.as_deref().map(ToOwned::to_owned));
        group.span = time::joined(group.span, tally.span.resolve(cluster.anchor));
        if group.message.is_empty() {
            group.message = first.excerpt.to_string();
        }
        group.evidence.extend(others.into_iter().take(1).cloned());
    }
    of_logs(cluster, &mut groups);
    groups.into_iter().filter_map(|(kind, group)| finding(kind, group)).collect()
}

/// Whether a container of the pod has started: its sandbox was made, then.
fn has_started_since(cluster: &Cluster, key: &EventKey) -> bool {
    cluster.facts.events.of_reason("Started").any(|(started, tally)| {
        let failed = cluster.facts.events.map.get(key);
        let later =
            failed.and_then(|failed| tally.span.until_end_of(&failed.span)).is_some_and(|after| after <= 0);
        started.kind == key.kind && started.namespace == key.namespace && started.name == key.name && later
    })
}

/// What logs of the kubelet say, where no event does: only with a reason that is known.
fn of_logs(cluster: &Cluster, groups: &mut BTreeMap<usize, RefusalGroup>) {
    let observed: BTreeSet<usize> = groups.keys().copied().collect();
    for (key, tally) in common::observed_refusals(cluster, Signal::CniFailing) {
        let pod = cluster.facts.objects.pods.get(&key.namespace, &key.pod);
        let node = cluster.facts.objects.nodes.get("", &key.node);
        let ready = |item: &crate::facts::Condition| &*item.r#type == "Ready" && &*item.status == "True";
        // A pod that runs by now, or a node that is Ready by now, has recovered.
        if pod.is_some_and(|pod| pod.object.ended() || pod.object.addresses().next().is_some())
            || node.is_some_and(|node| node.object.status.conditions.iter().any(ready))
        {
            continue;
        }
        let first = tally.examples.as_slice().first();
        let holds =
            |text: &str| key.detail.contains(text) || first.is_some_and(|item| item.excerpt.contains(text));
        let kind = REASONS.iter().position(|(text, ..)| holds(text)).unwrap_or(REASONS.len());
        if observed.contains(&kind) {
            continue;
        }
        let network = Some(Recovery::Network);
        let places = tally.examples.as_slice();
        let over = episode::is_over(&cluster.facts, network, &tally.span, tally.count(), places);
        // Of one failure without known words nothing follows; a sandbox that can't be removed twice is gone.
        let unknown = kind == REASONS.len();
        if over == Some(true) || unknown && (tally.count() < 2 || holds("failed (delete)")) {
            continue;
        }
        let group = groups.entry(kind).or_default();
        group.count += tally.count();
        if !key.pod.is_empty() {
            group.pods.insert(format!("{}/{}", key.namespace, key.pod));
        }
        if !key.node.is_empty() {
            group.nodes.insert(key.node.to_string());
        }
        group.span = time::joined(group.span, tally.span.resolve(cluster.anchor));
        if group.message.is_empty() {
            group.message = key.detail.to_string();
        }
        group.evidence.extend(first.cloned());
        group.of_logs = true;
        group.ongoing |= over == Some(false);
    }
}

/// The error in an event's message, without the runtime's and the plugin's words before it.
fn error_of(message: &str) -> &str {
    let before = ["desc = ", "network for pod ", "failed (add): ", "failed (delete): ", " network: "];
    let error =
        before.iter().fold(message, |rest, words| rest.split_once(words).map_or(rest, |(_, end)| end));
    error.trim()
}

fn finding(kind: usize, mut group: RefusalGroup) -> Option<Finding> {
    let reason = REASONS.get(kind);
    let pods = if group.pods.is_empty() {
        group.nodes.first().map_or_else(|| "Pods".to_owned(), |node| format!("Pods of node {node}"))
    } else if group.pods.len() == 1 {
        format!("Pod {}", group.pods.first()?)
    } else {
        format!("{} pods", group.pods.len())
    };
    let what = reason.map_or_else(|| error_of(&group.message), |(_, words, _)| words);
    group.evidence.truncate(EXAMPLES);
    let title = match reason {
        Some(_) => format!("{pods}: FailedCreatePodSandBox, {what}"),
        None if what.is_empty() => format!("{pods}: FailedCreatePodSandBox"),
        None => format!("{pods}: FailedCreatePodSandBox, {}", beginning(what, TITLE)),
    };
    let mut finding =
        Finding::new(DETECTOR.id, reason.map_or("other", |(text, ..)| text), title, group.evidence)?;
    (finding.severity, finding.confidence) = match (reason.is_some(), group.of_logs, group.ongoing) {
        (true, false, _) => (Severity::High, Confidence::Confirmed),
        (false, true, false) => (Severity::Medium, Confidence::Possible),
        _ => (Severity::High, Confidence::Likely),
    };
    finding.count = group.count.max(1);
    finding.unit = "failure";
    finding.seen(group.span);
    let mut subjects: Vec<SubjectRef> = group
        .nodes
        .iter()
        .map(|node| SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.clone() })
        .collect();
    subjects.extend(group.pods.iter().take(50).filter_map(|pod| pod.split_once('/')).map(
        |(namespace, name)| SubjectRef {
            kind: "Pod".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        },
    ));
    finding.subjects = subjects;
    finding.details.common.pods = texts(&group.pods);
    finding.details.common.nodes = texts(&group.nodes);
    let on = if group.nodes.is_empty() { String::new() } else { format!(" on {}", some(group.nodes.iter())) };
    let when = group.span.map_or_else(String::new, |(first, last)| {
        format!(", between {} and {}", time::show(first), time::show(last))
    });
    finding.cause = format!(
        "{} of {} could not be {}{on} {}{when}: {}.",
        if group.pods.len() == 1 { "The sandbox" } else { "Sandboxes" },
        if group.pods.is_empty() { pods.to_lowercase() } else { some(group.pods.iter()) },
        if group.of_logs { "created or removed" } else { "created" },
        if finding.count == 1 { "once".to_owned() } else { format!("{} times", finding.count) },
        if what.is_empty() { "see the quoted event" } else { what.trim_end_matches(['.', ':']) }
    );
    finding.fix = Fix {
        text: reason.map_or_else(|| "Start with the quoted error; the log of the kubelet and of the container runtime on the node has more.".to_owned(), |(.., fix)| (*fix).to_owned()),
        commands: vec!["kubectl get events -A --field-selector reason=FailedCreatePodSandBox".to_owned()],
        manifests: Vec::new(),
    };
    finding.verify =
        vec!["kubectl get pods -A --field-selector status.phase=Pending   # none of these pods".to_owned()];
    Some(finding)
}
