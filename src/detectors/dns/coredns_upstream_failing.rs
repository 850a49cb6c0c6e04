//! The upstream servers of CoreDNS (`forward`) time out or refuse.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cluster::azure::{AZURE_DNS, at};
use crate::cluster::reachability::Who;
use crate::detectors::needs::DNS_LOGS;
use crate::detectors::observed::{Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "coredns-upstream-failing",
    chapter: Chapter::Dns,
    title: "CoreDNS upstream (forward) timeouts",
    needs: &[DNS_LOGS],
    explains: &["dns-name-unknown", "registry-unreachable", "pods-cannot-reach-dns"],
    doc: Doc {
        meaning: "CoreDNS resolves names of the cluster itself and forwards all other queries to upstream servers: the DNS servers of the virtual network (through /etc/resolv.conf), or those of ConfigMap coredns-custom. When one times out, external names fail or are slow, while names of Services (cluster.local) still resolve. 168.63.129.16 is Azure DNS: common reasons for its timeouts are too many DNS queries or connections of one node, or a rule that drops them.",
        decision: "CoreDNS log lines with 'read udp …:53: i/o timeout' or 'connection refused', by upstream server. Confirmed when there are ten or more up to the end of the logs; likely when fewer; reported as low when they ended long before. The loop check of CoreDNS itself (HINFO) and names made by the node's search list do not count.",
        action: "Make the DNS server reachable on UDP and TCP 53 from the node subnet, or take it out of the list.",
        reference: "learn.microsoft.com: Troubleshoot DNS resolution failures in AKS; Customize CoreDNS with AKS. coredns.io/plugins/forward.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut by_server: BTreeMap<String, Observed> = BTreeMap::new();
    for item in cluster.unreached.iter().filter(|item| item.who == Who::Dns && item.failure.of_dns()) {
        let servers = if item.resolvers.is_empty() { vec![String::new()] } else { item.resolvers.clone() };
        // Attempts are kept together by who and how: all their servers go into one finding.
        by_server.entry(servers.join(", ")).or_default().add_attempt(item);
    }
    // CoreDNS looks for loops once at its start, when the node's network may not be there: a few of these tell nothing.
    let only_at_start = |observed: &Observed| {
        observed.count < 4 && observed.evidence.iter().all(|place| place.excerpt.contains("HINFO"))
    };
    let failing = by_server.into_iter().filter(|(_, observed)| !only_at_start(observed));
    failing.filter_map(|(servers, observed)| finding(cluster, &servers, observed)).collect()
}

fn finding(cluster: &Cluster, servers: &str, mut observed: Observed) -> Option<Finding> {
    let passed = observed.is_over(cluster);
    let azure = servers.contains(AZURE_DNS);
    let configured = cluster
        .azure
        .networks
        .iter()
        .find(|network| network.dns.iter().any(|ours| servers.contains(ours.as_str())));
    if let Some((network, place)) = configured.and_then(|network| Some((network, network.place.as_ref()?))) {
        observed.evidence.push(at(
            place,
            &format!("virtual network {}, dhcpOptions.dnsServers", network.name),
            &network.dns.join(", "),
        ));
    }
    let (severity, confidence) = match (passed, observed.count >= 10) {
        (true, _) => (Severity::Low, Confidence::Possible),
        (false, true) => (Severity::High, Confidence::Confirmed),
        (false, false) => (Severity::Medium, Confidence::Likely),
    };
    let text = if servers.is_empty() { "an upstream server".to_owned() } else { servers.replace(":53", "") };
    let refused = observed.evidence.iter().any(|line| line.excerpt.contains("refused"))
        && !observed.evidence.iter().any(|line| line.excerpt.contains("timeout"));
    let how = if refused { "connection refused" } else { "timeouts" };
    let names = listed(observed.hosts.iter().map(String::as_str), 3);
    let question = if names.is_empty() { String::new() } else { format!(" Queries for: {names}.") };
    let why = if azure {
        "168.63.129.16 is Azure DNS: the node may send it too many DNS queries or open too many connections, or a rule drops port 53"
    } else {
        "the server may be down, or port 53 from the node subnet to it blocked (firewall, NSG, missing peering or route)"
    };
    let says = Wording {
        severity,
        confidence,
        unit: "failed DNS query",
        cause: if passed {
            format!(
                "DNS queries that CoreDNS forwarded to {text} failed{}; the later logs show no more of these errors.{question}",
                observed.when()
            )
        } else {
            format!(
                "DNS queries that CoreDNS forwards to {text} fail{}: {why}. External names fail or are slow; names of Services do not depend on it.{question}",
                observed.when()
            )
        },
        fix: if passed {
            "No action needed unless it comes back.".to_owned()
        } else if azure {
            "Check CPU, network and SNAT load of the nodes that run CoreDNS. Spread CoreDNS over more nodes, and cache on the node (LocalDNS): Azure DNS limits the queries per node.".to_owned()
        } else {
            "Check that the server runs, and allow UDP and TCP 53 to it from the node subnet. If it is not needed, remove it from the DNS servers of the virtual network; nodes take the new list when they restart or renew DHCP, CoreDNS after `kubectl rollout restart`.".to_owned()
        },
        commands: if passed {
            Vec::new()
        } else {
            vec![
                format!(
                    "kubectl run dns --image=busybox -i --rm --restart=Never -- nslookup mcr.microsoft.com {}",
                    crate::detectors::shell(servers.split([':', ',']).next().unwrap_or("SERVER"))
                ),
                "az network vnet show -g GROUP -n VNET --query dhcpOptions.dnsServers".to_owned(),
                "kubectl get configmap coredns coredns-custom -n kube-system -o yaml".to_owned(),
            ]
        },
        verify: vec![
            "kubectl logs -n kube-system -l k8s-app=kube-dns --since=10m --tail=-1 | grep -c 'i/o timeout'   # 0"
                .to_owned(),
        ],
    };
    let title = if passed {
        format!("CoreDNS upstream (forward) {how}, ended: {text}")
    } else {
        format!("CoreDNS upstream (forward) {how}: {text}")
    };
    observed.finding(&DETECTOR, &text, title, says)
}
