//! Application gateways, and how healthy their backends are; the probes of load balancers
//! (<https://learn.microsoft.com/azure/application-gateway/application-gateway-backend-health-troubleshooting>,
//! <https://learn.microsoft.com/azure/load-balancer/load-balancer-custom-probe-overview>).

use serde::Deserialize;
use serde_json::Value;

use crate::facts::{AzureKind, Facts, Place};

/// A server behind an application gateway, as its health probe sees it.
#[derive(Clone, Debug, Default)]
pub struct GatewayServer {
    /// Name of the gateway, as its ids tell.
    pub gateway: String,
    /// Resource group of the gateway.
    pub group: String,
    /// Name of the pool.
    pub pool: String,
    /// Name of its HTTP settings.
    pub setting: String,
    /// Address or name.
    pub address: String,
    /// `Healthy`, `Unhealthy`, `Unknown`, `Draining`, `Partial`, `Up`, `Down`.
    pub health: String,
    /// What the probe says.
    pub log: String,
    /// Where it stands.
    pub place: Option<Place>,
}

impl GatewayServer {
    /// The probe says that it fails.
    pub fn fails(&self) -> bool {
        self.health.eq_ignore_ascii_case("unhealthy") || self.health.eq_ignore_ascii_case("down")
    }
}

/// A health probe of a load balancer.
#[derive(Clone, Debug, Default)]
pub struct BalancerProbe {
    /// Name of the load balancer.
    pub balancer: String,
    /// Name of the probe.
    pub name: String,
    /// `Tcp`, `Http`, `Https`.
    pub protocol: String,
    /// The port of the nodes.
    pub port: u32,
    /// The path that is asked for.
    pub path: String,
    /// Where it stands.
    pub place: Option<Place>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServerRecord {
    address: Option<String>,
    health: Option<String>,
    healthprobelog: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProbeRecord {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<u32>,
    requestpath: Option<String>,
}

/// The part of an id that follows a word: `agw` of `…/applicationGateways/agw/…`.
fn part(id: &str, word: &str) -> String {
    let lower = id.to_ascii_lowercase();
    let at = lower.find(word).map(|at| at + word.len());
    at.and_then(|at| id.get(at..)?.split('/').next()).unwrap_or_default().to_owned()
}

fn id(value: &Value, key: &str) -> String {
    value.get(key).and_then(|item| item.get("id")?.as_str()).unwrap_or_default().to_owned()
}

/// Servers of all gateways whose health is in the bundle.
pub(super) fn servers(facts: &Facts) -> Vec<GatewayServer> {
    let mut found = Vec::new();
    let list =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    for (place, resource) in facts.azure.of(AzureKind::GatewayHealth) {
        for pool in list(&resource.value, "backendaddresspools") {
            let pool_id = id(&pool, "backendaddresspool");
            for setting in list(&pool, "backendhttpsettingscollection") {
                let setting_id = id(&setting, "backendhttpsettings");
                for server in list(&setting, "servers") {
                    let server = ServerRecord::deserialize(server).unwrap_or_default();
                    found.push(GatewayServer {
                        gateway: part(&pool_id, "/applicationgateways/"),
                        group: part(&pool_id, "/resourcegroups/"),
                        pool: pool_id.rsplit('/').next().unwrap_or_default().to_owned(),
                        setting: setting_id.rsplit('/').next().unwrap_or_default().to_owned(),
                        address: server.address.unwrap_or_default(),
                        health: server.health.unwrap_or_default(),
                        log: server.healthprobelog.unwrap_or_default(),
                        place: Some(place.clone()),
                    });
                }
            }
        }
    }
    found
}

/// Ids, in lower case, of the subnets that application gateways stand in.
pub(super) fn subnets(facts: &Facts) -> Vec<String> {
    let mut found: Vec<String> = facts
        .azure
        .of(AzureKind::Gateway)
        .flat_map(|(_, gateway)| {
            let all = gateway.value.get("gatewayipconfigurations").and_then(Value::as_array).cloned();
            all.unwrap_or_default()
        })
        .map(|configuration| id(&configuration, "subnet").to_ascii_lowercase())
        .collect();
    // A subnet lists what stands in it.
    for (_, subnet) in facts.azure.of(AzureKind::Subnet) {
        let mut keys = ["ipconfigurations", "applicationgatewayipconfigurations"].iter();
        let holds = keys.any(|key| {
            let all = subnet.value.get(*key).and_then(Value::as_array).into_iter().flatten();
            all.filter_map(|item| item.get("id")?.as_str())
                .any(|id| id.to_ascii_lowercase().contains("/applicationgateways/"))
        });
        if holds {
            found.push(subnet.id.to_string());
        }
    }
    found.retain(|id| !id.is_empty());
    found.sort();
    found.dedup();
    found
}

/// Health probes of all load balancers.
pub(super) fn probes(facts: &Facts) -> Vec<BalancerProbe> {
    let mut found = Vec::new();
    for (place, balancer) in facts.azure.of(AzureKind::LoadBalancer) {
        for probe in balancer.part::<Vec<Value>>("probes") {
            let probe = ProbeRecord::deserialize(probe).unwrap_or_default();
            found.push(BalancerProbe {
                balancer: balancer.name.to_string(),
                name: probe.name.unwrap_or_default(),
                protocol: probe.protocol.unwrap_or_default(),
                port: probe.port.unwrap_or_default(),
                path: probe.requestpath.unwrap_or_default(),
                place: Some(place.clone()),
            });
        }
    }
    found
}
