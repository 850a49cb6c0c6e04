//! The servers to which CoreDNS forwards don't answer.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cluster::azure::{AZURE_DNS, at};
use crate::cluster::reachability::Who;
use crate::detectors::needs::DNS_LOGS;
use crate::detectors::observed::{Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "coredns-upstream-failing",
    chapter: Chapter::Dns,
    title: "The DNS servers to which CoreDNS forwards don't answer",
    guide: &["4.5"],
    needs: &[DNS_LOGS],
    explains: &["dns-name-unknown", "registry-unreachable", "pods-cannot-reach-dns"],
    doc: Doc {
        meaning: "CoreDNS knows the names of the cluster, and asks other servers for all else: those that the network gives to its machines, or those of coredns-custom. When one does not answer, names outside fail or come late, while names of services go on working. 168.63.129.16 is Azure's own server: when it does not answer, the node has too many connections or look-ups, or a rule drops them.",
        decision: "Lines of CoreDNS with 'read udp … i/o timeout' or 'connection refused' towards port 53, by server. Confirmed when seen ten times and more and still at the end of the logs; likely when less; told as passing when they ended long before. Its own loop check (HINFO) and names that the node's search list makes are left out.",
        action: "Make the server reachable on UDP and TCP 53 from the nodes' subnet, or take it out of the list.",
        reference: "AKS: troubleshoot DNS resolution problems; customise CoreDNS.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut by_server: BTreeMap<String, Observed> = BTreeMap::new();
    for item in cluster.unreached.iter().filter(|item| item.who == Who::Dns && item.failure.of_dns()) {
        let servers = if item.resolvers.is_empty() { vec![String::new()] } else { item.resolvers.clone() };
        // Attempts are kept together by who and how: all their servers are told as one.
        by_server.entry(servers.join(", ")).or_default().add_attempt(item);
    }
    by_server
        .into_iter()
        .filter_map(|(servers, observed)| finding(cluster, &servers, observed))
        .collect::<Vec<_>>()
        .into()
}

fn finding(cluster: &Cluster, servers: &str, mut observed: Observed) -> Option<Finding> {
    let passed = cluster.is_over(observed.span);
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
    let names = listed(observed.hosts.iter().map(String::as_str), 3);
    let question = if names.is_empty() { String::new() } else { format!(" It was asked for {names}.") };
    let why = if azure {
        "168.63.129.16 is Azure's own server, at every machine: the node opens too many connections or look-ups at a time, or a rule drops UDP 53"
    } else {
        "the server is down, or UDP 53 from the nodes' subnet to it is dropped by a firewall, a security group or a missing peering"
    };
    let says = Wording {
        severity,
        confidence,
        unit: "failed look-up",
        cause: if passed {
            format!(
                "CoreDNS got no answer from {text}{}, and later logs show no more of it.{question}",
                observed.when()
            )
        } else {
            format!(
                "CoreDNS gets no answer from {text}{}: {why}. Names outside the cluster fail or come late; names of services work.{question}",
                observed.when()
            )
        },
        fix: if passed {
            "Nothing to mend, unless it comes back.".to_owned()
        } else if azure {
            "Look at the load of the nodes where CoreDNS runs, scale CoreDNS out, and spread it; node-local caching (LocalDNS) takes look-ups off it.".to_owned()
        } else {
            "Let UDP and TCP 53 from the nodes' subnet to the server pass, and see that it runs. If it is not needed, take it out of the network's list, and restart CoreDNS.".to_owned()
        },
        commands: if passed {
            Vec::new()
        } else {
            vec![
                format!(
                    "kubectl run dns --image=busybox -i --rm --restart=Never -- nslookup mcr.microsoft.com {}",
                    servers.split([':', ',']).next().unwrap_or("SERVER")
                ),
                "az network vnet show -g GROUP -n VNET --query dhcpOptions.dnsServers".to_owned(),
                "kubectl get configmap coredns coredns-custom -n kube-system -o yaml".to_owned(),
            ]
        },
        verify: vec![
            "kubectl logs -n kube-system -l k8s-app=kube-dns --since=10m | grep -c 'i/o timeout'   # 0"
                .to_owned(),
        ],
    };
    let title = if passed {
        format!("CoreDNS got no answer from {text} for a while")
    } else {
        format!("CoreDNS gets no answer from its upstream server {text}")
    };
    observed.finding(&DETECTOR, &text, title, says)
}
