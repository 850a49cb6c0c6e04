//! The ranges of a cluster: subnets of nodes and pods, pod and service ranges; what each must hold at the
//! autoscaler's maximum, what it has, and what overlaps.
//!
//! Needs per node (AKS: Plan IP addressing for your cluster): Azure CNI of the node subnet takes one address and
//! one for each pod that the node may run, for every node and every surge node; a pod subnet gives batches of 16; overlay
//! and kubenet give each node a /24 of the pod range.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Deserialize;

use crate::cluster::net::{AZURE_RESERVES, overlap, size};
use crate::evidence::Evidence;
use crate::facts::{AzureKind, AzureResource, Facts, Place};

/// Addresses that a node takes of a pod subnet at once.
const BATCH: u64 = 16;
/// A node's part of an overlay or kubenet range.
const NODE_RANGE: u64 = 256;

/// What a range is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Machines, and with classic Azure CNI their pods.
    Nodes,
    /// Pods of dynamic Azure CNI.
    Pods,
    /// Pods of overlay or kubenet: a part for each node.
    PodRange,
    /// Services.
    Services,
    /// A network, as a whole.
    Network,
    /// Of a peered network.
    Peer,
}

impl Role {
    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
            Self::PodRange => "pod CIDR, a block per node",
            Self::Services => "services",
            Self::Network => "virtual network",
            Self::Peer => "peered network",
        }
    }
}

/// A range, and what lies in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpRange {
    /// Name of the subnet, or the setting that has the range.
    pub name: String,
    /// What for.
    pub role: Role,
    /// The range.
    pub range: IpNet,
    /// Addresses that can be used.
    pub usable: u64,
    /// Addresses in use, when told.
    pub used: Option<u64>,
    /// What the node pools take at their present size, surge included.
    pub now: Option<u64>,
    /// What they take at the autoscaler's maximum, surge included.
    pub most: Option<u64>,
    /// The sum, in words.
    pub arithmetic: String,
    /// Addresses for each further node.
    pub per_node: u64,
    /// Where it was seen.
    pub evidence: Vec<Evidence>,
}

impl IpRange {
    /// What is left.
    pub fn free(&self) -> Option<u64> {
        let used = self.used.max(self.now)?;
        Some(self.usable.saturating_sub(used))
    }

    /// How many more nodes fit.
    pub fn more_nodes(&self) -> Option<u64> {
        self.free()?.checked_div(self.per_node)
    }

    /// It can't hold what the node pools may grow to.
    pub fn too_small(&self) -> bool {
        self.most.is_some_and(|most| most > self.usable)
    }
}

/// Two ranges that have addresses in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// What, and its range.
    pub first: (String, IpNet),
    /// The other.
    pub other: (String, IpNet),
    /// Where.
    pub evidence: Vec<Evidence>,
}

/// All ranges of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subnets {
    /// The ranges.
    pub all: Vec<IpRange>,
    /// What overlaps.
    pub overlaps: Vec<Overlap>,
    /// The DNS service's address is not where it must be: why, and where it says so.
    pub dns_misplaced: Option<(String, Vec<Evidence>)>,
    /// The cluster's own description is in the bundle.
    pub described: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NetworkProfile {
    #[serde(deserialize_with = "null")]
    networkplugin: String,
    #[serde(deserialize_with = "null")]
    networkpluginmode: String,
    #[serde(deserialize_with = "null")]
    podcidr: String,
    #[serde(deserialize_with = "null")]
    podcidrs: Vec<String>,
    #[serde(deserialize_with = "null")]
    servicecidr: String,
    #[serde(deserialize_with = "null")]
    servicecidrs: Vec<String>,
    #[serde(deserialize_with = "null")]
    dnsserviceip: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PoolSize {
    #[serde(deserialize_with = "null")]
    name: String,
    count: Option<u64>,
    maxcount: Option<u64>,
    enableautoscaling: Option<bool>,
    maxpods: Option<u64>,
    #[serde(deserialize_with = "null")]
    vnetsubnetid: String,
    #[serde(deserialize_with = "null")]
    podsubnetid: String,
    #[serde(deserialize_with = "null")]
    upgradesettings: Upgrade,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Upgrade {
    #[serde(deserialize_with = "null")]
    maxsurge: String,
}

fn null<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

impl PoolSize {
    fn nodes(&self) -> (u64, u64) {
        let now = self.count.unwrap_or(0);
        let scales = self.enableautoscaling == Some(true);
        (now, if scales { self.maxcount.unwrap_or(now).max(now) } else { now })
    }

    /// Nodes that an upgrade adds: a number, or a share rounded up; at least one.
    fn surge(&self, nodes: u64) -> u64 {
        let surge = self.upgradesettings.maxsurge.trim();
        let added = match surge.strip_suffix('%') {
            Some(share) => share.parse::<u64>().ok().map(|share| (nodes.saturating_mul(share)).div_ceil(100)),
            None => surge.parse().ok(),
        };
        added.unwrap_or(1).max(1)
    }
}

fn evidence(place: &Place, what: &str, range: &str) -> Evidence {
    Evidence::field(&place.source, place.line, what, range)
}

impl Subnets {
    pub(super) fn of(facts: &Facts) -> Self {
        let mut all = Self::default();
        let mut roles: BTreeMap<String, Vec<(Role, AddressDemand)>> = BTreeMap::new();
        for (place, cluster) in facts.azure.of(AzureKind::Cluster) {
            all.described = true;
            all.cluster(place, cluster, &mut roles);
        }
        for (place, subnet) in facts.azure.of(AzureKind::Subnet) {
            all.subnet(place, subnet, &roles);
        }
        all.leased(facts);
        all.all.sort_by(|a, b| (a.role, a.range, &a.name).cmp(&(b.role, b.range, &b.name)));
        all.all.dedup_by(|a, b| (a.role, a.range) == (b.role, b.range));
        all.networks(facts);
        all
    }

    fn cluster(
        &mut self,
        place: &Place,
        cluster: &AzureResource,
        roles: &mut BTreeMap<String, Vec<(Role, AddressDemand)>>,
    ) {
        let network: NetworkProfile = cluster.part("networkprofile");
        let pools: Vec<PoolSize> = cluster.part("agentpoolprofiles");
        let overlay = network.networkpluginmode.eq_ignore_ascii_case("overlay");
        let classic = network.networkplugin.eq_ignore_ascii_case("azure") && !overlay;
        let (mut ranges_now, mut ranges_most) = (0, 0);
        let mut words = Vec::new();
        for pool in &pools {
            let (now, most) = pool.nodes();
            let (surge_now, surge_most) = (pool.surge(now), pool.surge(most));
            let own_subnet = !pool.podsubnetid.is_empty();
            let per_node = if classic && !own_subnet { 1 + pool.maxpods.unwrap_or(30) } else { 1 };
            let need = |nodes: u64, surge: u64, each: u64| (nodes + surge).saturating_mul(each);
            let sum = |each: u64| {
                format!(
                    "{}: ({most} nodes + {surge_most} surge) × {each} = {}",
                    pool.name,
                    need(most, surge_most, each)
                )
            };
            roles.entry(pool.vnetsubnetid.to_lowercase()).or_default().push((
                Role::Nodes,
                AddressDemand {
                    now: need(now, surge_now, per_node),
                    most: need(most, surge_most, per_node),
                    per_node,
                    words: sum(per_node),
                },
            ));
            if own_subnet {
                roles.entry(pool.podsubnetid.to_lowercase()).or_default().push((
                    Role::Pods,
                    AddressDemand {
                        now: need(now, surge_now, BATCH),
                        most: need(most, surge_most, BATCH),
                        per_node: BATCH,
                        words: sum(BATCH),
                    },
                ));
            }
            ranges_now += need(now, surge_now, NODE_RANGE);
            ranges_most += need(most, surge_most, NODE_RANGE);
            words.push(sum(NODE_RANGE));
        }
        let both = |first: &str, many: &[String]| -> Vec<IpNet> {
            let mut found: Vec<IpNet> = many
                .iter()
                .map(String::as_str)
                .chain([first])
                .filter_map(|range| range.parse().ok())
                .collect();
            found.sort();
            found.dedup();
            found
        };
        for range in both(&network.podcidr, &network.podcidrs) {
            let v4 = range.addr().is_ipv4();
            self.all.push(IpRange {
                name: "networkProfile.podCidr".to_owned(),
                role: Role::PodRange,
                range,
                usable: size(range),
                used: None,
                now: v4.then_some(ranges_now),
                most: v4.then_some(ranges_most),
                arithmetic: if v4 { words.join("; ") } else { String::new() },
                per_node: if v4 { NODE_RANGE } else { 0 },
                evidence: vec![evidence(place, "networkProfile.podCidr", &range.to_string())],
            });
        }
        for range in both(&network.servicecidr, &network.servicecidrs) {
            self.all.push(IpRange {
                name: "networkProfile.serviceCidr".to_owned(),
                role: Role::Services,
                range,
                usable: size(range),
                used: None,
                now: None,
                most: None,
                arithmetic: String::new(),
                per_node: 0,
                evidence: vec![evidence(place, "networkProfile.serviceCidr", &range.to_string())],
            });
        }
        self.dns(place, &network, &both(&network.servicecidr, &network.servicecidrs));
    }

    fn dns(&mut self, place: &Place, network: &NetworkProfile, services: &[IpNet]) {
        let Ok(dns) = network.dnsserviceip.parse::<std::net::IpAddr>() else { return };
        let at = || vec![evidence(place, "networkProfile.dnsServiceIp", &network.dnsserviceip)];
        if services.is_empty() {
            return;
        }
        match services.iter().find(|range| range.contains(&dns)) {
            None => {
                let ranges: Vec<String> = services.iter().map(ToString::to_string).collect();
                self.dns_misplaced =
                    Some((format!("dnsServiceIP {dns} is outside serviceCidr {}", ranges.join(", ")), at()));
            }
            Some(range) if range.hosts().next() == Some(dns) || range.network() == dns => {
                self.dns_misplaced = Some((
                    format!(
                        "dnsServiceIP {dns} is the first address of serviceCidr {range}, which the kubernetes service uses"
                    ),
                    at(),
                ));
            }
            Some(_) => {}
        }
    }

    fn subnet(
        &mut self,
        place: &Place,
        subnet: &AzureResource,
        roles: &BTreeMap<String, Vec<(Role, AddressDemand)>>,
    ) {
        let mut prefixes: Vec<String> = subnet.part("addressprefixes");
        let item = subnet.text("addressprefix");
        if !item.is_empty() && !prefixes.iter().any(|prefix| prefix == item) {
            prefixes.push(item.to_owned());
        }
        let used: Vec<serde::de::IgnoredAny> = subnet.part("ipconfigurations");
        let needs = roles.get(&*subnet.id);
        for range in prefixes.iter().filter_map(|prefix| prefix.parse::<IpNet>().ok()) {
            let Some(needs) = needs else { continue };
            let Some(role) = needs.iter().map(|(role, _)| *role).max() else { continue };
            let sum = |get: fn(&AddressDemand) -> u64| {
                needs.iter().fold(0_u64, |sum, (_, need)| sum.saturating_add(get(need)))
            };
            self.all.push(IpRange {
                name: subnet.name.to_string(),
                role,
                range,
                usable: size(range).saturating_sub(AZURE_RESERVES),
                used: Some(used.len() as u64).filter(|count| *count > 0),
                now: Some(sum(|need| need.now)),
                most: Some(sum(|need| need.most)),
                arithmetic: needs.iter().map(|(_, need)| need.words.as_str()).collect::<Vec<_>>().join("; "),
                per_node: needs.iter().map(|(_, need)| need.per_node).max().unwrap_or(1),
                evidence: vec![evidence(place, &format!("subnet {}", subnet.name), &range.to_string())],
            });
        }
    }

    /// Pod subnets that `NodeNetworkConfig`s name, with what they lease of them.
    fn leased(&mut self, facts: &Facts) {
        let mut by_range: BTreeMap<IpNet, (u64, u64, String, Vec<Evidence>)> = BTreeMap::new();
        for (key, seen) in facts.objects.node_network_configs.iter() {
            let Some(container) = seen.object.status.network_containers.first() else { continue };
            if &*container.r#type == "overlay" {
                continue;
            }
            let Ok(range) = container.subnet_address_space.parse::<IpNet>() else { continue };
            let entry = by_range.entry(range.trunc()).or_default();
            entry.0 += seen.object.status.assigned_ip_count.unwrap_or(0);
            entry.1 += 1;
            if entry.2.is_empty() {
                entry.2 = container.subnet_name.to_string();
            }
            if entry.3.len() < 3 {
                entry.3.extend(seen.evidence("NodeNetworkConfig", key).into_iter().take(1));
            }
        }
        for (range, (leased, nodes, name, evidence)) in by_range {
            if let Some(known) =
                self.all.iter_mut().find(|known| known.range.trunc() == range && known.role == Role::Pods)
            {
                known.used = known.used.max(Some(leased));
                continue;
            }
            self.all.push(IpRange {
                name,
                role: Role::Pods,
                range,
                usable: size(range).saturating_sub(AZURE_RESERVES),
                used: Some(leased),
                now: None,
                most: None,
                arithmetic: format!(
                    "{nodes} node{} hold{} {leased} IPs",
                    if nodes == 1 { "" } else { "s" },
                    if nodes == 1 { "s" } else { "" }
                ),
                per_node: BATCH,
                evidence,
            });
        }
    }

    /// Networks and their peers, against the cluster's own ranges.
    fn networks(&mut self, facts: &Facts) {
        let mut outer: Vec<(String, IpNet, Evidence)> = Vec::new();
        let ours: Vec<String> = facts
            .azure
            .of(AzureKind::Cluster)
            .flat_map(|(_, cluster)| cluster.part::<Vec<PoolSize>>("agentpoolprofiles"))
            .flat_map(|pool| [pool.vnetsubnetid.to_lowercase(), pool.podsubnetid.to_lowercase()])
            .filter_map(|id| id.split_once("/subnets/").map(|(network, _)| network.to_owned()))
            .collect();
        for (place, network) in facts.azure.of(AzureKind::VirtualNetwork) {
            if !ours.is_empty() && !ours.iter().any(|id| **id == *network.id) {
                continue;
            }
            let space: Space = network.part("addressspace");
            for range in space.ranges() {
                outer.push((
                    format!("virtual network {}", network.name),
                    range,
                    evidence(place, "addressSpace", &range.to_string()),
                ));
            }
            for peering in network.part::<Vec<Peering>>("virtualnetworkpeerings") {
                let peer = if peering.remoteaddressspace.addressprefixes.is_empty() {
                    &peering.remotevirtualnetworkaddressspace
                } else {
                    &peering.remoteaddressspace
                };
                for range in peer.ranges() {
                    outer.push((
                        format!("network of peering {}", peering.name),
                        range,
                        evidence(place, "virtualNetworkPeerings", &range.to_string()),
                    ));
                }
            }
        }
        let inner: Vec<&IpRange> =
            self.all.iter().filter(|item| matches!(item.role, Role::PodRange | Role::Services)).collect();
        let mut found: Vec<Overlap> = Vec::new();
        let mut compare = |a: (&str, IpNet, &[Evidence]), b: (&str, IpNet, &[Evidence])| {
            if overlap(a.1, b.1) {
                let evidence = a.2.iter().chain(b.2).cloned().collect();
                found.push(Overlap { first: (a.0.to_owned(), a.1), other: (b.0.to_owned(), b.1), evidence });
            }
        };
        for (at, ours) in inner.iter().enumerate() {
            for (name, range, place) in &outer {
                compare(
                    (&ours.name, ours.range, &ours.evidence),
                    (name, *range, std::slice::from_ref(place)),
                );
            }
            for other in inner.iter().skip(at + 1).filter(|other| other.role != ours.role) {
                compare(
                    (&ours.name, ours.range, &ours.evidence),
                    (&other.name, other.range, &other.evidence),
                );
            }
            for other in self.all.iter().filter(|other| matches!(other.role, Role::Nodes | Role::Pods)) {
                // A subnet within a network that was compared already says nothing more.
                if !outer.iter().any(|(_, range, _)| range.contains(&other.range)) {
                    compare(
                        (&ours.name, ours.range, &ours.evidence),
                        (&other.name, other.range, &other.evidence),
                    );
                }
            }
        }
        found.dedup();
        self.overlaps = found;
        self.node_ranges(facts);
    }

    /// Ranges of pods of two nodes must not overlap.
    fn node_ranges(&mut self, facts: &Facts) {
        let mut ranges: Vec<(IpNet, &str, Evidence)> = Vec::new();
        for (key, seen) in facts.objects.nodes.iter() {
            for range in super::places::ranges(&seen.object.spec)
                .iter()
                .filter_map(|range| range.parse::<IpNet>().ok())
            {
                if let Some(evidence) = seen.evidence("Node", key).into_iter().next() {
                    ranges.push((range, &key.name, evidence));
                }
            }
        }
        ranges.sort_by(|a, b| {
            (a.0.network(), a.0.prefix_len(), a.1).cmp(&(b.0.network(), b.0.prefix_len(), b.1))
        });
        // Sorted by their first address, a range overlaps its follower or none.
        for pair in ranges.windows(2) {
            if let [(a, item, place), (b, other, other_place)] = pair
                && overlap(*a, *b)
            {
                self.overlaps.push(Overlap {
                    first: (format!("podCIDR of node {item}"), *a),
                    other: (format!("podCIDR of node {other}"), *b),
                    evidence: vec![place.clone(), other_place.clone()],
                });
            }
        }
    }
}

/// What one node pool takes of a subnet.
struct AddressDemand {
    now: u64,
    most: u64,
    per_node: u64,
    words: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Space {
    #[serde(deserialize_with = "null")]
    addressprefixes: Vec<String>,
}

impl Space {
    fn ranges(&self) -> impl Iterator<Item = IpNet> {
        self.addressprefixes.iter().filter_map(|range| range.parse().ok())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Peering {
    #[serde(deserialize_with = "null")]
    name: String,
    #[serde(deserialize_with = "null")]
    remoteaddressspace: Space,
    #[serde(deserialize_with = "null")]
    remotevirtualnetworkaddressspace: Space,
}
