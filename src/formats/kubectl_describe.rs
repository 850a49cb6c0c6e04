//! `kubectl describe`: blocks of `Key:  value` lines, one block an object, events at the end.
//!
//! The text is made for people and is not versioned, so each key is optional. Roles and bindings print
//! no namespace: they are taken only when the echoed command tells it.

mod specs;

use std::borrow::Cow;

use super::shared::command::{self, Kubectl};
use super::shared::conditions;
use super::shared::fragments::{self, DescribedEventRow};
use super::shared::line;
use super::shared::log_line::Surroundings;
use super::shared::sections::{self, begins_description, is_remark};
use super::{Head, InputFormat, Piece};
use crate::bundle::Framer;
use crate::facts::time::{self, When};
use crate::facts::{
    Binding, BudgetStatus, Condition, ConditionedObject, ConditionedStatus, Container, ContainerPort,
    ContainerState, ContainerStatus, EndpointAddress, Endpoints, EventSeen, Facts, Form, IntOrString, Labels,
    LoadBalancer, LoadBalancerIngress, Meta, Namespace, NamespaceStatus, NetworkPolicy, Node, NodeAddress,
    NodeInfo, NodeSpec, NodeStatus, Origin, Owner, Pod, PodDisruptionBudget, PodIp, PodSpec, PodStatus,
    PolicyRule, Role, RoleRef, Service, ServicePort, ServiceSpec, ServiceStatus, Subject, Subset, Terminated,
    Text, Waiting, fingerprint,
};

pub(super) struct KubectlDescribe;
pub(super) const FORMAT: KubectlDescribe = KubectlDescribe;

impl InputFormat for KubectlDescribe {
    fn name(&self) -> &'static str {
        "kubectl-describe"
    }

    fn about(&self) -> &'static str {
        "objects as kubectl describe prints them, with their events"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let mut lines = head.bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let Some(first) = lines.find(|line| !line.is_empty() && !is_remark(line)) else { return 0 };
        if !begins_description(first) {
            return 0;
        }
        let known = |line: &[u8]| {
            [&b"Namespace:"[..], b"Labels:", b"Annotations:", b"Roles:", b"Priority:"]
                .iter()
                .any(|key| line.starts_with(key))
        };
        if lines.take(12).any(known) && !sections::mixed(head.bytes) { 88 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(DescribeFramer)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut blocks: Vec<Described<'_>> = Vec::new();
        let mut loose = Vec::new();
        for (line, number) in piece.bytes.split(|byte| *byte == b'\n').zip(piece.first_line..) {
            if begins_description(line) {
                blocks.push(Described::default());
            }
            let Ok(text) = std::str::from_utf8(line) else { continue };
            match blocks.last_mut() {
                Some(block) => block.push(text.trim_end(), number),
                None if !line.trim_ascii().is_empty() => loose.push((line, number)),
                None => {}
            }
        }
        let around = Surroundings { node: piece.node, ..Surroundings::default() };
        for (line, number) in loose {
            line::consider(line, around, piece.source, number, facts);
        }
        let command = piece.command.and_then(command::kubectl);
        for block in &blocks {
            DescribeReader { piece, facts, block, command: command.as_ref() }.read();
        }
        blocks.len() as u64
    }
}

/// Cuts before a block.
#[derive(Debug)]
struct DescribeFramer;

impl Framer for DescribeFramer {
    fn cut(&mut self, buffer: &[u8], at_end: bool) -> usize {
        if at_end {
            return buffer.len();
        }
        memchr::memmem::rfind(buffer, b"\nName: ").map_or(0, |at| at + 1)
    }

    fn resume(&mut self, buffer: &[u8]) -> Option<usize> {
        memchr::memmem::find(buffer, b"\nName: ").map(|at| at + 1)
    }
}

/// Most lines over which a row of events is broken, and the least length of one that is.
const WRAPPED: usize = 4;
const UNBROKEN: usize = 50;

/// Least indentation of the lines of a container's state.
const INNER: usize = 6;

/// The lines of one object.
#[derive(Default)]
struct Described<'a> {
    lines: Vec<DescribeLine<'a>>,
    /// Indentation of the message of a container that is being read: its lines are as the program wrote them.
    message: Option<usize>,
}

#[derive(Clone, Copy)]
struct DescribeLine<'a> {
    indent: usize,
    /// Without its indentation.
    text: &'a str,
    number: u64,
}

impl<'a> DescribeLine<'a> {
    /// `Key:  value`, `Key:`.
    fn pair(&self) -> Option<(&'a str, &'a str)> {
        let (key, value) = self.text.split_once(':')?;
        (value.is_empty() || value.starts_with([' ', '\t'])).then(|| (key, present(value)))
    }
}

/// A value; `<none>` and the like say that there is none.
fn present(value: &str) -> &str {
    let value = value.trim();
    if matches!(value, "<none>" | "<unset>" | "<unknown>" | "<nil>") { "" } else { value }
}

impl<'a> Described<'a> {
    fn push(&mut self, line: &'a str, number: u64) {
        let text = line.trim_start();
        if text.is_empty() {
            return;
        }
        let mut line = DescribeLine { indent: line.len() - text.len(), text, number };
        if let Some(margin) = self.message {
            // What kubectl prints behind the message of a container (`describePod`), as deep as it or less.
            let after =
                ["Exit Code", "Signal", "Started", "Finished", "Last State", "Ready", "Restart Count"];
            let key = line.pair().map_or("", |(key, _)| key);
            if line.indent <= margin && line.indent > 0 && after.contains(&key) {
                self.message = None;
            } else {
                line.indent = line.indent.max(margin + 1);
            }
        } else if line.indent >= INNER && line.pair().is_some_and(|(key, _)| key == "Message") {
            self.message = Some(line.indent);
        }
        self.lines.push(line);
    }

    fn at(&self, key: &str) -> Option<usize> {
        self.lines
            .iter()
            .position(|line| line.indent == 0 && line.pair().is_some_and(|(ours, _)| ours == key))
    }

    fn has(&self, key: &str) -> bool {
        self.at(key).is_some()
    }

    /// The value of a key at the margin.
    fn value(&self, key: &str) -> &'a str {
        self.at(key).and_then(|at| self.lines.get(at)?.pair()).map_or("", |(_, value)| value)
    }

    /// All values of a key at the margin: a service repeats `Port:` for each.
    fn values(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.lines
            .iter()
            .filter(|line| line.indent == 0)
            .filter_map(DescribeLine::pair)
            .filter(move |(line, _)| *line == key)
            .map(|(_, value)| value)
    }

    /// The lines below a key at the margin.
    fn below(&self, key: &str) -> &[DescribeLine<'a>] {
        let Some(at) = self.at(key) else { return &[] };
        let rest = self.lines.get(at + 1..).unwrap_or_default();
        let end = rest.iter().position(|line| line.indent == 0).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    /// The rows of events, last in a block. The message is last in a row, and a terminal or a mail program may have broken it:
    /// what follows at the margin, or is no row, goes on with it.
    fn event_rows(&self) -> Vec<(DescribeLine<'a>, Cow<'a, str>)> {
        let from = self.at("Events").map_or(self.lines.len(), |at| at + 1);
        let mut rows: Vec<(DescribeLine<'a>, Cow<'a, str>)> = Vec::new();
        let mut more = 0;
        for line in self.lines.get(from..).unwrap_or_default() {
            let is_row = line.indent > 0 && DescribedEventRow::parse(line.text).is_some();
            match rows.last_mut() {
                // Only a long row is broken.
                Some((first, text)) if !is_row && more < WRAPPED && first.text.len() >= UNBROKEN => {
                    more += 1;
                    text.to_mut().push(' ');
                    text.to_mut().push_str(line.text);
                }
                _ if is_row => {
                    more = 0;
                    rows.push((*line, Cow::Borrowed(line.text)));
                }
                // The heading of the table; at the margin, what is none of it.
                _ if line.indent > 0 => {}
                _ => break,
            }
        }
        rows
    }

    /// The value of a key and the lines that go on with it.
    fn list(&self, key: &str) -> Vec<&'a str> {
        let first = Some(self.value(key)).filter(|value| !value.is_empty());
        first.into_iter().chain(self.below(key).iter().map(|line| line.text)).collect()
    }

    fn labels(&self, key: &str) -> Labels {
        let pairs = self.list(key).into_iter().flat_map(|line| line.split(','));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .map(|(key, value)| (Text::from(key), Text::from(value)))
            .collect()
    }

    fn when(&self, key: &str) -> Option<When> {
        let value = self.value(key);
        time::rfc1123(value).or_else(|| time::rfc3339(value.as_bytes()).map(|(when, _)| when))
    }
}

/// A value below a parent: the first line of this key.
/// A value and the lines that go on with it, as they stand.
fn whole_value(lines: &[DescribeLine<'_>], key: &str) -> String {
    let Some(at) = lines.iter().position(|line| line.pair().is_some_and(|(ours, _)| ours == key)) else {
        return String::new();
    };
    let margin = lines.get(at).map_or(0, |line| line.indent);
    let first = lines.get(at).and_then(DescribeLine::pair).map_or("", |(_, value)| value);
    let more = lines.iter().skip(at + 1).take_while(|line| line.indent > margin).map(|line| line.text);
    std::iter::once(first).chain(more).collect::<Vec<_>>().join("\n")
}

fn inner<'a>(lines: &[DescribeLine<'a>], key: &str) -> &'a str {
    lines.iter().filter_map(DescribeLine::pair).find(|(line, _)| *line == key).map_or("", |(_, value)| value)
}

/// Parents at one indentation and what stands below each.
fn groups<'b, 'a>(lines: &'b [DescribeLine<'a>]) -> Vec<(&'a str, &'b [DescribeLine<'a>])> {
    let Some(first) = lines.first() else { return Vec::new() };
    let starts: Vec<usize> = (0..lines.len())
        .filter(|at| lines.get(*at).is_some_and(|line| line.indent == first.indent))
        .collect();
    starts
        .iter()
        .enumerate()
        .filter_map(|(nth, at)| {
            let end = starts.get(nth + 1).copied().unwrap_or(lines.len());
            Some((lines.get(*at)?.text.trim_end_matches(':'), lines.get(at + 1..end)?))
        })
        .collect()
}

/// Cells that stand two or more spaces apart.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

struct DescribeReader<'a, 'p> {
    piece: &'a Piece<'p>,
    facts: &'a mut Facts,
    block: &'a Described<'a>,
    command: Option<&'a Kubectl<'a>>,
}

/// Reads a row of events without the object that it stood below: the command may name it. Says whether it is one.
pub(super) fn read_event_row(piece: &Piece<'_>, line: &str, number: u64, facts: &mut Facts) -> bool {
    let Some(row) = DescribedEventRow::parse(line) else { return false };
    let command = piece.command.and_then(command::kubectl);
    let described = command.as_ref().filter(|command| command.verb == "describe");
    let block = Described::default();
    let mut reader = DescribeReader { piece, facts, block: &block, command: described };
    // The scheduler and the kubelet speak of pods.
    let kind = described.and_then(|command| command::kind_of(command.resource)).unwrap_or("Pod");
    let of_command =
        described.and_then(|command| Some((command.namespace.unwrap_or_default(), command.name?)));
    let of_message = || fragments::pod_named(row.message).filter(|_| kind == "Pod");
    let (namespace, name) = of_command.or_else(of_message).unwrap_or_default();
    reader.event(&DescribedEvent {
        kind,
        name,
        namespace,
        reason: row.reason,
        normal: row.normal,
        message: row.message,
        count: row.count,
        node: row.host,
        times: row.times,
        line: number,
    });
    true
}

impl DescribeReader<'_, '_> {
    fn read(&mut self) {
        let block = self.block;
        let Some(first) = block.lines.first() else { return };
        let Some(kind) = self.kind() else {
            self.facts.not_kept("described objects of other kinds");
            let named = match block.value("Kind") {
                "" => self.command.map_or("", |command| command.resource),
                kind => kind,
            };
            let named = named.to_owned();
            self.conditions(&named, first.number);
            self.events(&named, block.value("Namespace"));
            return;
        };
        if kind == "Event" {
            self.event_object();
            return;
        }
        if self.piece.cut_short {
            self.facts.problem(self.piece.source, "a described object is cut");
        }
        let question = self.command.and_then(|command| command.namespace).unwrap_or_default();
        let namespace = match block.value("Namespace") {
            "" => question,
            ours => ours,
        };
        let metadata = Meta {
            name: block.value("Name").into(),
            namespace: if matches!(
                kind,
                "Node" | "Namespace" | "ClusterRole" | "ClusterRoleBinding" | "PersistentVolume"
            ) {
                Text::default()
            } else {
                namespace.into()
            },
            labels: block.labels("Labels"),
            annotations: block
                .list("Annotations")
                .into_iter()
                .filter_map(|line| line.split_once(": "))
                .map(|(key, value)| (Text::from(key.trim()), Text::from(value.trim())))
                .collect(),
            ..Meta::default()
        };
        self.facts.met(kind, false, self.piece.source, first.number);
        let origin = Origin {
            form: Form::Describe,
            weight: block.lines.len(),
            source: self.piece.source,
            line: first.number,
            at: 0,
        };
        let stated = kind.starts_with("Cluster") || !namespace.is_empty();
        let objects = &mut self.facts.objects;
        match kind {
            "Pod" => {
                let pod = pod(block, metadata);
                conditions::waiting(&pod, self.piece, first.number, self.facts);
                self.facts.objects.pods.add(pod, &origin);
            }
            "Service" => {
                let endpoints = endpoints(block, &metadata);
                objects.services.add(service(block, metadata), &origin);
                if let Some(endpoints) = endpoints {
                    objects.endpoints.add(endpoints, &origin);
                }
            }
            "Node" => objects.nodes.add(node(block, metadata), &origin),
            "Namespace" => {
                let status = NamespaceStatus { phase: block.value("Status").into() };
                objects.namespaces.add(Namespace { metadata, status }, &origin);
            }
            "Deployment" => objects.deployments.add(specs::workload(block, metadata), &origin),
            "ReplicaSet" => objects.replica_sets.add(specs::workload(block, metadata), &origin),
            "StatefulSet" => objects.stateful_sets.add(specs::workload(block, metadata), &origin),
            "DaemonSet" => objects.daemon_sets.add(specs::workload(block, metadata), &origin),
            "PersistentVolumeClaim" => objects.claims.add(specs::claim(block, metadata), &origin),
            "PersistentVolume" => objects.volumes.add(specs::volume(block, metadata), &origin),
            "ResourceQuota" => objects.quotas.add(specs::quota(block, metadata), &origin),
            "NetworkPolicy" => objects.network_policies.add(NetworkPolicy { metadata, spec: None }, &origin),
            "PodDisruptionBudget" => objects.disruption_budgets.add(budget(block, metadata), &origin),
            "RoleBinding" | "ClusterRoleBinding" | "Role" | "ClusterRole" if !stated => {
                self.facts.not_kept(&format!("{kind} (described without its namespace)"));
            }
            "RoleBinding" => objects.role_bindings.add(binding(block, metadata), &origin),
            "ClusterRoleBinding" => objects.cluster_role_bindings.add(binding(block, metadata), &origin),
            "Role" => objects.roles.add(role(block, metadata), &origin),
            "ClusterRole" => objects.cluster_roles.add(role(block, metadata), &origin),
            other => {
                self.facts.not_kept(other);
                self.conditions(other, first.number);
                // What kubectl could not find for it: `web:80 (<error: endpoints "web" not found>)`.
                for at in block.lines.iter().filter(|line| line.text.contains("<error: ")) {
                    let around = Surroundings::default();
                    line::consider(at.text.as_bytes(), around, self.piece.source, at.number, self.facts);
                }
            }
        }
        self.events(kind, namespace);
    }

    /// The kind, by the keys that only it has, or by the command.
    fn kind(&self) -> Option<&'static str> {
        let block = self.block;
        let question = self
            .command
            .filter(|command| command.verb == "describe")
            .and_then(|command| command::kind_of(command.resource));
        let below = |key: &str, word: &str| block.below(key).iter().any(|line| line.text.starts_with(word));
        Some(if block.has("Involved Object") {
            "Event"
        } else if block.has("System Info")
            || block.has("Roles") && (block.has("Conditions") || block.has("Taints"))
        {
            "Node"
        } else if block.has("Containers") && (block.has("QoS Class") || block.has("IP") || block.has("Node"))
        {
            "Pod"
        } else if block.has("Node") && block.has("Namespace") {
            // A description that is cut before or after its containers.
            "Pod"
        } else if block.has("Session Affinity")
            || (block.has("Selector") && block.has("Type") && block.has("Endpoints"))
        {
            "Service"
        } else if block.has("Subsets") {
            "Endpoints"
        } else if block.has("AddressType") {
            "EndpointSlice"
        } else if below("Spec", "PodSelector:") {
            "NetworkPolicy"
        } else if below("Status", "Allowed disruptions:") {
            "PodDisruptionBudget"
        } else if block.has("Role") && block.has("Subjects") {
            match question {
                Some("ClusterRoleBinding") => "ClusterRoleBinding",
                _ => "RoleBinding",
            }
        } else if block.has("PolicyRule") {
            match question {
                Some("ClusterRole") => "ClusterRole",
                _ => "Role",
            }
        } else if block.has("StrategyType") {
            "Deployment"
        } else if block.has("Desired Number of Nodes Scheduled") {
            "DaemonSet"
        } else if block.has("Update Strategy") {
            "StatefulSet"
        } else if block.has("Pods Status") && block.has("Replicas") {
            "ReplicaSet"
        } else if block.has("Reclaim Policy") {
            "PersistentVolume"
        } else if block.has("StorageClass") && block.has("Access Modes") {
            "PersistentVolumeClaim"
        } else if block
            .lines
            .iter()
            .any(|line| line.indent == 0 && line.text.split_whitespace().eq(["Resource", "Used", "Hard"]))
        {
            "ResourceQuota"
        } else if block.has("Mountable secrets") {
            "ServiceAccount"
        } else if block.has("Default backend") || block.has("Rules") {
            "Ingress"
        } else if block.has("Status")
            && block
                .lines
                .iter()
                .any(|line| line.text.contains("resource quota") || line.text.starts_with("Resource Quota"))
        {
            "Namespace"
        } else if block.has("Data") && block.has("Type") {
            "Secret"
        } else if block.has("Data") {
            "ConfigMap"
        } else if block.value("Kind") == "NodeNetworkConfig" {
            "NodeNetworkConfig (described)"
        } else {
            question?
        })
    }

    /// Conditions of an object whose kind has no form of its own: `kubectl describe` prints them as it does all fields, one
    /// below the other, and each begins anew with the first of its keys.
    fn conditions(&mut self, kind: &str, line: u64) {
        let block = self.block;
        let mut found: Vec<Condition> = Vec::new();
        for (at, parent) in block.lines.iter().enumerate().filter(|(_, line)| line.text == "Conditions:") {
            let below = block.lines.get(at + 1..).unwrap_or_default();
            let end = below.iter().position(|line| line.indent <= parent.indent).unwrap_or(below.len());
            let mut keys: Vec<&str> = Vec::new();
            for (key, value) in below.get(..end).unwrap_or_default().iter().filter_map(DescribeLine::pair) {
                if keys.is_empty() || keys.contains(&key) {
                    keys.clear();
                    found.push(Condition::default());
                }
                keys.push(key);
                let Some(condition) = found.last_mut() else { continue };
                match key {
                    "Type" => condition.r#type = value.into(),
                    "Status" => condition.status = value.into(),
                    "Reason" => condition.reason = value.into(),
                    "Message" => condition.message = value.into(),
                    "Last Transition Time" => condition.last_transition_time = value.into(),
                    _ => {}
                }
            }
        }
        let question = self.command.and_then(|command| command.namespace).unwrap_or_default();
        let namespace = Some(block.value("Namespace")).filter(|ours| !ours.is_empty()).unwrap_or(question);
        let metadata =
            Meta { name: block.value("Name").into(), namespace: namespace.into(), ..Meta::default() };
        let status = ConditionedStatus { conditions: found.into(), ..ConditionedStatus::default() };
        conditions::note(kind, &ConditionedObject { metadata, status }, self.piece, line, self.facts);
    }

    /// The table at the end of a block.
    fn events(&mut self, kind: &str, namespace: &str) {
        let block = self.block;
        let node = match kind {
            "Node" => block.value("Name"),
            _ => block.value("Node").split('/').next().unwrap_or_default(),
        };
        for (line, text) in block.event_rows() {
            let Some(row) = DescribedEventRow::parse(&text) else { continue };
            let node = if row.host.is_empty() && row.from == "kubelet" { node } else { row.host };
            let seen = DescribedEvent {
                kind,
                name: block.value("Name"),
                namespace,
                reason: row.reason,
                normal: row.normal,
                message: row.message,
                count: row.count,
                node,
                times: row.times,
                line: line.number,
            };
            self.event(&seen);
        }
    }

    /// `kubectl describe events`.
    fn event_object(&mut self) {
        let block = self.block;
        let about = block.below("Involved Object");
        let message = block.list("Message").join(" ");
        let first = block.when("First Timestamp").or_else(|| block.when("Event Time"));
        let last = block.when("Last Timestamp").or(first);
        self.facts.saw(last);
        let node = inner(block.below("Source"), "Host");
        let line = block.lines.first().map_or(0, |line| line.number);
        let count = block
            .value("Count")
            .parse()
            .or_else(|_| inner(block.below("Series"), "Count").parse())
            .unwrap_or(1);
        let seen = DescribedEvent {
            kind: inner(about, "Kind"),
            name: inner(about, "Name"),
            namespace: match inner(about, "Namespace") {
                "" => block.value("Namespace"),
                ours => ours,
            },
            reason: block.value("Reason"),
            normal: block.value("Type") == "Normal",
            message: &message,
            count,
            node,
            times: [first, last],
            line,
        };
        self.facts.met("Event", true, self.piece.source, line);
        self.event(&seen);
    }

    fn event(&mut self, event: &DescribedEvent<'_>) {
        let node = Some(event.node).filter(|node| !node.is_empty());
        self.facts.happened(EventSeen {
            normal: event.normal,
            reason: event.reason,
            kind: event.kind,
            namespace: event.namespace,
            name: event.name,
            count: event.count,
            times: event.times,
            node,
            message: event.message,
            source: self.piece.source,
            line: event.line,
        });
        // Ages order the events of one text; what its messages say is dated by clocks alone.
        let dated = event.times.map(|when| when.filter(|when| !matches!(when, When::Before(_))));
        let around = Surroundings {
            when: dated[0],
            last: dated[1],
            node: node.or(self.piece.node),
            pod: (event.kind == "Pod" && !event.name.is_empty()).then_some((event.namespace, event.name)),
            count: event.count,
            print: Some(fingerprint((event.kind, event.namespace, event.name, event.message))),
            ..Surroundings::default()
        };
        line::consider(event.message.as_bytes(), around, self.piece.source, event.line, self.facts);
    }
}

/// An event as the text tells it.
struct DescribedEvent<'a> {
    kind: &'a str,
    name: &'a str,
    namespace: &'a str,
    reason: &'a str,
    normal: bool,
    message: &'a str,
    count: u64,
    node: &'a str,
    times: [Option<When>; 2],
    line: u64,
}

/// `Type  Status` tables.
fn conditions(block: &Described<'_>) -> Box<[Condition]> {
    let rows = block
        .below("Conditions")
        .iter()
        .filter(|line| !line.text.starts_with("Type ") && !line.text.starts_with("----"));
    rows.filter_map(|line| {
        let cells = cells(line.text);
        let (kind, status) = (cells.first()?, cells.get(1)?);
        Some(Condition {
            r#type: (*kind).into(),
            status: (*status).into(),
            reason: cells.get(4).copied().unwrap_or_default().into(),
            message: cells.get(5).copied().unwrap_or_default().into(),
            ..Condition::default()
        })
    })
    .collect()
}

fn state(lines: &[DescribeLine<'_>], key: &str) -> ContainerState {
    let Some(at) = lines.iter().position(|line| line.pair().is_some_and(|(ours, _)| ours == key)) else {
        return ContainerState::default();
    };
    let indent = lines.get(at).map_or(0, |line| line.indent);
    let rest = lines.get(at + 1..).unwrap_or_default();
    let end = rest.iter().position(|line| line.indent <= indent).unwrap_or(rest.len());
    let below = rest.get(..end).unwrap_or_default();
    let (reason, message) = (inner(below, "Reason"), whole_value(below, "Message"));
    match lines.get(at).and_then(DescribeLine::pair).map(|(_, value)| value) {
        Some("Waiting") => ContainerState {
            waiting: Some(Box::new(Waiting { reason: reason.into(), message: message.as_str().into() })),
            terminated: None,
        },
        Some("Terminated") => ContainerState {
            waiting: None,
            terminated: Some(Box::new(Terminated {
                reason: reason.into(),
                exit_code: inner(below, "Exit Code").parse().unwrap_or(0),
                message: message.as_str().into(),
                ..Terminated::default()
            })),
        },
        _ => ContainerState::default(),
    }
}

fn containers(lines: &[DescribeLine<'_>]) -> (Vec<Container>, Vec<ContainerStatus>) {
    groups(lines)
        .into_iter()
        .map(|(name, lines)| {
            let listed = match inner(lines, "Ports") {
                "" => inner(lines, "Port"),
                several => several,
            };
            let ports = listed.split(", ").filter_map(|port| {
                let (number, rest) = port.split_once('/')?;
                let protocol = rest.split(' ').next().unwrap_or(rest);
                let name = rest.split_once('(').map_or("", |(_, name)| name.trim_end_matches(')'));
                Some(ContainerPort {
                    name: name.into(),
                    container_port: number.parse().ok()?,
                    protocol: protocol.into(),
                })
            });
            let container = Container {
                name: name.into(),
                ports: ports.collect(),
                readiness_probe: specs::probe(lines, "Readiness"),
                liveness_probe: specs::probe(lines, "Liveness"),
                startup_probe: specs::probe(lines, "Startup"),
                resources: specs::resources(lines),
                ..Container::default()
            };
            let status = ContainerStatus {
                name: name.into(),
                ready: inner(lines, "Ready") == "True",
                restart_count: inner(lines, "Restart Count").parse().unwrap_or(0),
                state: state(lines, "State"),
                last_state: state(lines, "Last State"),
                image: inner(lines, "Image").into(),
            };
            (container, (!inner(lines, "State").is_empty()).then_some(status))
        })
        .fold((Vec::new(), Vec::new()), |(mut all, mut statuses), (container, status)| {
            all.push(container);
            statuses.extend(status);
            (all, statuses)
        })
}

fn pod(block: &Described<'_>, mut metadata: Meta) -> Pod {
    let (node, node_ip) = block.value("Node").split_once('/').unwrap_or((block.value("Node"), ""));
    let (containers, statuses) = containers(block.below("Containers"));
    let (init, init_statuses) = self::containers(block.below("Init Containers"));
    if let Some((kind, name)) = block.value("Controlled By").split_once('/') {
        metadata.owner_references = [Owner { kind: kind.into(), name: name.into() }].into();
    }
    // `Terminating (lasts 2m)` stands where the phase does.
    let status = block.value("Status");
    let phase = if status.starts_with("Terminating") { "" } else { status };
    if status.starts_with("Terminating") {
        metadata.deletion_timestamp = "unknown".into();
    }
    let ip = block.value("IP");
    let others =
        block.below("IPs").iter().filter_map(DescribeLine::pair).map(|(_, ip)| PodIp { ip: ip.into() });
    Pod {
        metadata,
        spec: PodSpec {
            node_name: node.into(),
            host_network: !ip.is_empty() && ip == node_ip,
            service_account_name: block.value("Service Account").into(),
            containers: containers.into(),
            init_containers: init.into(),
            node_selector: block.labels("Node-Selectors"),
            affinity: None,
            volumes: specs::volumes(block),
        },
        status: PodStatus {
            init_container_statuses: init_statuses.into(),
            phase: phase.into(),
            reason: block.value("Reason").into(),
            message: block.value("Message").into(),
            pod_ip: ip.into(),
            pod_ips: others.collect(),
            conditions: conditions(block),
            container_statuses: statuses.into(),
            start_time: block.value("Start Time").into(),
        },
    }
}

fn service(block: &Described<'_>, metadata: Meta) -> Service {
    // `main  80/TCP`, or `<unset>  80/TCP`.
    let port = |text: &str| -> Option<(String, u32, String)> {
        let (name, number) = text.rsplit_once(' ').unwrap_or(("", text));
        let (number, protocol) = number.split_once('/')?;
        Some((present(name).to_owned(), number.parse().ok()?, protocol.to_owned()))
    };
    let mut ports: Vec<ServicePort> = Vec::new();
    for (key, value) in block.lines.iter().filter(|line| line.indent == 0).filter_map(DescribeLine::pair) {
        match (key, ports.last_mut()) {
            ("Port", _) => {
                if let Some((name, number, protocol)) = port(value) {
                    ports.push(ServicePort {
                        name: name.into(),
                        port: number,
                        protocol: protocol.into(),
                        ..ServicePort::default()
                    });
                }
            }
            ("TargetPort", Some(last)) => {
                let target = value.split('/').next().unwrap_or(value);
                last.target_port =
                    Some(target.parse().map_or_else(|_| IntOrString::Name(target.into()), IntOrString::Int));
            }
            ("NodePort", Some(last)) => last.node_port = port(value).map_or(0, |(_, number, _)| number),
            _ => {}
        }
    }
    let outside = block
        .value("LoadBalancer Ingress")
        .split(',')
        .map(|item| item.trim().split(' ').next().unwrap_or_default());
    let ingress = outside.filter(|item| !item.is_empty()).map(|item| {
        let is_ip = item.parse::<std::net::IpAddr>().is_ok();
        let (ip, hostname) = if is_ip { (item, "") } else { ("", item) };
        LoadBalancerIngress { ip: ip.into(), hostname: hostname.into() }
    });
    Service {
        metadata,
        spec: ServiceSpec {
            r#type: block.value("Type").into(),
            cluster_ip: block.value("IP").into(),
            selector: block.labels("Selector"),
            ports: ports.into(),
            external_name: block.value("External Name").into(),
            external_traffic_policy: block.value("External Traffic Policy").into(),
            internal_traffic_policy: block.value("Internal Traffic Policy").into(),
            publish_not_ready_addresses: false,
            load_balancer_source_ranges: block
                .value("LoadBalancer Source Ranges")
                .split(',')
                .map(str::trim)
                .filter(|range| !range.is_empty())
                .map(Text::from)
                .collect(),
        },
        status: ServiceStatus { load_balancer: LoadBalancer { ingress: ingress.collect() } },
    }
}

/// What `describe service` says of its endpoints.
fn endpoints(block: &Described<'_>, metadata: &Meta) -> Option<Endpoints> {
    if !block.has("Endpoints") {
        return None;
    }
    let (mut addresses, mut left_out) = (Vec::new(), 0);
    for value in block.values("Endpoints") {
        let (text, more) = value.split_once(" + ").unwrap_or((value, ""));
        left_out += more.split(' ').next().unwrap_or_default().parse().unwrap_or(0);
        addresses.extend(
            text.split(',')
                .filter_map(|pair| pair.rsplit_once(':'))
                .map(|(ip, _)| ip.trim_matches(['[', ']']).to_owned()),
        );
    }
    addresses.sort();
    addresses.dedup();
    // Without a selector there may be none at all, and `describe` prints a blank all the same.
    if addresses.is_empty() && (block.value("Selector").is_empty() || block.value("Type") == "ExternalName") {
        return None;
    }
    let addresses: Vec<_> = addresses.into_iter().map(|ip| EndpointAddress { ip: ip.into() }).collect();
    let subsets = if addresses.is_empty() {
        [].into()
    } else {
        [Subset { addresses: addresses.into(), ..Subset::default() }].into()
    };
    let metadata =
        Meta { name: metadata.name.clone(), namespace: metadata.namespace.clone(), ..Meta::default() };
    Some(Endpoints { metadata, subsets, left_out })
}

fn node(block: &Described<'_>, metadata: Meta) -> Node {
    let addresses = block
        .below("Addresses")
        .iter()
        .filter_map(DescribeLine::pair)
        .map(|(kind, address)| NodeAddress { r#type: kind.into(), address: address.into() });
    let info = block.below("System Info");
    let mut status = NodeStatus {
        conditions: conditions(block),
        addresses: addresses.collect(),
        node_info: NodeInfo {
            kubelet_version: inner(info, "Kubelet Version").into(),
            container_runtime_version: inner(info, "Container Runtime Version").into(),
            os_image: inner(info, "OS Image").into(),
            kernel_version: inner(info, "Kernel Version").into(),
        },
        ..NodeStatus::default()
    };
    let allocatable = block.below("Allocatable");
    status.allocatable.pods = inner(allocatable, "pods").into();
    status.allocatable.cpu = inner(allocatable, "cpu").into();
    status.allocatable.memory = inner(allocatable, "memory").into();
    let cidrs = block.value("PodCIDRs").split(',').filter(|cidr| !cidr.is_empty());
    Node {
        metadata,
        spec: NodeSpec {
            pod_cidr: block.value("PodCIDR").into(),
            pod_cidrs: cidrs.map(Text::from).collect(),
            unschedulable: block.value("Unschedulable") == "true",
            provider_id: block.value("ProviderID").into(),
            taints: specs::taints(block),
        },
        status,
    }
}

fn binding(block: &Described<'_>, metadata: Meta) -> Binding {
    let role = block.below("Role");
    let rows = block
        .below("Subjects")
        .iter()
        .filter(|line| !line.text.starts_with("Kind ") && !line.text.starts_with("----"));
    let subjects = rows.filter_map(|line| {
        let cells = cells(line.text);
        let (kind, name) = (cells.first()?, cells.get(1)?);
        Some(Subject {
            kind: (*kind).into(),
            name: (*name).into(),
            namespace: cells.get(2).copied().unwrap_or_default().into(),
        })
    });
    Binding {
        metadata,
        subjects: subjects.collect(),
        role_ref: RoleRef { kind: inner(role, "Kind").into(), name: inner(role, "Name").into() },
    }
}

/// `Resources  Non-Resource URLs  Resource Names  Verbs`: each row is a rule of one resource.
fn budget(block: &Described<'_>, metadata: Meta) -> PodDisruptionBudget {
    let number = |name: &str| {
        let line = block.below("Status").iter().find(|line| line.text.starts_with(name))?;
        line.text.rsplit(':').next()?.trim().parse().ok()
    };
    let status = BudgetStatus {
        disruptions_allowed: number("Allowed disruptions:"),
        current_healthy: number("Current:"),
        desired_healthy: number("Desired:"),
        expected_pods: number("Total:"),
    };
    PodDisruptionBudget { metadata, status, ..PodDisruptionBudget::default() }
}

fn role(block: &Described<'_>, metadata: Meta) -> Role {
    let lines = block.below("PolicyRule");
    let Some(header) = lines.iter().find(|line| line.text.starts_with("Resources")) else {
        return Role { metadata, ..Role::default() };
    };
    let offsets: Vec<usize> = ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"]
        .iter()
        .filter_map(|name| header.text.find(name))
        .collect();
    let list = |cell: &str| -> Vec<Text> {
        cell.trim_matches(['[', ']']).split(' ').filter(|word| !word.is_empty()).map(Text::from).collect()
    };
    let rules = lines
        .iter()
        .filter(|line| line.number > header.number && !line.text.starts_with("----"))
        .filter_map(|line| {
            // A row of a path has a blank first cell, so its indentation is part of it.
            let shift = line.indent.saturating_sub(header.indent);
            let cell = |at: usize| -> &str {
                let start = offsets.get(at).map_or(0, |offset| offset.saturating_sub(shift));
                let end = offsets
                    .get(at + 1)
                    .map_or(line.text.len(), |offset| offset.saturating_sub(shift))
                    .min(line.text.len());
                line.text.get(start.min(end)..end).unwrap_or_default().trim()
            };
            let (resource, urls, names, verbs) = (cell(0), cell(1), cell(2), cell(3));
            let (whole, subresource) =
                resource.split_once('/').map_or((resource, None), |(whole, sub)| (whole, Some(sub)));
            let (plural, group) = whole.split_once('.').unwrap_or((whole, ""));
            let text = subresource.map_or_else(|| plural.to_owned(), |sub| format!("{plural}/{sub}"));
            let resources = if resource.is_empty() { Vec::new() } else { vec![Text::from(text.as_str())] };
            (!verbs.is_empty()).then(|| PolicyRule {
                verbs: list(verbs).into(),
                // `*.*` is every resource of every group.
                api_groups: if resources.is_empty() { [].into() } else { [Text::from(group)].into() },
                resources: resources.into(),
                resource_names: list(names).into(),
                non_resource_urls: list(urls).into(),
            })
        });
    Role { metadata, rules: rules.collect(), ..Role::default() }
}
