//! Nodes against what makes a node healthy, nodes of the same state in one row.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NodeAddresses;
use super::platform::is_of_system;
use crate::cluster::Cluster;
use crate::facts::{Key, Node, Pod};

/// Nodes that share a row and are named there.
const NAMED: usize = 50;

/// Pods of the system that each node needs, by the beginnings of their names.
const SYSTEM: [(&str, &[&str]); 4] = [
    (
        "cni",
        &[
            "azure-cns",
            "azure-cni",
            "cilium-",
            "calico-node",
            "canal",
            "kube-flannel",
            "kindnet",
            "weave-net",
            "aws-node",
            "antrea-agent",
            "ovnkube-node",
            "sdn-",
        ],
    ),
    ("kube_proxy", &["kube-proxy"]),
    ("core_dns", &["coredns", "dns-default", "kube-dns", "rke2-coredns"]),
    ("tunnel", &["konnectivity-agent", "tunnelfront", "aks-link"]),
];

/// Nodes of one state.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NodeHealth {
    /// Their names; the first of them when they are very many.
    pub nodes: Vec<String>,
    /// How many they are.
    pub count: u64,
    /// `Ready`, `NotReady`, `Unknown`, with `SchedulingDisabled`; empty when the bundle does not have it.
    pub status: String,
    /// Conditions that are true and should not be: `MemoryPressure`.
    pub pressure: Vec<String>,
    /// Pods of the CNI plugin there: `1/1`; empty when none is known.
    pub cni: String,
    /// Pods of kube-proxy there.
    pub kube_proxy: String,
    /// Pods of CoreDNS there.
    pub core_dns: String,
    /// Agents of the API server's tunnel there.
    pub tunnel: String,
    /// Pods that are not ready, of all that should run: `3 of 12`.
    pub pods: String,
    /// Addresses: `61 of 61, 54 leaked`.
    pub addresses: String,
    /// Something of it is wrong.
    pub unwell: bool,
}

#[derive(Default)]
struct OnNode {
    ready: u64,
    all: u64,
    system: [(u64, u64); 4],
}

fn status(node: &Node) -> String {
    let ready = node.status.conditions.iter().find(|condition| &*condition.r#type == "Ready");
    let mut status = match ready.map(|condition| &*condition.status) {
        Some("True") => "Ready".to_owned(),
        Some("Unknown") => "NotReady (Unknown)".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => String::new(),
    };
    if node.spec.unschedulable {
        status.push_str(if status.is_empty() { "SchedulingDisabled" } else { ", SchedulingDisabled" });
    }
    status
}

fn count(on: &mut OnNode, key: &Key, pod: &Pod) {
    let ready = u64::from(pod.is_ready());
    on.all += 1;
    on.ready += ready;
    for ((_, names), (up, all)) in SYSTEM.iter().zip(&mut on.system) {
        // The operator of a CNI plugin is no part of a node.
        let ours = is_of_system(&key.namespace) && names.iter().any(|start| key.name.starts_with(start));
        if ours && !key.name.contains("operator") {
            *up += ready;
            *all += 1;
        }
    }
}

/// The nodes of the bundle, the unwell ones first.
pub(super) fn rows(cluster: &Cluster, addresses: &[NodeAddresses]) -> Vec<NodeHealth> {
    let objects = &cluster.facts.objects;
    let mut on: BTreeMap<&str, OnNode> = BTreeMap::new();
    for (key, seen) in objects.pods.iter() {
        let pod = &seen.object;
        if !pod.spec.node_name.is_empty() && !pod.ended() {
            count(on.entry(&pod.spec.node_name).or_default(), key, pod);
        }
    }
    let of_node: BTreeMap<&str, &NodeAddresses> =
        addresses.iter().map(|item| (item.node.as_str(), item)).collect();
    let mut same: BTreeMap<NodeHealth, (u64, Vec<String>)> = BTreeMap::new();
    for (key, seen) in objects.nodes.iter() {
        let row = row(&seen.object, on.get(&*key.name), of_node.get(&*key.name).copied());
        let (count, nodes) = same.entry(row).or_default();
        *count += 1;
        if nodes.len() < NAMED {
            nodes.push(key.name.to_string());
        }
    }
    let mut rows: Vec<NodeHealth> =
        same.into_iter().map(|(row, (count, nodes))| NodeHealth { nodes, count, ..row }).collect();
    rows.sort_by(|a, b| (!a.unwell, &a.nodes).cmp(&(!b.unwell, &b.nodes)));
    rows
}

fn row(node: &Node, on: Option<&OnNode>, addresses: Option<&NodeAddresses>) -> NodeHealth {
    let pressure: Vec<String> = node
        .status
        .conditions
        .iter()
        .filter(|condition| &*condition.r#type != "Ready" && &*condition.status == "True")
        .filter(|condition| {
            ["Pressure", "Unavailable", "Deadlock", "Problem", "Readonly"]
                .iter()
                .any(|word| condition.r#type.contains(word))
        })
        .map(|condition| condition.r#type.to_string())
        .collect();
    let share = |(up, all): (u64, u64)| if all == 0 { String::new() } else { format!("{up}/{all}") };
    let system = on.map(|on| on.system).unwrap_or_default();
    let [cni, kube_proxy, core_dns, tunnel] = system.map(share);
    let not_ready = on.map_or(0, |on| on.all - on.ready);
    let leaked = addresses.and_then(|item| item.orphans).unwrap_or(0);
    let full = addresses.is_some_and(|item| item.capacity.is_some_and(|most| item.allocated >= most));
    let status = status(node);
    NodeHealth {
        unwell: status.starts_with("NotReady")
            || !pressure.is_empty()
            || not_ready > 0
            || full
            || system.iter().any(|(up, all)| up < all),
        status,
        pressure,
        cni,
        kube_proxy,
        core_dns,
        tunnel,
        // How many run there differs from node to node: only what is wrong keeps rows apart.
        pods: if not_ready > 0 {
            format!("{not_ready} of {}", on.map_or(0, |on| on.all))
        } else {
            String::new()
        },
        addresses: addresses.filter(|_| leaked > 0 || full).map_or_else(String::new, |item| {
            let most = item.capacity.map_or_else(String::new, |most| format!(" of {most}"));
            let leaked = if leaked > 0 { format!(", {leaked} leaked") } else { String::new() };
            format!("{}{most}{leaked}", item.allocated)
        }),
        ..NodeHealth::default()
    }
}
