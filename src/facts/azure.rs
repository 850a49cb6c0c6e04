//! Azure resources that matter to a cluster's network, as `az` or the resource manager show them.
//!
//! Two dialects: the CLI's flat one, and the manager's with everything under `properties`; keys differ
//! in case between versions (<https://learn.microsoft.com/rest/api/aks/>). The format lowers all keys before it reads.

use serde::Deserialize;
use serde_json::Value;

use super::node::Place;
use super::tally::BoundedMap;

/// Ends of the names of AKS API servers, in all clouds (<https://learn.microsoft.com/azure/aks/outbound-rules-control-egress>).
pub const API_SERVER_DOMAINS: &[&str] = &[".azmk8s.io", ".azk8s.cn", ".aks.containerservice.azure.us"];

/// The kinds that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AzureKind {
    /// `az aks show`.
    Cluster,
    /// A subnet.
    Subnet,
    /// A virtual network.
    VirtualNetwork,
    /// A network security group.
    SecurityGroup,
    /// A route table.
    RouteTable,
    /// Effective routes of an interface.
    EffectiveRoutes,
    /// The next hop to one address.
    NextHop,
    /// A private DNS zone.
    PrivateZone,
    /// A link of a private DNS zone to a network.
    ZoneLink,
    /// A record set.
    RecordSet,
    /// A private endpoint.
    PrivateEndpoint,
    /// A load balancer.
    LoadBalancer,
    /// A public address.
    PublicAddress,
    /// A network interface.
    Interface,
    /// A firewall or its policy.
    Firewall,
    /// An application gateway.
    Gateway,
    /// The health of an application gateway's backends.
    GatewayHealth,
}

impl AzureKind {
    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Cluster => "AKS cluster",
            Self::Subnet => "subnet",
            Self::VirtualNetwork => "virtual network",
            Self::SecurityGroup => "network security group",
            Self::RouteTable => "route table",
            Self::EffectiveRoutes => "effective routes",
            Self::NextHop => "next hop",
            Self::PrivateZone => "private DNS zone",
            Self::ZoneLink => "private DNS zone link",
            Self::RecordSet => "DNS record set",
            Self::PrivateEndpoint => "private endpoint",
            Self::LoadBalancer => "load balancer",
            Self::PublicAddress => "public address",
            Self::Interface => "network interface",
            Self::Firewall => "firewall",
            Self::Gateway => "application gateway",
            Self::GatewayHealth => "backend health of an application gateway",
        }
    }
}

/// A resource: all its keys in lower case, `properties` dissolved into it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AzureResource {
    /// What it is.
    pub kind: Option<AzureKind>,
    /// In lower case: the casing of ids differs between API versions.
    pub id: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The whole of it.
    pub value: Value,
}

// `Value` holds floating point numbers, and compares them well enough for equality of what was read.
impl Eq for AzureResource {}

impl AzureResource {
    /// A part of it in a shape of one's own; missing parts take their default.
    pub fn part<T: Default + for<'a> Deserialize<'a>>(&self, key: &str) -> T {
        self.value.get(key).and_then(|part| T::deserialize(part).ok()).unwrap_or_default()
    }

    /// A text.
    pub fn text(&self, key: &str) -> &str {
        self.value.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

/// All resources, by place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AzureFacts {
    /// By place.
    pub resources: BoundedMap<(Place, u32), AzureResource, 20_000>,
}

impl AzureFacts {
    /// Those of a kind.
    pub fn of(&self, kind: AzureKind) -> impl Iterator<Item = (&Place, &AzureResource)> {
        let all = self.resources.iter().filter(move |(_, resource)| resource.kind == Some(kind));
        all.map(|((place, _), resource)| (place, resource))
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        self.resources.merge(other.resources, |kept, more| {
            if kept.kind.is_none() {
                *kept = more;
            }
        });
    }
}
