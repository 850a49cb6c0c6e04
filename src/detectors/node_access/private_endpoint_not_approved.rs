//! The private endpoint of the API server is not approved.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::at;
use crate::detectors::observed::{Wording, aks_named, aks_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Need, Outcome, Severity};
use crate::facts::AzureKind;

pub(super) const DETECTOR: Detector = Detector {
    id: "private-endpoint-not-approved",
    chapter: Chapter::NodeAccess,
    title: "API server private endpoint not approved (Pending, Rejected, Disconnected)",
    needs: &[ENDPOINTS],
    explains: &[
        "node-cannot-reach-api-server",
        "node-not-ready",
        "private-cluster-without-path",
        "pod-cannot-reach-api-server",
        "node-provisioning-failed",
    ],
    doc: Doc {
        meaning: "Nodes of a private cluster connect to the API server through a private endpoint in their VNet. While its connection state is Pending, Rejected or Disconnected, connections to its IP address time out.",
        decision: "The connection state of the private endpoint to the managed cluster: confirmed when it is not Approved. Private endpoints to other services are not judged.",
        action: "Approve the connection, or reconcile the cluster so that AKS recreates it.",
        reference: "learn.microsoft.com: Create a private AKS cluster; Manage private endpoint connections.",
    },
    detect: Evaluation::Rule(detect),
};

const ENDPOINTS: Need = Need {
    what: "the private endpoints (private clusters)",
    why: "their connection to the API server must be approved",
    command: "az network private-endpoint list -g NODE_RESOURCE_GROUP -o json > private-endpoints.json",
    met: |cluster| {
        cluster.facts.azure.of(AzureKind::PrivateEndpoint).next().is_some()
            || cluster.azure.cluster().is_some_and(|aks| aks.whole && !aks.private)
    },
};

fn detect(cluster: &Cluster) -> Outcome {
    let broken = cluster.azure.endpoints.iter().filter(|endpoint| {
        endpoint.of_api && !endpoint.status.is_empty() && !endpoint.status.eq_ignore_ascii_case("approved")
    });
    let findings = broken.filter_map(|endpoint| {
        let mut observed = common::unanswered_now(cluster).unwrap_or_default();
        let failing = observed.count > 0;
        observed.show_first([at(endpoint.place.as_ref()?, &format!("private endpoint {}", endpoint.name), &format!("connection state {} {}", endpoint.status, endpoint.description))]);
        let message = if endpoint.description.is_empty() { String::new() } else { format!(" ({})", endpoint.description) };
        let failures = if failing { format!(" Connections of nodes or pods to the API server time out{}.", observed.when()) } else { String::new() };
        let says = Wording {
            severity: Severity::Critical,
            confidence: Confidence::Confirmed,
            unit: if failing { "failed attempt" } else { "endpoint" },
            cause: format!("The connection state of private endpoint {} to the API server is {}{message}: only an Approved connection carries traffic.{failures}", endpoint.name, endpoint.status),
            fix: "Approve the connection on the managed cluster. If it is Disconnected, `az aks update` without options reconciles the cluster and its private endpoint.".to_owned(),
            commands: vec![
                "az network private-endpoint-connection list --id CLUSTER_ID -o table".to_owned(),
                "az network private-endpoint-connection approve --id CONNECTION_ID".to_owned(),
                format!("az aks update {}   # asks first; only if Disconnected", aks_named(cluster)),
            ],
            verify: vec!["az network private-endpoint list -g NODE_RESOURCE_GROUP --query \"[].privateLinkServiceConnections[].privateLinkServiceConnectionState.status\"   # Approved".to_owned()],
        };
        let mut finding = observed.finding(&DETECTOR, &endpoint.name, format!("API server private endpoint {}: connection state {}", endpoint.name, endpoint.status), says)?;
        finding.subjects.extend(aks_subject(cluster));
        Some(finding)
    });
    findings.collect()
}
