//! Azure CNS waits for addresses that it asked for.

use super::common::{self, about_node, minutes, node_word, on_node, per_node, refused_words};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Exhaustion, NodeIpam, Reason};
use crate::detectors::{Chapter, Detector, Doc, Finding, Fix, Outcome, Severity};

/// Waiting for longer than this is not the usual growth of a pool.
const STUCK_MINUTES: i64 = 5;

pub(super) const DETECTOR: Detector = Detector {
    id: "cns-waiting",
    chapter: Chapter::IpAllocation,
    title: "Azure CNS waits for more addresses",
    guide: &["2"],
    needs: &[common::REFUSALS],
    explains: &["pod-ip-exhausted", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "With dynamic Azure CNI a node asks for a batch of 16 addresses when fewer than 8 are free. Until they come, new pods are refused with 'not enough IPs available … waiting on Azure CNS to allocate more'. For a minute or two that is normal; for longer the request is stuck.",
        decision: "Refusals of that wording without the status of a full subnet or a missing permission. Confirmed when the NodeNetworkConfig shows more addresses requested than allocated. Up to five minutes it is told as passing, longer as stuck. When all requested addresses are there and live pods hold far fewer, it is a leak instead.",
        action: "Passing: nothing; scale out more slowly. Stuck: look at the network container's status, the pod subnet, and restart azure-cns on the node.",
        reference: "AKS: Azure CNI with dynamic IP allocation. Azure/azure-container-networking: IPAM pool monitor.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    per_node(cluster, Reason::Waiting, &DETECTOR, "Azure CNS waits for addresses", node).into()
}

fn node(found: &Exhaustion, books: Option<&NodeIpam>) -> Option<Finding> {
    let lasted = minutes(&found.refused);
    let stuck = lasted.is_some_and(|minutes| minutes > STUCK_MINUTES);
    let passing = lasted.is_some_and(|minutes| minutes <= STUCK_MINUTES);
    let how = match lasted {
        Some(minutes) if stuck => format!("for {minutes} minutes"),
        Some(_) => "for a short time".to_owned(),
        None => "how long is not told".to_owned(),
    };
    let lease = books.and_then(|books| books.lease.as_ref());
    // It has all that it asked for: then it does not wait for Azure.
    let satisfied = lease.is_some_and(|lease| {
        lease.requested.zip(lease.allocated).is_some_and(|(requested, allocated)| requested <= allocated)
    });
    let does = if satisfied { "refused pods with its lease complete" } else { "waited for addresses" };
    let title = format!("{}: Azure CNS {does}, {how}", on_node(&found.node));
    let mut finding = about_node(&DETECTOR, found, books, title, Vec::new())?;
    finding.severity = match () {
        () if passing => Severity::Low,
        () if stuck => Severity::High,
        () => Severity::Medium,
    };
    finding.detail("stuck", stuck);
    let numbers = lease.map_or_else(
        || {
            " The NodeNetworkConfig of the node is not in the bundle, so what was asked for is not known."
                .to_owned()
        },
        |lease| {
            let requested = lease.requested.map_or_else(|| "?".to_owned(), |count| count.to_string());
            let allocated = lease.allocated.map_or_else(|| "?".to_owned(), |count| count.to_string());
            let status =
                if lease.status.is_empty() { String::new() } else { format!(", status {}", lease.status) };
            format!(" It asked for {requested} addresses and has {allocated}{status}.")
        },
    );
    let why = if passing {
        " That is how a pool grows: it passed by itself, or the bundle ends before it did."
    } else if satisfied {
        " So nothing is under way: its addresses are in use or leaked, and either its pods are not all in the bundle or their addresses are not of this subnet, so the two can't be compared."
    } else if stuck {
        " A pool grows within a minute or two, so the request is stuck."
    } else {
        " A pool grows within a minute or two: if it lasts longer, the request is stuck."
    };
    finding.cause = format!(
        "The node's pool was used up{}.{numbers}{}{why}",
        if satisfied { "" } else { " and CNS waited for the next batch" },
        refused_words(&found.refused)
    );
    let name = node_word(&found.node);
    finding.fix = Fix {
        text: if passing {
            "Nothing to mend. If it comes back with every scale-out, scale in smaller steps, or use Azure CNI Overlay, whose nodes have their addresses from the start.".to_owned()
        } else {
            "Look at the lease first: a full subnet or a missing permission shows there. Then restart azure-cns on the node; if the request stays open, open a ticket with this report.".to_owned()
        },
        commands: if passing {
            Vec::new()
        } else {
            vec![
                format!("kubectl get nnc -n kube-system {name} -o yaml"),
                format!(
                    "kubectl delete pod -n kube-system -l k8s-app=azure-cns --field-selector spec.nodeName={name}"
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
