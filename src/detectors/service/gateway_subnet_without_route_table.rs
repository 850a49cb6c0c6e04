//! With kubenet, the subnet of an application gateway lacks the route table of the nodes.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::{Routes, Subnet, at, range};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity, SubjectRef, shell,
};
use crate::facts::AzureKind;

pub(super) const DETECTOR: Detector = Detector {
    id: "gateway-subnet-without-route-table",
    chapter: Chapter::Service,
    title: "Application Gateway subnet lacks the route table of kubenet",
    needs: &[SUBNETS, TABLES],
    explains: &["gateway-backend-unhealthy", "connection-failing"],
    doc: Doc {
        meaning: "With kubenet, pods have addresses outside the VNet, and only the route table of the nodes knows which node has which podCIDR. A subnet that sends to pods, as that of an Application Gateway does, needs the same route table; without it the gateway reaches no pod and answers 502.",
        decision: "The route table of the nodes has routes to podCIDRs, and the gateway's subnet has none or another one. Confirmed when the gateway's probe cannot connect to pods of these ranges, likely otherwise.",
        action: "Associate the route table of the nodes with the gateway's subnet.",
        reference: "learn.microsoft.com: Application Gateway infrastructure configuration (supported user-defined routes); AGIC troubleshooting with kubenet.",
    },
    detect: Evaluation::Rule(detect),
};

const SUBNETS: Need = Need {
    what: "the VNet with its subnets",
    why: "they show the subnet of the application gateway and its route table",
    command: "az network vnet show -g RESOURCE_GROUP -n VNET -o json > vnet.json",
    met: |cluster| !cluster.azure.gateway_subnets.is_empty(),
};

const TABLES: Need = Need {
    what: "the route tables (kubenet clusters only)",
    why: "they hold the routes to the nodes' podCIDRs",
    command: "az network route-table list -o json > route-tables.json",
    met: |cluster| cluster.facts.azure.of(AzureKind::RouteTable).next().is_some(),
};

/// Whether a table leads ranges of pods to nodes, as the cloud provider writes it for kubenet.
fn leads_to_pods(cluster: &Cluster, table: &Routes) -> bool {
    let pods: Vec<_> = cluster
        .azure
        .clusters
        .iter()
        .flat_map(|aks| &aks.pod_ranges)
        .filter_map(|text| range(text))
        .collect();
    table
        .hops
        .iter()
        .filter(|hop| hop.kind.eq_ignore_ascii_case("VirtualAppliance"))
        .any(|hop| range(&hop.prefix).is_some_and(|route| pods.iter().any(|pods| pods.contains(&route))))
}

fn detect(cluster: &Cluster) -> Outcome {
    let azure = &cluster.azure;
    let tables: Vec<&Routes> =
        azure.routes.iter().filter(|table| !table.effective && leads_to_pods(cluster, table)).collect();
    let gateways: Vec<&Subnet> =
        azure.subnets.iter().filter(|subnet| azure.gateway_subnets.contains(&subnet.id)).collect();
    let Some(table) = tables.first() else { return Outcome::default() };
    let has_it =
        |subnet: &Subnet| tables.iter().any(|table| subnet.table == table.id) && !subnet.table.is_empty();
    let findings: Vec<Finding> = gateways
        .iter()
        .filter(|subnet| !has_it(subnet))
        .filter_map(|subnet| finding(cluster, table, subnet))
        .collect();
    let mut outcome: Outcome = findings.into();
    if outcome.findings.is_empty() && !gateways.is_empty() {
        outcome.ruled_out = Some("the gateway's subnet has the route table of the nodes".to_owned());
    }
    outcome
}

fn finding(cluster: &Cluster, table: &Routes, subnet: &Subnet) -> Option<Finding> {
    let current = match subnet.table.rsplit('/').next() {
        Some(name) if !name.is_empty() => format!("route table {name}"),
        _ => "no route table".to_owned(),
    };
    let network = cluster.azure.networks.iter().find(|network| network.id == subnet.network());
    let place = network.and_then(|network| network.place.as_ref()).or(table.place.as_ref())?;
    let mut evidence =
        vec![at(place, &format!("subnet {}", subnet.name), &format!("Application Gateway in it, {current}"))];
    let hop = table.hops.iter().find(|hop| hop.kind.eq_ignore_ascii_case("VirtualAppliance"));
    if let (Some(place), Some(hop)) = (&table.place, hop) {
        evidence.push(at(
            place,
            &format!("route table {}", table.name),
            &format!("{} via {}", hop.prefix, hop.ip),
        ));
    }
    let in_pods = |address: &str| {
        address.parse::<std::net::IpAddr>().is_ok_and(|ip| {
            table
                .hops
                .iter()
                .filter_map(|hop| range(&hop.prefix))
                .any(|range| range.prefix_len() > 0 && range.contains(&ip))
        })
    };
    let unreached: Vec<_> = cluster
        .azure
        .gateway_servers
        .iter()
        .filter(|server| {
            server.fails() && in_pods(&server.address) && server.log.to_ascii_lowercase().contains("connect")
        })
        .collect();
    if let Some(server) = unreached.first() {
        evidence.extend(server.place.as_ref().map(|place| {
            at(place, &format!("backend {}", server.address), &format!("{}: {}", server.health, server.log))
        }));
    }
    let title = format!("Application Gateway subnet {} has {current}: no route to kubenet pods", subnet.name);
    let mut finding = Finding::new(DETECTOR.id, &subnet.name, title, evidence)?;
    finding.severity = Severity::High;
    finding.confidence = if unreached.is_empty() { Confidence::Likely } else { Confidence::Confirmed };
    finding.unit = "subnet";
    finding.subjects =
        vec![SubjectRef { kind: "Subnet".to_owned(), namespace: String::new(), name: subnet.name.clone() }];
    let pods = cluster.facts.objects.pods.iter();
    let pods = pods.filter(|(_, seen)| {
        unreached.iter().any(|server| *server.address == *seen.object.status.pod_ip.to_string())
    });
    finding.subjects.extend(pods.take(50).map(|(key, _)| common::subject("Pod", key)));
    let tried = if unreached.is_empty() {
        String::new()
    } else {
        format!(" Backends that its probe cannot connect to: {}.", unreached.len())
    };
    finding.cause = format!(
        "Only route table {} knows which node has which podCIDR, and the subnet {} of the Application Gateway has {current}: packets from the gateway to pods have no route.{tried}",
        table.name, subnet.name
    );
    finding.fix = Fix {
        text: format!(
            "Associate route table {} with the gateway's subnet. A route 0.0.0.0/0 to a virtual appliance in that table is not supported for the subnet of an Application Gateway v2: put the podCIDR routes into a table of its own then.",
            table.name
        ),
        commands: vec![format!(
            "az network vnet subnet update --ids {} --route-table {}",
            shell(&subnet.id),
            shell(&table.id)
        )],
        manifests: Vec::new(),
    };
    let gateway = cluster.azure.gateway_servers.first().filter(|server| !server.gateway.is_empty());
    let named = gateway.map_or_else(
        || "-g RESOURCE_GROUP -n APPGW".to_owned(),
        |server| format!("-g {} -n {}", shell(&server.group), shell(&server.gateway)),
    );
    finding.verify =
        vec![format!("az network application-gateway show-backend-health {named}   # servers are Healthy")];
    Some(finding)
}
