//! A network security group keeps nodes from the outside.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::{Far, Filtered, at};
use crate::detectors::needs::SECURITY_GROUPS;
use crate::detectors::observed::{self, Wording, aks_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "nsg-blocks-egress",
    chapter: Chapter::NodeAccess,
    title: "A network security group keeps nodes from the outside",
    guide: &["4"],
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
        meaning: "AKS needs outgoing TCP 443 (API server, registry, Azure), and DNS to the servers of the network. A rule that denies the Internet to the nodes' subnet takes all of it: nodes turn NotReady, the tunnel of the API server breaks, so that logs and exec fail, and upgrades do.",
        decision: "The rules of each group at the nodes' subnet or interfaces are evaluated by priority for TCP 443 to the Internet, and for DNS to the network's servers. Told only when a rule denies the whole of it and no narrower rule comes before: service tags before a denial leave it open, and are not accused. Confirmed when nodes, pods or the tunnel fail so in the bundle; likely otherwise. Without failures it is low and possible on private clusters and where all nodes are ready: they may go by a proxy.",
        action: "Add an allowing rule with a lower number than the denial, or remove the denial.",
        reference: "AKS: outbound network and FQDN rules; AKS cluster upgrade fails because of NSG rules.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let private = cluster.azure.cluster().is_some_and(|aks| aks.private);
    if cluster.azure.isolated() {
        return Outcome {
            ruled_out: Some("the cluster is network isolated: it needs nothing outside".to_owned()),
            ..Outcome::default()
        };
    }
    let mut question: Vec<(Far, &'static str, u16, String)> =
        vec![(Far::Internet, "tcp", 443, "the Internet on TCP port 443".to_owned())];
    for server in
        cluster.azure.networks.iter().filter(|network| network.of_nodes).flat_map(|network| &network.dns)
    {
        if let Ok(ip) = server.parse() {
            question.push((Far::Address(ip), "udp", 53, format!("the DNS server {server} on UDP port 53")));
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
                    .filter(|observed| !cluster.is_over(observed.span));
            let failing = common::unanswered_now(cluster).or(tunnel);
            let confirmed = failing.is_some();
            // Nodes that are ready get what they need by some other way, such as a proxy.
            let mild = private || observed::nodes_ready(cluster);
            let mut observed = failing.unwrap_or_default();
            observed.show_first([at(
                place,
                &format!("security group {}, rule {}", group.name, rule.name),
                &format!("priority {}, Outbound, Deny, to {}", rule.priority, rule.to.join(", ")),
            )]);
            let failures = if confirmed {
                format!(" Connections fail so{}.", observed.when())
            } else {
                " No failure of this kind is in the bundle.".to_owned()
            };
            let where_ = if group.of_subnet { "at the nodes' subnet" } else { "at the nodes" };
            let lower = if rule.priority > 100 {
                (rule.priority - 1).to_string()
            } else {
                "PRIORITY_BELOW_THE_DENIAL".to_owned()
            };
            let says = Wording {
                severity: if confirmed {
                    Severity::Critical
                } else if mild {
                    Severity::Low
                } else {
                    Severity::High
                },
                confidence: if confirmed {
                    Confidence::Confirmed
                } else if mild {
                    Confidence::Possible
                } else {
                    Confidence::Likely
                },
                unit: if confirmed { "failed attempt" } else { "rule" },
                cause: format!(
                    "Rule {} (priority {}) of security group {} {where_} denies {text}, and no rule before it lets it pass.{failures}",
                    rule.name, rule.priority, group.name
                ),
                fix: format!(
                    "Let it pass by a rule with a lower number than {}; groups can't tell names, so allow the service tags (AzureCloud, MicrosoftContainerRegistry, AzureFrontDoor.FirstParty) or the Internet on TCP 443.",
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
            let title = format!("Security group {}: rule {} keeps nodes from {text}", group.name, rule.name);
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
    findings.into()
}
