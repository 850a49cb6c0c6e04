//! Azure CNS does not answer on its node.

use std::collections::BTreeMap;

use super::common::{self, node_word, observed_refusals, on_node};
use crate::cluster::Cluster;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity, SubjectRef};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "cns-unreachable",
    chapter: Chapter::IpAllocation,
    title: "Azure CNS does not answer on its node",
    guide: &["2", "3.5"],
    needs: &[common::REFUSALS],
    explains: &[
        "pod-ip-exhausted",
        "sandbox-failed-otherwise",
        "service-pods-not-ready",
        "coredns-unhealthy",
    ],
    doc: Doc {
        meaning: "The CNI plugin asks Azure CNS on the node itself (port 10090) for every address. When CNS does not run or is still starting, no pod with an address of its own starts on the node.",
        decision: "Refused or timed-out connections to 127.0.0.1:10090 or localhost:10090 in events or logs. Confirmed when they go on for more than five minutes, or when the azure-cns pod of the node is not ready; a short burst is what every node shows at its start, and is told as such.",
        action: "Look at the azure-cns pod of the node and its log; reimage the node if it can't start.",
        reference: "Azure/azure-container-networking: CNS.",
    },
    detect,
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
        let title = format!("{}: azure-cns {}", on_node(&node), if passed { "did not answer for a moment" } else { "does not answer" });
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
            Some((why, _)) => format!("Connections to port 10090 of the node failed {count} times{when}; {why}."),
            None if long => format!("Connections to port 10090 of the node failed {count} times{when}: longer than a start takes."),
            None => format!("Connections to port 10090 of the node failed {count} times{when}. Every node shows this while it starts; nothing says that it lasted."),
        };
        let name = node_word(&node);
        finding.fix = Fix {
            text: if passed { "Nothing to mend, unless it comes back.".to_owned() } else { "Look why azure-cns does not run on the node; restart it, and reimage the node if that does not help.".to_owned() },
            commands: vec![
                format!("kubectl get pods -n kube-system -l k8s-app=azure-cns -o wide --field-selector spec.nodeName={name}"),
                format!("kubectl logs -n kube-system -l k8s-app=azure-cns --tail=100   # of the pod on {name}"),
            ],
            manifests: Vec::new(),
        };
        finding.verify = vec![format!("curl -s localhost:10090/debug/ipaddresses -d '{{\"IPConfigStateFilter\":[\"Assigned\"]}}'   # on {name}: it answers")];
        Some(finding)
    });
    findings.collect::<Vec<_>>().into()
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
            Some(waiting) => format!("pod {} waits: {}", key.label(), waiting.reason),
            None if not_ready => format!("pod {} is not ready", key.label()),
            None => return None,
        };
        let node = Some(&*seen.object.spec.node_name).filter(|node| !node.is_empty())?;
        Some((node, (why, seen.evidence("Pod", key).into_iter().next()?)))
    });
    broken.collect()
}
