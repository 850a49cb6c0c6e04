//! Azure CNS waits for pod IPs that it requested.

use super::common::{self, about_node, minutes, node_word, on_node, per_node, refused_words};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Exhaustion, NodeIpam, Reason};
use crate::detectors::details::number;
use crate::detectors::{Chapter, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};

/// Waiting for longer than this is not the usual growth of a pool.
const STUCK_MINUTES: i64 = 5;

pub(super) const DETECTOR: Detector = Detector {
    id: "cns-waiting",
    chapter: Chapter::IpAllocation,
    title: "azure-cns waiting for more IPs (NodeNetworkConfig)",
    needs: &[common::REFUSALS],
    explains: &["pod-ip-exhausted", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "With Azure CNI and dynamic IP allocation, a node requests a batch of 16 IPs when fewer than 8 are free. Until they arrive, new pods fail with `not enough IPs available … waiting on Azure CNS to allocate more`. That is normal for a minute or two; for longer, the request is stuck.",
        decision: "Refusals with that message and without the status of a full subnet or a missing permission. Confirmed when the NodeNetworkConfig has more IPs requested than allocated. Low up to five minutes, high for longer, medium when the duration is unknown. When all requested IPs are allocated and running pods hold far fewer, it is a leak instead.",
        action: "Short: none; scale out in smaller steps. Stuck: check the NodeNetworkConfig's status and the pod subnet, then restart azure-cns on the node.",
        reference: "AKS: Azure CNI with dynamic IP allocation. Azure/azure-container-networking: cns/ipampool (pool monitor).",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    per_node(cluster, Reason::Waiting, &DETECTOR, "azure-cns waiting for IPs", node).into()
}

fn node(found: &Exhaustion, books: Option<&NodeIpam>) -> Option<Finding> {
    let lasted = minutes(&found.refused);
    let stuck = lasted.is_some_and(|minutes| minutes > STUCK_MINUTES);
    let passing = lasted.is_some_and(|minutes| minutes <= STUCK_MINUTES);
    let how = match lasted {
        Some(minutes) if stuck => format!("for {minutes} minutes"),
        Some(_) => "for a short time".to_owned(),
        None => "(duration unknown)".to_owned(),
    };
    let lease = books.and_then(|books| books.lease.as_ref());
    // It has all that it asked for: then it does not wait for Azure.
    let satisfied = lease.is_some_and(|lease| {
        lease.requested.zip(lease.allocated).is_some_and(|(requested, allocated)| requested <= allocated)
    });
    let does =
        if satisfied { "refused pods with all requested IPs allocated" } else { "waiting for more IPs" };
    let title = format!("{}: azure-cns {does} {how}", on_node(&found.node));
    let mut finding = about_node(&DETECTOR, found, books, title, Vec::new())?;
    finding.severity = if passing {
        Severity::Low
    } else if stuck {
        Severity::High
    } else {
        Severity::Medium
    };
    finding.details.ip_allocation.stuck = number(stuck);
    let numbers = lease.map_or_else(
        || {
            " The node's NodeNetworkConfig is not in the bundle, so the number of requested IPs is unknown."
                .to_owned()
        },
        |lease| {
            let requested = lease.requested.map_or_else(|| "?".to_owned(), |count| count.to_string());
            let allocated = lease.allocated.map_or_else(|| "?".to_owned(), |count| count.to_string());
            let status =
                if lease.status.is_empty() { String::new() } else { format!(", status {}", lease.status) };
            format!(" Requested IPs: {requested}, allocated: {allocated}{status}.")
        },
    );
    let why = if passing {
        " That is normal while a pool grows: it passed, or the bundle ends before it did."
    } else if satisfied {
        " No request is open, so its IPs are in use or leaked. They cannot be compared with the pods: not all pods are in the bundle, or their IPs are of another subnet."
    } else if stuck {
        " A pool grows within a minute or two, so the request is stuck."
    } else {
        " A pool grows within a minute or two: if it lasts longer, the request is stuck."
    };
    finding.cause = format!(
        "The node's IP pool was used up{}.{numbers}{}{why}",
        if satisfied { "" } else { " and CNS waited for the next batch" },
        refused_words(&found.refused)
    );
    let name = node_word(&found.node);
    finding.fix = Fix {
        text: if passing {
            "No action needed. If it recurs with every scale-out, scale in smaller steps, or use Azure CNI Overlay, whose nodes have their pod IPs from the start.".to_owned()
        } else {
            "Check the NodeNetworkConfig first: its status shows a full subnet or a missing permission. Then restart azure-cns on the node: its DaemonSet recreates the pod, and new pods get no IP for some seconds. If the request stays open, open a support ticket with this report.".to_owned()
        },
        commands: if passing {
            Vec::new()
        } else {
            vec![
                format!("kubectl get nnc -n kube-system {name} -o yaml"),
                format!(
                    "kubectl delete pod -n kube-system -l k8s-app=azure-cns --field-selector spec.nodeName={name}   # restarts azure-cns on this node"
                ),
            ]
        },
        manifests: Vec::new(),
    };
    finding.verify = vec![format!(
        "kubectl get nnc -n kube-system {name} -o wide   # ALLOCATED IPS reaches REQUESTED IPS"
    )];
    Some(finding)
}
