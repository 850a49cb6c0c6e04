//! Addresses for the report: node by node, and the ranges that they come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::cluster::ipam::{Counts, NodeIpam};

/// Addresses of one node, for the table and the bars of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeAddresses {
    /// The node.
    pub node: String,
    /// `host-local kubenet`, `dynamic Azure CNI`, …
    pub ipam: String,
    /// Reserved or leased for the node: what the guide's `ls … | wc -l`, or `kubectl get nnc`, shows.
    pub allocated: u64,
    /// Held by live pods; unknown when the pods of the node are not in the bundle.
    pub in_use: Option<u64>,
    /// Held by something else that is known, or coming or going.
    pub other: u64,
    /// Reserved and held by nobody.
    pub orphans: Option<u64>,
    /// Most that there can be.
    pub capacity: Option<u64>,
    /// Pods that wait for an address.
    pub waiting: u64,
    /// Running pods with an address of their own: what the guide's `kubectl get pods … | wc -l` prints.
    pub running: Option<u64>,
    /// Anything that a reader of the numbers must know.
    pub note: String,
}

/// A range of the cluster, for the map of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubnetUse {
    /// Name of the subnet, or the setting that has the range.
    pub name: String,
    /// What for.
    #[serde(skip_deserializing)]
    pub role: &'static str,
    /// The range.
    pub range: String,
    /// Addresses that can be used: Azure keeps five of each subnet.
    pub usable: u64,
    /// In use, when told.
    pub used: Option<u64>,
    /// What the node pools take at their present size, surge included.
    pub needed_now: Option<u64>,
    /// What they take at the autoscaler's maximum, surge included.
    pub needed_at_most: Option<u64>,
    /// How many more nodes fit.
    pub more_nodes: Option<u64>,
    /// The sum, in words.
    pub arithmetic: String,
}

/// A pool of Calico, as `calicoctl ipam show` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolUse {
    /// The range.
    pub range: String,
    /// Addresses.
    pub total: u64,
    /// Taken.
    pub used: u64,
}

/// The ranges of the cluster.
pub(super) fn subnets(cluster: &Cluster) -> Vec<SubnetUse> {
    let all = cluster.ledger.subnets.all.iter();
    all.map(|subnet| SubnetUse {
        name: subnet.name.clone(),
        role: subnet.role.label(),
        range: subnet.range.to_string(),
        usable: subnet.usable,
        used: subnet.used,
        needed_now: subnet.now,
        needed_at_most: subnet.most,
        more_nodes: subnet.more_nodes(),
        arithmetic: subnet.arithmetic.clone(),
    })
    .collect()
}

/// Calico's pools.
pub(super) fn calico_pools(cluster: &Cluster) -> Vec<PoolUse> {
    let reports = cluster.facts.nodes.calico_reports.iter().flat_map(|(_, report)| &report.uses);
    let pools = reports.filter(|row| row.pool);
    pools.map(|row| PoolUse { range: row.range.to_string(), total: row.total, used: row.used }).collect()
}

/// The books of all nodes.
pub(super) fn of_nodes(cluster: &Cluster) -> Vec<NodeAddresses> {
    cluster.ledger.books.iter().map(|books| node_addresses(cluster, books)).collect()
}

fn node_addresses(cluster: &Cluster, books: &NodeIpam) -> NodeAddresses {
    let mut notes: Vec<String> = Vec::new();
    if books.counted {
        notes.push("numbers that someone counted".to_owned());
    } else if !matches!(books.node_known_by, "its name" | "its blocks") {
        notes.push(format!("node known by {}", books.node_known_by));
    }
    if !books.pods_known {
        notes.push(
            "not all pods of this node are in the bundle: leaked addresses can't be told from the others"
                .to_owned(),
        );
    }
    if let Some(lease) = &books.lease {
        notes.extend(lease.requested.map(|requested| format!("{requested} requested")));
        if !lease.status.is_empty() {
            notes.push(lease.status.clone());
        }
        if lease.foreign > 0 {
            notes.push(format!(
                "{} pods have addresses outside {}: not comparable",
                lease.foreign, lease.subnet
            ));
        }
    }
    let refused = cluster.ledger.refused.get(&books.node).map_or(0, |refused| refused.count);
    if refused > 0 {
        notes.push(format!("refused an IP address {refused} times"));
    }
    let disagreements = &cluster.ledger.disagreements;
    let from = disagreements.partition_point(|disagreement| disagreement.node < books.node);
    let ours = disagreements.iter().skip(from).take_while(|disagreement| disagreement.node == books.node);
    notes.extend(ours.map(|item| item.what.clone()));
    let sum = |get: fn(&Counts) -> u64| get(&books.v4) + get(&books.v6);
    let known = books.pods_known || books.runtime_known;
    let both = books.v4.allocated > 0 && books.v6.allocated > 0;
    if both {
        notes.push(format!("{} IPv4 and {} IPv6", books.v4.allocated, books.v6.allocated));
    }
    let lease = books.lease.as_ref();
    // Of a lease what is not held by a pod is free or leaked: it can't be told.
    let allocated = lease.map_or(books.allocated(), |lease| lease.allocated.unwrap_or(0));
    let mode = lease.map_or(String::new(), |lease| format!("{} {}", lease.mode, lease.kind));
    let ipam = match lease {
        Some(_) => format!("Azure CNI {mode}").trim_end().to_owned(),
        None => format!("{} {}", books.ipam.label(), books.network).trim_end().to_owned(),
    };
    NodeAddresses {
        node: books.node.clone(),
        ipam,
        allocated,
        in_use: books.pods_known.then_some(if lease.is_some() || books.counted {
            books.pods as u64
        } else {
            sum(|counts| counts.live)
        }),
        other: sum(|counts| counts.known + counts.moving + counts.elsewhere),
        orphans: (known && lease.is_none())
            .then(|| if books.counted { books.surplus() } else { books.leaked().count() as u64 }),
        capacity: lease.map_or_else(|| books.capacity(), |lease| lease.allocated),
        waiting: books.waiting as u64,
        running: books.pods_known.then_some(books.running as u64),
        note: notes.join("; "),
    }
}
