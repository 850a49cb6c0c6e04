//! Cilium's own IPAM, as `CiliumNode` shows it. On AKS Cilium delegates to Azure CNS instead, and lists
//! no address in use.

use ipnet::IpNet;

use super::account::{Context, IpamEntry, Location, Source};
use super::{Ipam, NodeIpam};
use crate::cluster::net::size;
use crate::facts::Holding;

pub(super) fn books(context: &Context<'_>) -> Vec<NodeIpam> {
    let nodes = context.facts.objects.cilium_nodes.iter();
    nodes
        .filter(|(_, seen)| !seen.object.status.ipam.used.is_empty())
        .filter_map(|(key, seen)| {
            let evidence = seen.evidence("CiliumNode", key);
            let place = evidence.first()?.clone();
            let ipam = &seen.object.spec.ipam;
            let ranges: Vec<IpNet> = ipam.pod_cidrs.iter().filter_map(|range| range.parse().ok()).collect();
            let pooled = |v4: bool| ipam.pool.keys().filter(|ip| ip.contains(':') != v4).count() as u64;
            let capacity = |v4: bool| {
                let of_ranges: u64 = ranges
                    .iter()
                    .filter(|range| range.addr().is_ipv4() == v4)
                    .map(|range| size(*range))
                    .sum();
                Some(of_ranges + pooled(v4)).filter(|count| *count > 0)
            };
            let entries = seen.object.status.ipam.used.iter().filter_map(|(ip, used)| {
                let owner = used.owner.split_once('/');
                Some(IpamEntry {
                    ip: ip.parse().ok()?,
                    holding: Holding::Assigned,
                    sandbox: "",
                    // `router`, `health`, `ingress`: Cilium's own. `namespace/pod [restored]` is a pod's.
                    known: owner.is_none(),
                    owner: owner
                        .map(|(namespace, pod)| (namespace, pod.split(' ').next().unwrap_or_default())),
                    written: None,
                    place: Location(&place.source, place.line),
                })
            });
            let source = Source {
                node: (key.name.to_string(), "its name"),
                ipam: Ipam::Cilium,
                network: String::new(),
                place: place.source.to_string(),
                entries: entries.collect(),
                secondary: false,
                nodeless: false,
                capacity: [capacity(true), capacity(false)],
                evidence: evidence.clone(),
            };
            let mut books = source.account(context);
            books.ranges = ipam.pod_cidrs.iter().map(ToString::to_string).collect();
            Some(books)
        })
        .collect()
}
