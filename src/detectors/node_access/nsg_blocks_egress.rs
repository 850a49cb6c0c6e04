//! A network security group (NSG) denies required outbound traffic of nodes.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::{Far, Filtered, at};
use crate::detectors::needs::SECURITY_GROUPS;
use crate::detectors::observed::{self, Wording, aks_subject};
use crate::detectors::{Chapter, Detector, Doc, Outcome};
use crate::facts::Signal;

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
        decision: "The rules of each NSG of the node subnet or node interfaces are evaluated by priority for TCP 443 to the Internet, and for DNS to the DNS servers of the VNet. Reported only when a rule denies all of it and no allowing rule comes first: a service tag that is allowed before the denial is not judged. Confirmed when nodes, pods or the tunnel also time out in the bundle; likely otherwise. Without failures it is possible, and low, on private clusters and where all nodes are Ready: they may use a proxy.",
        action: "Add an allow rule with a lower priority number than the denying rule, or remove that rule.",
        reference: "learn.microsoft.com: Outbound network and FQDN rules for AKS clusters; AKS cluster upgrade fails because of NSG rules.",
    },
    detect,
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
    findings.into()
}
