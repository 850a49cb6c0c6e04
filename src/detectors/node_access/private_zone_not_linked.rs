//! The private DNS zone has no virtual network link to the network of the nodes or of their DNS servers.

use std::net::IpAddr;

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::{AZURE_DNS, Zone, at};
use crate::detectors::needs::{AKS, ZONES};
use crate::detectors::observed::{Wording, aks_subject};
use crate::detectors::{Chapter, Detector, Doc, Evaluation, Finding, Outcome};
use crate::knowledge::CseFault;

pub(super) const DETECTOR: Detector = Detector {
    id: "private-zone-not-linked",
    chapter: Chapter::NodeAccess,
    title: "Private DNS zone has no virtual network link to the VNet of nodes or DNS servers",
    needs: &[ZONES, AKS],
    explains: &[
        "node-cannot-resolve-api-server",
        "client-dns-fails",
        "private-cluster-without-path",
        "dns-name-unknown",
        "node-not-ready",
        "node-provisioning-failed",
    ],
    doc: Doc {
        meaning: "The FQDN of a private cluster's API server is a record in a private DNS zone. It resolves for VMs that use Azure DNS in a VNet with a link to the zone, and through custom DNS servers that forward to 168.63.129.16 from a linked VNet. Otherwise DNS answers NXDOMAIN ('no such host').",
        decision: "The private DNS zone of the cluster and its virtual network links are looked up in the bundle. Confirmed when the links are listed, none is to the VNet of the nodes or of their DNS servers, and DNS queries for the API server fail; likely without such failures, and possible where all nodes are Ready. DNS servers outside every VNet of the bundle are not judged.",
        action: "Link the zone to the VNet of the DNS servers (hub) or of the nodes.",
        reference: "learn.microsoft.com: Create a private AKS cluster, hub and spoke with custom DNS; What is a virtual network link (Azure Private DNS).",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let Some(aks) = cluster.azure.cluster() else { return Outcome::default() };
    if !aks.private {
        return Outcome {
            ruled_out: aks.whole.then(|| "the cluster is public: its FQDN is in public DNS".to_owned()),
            ..Outcome::default()
        };
    }
    if aks.private_zone.eq_ignore_ascii_case("none") {
        return Outcome {
            ruled_out: Some("the cluster has no private DNS zone (privateDnsZone none)".to_owned()),
            ..Outcome::default()
        };
    }
    let zone_name = aks.private_fqdn.split_once('.').map_or("", |(_, zone)| zone).to_lowercase();
    let of_id = aks.private_zone.to_lowercase();
    let ours = cluster.azure.zones.iter().find(|zone| {
        (!zone_name.is_empty() && zone.name == zone_name) || of_id.ends_with(&format!("/{}", zone.name))
    });
    let Some(zone) = ours.filter(|zone| zone.links_listed) else { return Outcome::default() };
    let node_networks: Vec<&str> =
        aks.subnets.iter().filter_map(|id| id.split_once("/subnets/")).map(|(network, _)| network).collect();
    // Who queries Azure DNS: the nodes, or the custom DNS servers of their VNet.
    let servers: Vec<IpAddr> = cluster
        .azure
        .networks
        .iter()
        .filter(|network| network.of_nodes)
        .flat_map(|network| &network.dns)
        .filter(|server| *server != AZURE_DNS)
        .filter_map(|server| server.parse().ok())
        .collect();
    let mut wanted: Vec<(String, String)> = Vec::new();
    if servers.is_empty() {
        wanted.extend(node_networks.iter().map(|id| ((*id).to_owned(), "the VNet of the nodes".to_owned())));
    }
    for server in servers {
        let holds = cluster
            .azure
            .networks
            .iter()
            .find(|network| network.ranges.iter().any(|range| range.contains(&server)));
        wanted.extend(
            holds.map(|network| (network.id.clone(), format!("VNet {} (DNS server {server})", network.name))),
        );
    }
    let linked = |id: &str| zone.links.iter().any(|(network, _)| network == id);
    let missing: Vec<String> =
        wanted.iter().filter(|(id, _)| !linked(id)).map(|(_, text)| text.clone()).collect();
    if missing.is_empty() {
        return Outcome::default();
    }
    finding(cluster, zone, &missing).into_iter().collect()
}

fn finding(cluster: &Cluster, zone: &Zone, missing: &[String]) -> Option<Finding> {
    let failing = common::from_inside(cluster, |item| item.failure.of_dns() && !item.ended);
    let script = common::codes(cluster, |ended| ended.fault() == Some(CseFault::ApiServerDns));
    let confirmed = failing.is_some() || script.is_some();
    // DNS servers may forward to a resolver that sees the zone: nodes that are ready show it.
    let mild = crate::detectors::observed::nodes_ready(cluster);
    let mut observed = failing.or(script).unwrap_or_default();
    let links: Vec<&str> = zone.links.iter().map(|(id, _)| id.rsplit('/').next().unwrap_or(id)).collect();
    let linked = if links.is_empty() { "nothing".to_owned() } else { links.join(", ") };
    observed.show_first([at(
        zone.place.as_ref()?,
        &format!("private DNS zone {}", zone.name),
        &format!("linked to {linked}"),
    )]);
    let failures = if confirmed {
        format!(" DNS queries for the API server fail{}.", observed.when())
    } else {
        " No failed DNS query is in the bundle.".to_owned()
    };
    let (severity, confidence) = super::common::graded(confirmed, mild);
    let says = Wording {
        severity,
        confidence,
        unit: if confirmed { "failed DNS query" } else { "zone" },
        cause: format!(
            "Private DNS zone {} is linked to {linked}, not to {}: Azure DNS does not resolve the API server's FQDN from there.{failures}",
            zone.name,
            missing.join(", ")
        ),
        fix: format!(
            "Link the zone to {}: names of the zone then resolve in that VNet, nothing else changes. Custom DNS servers also need a conditional forwarder for the zone to {AZURE_DNS}.",
            missing.join(", ")
        ),
        commands: vec![format!(
            "az network private-dns link vnet create -g NODE_RESOURCE_GROUP -z {} -n aks-dns-link -v VNET_ID -e false",
            crate::detectors::shell(&zone.name)
        )],
        verify: vec![format!(
            "nslookup {}   # on a node: a private address",
            cluster
                .azure
                .cluster()
                .map_or_else(|| "API_SERVER".to_owned(), |aks| crate::detectors::shell(&aks.private_fqdn))
        )],
    };
    let title = format!("Private DNS zone has no virtual network link to {}", missing.join(", "));
    let mut finding = observed.finding(&DETECTOR, &zone.name, title, says)?;
    finding.subjects.extend(aks_subject(cluster));
    Some(finding)
}
