//! An IP range is too small for the node pools at maximum scale.

use super::common::{self, observed_refusals};
use crate::cluster::Cluster;
use crate::cluster::ipam::subnets::{IpRange, Role};
use crate::detectors::details::number;
use crate::detectors::observed::{capitalised, counted};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "subnet-too-small",
    chapter: Chapter::IpAllocation,
    title: "Subnet or pod CIDR too small (InsufficientSubnetSize)",
    needs: &[common::AZURE],
    explains: &["node-subnet-full", "pod-cidr-exhausted"],
    doc: Doc {
        meaning: "Azure counts the IPs that the node pools need at the autoscaler's maximum plus upgrade surge, and rejects an operation (InsufficientSubnetSize) when a subnet or the pod CIDR has fewer. A cluster close to this limit fails at the next scale-out.",
        decision: "`Pre-allocated IPs … exceeds IPs available …` is Azure's own verdict: confirmed. Without it, the need is calculated from az aks show and the subnets: Azure CNI in the node subnet (nodes + surge) × (1 + max pods); pod subnet 16 per node; overlay and kubenet a /24 of the pod CIDR per node, and one IP of the subnet; less the five that Azure reserves in each subnet. A need above the range is likely: medium if it exceeds the range already now, otherwise low.",
        action: "Lower the autoscaler's maximum, or use a larger subnet with a new node pool; expand the pod CIDR of an overlay.",
        reference: "AKS: Troubleshoot the InsufficientSubnetSize error code; Plan IP addressing for your cluster.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings: Vec<Finding> = observed_refusals(cluster, Signal::InsufficientSubnetSize).filter_map(|(key, tally)| {
        let parts: Vec<&str> = key.detail.split(' ').collect();
        let [need, have, range, name] = parts.as_slice() else { return None };
        let pods = name.to_lowercase().contains("podcidr");
        let which = [*range, *name].into_iter().find(|word| !word.is_empty()).unwrap_or_default();
        let kind = if pods { "Pod CIDR" } else { "Subnet" };
        let object = [kind, which].join(" ").trim_end().to_owned();
        let title = format!("{object} too small: node pools need up to {need} IPs, {have} available");
        let mut finding = Finding::new(DETECTOR.id, range, title, tally.examples.as_slice().to_vec())?;
        finding.severity = Severity::High;
        finding.confidence = Confidence::Confirmed;
        finding.count = tally.count();
        finding.seen(tally.span.resolve(cluster.anchor));
        finding.details.ip_allocation.needed = need.parse().ok();
        finding.details.ip_allocation.available = have.parse().ok();
        finding.details.ip_allocation.range = Some(range.to_string()).filter(|range| !range.is_empty());
        finding.details.ip_allocation.name = Some(name.to_string()).filter(|name| !name.is_empty());
        let each = if pods { format!(" Each node needs a /24 of it, 256 IPs: {need} are for {}, and {have} are enough for {}.", counted(part(need), "node"), part(have)) } else { String::new() };
        let known = cluster.ledger.subnets.all.iter().find(|subnet| subnet.range.to_string() == **range);
        let sum = known.map_or_else(String::new, |known| arithmetic(known, &mut finding));
        let of_range = match (range.is_empty(), name.is_empty()) {
            (true, _) => " of the subnet".to_owned(),
            (_, true) => format!(" of {range}"),
            _ => format!(" of {range} ({name})"),
        };
        finding.cause = format!("Azure rejected the operation (InsufficientSubnetSize): at the autoscaler's maximum plus upgrade surge, the node pools need {need} IPs{of_range}, and it has {have}.{each} Azure counts the maximum, not the current usage.{sum}");
        finding.fix = fix(pods);
        finding.verify = vec!["az aks show -g RESOURCE_GROUP -n CLUSTER --query '{pod:networkProfile.podCidr,pools:agentPoolProfiles[].{name:name,max:maxCount}}'   # the maxima fit into the range".to_owned()];
        Some(finding)
    }).collect();
    for subnet in cluster.ledger.subnets.all.iter().filter(|subnet| subnet.too_small()) {
        let message = findings
            .iter()
            .any(|finding| finding.details.ip_allocation.range.as_ref() == Some(&subnet.range.to_string()));
        if !message {
            findings.extend(risk(subnet));
        }
    }
    findings.into()
}

/// `subnet nodes`; a setting such as `networkProfile.podCidr` as it is.
fn subnet_name(subnet: &IpRange) -> String {
    if subnet.name.contains('.') { subnet.name.clone() } else { format!("subnet {}", subnet.name) }
}

/// How many nodes so many addresses are for.
fn part(addresses: &str) -> usize {
    addresses.parse::<usize>().unwrap_or(0) / 256
}

fn risk(subnet: &IpRange) -> Option<Finding> {
    let most = subnet.most?;
    let title = format!(
        "{} {} too small at maximum scale: node pools need {most} IPs, {} usable",
        capitalised(&subnet_name(subnet)),
        subnet.range,
        subnet.usable
    );
    let mut finding = Finding::new(DETECTOR.id, &subnet.range.to_string(), title, subnet.evidence.clone())?;
    finding.severity = if subnet.now > Some(subnet.usable) { Severity::Medium } else { Severity::Low };
    finding.confidence = Confidence::Likely;
    finding.details.ip_allocation.range = Some(subnet.range.to_string());
    finding.details.ip_allocation.needed = number(most);
    finding.details.ip_allocation.available = number(subnet.usable);
    let sum = arithmetic(subnet, &mut finding);
    finding.cause = format!(
        "At the autoscaler's maximum plus upgrade surge, the node pools need more IPs than the range has.{sum}"
    );
    finding.fix = fix(subnet.role == Role::PodRange);
    finding.verify = vec!["az aks nodepool list -g RESOURCE_GROUP --cluster-name CLUSTER --query '[].{name:name,count:count,max:maxCount,maxPods:maxPods}' -o table   # the maxima fit into the subnet".to_owned()];
    Some(finding)
}

/// The sum, in words and as details.
pub(super) fn arithmetic(subnet: &IpRange, finding: &mut Finding) -> String {
    finding.details.ip_allocation.usable = number(subnet.usable);
    finding.details.ip_allocation.in_use = subnet.used;
    finding.details.ip_allocation.needed_now = subnet.now;
    finding.details.ip_allocation.needed_at_most = subnet.most;
    finding.details.ip_allocation.per_node = number(subnet.per_node);
    finding.details.ip_allocation.more_nodes_that_fit = subnet.more_nodes();
    let mut words = format!(" {} has {} usable IPs", subnet.range, subnet.usable);
    if let Some(used) = subnet.used {
        words += &format!(", {used} of them in use");
    }
    if let (Some(now), Some(most)) = (subnet.now, subnet.most) {
        words +=
            &format!("; the node pools need {now} now and {most} at maximum scale ({})", subnet.arithmetic);
    }
    if let Some(more) = subnet.more_nodes() {
        words += &format!(
            "; {more} more {}, at {} IPs each",
            if more == 1 { "node fits" } else { "nodes fit" },
            subnet.per_node
        );
    }
    words.push('.');
    words
}

fn fix(pods: bool) -> Fix {
    let (text, commands) = if pods {
        (
            "Lower the autoscaler's maximum so that the node pools fit, or expand the pod CIDR: possible with Azure CNI Overlay, not with kubenet.",
            vec![
                "az aks nodepool update -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --update-cluster-autoscaler --min-count MIN --max-count MAX".to_owned(),
                "az aks update -g RESOURCE_GROUP -n CLUSTER --pod-cidr LARGER_RANGE   # Azure CNI Overlay only; must contain the old range".to_owned(),
            ],
        )
    } else {
        (
            "Lower the autoscaler's maximum so that the node pools fit, or create a larger subnet and a node pool that uses it, and move the workloads there: the subnet of a node pool cannot be changed.",
            vec![
                "az aks nodepool update -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --update-cluster-autoscaler --min-count MIN --max-count MAX".to_owned(),
                "az aks nodepool add -g RESOURCE_GROUP --cluster-name CLUSTER --name NEWPOOL --vnet-subnet-id LARGER_SUBNET_ID".to_owned(),
            ],
        )
    };
    Fix { text: text.to_owned(), commands, manifests: Vec::new() }
}
