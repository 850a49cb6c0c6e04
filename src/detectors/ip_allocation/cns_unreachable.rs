//! Azure CNS does not answer on its node's port 10090.

use std::collections::BTreeMap;

use super::common::{self, node_word, observed_refusals, on_node};
use crate::cluster::Cluster;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, SubjectRef,
};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "cns-unreachable",
    chapter: Chapter::IpAllocation,
    title: "azure-cns not answering (localhost:10090)",
    needs: &[common::REFUSALS],
    explains: &[
        "pod-ip-exhausted",
        "sandbox-failed-otherwise",
        "service-pods-not-ready",
        "coredns-unhealthy",
    ],
    doc: Doc {
        meaning: "The CNI plugin requests every pod IP from Azure CNS on the node itself (127.0.0.1:10090). While CNS does not run or is still starting, no pod with its own IP starts on the node (FailedCreatePodSandBox, connection refused).",
        decision: "Refused or timed-out connections to 127.0.0.1:10090 or localhost:10090 in events or logs. Confirmed and critical when they last more than five minutes, or when the node's azure-cns pod is not ready; a short burst is what every node shows at its start: possible and low.",
        action: "Check the azure-cns pod of the node: its events and its log.",
        reference: "Azure/azure-container-networking: cns.",
    },
    detect: Evaluation::Rule(detect),
};

/// A node that starts shows this for a while.
const START_MINUTES: i64 = 5;

/// Count, first and last, where.
type CnsFailures = (u64, Option<(i64, i64)>, Vec<Evidence>);

fn detect(cluster: &Cluster) -> Outcome {
    let mut by_node: BTreeMap<String, CnsFailures> = BTreeMap::new();
    for (key, tally) in observed_refusals(cluster, Signal::CnsUnreachable) {
        let pod = cluster.facts.objects.pods.get(&key.namespace, &key.pod);
        let node =
            if key.node.is_empty() { pod.map_or("", |pod| &*pod.object.spec.node_name) } else { &key.node };
        let ours = by_node.entry(node.to_owned()).or_default();
        ours.0 += tally.count();
        ours.1 = time::joined(ours.1, tally.span.resolve(cluster.anchor));
        ours.2.extend(tally.examples.as_slice().iter().take(2).cloned());
    }
    let broken = broken_pods(cluster);
    let findings = by_node.into_iter().filter_map(|(node, (count, span, mut evidence))| {
        let broken = broken.get(node.as_str()).cloned();
        let lasted = span.map(|(first, last)| (last - first) / 60_000_000);
        let long = lasted.is_some_and(|minutes| minutes > START_MINUTES);
        let passed = broken.is_none() && !long;
        evidence.extend(broken.iter().map(|(_, place)| place.clone()));
        evidence.truncate(EXAMPLES);
        let title = format!("{}: azure-cns {}", on_node(&node), if passed { "did not answer on port 10090 for a short time" } else { "not answering on port 10090" });
        let mut finding = Finding::new(DETECTOR.id, &node, title, evidence)?;
        finding.severity = if passed { Severity::Low } else { Severity::Critical };
        finding.confidence = if broken.is_some() || long { Confidence::Confirmed } else { Confidence::Possible };
        finding.count = count;
        finding.unit = "failed connection";
        finding.seen(span);
        if !node.is_empty() {
            finding.subjects = vec![SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.clone() }];
        }
        let when = span.map_or_else(String::new, |(first, last)| format!(", between {} and {}", time::show(first), time::show(last)));
        finding.cause = match &broken {
            Some((why, _)) => format!("Connections to azure-cns on port 10090 of the node failed {}{when}; {why}.", times(count)),
            None if long => format!("Connections to azure-cns on port 10090 of the node failed {}{when}: longer than a node start takes.", times(count)),
            None => format!("Connections to azure-cns on port 10090 of the node failed {}{when}. Every node shows this while it starts, and the bundle has no sign that it lasted.", times(count)),
        };
        let name = node_word(&node);
        finding.fix = Fix {
            text: if passed { "No action needed unless it recurs.".to_owned() } else { "Find out why azure-cns does not run on the node: the events and the log of its pod. Running pods are not affected; new pods get no IP meanwhile.".to_owned() },
            commands: vec![
                format!("kubectl get pods -n kube-system -l k8s-app=azure-cns -o wide --field-selector spec.nodeName={name}"),
                format!("kubectl logs -n kube-system -l k8s-app=azure-cns --prefix --tail=100   # read the pod on {name}"),
            ],
            manifests: Vec::new(),
        };
        finding.verify = vec![format!("curl -s localhost:10090/debug/ipaddresses -d '{{\"IPConfigStateFilter\":[\"Assigned\"]}}'   # on {name}: prints JSON")];
        Some(finding)
    });
    findings.collect()
}

/// `once`, `12 times`.
fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// Nodes whose azure-cns pod is there and does not run, with what is wrong with it.
fn broken_pods(cluster: &Cluster) -> BTreeMap<&str, (String, Evidence)> {
    let pods = cluster.facts.objects.pods.iter().filter(|(key, _)| key.name.starts_with("azure-cns"));
    let broken = pods.filter_map(|(key, seen)| {
        let status = &seen.object.status;
        let not_ready = status
            .conditions
            .iter()
            .any(|condition| &*condition.r#type == "Ready" && &*condition.status == "False");
        let why = match status
            .container_statuses
            .iter()
            .find_map(|container_status| container_status.state.waiting.as_ref())
        {
            Some(waiting) => format!("pod {} is in {}", key.label(), waiting.reason),
            None if not_ready => format!("pod {} is not ready", key.label()),
            None => return None,
        };
        let node = Some(&*seen.object.spec.node_name).filter(|node| !node.is_empty())?;
        Some((node, (why, seen.evidence("Pod", key).into_iter().next()?)))
    });
    broken.collect()
}
