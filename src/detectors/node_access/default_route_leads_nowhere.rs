//! The nodes' default route ends at nothing.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::{NextHop, Routes, at};
use crate::detectors::needs::{AKS, ROUTES};
use crate::detectors::observed::{Wording, aks_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "default-route-leads-nowhere",
    chapter: Chapter::NodeAccess,
    title: "The nodes' default route leads nowhere, or answers come back another way",
    guide: &["4", "4.4", "3.5"],
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
        meaning: "The route to 0.0.0.0/0 leads all traffic of the nodes to the outside. With next hop None it is thrown away; a next hop that is no firewall any more swallows it; and where the route leads to an appliance while a public load balancer brings requests in, answers leave by another way than the requests came, and the appliance drops them.",
        decision: "The default route of the nodes' table, or of the effective routes. None: confirmed when nodes or pods get no answer, otherwise likely. An appliance whose address is none of the firewalls in the bundle: likely with failures, possible without. No default route although the cluster leaves by a route of the user: likely. An appliance as next hop beside services with a public load balancer address: possible, as a risk.",
        action: "Correct the next hop; for requests from outside, bring them in by the same appliance (DNAT).",
        reference: "AKS: outbound types of egress; errors after restricting egress traffic, asymmetric routing.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings = Vec::new();
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
            "throws away everything that leaves: its next hop is None".to_owned(),
            format!("Route table {}: the default route throws everything away (next hop None)", table.name),
        ),
        Hop::Stranger => (
            format!("leads to {}, which is the address of no firewall in the bundle", hop.ip),
            format!(
                "Route table {}: the default route leads to {}, which is no firewall of the bundle",
                table.name, hop.ip
            ),
        ),
        Hop::Missing => (
            "has no default route, although the cluster is set to leave by one (userDefinedRouting)"
                .to_owned(),
            format!("Route table {} has no default route, and the cluster leaves by one", table.name),
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
        format!(" Nodes or pods get no answer from the API server or outside{}.", observed.when())
    } else {
        " No failure of this kind is in the bundle.".to_owned()
    };
    let says = Wording {
        severity,
        confidence,
        unit: if confirmed { "failed attempt" } else { "route" },
        cause: format!("The route table {} of the nodes {why}.{failures}", table.name),
        fix: "Let the default route lead to the firewall's private address as it is now, and see that the firewall is there. Keep the routes that AKS wrote.".to_owned(),
        commands: vec![
            "az network firewall show -g GROUP -n FIREWALL --query ipConfigurations[0].privateIPAddress".to_owned(),
            format!("az network route-table route {} -g GROUP --route-table-name {} -n {} --next-hop-type VirtualAppliance --next-hop-ip-address FIREWALL_ADDRESS{}", if what == Hop::Missing { "create" } else { "update" }, crate::detectors::shell(&table.name), if hop.name.is_empty() { "to-firewall".to_owned() } else { crate::detectors::shell(&hop.name) }, if what == Hop::Missing { " --address-prefix 0.0.0.0/0" } else { "" }),
        ],
        verify: vec!["nc -vz -w 5 mcr.microsoft.com 443   # on a node: succeeded".to_owned()],
    };
    let mut finding = observed.finding(&DETECTOR, &table.name, title, says)?;
    finding.subjects.extend(aks_subject(cluster));
    Some(finding)
}

/// Requests come in by a public load balancer, and answers leave by an appliance that has not seen them.
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
        cause: format!("Requests to {} come in by a public address of the load balancer, and answers leave by the default route to {}: a firewall there has not seen the request and drops the answer, unless the client's addresses have a route of their own.", crate::detectors::observed::listed(names.iter().map(String::as_str), 3), hop.ip),
        fix: "Bring requests in by the firewall (DNAT to an internal load balancer), or add routes with next hop Internet for the firewall's public address.".to_owned(),
        commands: vec!["kubectl annotate service NAME service.beta.kubernetes.io/azure-load-balancer-internal=true".to_owned()],
        verify: vec!["curl -v http://ADDRESS   # from outside".to_owned()],
    };
    let mut finding = given.finding(
        &DETECTOR,
        "asymmetric",
        "Requests come in by a public load balancer, and answers leave by an appliance".to_owned(),
        says,
    )?;
    finding
        .subjects
        .extend(services.iter().take(50).map(|key| crate::detectors::observed::subject("Service", key)));
    Some(finding)
}
