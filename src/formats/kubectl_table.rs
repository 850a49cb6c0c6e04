//! Tables of `kubectl get`, plain or `-o wide`, one or several in a text, aligned or pasted.
//!
//! A table holds little of an object, so what it gives is of the lesser form [`Form::Table`]: it
//! completes, and never overrides, JSON or YAML. Roles, and bindings without their subjects, are only
//! counted: their rows do not say what they grant.

use super::shared::command::{self, Kubectl};
use super::shared::conditions;
use super::shared::fragments::{self, Fragment};
use super::shared::line;
use super::shared::log_line::Surroundings;
use super::shared::nnc;
use super::shared::sections::{self, is_remark};
use super::shared::table::{TableHeader, TableRow};
use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Lines};
use crate::facts::text::lossy;
use crate::facts::{
    ApiService, ApiServiceSpec, ApiServiceStatus, Binding, BudgetSpec, BudgetStatus, Condition,
    ConditionedObject, ConditionedStatus, ConfigMap, ContainerState, ContainerStatus, EndpointAddress,
    EndpointPort, EndpointSlice, Endpoints, EventSeen, Facts, Form, Ingress, IntOrString, LabelSelector,
    Labels, LoadBalancer, LoadBalancerIngress, Meta, Namespace, NamespaceStatus, NetworkPolicy, Node,
    NodeAddress, NodeInfo, NodeSpec, NodeStatus, Origin, Pod, PodDisruptionBudget, PodSpec, PodStatus,
    RoleRef, Service, ServiceAccount, ServiceOf, ServicePort, ServiceSpec, ServiceStatus, SliceEndpoint,
    Subject, Subset, Terminated, Text, Waiting, Workload, WorkloadSpec, fingerprint,
};

pub(super) struct KubectlTable;
pub(super) const FORMAT: KubectlTable = KubectlTable;

impl InputFormat for KubectlTable {
    fn name(&self) -> &'static str {
        "kubectl-table"
    }

    fn about(&self) -> &'static str {
        "tables of kubectl get, plain or wide, aligned or pasted"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        // Warnings of kubectl may stand first.
        let mut lines = head.bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let first = lines.find(|line| !line.is_empty() && !is_remark(line));
        let table = first
            .is_some_and(|line| TableHeader::parse(line).is_some() || nnc::NncColumns::parse(line).is_some());
        if table && !sections::mixed(head.bytes) { 90 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::<TableFramer>::default()
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut reader = TableReader::new(piece, facts);
        if let Some(header) = piece.context {
            reader.header(header);
        }
        for (line, number) in piece.bytes.split(|byte| *byte == b'\n').zip(piece.first_line..) {
            reader.line(line.trim_ascii_end(), number);
        }
        if reader.misfits > 0 {
            let misfits = reader.misfits;
            let what = "table rows that do not fit their header".to_owned();
            *facts.coverage.entry(piece.source).problems.entry(what).or_default() += misfits;
            return reader_rows(misfits, piece);
        }
        reader.rows
    }
}

/// Reads one row that stands below no header. Says whether it is one.
pub(super) fn read_row(piece: &Piece<'_>, line: &str, number: u64, facts: &mut Facts) -> bool {
    let mut reader = TableReader::new(piece, facts);
    let Some(Fragment::Row(header, kind)) = Fragment::parse(line, reader.command.as_ref()) else {
        return false;
    };
    let Some(row) = header.row(line) else { return false };
    reader.object(&row, kind, header.len(), number);
    true
}

/// Rows read of a piece in which some did not fit.
fn reader_rows(misfits: u64, piece: &Piece<'_>) -> u64 {
    let lines =
        piece.bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count() as u64;
    lines.saturating_sub(misfits)
}

/// Cuts after lines, and takes the last header along.
#[derive(Default)]
struct TableFramer {
    header: Option<std::sync::Arc<[u8]>>,
}

impl Framer for TableFramer {
    fn cut(&mut self, buffer: &[u8], at_end: bool) -> usize {
        let cut = Lines.cut(buffer, at_end);
        for line in buffer.get(..cut).unwrap_or_default().split(|byte| *byte == b'\n') {
            if line.first().is_some_and(u8::is_ascii_uppercase) && TableHeader::parse(line).is_some() {
                self.header = Some(std::sync::Arc::from(line));
            }
        }
        cut
    }

    fn resume(&mut self, buffer: &[u8]) -> Option<usize> {
        Lines.resume(buffer)
    }

    fn context(&self) -> Option<std::sync::Arc<[u8]>> {
        self.header.clone()
    }
}

struct TableReader<'a, 'p> {
    piece: &'a Piece<'p>,
    facts: &'a mut Facts,
    command: Option<Kubectl<'a>>,
    table: Option<(TableHeader, &'static str)>,
    nnc: Option<nnc::NncColumns>,
    rows: u64,
    misfits: u64,
}

impl<'a, 'p> TableReader<'a, 'p> {
    fn new(piece: &'a Piece<'p>, facts: &'a mut Facts) -> Self {
        let command = piece.command.and_then(command::kubectl);
        Self { piece, facts, command, table: None, nnc: None, rows: 0, misfits: 0 }
    }

    fn header(&mut self, line: &[u8]) -> bool {
        if let Some(nnc) = nnc::NncColumns::parse(line) {
            self.nnc = Some(nnc);
            self.table = None;
            return true;
        }
        let Some(header) = TableHeader::parse(line) else { return false };
        let by_command = self.command.as_ref().and_then(|command| command::kind_of(command.resource));
        let kind = kind(&header).or(by_command).unwrap_or("");
        self.nnc = None;
        self.table = Some((header, kind));
        true
    }

    fn line(&mut self, line: &[u8], number: u64) {
        if line.is_empty() {
            self.table = None;
            self.nnc = None;
            return;
        }
        if self.header(line) {
            if self.nnc.is_some() {
                self.facts.listed("NodeNetworkConfig", self.piece.source, number);
            } else if let Some((header, kind)) = &self.table
                && !kind.is_empty()
                && tells_all(kind, header)
            {
                self.facts.listed(kind, self.piece.source, number);
            }
            return;
        }
        let text = lossy(line);
        if is_remark(line) || (self.table.is_none() && self.nnc.is_none()) {
            self.remark(line, &text, number);
        } else if let Some(nnc) = &self.nnc {
            match nnc.row(&text) {
                Some(config) => {
                    self.rows += 1;
                    self.facts.met("NodeNetworkConfig", true, self.piece.source, number);
                    let origin = self.origin(line.len(), number);
                    self.facts.objects.node_network_configs.add(config, &origin);
                }
                None => self.nnc = None,
            }
        } else if let Some((header, kind)) = self.table.take() {
            match header.row(&text) {
                Some(row) => {
                    self.rows += 1;
                    self.object(&row, kind, header.len(), number);
                }
                None => self.misfits += 1,
            }
            self.table = Some((header, kind));
        }
    }

    /// A word of kubectl beside the tables: an empty result is an answer, too.
    fn remark(&mut self, line: &[u8], text: &str, number: u64) {
        if text.starts_with("No resources found")
            && let Some(kind) = self.command.as_ref().and_then(|command| command::kind_of(command.resource))
        {
            self.facts.listed(kind, self.piece.source, number);
        }
        let around = Surroundings { node: self.piece.node, ..Surroundings::default() };
        line::consider(line, around, self.piece.source, number, self.facts);
    }

    fn origin(&self, weight: usize, number: u64) -> Origin<'a> {
        Origin { form: Form::Table, weight, source: self.piece.source, line: number, at: 0 }
    }

    fn object(&mut self, row: &TableRow<'_>, kind: &str, weight: usize, number: u64) {
        let (prefix, name) = match row.get("NAME").split_once('/') {
            Some((prefix, name)) => (command::kind_of(prefix), name),
            None => (None, row.get("NAME")),
        };
        let kind = prefix.unwrap_or(kind);
        if kind == "Event" {
            self.event(row, number);
            return;
        }
        if kind.is_empty() || name.is_empty() || kind == "StatefulSet" && !row.get("READY").contains('/') {
            self.facts.not_kept("rows of other tables");
            let named = row.get("NAME").split_once('/').map(|(prefix, _)| prefix);
            let named = named.or(self.command.as_ref().map(|command| command.resource)).unwrap_or_default();
            let question = self.command.as_ref().and_then(|command| command.namespace).unwrap_or_default();
            let namespace = Some(row.get("NAMESPACE")).filter(|ours| !ours.is_empty()).unwrap_or(question);
            let metadata = Meta { name: name.into(), namespace: namespace.into(), ..Meta::default() };
            self.conditions(row, named, metadata, number);
            // A request for a certificate: who asks, of which signer, is what its condition is about.
            if row.has("REQUESTOR") {
                let cells =
                    ["NAME", "AGE", "SIGNERNAME", "REQUESTOR", "CONDITION"].map(|column| row.get(column));
                let whole = cells.into_iter().filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("   ");
                line::consider(
                    whole.as_bytes(),
                    Surroundings::default(),
                    self.piece.source,
                    number,
                    self.facts,
                );
            }
            // `kubectl get externalsecrets`: the state of an unknown kind may be an error in words.
            for column in ["STATUS", "MESSAGE", "STATE", "REASON", "ERROR"] {
                let (cell, around) = (row.get(column), Surroundings::default());
                line::consider(cell.as_bytes(), around, self.piece.source, number, self.facts);
            }
            return;
        }
        let cluster_scoped =
            matches!(kind, "Node" | "Namespace" | "ClusterRole" | "ClusterRoleBinding" | "APIService");
        let question = self.command.as_ref().and_then(|command| command.namespace).unwrap_or_default();
        let namespace = match row.get("NAMESPACE") {
            _ if cluster_scoped => "",
            "" => question,
            ours => ours,
        };
        let metadata = Meta { name: name.into(), namespace: namespace.into(), ..Meta::default() };
        let whole = !matches!(kind, "Role" | "ClusterRole")
            && (!kind.ends_with("Binding") || row.has("SERVICEACCOUNTS"));
        self.facts.met(kind, whole, self.piece.source, number);
        let origin = self.origin(weight, number);
        let objects = &mut self.facts.objects;
        match kind {
            "Pod" => objects.pods.add(pod(row, metadata), &origin),
            "Service" => objects.services.add(service(row, metadata), &origin),
            "Endpoints" => objects.endpoints.add(endpoints(row, metadata), &origin),
            "EndpointSlice" => objects.endpoint_slices.add(slice(row, metadata), &origin),
            "Node" => objects.nodes.add(node(row, metadata), &origin),
            "Namespace" => {
                let status = NamespaceStatus { phase: row.get("STATUS").into() };
                objects.namespaces.add(Namespace { metadata, status }, &origin);
            }
            "Deployment" => objects.deployments.add(workload(row, metadata, of_ready(row)), &origin),
            "StatefulSet" => objects.stateful_sets.add(workload(row, metadata, of_ready(row)), &origin),
            "ReplicaSet" => {
                objects.replica_sets.add(workload(row, metadata, row.get("DESIRED").parse().ok()), &origin);
            }
            "DaemonSet" => {
                objects.daemon_sets.add(workload(row, metadata, row.get("DESIRED").parse().ok()), &origin);
            }
            "Job" => objects.jobs.add(workload(row, metadata, None), &origin),
            "ConfigMap" => objects.config_maps.add(ConfigMap { metadata, ..ConfigMap::default() }, &origin),
            "PodDisruptionBudget" => objects.disruption_budgets.add(budget(row, metadata), &origin),
            "APIService" => objects.api_services.add(api_service(row, metadata), &origin),
            "ServiceAccount" => objects.service_accounts.add(ServiceAccount { metadata }, &origin),
            "NetworkPolicy" => objects.network_policies.add(NetworkPolicy { metadata, spec: None }, &origin),
            "Ingress" => objects.ingresses.add(Ingress { metadata, ..Ingress::default() }, &origin),
            "RoleBinding" | "ClusterRoleBinding" => match binding(row, metadata) {
                Some(binding) if kind == "RoleBinding" => objects.role_bindings.add(binding, &origin),
                Some(binding) => objects.cluster_role_bindings.add(binding, &origin),
                None => self.facts.not_kept(&format!("{kind} (names only)")),
            },
            "Role" | "ClusterRole" => self.facts.not_kept(&format!("{kind} (names only)")),
            other => {
                self.facts.not_kept(other);
                self.conditions(row, other, metadata, number);
            }
        }
    }

    /// The columns of a custom resource that show a condition: `READY False`, with `REASON`, `STATUS` or `MESSAGE` beside it.
    fn conditions(&mut self, row: &TableRow<'_>, kind: &str, metadata: Meta, number: u64) {
        let mut found = Vec::new();
        for (column, name) in [
            ("READY", "Ready"),
            ("PROGRAMMED", "Programmed"),
            ("ACCEPTED", "Accepted"),
            ("AVAILABLE", "Available"),
            ("DEGRADED", "Degraded"),
            ("SYNCED", "Synced"),
            ("HEALTHY", "Healthy"),
            ("VALID", "Valid"),
        ] {
            let status = row.get(column);
            if matches!(status, "True" | "False" | "Unknown") {
                let message = ["MESSAGE", "STATUS", "DEPLOYMENT"].into_iter().map(|name| row.get(name));
                found.push(Condition {
                    r#type: name.into(),
                    status: status.into(),
                    reason: row.get("REASON").into(),
                    message: message.into_iter().find(|cell| !cell.is_empty()).unwrap_or_default().into(),
                    ..Condition::default()
                });
            }
        }
        if !found.is_empty() {
            let status = ConditionedStatus { conditions: found.into(), ..ConditionedStatus::default() };
            conditions::note(kind, &ConditionedObject { metadata, status }, self.piece, number, self.facts);
        }
    }

    fn event(&mut self, row: &TableRow<'_>, number: u64) {
        let (kind, name) = row.get("OBJECT").split_once('/').unwrap_or((row.get("KIND"), row.get("NAME")));
        let kind = command::kind_of(kind).unwrap_or(kind);
        let question = self.command.as_ref().and_then(|command| command.namespace).unwrap_or_default();
        let namespace = Some(row.get("NAMESPACE")).filter(|ours| !ours.is_empty()).unwrap_or(question);
        let message = row.get("MESSAGE");
        let seen = row.get("LAST SEEN");
        let count = row.get("COUNT").parse().unwrap_or_else(|_| fragments::times(seen));
        // `kubelet, aks-1`: the host of the source.
        let node = row
            .get("SOURCE")
            .split_once(", ")
            .map(|(_, node)| node)
            .filter(|_| row.get("SOURCE").starts_with("kubelet"));
        self.facts.happened(EventSeen {
            normal: row.get("TYPE") == "Normal",
            reason: row.get("REASON"),
            kind,
            namespace,
            name,
            count,
            times: {
                let [first, last] = fragments::ages(seen);
                [fragments::ages(row.get("FIRST SEEN"))[1].or(first), last]
            },
            node,
            message,
            source: self.piece.source,
            line: number,
        });
        let around = Surroundings {
            node: node.or(self.piece.node),
            pod: (kind == "Pod").then_some((namespace, name)),
            count,
            print: Some(fingerprint((kind, namespace, name, message))),
            ..Surroundings::default()
        };
        line::consider(message.as_bytes(), around, self.piece.source, number, self.facts);
    }
}

/// Whether a list of these rows is a list of the kind: roles without their rules, and bindings without their
/// subjects, prove nothing.
fn tells_all(kind: &str, header: &TableHeader) -> bool {
    match kind {
        "Role" | "ClusterRole" => false,
        "RoleBinding" | "ClusterRoleBinding" => header.has("SERVICEACCOUNTS"),
        _ => true,
    }
}

/// The kind whose columns these are.
fn kind(header: &TableHeader) -> Option<&'static str> {
    let has = |name: &str| header.has(name);
    Some(if has("LAST SEEN") && has("REASON") {
        "Event"
    } else if has("ALLOWED DISRUPTIONS") {
        "PodDisruptionBudget"
    } else if has("SERVICE") && has("AVAILABLE") {
        "APIService"
    } else if has("POD-SELECTOR") {
        "NetworkPolicy"
    } else if has("ADDRESSTYPE") {
        "EndpointSlice"
    } else if has("ENDPOINTS") {
        "Endpoints"
    } else if has("CLUSTER-IP") {
        "Service"
    } else if has("READY") && has("STATUS") && has("RESTARTS") {
        "Pod"
    } else if has("ROLES") && has("VERSION") {
        "Node"
    } else if has("UP-TO-DATE") && has("NODE SELECTOR") {
        "DaemonSet"
    } else if has("UP-TO-DATE") {
        "Deployment"
    } else if has("DESIRED") && has("CURRENT") && has("READY") {
        "ReplicaSet"
    } else if has("COMPLETIONS") {
        "Job"
    } else if has("SCHEDULE") {
        "CronJob"
    } else if has("ADDRESS") && has("HOSTS") {
        "Ingress"
    } else if has("ROLE") && has("AGE") {
        if has("NAMESPACE") { "RoleBinding" } else { "ClusterRoleBinding" }
    } else if has("CREATED AT") && has("NAMESPACE") && header.len() == 3 {
        "Role"
    } else if has("TYPE") && has("DATA") {
        "Secret"
    } else if has("DATA") {
        "ConfigMap"
    } else if has("READY")
        && has("AGE")
        && (header.len() == 3 || has("CONTAINERS") || header.len() == 4 && has("NAMESPACE"))
    {
        "StatefulSet"
    } else if has("STATUS") && has("AGE") && header.len() == 3 {
        "Namespace"
    } else if has("SECRETS") {
        "ServiceAccount"
    } else {
        return None;
    })
}

fn list(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// `app=cart,tier=web`.
fn labels(cell: &str) -> Labels {
    list(cell)
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (Text::from(key), Text::from(value)))
        .collect()
}

fn budget(row: &TableRow<'_>, metadata: Meta) -> PodDisruptionBudget {
    let limit = |cell: &str| match cell {
        "" | "N/A" => None,
        cell => Some(cell.parse().map_or_else(|_| IntOrString::Name(cell.into()), IntOrString::Int)),
    };
    let spec = BudgetSpec {
        min_available: limit(row.get("MIN AVAILABLE")),
        max_unavailable: limit(row.get("MAX UNAVAILABLE")),
        ..BudgetSpec::default()
    };
    let disruptions_allowed = row.get("ALLOWED DISRUPTIONS").parse().ok();
    PodDisruptionBudget {
        metadata,
        spec,
        status: BudgetStatus { disruptions_allowed, ..BudgetStatus::default() },
    }
}

/// `v1beta1.metrics.k8s.io   kube-system/metrics-server   False (MissingEndpoints)   9d`.
fn api_service(row: &TableRow<'_>, metadata: Meta) -> ApiService {
    let service = row.get("SERVICE").split_once('/');
    let service =
        service.map(|(namespace, name)| ServiceOf { namespace: namespace.into(), name: name.into() });
    let (status, reason) = row.get("AVAILABLE").split_once(' ').unwrap_or((row.get("AVAILABLE"), ""));
    let available = Condition {
        r#type: "Available".into(),
        status: status.into(),
        reason: reason.trim_matches(['(', ')']).into(),
        ..Condition::default()
    };
    let status = ApiServiceStatus { conditions: vec![available].into() };
    ApiService { metadata, spec: ApiServiceSpec { service }, status }
}

fn pod(row: &TableRow<'_>, mut metadata: Meta) -> Pod {
    metadata.age = row.get("AGE").into();
    if row.get("STATUS") == "Terminating" {
        metadata.deletion_timestamp = "unknown".into();
    }
    if !row.get("LABELS").is_empty() {
        metadata.labels = labels(row.get("LABELS"));
    }
    let (phase, waiting, terminated) = of_status(row.get("STATUS"));
    let (ready, all) = row.get("READY").split_once('/').unwrap_or_default();
    let (ready, all): (u32, u32) = (ready.parse().unwrap_or(0), all.parse().unwrap_or(0));
    let restarts = row.get("RESTARTS").split(' ').next().unwrap_or_default().parse().unwrap_or(0);
    // Which of the containers restarted is not told: one stands for all.
    let stopped = waiting.is_some() || terminated.is_some();
    let statuses = (0..all.min(200)).map(|at| ContainerStatus {
        ready: at < ready,
        // The one whose state the row tells, else the first.
        restart_count: if at == if stopped { all - 1 } else { 0 } { restarts } else { 0 },
        state: if at + 1 == all {
            ContainerState {
                waiting: waiting
                    .map(|reason| Box::new(Waiting { reason: reason.into(), ..Waiting::default() })),
                terminated: terminated
                    .map(|reason| Box::new(Terminated { reason: reason.into(), ..Terminated::default() })),
            }
        } else {
            ContainerState::default()
        },
        ..ContainerStatus::default()
    });
    Pod {
        metadata,
        spec: PodSpec { node_name: row.get("NODE").into(), ..PodSpec::default() },
        status: PodStatus {
            phase: phase.into(),
            reason: if matches!(
                row.get("STATUS"),
                "Evicted" | "NodeLost" | "Shutdown" | "UnexpectedAdmissionError"
            ) {
                row.get("STATUS").into()
            } else {
                Text::default()
            },
            pod_ip: row.get("IP").into(),
            container_statuses: statuses.collect(),
            ..PodStatus::default()
        },
    }
}

/// What the STATUS column says: the phase as far as it can be told, why a container waits, how it ended.
fn of_status(status: &str) -> (&str, Option<&str>, Option<&str>) {
    match status {
        "Pending" | "Running" | "Succeeded" | "Failed" | "Unknown" => (status, None, None),
        "Completed" => ("Succeeded", None, Some("Completed")),
        "ContainerCreating" | "PodInitializing" => ("Pending", Some(status), None),
        "Evicted" | "NodeLost" | "Shutdown" | "UnexpectedAdmissionError" => ("Failed", None, None),
        // What a container ended with; what it waits for may be any other word.
        "Error"
        | "OOMKilled"
        | "ContainerCannotRun"
        | "DeadlineExceeded"
        | "StartError"
        | "ContainerStatusUnknown" => ("", None, Some(status)),
        "CrashLoopBackOff"
        | "ImagePullBackOff"
        | "ErrImagePull"
        | "CreateContainerConfigError"
        | "CreateContainerError"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed"
        | "CreatePodSandboxError"
        | "PostStartHookError"
        | "PreStartHookError"
        | "PreCreateHookError"
        | "RunContainerError" => ("", Some(status), None),
        init if init.starts_with("Init:") => ("Pending", Some(init), None),
        _ => ("", None, None),
    }
}

fn service(row: &TableRow<'_>, metadata: Meta) -> Service {
    let ports = list(row.get("PORT(S)")).filter_map(|cell| {
        let (numbers, protocol) = cell.split_once('/')?;
        let (port, node_port) = numbers.split_once(':').unwrap_or((numbers, "0"));
        Some(ServicePort {
            port: port.parse().ok()?,
            node_port: node_port.parse().ok()?,
            protocol: protocol.into(),
            ..ServicePort::default()
        })
    });
    let kind = row.get("TYPE");
    let outside = row.get("EXTERNAL-IP");
    let ingress = list(outside).filter(|_| kind == "LoadBalancer").filter(|ip| *ip != "<pending>");
    let ingress = ingress.map(|item| {
        if item.parse::<std::net::IpAddr>().is_ok() {
            LoadBalancerIngress { ip: item.into(), ..LoadBalancerIngress::default() }
        } else {
            LoadBalancerIngress { hostname: item.into(), ..LoadBalancerIngress::default() }
        }
    });
    let status = ServiceStatus { load_balancer: LoadBalancer { ingress: ingress.collect() } };
    let cluster_ip = match row.get("CLUSTER-IP") {
        // kubectl prints the headless `None` as it is, and a missing address as `<none>`.
        "" if kind != "ExternalName" => Text::default(),
        ip => ip.into(),
    };
    let spec = ServiceSpec {
        r#type: kind.into(),
        cluster_ip,
        selector: labels(row.get("SELECTOR")),
        ports: ports.collect(),
        external_name: if kind == "ExternalName" { outside.into() } else { Text::default() },
        ..ServiceSpec::default()
    };
    Service { metadata, spec, status }
}

/// `10.0.0.1:80,10.0.0.2:80 + 4 more...`: the entries and how many are left out.
fn shortened(cell: &str) -> (Vec<&str>, u32) {
    let (text, more) = cell.split_once(" + ").unwrap_or((cell, ""));
    (list(text).collect(), more.split(' ').next().unwrap_or_default().parse().unwrap_or(0))
}

fn endpoints(row: &TableRow<'_>, metadata: Meta) -> Endpoints {
    let (text, left_out) = shortened(row.get("ENDPOINTS"));
    let pairs: Vec<(&str, u32)> = text
        .iter()
        .filter_map(|pair| match pair.rsplit_once(':') {
            Some((ip, port)) => Some((ip.trim_matches(['[', ']']), port.parse().ok()?)),
            None => Some((pair, 0)),
        })
        .collect();
    let mut ports: Vec<u32> = pairs.iter().map(|(_, port)| *port).collect();
    ports.sort_unstable();
    ports.dedup();
    let mut addresses: Vec<&str> = pairs.iter().map(|(ip, _)| *ip).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let subset = Subset {
        addresses: addresses.into_iter().map(|ip| EndpointAddress { ip: ip.into() }).collect(),
        ports: ports.into_iter().map(|port| EndpointPort { port, ..EndpointPort::default() }).collect(),
        ..Subset::default()
    };
    let subsets = if subset.addresses.is_empty() { [].into() } else { [subset].into() };
    Endpoints { metadata, subsets, left_out }
}

fn slice(row: &TableRow<'_>, metadata: Meta) -> EndpointSlice {
    let (addresses, left_out) = shortened(row.get("ENDPOINTS"));
    let (ports, _) = shortened(row.get("PORTS"));
    EndpointSlice {
        metadata,
        address_type: row.get("ADDRESSTYPE").into(),
        endpoints: addresses
            .into_iter()
            .map(|ip| SliceEndpoint { addresses: [Text::from(ip)].into(), ..SliceEndpoint::default() })
            .collect(),
        ports: ports
            .into_iter()
            .filter_map(|port| Some(EndpointPort { port: port.parse().ok()?, ..EndpointPort::default() }))
            .collect(),
        left_out,
    }
}

fn node(row: &TableRow<'_>, mut metadata: Meta) -> Node {
    // ROLES are what stands behind `node-role.kubernetes.io/` in labels (kubectl, `printers.go`).
    let roles = row.get("ROLES").split(',').filter(|role| !role.is_empty() && *role != "<none>");
    let roles: Vec<(Text, Text)> = roles
        .map(|role| (Text::from(format!("node-role.kubernetes.io/{role}").as_str()), Text::default()))
        .collect();
    if !roles.is_empty() && metadata.labels.is_empty() {
        metadata.labels = roles.into_iter().collect();
    }
    let status = row.get("STATUS");
    let ready = match status.split(',').next() {
        Some("Ready") => "True",
        // kubectl prints `NotReady` for False and for Unknown: the weaker is taken.
        Some("NotReady") => "Unknown",
        _ => "",
    };
    let condition = Condition { r#type: "Ready".into(), status: ready.into(), ..Condition::default() };
    let address = |kind: &str, cell: &str| NodeAddress { r#type: kind.into(), address: cell.into() };
    let addresses =
        [address("InternalIP", row.get("INTERNAL-IP")), address("ExternalIP", row.get("EXTERNAL-IP"))];
    Node {
        metadata,
        spec: NodeSpec { unschedulable: status.contains("SchedulingDisabled"), ..NodeSpec::default() },
        status: NodeStatus {
            conditions: if ready.is_empty() { [].into() } else { [condition].into() },
            addresses: addresses.into_iter().filter(|address| !address.address.is_empty()).collect(),
            node_info: NodeInfo {
                kubelet_version: row.get("VERSION").into(),
                container_runtime_version: row.get("CONTAINER-RUNTIME").into(),
                os_image: row.get("OS-IMAGE").into(),
                kernel_version: row.get("KERNEL-VERSION").into(),
            },
            ..NodeStatus::default()
        },
    }
}

/// The second number of `1/3`.
fn of_ready(row: &TableRow<'_>) -> Option<u32> {
    row.get("READY").split_once('/')?.1.parse().ok()
}

fn workload(row: &TableRow<'_>, metadata: Meta, replicas: Option<u32>) -> Workload {
    let selector = LabelSelector { match_labels: labels(row.get("SELECTOR")), ..LabelSelector::default() };
    let spec = WorkloadSpec { replicas, selector, ..WorkloadSpec::default() };
    Workload { metadata, spec, ..Workload::default() }
}

/// A binding with its subjects: only `-o wide` has them.
fn binding(row: &TableRow<'_>, metadata: Meta) -> Option<Binding> {
    let (kind, name) = row.get("ROLE").split_once('/')?;
    let named = |kind: &'static str, cell: &str| -> Vec<Subject> {
        list(cell)
            .map(|name| Subject { kind: kind.into(), name: name.into(), ..Subject::default() })
            .collect()
    };
    let mut subjects = named("User", row.get("USERS"));
    subjects.extend(named("Group", row.get("GROUPS")));
    subjects.extend(list(row.get("SERVICEACCOUNTS")).filter_map(|cell| {
        let (namespace, name) = cell.split_once('/')?;
        Some(Subject { kind: "ServiceAccount".into(), name: name.into(), namespace: namespace.into() })
    }));
    let role_ref = RoleRef { kind: kind.into(), name: name.into() };
    row.has("SERVICEACCOUNTS").then(|| Binding { metadata, subjects: subjects.into(), role_ref })
}
