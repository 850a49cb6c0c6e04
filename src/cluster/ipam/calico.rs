//! Calico's own IPAM: blocks with an affinity to a node, and the handles of their allocations.
//!
//! On AKS Calico normally enforces policies only and hands out no address: then there are no blocks, which
//! is no fault.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::account::{Context, IpamEntry, Location, Source};
use super::{Ipam, NodeIpam};
use crate::cluster::net::size;
use crate::evidence::Evidence;
use crate::facts::{AllocationAttribute, Holding, time};

/// A node's part: entries, capacity of both families, blocks.
type NodeShare<'a> = (Vec<IpamEntry<'a>>, [u64; 2], Vec<&'a str>, Vec<Evidence>);

/// Largest block that is followed address by address.
const ORDINALS: usize = 65_536;

pub(super) fn books(context: &Context<'_>) -> Vec<NodeIpam> {
    let mut by_node: BTreeMap<&str, NodeShare<'_>> = BTreeMap::new();
    let places: Vec<_> = context
        .facts
        .objects
        .ipam_blocks
        .iter()
        .map(|(key, seen)| (seen, seen.evidence("IPAMBlock", key)))
        .collect();
    for (seen, evidence) in &places {
        let spec = &seen.object.spec;
        let (Ok(range), Some(place)) = (spec.cidr.parse::<IpNet>(), evidence.first()) else { continue };
        let affinity = spec.affinity.strip_prefix("host:").unwrap_or_default();
        let ours = by_node.entry(affinity).or_default();
        ours.2.push(&spec.cidr);
        ours.3.push(place.clone());
        let [v4, v6] = &mut ours.1;
        *(if range.addr().is_ipv4() { v4 } else { v6 }) += size(range);
        for (attribute, ordinal) in spec.allocations.iter().zip(0_u32..).take(ORDINALS) {
            let Some(attribute) = attribute else { continue };
            let Some(ip) = address(range, ordinal) else { continue };
            let attribute = spec.attributes.get(*attribute as usize);
            // A node may borrow an address of another's block.
            let node = attribute.and_then(|item| item.secondary.get("node")).map_or(affinity, |node| &**node);
            let entry = entry(ip, attribute, context.anchor, Location(&place.source, place.line));
            by_node.entry(node).or_default().0.push(entry);
        }
    }
    by_node
        .into_iter()
        .filter(|(node, (entries, ..))| !node.is_empty() || !entries.is_empty())
        .map(|(node, (entries, capacity, blocks, evidence))| {
            let text = if node.is_empty() { "(no node)".to_owned() } else { node.to_owned() };
            let source = Source {
                node: (text, "its blocks"),
                ipam: Ipam::Calico,
                network: String::new(),
                place: evidence.first().map(|place| place.source.to_string()).unwrap_or_default(),
                entries,
                secondary: false,
                nodeless: node.is_empty(),
                capacity: capacity.map(|count| (count > 0).then_some(count)),
                evidence: evidence.into_iter().take(crate::evidence::EXAMPLES).collect(),
            };
            let mut books = source.account(context);
            books.ranges = blocks.into_iter().map(ToOwned::to_owned).collect();
            books
        })
        .collect()
}

fn entry<'a>(
    ip: IpAddr,
    attribute: Option<&'a AllocationAttribute>,
    anchor: Option<i64>,
    place: Location<'a>,
) -> IpamEntry<'a> {
    let mut entry = IpamEntry {
        ip,
        holding: Holding::Assigned,
        sandbox: "",
        owner: None,
        known: false,
        written: None,
        place,
    };
    let Some(attribute) = attribute else {
        // Without attributes nothing can be said of it.
        entry.known = true;
        return entry;
    };
    let of = |key: &str| attribute.secondary.get(key).map(|value| &**value);
    let handle = &*attribute.handle_id;
    let tunnel = of("type").is_some_and(|kind| kind.ends_with("TunnelAddress"))
        || ["ipip-tunnel-", "vxlan-tunnel-", "vxlan-v6-tunnel-", "wireguard-tunnel-", "wireguard-v6-tunnel-"]
            .iter()
            .any(|start| handle.starts_with(start));
    let reserved = handle.starts_with("windows-reserved")
        || handle.starts_with("lb-")
        || of("type") == Some("loadBalancer");
    entry.known = tunnel || reserved;
    entry.owner = of("namespace").zip(of("pod"));
    entry.sandbox = handle.rsplit_once('.').map_or("", |(_, id)| id);
    let stamp = of("timestamp").unwrap_or_default();
    // `2026-09-28 10:41:07.113 +0000 UTC`.
    let stamp = stamp.strip_suffix(" UTC").unwrap_or(stamp).replacen(' ', "T", 1).replace(' ', "");
    entry.written =
        time::rfc3339(stamp.replace("+0000", "Z").as_bytes()).and_then(|(when, _)| when.resolve(anchor));
    if !attribute.released_at.is_empty() {
        entry.holding = Holding::Moving;
    }
    // Metadata that names no pod, and no tunnel: the controller leaves such allocations alone.
    if !entry.known && entry.owner.is_none() && entry.sandbox.is_empty() {
        entry.known = true;
    }
    entry
}

/// The address of an ordinal in a block.
pub(super) fn address(range: IpNet, ordinal: u32) -> Option<IpAddr> {
    let ip = match range.network() {
        IpAddr::V4(first) => IpAddr::V4(u32::from(first).checked_add(ordinal)?.into()),
        IpAddr::V6(first) => IpAddr::V6(u128::from(first).checked_add(u128::from(ordinal))?.into()),
    };
    range.contains(&ip).then_some(ip)
}
