//! Of which node a file is: by the text around it, its path, its addresses, or the pods in it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use ipnet::IpNet;

use super::pods::Pods;
use crate::facts::{Facts, NodeSpec};

/// A node, and how it was found out.
pub(super) type Known = (String, &'static str);

/// What names nodes.
pub(super) struct NodeIndex<'a> {
    names: HashSet<&'a str>,
    /// By the first address of a node's range.
    by_range: BTreeMap<IpAddr, (IpNet, &'a str)>,
    /// By the id of a network container.
    by_container: HashMap<&'a str, &'a str>,
    /// The only node that there is.
    only: Option<&'a str>,
    /// A list of nodes is in the bundle.
    pub(super) listed: bool,
}

impl<'a> NodeIndex<'a> {
    pub(super) fn index(facts: &'a Facts) -> Self {
        let mut names = HashSet::new();
        let mut by_range = BTreeMap::new();
        for (key, seen) in facts.objects.nodes.iter() {
            names.insert(&*key.name);
            for range in ranges(&seen.object.spec).iter().filter_map(|range| range.parse::<IpNet>().ok()) {
                by_range.insert(range.network(), (range, &*key.name));
            }
        }
        let mut by_container = HashMap::new();
        for (key, seen) in facts.objects.node_network_configs.iter() {
            names.insert(&*key.name);
            for container in seen
                .object
                .status
                .network_containers
                .iter()
                .filter(|network_container| !network_container.id.is_empty())
            {
                by_container.insert(&*container.id, &*key.name);
            }
        }
        let only = if names.len() == 1 { names.iter().next().copied() } else { None };
        Self { names, by_range, by_container, only, listed: facts.has_list("Node") }
    }

    pub(super) fn contains(&self, node: &str) -> bool {
        self.names.contains(node)
    }

    pub(super) fn only(&self) -> Option<&'a str> {
        self.only
    }

    /// The node that has a network container.
    pub(super) fn of_container(&self, id: &str) -> Option<&'a str> {
        self.by_container.get(id).copied()
    }

    /// The node whose range has an address.
    pub(super) fn of_address(&self, ip: IpAddr) -> Option<&'a str> {
        let (_, (range, node)) = self.by_range.range(..=ip).next_back()?;
        range.contains(&ip).then_some(*node)
    }

    /// The node that a path names.
    pub(super) fn in_path(&self, path: &str) -> Option<&'a str> {
        let parts = path.split(['/', '!', ' ']);
        parts.into_iter().find_map(|part| {
            let stem = || part.split_once('.').and_then(|(stem, _)| self.names.get(stem));
            self.names.get(part).or_else(stem).copied()
        })
    }

    /// The node of a source: as told, by its path, by the range that its addresses fill, or by the pods that
    /// hold them.
    pub(super) fn of(&self, given: Option<&str>, path: &str, addresses: &[IpAddr], pods: &Pods<'_>) -> Known {
        if let Some(node) = given {
            return (node.to_owned(), "the transcript");
        }
        if let Some(node) = self.in_path(path) {
            return (node.to_owned(), "its path");
        }
        let most = |found: BTreeMap<&str, usize>| -> Option<(String, usize)> {
            let (node, count) = found.into_iter().max_by_key(|(_, count)| *count)?;
            Some((node.to_owned(), count))
        };
        let mut by_range: BTreeMap<&str, usize> = BTreeMap::new();
        let mut by_pods: BTreeMap<&str, usize> = BTreeMap::new();
        for ip in addresses {
            if let Some(node) = self.of_address(*ip) {
                *by_range.entry(node).or_default() += 1;
            }
            if let Some(pod) = pods.at(ip, "").filter(|pod| !pod.spec.node_name.is_empty()) {
                *by_pods.entry(&pod.spec.node_name).or_default() += 1;
            }
        }
        if let Some((node, count)) = most(by_range)
            && count * 2 > addresses.len()
        {
            return (node, "its podCIDR");
        }
        if let Some((node, _)) = most(by_pods) {
            return (node, "the pods that hold its addresses");
        }
        match self.only.filter(|_| self.listed) {
            Some(only) => (only.to_owned(), "being the only node"),
            None => (String::new(), "nothing"),
        }
    }
}

/// The ranges of pod addresses of a node.
pub(super) fn ranges(spec: &NodeSpec) -> Vec<String> {
    let mut ranges: Vec<String> = spec.pod_cidrs.iter().map(ToString::to_string).collect();
    if ranges.is_empty() && !spec.pod_cidr.is_empty() {
        ranges.push(spec.pod_cidr.to_string());
    }
    ranges
}
