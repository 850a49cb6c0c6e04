//! The default route (0.0.0.0/0) of the node subnet has next hop None, an unknown appliance, or is missing.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::{NextHop, Routes, at};
use crate::detectors::needs::{AKS, ROUTES};
use crate::detectors::observed::{Wording, aks_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::facts::AzureKind;

pub(super) const DETECTOR: Detector = Detector {
    id: "default-route-leads-nowhere",
    chapter: Chapter::NodeAccess,
    title: "0.0.0.0/0 next hop None or unknown appliance, or asymmetric routing",
    needs: &[ROUTES, AKS],
    explains: &[
        "node-cannot-reach-api-server",
        "node-outbound-blocked",
        "node-not-ready",
        "tunnel-down",
        "pod-cannot-reach-api-server",
        "registry-unreachable",
        "nsg-blocks-load-balancer",
        "node-provisioning-failed",
    ],
    doc: Doc {
        meaning: "The route to 0.0.0.0/0 carries all outbound traffic of the nodes. With next hop None it is dropped (blackhole); a VirtualAppliance next hop whose firewall no longer exists drops it too. With an appliance as next hop and a public load balancer for inbound requests, routing is asymmetric: responses leave through the appliance, which has not seen the request and drops them.",
        decision: "The default route of the node subnet's route table, or of the effective routes. Next hop None: confirmed when nodes or pods get timeouts, otherwise likely; the same for an answer of Network Watcher on one address. VirtualAppliance with an address that is none of the firewalls in the bundle: likely with failures, possible without. No default route although outboundType is userDefinedRouting: likely. VirtualAppliance beside Services with a public load balancer address: possible, as a risk.",
        action: "Correct the next hop; send inbound requests through the same appliance (DNAT).",
        reference: "learn.microsoft.com: Customize cluster egress with outbound types in AKS; Azure Firewall with AKS, asymmetric routing.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings: Vec<Finding> = answered(cluster).collect();
    for table in cluster.azure.node_routes() {
        let default = table.hops.iter().find(|hop| hop.is_default());
        match default {
            Some(hop) if hop.kind.eq_ignore_ascii_case("None") => {
                findings.extend(nowhere(cluster, table, hop, Hop::None));
            }
            Some(hop) if hop.kind.eq_ignore_ascii_case("VirtualAppliance") => {
                let firewalls: Vec<_> =
                    cluster.azure.firewalls.iter().flat_map(|firewall| &firewall.addresses).collect();
                let known = firewalls.is_empty() || firewalls.iter().any(|ip| ip.to_string() == hop.ip);
                if known {
                    findings.extend(asymmetric(cluster, table, hop));
                } else {
                    findings.extend(nowhere(cluster, table, hop, Hop::Stranger));
                }
            }
            Some(_) => {}
            None => {
                let aks = cluster.azure.cluster();
                let by_route = aks.is_some_and(|aks| aks.outbound.eq_ignore_ascii_case("userDefinedRouting"));
                // What holds may come from a gateway.
                let effective = cluster
                    .azure
                    .routes
                    .iter()
                    .any(|route| route.effective && route.hops.iter().any(NextHop::is_default));
                if by_route && table.of_nodes && !effective {
                    findings.extend(nowhere(cluster, table, &NextHop::default(), Hop::Missing));
                }
            }
        }
    }
    findings.into()
}

/// Answers of Network Watcher that packets to an address go nowhere.
fn answered(cluster: &Cluster) -> impl Iterator<Item = Finding> {
    let hops = cluster.facts.azure.of(AzureKind::NextHop);
    hops.filter(|(_, hop)| hop.text("nexthoptype").eq_ignore_ascii_case("none")).filter_map(|(place, hop)| {
        let failing = common::unanswered_now(cluster);
        let confirmed = failing.is_some();
        let mut observed = failing.unwrap_or_default();
        observed.show_first([at(place, "nextHopType", "None")]);
        let target = if hop.name.is_empty() { "the address that was asked for" } else { &*hop.name };
        let table = hop.text("routetableid").rsplit('/').next().unwrap_or_default();
        let by = if table.is_empty() { String::new() } else { format!(", by route table {table}") };
        let says = Wording {
            severity: Severity::High,
            confidence: if confirmed { Confidence::Confirmed } else { Confidence::Likely },
            unit: if confirmed { "failed attempt" } else { "answer" },
            cause: format!("Network Watcher answers that the next hop to {target} is None{by}: Azure drops the packets."),
            fix: "Correct the route that fits the address best: its next hop must be the firewall, Internet or the virtual network. The change applies to every subnet with this route table.".to_owned(),
            commands: vec!["az network nic show-effective-route-table -g NODE_RESOURCE_GROUP -n NIC -o table   # which route wins".to_owned()],
            verify: vec!["nc -vz -w 5 mcr.microsoft.com 443   # on a node: succeeded".to_owned()],
        };
        observed.finding(&DETECTOR, &format!("asked {target}"), format!("Next hop to {target} is None (Network Watcher)"), says)
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hop {
    None,
    Stranger,
    Missing,
}

fn nowhere(cluster: &Cluster, table: &Routes, hop: &NextHop, what: Hop) -> Option<Finding> {
    let failing = common::unanswered_now(cluster);
    let confirmed = failing.is_some();
    let mut observed = failing.unwrap_or_default();
    let (why, title) = match what {
        Hop::None => (
            "drops all outbound traffic: the next hop of 0.0.0.0/0 is None".to_owned(),
            format!("Route table {}: 0.0.0.0/0 is a blackhole (next hop None)", table.name),
        ),
        Hop::Stranger => (
            format!("sends 0.0.0.0/0 to {}, which is no firewall address in the bundle", hop.ip),
            format!("Route table {}: 0.0.0.0/0 next hop {} is an unknown appliance", table.name, hop.ip),
        ),
        Hop::Missing => (
            "has no route to 0.0.0.0/0, although outboundType is userDefinedRouting".to_owned(),
            format!("Route table {}: no 0.0.0.0/0 route, outboundType is userDefinedRouting", table.name),
        ),
    };
    observed.show_first([at(
        table.place.as_ref()?,
        &format!("route table {}, 0.0.0.0/0", table.name),
        &format!("next hop {} {}", if hop.kind.is_empty() { "missing" } else { &hop.kind }, hop.ip),
    )]);
    let (severity, confidence) = match (what, confirmed) {
        (Hop::None, true) => (Severity::Critical, Confidence::Confirmed),
        (Hop::None, false) | (_, true) => (Severity::High, Confidence::Likely),
        (Hop::Missing, false) => (Severity::Medium, Confidence::Likely),
        (Hop::Stranger, false) => (Severity::Low, Confidence::Possible),
    };
    let failures = if confirmed {
        format!(
            " Connections of nodes or pods to the API server or to the Internet time out{}.",
            observed.when()
        )
    } else {
        " No such failure is in the bundle.".to_owned()
    };
    let says = Wording {
        severity,
        confidence,
        unit: if confirmed { "failed attempt" } else { "route" },
        cause: format!("Route table {} of the nodes {why}.{failures}", table.name),
        fix: "Set the next hop of 0.0.0.0/0 to the current private IP address of the firewall, and check that the firewall runs. The change applies to every subnet with this route table. Keep the routes that AKS created.".to_owned(),
        commands: vec![
            "az network firewall show -g GROUP -n FIREWALL --query 'ipConfigurations[0].privateIPAddress'".to_owned(),
            format!("az network route-table route {} -g GROUP --route-table-name {} -n {} --next-hop-type VirtualAppliance --next-hop-ip-address FIREWALL_ADDRESS{}", if what == Hop::Missing { "create" } else { "update" }, crate::detectors::shell(&table.name), if hop.name.is_empty() { "to-firewall".to_owned() } else { crate::detectors::shell(&hop.name) }, if what == Hop::Missing { " --address-prefix 0.0.0.0/0" } else { "" }),
        ],
        verify: vec!["nc -vz -w 5 mcr.microsoft.com 443   # on a node: succeeded".to_owned()],
    };
    let mut finding = observed.finding(&DETECTOR, &table.name, title, says)?;
    finding.subjects.extend(aks_subject(cluster));
    Some(finding)
}

/// Asymmetric routing: requests through a public load balancer, responses through an appliance that has not seen them.
fn asymmetric(cluster: &Cluster, table: &Routes, hop: &NextHop) -> Option<Finding> {
    let services = cluster.facts.objects.services.iter().filter(|(_, seen)| {
        let spec = &seen.object.spec;
        let addresses =
            seen.object.status.load_balancer.ingress.iter().filter_map(|item| item.ip.parse().ok());
        &*spec.r#type == "LoadBalancer"
            && addresses.into_iter().any(|ip| !crate::cluster::azure::is_private(ip))
    });
    let services: Vec<_> = services.map(|(key, _)| key.clone()).collect();
    let first = services.first()?;
    let mut given =
        crate::detectors::observed::Observed { count: services.len() as u64, ..Default::default() };
    given.show_first([at(
        table.place.as_ref()?,
        &format!("route table {}, 0.0.0.0/0", table.name),
        &format!("next hop VirtualAppliance {}", hop.ip),
    )]);
    let seen = cluster.facts.objects.services.get(&first.namespace, &first.name)?;
    given.evidence.extend(seen.evidence("Service", first).into_iter().take(1));
    let names: Vec<String> = services.iter().map(crate::facts::Key::label).collect();
    let says = Wording {
        severity: Severity::Low,
        confidence: Confidence::Possible,
        unit: "service",
        cause: format!("Requests to {} arrive through a public IP address of the load balancer, and responses leave through the default route to {}: a stateful firewall there has not seen the request and drops the response, unless a more specific route covers the client.", crate::detectors::observed::listed(names.iter().map(String::as_str), 3), hop.ip),
        fix: "Send inbound requests through the firewall (DNAT rule to an internal load balancer), with a route of next hop Internet for the firewall's public IP address. The annotation replaces the public IP address of the Service with a private one: set up DNAT first.".to_owned(),
        commands: vec![format!(
            "kubectl annotate service {} -n {} service.beta.kubernetes.io/azure-load-balancer-internal=true",
            crate::detectors::shell(&first.name),
            crate::detectors::shell(&first.namespace)
        )],
        verify: vec!["curl -v http://ADDRESS   # from outside: an HTTP status".to_owned()],
    };
    let mut finding = given.finding(
        &DETECTOR,
        "asymmetric",
        "Asymmetric routing: public load balancer in, VirtualAppliance route out".to_owned(),
        says,
    )?;
    finding
        .subjects
        .extend(services.iter().take(50).map(|key| crate::detectors::observed::subject("Service", key)));
    Some(finding)
}
