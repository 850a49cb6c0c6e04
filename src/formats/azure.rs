//! Azure resources: `az aks show`, `az network …`, `az resource show`, `az rest`, template exports.
//!
//! Keys are lowered and `properties` is dissolved, so that the CLI's dialect and the resource manager's
//! read alike (<https://learn.microsoft.com/cli/azure/aks>). A resource is known by its `type`, or by the keys that only it has.

use serde_json::{Map, Value};

use super::shared::json::without_spinner;
use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::facts::{AzureKind, AzureResource, Facts, Place};

pub(super) struct AzureFormat;
pub(super) const FORMAT: AzureFormat = AzureFormat;

/// Most resources of one document.
const RESOURCES: u32 = 5_000;
/// Deepest nesting that is followed.
pub(super) const DEPTH: u8 = 40;

impl InputFormat for AzureFormat {
    fn name(&self) -> &'static str {
        "azure-resource"
    }

    fn about(&self) -> &'static str {
        "Azure resources: AKS cluster, subnets, security groups, routes, private DNS, endpoints (az, ARM)"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = without_spinner(head.bytes);
        let text = text.trim_ascii_start();
        if !matches!(text.first(), Some(b'{' | b'[')) {
            return 0;
        }
        let lower = text.to_ascii_lowercase();
        let has = |word: &str| memchr::memmem::find(&lower, word.as_bytes()).is_some();
        let kubernetes = has("\"apiversion\": \"v1\"") || has("\"apiversion\":\"v1\"") || has("audit.k8s.io");
        let by_type = has("\"microsoft.network/")
            || has("\"microsoft.containerservice/managedclusters\"")
            || has("\"#microsoft.network");
        let by_id = has("/providers/microsoft.network/")
            || has("/providers/microsoft.containerservice/managedclusters");
        let by_shape = (has("\"agentpoolprofiles\"")
            && (has("\"networkprofile\"") || has("\"noderesourcegroup\"")))
            || has("\"securityrules\"")
            || has("\"defaultsecurityrules\"")
            || has("\"disablebgproutepropagation\"")
            || has("\"privatelinkserviceconnections\"")
            || has("\"apiserveraccessprofile\"")
            || (has("\"backendhttpsettingscollection\"") && has("\"servers\""))
            || (has("\"nexthoptype\"") && has("\"addressprefix\""))
            || (has("\"addressprefix") && (has("\"ipconfigurations\"") || has("\"delegations\"")));
        let record = has("\"category\"") && has("\"properties\"") && has("\"time\"");
        if kubernetes || record {
            0
        } else if by_shape && (by_type || by_id) {
            92
        } else if by_shape || by_type {
            86
        } else {
            0
        }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let value = match serde_json::from_slice::<Value>(&without_spinner(piece.bytes)) {
            Ok(value) => lowered(value, DEPTH),
            Err(error) => {
                let what = format!(
                    "Azure resource that could not be understood ({:?} error): it may be cut",
                    error.classify()
                );
                facts.problem(piece.source, &what);
                return 0;
            }
        };
        let mut found = Vec::new();
        resources(value, &mut found, DEPTH);
        let records = found.len() as u64;
        for (resource, at) in found.into_iter().zip(0..RESOURCES) {
            let place = Place { source: piece.source.clone(), line: piece.first_line };
            if let Some(slot) = facts.azure.resources.slot((place, at)) {
                *slot = resource;
            }
        }
        records
    }
}

/// What `az aks show … --query …` printed: a value of the cluster at a path, or several under keys of the user's own. Without its
/// command nobody could tell what it is. Says whether it was that.
pub(super) fn answered(piece: &Piece<'_>, facts: &mut Facts) -> bool {
    let Some(command) = piece.command else { return false };
    let commands = [("aks show ", AzureKind::Cluster), ("network vnet show ", AzureKind::VirtualNetwork)];
    let query = commands.into_iter().find_map(|(words, kind)| Some((command.split_once(words)?.1, kind)));
    let Some((rest, kind)) = query else { return false };
    let Some(query) = query_of(rest) else { return false };
    let text = String::from_utf8_lossy(piece.bytes);
    let Some(answer) = value_of(&text, &query) else { return false };
    let words: Vec<&str> = rest.split_whitespace().collect();
    let option = |names: [&str; 2]| {
        let at = words.iter().position(|word| names.contains(word))?;
        words.get(at + 1).copied()
    };
    let name = option(["--name", "-n"]).unwrap_or_default();
    let group = option(["--resource-group", "-g"]).unwrap_or_default();
    let mut cluster = serde_json::json!({ "resourceGroup": group });
    let is_placed = match query.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
        // `{ranges:apiServerAccessProfile.authorizedIpRanges,fqdn:fqdn}`: keys of the user's own.
        Some(pairs) => {
            pairs.split(',').filter_map(|pair| pair.split_once(':')).fold(false, |is_placed, (key, path)| {
                let found = answer.get(key.trim().trim_matches('"')).cloned();
                found.is_some_and(|value| place_at(&mut cluster, path.trim(), value)) || is_placed
            })
        }
        None => place_at(&mut cluster, &query, answer),
    };
    if !is_placed {
        return false;
    }
    let place = Place { source: piece.source.clone(), line: piece.first_line };
    if let Some(slot) = facts.azure.resources.slot((place, 0)) {
        let value = lowered(cluster, 16);
        *slot = AzureResource { kind: Some(kind), id: "".into(), name: name.into(), value };
    }
    true
}

/// The expression behind `--query`, without its quotes.
fn query_of(words: &str) -> Option<String> {
    let (_, rest) = words.split_once("--query")?;
    let rest = rest.trim_start_matches(['=', ' ']);
    let quote = rest.chars().next().filter(|first| matches!(first, '"' | '\''));
    let query = match quote {
        Some(quote) => rest.get(1..)?.split(quote).next()?,
        None => rest.split_whitespace().next()?,
    };
    let query: String = query.chars().filter(|c| !c.is_whitespace()).collect();
    (!query.is_empty()).then_some(query)
}

/// The answer as JSON; `-o tsv` gives bare words, a list of addresses among them.
fn value_of(text: &str, query: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        return Some(value);
    }
    let bare: Vec<&str> = text.split_whitespace().collect();
    if query.to_ascii_lowercase().ends_with("authorizedipranges") {
        let ranges = bare.iter().map(|word| word.trim_matches([',', '[', ']', '"']));
        let ranges: Vec<Value> = ranges
            .filter(|word| word.contains(['.', ':']) && word.starts_with(|c: char| c.is_ascii_hexdigit()))
            .map(Value::from)
            .collect();
        // An error in its place says nothing of ranges.
        return (!ranges.is_empty() || text.is_empty()).then(|| ranges.into());
    }
    match bare.as_slice() {
        [word] => Some(Value::from(*word)),
        _ => None,
    }
}

/// Puts a value at a path such as `networkProfile.outboundType`; says whether the path is one.
fn place_at(object: &mut Value, path: &str, value: Value) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let parts: Vec<&str> = path.split('.').map(|part| part.trim_end_matches("[]")).collect();
    if parts.len() > 8 || !parts.iter().all(|part| plain(part)) {
        return false;
    }
    let mut at = object;
    for part in parts {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Some(map) = at.as_object_mut() else { return false };
        at = map.entry(part.to_owned()).or_insert(Value::Null);
    }
    *at = value;
    true
}

/// All keys in lower case; `properties` becomes part of what it belongs to.
pub(super) fn lowered(value: Value, depth: u8) -> Value {
    match value {
        Value::Object(map) if depth > 0 => {
            let mut out = Map::new();
            let mut properties = None;
            for (key, value) in map {
                let key = key.to_lowercase();
                let value = lowered(value, depth - 1);
                if key == "properties" && value.is_object() {
                    properties = Some(value);
                } else {
                    out.insert(key, value);
                }
            }
            if let Some(Value::Object(inner)) = properties {
                for (key, value) in inner {
                    out.entry(key).or_insert(value);
                }
            }
            Value::Object(out)
        }
        Value::Array(items) if depth > 0 => items.into_iter().map(|item| lowered(item, depth - 1)).collect(),
        other => other,
    }
}

/// Resources in a document: itself, the items of a list, the resources of a template, what lies within.
fn resources(value: Value, found: &mut Vec<AzureResource>, depth: u8) {
    match value {
        Value::Array(items) if depth > 0 => {
            for item in items {
                resources(item, found, depth - 1);
            }
        }
        Value::Object(map) => {
            let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
            let id = text("id").to_lowercase();
            match kind(&map, &id, &text("type").to_lowercase()) {
                Some(kind) => {
                    let name = text("name").to_owned();
                    // A network lists its subnets whole.
                    let within =
                        (kind == AzureKind::VirtualNetwork).then(|| map.get("subnets").cloned()).flatten();
                    let value = Value::Object(map);
                    found.push(AzureResource { kind: Some(kind), id: id.into(), name: name.into(), value });
                    if let Some(within) = within {
                        resources(within, found, depth.saturating_sub(1));
                    }
                }
                None => {
                    for key in ["value", "resources", "data"] {
                        if let Some(inner) = map.get(key).filter(|_| depth > 0) {
                            resources(inner.clone(), found, depth - 1);
                        }
                    }
                }
            }
        }
        _ => {}
    }
}

fn kind(map: &Map<String, Value>, id: &str, r#type: &str) -> Option<AzureKind> {
    let has = |key: &str| map.contains_key(key);
    let within =
        |part: &str| r#type.ends_with(part) || (r#type.is_empty() && id.contains(&format!("/{part}/")));
    Some(
        if (has("agentpoolprofiles") && (has("networkprofile") || has("noderesourcegroup")))
            || has("apiserveraccessprofile")
            || within("managedclusters")
        {
            AzureKind::Cluster
        } else if has("virtualnetworkpeerings") || within("virtualnetworks") && has("addressspace") {
            AzureKind::VirtualNetwork
        } else if within("subnets")
            || (has("addressprefix") || has("addressprefixes"))
                && (has("ipconfigurations") || has("delegations") || has("privateendpointnetworkpolicies"))
        {
            AzureKind::Subnet
        } else if has("securityrules") || has("defaultsecurityrules") {
            AzureKind::SecurityGroup
        } else if has("disablebgproutepropagation") || within("routetables") {
            AzureKind::RouteTable
        } else if has("value")
            && map
                .get("value")
                .and_then(Value::as_array)
                .is_some_and(|routes| routes.first().is_some_and(|route| route.get("nexthoptype").is_some()))
        {
            AzureKind::EffectiveRoutes
        } else if within("virtualnetworklinks") {
            AzureKind::ZoneLink
        } else if has("privatelinkserviceconnections") || within("privateendpoints") {
            AzureKind::PrivateEndpoint
        } else if has("arecords") || has("aaaarecords") || r#type.contains("privatednszones/") {
            AzureKind::RecordSet
        } else if within("privatednszones") {
            AzureKind::PrivateZone
        } else if is_gateway_health(map) {
            AzureKind::GatewayHealth
        } else if within("applicationgateways") {
            AzureKind::Gateway
        } else if within("loadbalancers") {
            AzureKind::LoadBalancer
        } else if within("publicipaddresses") {
            AzureKind::PublicAddress
        } else if within("networkinterfaces") {
            AzureKind::Interface
        } else if within("azurefirewalls") || within("firewallpolicies") || within("rulecollectiongroups") {
            AzureKind::Firewall
        } else {
            return None;
        },
    )
}

/// What `az network application-gateway show-backend-health` answers: pools, which list their settings with the servers.
fn is_gateway_health(map: &Map<String, Value>) -> bool {
    let pools = map.get("backendaddresspools").and_then(Value::as_array);
    pools.is_some_and(|pools| pools.iter().any(|pool| pool.get("backendhttpsettingscollection").is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Vec<AzureResource> {
        let mut found = Vec::new();
        resources(lowered(serde_json::from_str(json).unwrap(), DEPTH), &mut found, DEPTH);
        found
    }

    #[test]
    fn both_dialects_read_alike() {
        let cli = read(
            r#"{"id":"/subscriptions/s/resourcegroups/RG/providers/Microsoft.ContainerService/managedClusters/prod","name":"prod","agentPoolProfiles":[],"nodeResourceGroup":"MC_x","apiServerAccessProfile":{"authorizedIpRanges":["1.2.3.4/32"]}}"#,
        );
        let arm = read(
            r#"[{"id":"/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/prod","name":"prod","type":"Microsoft.ContainerService/ManagedClusters","properties":{"agentPoolProfiles":[],"nodeResourceGroup":"MC_x","apiServerAccessProfile":{"authorizedIPRanges":["1.2.3.4/32"]}}}]"#,
        );
        assert_eq!((cli.len(), arm.len()), (1, 1));
        assert_eq!(cli[0].id, arm[0].id);
        let ranges =
            |resource: &AzureResource| resource.value["apiserveraccessprofile"]["authorizedipranges"].clone();
        assert_eq!(ranges(&cli[0]), ranges(&arm[0]));
        assert_eq!(arm[0].text("noderesourcegroup"), "MC_x");
    }

    #[test]
    fn a_network_gives_its_subnets_too() {
        let kinds: Vec<_> = read(r#"{"id":"/x/providers/Microsoft.Network/virtualNetworks/v","type":"Microsoft.Network/virtualNetworks","addressSpace":{},"subnets":[{"id":"/x/providers/Microsoft.Network/virtualNetworks/v/subnets/pods","addressPrefix":"10.1.0.0/16","delegations":[]}]}"#)
            .into_iter()
            .map(|resource| resource.kind.unwrap())
            .collect();
        assert_eq!(kinds, [AzureKind::VirtualNetwork, AzureKind::Subnet]);
    }

    #[test]
    fn effective_routes_are_known_by_their_rows() {
        let found = read(
            r#"{"value":[{"addressPrefix":["0.0.0.0/0"],"nextHopType":"VirtualAppliance","nextHopIpAddress":["10.0.0.4"],"source":"User","state":"Active"}]}"#,
        );
        assert_eq!(found[0].kind, Some(AzureKind::EffectiveRoutes));
    }
}
