//! Nodes put pods out because they ran low on something.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{Observed, Wording, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-evicted",
    chapter: Chapter::Images,
    title: "A node put pods out",
    guide: &["3.2"],
    needs: &[PODS],
    explains: &["service-pods-not-ready"],
    doc: Doc {
        meaning: "When a node runs low on memory, disk or process ids, its kubelet ends pods, first those that take more than they asked for. They stay as failed pods until somebody removes them; their workload makes new ones elsewhere.",
        decision: "Failed pods with the reason Evicted, by node and resource. Confirmed. Medium when there are more than two or the node is under pressure now; low otherwise.",
        action: "Give pods requests that fit, or the node more of what it ran out of.",
        reference: "Kubernetes: node-pressure eviction. AKS: resource reservations.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut found: BTreeMap<(String, String), Observed> = BTreeMap::new();
    for (key, seen) in
        cluster.facts.objects.pods.iter().filter(|(_, seen)| &*seen.object.status.reason == "Evicted")
    {
        let message = &*seen.object.status.message;
        let what = message
            .split_once("low on resource: ")
            .map_or("", |(_, rest)| rest.split(['.', ' ']).next().unwrap_or(rest));
        let observed = found.entry((seen.object.spec.node_name.to_string(), what.to_owned())).or_default();
        observed.count += 1;
        observed.pods.insert(key.clone());
        if !seen.object.spec.node_name.is_empty() {
            observed.nodes.insert(seen.object.spec.node_name.to_string());
        }
        observed.evidence.extend(seen.evidence("Pod", key).into_iter().take(1).map(|mut place| {
            place.excerpt = crate::evidence::excerpt(message.as_bytes());
            place
        }));
    }
    found
        .into_iter()
        .filter_map(|((node, what), observed)| finding(cluster, &node, &what, observed))
        .collect::<Vec<_>>()
        .into()
}

fn finding(cluster: &Cluster, node: &str, what: &str, observed: Observed) -> Option<Finding> {
    let pressed = cluster.facts.objects.nodes.get("", node).is_some_and(|seen| {
        seen.object
            .status
            .conditions
            .iter()
            .any(|condition| condition.r#type.ends_with("Pressure") && &*condition.status == "True")
    });
    let whose = if node.is_empty() { "A node".to_owned() } else { format!("Node {node}") };
    let low = if what.is_empty() { "something".to_owned() } else { what.to_owned() };
    let pods: Vec<String> = observed.pods.iter().map(crate::facts::Key::label).collect();
    let says = Wording {
        severity: if pressed || observed.count > 2 { Severity::Medium } else { Severity::Low },
        confidence: Confidence::Confirmed,
        unit: "pod",
        cause: format!("{whose} ran low on {low} and put out {}: {}.{}", counted(observed.pods.len(), "pod"), listed(pods.iter().map(String::as_str), 3), if pressed { " It is under pressure now." } else { "" }),
        fix: match what {
            "memory" => "Set memory requests to what pods really take, and limits; put system pods on a pool of their own.".to_owned(),
            "ephemeral-storage" | "imagefs" | "nodefs" => "Look for logs and temporary files of pods, and for unused images; give nodes a larger OS disk.".to_owned(),
            _ => "See what the node ran out of, and who took it.".to_owned(),
        },
        commands: vec![
            format!("kubectl describe node {} | grep -A 12 -e Conditions: -e 'Allocated resources'", if node.is_empty() { "NODE".to_owned() } else { crate::detectors::shell(node) }),
            "kubectl delete pods -A --field-selector status.phase=Failed   # removes what is left of them".to_owned(),
        ],
        verify: vec!["kubectl get pods -A | grep -c Evicted   # 0, and stays so".to_owned()],
    };
    observed.finding(
        &DETECTOR,
        &format!("{node} {what}"),
        format!(
            "{whose} put out {} for want of {low}",
            if pods.len() == 1 { "a pod".to_owned() } else { format!("{} pods", pods.len()) }
        ),
        says,
    )
}
