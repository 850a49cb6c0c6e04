//! All pod IPs of a node are in use by running pods.

use super::common::{self, about_node, on_node, per_node, refused_words};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Exhaustion, Ipam, NodeIpam, Reason};
use crate::detectors::observed::counted;
use crate::detectors::{Chapter, Detector, Doc, Finding, Fix, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-ip-pool-full",
    chapter: Chapter::IpAllocation,
    title: "Node pod IP capacity (max pods) reached",
    needs: &[common::BOOKS, common::PODS, common::REFUSALS],
    explains: &["pod-ip-exhausted", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "Each node has pod IPs for a fixed number of pods. When that many run, further pods stay in ContainerCreating (FailedCreatePodSandBox), although the subnet can have thousands of free IPs: the limit is the node's.",
        decision: "A node refuses pods, its IPAM state has at most two free IPs (or it runs as many pods as it can), and almost all allocated IPs belong to running pods, so none leaked.",
        action: "Add nodes, or a node pool with a higher --max-pods (it cannot be changed later); or move to Azure CNI Overlay, with up to 250 pods per node.",
        reference: "AKS: Configure maximum pods per node. Azure/AKS issue 2532.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    per_node(cluster, Reason::Full, &DETECTOR, "pod IP capacity reached", |found, books| {
        node(cluster, found, books)
    })
    .into()
}

fn node(cluster: &Cluster, found: &Exhaustion, books: Option<&NodeIpam>) -> Option<Finding> {
    let books = books?;
    let capacity = books.capacity().or(books.max_pods.map(|most| most as u64)).unwrap_or(books.allocated());
    let title = format!("{}: pod IP capacity reached, all {capacity} IPs in use", on_node(&found.node));
    let mut finding = about_node(&DETECTOR, found, Some(books), title, Vec::new())?;
    finding.severity = Severity::High;
    let limit = match books.ipam {
        Ipam::HostLocal => "the node's podCIDR",
        Ipam::AzureVnetIpam | Ipam::AzureVnet => {
            "the pool that Azure CNI allocated when the node was created (max pods)"
        }
        _ => "the node's IP pool",
    };
    finding.cause = format!(
        "{limit} has {capacity} IPs for {} (without hostNetwork); no leak was found.{}{}",
        counted(books.pods, "running pod"),
        refused_words(&found.refused),
        books.max_pods.map_or_else(String::new, |most| format!(" The kubelet's max pods is {most}.")),
    );
    if let Some(first) = finding.cause.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    finding.fix = Fix {
        text: "Add a node, or a node pool with higher max pods. Pods already assigned to the full node stay there: restart their workload (kubectl rollout restart) to start them elsewhere.".to_owned(),
        commands: if cluster.is_elsewhere() { Vec::new() } else { vec![
            "az aks nodepool scale -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --node-count COUNT   # one more node".to_owned(),
            "az aks nodepool add -g RESOURCE_GROUP --cluster-name CLUSTER --name NEWPOOL --max-pods 110   # or: more pods per node".to_owned(),
        ] },
        manifests: Vec::new(),
    };
    finding.verify = vec![
        "kubectl get pods -A --field-selector status.phase=Pending   # no pod waits for an IP".to_owned(),
    ];
    Some(finding)
}
