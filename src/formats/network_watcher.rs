//! What Azure's Network Watcher and the platform itself decide of packets: `az network watcher test-ip-flow`,
//! `test-connectivity`, `show-next-hop`, `az network nic list-effective-nsg`, and metrics of connections
//! (`az monitor metrics list`), as JSON.
//!
//! Forms: <https://learn.microsoft.com/rest/api/network-watcher/network-watchers>,
//! <https://learn.microsoft.com/rest/api/virtualnetwork/network-interfaces/list-effective-network-security-groups>,
//! <https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-network-loadbalancers-metrics>.

use serde_json::{Map, Value, json};

use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::facts::{
    AzureKind, AzureResource, Facts, FlowFilter, FlowKey, FlowSeen, Measure, Metric, Place, Probe,
    fingerprint,
};

pub(super) struct NetworkWatcher;
pub(super) const FORMAT: NetworkWatcher = NetworkWatcher;

impl InputFormat for NetworkWatcher {
    fn name(&self) -> &'static str {
        "azure-network-watcher"
    }

    fn about(&self) -> &'static str {
        "Azure's verdicts on packets: IP flow, connectivity, next hop, effective security rules, SNAT metrics"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = head.bytes.trim_ascii_start();
        if !matches!(text.first(), Some(b'{' | b'[')) {
            return 0;
        }
        let lower = text.to_ascii_lowercase();
        let has = |word: &str| memchr::memmem::find(&lower, word.as_bytes()).is_some();
        let small = text.len() < 2000;
        let flow = small && has("\"access\"") && has("\"rulename\"");
        let hop = small && has("\"nexthoptype\"") && has("\"routetableid\"") && !has("\"addressprefix\"");
        let reached = has("\"connectionstatus\"") && has("\"hops\"");
        let effective = has("\"effectivesecurityrules\"");
        let metrics = has("\"timeseries\"") && has("\"timespan\"") && has("microsoft.insights/metrics");
        if flow || hop || reached || effective || metrics { 95 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let Ok(value) = serde_json::from_slice::<Value>(piece.bytes) else {
            facts.problem(piece.source, "an answer of Azure that could not be understood: it may be cut");
            return 0;
        };
        let value = super::azure::lowered(value, super::azure::DEPTH);
        let question = WatcherQuestion::of(piece.command.unwrap_or_default());
        let all = match value {
            Value::Array(items) => items,
            single => vec![single],
        };
        let mut reader = Verdicts { piece, question, facts, records: 0 };
        for item in &all {
            if let Value::Object(map) = item {
                reader.read(map);
            }
        }
        reader.records
    }
}

/// What the command asked for, when it is known.
#[derive(Default)]
struct WatcherQuestion {
    target: String,
    port: u16,
    protocol: String,
    source: String,
    inbound: bool,
}

impl WatcherQuestion {
    fn of(command: &str) -> Self {
        let words: Vec<&str> = command.split_whitespace().collect();
        let option = |names: &[&str]| -> &str {
            let at = words.iter().position(|word| names.contains(word));
            at.and_then(|at| words.get(at + 1)).copied().unwrap_or_default().trim_matches(['\'', '"'])
        };
        let remote = option(&["--remote"]);
        let (host, port) = remote.rsplit_once(':').unwrap_or((remote, ""));
        let dest = option(&["--dest-address", "--dest-ip", "--dest-resource"]);
        Self {
            target: if dest.is_empty() { host } else { dest }.to_owned(),
            port: option(&["--dest-port"]).parse().or_else(|_| port.parse()).unwrap_or(0),
            protocol: option(&["--protocol"]).to_uppercase(),
            source: option(&["--local", "--source-ip"]).split(':').next().unwrap_or_default().to_owned(),
            inbound: option(&["--direction"]).eq_ignore_ascii_case("inbound"),
        }
    }
}

struct Verdicts<'a, 'b> {
    piece: &'a Piece<'b>,
    question: WatcherQuestion,
    facts: &'a mut Facts,
    records: u64,
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(map: &'a Map<String, Value>, key: &str) -> &'a [Value] {
    map.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

impl Verdicts<'_, '_> {
    fn place(&self) -> Place {
        Place { source: self.piece.source.clone(), line: self.piece.first_line + self.records }
    }

    fn read(&mut self, map: &Map<String, Value>) {
        if map.contains_key("access") && map.contains_key("rulename") {
            let denied = text(map, "access").eq_ignore_ascii_case("deny");
            self.flow(!denied, text(map, "rulename"), &format!("access {}", text(map, "access")));
            self.records += 1;
        } else if map.contains_key("connectionstatus") {
            self.connectivity(map);
            self.records += 1;
        } else if map.contains_key("nexthoptype") {
            self.resource(AzureKind::NextHop, &self.question.target.clone(), Value::Object(map.clone()));
            self.records += 1;
        } else if map.contains_key("effectivesecurityrules") {
            self.effective(map);
        } else if map.contains_key("timeseries") {
            self.metric(map);
        }
        for key in ["value", "networkinterfaces", "effectivenetworksecuritygroups"] {
            for item in list(map, key) {
                if let Value::Object(inner) = item {
                    self.read(inner);
                }
            }
        }
    }

    fn resource(&mut self, kind: AzureKind, name: &str, value: Value) {
        if let Some(slot) = self.facts.azure.resources.slot((self.place(), 0)) {
            *slot = AzureResource { kind: Some(kind), id: "".into(), name: name.into(), value };
        }
    }

    /// A rule let it pass or not.
    fn flow(&mut self, allowed: bool, rule: &str, why: &str) {
        let rule = rule.rsplit('/').next().unwrap_or(rule);
        let rule = rule.strip_prefix("UserRule_").unwrap_or(rule);
        let key = FlowKey {
            allowed,
            filter: FlowFilter::SecurityGroup,
            inbound: self.question.inbound,
            target: self.question.target.as_str().into(),
            port: self.question.port,
            protocol: self.question.protocol.as_str().into(),
            source: self.question.source.as_str().into(),
            rule: rule.into(),
        };
        let (source, line) = (self.piece.source, self.piece.first_line + self.records);
        let print = fingerprint((source, line, rule));
        let text = format!("Network Watcher: {why}, rule {rule}");
        self.facts.flowed(FlowSeen { key, print, when: None, source, line, text: text.as_bytes() });
    }

    fn connectivity(&mut self, map: &Map<String, Value>) {
        let status = text(map, "connectionstatus");
        let reached = matches!(status.to_ascii_lowercase().as_str(), "reachable" | "connected" | "degraded");
        let hops: Vec<&Map<String, Value>> = list(map, "hops").iter().filter_map(Value::as_object).collect();
        if self.question.target.is_empty()
            && let Some(last) = hops.last().filter(|_| hops.len() > 1)
        {
            text(last, "address").clone_into(&mut self.question.target);
        }
        let first = hops.first().copied();
        if self.question.source.is_empty()
            && let Some(first) = first
        {
            text(first, "address").clone_into(&mut self.question.source);
        }
        let issues = || {
            hops.iter().flat_map(|hop| list(hop, "issues")).filter_map(Value::as_object).map(|issue| {
                // `{"key": "RuleName", "value": …}` of the command line, `{"RuleName": …}` of the API.
                let context = list(issue, "context").iter().filter_map(Value::as_object);
                let named: Vec<&str> = context
                    .flat_map(|item| item.iter().filter(|(key, _)| *key != "key"))
                    .filter_map(|(_, value)| value.as_str())
                    .collect();
                (text(issue, "type"), text(issue, "origin"), named.join(" "))
            })
        };
        let issued: Vec<String> =
            issues().map(|(kind, _, named)| format!("{kind} {named}").trim().to_owned()).collect();
        let place = self.place();
        if let Some(slot) = self.facts.nodes.probes.slot(place) {
            *slot = Probe {
                node: first.and_then(|hop| instance(text(hop, "resourceid"))).map(Into::into),
                target: self.question.target.as_str().into(),
                port: self.question.port,
                in_cluster: true,
                on_node: true,
                reached,
                message: format!("connectionStatus {status} {}", issued.join(", ")).trim().into(),
            };
        }
        for (_, origin, rule) in issues().filter(|(kind, ..)| *kind == "NetworkSecurityRule") {
            self.question.inbound = origin.eq_ignore_ascii_case("inbound");
            self.flow(
                false,
                rule.split(' ').next().unwrap_or_default(),
                &format!("connectionStatus {status}"),
            );
        }
    }

    /// The rules that hold at an interface, as a security group has them.
    fn effective(&mut self, map: &Map<String, Value>) {
        let group = map.get("networksecuritygroup").and_then(Value::as_object);
        let id = group.map(|group| text(group, "id")).unwrap_or_default().to_lowercase();
        let name =
            group.map(|group| text(group, "id")).and_then(|id| id.rsplit('/').next()).unwrap_or_default();
        let rules: Vec<Value> = list(map, "effectivesecurityrules")
            .iter()
            .filter_map(Value::as_object)
            .map(|rule| {
                let mut rule = rule.clone();
                let short = text(&rule, "name").rsplit('/').next().unwrap_or_default().to_owned();
                let protocol = text(&rule, "protocol").to_lowercase();
                rule.insert("name".to_owned(), short.into());
                rule.insert(
                    "protocol".to_owned(),
                    if protocol == "all" { "*".into() } else { protocol.into() },
                );
                Value::Object(rule)
            })
            .collect();
        let subnet = map.get("association").and_then(|given| given.get("subnet")).cloned();
        let value = json!({ "securityrules": rules, "subnets": subnet.into_iter().collect::<Vec<_>>() });
        let place = self.place();
        if let Some(slot) = self.facts.azure.resources.slot((place, 0)) {
            *slot = AzureResource {
                kind: Some(AzureKind::SecurityGroup),
                id: id.into(),
                name: name.into(),
                value,
            };
        }
        self.records += 1;
    }

    /// Connections of a load balancer that failed for want of a port.
    fn metric(&mut self, map: &Map<String, Value>) {
        self.records += 1;
        let name =
            map.get("name").and_then(|name| name.get("value")).and_then(Value::as_str).unwrap_or_default();
        if !name.eq_ignore_ascii_case("SnatConnectionCount") {
            return;
        }
        let failed = list(map, "timeseries").iter().filter_map(Value::as_object).filter(|series| {
            list(series, "metadatavalues")
                .iter()
                .filter_map(Value::as_object)
                .any(|item| text(item, "value").eq_ignore_ascii_case("failed"))
        });
        let total: f64 = failed
            .flat_map(|series| list(series, "data"))
            .filter_map(|point| point.get("total").and_then(Value::as_f64))
            .sum();
        let place = self.place();
        if let Some(slot) = self.facts.nodes.metrics.slot(place) {
            *slot = Metric {
                name: name.into(),
                measure: Some(Measure::SnatFailures),
                of: text(map, "resourcegroup").into(),
                value: total.max(0.0) as u64,
            };
        }
    }
}

/// The node that an interface of a scale set belongs to.
fn instance(id: &str) -> Option<String> {
    let mut parts = id.split('/').skip_while(|part| !part.eq_ignore_ascii_case("virtualMachineScaleSets"));
    let name = parts.nth(1)?;
    let number = parts.nth(1)?;
    super::shared::command::instance_name(name, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_says_what_was_asked() {
        let question = WatcherQuestion::of(
            "az network watcher test-ip-flow --vm x --direction Outbound --local 10.224.0.4:60000 --remote 20.71.10.10:443 --protocol TCP",
        );
        assert_eq!(
            (question.target.as_str(), question.port, question.source.as_str()),
            ("20.71.10.10", 443, "10.224.0.4")
        );
        let id = "/subscriptions/0/resourceGroups/MC_rg/providers/Microsoft.Compute/virtualMachineScaleSets/aks-np1/virtualMachines/11/networkInterfaces/nic";
        assert_eq!(instance(id).as_deref(), Some("aks-np100000b"));
    }
}
