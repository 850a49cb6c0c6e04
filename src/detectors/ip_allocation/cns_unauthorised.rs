//! The cluster identity has no permission on the pod subnet.

use super::common::{self, about_node, on_node, per_node, refused_words};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Exhaustion, NodeIpam, Reason};
use crate::detectors::{Chapter, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "cns-unauthorised",
    chapter: Chapter::IpAllocation,
    title: "Cluster identity lacks subnets/join/action (NCUpdateUnauthorizedError)",
    needs: &[common::REFUSALS],
    explains: &["pod-ip-exhausted", "cns-waiting", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "The cluster identity has no permission on the pod subnet any more, so Azure allocates no more pod IPs to its nodes (NCUpdateUnauthorizedError). New pods stay in ContainerCreating on nodes without a spare IP.",
        decision: "CNS reports NCUpdateUnauthorizedError in refusals, or a NodeNetworkConfig has a network container with that status. Confirmed, critical.",
        action: "Assign the role Network Contributor on the pod subnet to the cluster identity again.",
        reference: "AKS: Configure Azure CNI networking, identity and network permissions. Azure/azure-container-networking: crd/nodenetworkconfig.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings = per_node(cluster, Reason::Unauthorised, &DETECTOR, "NCUpdateUnauthorizedError", node);
    // A NodeNetworkConfig that has the status before any pod was refused.
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
    let title =
        format!("{}: NCUpdateUnauthorizedError, no permission on the pod subnet", on_node(&found.node));
    let mut finding = about_node(&DETECTOR, found, books, title, Vec::new())?;
    finding.severity = Severity::Critical;
    finding.cause = format!(
        "Azure allocates no more pod IPs to the node (NCUpdateUnauthorizedError): the cluster identity lacks a permission on the subnet, usually Microsoft.Network/virtualNetworks/subnets/join/action.{}",
        refused_words(&found.refused)
    );
    finding.fix = Fix {
        text: "Assign the role Network Contributor on the pod subnet to the cluster's control plane identity. It takes some minutes to apply.".to_owned(),
        commands: vec![
            "az aks show -g RESOURCE_GROUP -n CLUSTER --query identity".to_owned(),
            "az role assignment create --role 'Network Contributor' --assignee PRINCIPAL_ID --scope POD_SUBNET_ID".to_owned(),
        ],
        manifests: Vec::new(),
    };
    finding.verify = vec!["kubectl get nnc -n kube-system -o json | jq -r '.items[] | [.metadata.name, .status.networkContainers[0].status] | @tsv'   # NCUpdateSuccess everywhere".to_owned()];
    Some(finding)
}
