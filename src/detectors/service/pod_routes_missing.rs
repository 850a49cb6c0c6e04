//! The route table of a kubenet cluster has no route, or a wrong one, to a node's podCIDR.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use crate::cluster::Cluster;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity, SubjectRef,
};
use crate::evidence::{Evidence, excerpt};
use crate::facts::{AzureKind, AzureResource, Place};

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-routes-missing",
    chapter: Chapter::Service,
    title: "Route to node podCIDR missing (kubenet route table)",
    needs: &[ROUTES, NODES],
    explains: &["connection-failing"],
    doc: Doc {
        meaning: "With kubenet, the route table has one route per node: the node's podCIDR with the node's IP as next hop. Where a route is missing or has another next hop, pods on other nodes cannot reach the pods of that node; on the same node everything works.",
        decision: "Each node's podCIDR is compared with the routes of a table that holds routes to other nodes' podCIDRs. Confirmed when this node's route is missing or its next hop differs from the node's IP. Tables without any such route are not judged.",
        action: "Let AKS reconcile its routes (az aks update).",
        reference: "AKS: Use kubenet networking with your own IP address ranges; Bring your own subnet and route table with kubenet.",
    },
    detect: Evaluation::Rule(detect),
};

const ROUTES: Need = Need {
    what: "the route tables (kubenet clusters only)",
    why: "they hold the routes to the nodes' podCIDRs",
    command: "az network route-table list -o json > route-tables.json",
    met: |cluster| cluster.facts.azure.of(AzureKind::RouteTable).next().is_some(),
};

const NODES: Need = Need {
    what: "the nodes, with their podCIDRs",
    why: "each needs a route",
    command: "kubectl get nodes -o json > nodes.json",
    met: |cluster| cluster.facts.objects.nodes.iter().any(|(_, seen)| !seen.object.spec.pod_cidr.is_empty()),
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodRoute {
    addressprefix: String,
    nexthoptype: String,
    nexthopipaddress: Option<String>,
}

struct Node<'a> {
    name: &'a str,
    range: IpNet,
    address: Option<IpAddr>,
}

fn detect(cluster: &Cluster) -> Outcome {
    let nodes: Vec<Node<'_>> = cluster
        .facts
        .objects
        .nodes
        .iter()
        .filter_map(|(key, seen)| {
            let mut internal =
                seen.object.status.addresses.iter().filter(|address| &*address.r#type == "InternalIP");
            Some(Node {
                name: &key.name,
                range: seen.object.spec.pod_cidr.parse().ok()?,
                address: internal.find_map(|item| item.address.parse().ok()),
            })
        })
        .collect();
    let mut findings = Vec::new();
    for (place, table) in cluster.facts.azure.of(AzureKind::RouteTable) {
        let routes: Vec<PodRoute> = table.part("routes");
        let by_range: BTreeMap<IpNet, &PodRoute> =
            routes.iter().filter_map(|route| Some((route.addressprefix.parse().ok()?, route))).collect();
        let known = nodes.iter().filter(|node| by_range.contains_key(&node.range)).count();
        // A table of something else.
        if known == 0 {
            continue;
        }
        for node in &nodes {
            let why = match by_range.get(&node.range) {
                None => format!("no route to podCIDR {}", node.range),
                Some(route) => {
                    let hop = route.nexthopipaddress.as_deref().and_then(|hop| hop.parse::<IpAddr>().ok());
                    match (hop, node.address) {
                        (Some(hop), Some(current)) if hop != current => {
                            format!(
                                "route to podCIDR {} has next hop {hop}, node IP is {current}",
                                node.range
                            )
                        }
                        (None, Some(_)) if !route.nexthoptype.eq_ignore_ascii_case("VirtualAppliance") => {
                            format!("route to podCIDR {} has next hop type {}", node.range, route.nexthoptype)
                        }
                        _ => continue,
                    }
                }
            };
            findings.extend(finding(place, table, node, &why));
        }
    }
    findings.into()
}

fn finding(place: &Place, table: &AzureResource, node: &Node<'_>, why: &str) -> Option<Finding> {
    let evidence = Evidence {
        source: place.source.clone(),
        line: place.line,
        pointer: Some(format!("route table {}", table.name).into()),
        excerpt: excerpt(why.as_bytes()),
    };
    let title = format!("Node {}: {why} (route table {})", node.name, table.name);
    let mut finding = Finding::new(DETECTOR.id, node.name, title, vec![evidence])?;
    finding.severity = Severity::High;
    finding.confidence = Confidence::Confirmed;
    finding.unit = "node";
    finding.subjects =
        vec![SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.name.to_owned() }];
    finding.details.ip_allocation.pod_range = Some(node.range.to_string());
    finding.details.service.route_table = Some(table.name.to_string());
    finding.cause = format!(
        "With kubenet, pods on other nodes reach those on {} by a route to its podCIDR. Route table {}: {why}.",
        node.name, table.name
    );
    finding.fix = Fix {
        text: "Let AKS reconcile its routes with az aks update (it changes nothing else). Check that the table is associated with the node subnet, and that no other automation writes it.".to_owned(),
        commands: vec!["az aks update -g RESOURCE_GROUP -n CLUSTER".to_owned(), format!("az network route-table route list -g NODE_RESOURCE_GROUP --route-table-name {} -o table", crate::detectors::shell(&table.name))],
        manifests: Vec::new(),
    };
    finding.verify = vec![format!(
        "az network route-table route list -g NODE_RESOURCE_GROUP --route-table-name {} --query \"[?addressPrefix=='{}']\"   # nextHopIpAddress is the node's IP",
        crate::detectors::shell(&table.name),
        node.range
    )];
    Some(finding)
}
