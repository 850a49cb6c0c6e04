//! Ranges that must be apart have addresses in common.

use super::common::{self, observed_refusals};
use crate::cluster::Cluster;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "cidr-overlap",
    chapter: Chapter::IpAllocation,
    title: "Ranges of pods, services and networks overlap",
    guide: &["2", "3.5"],
    needs: &[common::AZURE],
    explains: &[],
    doc: Doc {
        meaning: "The ranges of pods and services, the virtual network with its peers, and the ranges of single nodes must be apart. Where they overlap, traffic for one goes to the other, or Azure refuses the operation.",
        decision: "Computed from `az aks show`, the virtual networks and their peerings, and the podCIDRs of the nodes; and Azure's own words (ServiceCidrOverlapExistingSubnetsCidr, NetworkProfileCIDROverlapVNET, DNSServiceIPOutOfServiceCIDR). The DNS service's address must lie in the service range and must not be its first.",
        action: "Change or remove the range that is easier to change: peerings and subnets can, the cluster's service range can't.",
        reference: "AKS: plan IP addresses; troubleshooting ServiceCidrOverlapExistingSubnetsCidr.",
    },
    detect,
};

/// Overlaps that are told one by one.
const MOST: usize = 20;

fn detect(cluster: &Cluster) -> Outcome {
    let subnets = &cluster.ledger.subnets;
    let mut findings: Vec<Finding> = Vec::new();
    for overlap in subnets.overlaps.iter().take(MOST) {
        let (a, b) = (&overlap.first, &overlap.other);
        let title = format!("{} {} overlaps {} {}", a.0, a.1, b.0, b.1);
        let Some(mut finding) =
            Finding::new(DETECTOR.id, &format!("{} {}", a.1, b.1), title, overlap.evidence.clone())
        else {
            continue;
        };
        finding.severity = Severity::High;
        finding.confidence = Confidence::Confirmed;
        finding.cause = format!(
            "{} is {}, {} is {}: traffic for the addresses that they share goes to one of them only.",
            a.0, a.1, b.0, b.1
        );
        finding.fix = fix();
        finding.verify = vec!["az aks show -g RESOURCE_GROUP -n CLUSTER --query networkProfile".to_owned()];
        findings.push(finding);
    }
    if let Some((why, evidence)) = &subnets.dns_misplaced
        && let Some(mut finding) =
            Finding::new(DETECTOR.id, "dns", format!("Misplaced: {why}"), evidence.clone())
    {
        finding.severity = Severity::High;
        finding.confidence = Confidence::Confirmed;
        finding.cause = format!("The cluster can't resolve names: {why}.");
        finding.fix = fix();
        findings.push(finding);
    }
    for (key, tally) in observed_refusals(cluster, Signal::CidrOverlap) {
        let ranges = key.detail.replace(' ', " and ");
        let title = if ranges.is_empty() {
            "Azure refused a range: it overlaps, or the DNS address is outside".to_owned()
        } else {
            format!("Azure refused a range: {ranges} overlap")
        };
        let Some(mut finding) = Finding::new(
            DETECTOR.id,
            &format!("azure {}", key.detail),
            title,
            tally.examples.as_slice().to_vec(),
        ) else {
            continue;
        };
        finding.severity = Severity::High;
        finding.confidence = Confidence::Confirmed;
        finding.count = tally.count();
        finding.seen(tally.span.resolve(cluster.anchor));
        finding.cause =
            "Azure itself says that the ranges don't fit together; the message names them.".to_owned();
        finding.fix = fix();
        findings.push(finding);
    }
    findings.into()
}

fn fix() -> Fix {
    Fix {
        text: "Remove or change the subnet or the peering that overlaps. If the cluster's own service or pod range must give way, make the cluster anew with other ranges: they can't be changed (an overlay's pod range can only grow).".to_owned(),
        commands: vec![
            "az network vnet list --query '[].{name:name,prefixes:addressSpace.addressPrefixes,peerings:virtualNetworkPeerings[].name}'".to_owned(),
        ],
        manifests: Vec::new(),
    }
}
