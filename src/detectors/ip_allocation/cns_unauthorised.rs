//! Azure CNS may not take addresses of the pod subnet.

use super::common::{self, about_node, on_node, per_node, refused_words};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Exhaustion, NodeIpam, Reason};
use crate::detectors::{Chapter, Detector, Doc, Finding, Fix, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "cns-unauthorised",
    chapter: Chapter::IpAllocation,
    title: "The cluster may not take addresses of the pod subnet",
    guide: &["2"],
    needs: &[common::REFUSALS],
    explains: &["pod-ip-exhausted", "cns-waiting", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "The cluster's identity has lost its right to join machines or pods to the subnet, so Azure refuses new addresses (NCUpdateUnauthorizedError).",
        decision: "CNS says so in its refusals, or a NodeNetworkConfig has a network container of that status.",
        action: "Give the cluster's identity the role Network Contributor on the subnet again.",
        reference: "AKS: Azure CNI, identity and network permissions. Azure/azure-container-networking: NodeNetworkConfig status.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings = per_node(cluster, Reason::Unauthorised, &DETECTOR, "no right on the pod subnet", node);
    // A config that tells the status before any pod was refused.
    let observed: std::collections::BTreeSet<&str> = cluster
        .ledger
        .exhaustions
        .iter()
        .filter(|found| found.reason == Reason::Unauthorised)
        .map(|found| found.node.as_str())
        .collect();
    for books in &cluster.ledger.books {
        let unauthorised =
            books.lease.as_ref().is_some_and(|lease| lease.status.starts_with("NCUpdateUnauthorized"));
        if unauthorised && !observed.contains(books.node.as_str()) && findings.len() < 20 {
            let found = Exhaustion {
                node: books.node.clone(),
                reason: Reason::Unauthorised,
                sure: crate::detectors::Confidence::Confirmed,
                books: None,
                refused: crate::cluster::ipam::AddressRefusals::default(),
            };
            findings.extend(node(&found, Some(books)));
        }
    }
    findings.into()
}

fn node(found: &Exhaustion, books: Option<&NodeIpam>) -> Option<Finding> {
    let title = format!("{}: Azure refuses addresses of the pod subnet, no permission", on_node(&found.node));
    let mut finding = about_node(&DETECTOR, found, books, title, Vec::new())?;
    finding.severity = Severity::Critical;
    finding.cause = format!(
        "The lease of addresses could not be extended: the cluster's identity has no right to join the subnet (NCUpdateUnauthorizedError).{}",
        refused_words(&found.refused)
    );
    finding.fix = Fix {
        text: "Assign the role Network Contributor on the subnet to the identity of the cluster's control plane.".to_owned(),
        commands: vec![
            "az aks show -g RESOURCE_GROUP -n CLUSTER --query identity".to_owned(),
            "az role assignment create --role 'Network Contributor' --assignee PRINCIPAL_ID --scope POD_SUBNET_ID".to_owned(),
        ],
        manifests: Vec::new(),
    };
    finding.verify = vec!["kubectl get nnc -n kube-system -o json | jq -r '.items[] | [.metadata.name, .status.networkContainers[0].status] | @tsv'   # NCUpdateSuccess everywhere".to_owned()];
    Some(finding)
}
