//! Rows that stand alone: below no header (`| grep`, `--no-headers`, pasted from the middle), known by their shape.
//!
//! The columns are those of kubectl's printers (kubernetes/kubernetes `pkg/printers/internalversion/printers.go`, events by
//! `staging/src/k8s.io/kubectl/pkg/cmd/events/event_printer.go` and `pkg/describe/describe.go`).

use super::command::{self, Kubectl};
use super::table::TableHeader;
use crate::bytes::pattern::{named, pattern, search};
use crate::facts::time::{self, When};

// `2m31s`, `58m (x12 over 3h)`, `<unknown>`
pattern!(AGE, r"^(?:(?:\d+[smhdy])+|<unknown>|<invalid>)$");
pattern!(
    EVENT,
    r"^\s*(?:(?P<namespace>[a-z0-9][a-z0-9-]*)\s+)?(?P<seen>(?:\d+[smhdy])+(?: \(x\d+ over [^)]*\))?|<unknown>|<invalid>)\s+(?P<type>Normal|Warning)\s+(?P<reason>[A-Z]\w+)\s+(?P<object>[A-Za-z.]+/\S+)\s+(?P<message>\S.*)$"
);
pattern!(
    DESCRIBED,
    r"^\s*(?P<type>Normal|Warning)\s+(?P<reason>[A-Z]\w+)\s+(?P<seen>(?:\d+[smhdy])+(?: ?\(x\d+ over [^)]*\))?|<unknown>|<invalid>)\s+(?P<from>[\w./-]+(?:, [\w./-]+)?)\s+(?P<message>\S.*)$"
);
// `FirstSeen LastSeen Count From SubObjectPath Type Reason Message`, before Kubernetes 1.9.
pattern!(
    DESCRIBED_OF_OLD,
    r"^\s*(?P<first>(?:\d+[smhdy])+)\s+(?P<seen>(?:\d+[smhdy])+)\s+(?P<count>\d+)\s+(?P<from>\{?[\w./-]+(?:, [\w./-]+|\s[\w./-]+\})?\}?)\s+(?:\S+\s+)?(?P<type>Normal|Warning)\s+(?P<reason>[A-Z]\w+)\s+(?P<message>\S.*)$"
);

/// A row of the table at the end of `kubectl describe`.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::formats) struct DescribedEventRow<'a> {
    pub(in crate::formats) normal: bool,
    pub(in crate::formats) reason: &'a str,
    pub(in crate::formats) count: u64,
    /// First and last time, as ages.
    pub(in crate::formats) times: [Option<When>; 2],
    /// The component that reports it.
    pub(in crate::formats) from: &'a str,
    /// The host of it: old clients print `kubelet, aks-1`.
    pub(in crate::formats) host: &'a str,
    pub(in crate::formats) message: &'a str,
}

impl<'a> DescribedEventRow<'a> {
    /// Reads a line.
    pub(in crate::formats) fn parse(line: &'a str) -> Option<Self> {
        let found = search(&DESCRIBED, line).or_else(|| search(&DESCRIBED_OF_OLD, line))?;
        let part = |name: &str| found.name(name).map_or("", |part| part.as_str());
        let from = part("from").trim_matches(['{', '}']);
        let (from, host) = from.split_once(", ").or_else(|| from.split_once(' ')).unwrap_or((from, ""));
        let count = match part("count") {
            "" => times(part("seen")),
            count => count.parse().unwrap_or(1),
        };
        let normal = part("type") == "Normal";
        let [first, last] = ages(part("seen"));
        let times = [ages(part("first"))[1].or(first), last];
        Some(Self { normal, reason: part("reason"), count, times, from, host, message: part("message") })
    }
}

// `in pod cart-0_shop(09e369a0-…)`, `in Pod "cart-0_shop(09e3…)"`, as kubelets name it.
pattern!(
    POD,
    r#"\b[Pp]od "?(?P<name>[a-z0-9][a-z0-9.-]*)_(?P<namespace>[a-z0-9][a-z0-9-]*)\([0-9a-f-]{8,36}\)"#
);

/// The namespace and the name of the pod that a kubelet's message names.
pub(in crate::formats) fn pod_named(message: &str) -> Option<(&str, &str)> {
    let found = search(&POD, message)?;
    Some((found.name("namespace")?.as_str(), found.name("name")?.as_str()))
}

/// First and last time of `2m (x12 over 58m)`, as ages.
pub(in crate::formats) fn ages(seen: &str) -> [Option<When>; 2] {
    let before = |age: &str| Some(When::Before(-time::age_seconds(age)?.checked_mul(1_000_000)?));
    let last = seen.split([' ', '(']).next().unwrap_or_default();
    let first = seen.split_once(" over ").map(|(_, rest)| rest.trim_end_matches(')'));
    [first.and_then(before), before(last)]
}

/// The count of `2m (x12 over 58m)`; 1 when none is stated.
pub(in crate::formats) fn times(seen: &str) -> u64 {
    let stated = seen.split_once("(x").and_then(|(_, rest)| rest.split([' ', ')']).next()?.parse().ok());
    stated.unwrap_or(1)
}

/// What a line without a header is.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::formats) enum Fragment<'a> {
    /// A row of `kubectl get`, with the columns that it must have and its kind.
    Row(TableHeader, &'static str),
    /// A row below `Events:` of `kubectl describe`.
    Event(DescribedEventRow<'a>),
}

impl<'a> Fragment<'a> {
    /// Reads a line, with the command that printed it when there was one.
    pub(in crate::formats) fn parse(line: &'a str, command: Option<&Kubectl<'_>>) -> Option<Self> {
        if line.len() > 4000 || line.trim().is_empty() {
            return None;
        }
        if line.contains("Warning") || line.contains("Normal") {
            if let Some(found) = search(&EVENT, line) {
                let spaced = !named(Some(&found), "namespace").is_empty();
                return Some(Self::Row(columns(spaced, "LAST SEEN TYPE REASON OBJECT MESSAGE"), "Event"));
            }
            if let Some(row) = DescribedEventRow::parse(line) {
                return Some(Self::Event(row));
            }
        }
        let cells: Vec<&str> = cells(line);
        let get = command.filter(|command| command.verb == "get");
        let kind = get.and_then(|command| command::kind_of(command.resource)).or_else(|| shape(&cells))?;
        let (header, kind) = header(kind, &cells)?;
        Some(Self::Row(header, kind))
    }
}

/// Cells two spaces apart; single words in a line that lost its columns. The age of restarts belongs to their number.
fn cells(line: &str) -> Vec<&str> {
    let gapped: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    if gapped.len() >= 3 {
        return gapped;
    }
    let mut words: Vec<&str> = line.split_whitespace().collect();
    // `12 (3m ago)`
    if let Some(at) = words.iter().position(|word| word.starts_with('(')) {
        let end = words.iter().skip(at).position(|word| word.ends_with(')')).map_or(at, |more| at + more);
        words.drain(at..=end);
    }
    words
}

fn is_age(cell: &str) -> bool {
    search(&AGE, cell).is_some()
}

/// `1/2`
fn is_share(cell: &str) -> bool {
    cell.split_once('/').is_some_and(|(part, all)| {
        [part, all]
            .iter()
            .all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

fn is_name(cell: &str) -> bool {
    cell.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-./".contains(&byte))
        && cell.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
}

fn is_number(cell: &str) -> bool {
    cell.split(' ')
        .next()
        .is_some_and(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The kind that a row without a header must be of.
fn shape(cells: &[&str]) -> Option<&'static str> {
    let of = |at: usize| cells.get(at).copied().unwrap_or_default();
    // The row may begin with a namespace.
    for at in 1..3 {
        if !cells.iter().take(at).all(|cell| is_name(cell)) {
            return None;
        }
        if is_share(of(at))
            && of(at + 1).starts_with(char::is_alphabetic)
            && is_number(of(at + 2))
            && is_age(of(at + 3))
        {
            return Some("Pod");
        }
        if matches!(of(at), "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName")
            && cells.len() >= at + 4
        {
            return Some("Service");
        }
        let ready = of(at).split(',').next().unwrap_or_default();
        if matches!(ready, "Ready" | "NotReady") && is_age(of(at + 2)) && of(at + 3).starts_with('v') {
            return Some("Node");
        }
        if is_share(of(at)) && is_number(of(at + 1)) && is_number(of(at + 2)) && is_age(of(at + 3)) {
            return Some("Deployment");
        }
    }
    None
}

/// The columns that rows of a kind have, by how many cells there are.
fn header(kind: &'static str, cells: &[&str]) -> Option<(TableHeader, &'static str)> {
    let names = match kind {
        "Pod" => ["NAME READY STATUS RESTARTS AGE", "IP NODE NOMINATED-NODE READINESS-GATES"],
        "Service" => ["NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE", "SELECTOR"],
        "Node" => [
            "NAME STATUS ROLES AGE VERSION",
            "INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME",
        ],
        "Deployment" => ["NAME READY UP-TO-DATE AVAILABLE AGE", "CONTAINERS IMAGES SELECTOR"],
        "ReplicaSet" => ["NAME DESIRED CURRENT READY AGE", "CONTAINERS IMAGES SELECTOR"],
        "StatefulSet" => ["NAME READY AGE", "CONTAINERS IMAGES"],
        "Endpoints" => ["NAME ENDPOINTS AGE", ""],
        "EndpointSlice" => ["NAME ADDRESSTYPE PORTS ENDPOINTS AGE", ""],
        "Namespace" => ["NAME STATUS AGE", ""],
        "PersistentVolumeClaim" => return claims(cells),
        _ => return None,
    };
    let plain = names.first()?.split(' ').count();
    let wide = plain + names.get(1)?.split(' ').filter(|name| !name.is_empty()).count();
    let namespaced = kind != "Node" && kind != "Namespace";
    let (spaced, more) = match cells.len() {
        count if count == plain => (false, false),
        count if count == plain + 1 && namespaced && wide != plain + 1 => (true, false),
        count if count == plain + 1 && namespaced => {
            (!cells.get(1).is_some_and(|cell| is_service_type(cell)), false)
        }
        count if count == wide => (false, true),
        count if count == wide + 1 && namespaced => (true, true),
        _ => return None,
    };
    let ours = if more { names.join(" ") } else { names.first()?.to_string() };
    let header = columns(spaced, &ours);
    // What does not fit is no row of this kind: a row has an age, and a pod its share of ready containers.
    let cell = |name: &str| header.position(name).and_then(|at| cells.get(at)).copied();
    let fits = cell("NAME").is_some_and(is_name)
        && cell("AGE").is_none_or(is_age)
        && (!matches!(kind, "Pod" | "Deployment" | "StatefulSet") || cell("READY").is_some_and(is_share));
    fits.then_some((header, kind))
}

fn is_service_type(cell: &str) -> bool {
    matches!(cell, "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName")
}

/// A claim that is not bound has blank cells between its status and its class, so its columns can't be told by their number.
fn claims(cells: &[&str]) -> Option<(TableHeader, &'static str)> {
    let at = cells.iter().position(|cell| matches!(*cell, "Pending" | "Bound" | "Lost"))?;
    let rest = match cells.len() - at {
        // STATUS, STORAGECLASS, AGE
        3 => "STATUS STORAGECLASS AGE",
        2 => "STATUS AGE",
        6 => "STATUS VOLUME CAPACITY ACCESS-MODES STORAGECLASS AGE",
        7 => "STATUS VOLUME CAPACITY ACCESS-MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE",
        _ => return None,
    };
    (at == 1 || at == 2).then(|| (columns(at == 2, &format!("NAME {rest}")), "PersistentVolumeClaim"))
}

fn columns(namespace: bool, names: &str) -> TableHeader {
    let first = namespace.then_some("NAMESPACE");
    // `LAST SEEN` is one column.
    let names = names.replace("LAST SEEN", "LAST-SEEN");
    let names = first.into_iter().chain(names.split(' '));
    TableHeader::of(names.map(|name| name.replace("LAST-SEEN", "LAST SEEN")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: &str, command: &str, column: &str) -> Option<(String, &'static str)> {
        let command = command::kubectl(command);
        match Fragment::parse(line, command.as_ref())? {
            Fragment::Row(header, kind) => Some((header.row(line)?.get(column).to_owned(), kind)),
            Fragment::Event(_) => None,
        }
    }

    #[test]
    fn rows_without_a_header_are_known_by_their_shape() {
        for (line, command, column, value, kind) in [
            (
                "kube-system   coredns-7c9-2vqkk   0/1   CrashLoopBackOff   12   21m",
                "",
                "STATUS",
                "CrashLoopBackOff",
                "Pod",
            ),
            ("cart-1   0/1   Init:0/2   0   11m", "", "NAME", "cart-1", "Pod"),
            ("cart-1 0/1 Running 12 (3m ago) 21m 10.1.1.9 n1 <none> <none>", "", "NODE", "n1", "Pod"),
            (
                "ingress   nginx   LoadBalancer   10.0.1.2   <pending>   80:30080/TCP   20d",
                "",
                "EXTERNAL-IP",
                "<pending>",
                "Service",
            ),
            (
                "n1   NotReady,SchedulingDisabled   agent   2d   v1.27.7",
                "",
                "STATUS",
                "NotReady,SchedulingDisabled",
                "Node",
            ),
            ("shop   cart   <none>   20d", "kubectl get ep -A", "NAME", "cart", "Endpoints"),
            ("web   0/3   3   0   2d", "", "AVAILABLE", "0", "Deployment"),
            (
                "data-0   Pending   fast   3h",
                "kubectl get pvc -n shop",
                "STORAGECLASS",
                "fast",
                "PersistentVolumeClaim",
            ),
            (
                "2m31s   Warning   FailedScheduling   pod/web-2   0/3 nodes are available: 3 Insufficient cpu.",
                "",
                "OBJECT",
                "pod/web-2",
                "Event",
            ),
            (
                "shop   4m (x9 over 20m)   Warning   BackOff   pod/web-2   Back-off restarting failed container",
                "",
                "NAMESPACE",
                "shop",
                "Event",
            ),
        ] {
            assert_eq!(row(line, command, column), Some((value.to_owned(), kind)), "{line}");
        }
    }

    #[test]
    fn prose_and_logs_are_no_rows() {
        for line in [
            "restarted the pod 1/2 times in 5m",
            "2026-11-20 09:00:00 INFO ready 1/1",
            "web-2 is not ready since 5m",
            "total 12",
            "Ready to go v2",
        ] {
            assert_eq!(Fragment::parse(line, None), None, "{line}");
        }
    }

    #[test]
    fn rows_of_described_events_are_read_in_every_age() {
        let parse = |line: &'static str| DescribedEventRow::parse(line).unwrap();
        let row = parse("  Warning  Unhealthy  2m (x33 over 12m)    kubelet  Readiness probe failed: x");
        assert_eq!(
            (row.reason, row.count, row.from, row.message),
            ("Unhealthy", 33, "kubelet", "Readiness probe failed: x")
        );
        let row =
            parse("Warning FailedScheduling 2m31s (x12 over 58m) default-scheduler 0/3 nodes are available");
        assert_eq!((row.count, row.from, row.message), (12, "default-scheduler", "0/3 nodes are available"));
        let row = parse(
            "  58m           1m              14      default-scheduler                       Warning         FailedScheduling  0/3 nodes",
        );
        assert_eq!((row.count, row.reason, row.message), (14, "FailedScheduling", "0/3 nodes"));
        let row = parse(
            "  1h  2m  9  kubelet, aks-1  spec.containers{web}  Warning  Unhealthy  Liveness probe failed",
        );
        assert_eq!((row.host, row.reason), ("aks-1", "Unhealthy"));
    }
}
