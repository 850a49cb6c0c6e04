//! The pod subnet has no free IPs.

use std::collections::BTreeMap;

use super::common::{self, refused_words, some};
use crate::cluster::Cluster;
use crate::cluster::ipam::{AddressRefusals, Exhaustion, Reason};
use crate::detectors::details::{number, texts};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, SubjectRef,
};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::time;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-subnet-full",
    chapter: Chapter::IpAllocation,
    title: "Pod subnet full (NCUpdateSubnetFullError)",
    needs: &[common::REFUSALS],
    explains: &["pod-ip-exhausted", "cns-waiting", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "With Azure CNI and dynamic IP allocation, each node gets IPs of the pod subnet in batches of 16. When the subnet has none left, the NodeNetworkConfig gets no more (NCUpdateSubnetFullError), and pods on nodes without a spare IP stay in ContainerCreating.",
        decision: "CNS reports `NC Status: NCUpdateSubnetFullError` in refusals, or a NodeNetworkConfig has a network container with that status. Confirmed. One finding per subnet.",
        action: "Add a larger pod subnet with a new node pool and move the workloads there, or free IPs with fewer nodes. The subnet of a node pool cannot be changed.",
        reference: "AKS: Azure CNI with dynamic IP allocation. Azure/azure-container-networking: crd/nodenetworkconfig.",
    },
    detect: Evaluation::Rule(detect),
};

/// Nodes that refuse pods, nodes whose `NodeNetworkConfig` has the status, and where.
type Refusing<'a> = (Vec<&'a Exhaustion>, Vec<&'a str>, Vec<Evidence>);

fn detect(cluster: &Cluster) -> Outcome {
    let ledger = &cluster.ledger;
    // By subnet: what each node refused, and configs that only have the status.
    let mut by_subnet: BTreeMap<String, Refusing<'_>> = BTreeMap::new();
    let mut only = None;
    for books in &ledger.books {
        let Some(lease) = &books.lease else { continue };
        only.get_or_insert_with(|| lease.subnet.clone());
        if lease.status.starts_with("NCUpdateSubnetFull") {
            let ours = by_subnet.entry(lease.subnet.clone()).or_default();
            ours.1.push(&books.node);
            ours.2.extend(books.evidence.iter().take(1).cloned());
        }
    }
    for found in ledger.exhaustions.iter().filter(|found| found.reason == Reason::SubnetFull) {
        let subnet =
            found.books.and_then(|at| ledger.books.get(at)?.lease.as_ref()).map(|lease| lease.subnet.clone());
        by_subnet.entry(subnet.or_else(|| only.clone()).unwrap_or_default()).or_default().0.push(found);
    }
    let findings = by_subnet
        .into_iter()
        .filter_map(|(subnet, (refusing, full, places))| finding(cluster, &subnet, &refusing, &full, places));
    findings.collect()
}

fn finding(
    cluster: &Cluster,
    subnet: &str,
    refusing: &[&Exhaustion],
    full: &[&str],
    places: Vec<Evidence>,
) -> Option<Finding> {
    let mut nodes: Vec<String> = refusing
        .iter()
        .map(|found| found.node.clone())
        .chain(full.iter().map(|node| (*node).to_owned()))
        .filter(|node| !node.is_empty())
        .collect();
    nodes.sort();
    nodes.dedup();
    let mut evidence: Vec<Evidence> =
        refusing.iter().flat_map(|found| found.refused.evidence.iter().take(2)).cloned().collect();
    evidence.extend(places);
    evidence.truncate(EXAMPLES + 2);
    let name = if subnet.is_empty() { "Pod subnet".to_owned() } else { format!("Pod subnet {subnet}") };
    let on = match nodes.as_slice() {
        [] => String::new(),
        [item] => format!(" on node {item}"),
        all => format!(" on {} nodes", all.len()),
    };
    let mut finding =
        Finding::new(DETECTOR.id, subnet, format!("{name} full: NCUpdateSubnetFullError{on}"), evidence)?;
    finding.confidence = Confidence::Confirmed;
    finding.severity = if refusing.is_empty() { Severity::High } else { Severity::Critical };
    let mut refused = AddressRefusals::default();
    for found in refusing {
        refused.count += found.refused.count;
        refused.pods.extend(found.refused.pods.iter().cloned());
        refused.span = time::joined(refused.span, found.refused.span);
    }
    finding.count = refused.count.max(1);
    finding.unit = "refusal";
    finding.seen(refused.span);
    finding.subjects = nodes
        .iter()
        .take(50)
        .map(|node| SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.clone() })
        .collect();
    finding.subjects.extend(common::subjects("", &refused));
    finding.details.common.nodes = texts(&nodes);
    finding.details.ip_allocation.pods_refused = texts(&refused.pods);
    finding.details.ip_allocation.refusals = number(refused.count);
    let known = cluster.ledger.subnets.all.iter().find(|item| item.range.to_string() == subnet);
    let numbers = known.map_or_else(String::new, |item| {
        format!(
            " The subnet has {} usable IPs{}.",
            item.usable,
            item.used.map_or_else(String::new, |used| format!(
                ", and the nodes in the bundle hold {used} of them; other clusters may use it too"
            ))
        )
    });
    let on_nodes = if nodes.is_empty() { String::new() } else { format!(" on {}", some(nodes.iter())) };
    finding.cause = format!(
        "Azure allocates no more pod IPs{on_nodes}: subnet full (NCUpdateSubnetFullError).{numbers}{}",
        refused_words(&refused)
    );
    finding.fix = Fix {
        text: "Create a larger pod subnet and a node pool that uses it, and move the workloads there. Until then, fewer nodes free IPs, since each node holds at least 16; scaling down evicts the pods of the removed nodes.".to_owned(),
        commands: vec![
            "az network vnet subnet create -g RESOURCE_GROUP --vnet-name VNET -n NEWPODSUBNET --address-prefixes RANGE".to_owned(),
            "az aks nodepool add -g RESOURCE_GROUP --cluster-name CLUSTER -n NEWPOOL --vnet-subnet-id NODE_SUBNET_ID --pod-subnet-id NEWPODSUBNET_ID".to_owned(),
            "az aks nodepool scale -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --node-count COUNT   # until then: fewer nodes".to_owned(),
        ],
        manifests: Vec::new(),
    };
    finding.verify = vec![
        "kubectl get nnc -n kube-system -o json | jq -r '.items[] | [.metadata.name, .status.networkContainers[0].status] | @tsv'   # NCUpdateSuccess everywhere".to_owned(),
    ];
    Some(finding)
}
