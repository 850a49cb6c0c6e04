//! kube-proxy is not running on a node.

use std::collections::{BTreeSet, HashSet};

use super::common::{self, PODS};
use crate::cluster::Cluster;
use crate::cluster::policy::EngineKind;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity, SubjectRef, shell,
};
use crate::evidence::EXAMPLES;
use crate::facts::{Form, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "kube-proxy-not-running",
    chapter: Chapter::Service,
    title: "kube-proxy not running on a node",
    needs: &[KUBE_PROXY, PODS],
    explains: &["connection-failing", "service-rules-missing"],
    doc: Doc {
        meaning: "kube-proxy writes the rules on every node that route Service IPs to pods. Where it is not running, the node keeps the last rules: new Services and endpoints cannot be reached from it.",
        decision: "A kube-proxy pod that is not ready: confirmed. A Ready node with other kube-system pods and no kube-proxy pod while other nodes have one: likely. NotReady nodes, Windows nodes and virtual nodes are left out. Clusters with the Cilium dataplane have no kube-proxy by design, and a bundle without any kube-proxy pod is not judged.",
        action: "Find out why the pod does not run (events, previous log); restart the DaemonSet.",
        reference: "AKS: Configure kube-proxy. Kubernetes: Debug Services, Is kube-proxy working?",
    },
    detect: Evaluation::Rule(detect),
};

const KUBE_PROXY: Need = Need {
    what: "the pods of kube-system, kube-proxy among them",
    why: "they show on which nodes kube-proxy runs",
    command: "kubectl get pods -n kube-system -o json > kube-system-pods.json",
    met: |cluster| proxies(cluster).next().is_some() || cluster.policies.engine.kind == EngineKind::Cilium,
};

fn proxies(cluster: &Cluster) -> impl Iterator<Item = (&Key, &crate::facts::Seen<crate::facts::Pod>)> {
    cluster.facts.objects.pods.of_namespace("kube-system").filter(|(key, seen)| {
        // A DaemonSet's pods end with five letters, static pods with the name of their node.
        key.name
            .strip_prefix("kube-proxy-")
            .is_some_and(|rest| key.name.len() <= 16 + 8 || *rest == *seen.object.spec.node_name)
    })
}

fn detect(cluster: &Cluster) -> Outcome {
    if cluster.policies.engine.kind == EngineKind::Cilium {
        return Outcome::default();
    }
    let mut nodes: BTreeSet<&str> = BTreeSet::new();
    let mut findings = Vec::new();
    let ready_node = |name: &str| {
        let seen = cluster.facts.objects.nodes.get("", name);
        seen.is_none_or(|seen| {
            seen.object
                .status
                .conditions
                .iter()
                .any(|condition| &*condition.r#type == "Ready" && &*condition.status == "True")
        })
    };
    for (key, seen) in proxies(cluster) {
        let pod = &seen.object;
        nodes.insert(&pod.spec.node_name);
        let statuses = &pod.status.container_statuses;
        let running = &*pod.status.phase == "Running" && statuses.iter().all(|status| status.ready);
        if running
            || statuses.is_empty() && &*pod.status.phase == "Running"
            || !pod.metadata.deletion_timestamp.is_empty()
            || !ready_node(&pod.spec.node_name)
        {
            continue;
        }
        let waiting = statuses.iter().find_map(|status| status.state.waiting.as_ref());
        let state = waiting.map_or_else(|| pod.status.phase.to_string(), |item| item.reason.to_string());
        let state = if state == "Running" { "Running but not ready".to_owned() } else { state };
        let evidence: Vec<_> = common::pod_at(cluster, key, &format!("{state}, on {}", pod.spec.node_name))
            .into_iter()
            .collect();
        findings.extend(finding(
            &pod.spec.node_name,
            &format!("pod {} {state}", key.name),
            evidence,
            Some(key),
            Confidence::Confirmed,
        ));
    }
    // A daemon set has one pod on every node that can run pods.
    let listed = proxies(cluster)
        .all(|(_, seen)| seen.form >= Form::Inventory || !seen.object.spec.node_name.is_empty());
    if !nodes.is_empty() && listed && nodes.len() > 1 {
        let system = cluster.facts.objects.pods.of_namespace("kube-system");
        let with_system: HashSet<&str> = system.map(|(_, pod)| &*pod.object.spec.node_name).collect();
        for (key, seen) in cluster.facts.objects.nodes.iter() {
            let labels = &seen.object.metadata.labels;
            let static_pods =
                proxies(cluster).all(|(key, seen)| key.name.ends_with(&*seen.object.spec.node_name));
            let virtual_node = labels.get("type").is_some_and(|value| &**value == "virtual-kubelet");
            let windows = labels.get("kubernetes.io/os").is_some_and(|value| &**value == "windows");
            // The pods of this node may not be in the bundle at all.
            let listed = with_system.contains(&*key.name)
                || static_pods
                    && cluster
                        .facts
                        .objects
                        .pods
                        .iter()
                        .any(|(_, pod)| *pod.object.spec.node_name == *key.name);
            if !listed {
                continue;
            }
            if nodes.contains(&*key.name) || !ready_node(&key.name) || virtual_node || windows {
                continue;
            }
            let evidence: Vec<_> =
                common::at(seen.evidence("Node", key), "ready, and no kube-proxy pod is on it")
                    .into_iter()
                    .collect();
            findings.extend(finding(
                &key.name,
                "no kube-proxy pod in the bundle, other nodes have one",
                evidence,
                None,
                Confidence::Likely,
            ));
        }
    }
    findings.into()
}

fn finding(
    node: &str,
    why: &str,
    mut evidence: Vec<crate::evidence::Evidence>,
    pod: Option<&Key>,
    confidence: Confidence,
) -> Option<Finding> {
    evidence.truncate(EXAMPLES);
    let state = if pod.is_some() { "not ready" } else { "not running" };
    let mut finding = Finding::new(
        DETECTOR.id,
        node,
        format!(
            "{}: kube-proxy {state}, {why}",
            if node.is_empty() { "Unidentified node".to_owned() } else { format!("Node {node}") }
        ),
        evidence,
    )?;
    finding.severity = Severity::High;
    finding.confidence = confidence;
    finding.unit = "node";
    if !node.is_empty() {
        finding.subjects =
            vec![SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.to_owned() }];
    }
    finding.subjects.extend(pod.map(|pod| common::subject("Pod", pod)));
    finding.cause = format!(
        "kube-proxy is {state} on {}: {why}. Until it runs, the node keeps its last Service rules, and new Services and endpoints can be unreachable from it.",
        if node.is_empty() { "a node".to_owned() } else { format!("node {node}") }
    );
    // A table without `-o wide` does not tell the node.
    let selected = if node.is_empty() {
        "-l component=kube-proxy".to_owned()
    } else {
        format!("--field-selector spec.nodeName={}", shell(node))
    };
    let mut commands = vec![format!("kubectl get pods -n kube-system -o wide {selected}")];
    commands.extend(pod.map(|pod| format!("kubectl logs {} --previous", common::named(pod))));
    commands.push("kubectl rollout restart daemonset kube-proxy -n kube-system".to_owned());
    finding.fix = Fix {
        text: "Read the pod's events and its previous log. Restarting the DaemonSet recreates kube-proxy on all nodes, one after the other; existing rules stay in place meanwhile.".to_owned(),
        commands,
        manifests: Vec::new(),
    };
    finding.verify = vec![format!(
        "kubectl get pods -n kube-system -o wide {selected}   # kube-proxy: Running, READY 1/1"
    )];
    Some(finding)
}
