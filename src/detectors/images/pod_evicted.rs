//! Pods that the kubelet evicted.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{Observed, Wording, capitalised, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-evicted",
    chapter: Chapter::Images,
    title: "Pods Evicted by the kubelet",
    needs: &[PODS],
    explains: &["service-pods-not-ready"],
    doc: Doc {
        meaning: "When a node runs low on memory, disk or process IDs (MemoryPressure, DiskPressure, PIDPressure), its kubelet evicts pods, first those that use more than they request. It also evicts pods that exceed their ephemeral-storage limits. The pods stay as Failed objects; their workload creates replacements.",
        decision: "Pods with the reason Evicted, by node and by the resource that the message names. Confirmed. Medium when there are more than two or the node has a pressure condition at capture; otherwise low.",
        action: "Set requests and limits to real usage, or use nodes with more of that resource.",
        reference: "Kubernetes: Node-pressure Eviction. AKS: Resource reservations for node pools.",
    },
    detect: Evaluation::Rule(detect),
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
        .collect()
}

fn finding(cluster: &Cluster, node: &str, what: &str, observed: Observed) -> Option<Finding> {
    let pressed = cluster.facts.objects.nodes.get("", node).is_some_and(|seen| {
        seen.object
            .status
            .conditions
            .iter()
            .any(|condition| condition.r#type.ends_with("Pressure") && &*condition.status == "True")
    });
    let whose = if node.is_empty() { "a node".to_owned() } else { format!("node {node}") };
    let pods: Vec<String> = observed.pods.iter().map(Key::label).collect();
    let names = listed(pods.iter().map(String::as_str), 3);
    let message = observed.evidence.first().map_or("", |place| &*place.excerpt);
    let why = if !what.is_empty() {
        format!("{} was low on {what}; its kubelet evicted {names}.", capitalised(&whose))
    } else if message.is_empty() {
        format!("The kubelet of {whose} evicted {names}; its message is not in the bundle.")
    } else {
        format!("The kubelet of {whose} evicted {names}: {message}")
    };
    let mut commands = vec![format!(
        "kubectl describe node {} | grep -A 12 -e Conditions: -e 'Allocated resources'",
        if node.is_empty() { "NODE".to_owned() } else { shell(node) }
    )];
    // A StatefulSet gives a new pod the old name: only the failed pod of that name is removed.
    commands.extend(observed.pods.iter().take(3).map(|key| {
        format!(
            "kubectl delete pods -n {} --field-selector status.phase=Failed,metadata.name={}   # optional: removes this evicted pod's record",
            shell(&key.namespace),
            shell(&key.name)
        )
    }));
    let says = Wording {
        severity: if pressed || observed.count > 2 { Severity::Medium } else { Severity::Low },
        confidence: Confidence::Confirmed,
        unit: "pod",
        cause: format!("{why}{}", if pressed { " The node has a pressure condition at capture." } else { "" }),
        fix: match what {
            "memory" => "Set memory requests to real usage, and memory limits; run system pods in a separate node pool. Changed requests roll out new pods.".to_owned(),
            "ephemeral-storage" | "imagefs" | "nodefs" => "Find the pods that write large logs or temporary files, and set ephemeral-storage requests and limits; use a node pool with a larger OS disk.".to_owned(),
            _ => "Read the kubelet's message, then set requests and limits for the resource that it names.".to_owned(),
        },
        commands,
        verify: vec!["kubectl get events -A --field-selector reason=Evicted   # no new ones".to_owned()],
    };
    observed.finding(
        &DETECTOR,
        &format!("{node} {what}"),
        format!(
            "{} Evicted: {}",
            pods.first().filter(|_| pods.len() == 1).cloned().unwrap_or_else(|| counted(pods.len(), "pod")),
            if what.is_empty() {
                format!("by the kubelet of {whose}")
            } else {
                format!("{whose} low on {what}")
            }
        ),
        says,
    )
}
