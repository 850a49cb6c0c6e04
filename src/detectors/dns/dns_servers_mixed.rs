//! DNS servers that know different names stand in one list.

use crate::cluster::Cluster;
use crate::cluster::azure::{AZURE_DNS, at};
use crate::cluster::reachability::Who;
use crate::detectors::needs::NETWORKS;
use crate::detectors::observed::{self, Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};
use crate::evidence::Evidence;
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "dns-servers-mixed",
    chapter: Chapter::Dns,
    title: "Azure's DNS server and others stand in one list",
    guide: &["4.5"],
    needs: &[NETWORKS],
    explains: &["dns-name-unknown", "node-cannot-resolve-api-server"],
    doc: Doc {
        meaning: "Servers in one list must know the same names. Azure's server does not know those of a company's own, and the company's may not know private zones of Azure. CoreDNS asks one of the list at random, and a 'no such name' of one is final: the same name works and fails by turns in pods, while on the node, which asks them in order, it always works.",
        decision: "The list of the virtual network, of a node's resolv.conf, or of a `forward` line holds 168.63.129.16 and another server. Confirmed when look-ups in the bundle end with 'no such host'; likely otherwise, since it is the configuration alone.",
        action: "Keep one's own servers in the list only, and let them forward to Azure's.",
        reference: "AKS: troubleshoot DNS resolution failures from inside the pod but not from the worker node.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let mixed = |servers: &[String]| {
        servers.iter().any(|server| server == AZURE_DNS)
            && servers.iter().any(|server| {
                server != AZURE_DNS && server.parse::<std::net::IpAddr>().is_ok_and(|ip| !ip.is_loopback())
            })
    };
    let mut places: Vec<(Evidence, Vec<String>)> = Vec::new();
    for network in cluster.azure.networks.iter().filter(|network| mixed(&network.dns)) {
        let Some(place) = &network.place else { continue };
        places.push((
            at(
                place,
                &format!("virtual network {}, dhcpOptions.dnsServers", network.name),
                &network.dns.join(", "),
            ),
            network.dns.clone(),
        ));
    }
    for (place, resolver) in cluster.facts.nodes.resolvers.iter() {
        let servers: Vec<String> = resolver.nameservers.iter().map(ToString::to_string).collect();
        if mixed(&servers) {
            places.push((at(place, "nameserver", &servers.join(", ")), servers));
        }
    }
    for (place, blocks) in cluster.facts.nodes.corefiles.iter() {
        for (_, servers) in blocks.iter().flat_map(|block| &block.forwards) {
            let servers: Vec<String> =
                servers.iter().map(|server| server.split(':').next().unwrap_or(server).to_owned()).collect();
            if mixed(&servers) {
                places.push((at(place, "forward", &servers.join(" ")), servers));
            }
        }
    }
    finding(cluster, places).into_iter().collect::<Vec<_>>().into()
}

fn finding(cluster: &Cluster, places: Vec<(Evidence, Vec<String>)>) -> Option<Finding> {
    let servers = places.first()?.1.join(", ");
    let failing = observed::attempts(cluster, |attempt| {
        let inside = matches!(attempt.who, Who::Pod(_) | Who::Unknown | Who::Dns | Who::Node(_));
        (inside && attempt.failure == Failure::NameUnknown).then_some(())
    })
    .remove(&());
    let confirmed = failing.is_some();
    let mut observed = failing.unwrap_or_else(|| Observed { count: 1, ..Observed::default() });
    observed.show_first(places.into_iter().map(|(evidence, _)| evidence).take(3));
    let failures = if confirmed {
        format!(" Look-ups end so{}{}.", observed.reached_for_in_brackets(), observed.when())
    } else {
        String::new()
    };
    let says = Wording {
        severity: if confirmed { Severity::High } else { Severity::Medium },
        confidence: if confirmed { Confidence::Confirmed } else { Confidence::Likely },
        unit: if confirmed { "failed look-up" } else { "list" },
        cause: format!(
            "The list of DNS servers is {servers}: Azure's own and others. CoreDNS asks one of them at random, so a name that only one of them knows is found by turns.{failures}"
        ),
        fix: format!(
            "Take {AZURE_DNS} out of the list, and let the other servers forward what they don't know to it. Then restart the nodes' network and CoreDNS, which keep the old list."
        ),
        commands: vec![
            "az network vnet update -g GROUP -n VNET --dns-servers OWN_SERVER_1 OWN_SERVER_2".to_owned(),
            "kubectl rollout restart deployment coredns -n kube-system".to_owned(),
        ],
        verify: vec![
            "for i in 1 2 3 4 5 6; do nslookup NAME; done   # in a pod: the same answer each time".to_owned(),
        ],
    };
    observed.finding(
        &DETECTOR,
        "servers",
        format!("DNS servers that know different names stand in one list: {servers}"),
        says,
    )
}
