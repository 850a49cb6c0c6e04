//! The route table of a kubenet cluster does not lead a node's pods to the node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use crate::cluster::Cluster;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Finding, Fix, Need, Outcome, Severity, SubjectRef,
};
use crate::evidence::{Evidence, excerpt};
use crate::facts::{AzureKind, AzureResource, Place};

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-routes-missing",
    chapter: Chapter::Service,
    title: "The route table does not lead to the pods of a node",
    guide: &["3.5"],
    needs: &[ROUTES, NODES],
    explains: &[],
    doc: Doc {
        meaning: "With kubenet, Azure's route table has one route per node: its range of pod addresses, by way of the node's address. Where a route is missing or leads to another address, pods of other nodes can't reach the pods of that node; on the same node everything works.",
        decision: "The node's podCIDR is compared with the routes of the table that holds routes of other nodes. Confirmed when the table has routes of other nodes and none, or a wrong next hop, for this one. Tables without any route of a node are not of kubenet, and not judged.",
        action: "Let AKS write its routes anew.",
        reference: "AKS: use kubenet networking; bring your own subnet and route table.",
    },
    detect,
};

const ROUTES: Need = Need {
    what: "the route tables (kubenet clusters only)",
    why: "they lead pod addresses to nodes",
    command: "az network route-table list -o json > route-tables.json",
    met: |cluster| cluster.facts.azure.of(AzureKind::RouteTable).next().is_some(),
};

const NODES: Need = Need {
    what: "the nodes, with their pod ranges",
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
                None => format!("it has no route for {}", node.range),
                Some(route) => {
                    let hop = route.nexthopipaddress.as_deref().and_then(|hop| hop.parse::<IpAddr>().ok());
                    match (hop, node.address) {
                        (Some(hop), Some(current)) if hop != current => {
                            format!("its route for {} leads to {hop}, and the node has {current}", node.range)
                        }
                        (None, Some(_)) if !route.nexthoptype.eq_ignore_ascii_case("VirtualAppliance") => {
                            format!("its route for {} leads to {}", node.range, route.nexthoptype)
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
    let title = format!("Node {}: route table {} does not lead to its pods, {why}", node.name, table.name);
    let mut finding = Finding::new(DETECTOR.id, node.name, title, vec![evidence])?;
    finding.severity = Severity::High;
    finding.confidence = Confidence::Confirmed;
    finding.unit = "node";
    finding.subjects =
        vec![SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.name.to_owned() }];
    finding.detail("pod_range", node.range.to_string());
    finding.detail("route_table", &table.name);
    finding.cause = format!(
        "Pods of other nodes reach those of {} ({}) by route table {}; {why}.",
        node.name, node.range, table.name
    );
    finding.fix = Fix {
        text: "Let AKS reconcile its routes; check that the table is associated with the node subnet, and that nobody else writes it. Never delete routes of AKS by hand.".to_owned(),
        commands: vec!["az aks update -g RESOURCE_GROUP -n CLUSTER".to_owned(), format!("az network route-table route list -g NODE_RESOURCE_GROUP --route-table-name {} -o table", crate::detectors::shell(&table.name))],
        manifests: Vec::new(),
    };
    finding.verify = vec![format!(
        "az network route-table route list -g NODE_RESOURCE_GROUP --route-table-name {} --query \"[?addressPrefix=='{}']\"",
        crate::detectors::shell(&table.name),
        node.range
    )];
    Some(finding)
}
