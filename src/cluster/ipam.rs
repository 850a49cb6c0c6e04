//! Who holds which address: the books of every node, from every store that the bundle shows.
//!
//! Counting is per node, never per cluster. What counts as in use: addresses of pods on the node that
//! have not ended and do not use the node's own network.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::evidence::Evidence;
use crate::facts::{Facts, LeaseStore, NodeNetworkConfig, Pod, Signal, StoreKey};

/// A lease younger than this may belong to a pod that is just being made.
pub const GRACE_MINUTES: i64 = 15;
/// AKS takes at most this many pods on a node, whatever the network.
pub const MOST_PODS: usize = 250;

/// An address that no live pod of its node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The address.
    pub ip: IpAddr,
    /// The sandbox that took it, when the store says.
    pub sandbox: Option<Box<str>>,
    /// Microseconds since 1970 when it was taken, when the store's times mean something.
    pub written: Option<i64>,
    /// Within the grace time: its pod may just be coming or going.
    pub young: bool,
    /// Where.
    pub place: Evidence,
}

/// The books of one host-local store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreBooks {
    /// The node; empty when nothing says which one.
    pub node: String,
    /// How the node was found out.
    pub node_known_by: &'static str,
    /// `kubenet`, `k8s-pod-network`, …
    pub network: String,
    /// Where the store was seen.
    pub place: String,
    /// Other listings of the same store.
    pub also: Vec<String>,
    /// Addresses reserved.
    pub allocated: usize,
    /// Sandboxes or, without their ids, addresses of the larger family: what pods are compared with.
    pub sandboxes: usize,
    /// Most addresses of one family that the node's range can give.
    pub capacity: Option<u64>,
    /// The node's ranges.
    pub ranges: Vec<String>,
    /// Live pods of the node with an address of their own.
    pub pods: usize,
    /// Of these, pods whose address is in the store.
    pub matched: usize,
    /// Pods of the node that wait for an address.
    pub waiting: usize,
    /// Some of them by name.
    pub waiting_pods: Vec<String>,
    /// Pods of this node are in the bundle at all.
    pub pods_known: bool,
    /// Reserved and held by no live pod.
    pub orphans: Vec<Orphan>,
    /// Ages are known, and tell something.
    pub aged: bool,
    /// Reserved here while a live pod of another node holds it.
    pub elsewhere: Vec<(IpAddr, String)>,
    /// Most pods that the kubelet takes.
    pub max_pods: Option<usize>,
    /// Error lines and events that say that this node's store is empty.
    pub refusals: u64,
    /// Where they were seen.
    pub refused_at: Vec<Evidence>,
}

/// The books of one node with dynamic Azure CNI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolBooks {
    /// The node.
    pub node: String,
    /// Addresses that CNS asked for.
    pub requested: Option<u64>,
    /// Addresses that the node has.
    pub allocated: Option<u64>,
    /// `dynamic`, `static`.
    pub mode: String,
    /// `vnet`, `vnetblock`, `overlay`.
    pub kind: String,
    /// Status of the network container.
    pub status: String,
    /// Range of the pod subnet.
    pub subnet: String,
    /// Live pods of the node with an address of their own.
    pub pods: usize,
    /// Pods of the node that wait for an address.
    pub waiting: usize,
    /// Pods of this node are in the bundle at all.
    pub pods_known: bool,
    /// Pods whose address is not of the pod subnet: then the numbers can't be compared.
    pub foreign: usize,
    /// Addresses of the pool that no pod of the bundle holds: free, or leaked.
    pub unheld: Vec<IpAddr>,
    /// Addresses of the pool are known by name.
    pub named: bool,
    /// Error lines that say that this node's pool is empty.
    pub refusals: u64,
    /// Where the config was seen.
    pub places: Vec<Evidence>,
    /// Where the refusals were seen.
    pub refused_at: Vec<Evidence>,
    /// Most pods that the kubelet takes.
    pub max_pods: Option<usize>,
}

/// The books of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Host-local stores (kubenet, kubenet with Calico).
    pub stores: Vec<StoreBooks>,
    /// Pools of dynamic Azure CNI.
    pub pools: Vec<PoolBooks>,
}

impl StoreBooks {
    /// Orphans past the grace time; all of them where ages are not known.
    pub fn leaked(&self) -> impl Iterator<Item = &Orphan> {
        self.orphans.iter().filter(|orphan| !orphan.young)
    }
}

/// Pods by address and by node.
struct Pods<'a> {
    by_ip: HashMap<IpAddr, &'a Pod>,
    by_node: HashMap<&'a str, Vec<&'a Pod>>,
    /// The bundle holds a list of pods, not single ones only.
    listed: bool,
}

impl<'a> Pods<'a> {
    fn index(facts: &'a Facts) -> Self {
        let listed = facts.has_list("Pod");
        let mut pods = Self { by_ip: HashMap::new(), by_node: HashMap::new(), listed };
        for (_, seen) in facts.objects.pods.iter() {
            let pod = &seen.object;
            pods.by_node.entry(&pod.spec.node_name).or_default().push(pod);
            if holds_address(pod) {
                for ip in pod.addresses() {
                    pods.by_ip.insert(ip, pod);
                }
            }
        }
        pods
    }

    fn live(&self, node: &str) -> usize {
        self.of(node).filter(|pod| holds_address(pod)).count()
    }

    /// Pods that are scheduled and have no address yet.
    fn waiting(&self, node: &str) -> usize {
        self.of(node).filter(|pod| waits(pod)).count()
    }

    fn waiting_names(&self, node: &str) -> Vec<String> {
        let name = |pod: &Pod| format!("{}/{}", pod.metadata.namespace, pod.metadata.name);
        self.of(node).filter(|pod| waits(pod)).take(5).map(name).collect()
    }

    /// Whether all pods of a node seem to be there: every node runs something of `kube-system`, so a list
    /// without that is one namespace's, and every other pod's address would look leaked.
    fn complete_on(&self, node: &str) -> bool {
        let mut system = self.of(node).filter(|pod| &*pod.metadata.namespace == "kube-system");
        // Masked addresses can't be matched with leases: then nothing is known.
        self.listed && system.next().is_some() && !self.of(node).any(Pod::address_hidden)
    }

    fn of(&self, node: &str) -> impl Iterator<Item = &'a Pod> {
        self.by_node.get(node).into_iter().flatten().copied()
    }
}

fn waits(pod: &Pod) -> bool {
    !pod.ended() && !pod.spec.host_network && !pod.address_hidden() && pod.addresses().next().is_none()
}

/// A terminating pod still holds its address; one that ended does not.
fn holds_address(pod: &Pod) -> bool {
    !pod.ended() && !pod.spec.host_network && pod.addresses().next().is_some()
}

impl Ledger {
    /// Does the books.
    pub fn build(facts: &Facts, anchor: Option<i64>) -> Self {
        let pods = Pods::index(facts);
        Self { stores: stores(facts, &pods, anchor), pools: pools(facts, &pods) }
    }
}

/// One sight of a store, and how its node is known.
type Listing<'a> = (&'a StoreKey, &'a LeaseStore, &'static str);

fn stores(facts: &Facts, pods: &Pods<'_>, anchor: Option<i64>) -> Vec<StoreBooks> {
    // Several listings of one store count once: the one that knows sandboxes, then the fullest.
    let mut groups: BTreeMap<(String, String), Vec<Listing<'_>>> = BTreeMap::new();
    for (key, store) in &facts.leases.stores {
        let (node, by) = node_of(facts, pods, key, store);
        let node = if node.is_empty() { unknown_node(store) } else { node };
        groups.entry((node, key.network.to_string())).or_default().push((key, store, by));
    }
    // A plain `ls` of the addresses does not name its network: it belongs to the only one of its node.
    let nameless: Vec<_> = groups.keys().filter(|(_, network)| network.is_empty()).cloned().collect();
    for key in nameless {
        let same: Vec<_> =
            groups.keys().filter(|(node, net)| *node == key.0 && !net.is_empty()).cloned().collect();
        if let [only] = same.as_slice() {
            let moved = groups.remove(&key).unwrap_or_default();
            groups.entry(only.clone()).or_default().extend(moved);
        }
    }
    groups
        .into_iter()
        .filter_map(|((node, network), mut listings)| {
            listings.sort_by_key(|(key, store, _)| {
                let known = store.leases.values().filter(|lease| lease.sandbox.is_some()).count();
                let dated = store.leases.values().filter(|lease| lease.written.is_some()).count();
                (std::cmp::Reverse((known, dated, store.leases.len())), (*key).clone())
            });
            let (key, store, by) = *listings.first()?;
            let mut books = store_books(facts, pods, &node, store, anchor);
            books.node_known_by = by;
            books.network = network;
            books.place = place_shown(&key.place);
            books.also = listings.iter().skip(1).map(|(key, ..)| place_shown(&key.place)).collect();
            Some(books)
        })
        .collect()
}

fn place_shown(place: &Arc<str>) -> String {
    place.to_string()
}

/// Stores whose node is unknown are told apart by their range.
fn unknown_node(store: &LeaseStore) -> String {
    store.leases.keys().next().map_or_else(String::new, |ip| match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            format!("(unknown node of {a}.{b}.{c}.0/24)")
        }
        IpAddr::V6(ip) => format!("(unknown node of {ip})"),
    })
}

/// The node of a store: by the text around it, by a path that names a node, by the node whose range it
/// fills, or by the pods that hold its addresses.
fn node_of(facts: &Facts, pods: &Pods<'_>, key: &StoreKey, store: &LeaseStore) -> (String, &'static str) {
    if let Some(node) = &store.node {
        return (node.to_string(), "the transcript");
    }
    let parts: BTreeSet<&str> = key.place.split(['/', '!', ' ', '.', ':']).collect();
    for (name, _) in facts.objects.nodes.iter() {
        if parts.contains(&*name.name) {
            return (name.name.to_string(), "its path");
        }
    }
    let mut by_range: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, seen) in facts.objects.nodes.iter() {
        let ranges: Vec<IpNet> =
            ranges(&seen.object.spec).iter().filter_map(|range| range.parse().ok()).collect();
        let inside = store.leases.keys().filter(|ip| ranges.iter().any(|range| range.contains(*ip))).count();
        if inside * 2 > store.leases.len() {
            by_range.insert(&name.name, inside);
        }
    }
    if let Some((node, _)) = by_range.into_iter().max_by_key(|(_, inside)| *inside) {
        return (node.to_owned(), "its podCIDR");
    }
    let mut by_pods: BTreeMap<&str, usize> = BTreeMap::new();
    for ip in store.leases.keys() {
        if let Some(pod) = pods.by_ip.get(ip) {
            *by_pods.entry(&pod.spec.node_name).or_default() += 1;
        }
    }
    match by_pods.into_iter().filter(|(node, _)| !node.is_empty()).max_by_key(|(_, held)| *held) {
        Some((node, _)) => (node.to_owned(), "the pods that hold its addresses"),
        None => (String::new(), "nothing"),
    }
}

fn ranges(spec: &crate::facts::NodeSpec) -> Vec<String> {
    let mut ranges: Vec<String> = spec.pod_cidrs.iter().map(ToString::to_string).collect();
    if ranges.is_empty() && !spec.pod_cidr.is_empty() {
        ranges.push(spec.pod_cidr.to_string());
    }
    ranges
}

fn store_books(
    facts: &Facts,
    pods: &Pods<'_>,
    node: &str,
    store: &LeaseStore,
    anchor: Option<i64>,
) -> StoreBooks {
    let object = facts.objects.nodes.get("", node).map(|seen| &seen.object);
    let ranges = object.map(|node| ranges(&node.spec)).unwrap_or_default();
    let capacity = ranges.iter().filter_map(|range| range.parse::<IpNet>().ok()).map(usable).max();
    let held = |ip: &IpAddr| pods.by_ip.get(ip).filter(|pod| &*pod.spec.node_name == node);
    // A sandbox with two addresses is live when either is.
    let live: BTreeSet<&str> = store
        .leases
        .iter()
        .filter(|(ip, _)| held(ip).is_some())
        .filter_map(|(_, lease)| lease.sandbox.as_deref())
        .collect();
    let times: Vec<i64> = store.leases.values().filter_map(|lease| lease.written?.resolve(anchor)).collect();
    let (oldest, newest) = (times.iter().min().copied(), times.iter().max().copied());
    let grace = GRACE_MINUTES * 60_000_000;
    // Files that were all written within minutes were copied: their times say nothing.
    let aged = matches!((oldest, newest), (Some(a), Some(b)) if b - a > grace);
    let mut orphans = Vec::new();
    let mut elsewhere = Vec::new();
    for (ip, lease) in &store.leases {
        if held(ip).is_some() || lease.sandbox.as_deref().is_some_and(|id| live.contains(id)) {
            continue;
        }
        if let Some(pod) = pods.by_ip.get(ip).filter(|pod| !pod.spec.node_name.is_empty()) {
            elsewhere.push((*ip, format!("{}/{}", pod.metadata.namespace, pod.metadata.name)));
            continue;
        }
        let written = lease.written.and_then(|when| when.resolve(anchor)).filter(|_| aged);
        let young = matches!((written, newest), (Some(at), Some(newest)) if newest - at <= grace);
        let (sandbox, place) = (lease.sandbox.clone(), lease.place.clone());
        orphans.push(Orphan { ip: *ip, sandbox, written, young, place });
    }
    let (refusals, refused_at) = refusals(facts, node, &[Signal::RangeSetFull, Signal::NoAvailableAddresses]);
    StoreBooks {
        node: node.to_owned(),
        refusals,
        refused_at,
        allocated: store.leases.len(),
        sandboxes: sandboxes(store),
        capacity,
        ranges,
        pods: pods.live(node),
        matched: store.leases.keys().filter(|ip| held(ip).is_some()).count(),
        waiting: pods.waiting(node),
        waiting_pods: pods.waiting_names(node),
        pods_known: pods.complete_on(node),
        orphans,
        aged,
        elsewhere,
        max_pods: max_pods(facts, node),
        ..StoreBooks::default()
    }
}

fn max_pods(facts: &Facts, node: &str) -> Option<usize> {
    facts.objects.nodes.get("", node)?.object.status.allocatable.pods.parse().ok()
}

/// Pods that a store has served: dual-stack sandboxes hold two addresses.
fn sandboxes(store: &LeaseStore) -> usize {
    let ids: BTreeSet<&str> = store.leases.values().filter_map(|lease| lease.sandbox.as_deref()).collect();
    let nameless = |v4: bool| {
        store.leases.iter().filter(|(ip, lease)| lease.sandbox.is_none() && ip.is_ipv4() == v4).count()
    };
    ids.len() + nameless(true).max(nameless(false))
}

/// Addresses that host-local hands out of a range: without network, gateway and, for IPv4, broadcast.
fn usable(range: IpNet) -> u64 {
    let bits = u32::from(range.max_prefix_len() - range.prefix_len());
    let all = 1_u64.checked_shl(bits).unwrap_or(u64::MAX);
    all.saturating_sub(if range.addr().is_ipv4() { 3 } else { 2 })
}

fn pools(facts: &Facts, pods: &Pods<'_>) -> Vec<PoolBooks> {
    facts
        .objects
        .node_network_configs
        .iter()
        .map(|(key, seen)| {
            pool_books(facts, pods, &key.name, &seen.object, seen.evidence("NodeNetworkConfig", key))
        })
        .collect()
}

fn pool_books(
    facts: &Facts,
    pods: &Pods<'_>,
    node: &str,
    config: &NodeNetworkConfig,
    places: Vec<Evidence>,
) -> PoolBooks {
    let container = config.status.network_containers.first();
    let text = |get: fn(&crate::facts::NetworkContainer) -> &crate::facts::Text| -> String {
        container.map(|container| get(container).to_string()).unwrap_or_default()
    };
    let subnet = text(|container| &container.subnet_address_space);
    let range: Option<IpNet> = subnet.parse().ok();
    let live: Vec<&Pod> = pods.of(node).filter(|pod| holds_address(pod)).collect();
    let foreign = match range {
        Some(range) => live.iter().filter(|pod| !pod.addresses().any(|ip| range.contains(&ip))).count(),
        None => 0,
    };
    let pool: BTreeSet<IpAddr> = config
        .status
        .network_containers
        .iter()
        .flat_map(|container| &container.ip_assignments)
        .filter_map(|assignment| assignment.ip.split('/').next()?.parse().ok())
        .collect();
    let allocated = config.status.assigned_ip_count.filter(|count| *count > 0);
    let named = !pool.is_empty() && allocated.is_none_or(|count| pool.len() as u64 >= count);
    let unheld = pool.iter().filter(|ip| !pods.by_ip.contains_key(ip)).copied().collect();
    let (refusals, refused_at) = refusals(facts, node, &[Signal::CnsWaiting, Signal::SubnetFull]);
    PoolBooks {
        node: node.to_owned(),
        requested: config.spec.requested_ip_count,
        allocated: allocated.or(named.then_some(pool.len() as u64)),
        mode: text(|container| &container.assignment_mode),
        kind: text(|container| &container.r#type),
        status: text(|container| &container.status),
        subnet,
        pods: live.len(),
        waiting: pods.waiting(node),
        pods_known: pods.complete_on(node),
        foreign,
        unheld,
        named,
        refusals,
        places,
        refused_at,
        max_pods: max_pods(facts, node),
    }
}

/// Lines that say that a node has no address left: the line names the node, or a pod that runs there.
fn refusals(facts: &Facts, node: &str, told: &[Signal]) -> (u64, Vec<Evidence>) {
    // The same pod's refusals may be told with and without the node: the largest count is taken.
    let mut by_pod: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut places = Vec::new();
    for (key, tally) in facts.signals.map.iter() {
        if !told.contains(&key.signal) {
            continue;
        }
        let pod = facts.objects.pods.get(&key.namespace, &key.pod);
        let on_node = &*key.node == node || pod.is_some_and(|pod| &*pod.object.spec.node_name == node);
        if on_node {
            let most = by_pod.entry((&key.namespace, &key.pod)).or_default();
            *most = tally.count().max(*most);
            places.extend(tally.examples.as_slice().iter().take(2).cloned());
        }
    }
    let count = by_pod.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
    places.sort();
    places.dedup();
    places.truncate(crate::evidence::EXAMPLES);
    (count, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_24_gives_253_pods_an_address() {
        assert_eq!(usable("10.244.5.0/24".parse().unwrap()), 253);
    }
}
