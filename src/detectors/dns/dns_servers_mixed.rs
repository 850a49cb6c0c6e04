//! Azure DNS and custom DNS servers are mixed in one list.

use crate::cluster::Cluster;
use crate::cluster::azure::{AZURE_DNS, at};
use crate::cluster::reachability::Who;
use crate::detectors::needs::NETWORKS;
use crate::detectors::observed::{self, Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::evidence::Evidence;
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "dns-servers-mixed",
    chapter: Chapter::Dns,
    title: "Azure DNS and custom DNS servers mixed",
    needs: &[NETWORKS],
    explains: &["dns-name-unknown", "node-cannot-resolve-api-server"],
    doc: Doc {
        meaning: "DNS servers in one list must resolve the same names. Azure DNS (168.63.129.16) does not know the zones of a custom DNS server, and the custom server may not know Azure private DNS zones. CoreDNS picks one of the list at random, and an NXDOMAIN of that one is final: the same name resolves intermittently in pods, while the node, which asks the servers in order, can resolve it every time.",
        decision: "The DNS servers of the virtual network, of a resolv.conf, or of a Corefile `forward` line are 168.63.129.16 and at least one other server. Confirmed when the bundle also has NXDOMAIN answers ('no such host'); likely when there is the configuration alone.",
        action: "List only the custom DNS servers, and let them forward to 168.63.129.16.",
        reference: "learn.microsoft.com: Troubleshoot DNS resolution failures from inside the pod but not from the worker node. coredns.io/plugins/forward (policy random).",
    },
    detect: Evaluation::Rule(detect),
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
    finding(cluster, places).into_iter().collect()
}

fn finding(cluster: &Cluster, places: Vec<(Evidence, Vec<String>)>) -> Option<Finding> {
    let servers = places.first()?.1.join(", ");
    let failing = observed::attempts(cluster, |attempt| {
        let inside = matches!(attempt.who, Who::Pod(_) | Who::Unknown | Who::Dns | Who::Node(_));
        // A name of the cluster's own zone, or without a dot, is no question for these servers.
        let outside = attempt.hosts.iter().any(|host| {
            let host = host.trim_end_matches('.');
            let last = host.rsplit('.').next().unwrap_or_default();
            host.contains('.') && !host.ends_with(".cluster.local") && last != "svc"
        });
        (inside && outside && attempt.failure == Failure::NameUnknown).then_some(())
    })
    .remove(&());
    let confirmed = failing.is_some();
    let mut observed = failing.unwrap_or_else(|| Observed { count: 1, ..Observed::default() });
    observed.show_first(places.into_iter().map(|(evidence, _)| evidence).take(3));
    let failures = if confirmed {
        format!(" DNS queries ended with NXDOMAIN{}{}.", observed.reached_for_in_brackets(), observed.when())
    } else {
        String::new()
    };
    let says = Wording {
        severity: if confirmed { Severity::High } else { Severity::Medium },
        confidence: if confirmed { Confidence::Confirmed } else { Confidence::Likely },
        unit: if confirmed { "failed DNS query" } else { "list" },
        cause: format!(
            "The DNS servers are {servers}: Azure DNS and others in one list. CoreDNS picks one at random, so a name that only one of them knows resolves intermittently.{failures}"
        ),
        fix: format!(
            "Remove {AZURE_DNS} from the list, and let the custom DNS servers forward to it what they do not resolve (only a server in an Azure VNet can). The change applies to every VM of the VNet. Nodes keep the old list until they restart or renew DHCP; restart CoreDNS after that."
        ),
        commands: vec![
            "az network vnet update -g GROUP -n VNET --dns-servers CUSTOM_DNS_1 CUSTOM_DNS_2".to_owned(),
            "kubectl rollout restart deployment coredns -n kube-system".to_owned(),
        ],
        verify: vec![
            "for i in 1 2 3 4 5 6; do nslookup NAME; done   # in a pod: the same answer each time".to_owned(),
        ],
    };
    observed.finding(&DETECTOR, "servers", format!("Azure DNS and custom DNS servers mixed: {servers}"), says)
}
