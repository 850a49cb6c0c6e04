//! IP ranges overlap that must not.

use std::net::IpAddr;

use ipnet::IpNet;

use super::common::{self, observed_refusals};
use crate::cluster::Cluster;
use crate::detectors::observed::node_subject;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};
use crate::evidence::Evidence;
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "cidr-overlap",
    chapter: Chapter::IpAllocation,
    title: "CIDR overlap: pod, service and virtual network ranges",
    needs: &[common::AZURE],
    explains: &[],
    doc: Doc {
        meaning: "podCidr, serviceCidr, the virtual network with its peered networks, and the podCIDRs of nodes must not overlap. Where they do, traffic for one goes to the other, or Azure rejects the operation.",
        decision: "Computed from az aks show, the virtual networks and their peerings, and the nodes' podCIDRs, against which the addresses of nodes are held, too; a range that a node routes to pods and has on its own link; and Azure's errors (ServiceCidrOverlapExistingSubnetsCidr, NetworkProfileCIDROverlapVNET, DNSServiceIPOutOfServiceCIDR). dnsServiceIP must be inside serviceCidr and must not be its first address. Confirmed.",
        action: "Change or remove the subnet or peering that overlaps; the cluster's serviceCidr cannot be changed.",
        reference: "AKS: Plan IP addressing for your cluster; Troubleshoot the ServiceCidrOverlapExistingSubnetsCidr error code.",
    },
    detect: Evaluation::Rule(detect),
};

/// How many overlaps have a finding each.
const MOST: usize = 20;

fn detect(cluster: &Cluster) -> Outcome {
    let subnets = &cluster.ledger.subnets;
    let mut findings: Vec<Finding> = Vec::new();
    for overlap in subnets.overlaps.iter().take(MOST) {
        let (a, b) = (&overlap.first, &overlap.other);
        let title = format!("{} {} overlaps {} {}", a.0, a.1, b.0, b.1);
        let Some(mut finding) =
            Finding::new(DETECTOR.id, &format!("{} {}", a.1, b.1), title, overlap.evidence.clone())
        else {
            continue;
        };
        finding.severity = Severity::High;
        finding.confidence = Confidence::Confirmed;
        finding.cause = format!(
            "{} is {} and {} is {}: traffic to the IPs that they share reaches only one of them.",
            a.0, a.1, b.0, b.1
        );
        finding.fix = fix();
        finding.verify = vec!["az aks show -g RESOURCE_GROUP -n CLUSTER --query networkProfile   # its CIDRs overlap with no network".to_owned()];
        findings.push(finding);
    }
    if let Some((why, evidence)) = &subnets.dns_misplaced
        && let Some(mut finding) = Finding::new(DETECTOR.id, "dns", why.clone(), evidence.clone())
    {
        finding.severity = Severity::High;
        finding.confidence = Confidence::Confirmed;
        finding.cause = format!("Cluster DNS cannot work with this setting: {why}.");
        finding.fix = fix();
        findings.push(finding);
    }
    findings.extend(nodes_in_pod_ranges(cluster));
    findings.extend(nodes_in_pools(cluster));
    findings.extend(doubled_routes(cluster));
    for (key, tally) in observed_refusals(cluster, Signal::CidrOverlap) {
        let ranges = key.detail.replace(' ', " and ");
        let title = if ranges.is_empty() {
            "Azure rejected an IP range: it overlaps, or dnsServiceIP is outside serviceCidr".to_owned()
        } else {
            format!("Azure rejected an IP range: {ranges} overlap")
        };
        let Some(mut finding) = Finding::new(
            DETECTOR.id,
            &format!("azure {}", key.detail),
            title,
            tally.examples.as_slice().to_vec(),
        ) else {
            continue;
        };
        finding.severity = Severity::High;
        finding.confidence = Confidence::Confirmed;
        finding.count = tally.count();
        finding.seen(tally.span.resolve(cluster.anchor));
        finding.cause =
            "Azure rejected the operation because IP ranges overlap or do not fit together; the quoted message has them.".to_owned();
        finding.fix = fix();
        findings.push(finding);
    }
    findings.into()
}

/// Addresses of nodes that lie in the podCIDR of a node: whoever has a route to those pods never reaches the node.
fn nodes_in_pod_ranges(cluster: &Cluster) -> Vec<Finding> {
    let nodes = &cluster.facts.objects.nodes;
    let pod_ranges: Vec<_> = nodes
        .iter()
        .filter_map(|(key, seen)| Some((key, seen, seen.object.spec.pod_cidr.parse::<IpNet>().ok()?)))
        .collect();
    let mut findings = Vec::new();
    for (key, seen) in nodes.iter() {
        let internal = seen.object.status.addresses.iter().filter(|address| &*address.r#type == "InternalIP");
        for ip in internal.filter_map(|address| address.address.parse::<IpAddr>().ok()) {
            let Some((other, other_seen, pods)) = pod_ranges.iter().find(|(.., pods)| pods.contains(&ip))
            else {
                continue;
            };
            let mut evidence = seen.evidence("Node", key);
            evidence.truncate(1);
            evidence.extend(other_seen.evidence("Node", other).into_iter().take(1));
            let title = format!(
                "Node {}: its address {ip} lies inside podCIDR {pods} of node {}",
                key.name, other.name
            );
            let Some(mut finding) =
                Finding::new(DETECTOR.id, &format!("{} {pods}", key.name), title, evidence)
            else {
                continue;
            };
            finding.severity = Severity::High;
            finding.confidence = Confidence::Confirmed;
            finding.subjects = vec![node_subject(&key.name)];
            finding.cause = format!(
                "The node network overlaps the pod range: {ip} is the address of node {}, and pods of node {} can get it too. Other nodes route it to those pods, so they cannot reach the node.",
                key.name, other.name
            );
            finding.fix = renumber();
            finding.verify = vec!["kubectl get nodes -o custom-columns='NAME:.metadata.name,IP:.status.addresses[0].address,PODS:.spec.podCIDR'   # no IP inside PODS".to_owned()];
            findings.push(finding);
        }
    }
    findings.truncate(MOST);
    findings
}

/// Nodes whose address lies inside a pool that Calico gives pods addresses from.
fn nodes_in_pools(cluster: &Cluster) -> Vec<Finding> {
    let nodes = &cluster.facts.objects.nodes;
    let mut findings = Vec::new();
    for (pool_key, pool_seen) in cluster.facts.objects.ip_pools.iter() {
        let spec = &pool_seen.object.spec;
        let Ok(pool) = spec.cidr.parse::<IpNet>() else { continue };
        let of_pods =
            spec.allowed_uses.is_empty() || spec.allowed_uses.iter().any(|what| &**what == "Workload");
        if spec.disabled || !of_pods {
            continue;
        }
        let inside: Vec<_> = nodes
            .iter()
            .filter_map(|(key, seen)| {
                let mut internal =
                    seen.object.status.addresses.iter().filter(|address| &*address.r#type == "InternalIP");
                let ip: IpAddr = internal.find_map(|address| address.address.parse().ok())?;
                pool.contains(&ip).then_some((key, seen, ip))
            })
            .collect();
        let Some((first, first_seen, ip)) = inside.first() else { continue };
        let mut evidence = pool_seen.evidence("IPPool", pool_key);
        evidence.truncate(1);
        evidence.extend(first_seen.evidence("Node", first).into_iter().take(1));
        let more = if inside.len() > 1 { format!(" and {} more", inside.len() - 1) } else { String::new() };
        let title = format!(
            "Node {} ({ip}){more} lies inside Calico IPPool {} ({pool}): CIDR overlap",
            first.name, pool_key.name
        );
        let id = format!("pool {}", pool_key.name);
        let Some(mut finding) = Finding::new(DETECTOR.id, &id, title, evidence) else { continue };
        finding.severity = Severity::High;
        finding.confidence = Confidence::Confirmed;
        finding.count = inside.len() as u64;
        finding.unit = "node";
        finding.subjects = inside.iter().take(50).map(|(key, ..)| node_subject(&key.name)).collect();
        finding.cause = format!(
            "The node network overlaps the pod IP pool {pool}: pods can get addresses that machines of that network have, and packets to those machines go to the pod network."
        );
        finding.fix = renumber();
        finding.verify = vec!["kubectl get ippools.crd.projectcalico.org -o custom-columns=NAME:.metadata.name,CIDR:.spec.cidr   # no node's InternalIP inside".to_owned()];
        findings.push(finding);
    }
    findings.truncate(MOST);
    findings
}

/// Interfaces of pod networks, by the beginnings of their names.
const POD_INTERFACES: [&str; 6] = ["flannel", "cni", "tunl", "vxlan.calico", "cilium_", "cbr"];

/// A range that a node routes to pods and has on a link of its own.
fn doubled_routes(cluster: &Cluster) -> Vec<Finding> {
    let of_pods = |device: &str| POD_INTERFACES.iter().any(|start| device.starts_with(start));
    let mut findings = Vec::new();
    for (place, state) in cluster.facts.nodes.ip_states.iter() {
        for route in state.routes.iter().filter(|route| of_pods(&route.device) && route.kind.is_empty()) {
            let link = state.routes.iter().find(|other| {
                other.destination == route.destination
                    && other.gateway.is_empty()
                    && other.kind.is_empty()
                    && !of_pods(&other.device)
            });
            let (Some(link), Some(shared)) = (link, route.destination.parse::<IpNet>().ok()) else {
                continue;
            };
            let who =
                state.node.as_deref().map_or_else(|| "A node".to_owned(), |node| format!("Node {node}"));
            let title = format!(
                "{who}: the LAN of {}, {shared}, lies inside the pod range ({} routes it to pods)",
                link.device, route.device
            );
            let words = format!("{shared} dev {} and {shared} dev {}", route.device, link.device);
            let evidence = vec![Evidence::line(&place.source, place.line, words.as_bytes())];
            let Some(mut finding) = Finding::new(DETECTOR.id, &format!("{who} {shared}"), title, evidence)
            else {
                continue;
            };
            finding.severity = Severity::High;
            finding.confidence = Confidence::Confirmed;
            finding.subjects = state.node.iter().map(|node| node_subject(node)).collect();
            finding.cause = format!(
                "The node has two routes for {shared}: to pods of another node by {}, and to its own network on {}. The ranges overlap, so machines on that network or those pods are unreachable.",
                route.device, link.device
            );
            finding.fix = renumber();
            finding.verify = vec![format!("ip route show {shared}   # on the node: one route")];
            findings.push(finding);
        }
    }
    findings.truncate(MOST);
    findings
}

fn renumber() -> Fix {
    Fix {
        text: "Pod range and node network must not overlap. The pod range of an existing cluster cannot be changed in place: move the nodes to another network, or create the cluster again with another one (cluster-cidr, podCidr).".to_owned(),
        commands: vec!["kubectl get nodes -o wide".to_owned()],
        manifests: Vec::new(),
    }
}

fn fix() -> Fix {
    Fix {
        text: "Change or remove the subnet or the peering that overlaps; removing a peering cuts the traffic over it. serviceCidr and podCidr of an existing cluster cannot be changed (an overlay's podCidr can only grow): that needs a new cluster.".to_owned(),
        commands: vec![
            "az network vnet list --query '[].{name:name,prefixes:addressSpace.addressPrefixes,peerings:virtualNetworkPeerings[].name}'   # all ranges".to_owned(),
        ],
        manifests: Vec::new(),
    }
}
