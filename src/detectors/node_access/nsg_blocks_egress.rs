//! A network security group (NSG) denies required outbound traffic of nodes.

use std::collections::BTreeMap;

use super::common;
use super::firewall_denies_required_egress::own_networks;
use crate::cluster::Cluster;
use crate::cluster::azure::{Far, Filtered, at};
use crate::detectors::needs::SECURITY_GROUPS;
use crate::detectors::observed::{self, Observed, Wording, aks_subject};
use crate::detectors::{Chapter, Detector, Doc, Evaluation, Finding, Outcome};
use crate::facts::{FlowFilter, Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "nsg-blocks-egress",
    chapter: Chapter::NodeAccess,
    title: "NSG denies required outbound traffic of nodes",
    needs: &[SECURITY_GROUPS],
    explains: &[
        "node-cannot-reach-api-server",
        "node-outbound-blocked",
        "node-not-ready",
        "tunnel-down",
        "pod-cannot-reach-api-server",
        "coredns-upstream-failing",
        "pods-cannot-reach-dns",
        "registry-unreachable",
        "node-provisioning-failed",
    ],
    doc: Doc {
        meaning: "AKS nodes require outbound TCP 443 (API server, registry, Azure) and DNS to the servers of the virtual network. An NSG rule that denies the Internet blocks all of it: nodes become NotReady, the konnectivity tunnel breaks (logs and exec fail), and upgrades fail.",
        decision: "The rules of each NSG of the node subnet or node interfaces are evaluated by priority for TCP 443 to the Internet, and for DNS to the DNS servers of the VNet. Reported only when a rule denies all of it and no allowing rule comes first: a service tag that is allowed before the denial is not judged. Confirmed when nodes, pods or the tunnel also time out in the bundle; likely otherwise. Without failures it is possible, and low, on private clusters and where all nodes are Ready: they may use a proxy. Without such a group, denied outbound flows to public addresses on ports that nodes need (443, 9000, 1194, 53, 123) in flow logs, traffic analytics or answers of Network Watcher name the rule, graded the same way.",
        action: "Add an allow rule with a lower priority number than the denying rule, or remove that rule.",
        reference: "learn.microsoft.com: Outbound network and FQDN rules for AKS clusters; AKS cluster upgrade fails because of NSG rules.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let private = cluster.azure.cluster().is_some_and(|aks| aks.private);
    if cluster.azure.isolated() {
        return Outcome {
            ruled_out: Some("the cluster is network isolated: it needs no outbound access".to_owned()),
            ..Outcome::default()
        };
    }
    let mut question: Vec<(Far, &'static str, u16, String)> =
        vec![(Far::Internet, "tcp", 443, "TCP 443 to the Internet".to_owned())];
    for server in
        cluster.azure.networks.iter().filter(|network| network.of_nodes).flat_map(|network| &network.dns)
    {
        if let Ok(ip) = server.parse() {
            question.push((Far::Address(ip), "udp", 53, format!("UDP 53 to DNS server {server}")));
        }
    }
    let mut findings = Vec::new();
    for group in cluster.azure.node_groups() {
        for (far, protocol, port, text) in &question {
            let Filtered::Denied(rule) = group.filter(false, *far, protocol, *port) else { continue };
            let Some(place) = &group.place else { continue };
            let tunnel =
                observed::signals(cluster, |key| (key.signal == Signal::TunnelFailing).then_some(()))
                    .remove(&())
                    .filter(|observed| !observed.is_over(cluster));
            let failing = common::unanswered_now(cluster).or(tunnel);
            let confirmed = failing.is_some();
            // Nodes that are ready have another path, such as a proxy.
            let mild = private || observed::nodes_ready(cluster);
            let mut observed = failing.unwrap_or_default();
            observed.show_first([at(
                place,
                &format!("NSG {}, rule {}", group.name, rule.name),
                &format!("priority {}, Outbound, Deny, to {}", rule.priority, rule.to.join(", ")),
            )]);
            let failures = if confirmed {
                format!(" The bundle has matching connection failures{}.", observed.when())
            } else {
                " No such failure is in the bundle.".to_owned()
            };
            let where_ = if group.of_subnet { "of the node subnet" } else { "of the node interfaces" };
            let lower = if rule.priority > 100 {
                (rule.priority - 1).to_string()
            } else {
                "PRIORITY_BELOW_THE_DENIAL".to_owned()
            };
            let (severity, confidence) = super::common::graded(confirmed, mild);
            let says = Wording {
                severity,
                confidence,
                unit: if confirmed { "failed attempt" } else { "rule" },
                cause: format!(
                    "Rule {} (priority {}) in NSG {} {where_} denies {text}, and no rule before it allows it.{failures}",
                    rule.name, rule.priority, group.name
                ),
                fix: format!(
                    "Add an allow rule with a lower priority number than {}. NSGs do not match FQDNs: allow service tags (AzureCloud, MicrosoftContainerRegistry, AzureFrontDoor.FirstParty), or the Internet on TCP 443, which opens outbound HTTPS of the nodes to any host.",
                    rule.priority
                ),
                commands: vec![format!(
                    "az network nsg rule create -g GROUP --nsg-name {} -n allow-aks-egress --priority {lower} --direction Outbound --access Allow --protocol {} --destination-port-ranges {port} --destination-address-prefixes {}",
                    crate::detectors::shell(&group.name),
                    if *protocol == "udp" { "Udp" } else { "Tcp" },
                    match far {
                        Far::Address(ip) => ip.to_string(),
                        _ => "Internet".to_owned(),
                    }
                )],
                verify: vec!["nc -vz -w 5 mcr.microsoft.com 443   # on a node: succeeded".to_owned()],
            };
            let title = format!("NSG {} denies {text} (rule {})", group.name, rule.name);
            findings.extend(
                observed
                    .finding(&DETECTOR, &format!("{} {} {port}", group.name, rule.name), title, says)
                    .map(|mut finding| {
                        finding.subjects.extend(aks_subject(cluster));
                        finding
                    }),
            );
        }
    }
    if findings.is_empty() {
        findings.extend(recorded(cluster));
    }
    findings.into()
}

/// Ports that nodes need, and what for.
const NEEDED: [(u16, &str); 5] = [
    (443, "HTTPS"),
    (9000, "tunnel to the API server"),
    (1194, "tunnel to the API server"),
    (53, "DNS"),
    (123, "NTP"),
];

/// Flow logs and Network Watcher say which rule stopped what: each rule is a finding.
fn recorded(cluster: &Cluster) -> Vec<Finding> {
    let current = own_networks(cluster);
    let ours = |source: &str| {
        current.is_empty()
            || source
                .parse()
                .map_or(true, |ip: std::net::IpAddr| current.iter().any(|range| range.contains(&ip)))
    };
    let abroad = |target: &str| target.parse().map_or(true, |ip| !crate::cluster::azure::is_private(ip));
    let mut rules: BTreeMap<(&str, u16), Observed> = BTreeMap::new();
    for (key, tally) in cluster.facts.flows.map.iter() {
        let needed = key.port == 0 || NEEDED.iter().any(|(port, _)| *port == key.port);
        let far = abroad(&key.target) || key.port == 53;
        if key.allowed || key.filter != FlowFilter::SecurityGroup || key.inbound {
            continue;
        }
        if !needed || !far || !ours(&key.source) {
            continue;
        }
        let observed = rules.entry((&*key.rule, key.port)).or_default();
        observed.count += tally.sightings.count().0;
        observed.span = time::joined(observed.span, tally.span.resolve(cluster.anchor));
        observed.evidence.extend(tally.examples.as_slice().iter().take(2).cloned());
        observed.hosts.extend(Some(key.target.to_string()).filter(|target| !target.is_empty()));
    }
    let failing = common::unanswered_now(cluster).is_some();
    let mild = observed::nodes_ready(cluster);
    let found = rules.into_iter().filter_map(|((rule, port), observed)| {
        if cluster.is_over(observed.span) {
            return None;
        }
        let what = match NEEDED.iter().find(|(needed, _)| *needed == port) {
            Some((_, purpose)) => format!("outbound port {port} ({purpose})"),
            None => "outbound traffic".to_owned(),
        };
        let (severity, confidence) = super::common::graded(failing, mild);
        let also = if failing { " Connections of nodes or pods time out in the same bundle." } else { "" };
        let says = Wording {
            severity,
            confidence,
            unit: "denied flow",
            cause: format!(
                "Azure recorded that NSG rule {rule} denied {what} to {}{}.{also} Nodes need TCP 443 to the API server, the registry and Azure; a denial of other addresses can be wanted.",
                observed.reached_for_or("an address that is not named"),
                observed.when()
            ),
            fix: format!(
                "Check whether the addresses belong to what AKS requires. If so, add an allow rule with a lower priority number than {rule}: service tags (AzureCloud, MicrosoftContainerRegistry, AzureFrontDoor.FirstParty), or the Internet on TCP 443, which opens outbound HTTPS of the nodes to any host."
            ),
            commands: vec!["az network nsg list -g NODE_RESOURCE_GROUP -o json > nsgs.json   # priority and ranges of the rule".to_owned()],
            verify: vec!["nc -vz -w 5 mcr.microsoft.com 443   # on a node: succeeded".to_owned()],
        };
        let title = format!("NSG rule {rule} denied {what} to {}", observed.reached_for_or("an address that is not named"));
        observed.finding(&DETECTOR, &format!("recorded {rule} {port}"), title, says)
    });
    found.collect()
}
