//! The cluster as Azure describes it: who may reach the API server, how nodes leave, what filters, routes and DNS say.

mod aks;
mod filter;
mod gateway;
pub mod required;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

pub use aks::{AksCluster, Cloud, HttpProxy};
pub use filter::{Far, Filtered, SecurityGroup, SecurityRule};
pub use gateway::{BalancerProbe, GatewayServer};

use crate::evidence::{Evidence, excerpt};
use crate::facts::{AzureKind, AzureResource, Facts, Place, Whose};

/// The address under which every virtual machine finds Azure's own DNS.
pub const AZURE_DNS: &str = "168.63.129.16";

/// A subnet.
#[derive(Clone, Debug, Default)]
pub struct Subnet {
    /// In lower case.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its ranges.
    pub ranges: Vec<IpNet>,
    /// Id of its route table, in lower case; empty when it has none.
    pub table: String,
    /// Nodes of the cluster are in it.
    pub of_nodes: bool,
}

impl Subnet {
    /// Id of its network.
    pub fn network(&self) -> &str {
        self.id.split_once("/subnets/").map_or("", |(network, _)| network)
    }
}

/// A virtual network.
#[derive(Clone, Debug, Default)]
pub struct VirtualNetwork {
    /// In lower case.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Option<Place>,
    /// Its ranges.
    pub ranges: Vec<IpNet>,
    /// DNS servers that it gives to its machines; none: Azure's own.
    pub dns: Vec<String>,
    /// Nodes of the cluster are in it.
    pub of_nodes: bool,
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextHop {
    /// Its name; empty for effective ones.
    pub name: String,
    /// To where.
    pub prefix: String,
    /// `VirtualAppliance`, `Internet`, `None`, `VnetLocal`, `VirtualNetworkGateway`.
    pub kind: String,
    /// By way of.
    pub ip: String,
}

impl NextHop {
    /// It is the way to the Internet.
    pub fn is_default(&self) -> bool {
        self.prefix == "0.0.0.0/0"
    }
}

/// Routes: a table of the user, or what holds at an interface.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// Name of the table, or of the interface.
    pub name: String,
    /// In lower case.
    pub id: String,
    /// Where they stand.
    pub place: Option<Place>,
    /// The routes.
    pub hops: Vec<NextHop>,
    /// A subnet of the cluster's nodes uses them.
    pub of_nodes: bool,
    /// They are what holds, all sources together.
    pub effective: bool,
}

/// A private DNS zone and the networks that see it.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    /// `x.privatelink.westeurope.azmk8s.io`.
    pub name: String,
    /// Where it stands.
    pub place: Option<Place>,
    /// Ids of the networks that it is linked to, in lower case, and the state of the link.
    pub links: Vec<(String, String)>,
    /// The bundle lists its links: without a list their absence proves nothing.
    pub links_listed: bool,
}

/// A private endpoint.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Option<Place>,
    /// `Approved`, `Pending`, `Rejected`, `Disconnected`.
    pub status: String,
    /// Why, as Azure says.
    pub description: String,
    /// It leads to the API server.
    pub of_api: bool,
}

/// A firewall or its policy: what it lets pass.
#[derive(Clone, Debug, Default)]
pub struct Firewall {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Option<Place>,
    /// Its private addresses.
    pub addresses: Vec<IpAddr>,
    /// Names that its allowing rules let pass, with the tags.
    pub names: Vec<String>,
    /// It has rules that name hosts or tags.
    pub has_rules: bool,
}

/// An address by which nodes leave, and from what that is known.
#[derive(Clone, Debug)]
pub struct Egress {
    /// The address.
    pub ip: IpAddr,
    /// From what.
    pub evidence: Evidence,
}

/// What Azure knows.
#[derive(Clone, Debug, Default)]
pub struct Azure {
    /// Clusters, usually one.
    pub clusters: Vec<AksCluster>,
    /// Public addresses by which nodes leave.
    pub egress: Vec<Egress>,
    /// Security groups.
    pub groups: Vec<SecurityGroup>,
    /// Networks.
    pub networks: Vec<VirtualNetwork>,
    /// Subnets.
    pub subnets: Vec<Subnet>,
    /// Routes.
    pub routes: Vec<Routes>,
    /// Private zones.
    pub zones: Vec<Zone>,
    /// Private endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Firewalls.
    pub firewalls: Vec<Firewall>,
    /// Servers behind application gateways.
    pub gateway_servers: Vec<GatewayServer>,
    /// Ids of the subnets that application gateways stand in, in lower case.
    pub gateway_subnets: Vec<String>,
    /// Health probes of load balancers.
    pub probes: Vec<BalancerProbe>,
}

/// One text, or a list of texts.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(item)) if !item.is_empty() => vec![item.clone()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// The ids of a list of references, in lower case.
fn ids(value: Option<&Value>) -> Vec<String> {
    let all = value.and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|item| item.get("id")?.as_str()).map(str::to_ascii_lowercase).collect()
}

/// The id of a reference, in lower case.
fn id_of(value: Option<&Value>) -> String {
    value.and_then(|item| item.get("id")?.as_str()).unwrap_or_default().to_ascii_lowercase()
}

/// A range, or a single address.
pub fn range(text: &str) -> Option<IpNet> {
    text.trim().parse().ok().or_else(|| text.trim().parse::<IpAddr>().ok().map(IpNet::from))
}

fn ranges(value: &Value) -> Vec<IpNet> {
    let mut all = texts(value.get("addressprefix"));
    all.extend(texts(value.get("addressprefixes")));
    all.extend(texts(value.get("addressspace").and_then(|space| space.get("addressprefixes"))));
    all.iter().filter_map(|text| range(text)).collect()
}

/// Whether an address is of a private network (RFC 1918, RFC 4193, RFC 6598).
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.segments().first().is_some_and(|first| first & 0xfe00 == 0xfc00)
        }
    }
}

/// Whether a prefix is of a private network.
fn private(prefix: &str) -> bool {
    range(prefix).is_some_and(|range| is_private(range.addr()))
}

/// A place with words on what it says.
pub fn at(place: &Place, what: &str, words: &str) -> Evidence {
    Evidence {
        source: place.source.clone(),
        line: place.line,
        pointer: Some(what.into()),
        excerpt: excerpt(words.as_bytes()),
    }
}

impl Azure {
    /// Of a bundle.
    pub fn new(facts: &Facts) -> Self {
        let of = |kind: AzureKind| facts.azure.of(kind);
        let mut azure = Self { clusters: clusters(facts), ..Self::default() };
        let pools: Vec<&String> = azure.clusters.iter().flat_map(|cluster| &cluster.subnets).collect();
        azure.subnets = of(AzureKind::Subnet)
            .map(|(_, resource)| Subnet {
                id: resource.id.to_string(),
                name: resource.name.to_string(),
                ranges: ranges(&resource.value),
                table: id_of(resource.value.get("routetable")),
                of_nodes: pools.iter().any(|id| **id == *resource.id),
            })
            .collect();
        azure.networks = of(AzureKind::VirtualNetwork)
            .map(|(place, resource)| VirtualNetwork {
                id: resource.id.to_string(),
                name: resource.name.to_string(),
                place: Some(place.clone()),
                ranges: ranges(&resource.value),
                dns: texts(resource.value.get("dhcpoptions").and_then(|options| options.get("dnsservers"))),
                of_nodes: pools
                    .iter()
                    .any(|id| !resource.id.is_empty() && id.starts_with(&format!("{}/", resource.id))),
            })
            .collect();
        // Where nothing tells whose a single network is, it is the cluster's.
        if let [only] = azure.networks.as_mut_slice() {
            only.of_nodes |= pools.is_empty();
        }
        azure.groups =
            of(AzureKind::SecurityGroup).map(|(place, item)| SecurityGroup::read(place, item)).collect();
        for (_, subnet) in
            of(AzureKind::Subnet).filter(|(_, subnet)| pools.iter().any(|id| **id == *subnet.id))
        {
            let id = id_of(subnet.value.get("networksecuritygroup"));
            azure
                .groups
                .iter_mut()
                .filter(|group| group.id == id && !id.is_empty())
                .for_each(|group| group.of_subnet = true);
        }
        // The group says itself which subnets it filters.
        for (_, resource) in of(AzureKind::SecurityGroup) {
            let current = ids(resource.value.get("subnets"));
            let ours = current.iter().any(|id| pools.contains(&id));
            azure
                .groups
                .iter_mut()
                .filter(|group| ours && group.id == *resource.id)
                .for_each(|group| group.of_subnet = true);
        }
        let nodes: Vec<IpNet> = azure
            .subnets
            .iter()
            .filter(|subnet| subnet.of_nodes)
            .flat_map(|subnet| subnet.ranges.clone())
            .collect();
        azure.groups.iter_mut().for_each(|group| group.nodes.clone_from(&nodes));
        azure.routes = routes(facts, &azure.subnets, &pools);
        azure.zones = zones(facts);
        azure.endpoints = of(AzureKind::PrivateEndpoint).map(|(place, item)| endpoint(place, item)).collect();
        azure.firewalls = of(AzureKind::Firewall).map(|(place, item)| firewall(place, item)).collect();
        azure.gateway_servers = gateway::servers(facts);
        azure.gateway_subnets = gateway::subnets(facts);
        azure.probes = gateway::probes(facts);
        azure.egress = egress(facts, &azure.clusters);
        azure
    }

    /// The cluster, when there is exactly one.
    pub fn cluster(&self) -> Option<&AksCluster> {
        match self.clusters.as_slice() {
            [item] => Some(item),
            _ => None,
        }
    }

    /// Nothing tells in which subnets the nodes are.
    fn pools_unknown(&self) -> bool {
        self.clusters.iter().all(|cluster| cluster.subnets.is_empty())
    }

    /// The cluster is cut off from the outside by design.
    pub fn isolated(&self) -> bool {
        self.cluster().is_some_and(|aks| matches!(aks.outbound.as_str(), "none" | "block"))
    }

    /// Groups that filter the cluster's nodes; the only one of a bundle is taken for theirs when nothing tells.
    pub fn node_groups(&self) -> Vec<&SecurityGroup> {
        let ours: Vec<_> = self.groups.iter().filter(|group| group.of_subnet || group.of_nodes).collect();
        match (ours.is_empty() && self.pools_unknown(), self.groups.as_slice()) {
            (true, [only]) => vec![only],
            _ => ours,
        }
    }

    /// The routes that hold for nodes; the only table of a bundle is taken for theirs when nothing tells.
    pub fn node_routes(&self) -> Vec<&Routes> {
        let ours: Vec<_> = self.routes.iter().filter(|table| table.of_nodes || table.effective).collect();
        match (ours.is_empty() && self.pools_unknown(), self.routes.as_slice()) {
            (true, [only]) => vec![only],
            _ => ours,
        }
    }
}

fn clusters(facts: &Facts) -> Vec<AksCluster> {
    let mut found: Vec<AksCluster> = Vec::new();
    for (place, resource) in facts.azure.of(AzureKind::Cluster) {
        let described = AksCluster::read(place, resource);
        // The same cluster may be shown in whole and in part, by one query or by several.
        match found.iter_mut().find(|other| other.is_same(&described)) {
            Some(other) => other.complete(described),
            None => found.push(described),
        }
    }
    found
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RouteRecord {
    name: Option<String>,
    addressprefix: Value,
    nexthoptype: Option<String>,
    nexthopipaddress: Value,
    state: Option<String>,
}

impl RouteRecord {
    fn hops(self) -> Vec<NextHop> {
        let ip = texts(Some(&self.nexthopipaddress)).into_iter().next().unwrap_or_default();
        let (name, kind) = (self.name.unwrap_or_default(), self.nexthoptype.unwrap_or_default());
        let prefixes = texts(Some(&self.addressprefix)).into_iter();
        prefixes
            .map(|prefix| NextHop { name: name.clone(), prefix, kind: kind.clone(), ip: ip.clone() })
            .collect()
    }
}

fn routes(facts: &Facts, subnets: &[Subnet], pools: &[&String]) -> Vec<Routes> {
    let mut found = Vec::new();
    for (place, resource) in facts.azure.of(AzureKind::RouteTable) {
        let all: Vec<RouteRecord> = resource.part("routes");
        let by_subnet = subnets
            .iter()
            .any(|subnet| subnet.of_nodes && subnet.table == *resource.id && !subnet.table.is_empty());
        let by_table = ids(resource.value.get("subnets")).iter().any(|id| pools.contains(&id));
        found.push(Routes {
            name: resource.name.to_string(),
            id: resource.id.to_string(),
            place: Some(place.clone()),
            hops: all.into_iter().flat_map(RouteRecord::hops).collect(),
            of_nodes: by_subnet || by_table || resource.name.starts_with("aks-agentpool"),
            effective: false,
        });
    }
    for (place, resource) in facts.azure.of(AzureKind::EffectiveRoutes) {
        let all: Vec<RouteRecord> = resource.part("value");
        let active = all
            .into_iter()
            .filter(|route| route.state.as_deref().is_none_or(|state| state.eq_ignore_ascii_case("active")));
        found.push(Routes {
            name: "effective routes".to_owned(),
            id: String::new(),
            place: Some(place.clone()),
            hops: active.flat_map(RouteRecord::hops).collect(),
            of_nodes: true,
            effective: true,
        });
    }
    found
}

fn zones(facts: &Facts) -> Vec<Zone> {
    let mut found: Vec<Zone> = facts
        .azure
        .of(AzureKind::PrivateZone)
        .map(|(place, resource)| Zone {
            name: resource.name.to_lowercase(),
            place: Some(place.clone()),
            ..Zone::default()
        })
        .collect();
    for (place, link) in facts.azure.of(AzureKind::ZoneLink) {
        let of_id = link.id.split("/privatednszones/").nth(1).and_then(|rest| rest.split('/').next());
        let Some(name) = of_id.filter(|name| !name.is_empty()) else { continue };
        let network = id_of(link.value.get("virtualnetwork"));
        let state = link.text("virtualnetworklinkstate").to_owned();
        let at = found.iter().position(|zone| zone.name == name).unwrap_or_else(|| {
            found.push(Zone { name: name.to_owned(), place: Some(place.clone()), ..Zone::default() });
            found.len() - 1
        });
        if let Some(zone) = found.get_mut(at) {
            zone.links.push((network, state));
            zone.links_listed = true;
        }
    }
    // A zone says how many links it has.
    for (_, resource) in facts.azure.of(AzureKind::PrivateZone) {
        let count = resource.value.get("numberofvirtualnetworklinks").and_then(Value::as_u64);
        let name = resource.name.to_lowercase();
        found
            .iter_mut()
            .filter(|zone| zone.name == name && count == Some(0))
            .for_each(|zone| zone.links_listed = true);
    }
    found
}

fn endpoint(place: &Place, resource: &AzureResource) -> Endpoint {
    let connections = ["privatelinkserviceconnections", "manualprivatelinkserviceconnections"];
    let all = connections.iter().filter_map(|key| resource.value.get(key)?.as_array()).flatten();
    let mut found =
        Endpoint { name: resource.name.to_string(), place: Some(place.clone()), ..Endpoint::default() };
    for item in all {
        let state = item.get("privatelinkserviceconnectionstate");
        let text =
            |key: &str| state.and_then(|state| state.get(key)?.as_str()).unwrap_or_default().to_owned();
        found.status = text("status");
        found.description = text("description");
        let target =
            item.get("privatelinkserviceid").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        let groups = texts(item.get("groupids"));
        found.of_api =
            target.contains("/managedclusters/") || groups.iter().any(|group| group == "management");
    }
    found.of_api |= found.name == "kube-apiserver";
    found
}

fn firewall(place: &Place, resource: &AzureResource) -> Firewall {
    let mut found =
        Firewall { name: resource.name.to_string(), place: Some(place.clone()), ..Firewall::default() };
    let configurations =
        resource.value.get("ipconfigurations").and_then(Value::as_array).into_iter().flatten();
    found.addresses = configurations
        .filter_map(|configuration| configuration.get("privateipaddress")?.as_str()?.parse().ok())
        .collect();
    let mut open: Vec<&Value> = ["applicationrulecollections", "networkrulecollections", "rulecollections"]
        .iter()
        .filter_map(|key| resource.value.get(key)?.as_array())
        .flatten()
        .collect();
    // Groups of a policy hold collections, which hold rules.
    while let Some(collection) = open.pop() {
        let action =
            collection.get("action").and_then(|action| action.get("type")?.as_str()).unwrap_or("Allow");
        for rule in collection.get("rules").and_then(Value::as_array).into_iter().flatten() {
            let keys = ["targetfqdns", "fqdntags", "destinationfqdns", "destinationaddresses"];
            let names: Vec<String> = keys.iter().flat_map(|key| texts(rule.get(key))).collect();
            found.has_rules |= !names.is_empty();
            if action.eq_ignore_ascii_case("allow") {
                found.names.extend(names);
            }
        }
    }
    found
}

fn egress(facts: &Facts, clusters: &[AksCluster]) -> Vec<Egress> {
    let mut found = Vec::new();
    // With a route to a firewall the nodes leave by its address.
    let by_route = clusters.iter().any(|cluster| cluster.outbound.eq_ignore_ascii_case("userDefinedRouting"));
    for (place, resource) in facts.azure.of(AzureKind::PublicAddress) {
        let Ok(ip) = resource.text("ipaddress").parse::<IpAddr>() else { continue };
        let of_firewall = id_of(resource.value.get("ipconfiguration")).contains("/azurefirewalls/");
        if by_route && of_firewall {
            let words = format!("{ip} is the address of the firewall, outboundType userDefinedRouting");
            found.push(Egress {
                ip,
                evidence: at(place, &format!("public address {}", resource.name), &words),
            });
        }
        if clusters.iter().any(|cluster| cluster.outbound_ids.iter().any(|id| **id == *resource.id)) {
            let words = format!("the nodes leave by {ip}");
            found.push(Egress {
                ip,
                evidence: at(place, &format!("public address {}", resource.name), &words),
            });
        }
    }
    for (place, seen) in facts.nodes.outward.iter() {
        if let (Some(ip), Whose::Cluster) = (seen.address.filter(|ip| !is_private(*ip)), seen.whose) {
            found.push(Egress {
                ip,
                evidence: at(place, &seen.from, &format!("asked in the cluster, answered {ip}")),
            });
        }
    }
    found.sort_by_key(|item| item.ip);
    found.dedup_by_key(|item| item.ip);
    found
}
