//! whereabouts: pools for the whole cluster, mostly of extra networks, whose addresses no pod tells. A
//! reservation is held as long as its pod is there.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::account::{Context, IpamEntry, Location, Source};
use super::calico::address;
use super::{Ipam, NodeIpam};
use crate::cluster::net::size;
use crate::facts::{Holding, WhereaboutsAllocation};

pub(super) fn books(context: &Context<'_>) -> Vec<NodeIpam> {
    let mut all = Vec::new();
    for (key, seen) in context.facts.objects.ip_pools.iter() {
        let Ok(range) = seen.object.spec.range.parse::<IpNet>() else { continue };
        let evidence = seen.evidence("IPPool", key);
        let Some(place) = evidence.first() else { continue };
        // Per node, as everything: by the pods that hold the addresses; those of no pod are of no node.
        let mut by_node: BTreeMap<&str, Vec<IpamEntry<'_>>> = BTreeMap::new();
        for (offset, allocation) in &seen.object.spec.allocations {
            let Some(ip) = offset.parse().ok().and_then(|offset| address(range, offset)) else { continue };
            let entry = entry(ip, allocation, Location(&place.source, place.line));
            let pod =
                entry.owner.and_then(|(namespace, name)| context.facts.objects.pods.get(namespace, name));
            let node = pod.map_or("", |pod| &*pod.object.spec.node_name);
            by_node.entry(node).or_default().push(entry);
        }
        let total: usize = by_node.values().map(Vec::len).sum();
        for (node, entries) in by_node {
            let text = if node.is_empty() { format!("(no node, pool {range})") } else { node.to_owned() };
            let source = Source {
                node: (text, "the pods that hold its addresses"),
                ipam: Ipam::Whereabouts,
                network: range.to_string(),
                place: place.source.to_string(),
                secondary: true,
                nodeless: node.is_empty(),
                capacity: if range.addr().is_ipv4() {
                    [Some(size(range)), None]
                } else {
                    [None, Some(size(range))]
                },
                entries,
                evidence: evidence.clone(),
            };
            let mut books = source.account(context);
            books.ranges = vec![range.to_string()];
            // What the other nodes hold of the pool is not free here.
            let others = (total as u64).saturating_sub(books.allocated());
            let counts = if range.addr().is_ipv4() { &mut books.v4 } else { &mut books.v6 };
            counts.capacity = counts.capacity.map(|capacity| capacity.saturating_sub(others));
            all.push(books);
        }
    }
    all
}

fn entry<'a>(
    ip: std::net::IpAddr,
    allocation: &'a WhereaboutsAllocation,
    place: Location<'a>,
) -> IpamEntry<'a> {
    IpamEntry {
        ip,
        holding: Holding::Assigned,
        sandbox: &allocation.id,
        owner: allocation.podref.split_once('/'),
        known: false,
        written: None,
        place,
    }
}
