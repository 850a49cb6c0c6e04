//! The private endpoint of the API server is not approved.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::at;
use crate::detectors::observed::{Wording, aks_named, aks_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Need, Outcome, Severity};
use crate::facts::AzureKind;

pub(super) const DETECTOR: Detector = Detector {
    id: "private-endpoint-not-approved",
    chapter: Chapter::NodeAccess,
    title: "The private endpoint of the API server is not approved",
    guide: &["4.5", "1.2"],
    needs: &[ENDPOINTS],
    explains: &[
        "node-cannot-reach-api-server",
        "node-not-ready",
        "private-cluster-without-path",
        "pod-cannot-reach-api-server",
        "node-provisioning-failed",
    ],
    doc: Doc {
        meaning: "Nodes of a private cluster reach the API server by a private endpoint in their network. While its connection is pending, rejected or disconnected, nothing comes through: the address is there and answers nobody.",
        decision: "The state of the endpoint's connection to the managed cluster. Confirmed when it is not Approved. Endpoints to other services are not judged.",
        action: "Approve the connection, or let AKS make it anew.",
        reference: "AKS: create a private cluster; use a private endpoint connection.",
    },
    detect,
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
        let failures = if failing { format!(" Nodes or pods get no answer{}.", observed.when()) } else { String::new() };
        let says = Wording {
            severity: Severity::Critical,
            confidence: Confidence::Confirmed,
            unit: if failing { "failed attempt" } else { "endpoint" },
            cause: format!("The connection of private endpoint {} to the API server is {}{message}: nothing comes through it.{failures}", endpoint.name, endpoint.status),
            fix: "Approve the connection at the managed cluster; if it is disconnected, let AKS reconcile, which makes it anew.".to_owned(),
            commands: vec![
                "az network private-endpoint-connection list --id CLUSTER_ID -o table".to_owned(),
                "az network private-endpoint-connection approve --id CONNECTION_ID".to_owned(),
                format!("az aks update {}", aks_named(cluster)),
            ],
            verify: vec!["az network private-endpoint list -g NODE_RESOURCE_GROUP --query \"[].privateLinkServiceConnections[].privateLinkServiceConnectionState.status\"   # Approved".to_owned()],
        };
        let mut finding = observed.finding(&DETECTOR, &endpoint.name, format!("The API server's private endpoint {} is {}", endpoint.name, endpoint.status), says)?;
        finding.subjects.extend(aks_subject(cluster));
        Some(finding)
    });
    findings.collect::<Vec<_>>().into()
}
