//! The subnet of the pods has no address left.

use std::collections::BTreeMap;

use super::common::{self, refused_words, some};
use crate::cluster::Cluster;
use crate::cluster::ipam::{AddressRefusals, Exhaustion, Reason};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity, SubjectRef};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::time;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-subnet-full",
    chapter: Chapter::IpAllocation,
    title: "The pod subnet is full",
    guide: &["2", "2.1"],
    needs: &[common::REFUSALS],
    explains: &["pod-ip-exhausted", "cns-waiting", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "With dynamic Azure CNI each node leases addresses of the pod subnet in batches of 16. When the subnet has none left, the lease is not extended (NCUpdateSubnetFullError) and pods on nodes whose pool is used up stay in ContainerCreating.",
        decision: "CNS says so in its refusals ('NC Status: NCUpdateSubnetFullError'), or a NodeNetworkConfig has a network container of that status. One finding for each subnet.",
        action: "Add a larger pod subnet with a new node pool and move the workloads there, or free addresses by fewer nodes: each keeps a batch. The subnet of a node pool can't be changed, and a subnet in use can't grow if its neighbours are taken.",
        reference: "AKS: Azure CNI with dynamic IP allocation. Azure/azure-container-networking: NodeNetworkConfig status.",
    },
    detect,
};

/// Nodes that refuse pods, nodes whose config tells the status, and where.
type Refusing<'a> = (Vec<&'a Exhaustion>, Vec<&'a str>, Vec<Evidence>);

fn detect(cluster: &Cluster) -> Outcome {
    let ledger = &cluster.ledger;
    // By subnet: what each node refused, and configs that only tell their status.
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
    findings.collect::<Vec<_>>().into()
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
    let name =
        if subnet.is_empty() { "The pod subnet".to_owned() } else { format!("The pod subnet {subnet}") };
    let on = match nodes.as_slice() {
        [] => String::new(),
        [item] => format!(": node {item} gets no more addresses"),
        all => format!(": {} nodes get no more addresses", all.len()),
    };
    let mut finding = Finding::new(DETECTOR.id, subnet, format!("{name} is full{on}"), evidence)?;
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
    finding.detail("nodes", &nodes);
    finding.detail("pods_refused", &refused.pods);
    finding.detail("refusals", refused.count);
    let known = cluster.ledger.subnets.all.iter().find(|item| item.range.to_string() == subnet);
    let numbers = known.map_or_else(String::new, |item| {
        format!(
            " It has {} usable addresses{}.",
            item.usable,
            item.used.map_or_else(String::new, |used| format!(
                ", and the nodes of this bundle lease {used} of them; other clusters may use it, too"
            ))
        )
    });
    let on_nodes = if nodes.is_empty() { String::new() } else { format!(" on {}", some(nodes.iter())) };
    finding.cause = format!(
        "Azure could not extend the lease of addresses{on_nodes} (NCUpdateSubnetFullError).{numbers}{}",
        refused_words(&refused)
    );
    finding.fix = Fix {
        text: "Make a larger pod subnet, add a node pool that uses it, move the workloads, and delete the old pool. Until then, fewer nodes free addresses: each node keeps at least 16.".to_owned(),
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
