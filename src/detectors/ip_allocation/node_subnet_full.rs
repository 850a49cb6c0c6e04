//! Azure has no room for machines in the node subnet.

use std::collections::BTreeMap;

use super::common::{self, observed_refusals};
use super::subnet_too_small::arithmetic;
use crate::cluster::Cluster;
use crate::cluster::ipam::subnets::Role;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity};
use crate::evidence::Evidence;
use crate::facts::{Signal, time};

/// Count, first and last, where.
type SubnetFailures = (u64, Option<(i64, i64)>, Vec<Evidence>, String);

pub(super) const DETECTOR: Detector = Detector {
    id: "node-subnet-full",
    chapter: Chapter::IpAllocation,
    title: "The subnet of the nodes is full",
    guide: &["2"],
    needs: &[common::AZURE],
    explains: &[],
    doc: Doc {
        meaning: "A new node, or the extra node of an upgrade, finds no address in its subnet (SubnetIsFull). With classic Azure CNI each node needs one address and one for each pod that it may run.",
        decision: "The text SubnetIsFull or 'does not have enough capacity for … IP addresses', in provisioning errors, autoscaler logs, activity logs or tickets. Where the cluster and its subnets are described, the sum is shown: what the node pools take now and at their maximum, surge included, against what the subnet has, and how many nodes still fit.",
        action: "Scale down to free addresses for the upgrade; then a node pool on a larger subnet.",
        reference: "AKS troubleshooting: SubnetIsFull error code during an upgrade.",
    },
    detect,
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
    findings.collect::<Vec<_>>().into()
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
    let label = if name.is_empty() { "The node subnet".to_owned() } else { format!("Subnet {short}") };
    let wanted = detail.split(' ').nth(2).filter(|count| !count.is_empty());
    let title = match wanted {
        Some(wanted) => format!("{label} is full: no room for {wanted} more addresses"),
        None => format!("{label} is full"),
    };
    let mut finding = Finding::new(DETECTOR.id, name, title, evidence)?;
    finding.severity = Severity::High;
    finding.confidence = Confidence::Confirmed;
    finding.count = count;
    finding.seen(span);
    let sum = known.map_or_else(
        || " The cluster's description is not in the bundle, so the sum can't be shown.".to_owned(),
        |known| arithmetic(known, &mut finding),
    );
    finding.cause = format!("Azure refused addresses for machines: the subnet has none left for them.{sum}");
    finding.fix = Fix {
        text: "To finish an upgrade, scale a pool down first: that frees its addresses. For good, add a node pool on a larger subnet, make it a system pool, and move over; the subnet of a node pool can't be changed.".to_owned(),
        commands: vec![
            "az aks nodepool scale -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --node-count COUNT   # fewer, for now".to_owned(),
            "az aks nodepool add -g RESOURCE_GROUP --cluster-name CLUSTER --name NEWPOOL --mode System --vnet-subnet-id LARGER_SUBNET_ID".to_owned(),
        ],
        manifests: Vec::new(),
    };
    finding.verify = vec!["az aks nodepool list -g RESOURCE_GROUP --cluster-name CLUSTER -o table   # ProvisioningState Succeeded".to_owned()];
    Some(finding)
}
