//! Host-local stores: kubenet, kubenet with Calico, any CNI network that uses the plugin.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::account::{Context, IpamEntry, Location, Source, usable};
use super::{Ipam, NodeIpam};
use crate::evidence::Evidence;
use crate::facts::{Holding, LeaseStore, StoreKey};

/// One sight of a store, and how its node is known.
type StoreListing<'a> = (&'a StoreKey, &'a LeaseStore, &'static str);

pub(super) fn books(context: &Context<'_>) -> Vec<NodeIpam> {
    // Several listings of one store count once: the one that knows sandboxes, then the fullest.
    let mut groups: BTreeMap<(String, String), Vec<StoreListing<'_>>> = BTreeMap::new();
    for (key, store) in &context.facts.leases.stores {
        let addresses: Vec<IpAddr> = store.leases.keys().copied().collect();
        let (node, by) = context.nodes.of(store.node.as_deref(), &key.place, &addresses, &context.pods);
        let node = if node.is_empty() { unknown_node(&addresses) } else { node };
        groups.entry((node, key.network.to_string())).or_default().push((key, store, by));
    }
    // A plain `ls` of the addresses does not name its network: it belongs to the only one of its node.
    let nameless: Vec<_> = groups.keys().filter(|(_, network)| network.is_empty()).cloned().collect();
    for key in nameless {
        let of_node =
            groups.range((key.0.clone(), String::new())..).take_while(|((node, _), _)| *node == key.0);
        let same: Vec<_> =
            of_node.map(|(other, _)| other.clone()).filter(|other| !other.1.is_empty()).collect();
        if let [only] = same.as_slice() {
            let moved = groups.remove(&key).unwrap_or_default();
            groups.entry(only.clone()).or_default().extend(moved);
        }
    }
    groups
        .into_iter()
        .filter_map(|((node, network), mut listings)| {
            listings.sort_by_cached_key(|(key, store, _)| {
                let known = store.leases.values().filter(|lease| lease.sandbox.is_some()).count();
                let dated = store.leases.values().filter(|lease| lease.written.is_some()).count();
                (std::cmp::Reverse((known, dated, store.leases.len())), (*key).clone())
            });
            let (key, store, by) = *listings.first()?;
            let mut books = source(context, (node, by), network, key, store).account(context);
            books.also = listings.iter().skip(1).map(|(key, ..)| key.place.to_string()).collect();
            Some(books)
        })
        .collect()
}

/// Stores whose node is unknown are told apart by their range.
pub(super) fn unknown_node(addresses: &[IpAddr]) -> String {
    match addresses.first() {
        Some(IpAddr::V4(ip)) => {
            let [a, b, c, _] = ip.octets();
            format!("(unknown node of {a}.{b}.{c}.0/24)")
        }
        Some(IpAddr::V6(ip)) => format!("(unknown node of {ip})"),
        None => "(unknown node)".to_owned(),
    }
}

fn source<'a>(
    context: &Context<'_>,
    node: (String, &'static str),
    network: String,
    key: &StoreKey,
    store: &'a LeaseStore,
) -> Source<'a> {
    let ranges: Vec<IpNet> = context.ranges(&node.0).iter().filter_map(|range| range.parse().ok()).collect();
    let capacity = |v4: bool| {
        let of_family = ranges.iter().filter(|range| range.addr().is_ipv4() == v4);
        // A network of its own does not use the node's range.
        let used = of_family.filter(|range| store.leases.keys().any(|ip| range.contains(ip)));
        used.map(|range| usable(*range)).max()
    };
    let entries = store.leases.iter().map(|(ip, lease)| IpamEntry {
        ip: *ip,
        holding: Holding::Assigned,
        sandbox: lease.sandbox.as_deref().unwrap_or_default(),
        owner: None,
        known: false,
        written: lease.written.and_then(|when| when.resolve(context.anchor)),
        place: Location(&lease.place.source, lease.place.line),
    });
    // The networks of kubenet and Calico give pods the address that they tell; a network of Multus gives
    // them another one, of which the API knows nothing.
    let is_given = |ip: &IpAddr| {
        ranges.iter().any(|range| range.contains(ip))
            || context.pods.at(ip, &node.0).is_some_and(|pod| *pod.spec.node_name == *node.0)
    };
    let main =
        matches!(network.as_str(), "" | "kubenet" | "k8s-pod-network" | "cbr0" | "cni0" | "azure" | "mynet");
    Source {
        nodeless: false,
        secondary: !main && !store.leases.keys().any(is_given),
        capacity: [capacity(true), capacity(false)],
        entries: entries.collect(),
        node,
        ipam: Ipam::HostLocal,
        network,
        place: key.place.to_string(),
        evidence: store
            .leases
            .values()
            .next()
            .map(|lease| Evidence::line(&lease.place.source, lease.place.line, b"the store"))
            .into_iter()
            .collect(),
    }
}
