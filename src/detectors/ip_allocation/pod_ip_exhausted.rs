//! Pods are refused an address, and the bundle does not say why.

use super::common::{self, about_node, on_node, per_node, refused_words};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Exhaustion, NodeIpam, Reason};
use crate::detectors::{Chapter, Detector, Doc, Finding, Fix, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-ip-exhausted",
    chapter: Chapter::IpAllocation,
    title: "Pods are refused an address, and the reason is not in the bundle",
    guide: &["2"],
    needs: &[common::REFUSALS],
    explains: &["service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "The network plugin had no address left for a pod ('Failed to allocate address', 'No available addresses', 'no IP addresses available in range set', 'No IPs available in pools'), so the pod stays in ContainerCreating. Whether addresses leaked, pods come and go too fast, or the node is simply full can't be told without the node's books.",
        decision: "Refusals of any wording and version, in events, describe output, logs of kubelet, CNI and CNS, or Container Insights, on a node for which no other detector of this chapter found the reason. One finding for each node. That pods were refused is confirmed; why is not known.",
        action: "Collect the node's books (see what to ask for) and run the report again: it then names the leaked addresses or shows that the node is full.",
        reference: "Azure Architecture Center: Troubleshoot network problems in AKS clusters, pod fails to allocate the IP address.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    per_node(cluster, Reason::NotTold, &DETECTOR, "pods are refused an address", node).into()
}

fn node(found: &Exhaustion, books: Option<&NodeIpam>) -> Option<Finding> {
    let pods = match found.refused.pods.len() {
        0 => "pods are".to_owned(),
        1 => format!("pod {} is", found.refused.pods.first()?),
        many => format!("{many} pods are"),
    };
    let title = format!("{}: {pods} refused an address", on_node(&found.node));
    let mut finding = about_node(&DETECTOR, found, books, title, Vec::new())?;
    finding.severity = Severity::High;
    let signal = found.refused.signals.keys().next().copied();
    let who = match signal {
        Some(Signal::RangeSetFull) => "The node's host-local store has no free address in its range",
        Some(Signal::NoAvailableAddresses) => {
            "Azure CNI has no free address in the node's pool; the limit is the node's own, however many are free in the subnet"
        }
        Some(Signal::CalicoFull) => "Calico has no free address in its pools or in the node's blocks",
        Some(Signal::WhereaboutsFull) => "whereabouts has no free address in the range of the extra network",
        _ => "The network plugin has no free address",
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
                " The books show {} addresses reserved{}.",
                books.allocated(),
                books.capacity().map_or_else(String::new, |capacity| format!(" of {capacity}"))
            )
        },
    );
    finding.cause = format!(
        "{who}{range}.{}{numbers} Three things look like this: addresses that were not given back (a plugin bug), pods that come and go too fast, or simply as many pods as the node may have. The node's books together with its pods decide it.",
        refused_words(&found.refused)
    );
    finding.fix = Fix {
        text: "To get the pods running now: delete them, so that they are placed on another node, or add a node. To find the reason, collect the node's books and its pods.".to_owned(),
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
