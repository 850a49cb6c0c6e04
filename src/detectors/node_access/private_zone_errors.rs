//! Azure could not link or write a private DNS zone.

use crate::cluster::Cluster;
use crate::detectors::needs::AZURE_ERRORS;
use crate::detectors::observed::{self, Wording, aks_named, aks_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "private-zone-errors",
    chapter: Chapter::NodeAccess,
    title: "Azure could not link or write the private DNS zone",
    guide: &["4.5"],
    needs: &[AZURE_ERRORS],
    explains: &["node-cannot-resolve-api-server", "private-zone-not-linked", "client-dns-fails"],
    doc: Doc {
        meaning: "While a private cluster is made or updated, AKS links its zone to the network and writes the API server's address into it. A network can be linked to one zone of a name only, and for a zone of one's own the cluster's identity needs a role on it.",
        decision: "Azure's own error: CreateOrUpdateVirtualNetworkLinkFailed and the words on overlapping namespaces, or CustomPrivateDNSZoneMissingPermissionError. Confirmed, since Azure names the reason; passing errors are not known of this kind.",
        action: "Remove the link that is in the way, or grant the role; then let AKS reconcile.",
        reference: "AKS: private cluster, configure a private DNS zone.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let all = observed::signals(cluster, |key| {
        (key.signal == Signal::PrivateZoneFailed).then(|| key.detail.to_string())
    });
    let findings = all.into_iter().filter_map(|(what, observed)| {
        let (title, cause, fix, command) = if what == "permission" {
            (
                "The cluster's identity may not write the private DNS zone",
                "The cluster uses a private zone of its own choice, and its identity has no role there: AKS can't write the API server's address.",
                "Grant the cluster's identity Private DNS Zone Contributor on the zone, and Network Contributor on the network; it may take an hour to hold.",
                "az role assignment create --assignee IDENTITY --role \"Private DNS Zone Contributor\" --scope ZONE_ID".to_owned(),
            )
        } else {
            (
                "The private DNS zone can't be linked to the network",
                "The network is linked to another zone of the same name, or of one above or below it: Azure allows one.",
                "Find the other link, remove it (or move its records), and let AKS reconcile.",
                "az network private-dns link vnet list -g GROUP -z ZONE -o table".to_owned(),
            )
        };
        let says = Wording {
            severity: Severity::High,
            confidence: Confidence::Confirmed,
            unit: "error",
            cause: format!("{cause} Azure said so{}.", observed.when()),
            fix: fix.to_owned(),
            commands: vec![command, format!("az aks update {}", aks_named(cluster))],
            verify: vec![format!("az aks show {} --query provisioningState   # Succeeded", aks_named(cluster))],
        };
        let mut finding = observed.finding(&DETECTOR, &what, title.to_owned(), says)?;
        finding.subjects.extend(aks_subject(cluster));
        Some(finding)
    });
    findings.collect::<Vec<_>>().into()
}
