//! A range can't hold what the node pools may grow to.

use super::common::{self, observed_refusals};
use crate::cluster::Cluster;
use crate::cluster::ipam::subnets::{IpRange, Role};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "subnet-too-small",
    chapter: Chapter::IpAllocation,
    title: "A range is too small for what the node pools may grow to",
    guide: &["2"],
    needs: &[common::AZURE],
    explains: &["node-subnet-full", "pod-cidr-exhausted"],
    doc: Doc {
        meaning: "Azure counts the addresses that the node pools need at the autoscaler's maximum, with the extra nodes of an upgrade, and refuses an operation (InsufficientSubnetSize) when a subnet or the pod range has fewer. A cluster that is near its wall fails at the next scale-out.",
        decision: "The text 'Pre-allocated IPs … exceeds IPs available …' is Azure's own verdict: confirmed. Without it, the sum is done here from `az aks show` and the subnets: classic Azure CNI (nodes + surge) × (1 + max pods); pod subnet 16 for each node; overlay and kubenet a /24 of the pod range for each node, and one address for the node; less the five that Azure reserves in each subnet. A sum above the range is told as a risk, not as a fault.",
        action: "Lower the autoscaler's maximum, or use a larger subnet with a new node pool; enlarge the pod range of an overlay.",
        reference: "AKS troubleshooting: InsufficientSubnetSize error code. AKS: plan IP addresses.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings: Vec<Finding> = observed_refusals(cluster, Signal::InsufficientSubnetSize).filter_map(|(key, tally)| {
        let parts: Vec<&str> = key.detail.split(' ').collect();
        let [need, have, range, name] = parts.as_slice() else { return None };
        let pods = name.to_lowercase().contains("podcidr");
        let title = format!("{} {range} has {have} addresses, and the node pools may need {need}", if pods { "The pod range" } else { "The subnet" });
        let mut finding = Finding::new(DETECTOR.id, range, title, tally.examples.as_slice().to_vec())?;
        finding.severity = Severity::High;
        finding.confidence = Confidence::Confirmed;
        finding.count = tally.count();
        finding.seen(tally.span.resolve(cluster.anchor));
        finding.detail("needed", need);
        finding.detail("available", have);
        finding.detail("range", range);
        finding.detail("name", name);
        let each = if pods { format!(" Each node takes a /24 of it, 256 addresses: {need} are {} nodes, and {have} are enough for {}.", part(need), part(have)) } else { String::new() };
        let known = cluster.ledger.subnets.all.iter().find(|subnet| subnet.range.to_string() == **range);
        let sum = known.map_or_else(String::new, |known| arithmetic(known, &mut finding));
        finding.cause = format!("Azure refused the operation: at the autoscaler's maximum and with the extra nodes of an upgrade, the node pools would take {need} addresses of {range} ({name}), which has {have}.{each} It counts what may be, not what is.{sum}");
        finding.fix = fix(pods);
        finding.verify = vec!["az aks show -g RESOURCE_GROUP -n CLUSTER --query '{pod:networkProfile.podCidr,pools:agentPoolProfiles[].{name:name,max:maxCount}}'".to_owned()];
        Some(finding)
    }).collect();
    for subnet in cluster.ledger.subnets.all.iter().filter(|subnet| subnet.too_small()) {
        let message = findings.iter().any(|finding| {
            finding.details.get("range").is_some_and(|range| *range == subnet.range.to_string())
        });
        if !message {
            findings.extend(risk(subnet));
        }
    }
    findings.into()
}

/// How many nodes so many addresses are for.
fn part(addresses: &str) -> u64 {
    addresses.parse::<u64>().unwrap_or(0) / 256
}

fn risk(subnet: &IpRange) -> Option<Finding> {
    let most = subnet.most?;
    let title = format!(
        "{} {} has {} addresses, and the node pools may need {most}",
        subnet.name, subnet.range, subnet.usable
    );
    let mut finding = Finding::new(DETECTOR.id, &subnet.range.to_string(), title, subnet.evidence.clone())?;
    finding.severity = if subnet.now > Some(subnet.usable) { Severity::Medium } else { Severity::Low };
    finding.confidence = Confidence::Likely;
    finding.detail("range", subnet.range.to_string());
    finding.detail("needed", most);
    finding.detail("available", subnet.usable);
    let sum = arithmetic(subnet, &mut finding);
    finding.cause = format!(
        "At the autoscaler's maximum and with the extra nodes of an upgrade the range can't hold the node pools.{sum}"
    );
    finding.fix = fix(subnet.role == Role::PodRange);
    finding.verify = vec!["az aks nodepool list -g RESOURCE_GROUP --cluster-name CLUSTER --query '[].{name:name,count:count,max:maxCount,maxPods:maxPods}' -o table".to_owned()];
    Some(finding)
}

/// The sum, in words and as details.
pub(super) fn arithmetic(subnet: &IpRange, finding: &mut Finding) -> String {
    finding.detail("usable", subnet.usable);
    finding.detail("in_use", subnet.used);
    finding.detail("needed_now", subnet.now);
    finding.detail("needed_at_most", subnet.most);
    finding.detail("per_node", subnet.per_node);
    finding.detail("more_nodes_that_fit", subnet.more_nodes());
    let mut words = format!(" {} has {} usable addresses", subnet.range, subnet.usable);
    if let Some(used) = subnet.used {
        words += &format!(", {used} of them in use");
    }
    if let (Some(now), Some(most)) = (subnet.now, subnet.most) {
        words += &format!("; the node pools take {now} now and {most} at most ({})", subnet.arithmetic);
    }
    if let Some(more) = subnet.more_nodes() {
        words += &format!("; {more} more nodes fit, at {} addresses each", subnet.per_node);
    }
    words.push('.');
    words
}

fn fix(pods: bool) -> Fix {
    let (text, commands) = if pods {
        (
            "Lower the autoscaler's maximum so that the sum fits, or use a larger pod range: an overlay can enlarge it, kubenet can't.",
            vec![
                "az aks nodepool update -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --update-cluster-autoscaler --min-count MIN --max-count MAX".to_owned(),
                "az aks update -g RESOURCE_GROUP -n CLUSTER --pod-cidr LARGER_RANGE   # overlay: must contain the old range".to_owned(),
            ],
        )
    } else {
        (
            "Lower the autoscaler's maximum so that the sum fits, or make a larger subnet, add a node pool that uses it, move the workloads, and delete the old pool: the subnet of a node pool can't be changed.",
            vec![
                "az aks nodepool update -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --update-cluster-autoscaler --min-count MIN --max-count MAX".to_owned(),
                "az aks nodepool add -g RESOURCE_GROUP --cluster-name CLUSTER --name NEWPOOL --vnet-subnet-id LARGER_SUBNET_ID".to_owned(),
            ],
        )
    };
    Fix { text: text.to_owned(), commands, manifests: Vec::new() }
}
