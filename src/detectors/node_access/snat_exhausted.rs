//! No source port is left for connections to the outside.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::{AKS, POD_LOGS};
use crate::detectors::observed::{self, Observed, Wording, aks_named, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "snat-exhausted",
    chapter: Chapter::NodeAccess,
    title: "Outbound connections fail for want of source ports (SNAT)",
    guide: &["4.4"],
    needs: &[POD_LOGS, AKS],
    explains: &["registry-unreachable", "pod-cannot-reach-api-server", "tunnel-down"],
    doc: Doc {
        meaning: "Each connection of a node to one public destination takes a source port of the load balancer's outbound address; a node has 1,024 of them on clusters of up to 50 nodes, fewer on larger ones, unless more are set. When they are used up, new connections time out now and then, while old ones go on.",
        decision: "Programs say 'cannot assign requested address' when they connect. Likely when they say it of public addresses five times and more, and the load balancer's arithmetic is shown where `az aks show` is there; possible otherwise, since a program may also use up the ports of its own address. Metrics of the load balancer would confirm it, and are rarely in a bundle.",
        action: "Reuse connections; add outbound addresses and ports per node, or a NAT gateway; use private endpoints.",
        reference: "AKS: troubleshoot SNAT port exhaustion on AKS nodes; use a public Standard Load Balancer.",
    },
    detect,
};

/// Ports per node that the load balancer gives by itself, by the number of nodes.
const BY_SIZE: &[(u64, u64)] = &[(50, 1024), (100, 512), (200, 256), (400, 128), (800, 64), (1000, 32)];

fn detect(cluster: &Cluster) -> Outcome {
    let all: BTreeMap<(), Observed> =
        observed::signals(cluster, |key| (key.signal == Signal::SnatExhausted).then_some(()));
    let Some(stated) = all.into_values().next() else { return Outcome::default() };
    let aks = cluster.azure.cluster();
    let gateway = aks.is_some_and(|aks| aks.outbound.contains("NATGateway"));
    let sum = aks.filter(|aks| aks.whole && !gateway).map(|aks| {
        let given = BY_SIZE.iter().find(|(nodes, _)| aks.nodes <= *nodes).map_or(32, |(_, ports)| *ports);
        let (ports, how) = if aks.ports_per_node == 0 {
            (given, "by the cluster's size")
        } else {
            (aks.ports_per_node, "as set")
        };
        format!(
            " {} has {ports} ports per node {how}, for each public destination, and {}.",
            observed::capital(&aks.label()),
            observed::counted(aks.outbound_ids.len().max(1), "outbound address")
                .replace("addresss", "addresses")
        )
    });
    let names: Vec<String> = stated.pods.iter().map(crate::facts::Key::label).collect();
    let who = if names.is_empty() {
        String::new()
    } else {
        format!(" ({})", listed(names.iter().map(String::as_str), 3))
    };
    let often = stated.count > 4;
    let says = Wording {
        severity: if often { Severity::Medium } else { Severity::Low },
        confidence: if often { Confidence::Likely } else { Confidence::Possible },
        unit: "failed connection",
        cause: format!("Programs{who} found no source port for new connections{}: they open more connections to one destination than ports are free.{}", stated.when(), sum.unwrap_or_default()),
        fix: "Let the programs keep and reuse connections (pools, keep-alive). Give each node more ports, with more outbound addresses, or use a NAT gateway; reach Azure's own services by private endpoints, which take no ports. The number of nodes times ports per node must not exceed 64,000 for each outbound address.".to_owned(),
        commands: vec![
            "conntrack -L -p tcp 2>/dev/null | awk '/ESTABLISHED/ {print $6}' | sort | uniq -c | sort -rn | head   # on a node: who takes them".to_owned(),
            if gateway { "az network nat gateway list -g NODE_RESOURCE_GROUP -o table   # more public addresses give more ports".to_owned() } else { format!("az aks update {} --load-balancer-managed-outbound-ip-count 4 --load-balancer-outbound-ports PORTS_PER_NODE", aks_named(cluster)) },
        ],
        verify: vec!["The load balancer's metric \"SNAT Connection Count\" with state Failed stays at 0".to_owned()],
    };
    stated
        .finding(
            &DETECTOR,
            "outbound",
            "Connections to the outside fail for want of source ports (SNAT)".to_owned(),
            says,
        )
        .into_iter()
        .collect::<Vec<_>>()
        .into()
}
