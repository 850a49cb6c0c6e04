//! Network security groups: what their rules let pass, by priority
//! (<https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview>).

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{private, range, texts};
use crate::facts::{AzureResource, Place};

/// A rule of a network security group.
#[derive(Clone, Debug, Default)]
pub struct SecurityRule {
    /// Its name.
    pub name: String,
    /// The lowest is asked first.
    pub priority: u64,
    /// For what comes in.
    pub inbound: bool,
    /// Lets pass.
    pub allow: bool,
    /// `*`, `tcp`, `udp`, `icmp`.
    pub protocol: String,
    /// Prefixes and tags.
    pub from: Vec<String>,
    /// Prefixes and tags.
    pub to: Vec<String>,
    /// First and last ports of the destination.
    pub ports: Vec<(u16, u16)>,
    /// Names of application security groups are among its ends, which the bundle does not resolve.
    pub by_group: bool,
}

/// A network security group.
#[derive(Clone, Debug, Default)]
pub struct SecurityGroup {
    /// Its name.
    pub name: String,
    /// In lower case.
    pub id: String,
    /// Where it stands.
    pub place: Option<Place>,
    /// All rules by direction and priority.
    pub rules: Vec<SecurityRule>,
    /// Ranges of the nodes' subnets, when known.
    pub nodes: Vec<IpNet>,
    /// It filters a subnet of the cluster's nodes.
    pub of_subnet: bool,
    /// It is the one that AKS keeps at the interfaces of nodes.
    pub of_nodes: bool,
}

/// The other side of a question to a security group.
#[derive(Clone, Copy, Debug)]
pub enum Far {
    /// Anywhere on the Internet, Azure's own services included.
    Internet,
    /// The virtual network itself.
    Network,
    /// One address.
    Address(IpAddr),
}

/// What a security group says.
#[derive(Clone, Debug)]
pub enum Filtered<'a> {
    /// Lets it pass, by this rule or by the defaults.
    Allowed(Option<&'a SecurityRule>),
    /// Stops it, by this rule.
    Denied(&'a SecurityRule),
    /// No rule lets it pass, and the default for what comes in from outside stops it.
    DeniedByDefault,
    /// A rule that may hold for a part of it comes first: it depends on the address.
    Depends,
}

/// How much of the far side the prefixes of a rule cover.
enum Covers {
    All,
    Part,
    None,
}

fn covers(prefix: &str, far: Far) -> Covers {
    let lower = prefix.to_ascii_lowercase();
    if matches!(lower.as_str(), "*" | "any" | "0.0.0.0/0") {
        return Covers::All;
    }
    match far {
        Far::Internet => match lower.as_str() {
            "internet" => Covers::All,
            "virtualnetwork" | "azureloadbalancer" => Covers::None,
            _ if private(prefix) => Covers::None,
            _ => Covers::Part,
        },
        Far::Network => match lower.as_str() {
            "virtualnetwork" => Covers::All,
            "internet" | "azureloadbalancer" => Covers::None,
            _ if private(prefix) => Covers::Part,
            _ => Covers::None,
        },
        Far::Address(ip) => match range(prefix) {
            Some(range) if range.contains(&ip) => Covers::All,
            Some(_) => Covers::None,
            None if lower == "internet" && !super::is_private(ip) => Covers::All,
            None if lower == "virtualnetwork" && super::is_private(ip) => Covers::All,
            None if matches!(lower.as_str(), "internet" | "virtualnetwork" | "azureloadbalancer") => {
                Covers::None
            }
            // A service tag: its addresses are not in the bundle.
            None if super::is_private(ip) => Covers::None,
            None => Covers::Part,
        },
    }
}

impl SecurityGroup {
    /// Whether a connection between the cluster's nodes and something passes. A rule that covers only a part of the
    /// far side decides nothing when it says the same as what follows.
    pub fn filter(&self, inbound: bool, far: Far, protocol: &str, port: u16) -> Filtered<'_> {
        let mut part_allows = false;
        let mut part_denies = false;
        for rule in self.rules.iter().filter(|rule| rule.inbound == inbound) {
            let ports = rule.ports.iter().any(|(first, last)| (*first..=*last).contains(&port));
            let protocols = rule.protocol == "*" || rule.protocol.eq_ignore_ascii_case(protocol);
            if !ports || !protocols {
                continue;
            }
            let prefixes = if inbound { &rule.from } else { &rule.to };
            let ours = if inbound { &rule.to } else { &rule.from };
            // A rule for another part of the network than the nodes may not hold for them.
            let whole_self = ours.is_empty() || ours.iter().any(|prefix| self.is_of_nodes(prefix));
            let covered = prefixes.iter().map(|prefix| covers(prefix, far));
            let (mut all, mut part) = (false, rule.by_group);
            for item in covered {
                all |= matches!(item, Covers::All);
                part |= matches!(item, Covers::Part);
            }
            if all && whole_self && !rule.by_group {
                let differs = if rule.allow { part_denies } else { part_allows };
                return match (differs, rule.allow) {
                    (true, _) => Filtered::Depends,
                    (false, true) => Filtered::Allowed(Some(rule)),
                    (false, false) => Filtered::Denied(rule),
                };
            }
            if all || part {
                part_allows |= rule.allow;
                part_denies |= !rule.allow;
            }
        }
        // The default rules, when the listing leaves them out: everything within the network and out to the Internet
        // passes, nothing comes in from there.
        let default_denies = inbound && !matches!(far, Far::Network);
        match (default_denies, part_allows, part_denies) {
            (true, false, _) => Filtered::DeniedByDefault,
            (true, true, _) | (false, _, true) => Filtered::Depends,
            (false, _, false) => Filtered::Allowed(None),
        }
    }

    /// Whether a prefix holds for all nodes.
    fn is_of_nodes(&self, prefix: &str) -> bool {
        let holds =
            |range: IpNet| !self.nodes.is_empty() && self.nodes.iter().all(|node| range.contains(node));
        matches!(covers(prefix, Far::Network), Covers::All) || range(prefix).is_some_and(holds)
    }

    pub(super) fn read(place: &Place, resource: &AzureResource) -> Self {
        let list = |key: &str| resource.value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut rules: Vec<SecurityRule> =
            list("securityrules").iter().chain(&list("defaultsecurityrules")).filter_map(rule).collect();
        rules.sort_by_key(|rule| (rule.inbound, rule.priority));
        Self {
            name: resource.name.to_string(),
            id: resource.id.to_string(),
            place: Some(place.clone()),
            rules,
            nodes: Vec::new(),
            of_subnet: false,
            of_nodes: resource.name.starts_with("aks-agentpool"),
        }
    }
}

fn rule(value: &Value) -> Option<SecurityRule> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let both = |item: &str, many: &str| {
        let mut all = texts(value.get(item));
        all.extend(texts(value.get(many)));
        all
    };
    let mut ports = Vec::new();
    for port in both("destinationportrange", "destinationportranges") {
        let (first, last) = port.split_once('-').unwrap_or((&port, &port));
        match (first.trim().parse(), last.trim().parse()) {
            _ if port == "*" => ports.push((0, u16::MAX)),
            (Ok(first), Ok(last)) => ports.push((first, last)),
            _ => {}
        }
    }
    let grouped = |key: &str| value.get(key).and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    Some(SecurityRule {
        name: text("name"),
        priority: value.get("priority").and_then(Value::as_u64)?,
        inbound: text("direction").eq_ignore_ascii_case("inbound"),
        allow: text("access").eq_ignore_ascii_case("allow"),
        protocol: text("protocol").to_ascii_lowercase(),
        from: both("sourceaddressprefix", "sourceaddressprefixes"),
        to: both("destinationaddressprefix", "destinationaddressprefixes"),
        ports,
        by_group: grouped("sourceapplicationsecuritygroups")
            || grouped("destinationapplicationsecuritygroups"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn group(rules: Value) -> SecurityGroup {
        let value = json!({ "securityrules": rules });
        let resource = AzureResource { kind: None, id: "".into(), name: "nsg".into(), value };
        SecurityGroup::read(&Place { source: "nsg.json".into(), line: 1 }, &resource)
    }

    fn rule(priority: u64, access: &str, to: &str, ports: &str) -> Value {
        json!({ "name": format!("r{priority}"), "priority": priority, "direction": "Outbound", "access": access, "protocol": "*",
            "sourceaddressprefix": "*", "destinationaddressprefix": to, "destinationportrange": ports })
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let denied = group(json!([rule(200, "Deny", "Internet", "*"), rule(100, "Allow", "Internet", "80")]));
        assert!(
            matches!(denied.filter(false, Far::Internet, "tcp", 443), Filtered::Denied(rule) if rule.name == "r200")
        );
        assert!(matches!(denied.filter(false, Far::Internet, "tcp", 80), Filtered::Allowed(Some(_))));
        assert!(matches!(denied.filter(false, Far::Network, "udp", 53), Filtered::Allowed(None)));
    }

    #[test]
    fn a_service_tag_before_a_denial_leaves_it_open() {
        let tagged =
            group(json!([rule(100, "Allow", "AzureCloud", "443"), rule(200, "Deny", "Internet", "*")]));
        assert!(matches!(tagged.filter(false, Far::Internet, "tcp", 443), Filtered::Depends));
        assert!(matches!(tagged.filter(false, Far::Internet, "tcp", 9000), Filtered::Denied(_)));
    }

    #[test]
    fn one_address_is_compared_with_ranges() {
        let ranged = group(json!([rule(100, "Deny", "20.0.0.0/8", "443")]));
        let far = |ip: &str| Far::Address(ip.parse().unwrap());
        assert!(matches!(ranged.filter(false, far("20.1.2.3"), "tcp", 443), Filtered::Denied(_)));
        assert!(matches!(ranged.filter(false, far("40.1.2.3"), "tcp", 443), Filtered::Allowed(None)));
    }

    #[test]
    fn from_the_internet_nothing_comes_in_by_default() {
        assert!(matches!(group(json!([])).filter(true, Far::Internet, "tcp", 80), Filtered::DeniedByDefault));
    }
}
