//! Pods are refused an IP address, and the reason is not in the bundle.

use super::common::{self, about_node, on_node, per_node, refused_words};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Exhaustion, NodeIpam, Reason};
use crate::detectors::{Chapter, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-ip-exhausted",
    chapter: Chapter::IpAllocation,
    title: "No free IP address for pods, reason not in the bundle",
    needs: &[common::REFUSALS],
    explains: &["service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "The CNI plugin had no free IP for a pod (`Failed to allocate address`, `No available addresses`, `no IP addresses available in range set`, `No IPs available in pools`), so the pod stays in ContainerCreating (FailedCreatePodSandBox). Whether IPs leaked, pods churn, or the node's capacity is reached cannot be decided without the node's IPAM state.",
        decision: "Refusals in events, describe output, logs of the kubelet, CNI and CNS, or Container Insights, on a node for which no other cause of this chapter was found. One finding per node. Confirmed that pods were refused; the reason is unknown.",
        action: "Collect the node's IPAM state (see what to ask for) and run the report again: it then names leaked IPs, or shows that the node is full.",
        reference: "Azure Architecture Center: Troubleshoot network problems in AKS clusters, pod fails to allocate the IP address.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    per_node(cluster, Reason::NotTold, &DETECTOR, "no free IP address for pods", node).into()
}

fn node(found: &Exhaustion, books: Option<&NodeIpam>) -> Option<Finding> {
    let pods = match found.refused.pods.len() {
        0 => "pods".to_owned(),
        1 => format!("pod {}", found.refused.pods.first()?.trim_start_matches('/')),
        many => format!("{many} pods"),
    };
    let title = format!("{}: no free IP address for {pods}", on_node(&found.node));
    let mut finding = about_node(&DETECTOR, found, books, title, Vec::new())?;
    finding.severity = Severity::High;
    let signal = found.refused.signals.keys().next().copied();
    let who = match signal {
        Some(Signal::RangeSetFull) => "host-local has no free IP in the node's range",
        Some(Signal::NoAvailableAddresses) => {
            "Azure CNI has no free IP in the node's pool, whatever is free in the subnet"
        }
        Some(Signal::CalicoFull) => "Calico has no free IP in its pools or in the node's blocks",
        Some(Signal::WhereaboutsFull) => "whereabouts has no free IP in the range of the additional network",
        Some(Signal::CiliumFull) => "Cilium has no free IP in the node's range or pool",
        Some(Signal::AwsFull) => "The AWS VPC CNI has no free IP or prefix for the node",
        Some(Signal::OvnFull) => "OVN has no free IP in the node's subnet",
        _ => "The CNI plugin has no free IP",
    };
    let range = if found.refused.ranges.is_empty() {
        String::new()
    } else {
        format!(" ({})", found.refused.ranges.iter().take(3).cloned().collect::<Vec<_>>().join(", "))
    };
    let numbers = books.filter(|books| books.allocated() > 0 && books.lease.is_none()).map_or_else(
        String::new,
        |books| {
            format!(
                " The IPAM state has {} addresses reserved{}.",
                books.allocated(),
                books.capacity().map_or_else(String::new, |capacity| format!(" of {capacity}"))
            )
        },
    );
    finding.cause = format!(
        "{who}{range}.{}{numbers} Possible reasons: leaked IPs (a plugin bug), pod churn, or the node's pod IP capacity is reached. The node's IPAM state together with its pods shows which.",
        refused_words(&found.refused)
    );
    finding.fix = Fix {
        text: "To get the pods running now, cordon the node or add a node, then restart their workloads (kubectl rollout restart), so that they start on another node. To find the reason, collect the IPAM state and the pods, and run the report again.".to_owned(),
        commands: vec![
            common::BOOKS.command.to_owned(),
            common::PODS.command.to_owned(),
        ],
        manifests: Vec::new(),
    };
    finding.verify = vec![
        "kubectl get events -A --field-selector reason=FailedCreatePodSandBox   # no new ones".to_owned(),
    ];
    Some(finding)
}
