//! A node gets no podCIDR.

use super::common::{self, observed_refusals};
use crate::cluster::Cluster;
use crate::cluster::ipam::subnets::Role;
use crate::detectors::details::texts;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, SubjectRef,
};
use crate::evidence::{Evidence, excerpt};
use crate::facts::{Form, Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-cidr-exhausted",
    chapter: Chapter::IpAllocation,
    title: "Pod CIDR exhausted (CIDRNotAvailable)",
    needs: &[common::REFUSALS],
    explains: &[
        "cni-not-ready",
        "pod-ip-exhausted",
        "service-pods-not-ready",
        "coredns-unhealthy",
        "container-crash-loop",
        "cilium-agent-unreachable",
    ],
    doc: Doc {
        meaning: "With Azure CNI Overlay and kubenet, each node gets its own podCIDR (a /24) of the cluster's pod CIDR. When all are allocated, a new node gets none (CIDRNotAvailable) and cannot run pods with their own IP.",
        decision: "`CIDRNotAvailable` in events or logs. Confirmed when the node's object has no podCIDR, otherwise likely; nodes that are Ready by now are left out: their plugin gives addresses without it. With the pod CIDR of az aks show and the nodes' podCIDRs the calculation is shown.",
        action: "Expand the pod CIDR (Azure CNI Overlay), or remove nodes that are not needed.",
        reference: "AKS: Azure CNI Overlay, expand pod CIDR space. kubernetes/kubernetes: pkg/controller/nodeipam.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut evidence: Vec<Evidence> = Vec::new();
    let mut nodes: Vec<String> = Vec::new();
    let (mut count, mut span) = (0, None);
    for (key, tally) in observed_refusals(cluster, Signal::CidrNotAvailable) {
        evidence.extend(tally.examples.as_slice().iter().take(2).cloned());
        if !key.node.is_empty() {
            nodes.push(key.node.to_string());
        }
        count += tally.count();
        span = time::joined(span, tally.span.resolve(cluster.anchor));
    }
    for (key, tally) in cluster.facts.events.of_reason("CIDRNotAvailable") {
        evidence.extend(tally.examples.as_slice().iter().take(1).cloned());
        nodes.push(key.name.to_string());
        count = count.max(tally.count);
    }
    // Cilium's operator notes at the node what keeps it from giving it a range (cilium/cilium `pkg/ipam/allocator/podcidr`).
    for (key, seen) in cluster.facts.objects.cilium_nodes.iter() {
        let error = &*seen.object.status.ipam.operator_status.error;
        if seen.object.spec.ipam.pod_cidrs.is_empty()
            && ["full", "exhausted"].iter().any(|word| error.contains(word))
        {
            nodes.push(key.name.to_string());
            count += 1;
            evidence.extend(seen.evidence("CiliumNode", key).into_iter().take(1).map(|mut place| {
                place.excerpt = excerpt(format!("no podCIDRs, operator-status: {error}").as_bytes());
                place
            }));
        }
    }
    nodes.sort();
    nodes.dedup();
    // Calico, Cilium and Azure give addresses without the node's podCIDR: the controller asks for a range that nobody needs.
    let ready = |name: &String| {
        cluster.facts.objects.nodes.get("", name).is_some_and(|seen| seen.object.ready() == Some(true))
    };
    let named = !nodes.is_empty();
    nodes.retain(|name| !ready(name));
    if named && nodes.is_empty() {
        let why = "the nodes that got no podCIDR are Ready: their network plugin does not need one";
        return Outcome { ruled_out: Some(why.to_owned()), ..Outcome::default() };
    }
    evidence.sort();
    evidence.dedup();
    evidence.truncate(6);
    let title = match nodes.as_slice() {
        [] => "Pod CIDR exhausted: CIDRNotAvailable for new nodes".to_owned(),
        [item] => format!("Node {item} got no podCIDR: CIDRNotAvailable (pod CIDR exhausted)"),
        all => format!("{} nodes got no podCIDR: CIDRNotAvailable (pod CIDR exhausted)", all.len()),
    };
    let Some(mut finding) =
        Finding::new(DETECTOR.id, nodes.first().map_or("cluster", String::as_str), title, evidence)
    else {
        return Outcome::default();
    };
    finding.severity = Severity::Critical;
    // The node's own object says that it has none.
    let without = |name: &String| {
        cluster
            .facts
            .objects
            .nodes
            .get("", name)
            .is_some_and(|seen| seen.form == Form::Full && seen.object.spec.pod_cidr.is_empty())
    };
    finding.confidence = if nodes.iter().any(without) { Confidence::Confirmed } else { Confidence::Likely };
    finding.count = count.max(1);
    finding.seen(span);
    finding.subjects = nodes
        .iter()
        .take(50)
        .map(|node| SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.clone() })
        .collect();
    finding.details.common.nodes = texts(&nodes);
    let given =
        cluster.facts.objects.nodes.iter().filter(|(_, seen)| !seen.object.spec.pod_cidr.is_empty()).count();
    let range = cluster.ledger.subnets.all.iter().find(|subnet| subnet.role == Role::PodRange);
    let sum = range.map_or_else(String::new, |range| {
        finding.details.ip_allocation.pod_range = Some(range.range.to_string());
        format!(
            " The pod CIDR {} has room for {} nodes with a /24 each; {given} nodes in the bundle have a podCIDR.",
            range.range,
            range.usable / 256
        )
    });
    finding.cause = format!(
        "The controller could not allocate a podCIDR: no part of the cluster's pod CIDR was left.{sum}"
    );
    finding.fix = Fix {
        text: if cluster.is_elsewhere() {
            "Remove nodes that are not needed: their podCIDRs become free. For more nodes, give kube-controller-manager a larger --cluster-cidr, or a second one.".to_owned()
        } else {
            "With Azure CNI Overlay, expand the pod CIDR: the new range must contain the old one. With kubenet it cannot be changed: remove nodes that are not needed, or create a cluster with Azure CNI Overlay and a larger range.".to_owned()
        },
        commands: if cluster.is_elsewhere() {
            Vec::new()
        } else {
            vec!["az aks update -g RESOURCE_GROUP -n CLUSTER --pod-cidr LARGER_RANGE   # Azure CNI Overlay only".to_owned()]
        },
        manifests: Vec::new(),
    };
    finding.verify = vec!["kubectl get nodes -o custom-columns=NAME:.metadata.name,PODCIDR:.spec.podCIDR   # every node has a PODCIDR".to_owned()];
    vec![finding].into()
}
