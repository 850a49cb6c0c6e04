//! The node subnet has no free IPs for new nodes.

use std::collections::BTreeMap;

use super::common::{self, observed_refusals};
use super::subnet_too_small::arithmetic;
use crate::cluster::Cluster;
use crate::cluster::ipam::subnets::Role;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};
use crate::evidence::Evidence;
use crate::facts::{Signal, time};

/// Count, first and last, where.
type SubnetFailures = (u64, Option<(i64, i64)>, Vec<Evidence>, String);

pub(super) const DETECTOR: Detector = Detector {
    id: "node-subnet-full",
    chapter: Chapter::IpAllocation,
    title: "Node subnet full (SubnetIsFull)",
    needs: &[common::AZURE],
    explains: &[],
    doc: Doc {
        meaning: "A new node, or the surge node of an upgrade, finds no free IP in its subnet (SubnetIsFull). With Azure CNI in the node subnet, each node needs one IP plus one per pod that it can run (max pods).",
        decision: "`SubnetIsFull` or `does not have enough capacity for … IP addresses` in provisioning errors, autoscaler logs, activity logs or tickets. Confirmed. Where the node pools and subnets are in the bundle, the calculation is shown: IPs needed now and at maximum scale with surge, usable IPs, and how many more nodes fit.",
        action: "Scale a node pool down to free IPs for the upgrade; then add a node pool in a larger subnet.",
        reference: "AKS: Troubleshoot the SubnetIsFull error code.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    // By subnet.
    let mut by_name: BTreeMap<&str, SubnetFailures> = BTreeMap::new();
    for (key, tally) in observed_refusals(cluster, Signal::NodeSubnetFull) {
        let ours = by_name.entry(key.detail.split(' ').next().unwrap_or_default()).or_default();
        ours.0 += tally.count();
        ours.1 = time::joined(ours.1, tally.span.resolve(cluster.anchor));
        ours.2.extend(tally.examples.as_slice().iter().take(3).cloned());
        ours.3 = key.detail.to_string();
    }
    let findings = by_name.into_iter().filter_map(|(name, (count, span, evidence, detail))| {
        finding(cluster, name, count, span, evidence, &detail)
    });
    findings.collect()
}

fn finding(
    cluster: &Cluster,
    name: &str,
    count: u64,
    span: Option<(i64, i64)>,
    mut evidence: Vec<Evidence>,
    detail: &str,
) -> Option<Finding> {
    let subnets = cluster.ledger.subnets.all.iter().filter(|subnet| subnet.role == Role::Nodes);
    let short = name.rsplit('/').next().unwrap_or(name);
    let known = subnets.clone().find(|subnet| subnet.name.eq_ignore_ascii_case(short)).or_else(|| {
        let mut all = subnets.clone();
        all.next().filter(|_| name.is_empty() && all.next().is_none())
    });
    evidence.extend(known.iter().flat_map(|item| item.evidence.iter().cloned()));
    evidence.truncate(6);
    let label = if name.is_empty() { "Node subnet".to_owned() } else { format!("Subnet {short}") };
    let wanted = detail.split(' ').nth(2).filter(|count| !count.is_empty());
    let title = match wanted {
        Some(wanted) => format!("{label} full (SubnetIsFull): no room for {wanted} more IPs"),
        None => format!("{label} full (SubnetIsFull)"),
    };
    let mut finding = Finding::new(DETECTOR.id, name, title, evidence)?;
    finding.severity = Severity::High;
    finding.confidence = Confidence::Confirmed;
    finding.count = count;
    finding.seen(span);
    let sum = known.map_or_else(
        || {
            " The cluster's node pools and subnets are not in the bundle, so the required IPs are unknown."
                .to_owned()
        },
        |known| arithmetic(known, &mut finding),
    );
    finding.cause = format!(
        "Azure could not allocate IPs for new nodes: the subnet does not have enough free ones.{sum}"
    );
    finding.fix = Fix {
        text: "To finish an upgrade, scale a node pool down first: that frees its IPs and evicts the pods of the removed nodes. For good, add a node pool in a larger subnet and move the workloads there; the subnet of a node pool cannot be changed.".to_owned(),
        commands: vec![
            "az aks nodepool scale -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --node-count COUNT   # fewer nodes, at least 1 for system pools".to_owned(),
            "az aks nodepool add -g RESOURCE_GROUP --cluster-name CLUSTER --name NEWPOOL --mode System --vnet-subnet-id LARGER_SUBNET_ID".to_owned(),
        ],
        manifests: Vec::new(),
    };
    finding.verify = vec!["az aks nodepool list -g RESOURCE_GROUP --cluster-name CLUSTER -o table   # ProvisioningState Succeeded".to_owned()];
    Some(finding)
}
