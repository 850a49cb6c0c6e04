//! SNAT port exhaustion: no source port is left for outbound connections.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cluster::azure::at;
use crate::detectors::needs::{AKS, POD_LOGS};
use crate::detectors::observed::{self, Observed, Wording, aks_named, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::facts::{Measure, Metric, Place, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "snat-exhausted",
    chapter: Chapter::NodeAccess,
    title: "SNAT port exhaustion (cannot assign requested address)",
    needs: &[POD_LOGS, AKS],
    explains: &["registry-unreachable", "pod-cannot-reach-api-server", "tunnel-down"],
    doc: Doc {
        meaning: "Each connection of a node to a public destination uses a SNAT port of the outbound IP address of the load balancer. By default a node has 1,024 on clusters of up to 50 nodes, and fewer on larger ones. When they are used up, new outbound connections time out intermittently, while existing ones continue.",
        decision: "'cannot assign requested address' in logs of pods that connect to public addresses. Likely with five or more, possible otherwise: a pod can also use up its own local ports. `az aks show` adds the SNAT ports per node. Confirmed by the load balancer's metric 'SNAT Connection Count' with failed connections.",
        action: "Reuse connections; add outbound IP addresses and ports per node, or use a NAT gateway; use private endpoints.",
        reference: "learn.microsoft.com: Troubleshoot SNAT port exhaustion on AKS nodes; Use a public standard load balancer in AKS.",
    },
    detect: Evaluation::Rule(detect),
};

/// Ports per node that the load balancer gives by itself, by the number of nodes.
const BY_SIZE: &[(u64, u64)] = &[(50, 1024), (100, 512), (200, 256), (400, 128), (800, 64), (1000, 32)];

fn detect(cluster: &Cluster) -> Outcome {
    let all: BTreeMap<(), Observed> =
        observed::signals(cluster, |key| (key.signal == Signal::SnatExhausted).then_some(()));
    let counted = counted(cluster);
    let Some(stated) = all.into_values().next() else { return counted.into_iter().collect() };
    let aks = cluster.azure.cluster();
    let gateway = aks.is_some_and(|aks| aks.outbound.contains("NATGateway"));
    let sum = aks.filter(|aks| aks.whole && !gateway).map(|aks| {
        let given = BY_SIZE.iter().find(|(nodes, _)| aks.nodes <= *nodes).map_or(32, |(_, ports)| *ports);
        let (ports, how) = if aks.ports_per_node == 0 {
            (given, "(default for its size)")
        } else {
            (aks.ports_per_node, "(configured)")
        };
        format!(
            " {} has {ports} SNAT ports per node {how}, for each public destination, and {}.",
            observed::capitalised(&aks.label()),
            observed::counted(aks.outbound_ids.len().max(1), "outbound IP")
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
        cause: format!("Outbound connections of pods{who} failed with 'cannot assign requested address'{}: no source port was free. SNAT ports of the node, or local ports of the pod, are used up by too many connections to one destination.{}", stated.when(), sum.unwrap_or_default()),
        fix: "Let the application reuse connections (connection pool, keep-alive). Give each node more SNAT ports with more outbound IP addresses, or use a NAT gateway; use private endpoints for Azure services, which need no SNAT. Nodes times ports per node must not exceed 64,000 for each outbound IP. New outbound IPs must be added to allowlists of your partners and to the authorized IP ranges.".to_owned(),
        commands: vec![
            "conntrack -L -p tcp 2>/dev/null | awk '/ESTABLISHED/ {print $6}' | sort | uniq -c | sort -rn | head   # on a node: connections by destination".to_owned(),
            if gateway { "az network nat gateway list -g NODE_RESOURCE_GROUP -o table   # more public addresses give more ports".to_owned() } else { format!("az aks update {} --load-balancer-managed-outbound-ip-count 4 --load-balancer-outbound-ports PORTS_PER_NODE", aks_named(cluster)) },
        ],
        verify: vec!["az monitor metrics list --resource LOAD_BALANCER_ID --metric SnatConnectionCount --filter \"ConnectionState eq 'Failed'\" --aggregation Total   # 0".to_owned()],
    };
    stated
        .finding(
            &DETECTOR,
            "outbound",
            "SNAT port exhaustion suspected: cannot assign requested address".to_owned(),
            says,
        )
        .into_iter()
        .chain(counted)
        .collect()
}

/// What the load balancer itself counted.
fn counted(cluster: &Cluster) -> Option<Finding> {
    let failed =
        |item: &&(&Place, &Metric)| item.1.measure == Some(Measure::SnatFailures) && item.1.value > 0;
    let all: Vec<(&Place, &Metric)> = cluster.facts.nodes.metrics.iter().collect();
    let (place, metric) = all.iter().filter(failed).max_by_key(|(_, metric)| metric.value)?;
    let value = metric.value;
    let mut observed = Observed { count: value, ..Observed::default() };
    observed.show_first([at(
        place,
        "metric SnatConnectionCount, connection state failed",
        &value.to_string(),
    )]);
    let says = Wording {
        severity: Severity::High,
        confidence: Confidence::Confirmed,
        unit: "failed connection",
        cause: format!("The load balancer counted {value} outbound connections that failed because no SNAT port was free (metric SnatConnectionCount, ConnectionState Failed)."),
        fix: "Let applications reuse connections (connection pool, keep-alive). Give each node more SNAT ports with more outbound IP addresses, or use a NAT gateway; use private endpoints for Azure services, which need no SNAT. New outbound IPs must be added to allowlists of your partners and to the authorized IP ranges.".to_owned(),
        commands: vec![format!("az aks update {} --load-balancer-managed-outbound-ip-count 4 --load-balancer-outbound-ports PORTS_PER_NODE", aks_named(cluster))],
        verify: vec!["az monitor metrics list --resource LOAD_BALANCER_ID --metric SnatConnectionCount --filter \"ConnectionState eq 'Failed'\" --aggregation Total   # 0".to_owned()],
    };
    observed.finding(
        &DETECTOR,
        "load balancer",
        format!("SNAT port exhaustion: {value} outbound connections failed at the load balancer"),
        says,
    )
}
