//! Errors of Azure when it links or writes the private DNS zone.

use crate::cluster::Cluster;
use crate::detectors::needs::AZURE_ERRORS;
use crate::detectors::observed::{self, Wording, aks_named, aks_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "private-zone-errors",
    chapter: Chapter::NodeAccess,
    title: "Private DNS zone errors (CreateOrUpdateVirtualNetworkLinkFailed, missing permission)",
    needs: &[AZURE_ERRORS],
    explains: &["node-cannot-resolve-api-server", "private-zone-not-linked", "client-dns-fails"],
    doc: Doc {
        meaning: "When a private cluster is created or updated, AKS links its private DNS zone to the VNet and writes the API server's record. A VNet cannot be linked to two zones with overlapping names, and for a custom private DNS zone the cluster identity needs a role on the zone.",
        decision: "Azure's error CreateOrUpdateVirtualNetworkLinkFailed with its text about overlapping namespaces, or CustomPrivateDNSZoneMissingPermissionError: confirmed, because Azure names the reason.",
        action: "Remove the conflicting virtual network link, or assign the role; then reconcile the cluster.",
        reference: "learn.microsoft.com: Create a private AKS cluster, configure a private DNS zone.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let all = observed::signals(cluster, |key| {
        (key.signal == Signal::PrivateZoneFailed).then(|| key.detail.to_string())
    });
    let findings = all.into_iter().filter_map(|(what, observed)| {
        let (title, cause, fix, command) = if what == "permission" {
            (
                "Cluster identity lacks permission on the private DNS zone",
                "CustomPrivateDNSZoneMissingPermissionError: the cluster identity lacks a role on the custom private DNS zone, so AKS cannot write the API server's record.",
                "Assign the cluster identity Private DNS Zone Contributor on the zone (it can then change every record of the zone) and Network Contributor on the VNet. Role assignments can take up to an hour to take effect; then reconcile the cluster.",
                "az role assignment create --assignee IDENTITY --role \"Private DNS Zone Contributor\" --scope ZONE_ID".to_owned(),
            )
        } else {
            (
                "Private DNS zone link failed: VNet is linked to an overlapping zone",
                "CreateOrUpdateVirtualNetworkLinkFailed: the VNet is already linked to a private DNS zone with the same or an overlapping name, and Azure allows only one.",
                "Find the other zone and its link. Move its records, then remove that link: its names stop resolving in the VNet. Then reconcile the cluster.",
                "az network private-dns link vnet list -g GROUP -z ZONE -o table".to_owned(),
            )
        };
        let says = Wording {
            severity: Severity::High,
            confidence: Confidence::Confirmed,
            unit: "error",
            cause: format!("{cause}{}", if observed.when().is_empty() { String::new() } else { format!(" Reported{}.", observed.when()) }),
            fix: fix.to_owned(),
            commands: vec![command, format!("az aks update {}   # asks first; reconciles the cluster", aks_named(cluster))],
            verify: vec![format!("az aks show {} --query provisioningState   # Succeeded", aks_named(cluster))],
        };
        let mut finding = observed.finding(&DETECTOR, &what, title.to_owned(), says)?;
        finding.subjects.extend(aks_subject(cluster));
        Some(finding)
    });
    findings.collect()
}
