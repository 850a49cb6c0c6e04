//! IP ranges overlap that must not.

use super::common::{self, observed_refusals};
use crate::cluster::Cluster;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "cidr-overlap",
    chapter: Chapter::IpAllocation,
    title: "CIDR overlap: pod, service and virtual network ranges",
    needs: &[common::AZURE],
    explains: &[],
    doc: Doc {
        meaning: "podCidr, serviceCidr, the virtual network with its peered networks, and the podCIDRs of nodes must not overlap. Where they do, traffic for one goes to the other, or Azure rejects the operation.",
        decision: "Computed from az aks show, the virtual networks and their peerings, and the nodes' podCIDRs; and Azure's errors (ServiceCidrOverlapExistingSubnetsCidr, NetworkProfileCIDROverlapVNET, DNSServiceIPOutOfServiceCIDR). dnsServiceIP must be inside serviceCidr and must not be its first address. Confirmed.",
        action: "Change or remove the subnet or peering that overlaps; the cluster's serviceCidr cannot be changed.",
        reference: "AKS: Plan IP addressing for your cluster; Troubleshoot the ServiceCidrOverlapExistingSubnetsCidr error code.",
    },
    detect: Evaluation::Rule(detect),
};

/// How many overlaps have a finding each.
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
            "{} is {} and {} is {}: traffic to the IPs that they share reaches only one of them.",
            a.0, a.1, b.0, b.1
        );
        finding.fix = fix();
        finding.verify = vec!["az aks show -g RESOURCE_GROUP -n CLUSTER --query networkProfile   # its CIDRs overlap with no network".to_owned()];
        findings.push(finding);
    }
    if let Some((why, evidence)) = &subnets.dns_misplaced
        && let Some(mut finding) = Finding::new(DETECTOR.id, "dns", why.clone(), evidence.clone())
    {
        finding.severity = Severity::High;
        finding.confidence = Confidence::Confirmed;
        finding.cause = format!("Cluster DNS cannot work with this setting: {why}.");
        finding.fix = fix();
        findings.push(finding);
    }
    for (key, tally) in observed_refusals(cluster, Signal::CidrOverlap) {
        let ranges = key.detail.replace(' ', " and ");
        let title = if ranges.is_empty() {
            "Azure rejected an IP range: it overlaps, or dnsServiceIP is outside serviceCidr".to_owned()
        } else {
            format!("Azure rejected an IP range: {ranges} overlap")
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
            "Azure rejected the operation because IP ranges overlap or do not fit together; the quoted message has them.".to_owned();
        finding.fix = fix();
        findings.push(finding);
    }
    findings.into()
}

fn fix() -> Fix {
    Fix {
        text: "Change or remove the subnet or the peering that overlaps; removing a peering cuts the traffic over it. serviceCidr and podCidr of an existing cluster cannot be changed (an overlay's podCidr can only grow): that needs a new cluster.".to_owned(),
        commands: vec![
            "az network vnet list --query '[].{name:name,prefixes:addressSpace.addressPrefixes,peerings:virtualNetworkPeerings[].name}'   # all ranges".to_owned(),
        ],
        manifests: Vec::new(),
    }
}
