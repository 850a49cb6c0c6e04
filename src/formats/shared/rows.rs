//! Rows of Log Analytics tables, whatever carried them (CSV, `az`, REST): column names and values.
//!
//! Columns are those of Microsoft's table reference (<https://learn.microsoft.com/azure/azure-monitor/reference/tables-index>). A table is known by its columns,
//! never by a file name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::audit::{self, AuditEvent};
use super::line;
use super::log_line::Surroundings;
use crate::facts::time::{self, When};
use crate::facts::{
    Condition, EventSeen, Facts, FlowFilter, FlowKey, FlowSeen, Form, Labels, Meta, Node, NodeInfo, NodeSpec,
    NodeStatus, Origin, Owner, Pod, PodSpec, PodStatus, Service, ServiceSpec, Text, fingerprint,
};

/// The tables that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::formats) enum Table {
    KubeEvents,
    KubePodInventory,
    ContainerLog,
    ContainerLogV2,
    AzureDiagnostics,
    AksAudit,
    AksControlPlane,
    KubeServices,
    KubeNodeInventory,
    Syslog,
    FirewallRule,
    FirewallDns,
    FirewallLegacy,
    /// Flow logs of virtual networks and security groups, as Traffic Analytics has them.
    TrafficAnalytics,
    /// Lines of Loki, as Grafana exports them.
    Loki,
    /// Events of Splunk, as its search exports them.
    Splunk,
    /// Traces and exceptions of Application Insights.
    AppText,
    /// Calls of Application Insights: nothing in them is looked at yet.
    AppCalls,
    /// Measurements: nothing in them is looked at yet.
    Metrics,
}

impl Table {
    /// Rows of it count only when their text holds a signature.
    pub(in crate::formats) fn is_text(self) -> bool {
        matches!(
            self,
            Self::ContainerLog
                | Self::ContainerLogV2
                | Self::Syslog
                | Self::Loki
                | Self::Splunk
                | Self::AppText
        )
    }

    /// The table that has these columns; the first match is the most particular one.
    pub(in crate::formats) fn of(columns: &[String]) -> Option<Self> {
        let has = |name: &str| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
        if has("FlowStatus") && (has("DestIp") || has("DestinationIp"))
            || has("FlowStatus_s") && (has("DestIP_s") || has("DestPort_d"))
        {
            Some(Self::TrafficAnalytics)
        } else if has("Line") && (has("Time") || has("tsNs")) {
            Some(Self::Loki)
        } else if has("_raw") && has("_time") {
            Some(Self::Splunk)
        } else if (has("OuterMessage") || has("innermostMessage"))
            && (has("ProblemId") || has("ExceptionType") || has("type"))
            || has("AppRoleName") && has("Message")
            || has("cloud_RoleName") && has("message")
        {
            Some(Self::AppText)
        } else if (has("AppRoleInstance") || has("cloud_RoleInstance"))
            && (has("ResultCode") || has("resultCode"))
        {
            Some(Self::AppCalls)
        } else if has("ActionReason") || (has("Action") && (has("DestinationIp") || has("Fqdn"))) {
            Some(Self::FirewallRule)
        } else if has("QueryName") && has("ResponseCode") {
            Some(Self::FirewallDns)
        } else if has("SelectorLabels") && has("ClusterIp") {
            Some(Self::KubeServices)
        } else if has("KubeletVersion") && has("Computer") {
            Some(Self::KubeNodeInventory)
        } else if has("SyslogMessage") {
            Some(Self::Syslog)
        } else if has("msg_s") && !has("log_s") {
            Some(Self::FirewallLegacy)
        } else if has("CounterName") && has("CounterValue") || has("Origin") && has("Val") && has("Tags") {
            Some(Self::Metrics)
        } else if has("KubeEventType") || (has("ObjectKind") && has("Reason") && has("Message")) {
            Some(Self::KubeEvents)
        } else if has("LogMessage") && (has("PodName") || has("PodNamespace")) {
            Some(Self::ContainerLogV2)
        } else if has("LogEntry") && (has("LogEntrySource") || has("ContainerID")) {
            Some(Self::ContainerLog)
        } else if has("AuditId") || (has("StageReceivedTime") && has("Verb")) {
            Some(Self::AksAudit)
        } else if has("log_s") {
            Some(Self::AzureDiagnostics)
        } else if has("PodUid") || (has("PodStatus") && has("Name")) {
            Some(Self::KubePodInventory)
        } else if has("Category") && has("Message") && (has("Stream") || has("PodName")) {
            Some(Self::AksControlPlane)
        } else {
            None
        }
    }
}

/// Removes the display zone of a portal export: `TimeGenerated [UTC]`.
pub(in crate::formats) fn column_name(name: &str) -> String {
    let name = name.trim_start_matches('\u{feff}').trim().trim_matches('"');
    name.split(" [").next().unwrap_or(name).to_owned()
}

/// One row: its table and a way to get cells by column name.
pub(in crate::formats) struct RecordRow<'a> {
    pub(in crate::formats) table: Table,
    pub(in crate::formats) cell: &'a dyn Fn(&'static str) -> Option<&'a str>,
    pub(in crate::formats) source: &'a Arc<str>,
    pub(in crate::formats) line: u64,
    /// Where in the entry it begins: many rows may share a line.
    pub(in crate::formats) at: u64,
    /// What other rows say of the order of days and months.
    pub(in crate::formats) order: Option<DateOrder>,
}

/// Which number of a date is the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::formats) enum DateOrder {
    /// Not of this form, or the same either way.
    Certain,
    /// 16/07/2026.
    DayFirst,
    /// 7/16/2026, or with AM or PM.
    MonthFirst,
    /// 03/04/2026.
    Either,
}

impl DateOrder {
    /// What one date says.
    pub(in crate::formats) fn of(text: &str) -> Self {
        let mut numbers = text.split(['/', '.', ',', ' ']).filter_map(|part| part.parse::<u32>().ok());
        let (Some(a), Some(b), Some(_year)) = (numbers.next(), numbers.next(), numbers.next()) else {
            return Self::Certain;
        };
        let upper = text.to_ascii_uppercase();
        if upper.contains("AM") || upper.contains("PM") || b > 12 {
            Self::MonthFirst
        } else if a > 12 {
            Self::DayFirst
        } else if a == b {
            Self::Certain
        } else {
            Self::Either
        }
    }
}

impl<'a> RecordRow<'a> {
    /// A cell that says something: `az` writes `None` for null.
    fn get(&self, column: &'static str) -> &'a str {
        (self.cell)(column).filter(|value| !matches!(*value, "None" | "null")).unwrap_or_default()
    }

    fn when(&self, column: &'static str, facts: &mut Facts) -> Option<When> {
        let text = self.get(column);
        if text.is_empty() {
            return None;
        }
        match table_time(text, self.order) {
            TableTime::Known(when) => {
                facts.saw(Some(when));
                Some(when)
            }
            TableTime::DayOrMonth => {
                let what = "dates such as 03/04/2026 may mean day or month first: their times are not used";
                *facts.coverage.entry(self.source).problems.entry(what.to_owned()).or_default() += 1;
                None
            }
            TableTime::None => None,
        }
    }

    /// Counts the row.
    pub(in crate::formats) fn read(&self, facts: &mut Facts) {
        match self.table {
            Table::KubeEvents => self.event(facts),
            Table::KubePodInventory => self.pod(facts),
            Table::ContainerLog => {
                self.text("LogEntry", facts);
            }
            Table::ContainerLogV2 => {
                self.text("LogMessage", facts);
            }
            Table::AzureDiagnostics => self.control_plane("log_s", facts),
            Table::AksControlPlane => self.control_plane("Message", facts),
            Table::AksAudit => self.audit(facts),
            Table::KubeServices => self.service(facts),
            Table::KubeNodeInventory => self.node(facts),
            Table::Syslog => {
                self.text("SyslogMessage", facts);
            }
            Table::FirewallRule => self.firewall_rule(facts),
            Table::FirewallDns => self.firewall_dns(facts),
            Table::FirewallLegacy => self.firewall_legacy(facts),
            Table::TrafficAnalytics => self.traffic(facts),
            Table::Loki => self.labelled("Line", &["Time", "tsNs"], facts),
            Table::Splunk => self.labelled("_raw", &["_time"], facts),
            Table::AppText => {
                for column in ["OuterMessage", "InnermostMessage", "Message"] {
                    if self.text(column, facts) {
                        break;
                    }
                }
            }
            Table::AppCalls | Table::Metrics => {}
        }
    }

    fn event(&self, facts: &mut Facts) {
        let first = self.when("FirstSeen", facts).or_else(|| self.when("TimeGenerated", facts));
        let last = self.when("LastSeen", facts);
        let count = self.get("Count").parse::<f64>().map_or(1, |count| count as u64);
        let (kind, name, namespace) = (self.get("ObjectKind"), self.get("Name"), self.get("Namespace"));
        let message = self.get("Message");
        let node = Some(self.get("Computer")).filter(|node| !node.is_empty());
        facts.happened(EventSeen {
            normal: self.get("KubeEventType") == "Normal",
            reason: self.get("Reason"),
            kind,
            namespace,
            name,
            count,
            times: [first, last],
            node,
            message,
            source: self.source,
            line: self.line,
        });
        let around = Surroundings {
            when: first,
            last,
            node,
            pod: (kind == "Pod").then_some((namespace, name)),
            count,
            print: Some(fingerprint((kind, namespace, name, message))),
            at: self.at,
            ..Surroundings::default()
        };
        line::consider(message.as_bytes(), around, self.source, self.line, facts);
    }

    /// One row per container and cycle: the row of the latest time is kept.
    fn pod(&self, facts: &mut Facts) {
        let name = self.get("Name");
        if name.is_empty() {
            return;
        }
        let when = self.when("TimeGenerated", facts);
        let controller =
            Owner { kind: self.get("ControllerKind").into(), name: self.get("ControllerName").into() };
        let pod = Pod {
            metadata: Meta {
                name: name.into(),
                namespace: self.get("Namespace").into(),
                labels: labels(self.get("PodLabel")),
                owner_references: if controller.name.is_empty() { [].into() } else { [controller].into() },
                ..Meta::default()
            },
            spec: PodSpec { node_name: self.get("Computer").into(), ..PodSpec::default() },
            status: PodStatus {
                phase: self.get("PodStatus").into(),
                pod_ip: self.get("PodIp").into(),
                ..PodStatus::default()
            },
        };
        let freshness = match when {
            Some(When::At(micros)) => usize::try_from(micros / 1_000_000).unwrap_or(0),
            _ => 0,
        };
        facts.met("Pod", true, self.source, self.line);
        facts.objects.pods.add(pod, &self.origin(freshness));
    }

    fn freshness(&self, facts: &mut Facts) -> usize {
        match self.when("TimeGenerated", facts) {
            Some(When::At(micros)) => usize::try_from(micros / 1_000_000).unwrap_or(0),
            _ => 0,
        }
    }

    fn service(&self, facts: &mut Facts) {
        let name = self.get("ServiceName");
        if name.is_empty() {
            return;
        }
        let freshness = self.freshness(facts);
        facts.met("Service", true, self.source, self.line);
        let service = Service {
            metadata: Meta { name: name.into(), namespace: self.get("Namespace").into(), ..Meta::default() },
            spec: ServiceSpec {
                r#type: self.get("ServiceType").into(),
                cluster_ip: self.get("ClusterIp").into(),
                selector: labels(self.get("SelectorLabels")),
                ..ServiceSpec::default()
            },
            ..Service::default()
        };
        facts.objects.services.add(service, &self.origin(freshness));
    }

    fn node(&self, facts: &mut Facts) {
        let name = self.get("Computer");
        if name.is_empty() {
            return;
        }
        let freshness = self.freshness(facts);
        facts.met("Node", true, self.source, self.line);
        // `Status` lists the conditions that are true.
        let ready = self.get("Status").split(',').any(|word| word.trim() == "Ready");
        let condition = Condition {
            r#type: "Ready".into(),
            status: if ready { "True" } else { "Unknown" }.into(),
            ..Condition::default()
        };
        let node = Node {
            metadata: Meta { name: name.into(), labels: labels(self.get("Labels")), ..Meta::default() },
            spec: NodeSpec { provider_id: self.get("KubernetesProviderID").into(), ..NodeSpec::default() },
            status: NodeStatus {
                conditions: if self.get("Status").is_empty() { [].into() } else { [condition].into() },
                node_info: NodeInfo {
                    kubelet_version: self.get("KubeletVersion").into(),
                    ..NodeInfo::default()
                },
                ..NodeStatus::default()
            },
        };
        facts.objects.nodes.add(node, &self.origin(freshness));
    }

    fn firewall_rule(&self, facts: &mut Facts) {
        let target = [self.get("Fqdn"), self.get("TargetUrl"), self.get("DestinationIp")]
            .into_iter()
            .find(|text| !text.is_empty());
        let rule = [self.get("Rule"), self.get("ActionReason")].into_iter().find(|text| !text.is_empty());
        let key = FlowKey {
            filter: FlowFilter::Firewall,
            inbound: false,
            allowed: !self.get("Action").eq_ignore_ascii_case("deny"),
            target: target.unwrap_or_default().into(),
            port: self.get("DestinationPort").parse().unwrap_or(0),
            protocol: self.get("Protocol").into(),
            source: self.get("SourceIp").into(),
            rule: rule.unwrap_or_default().into(),
        };
        let when = self.when("TimeGenerated", facts);
        let print = fingerprint((when, &key.target, key.port, &key.source, self.get("SourcePort")));
        let text = format!(
            "{} {} {} to {}:{} ({})",
            self.get("Action"),
            key.protocol,
            key.source,
            key.target,
            key.port,
            key.rule
        );
        self.flow(key, print, when, &text, facts);
    }

    /// A flow of a virtual network. The older table has the type of a column at the end of its name.
    fn traffic(&self, facts: &mut Facts) {
        let get = |names: [&'static str; 2]| {
            names.into_iter().map(|name| self.get(name)).find(|text| !text.is_empty()).unwrap_or_default()
        };
        let allowed = !get(["FlowStatus", "FlowStatus_s"]).to_ascii_uppercase().starts_with('D');
        let inbound = get(["FlowDirection", "FlowDirection_s"]).to_ascii_uppercase().starts_with('I');
        // Aggregates name public addresses with their counts: `20.1.2.3|0|12|…`.
        let public = get(["DestPublicIps", "DestPublicIPs_s"]);
        let direct = get(["DestIp", "DestIP_s"]);
        let target =
            if direct.is_empty() { public.split(['|', ' ']).next().unwrap_or_default() } else { direct };
        let protocol = match get(["L4Protocol", "L4Protocol_s"]) {
            "T" | "6" => "TCP",
            "U" | "17" => "UDP",
            other => other,
        };
        let rule = get(["AclRule", "NSGRule_s"]);
        let rule = rule.rsplit('|').next().unwrap_or(rule);
        let key = FlowKey {
            filter: FlowFilter::SecurityGroup,
            inbound,
            allowed,
            target: target.into(),
            port: get(["DestPort", "DestPort_d"])
                .split('.')
                .next()
                .and_then(|port| port.parse().ok())
                .unwrap_or(0),
            protocol: protocol.into(),
            source: get(["SrcIp", "SrcIP_s"]).into(),
            rule: rule.strip_prefix("UserRule_").unwrap_or(rule).into(),
        };
        if allowed {
            return;
        }
        let when = self.when("FlowStartTime", facts).or_else(|| self.when("TimeGenerated", facts));
        let print = fingerprint((when, &key.target, key.port, &key.source, self.line, self.at));
        let text = format!(
            "Denied {} {} to {}:{}, rule {}",
            key.protocol, key.source, key.target, key.port, key.rule
        );
        self.flow(key, print, when, &text, facts);
    }

    /// A line of a log with its pod: in columns, or as labels in JSON.
    fn labelled(&self, column: &'static str, times: &[&'static str], facts: &mut Facts) {
        let text = self.get(column);
        if !line::holds_signature(text.as_bytes()) {
            return;
        }
        let labels: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(self.get("labels")).unwrap_or_default();
        let label = |names: &[&'static str]| -> String {
            let column = names.iter().map(|name| self.get(name)).find(|text| !text.is_empty());
            let within = || names.iter().find_map(|name| labels.get(*name)?.as_str());
            column.or_else(within).unwrap_or_default().to_owned()
        };
        let pod = label(&["pod", "pod_name"]);
        let namespace = label(&["namespace", "namespace_name"]);
        let node = label(&["node_name", "node", "host"]);
        let around = Surroundings {
            when: times.iter().find_map(|name| self.when(name, facts)),
            node: Some(node.as_str()).filter(|node| !node.is_empty()),
            log_of: (!pod.is_empty()).then_some((namespace.as_str(), pod.as_str())),
            at: self.at,
            ..Surroundings::default()
        };
        line::understand(text.as_bytes(), around, self.source, self.line, facts);
    }

    fn firewall_dns(&self, facts: &mut Facts) {
        let when = self.when("TimeGenerated", facts);
        let code = self.get("ResponseCode");
        let key = FlowKey {
            filter: FlowFilter::Firewall,
            inbound: false,
            allowed: matches!(code, "NOERROR" | "0" | ""),
            target: self.get("QueryName").into(),
            port: 53,
            protocol: "DNS".into(),
            source: self.get("SourceIp").into(),
            rule: code.into(),
        };
        let print = fingerprint((when, &key.target, &key.source, self.get("SourcePort")));
        let text = format!("{} {} {}", key.target, code, self.get("ErrorMessage"));
        self.flow(key, print, when, &text, facts);
    }

    fn firewall_legacy(&self, facts: &mut Facts) {
        let text = self.get("msg_s");
        let Some(key) = firewall_message(text) else {
            line::consider(text.as_bytes(), Surroundings::default(), self.source, self.line, facts);
            return;
        };
        let when = self.when("TimeGenerated", facts);
        self.flow(key, fingerprint((when, text)), when, text, facts);
    }

    fn flow(&self, key: FlowKey, print: u64, when: Option<When>, text: &str, facts: &mut Facts) {
        let (source, line, text) = (self.source, self.line, text.as_bytes());
        facts.flowed(FlowSeen { key, print, when, source, line, text });
    }

    fn origin(&self, weight: usize) -> Origin<'_> {
        Origin { form: Form::Inventory, weight, source: self.source, line: self.line, at: self.at }
    }

    fn text(&self, column: &'static str, facts: &mut Facts) -> bool {
        let text = self.get(column);
        // Times cost more than the search: only texts that may matter get theirs parsed.
        let matters = line::holds_signature(text.as_bytes());
        if matters {
            let around = Surroundings {
                when: self.when("TimeGenerated", facts),
                node: Some(self.get("Computer")).filter(|node| !node.is_empty()),
                at: self.at,
                ..Surroundings::default()
            };
            line::understand(text.as_bytes(), around, self.source, self.line, facts);
        }
        matters
    }

    fn control_plane(&self, column: &'static str, facts: &mut Facts) {
        let text = self.get(column);
        match self.get("Category") {
            category if category.starts_with("kube-audit") => facts.api_server.audit_events += 1,
            "kube-apiserver" => facts.api_server.log_lines += 1,
            _ => {}
        }
        let given = self.text(column, facts);
        if text.trim_start().starts_with('{') && !given && text.contains("\"auditID\"") {
            let stamp = text.find("\"requestReceivedTimestamp\":\"").and_then(|at| text.get(at + 28..));
            if let Some((when, _)) = stamp.and_then(|stamp| time::rfc3339(stamp.as_bytes())) {
                facts.saw(Some(when));
                facts.api_server.audit_span.add(when);
            }
        }
    }

    /// `AKSAudit` spreads the event over columns; the objects in them are JSON texts.
    fn audit(&self, facts: &mut Facts) {
        facts.api_server.audit_events += 1;
        let status = self.get("ResponseStatus");
        if !status.contains("403") && !status.contains("401") {
            return;
        }
        let parse = |column: &'static str| serde_json::from_str(self.get(column)).ok();
        let event = AuditEvent {
            audit_id: Some(self.get("AuditId").into()),
            request_uri: Some(self.get("RequestUri").into()),
            verb: Some(self.get("Verb").into()),
            user: serde_json::from_str(self.get("User")).ok(),
            impersonated_user: serde_json::from_str(self.get("ImpersonatedUser")).ok(),
            source_ips: parse("SourceIps")
                .and_then(|ips: serde_json::Value| serde_json::from_value(ips).ok()),
            user_agent: Some(self.get("UserAgent").into()),
            object_ref: serde_json::from_str(self.get("ObjectRef")).ok(),
            response_status: serde_json::from_str(status).ok(),
            annotations: serde_json::from_str(self.get("Annotations")).ok(),
            request_received_timestamp: None,
            stage_timestamp: None,
            timestamp: None,
        };
        let when = self.when("RequestReceivedTime", facts).or_else(|| self.when("TimeGenerated", facts));
        let stamp = when.and_then(|when| when.resolve(None)).map(time::rfc3339_text);
        let event = AuditEvent { request_received_timestamp: stamp.map(Into::into), ..event };
        audit::refusal(&event, status.as_bytes(), self.source, self.line, facts);
    }
}

/// `HTTPS request from 10.0.0.5:4567 to mcr.microsoft.com:443. Action: Deny. No rule matched. …` and its
/// kin (<https://learn.microsoft.com/azure/firewall/firewall-structured-logs>).
pub(in crate::formats) fn firewall_message(text: &str) -> Option<FlowKey> {
    let (protocol, rest) = text.split_once(" request from ")?;
    let (route, rest) = rest
        .split_once(". Action: ")
        .or_else(|| rest.split_once(" was DNAT'ed to ").map(|(route, _)| (route, "Allow")))?;
    let (source, target) = route.split_once(" to ").unwrap_or((route, ""));
    let host = |text: &str| -> (Box<str>, u16) {
        match text.rsplit_once(':') {
            Some((host, port)) => (host.into(), port.trim_end_matches('.').parse().unwrap_or(0)),
            None => (text.into(), 0),
        }
    };
    let (action, why) = rest.split_once('.').unwrap_or((rest, ""));
    let rule = why.split_once(" Rule: ").map_or(why, |(_, rule)| rule.split(". ").next().unwrap_or(rule));
    let (target, port) = host(target);
    Some(FlowKey {
        filter: FlowFilter::Firewall,
        inbound: false,
        allowed: action.trim() != "Deny",
        target,
        port,
        protocol: protocol.into(),
        source: host(source).0,
        rule: rule.trim().into(),
    })
}

/// Labels as the agent writes them: `[{"app":"cart","tier":"web"}]`.
fn labels(text: &str) -> Labels {
    serde_json::from_str::<Vec<BTreeMap<Text, Text>>>(text)
        .unwrap_or_default()
        .into_iter()
        .flatten()
        .collect()
}

#[derive(Debug, PartialEq, Eq)]
enum TableTime {
    Known(When),
    /// Both readings are dates.
    DayOrMonth,
    None,
}

/// A time as a table export writes it: ISO, or in the browser's way (`2/25/2025, 9:19:25.391 AM`,
/// `16/07/2026 20:26:12,030`). AM and PM go with month first; otherwise a number above 12 decides.
fn table_time(text: &str, order: Option<DateOrder>) -> TableTime {
    let text = text.trim();
    if let Some((when, _)) = time::rfc3339(text.as_bytes()) {
        return TableTime::Known(when);
    }
    let mut numbers = [0_i64; 6];
    let parts = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let parsed = numbers.iter_mut().zip(parts.map_while(|part| part.parse().ok()));
    let count = parsed.map(|(slot, number)| *slot = number).count();
    let [a, b, year, hour, minute, second] = numbers;
    if count < 6 || !(1970..=2200).contains(&year) || hour > 23 || minute > 59 || second > 60 {
        return TableTime::None;
    }
    let bytes = text.as_bytes();
    let says = |half: &[u8]| bytes.windows(2).any(|two| two.eq_ignore_ascii_case(half));
    let (am, pm) = (says(b"am"), says(b"pm"));
    let (month, day) = match (am || pm, a > 12, b > 12) {
        (true, ..) | (false, false, true) => (a, b),
        (false, true, _) => (b, a),
        (false, false, false) if a == b || order == Some(DateOrder::MonthFirst) => (a, b),
        (false, false, false) if order == Some(DateOrder::DayFirst) => (b, a),
        (false, false, false) => return TableTime::DayOrMonth,
    };
    let hour = match (am, pm, hour) {
        (true, _, 12) => 0,
        (_, true, hour) if hour < 12 => hour + 12,
        (_, _, hour) => hour,
    };
    let fraction = text.rsplit_once(['.', ',']).map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).take(3).count();
    let millis = fraction.get(..digits).filter(|_| digits == 3).and_then(|text| text.parse::<i64>().ok());
    let micros = millis.unwrap_or(0) * 1000;
    time::civil(year, month, day, hour * 3600 + minute * 60 + second, micros)
        .map_or(TableTime::None, TableTime::Known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> String {
        match table_time(text, None) {
            TableTime::Known(when) => time::rfc3339_text(when.resolve(None).unwrap()),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn portal_times_of_several_locales() {
        assert_eq!(rendered("2/25/2025, 9:19:25.391 AM"), "2025-02-25T09:19:25.391Z");
        assert_eq!(rendered("2/25/2025, 12:19:25.391\u{202f}AM"), "2025-02-25T00:19:25.391Z");
        assert_eq!(rendered("16/07/2026 20:26:12.030"), "2026-07-16T20:26:12.03Z");
        assert_eq!(rendered("16/07/2026, 20:26:12,030"), "2026-07-16T20:26:12.03Z");
        assert_eq!(rendered("2026-11-23T20:26:12.03Z"), "2026-11-23T20:26:12.03Z");
        assert_eq!(rendered("03/04/2026 20:26:12"), "DayOrMonth");
        assert_eq!(rendered("yesterday"), "None");
    }

    #[test]
    fn both_generations_of_firewall_messages_are_read() {
        let key = firewall_message("HTTPS request from 10.0.0.5:4567 to mcr.microsoft.com:443. Action: Deny. No rule matched. Proceeding with default action").unwrap();
        assert_eq!(
            (key.allowed, &*key.target, key.port, &*key.source),
            (false, "mcr.microsoft.com", 443, "10.0.0.5")
        );
        let key = firewall_message(
            "HTTPS request from 10.0.0.5:4567. Action: Deny. Reason: SNI TLS extension was missing.",
        )
        .unwrap();
        assert_eq!((key.allowed, &*key.target), (false, ""));
        let key = firewall_message("TCP request from 10.0.0.5:1 to 1.2.3.4:9000. Action: Allow. Policy: p. Rule Collection Group: g. Rule Collection: c. Rule: r").unwrap();
        assert_eq!((key.allowed, &*key.rule), (true, "r"));
        assert!(firewall_message("hello").is_none());
    }

    #[test]
    fn tables_are_known_by_their_columns() {
        let columns = |text: &str| text.split(',').map(column_name).collect::<Vec<_>>();
        assert_eq!(
            Table::of(&columns("TimeGenerated [UTC],log_s,pod_s,Category")),
            Some(Table::AzureDiagnostics)
        );
        assert_eq!(
            Table::of(&columns("\u{feff}TimeGenerated,LogMessage,PodName")),
            Some(Table::ContainerLogV2)
        );
        assert_eq!(Table::of(&columns("Name,Age,City")), None);
    }
}
