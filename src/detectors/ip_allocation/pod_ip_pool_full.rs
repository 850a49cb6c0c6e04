//! All addresses of a node are held by live pods.

use super::common::{self, about_node, on_node, per_node, refused_words};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Exhaustion, Ipam, NodeIpam, Reason};
use crate::detectors::{Chapter, Detector, Doc, Finding, Fix, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-ip-pool-full",
    chapter: Chapter::IpAllocation,
    title: "A node has no address left: all are held by live pods",
    guide: &["2", "2.1"],
    needs: &[common::BOOKS, common::PODS, common::REFUSALS],
    explains: &["pod-ip-exhausted", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "Each node may give addresses to a fixed number of pods. When that many run, further pods stay in ContainerCreating, although the subnet may have thousands of free addresses: the limit is the node's.",
        decision: "A node refuses pods, its books show at most two free addresses (or as many live pods as it may have), and all reserved ones are accounted for: hardly any orphan, so nothing has leaked.",
        action: "Add nodes, or a node pool with a higher --max-pods (it can't be changed later); or move to Azure CNI Overlay, with up to 250 pods a node.",
        reference: "AKS: Configure maximum pods per node. Azure/AKS issue 2532.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    per_node(cluster, Reason::Full, &DETECTOR, "all addresses are held by live pods", node).into()
}

fn node(found: &Exhaustion, books: Option<&NodeIpam>) -> Option<Finding> {
    let books = books?;
    let capacity = books.capacity().or(books.max_pods.map(|most| most as u64)).unwrap_or(books.allocated());
    let title = format!("{}: all {capacity} pod addresses are in use by live pods", on_node(&found.node));
    let mut finding = about_node(&DETECTOR, found, Some(books), title, Vec::new())?;
    finding.severity = Severity::High;
    let limit = match books.ipam {
        Ipam::HostLocal => "the node's range of pod addresses",
        Ipam::AzureVnetIpam | Ipam::AzureVnet => {
            "the pool that Azure CNI took for the node when it was made (its maximum of pods)"
        }
        _ => "the node's pool",
    };
    finding.cause = format!(
        "{limit} holds {capacity} addresses; {} live pods have one each and nothing has leaked.{}{}",
        books.pods,
        refused_words(&found.refused),
        books.max_pods.map_or_else(String::new, |most| format!(" The kubelet takes {most} pods at most.")),
    );
    if let Some(first) = finding.cause.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    finding.fix = Fix {
        text: "Add a node, or a node pool whose nodes may have more pods, and let the pods move there.".to_owned(),
        commands: vec![
            "az aks nodepool scale -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --node-count COUNT   # one more".to_owned(),
            "az aks nodepool add -g RESOURCE_GROUP --cluster-name CLUSTER --name NEWPOOL --max-pods 110   # or: more pods a node".to_owned(),
        ],
        manifests: Vec::new(),
    };
    finding.verify = vec![
        "kubectl get pods -A --field-selector status.phase=Pending   # none waits for an address".to_owned(),
    ];
    Some(finding)
}
