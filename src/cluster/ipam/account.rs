//! What became of each address: the one rule for all sources.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use ipnet::IpNet;

use super::places::{Known, NodeIndex, ranges};
use super::pods::{Pods, holds_address, of_job, started, waits};
use super::{Age, Counts, GRACE_MINUTES, Ipam, NodeIpam, Orphan, Runtime};
use crate::cluster::net::size;
use crate::evidence::Evidence;
use crate::facts::{Facts, Holding, Place, Pod};

/// What all sources are compared with.
pub(super) struct Context<'a> {
    pub(super) facts: &'a Facts,
    pub(super) pods: Pods<'a>,
    pub(super) nodes: NodeIndex<'a>,
    sandboxes: Sandboxes<'a>,
    /// Addresses of load balancers and nodes.
    known: HashMap<IpAddr, &'static str>,
    pub(super) anchor: Option<i64>,
}

/// What the container runtimes of the nodes know: sandbox, and whether it runs.
struct Sandboxes<'a> {
    by_node: HashMap<String, HashMap<&'a str, bool>>,
}

/// Tables show this much of an id.
const SHORT_ID: usize = 13;

fn short(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

impl<'a> Sandboxes<'a> {
    fn index(facts: &'a Facts, nodes: &NodeIndex<'_>) -> Self {
        // A listing is of one node: the one that it names, or the one on which its pods are.
        let mut listings: HashMap<(&Arc<str>, Option<&str>), Vec<_>> = HashMap::new();
        for (place, sandbox) in facts.nodes.sandboxes.iter() {
            listings.entry((&place.source, sandbox.node.as_deref())).or_default().push(sandbox);
        }
        let mut by_node: HashMap<String, HashMap<&str, bool>> = HashMap::new();
        for ((source, given), listing) in listings {
            let of_pods = || {
                let mut found: Vec<&str> = listing
                    .iter()
                    .filter_map(|item| facts.objects.pods.get(&item.namespace, &item.pod))
                    .map(|pod| &*pod.object.spec.node_name)
                    .filter(|node| !node.is_empty())
                    .collect();
                found.sort_unstable();
                let chunks = found.chunk_by(|a, b| a == b);
                chunks.max_by_key(|chunk| chunk.len()).and_then(|chunk| chunk.first().copied())
            };
            let only = || nodes.only().filter(|_| nodes.listed);
            let node = given.or_else(|| nodes.in_path(source)).or_else(of_pods).or_else(only);
            let Some(node) = node else { continue };
            let known = by_node.entry(node.to_owned()).or_default();
            for sandbox in listing {
                *known.entry(short(&sandbox.id)).or_default() |= sandbox.ready;
            }
        }
        Self { by_node }
    }
}

impl<'a> Context<'a> {
    pub(super) fn new(facts: &'a Facts, anchor: Option<i64>) -> Self {
        let nodes = NodeIndex::index(facts);
        let mut known = HashMap::new();
        for (_, seen) in facts.objects.services.iter() {
            for ingress in &*seen.object.status.load_balancer.ingress {
                if let Ok(ip) = ingress.ip.parse() {
                    known.insert(ip, "a load balancer");
                }
            }
        }
        for (_, seen) in facts.objects.nodes.iter() {
            for address in &*seen.object.status.addresses {
                if let Ok(ip) = address.address.parse() {
                    known.insert(ip, "a node");
                }
            }
        }
        let sandboxes = Sandboxes::index(facts, &nodes);
        Self { facts, pods: Pods::index(facts, anchor), nodes, sandboxes, known, anchor }
    }

    /// Whether an address is a node's own.
    pub(super) fn is_of_a_node(&self, ip: &IpAddr) -> bool {
        self.known.get(ip) == Some(&"a node")
    }

    /// Most pods that the kubelet of a node takes.
    pub(super) fn max_pods(&self, node: &str) -> Option<usize> {
        self.facts.objects.nodes.get("", node)?.object.status.allocatable.pods.parse().ok()
    }

    /// The ranges of a node's pods.
    pub(super) fn ranges(&self, node: &str) -> Vec<String> {
        let object = self.facts.objects.nodes.get("", node);
        object.map(|seen| ranges(&seen.object.spec)).unwrap_or_default()
    }

    /// The pods of a node are known: they were listed, or the node is gone with all of them.
    pub(super) fn pods_known(&self, node: &str) -> bool {
        let named = !node.is_empty() && !node.starts_with('(');
        let listed = self.pods.listed && self.nodes.listed;
        let gone = || listed && named && !self.nodes.contains(node) && self.pods.of(node).next().is_none();
        self.pods.complete_on(node) || gone()
    }
}

/// Addresses that a range has for pods: without network, gateway and, for IPv4, broadcast.
pub(super) fn usable(range: IpNet) -> u64 {
    size(range).saturating_sub(if range.addr().is_ipv4() { 3 } else { 2 })
}

/// Where an entry is.
#[derive(Clone, Copy)]
pub(super) struct Location<'a>(pub(super) &'a Arc<str>, pub(super) u64);

/// An address in a source.
#[derive(Clone, Copy)]
pub(super) struct IpamEntry<'a> {
    pub(super) ip: IpAddr,
    pub(super) holding: Holding,
    /// Empty when not told.
    pub(super) sandbox: &'a str,
    /// Namespace and name of the pod, when told.
    pub(super) owner: Option<(&'a str, &'a str)>,
    /// What it is, when it is no pod's.
    pub(super) known: bool,
    /// Microseconds since 1970.
    pub(super) written: Option<i64>,
    pub(super) place: Location<'a>,
}

/// One node's part of a source.
pub(super) struct Source<'a> {
    pub(super) node: Known,
    pub(super) ipam: Ipam,
    pub(super) network: String,
    pub(super) place: String,
    pub(super) entries: Vec<IpamEntry<'a>>,
    /// Of an extra network: pods don't tell these addresses.
    pub(super) secondary: bool,
    /// Of no node: what no pod of the cluster holds.
    pub(super) nodeless: bool,
    /// Most of IPv4 and of IPv6.
    pub(super) capacity: [Option<u64>; 2],
    pub(super) evidence: Vec<Evidence>,
}

/// What became of an address.
enum Fate {
    Live,
    Known,
    Moving,
    Elsewhere(String),
    Orphan(Runtime),
    Unknown,
}

struct Judge<'a, 'c> {
    context: &'c Context<'a>,
    node: &'c str,
    pods_known: bool,
    secondary: bool,
    /// Sandboxes of which another address is a live pod's.
    live: HashSet<&'c str>,
    runtime: Option<&'c HashMap<&'a str, bool>>,
}

fn named(pod: &Pod) -> String {
    format!("{}/{}", pod.metadata.namespace, pod.metadata.name)
}

impl Judge<'_, '_> {
    fn on_node(&self, ip: &IpAddr) -> bool {
        self.context.pods.at(ip, self.node).is_some_and(|pod| &*pod.spec.node_name == self.node)
    }

    fn fate(&self, entry: &IpamEntry<'_>) -> Fate {
        if entry.known || (self.context.known.contains_key(&entry.ip) && entry.owner.is_none()) {
            return Fate::Known;
        }
        if entry.holding == Holding::Moving {
            return Fate::Moving;
        }
        if self.on_node(&entry.ip) || (!entry.sandbox.is_empty() && self.live.contains(entry.sandbox)) {
            return Fate::Live;
        }
        let other = self.context.pods.at(&entry.ip, self.node).filter(|pod| !pod.spec.node_name.is_empty());
        if let Some(pod) = other {
            return Fate::Elsewhere(named(pod));
        }
        let runs = self.runtime.filter(|_| !entry.sandbox.is_empty());
        let runtime = match runs.map(|known| known.get(short(entry.sandbox))) {
            Some(Some(true)) => return Fate::Live,
            Some(Some(false)) => Runtime::Ended,
            Some(None) => Runtime::Gone,
            None => Runtime::NotAsked,
        };
        if let Some(pod) =
            entry.owner.and_then(|(namespace, name)| self.context.facts.objects.pods.get(namespace, name))
        {
            let pod = &pod.object;
            let here = pod.spec.node_name.is_empty() || &*pod.spec.node_name == self.node;
            // A pod that has no address of this family yet, or of which only the first was told.
            let unsettled = !pod.addresses().any(|ip| ip.is_ipv4() == entry.ip.is_ipv4());
            if here
                && !pod.ended()
                && !pod.spec.host_network
                && (self.secondary || unsettled || pod.address_hidden())
            {
                return Fate::Live;
            }
        }
        let silent = !self.pods_known || (self.secondary && entry.owner.is_none());
        if silent && runtime == Runtime::NotAsked {
            return Fate::Unknown;
        }
        Fate::Orphan(runtime)
    }
}

impl Source<'_> {
    /// Does the books of a source.
    pub(super) fn account(self, context: &Context<'_>) -> NodeIpam {
        let (node, node_known_by) = self.node;
        let grace = GRACE_MINUTES * 60_000_000;
        let judge = Judge {
            context,
            node: &node,
            pods_known: if self.nodeless { context.pods.listed } else { context.pods_known(&node) },
            secondary: self.secondary,
            live: HashSet::new(),
            runtime: context.sandboxes.by_node.get(&node),
        };
        let live = self.entries.iter().filter(|entry| !entry.sandbox.is_empty() && judge.on_node(&entry.ip));
        let judge = Judge { live: live.map(|entry| entry.sandbox).collect(), ..judge };
        let times = || {
            self.entries
                .iter()
                .filter(|entry| entry.holding == Holding::Assigned)
                .filter_map(|entry| entry.written)
        };
        let (oldest, newest) = (times().min(), times().max());
        // Entries that were all written within minutes were copied: their times say nothing.
        let aged = matches!((oldest, newest), (Some(a), Some(b)) if b - a > grace)
            || matches!((self.ipam, newest), (Ipam::CnsPool | Ipam::Calico, Some(_)));
        let listed = context.pods.newest;
        let now = newest.max(listed);
        let age = |written: Option<i64>| match (written.filter(|_| aged), now) {
            (Some(at), Some(now)) if now - at <= grace => Age::Young,
            (Some(at), _) if listed.is_some_and(|listed| at > listed) => Age::Later,
            (Some(_), Some(_)) => Age::Old,
            _ => Age::Unknown,
        };
        let [capacity_v4, capacity_v6] = self.capacity;
        let mut v4 = Counts { capacity: capacity_v4, ..Counts::default() };
        let mut v6 = Counts { capacity: capacity_v6, ..Counts::default() };
        let (mut orphans, mut elsewhere) = (Vec::new(), Vec::new());
        let mut taken: HashSet<&str> = HashSet::new();
        let (mut nameless_v4, mut nameless_v6) = (0, 0);
        let mut matched: BTreeSet<(&str, &str)> = BTreeSet::new();
        for entry in self.entries.iter().filter(|entry| entry.holding != Holding::Available) {
            let of_v4 = entry.ip.is_ipv4();
            let counts = if of_v4 { &mut v4 } else { &mut v6 };
            counts.allocated += 1;
            if entry.sandbox.is_empty() {
                if of_v4 { nameless_v4 += 1 } else { nameless_v6 += 1 }
            } else {
                taken.insert(entry.sandbox);
            }
            if let Some(pod) = context.pods.at(&entry.ip, &node).filter(|pod| *pod.spec.node_name == *node) {
                matched.insert((&pod.metadata.namespace, &pod.metadata.name));
            }
            match judge.fate(entry) {
                Fate::Live => counts.live += 1,
                Fate::Known => counts.known += 1,
                Fate::Moving => counts.moving += 1,
                Fate::Unknown => counts.unknown += 1,
                Fate::Elsewhere(pod) => {
                    counts.elsewhere += 1;
                    elsewhere.push((entry.ip, pod));
                }
                Fate::Orphan(runtime) => {
                    counts.orphans += 1;
                    orphans.push(Orphan {
                        ip: entry.ip,
                        sandbox: (!entry.sandbox.is_empty()).then(|| entry.sandbox.into()),
                        owner: entry.owner.map(|(namespace, pod)| format!("{namespace}/{pod}").into()),
                        written: entry.written.filter(|_| aged),
                        age: age(entry.written),
                        runtime,
                        place: Place { source: Arc::clone(entry.place.0), line: entry.place.1 },
                    });
                }
            }
        }
        orphans.sort_by_key(|orphan| orphan.ip);
        elsewhere.sort();
        let sandboxes = taken.len() + nameless_v4.max(nameless_v6);
        let (pods_known, runtime_known) = (judge.pods_known, judge.runtime.is_some());
        let mut books = NodeIpam {
            node_known_by,
            ipam: self.ipam,
            network: self.network,
            place: self.place,
            v4,
            v6,
            sandboxes,
            matched: matched.len(),
            orphans,
            aged,
            newest: now,
            runtime_known,
            elsewhere,
            pods_known,
            evidence: self.evidence,
            ..of_node(context, node, newest, &matched)
        };
        books.max_pods = context.max_pods(&books.node);
        books
    }
}

/// What is known of a node's pods, whatever the source.
pub(super) fn of_node(
    context: &Context<'_>,
    node: String,
    newest: Option<i64>,
    matched: &BTreeSet<(&str, &str)>,
) -> NodeIpam {
    let grace = GRACE_MINUTES * 60_000_000;
    let mut books = NodeIpam { ranges: context.ranges(&node), ..NodeIpam::default() };
    for pod in context.pods.of(&node) {
        if holds_address(pod) {
            books.pods += 1;
            books.running += usize::from(&*pod.status.phase == "Running");
            let later = started(pod).zip(newest).is_some_and(|(start, newest)| start > newest + grace);
            let later = later && !matched.contains(&(&pod.metadata.namespace, &pod.metadata.name));
            books.newer_pods += usize::from(later);
        } else if waits(pod) {
            books.waiting += 1;
            if books.waiting_pods.len() < 5 {
                books.waiting_pods.push(named(pod));
            }
        }
        books.short_lived += usize::from(pod.ended() || of_job(pod));
    }
    books.pods_known = context.pods_known(&node);
    books.max_pods = context.max_pods(&node);
    books.node = node;
    books
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_24_gives_253_pods_an_address() {
        assert_eq!(usable("10.244.5.0/24".parse().unwrap()), 253);
    }
}
