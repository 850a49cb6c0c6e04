//! kube-proxy does not run on a node.

use std::collections::{BTreeSet, HashSet};

use super::common::{self, PODS};
use crate::cluster::Cluster;
use crate::cluster::policy::EngineKind;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Finding, Fix, Need, Outcome, Severity, SubjectRef, shell,
};
use crate::evidence::EXAMPLES;
use crate::facts::{Form, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "kube-proxy-not-running",
    chapter: Chapter::Service,
    title: "kube-proxy does not run on a node",
    guide: &["3.6"],
    needs: &[KUBE_PROXY, PODS],
    explains: &["service-rules-missing"],
    doc: Doc {
        meaning: "kube-proxy writes on every node the rules by which service addresses lead to pods. Where it does not run, services keep the pods that they had when it ended, and new ones can't be reached from that node.",
        decision: "A kube-proxy pod that is not ready, or a ready node without one while other nodes have theirs. A node that is not ready itself is told elsewhere. Clusters with the Cilium dataplane have no kube-proxy by design, and a bundle without any kube-proxy pod is not judged.",
        action: "See why the pod does not run; reimage the node if it can't.",
        reference: "AKS: configure kube-proxy. Kubernetes: debug services, is kube-proxy working.",
    },
    detect,
};

const KUBE_PROXY: Need = Need {
    what: "the pods of kube-system, kube-proxy among them",
    why: "they tell on which nodes kube-proxy runs",
    command: "kubectl get pods -n kube-system -o json > kube-system-pods.json",
    met: |cluster| proxies(cluster).next().is_some() || cluster.policies.engine.kind == EngineKind::Cilium,
};

fn proxies(cluster: &Cluster) -> impl Iterator<Item = (&Key, &crate::facts::Seen<crate::facts::Pod>)> {
    cluster
        .facts
        .objects
        .pods
        .of_namespace("kube-system")
        .filter(|(key, _)| key.name.starts_with("kube-proxy-") && key.name.len() <= 16 + 8)
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
        let evidence: Vec<_> = common::pod_at(cluster, key, &format!("{state}, on {}", pod.spec.node_name))
            .into_iter()
            .collect();
        findings.extend(finding(
            &pod.spec.node_name,
            &format!("its pod {} is {state}", key.label()),
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
            let virtual_node = labels.get("type").is_some_and(|value| &**value == "virtual-kubelet");
            let windows = labels.get("kubernetes.io/os").is_some_and(|value| &**value == "windows");
            // The pods of this node may not be in the bundle at all.
            if !with_system.contains(&*key.name) {
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
                "the bundle shows no kube-proxy pod on it, and one on other nodes",
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
    let mut finding =
        Finding::new(DETECTOR.id, node, format!("Node {node}: kube-proxy does not run, {why}"), evidence)?;
    finding.severity = Severity::High;
    finding.confidence = confidence;
    finding.unit = "node";
    finding.subjects =
        vec![SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.to_owned() }];
    finding.subjects.extend(pod.map(|pod| common::subject("Pod", pod)));
    finding.cause = format!(
        "On node {node} kube-proxy does not run: {why}. Services lead there to the pods of an earlier time, or nowhere."
    );
    let mut commands = vec![format!(
        "kubectl get pods -n kube-system -o wide --field-selector spec.nodeName={}",
        shell(node)
    )];
    commands.extend(pod.map(|pod| format!("kubectl logs {} --previous", common::named(pod))));
    finding.fix = Fix {
        text: "The pod's events and its last output say why. If its configuration is sound, delete the pod so that it is made anew; otherwise upgrade the node image or reimage the node.".to_owned(),
        commands,
        manifests: Vec::new(),
    };
    finding.verify = vec![format!(
        "kubectl get pods -n kube-system -l component=kube-proxy -o wide --field-selector spec.nodeName={}",
        shell(node)
    )];
    Some(finding)
}
