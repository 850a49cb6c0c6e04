//! What the agent of Cilium says of its node: `cilium status` (also `cilium-dbg`, `--verbose`, `-o json`) and
//! `cilium-health status` (cilium/cilium `pkg/client/client.go`, `pkg/health/client/client.go`).
//!
//! `IPAM: IPv4: 254/254 allocated from 10.0.0.0/24`; `Cluster health: 2/3 reachable`, with a row for each node: its state is
//! `reachable` and `unreachable` in older versions, `1/1` and `0/1` in newer ones. With `--verbose`, and by `cilium-health`,
//! each path of a node has a line of its own.

use serde_json::Value;

use super::shared::line;
use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::evidence::excerpt;
use crate::facts::{CiliumPeer, CiliumPool, CiliumReport, Facts, LINES, Place};

pub(super) struct Cilium;
pub(super) const FORMAT: Cilium = Cilium;

/// Labels of `cilium status`, of which two make one.
const LABELS: [&[u8]; 11] = [
    b"KVStore:",
    b"Kubernetes:",
    b"Kubernetes APIs:",
    b"KubeProxyReplacement:",
    b"Cilium:",
    b"NodeMonitor:",
    b"IPAM:",
    b"Controller Status:",
    b"Proxy Status:",
    b"Cilium health daemon:",
    b"Cluster health:",
];

impl InputFormat for Cilium {
    fn name(&self) -> &'static str {
        "cilium"
    }

    fn about(&self) -> &'static str {
        "state of a node's Cilium agent: cilium status, cilium-health status, as text or JSON"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = head.bytes.trim_ascii_start();
        let has = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
        if text.starts_with(b"{") {
            let status = has("\"ipam\"") && has("\"cilium\"") && has("\"kubernetes\"");
            let health = has("\"nodes\"") && has("\"host\"") && has("\"primary-address\"");
            return if status || health { 91 } else { 0 };
        }
        if silent(text) {
            return 84;
        }
        let lines = || text.split(|byte| *byte == b'\n').take(60);
        let labels = LABELS.iter().filter(|label| lines().any(|line| line.starts_with(label))).count();
        let paths = has("Probe time:") && has("Nodes:") && has(" connectivity to ");
        let alone = text.starts_with(b"Cluster health:") || text.starts_with(b"Probe time:");
        if labels >= 3 || paths && alone || text.starts_with(b"Cluster health:") && has(" reachable") {
            88
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
        if silent(piece.bytes.trim_ascii_start()) {
            line::scan(piece, facts);
            return 1;
        }
        let mut report = CiliumReport { node: piece.node.map(Into::into), ..CiliumReport::default() };
        let records = if piece.bytes.trim_ascii_start().starts_with(b"{") {
            let Ok(value) = serde_json::from_slice::<Value>(piece.bytes) else {
                facts.problem(piece.source, "Cilium's JSON could not be understood: it may be cut");
                return 0;
            };
            of_json(&value, &mut report)
        } else {
            line::scan(piece, facts);
            of_text(&String::from_utf8_lossy(piece.bytes), &mut report)
        };
        let place = Place { source: piece.source.clone(), line: piece.first_line };
        if let Some(slot) = facts.nodes.cilium_reports.slot(place) {
            *slot = report;
        }
        records
    }
}

/// What every command says when no agent answers it.
fn silent(text: &[u8]) -> bool {
    let head = text.get(..text.len().min(1000)).unwrap_or(text);
    let has = |word: &str| memchr::memmem::find(head, word.as_bytes()).is_some();
    text.starts_with(b"Error: ") && has("cilium.sock") && (has("Is the agent running") || has("dial unix"))
}

/// `254/254 allocated from 10.0.0.0/24`: out of how many, and of which range when it says so.
fn pool(status: &str) -> Option<CiliumPool> {
    let (counts, rest) = status.split_once(" allocated")?;
    let (used, total) = counts.rsplit(' ').next()?.split_once('/')?;
    let range = rest.strip_prefix(" from ").unwrap_or_default();
    let range = range.split([',', ' ']).next().unwrap_or_default();
    Some(CiliumPool { range: range.into(), used: used.parse().ok()?, total: total.parse().ok()?, line: 0 })
}

fn of_json(value: &Value, report: &mut CiliumReport) -> u64 {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let status = text(value.pointer("/ipam/status"));
    report.pools.extend(status.split(", IPv6:").filter_map(pool));
    let nodes = value.get("nodes").or_else(|| value.pointer("/cluster/nodes"));
    let nodes = nodes.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let local = text(value.pointer("/local/name"));
    let (mut whole, mut reached) = (0, 0);
    for node in nodes.iter().take(LINES) {
        let name = text(node.get("name"));
        // The answers of the health API: a status that is not empty is an error.
        let paths = ["host", "health-endpoint"].map(|of| node.pointer(&format!("/{of}/primary-address")));
        if paths.iter().all(Option::is_none) {
            continue;
        }
        whole += 1;
        let failure = paths.into_iter().flatten().find_map(|path| {
            ["icmp", "http"].into_iter().find_map(|probe| {
                let status = path.pointer(&format!("/{probe}/status"))?.as_str()?;
                (!status.is_empty()).then(|| status.to_owned())
            })
        });
        match failure {
            Some(why) if name != local => {
                let address = text(node.pointer("/host/primary-address/ip"));
                let pings_only = !paths.iter().flatten().any(|path| {
                    path.pointer("/http/status")
                        .and_then(Value::as_str)
                        .is_some_and(|status| !status.is_empty())
                });
                report.unreachable.push(CiliumPeer { pings_only, ..peer(&name, &address, &why, &why) });
            }
            _ => reached += 1,
        }
    }
    if whole > 0 {
        report.reached = Some((reached, whole));
    }
    1 + whole
}

fn peer(name: &str, address: &str, why: &str, quote: &str) -> CiliumPeer {
    CiliumPeer {
        name: name.into(),
        address: address.into(),
        why: excerpt(why.as_bytes()),
        quote: excerpt(quote.as_bytes()),
        ..CiliumPeer::default()
    }
}

/// The node whose paths are being listed.
#[derive(Default)]
struct Listed {
    name: String,
    address: String,
    local: bool,
    /// What it says, the line as it stands, and which.
    failure: Option<(String, String, u64)>,
    http_fails: bool,
    http_answers: bool,
}

impl Listed {
    fn close(self, report: &mut CiliumReport) {
        let failure = self.failure.filter(|_| !self.local && report.unreachable.len() < LINES);
        if let Some((why, quote, line)) = failure {
            let pings_only = self.http_answers && !self.http_fails;
            let peer = peer(&self.name, &self.address, &why, &quote);
            report.unreachable.push(CiliumPeer { pings_only, line, ..peer });
        }
    }
}

fn of_text(text: &str, report: &mut CiliumReport) -> u64 {
    let mut records = 0;
    // Rows of nodes follow their header; paths of nodes follow `Nodes:`.
    let (mut rows, mut paths) = (false, false);
    let mut listed = Listed::default();
    for (line, number) in text.lines().zip(0..) {
        let trimmed = line.trim();
        records += u64::from(!trimmed.is_empty());
        if let Some(status) = trimmed.strip_prefix("IPAM:") {
            let pools = status.split(", IPv6:").filter_map(|part| pool(part.trim()));
            report.pools.extend(pools.map(|pool| CiliumPool { line: number, ..pool }));
        } else if let Some(health) = trimmed.strip_prefix("Cluster health:") {
            let counts = health.trim().split(' ').next().and_then(|counts| counts.split_once('/'));
            report.reached = counts.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
            (rows, paths) = (true, false);
        } else if trimmed == "Nodes:" {
            (rows, paths) = (false, true);
        } else if trimmed.is_empty() || !line.starts_with(' ') && !trimmed.starts_with("Name") {
            (rows, paths) = (false, false);
        } else if rows {
            row(trimmed, number, report);
        } else if paths {
            let indent = line.len() - line.trim_start().len();
            if indent <= 2 && trimmed.ends_with(':') {
                std::mem::take(&mut listed).close(report);
                let name = trimmed.trim_end_matches(':');
                listed.local = name.ends_with("(localhost)");
                name.trim_end_matches("(localhost)").trim().clone_into(&mut listed.name);
            } else if let Some((_, address)) = trimmed.split_once(" connectivity to ") {
                if listed.address.is_empty() {
                    address.trim_end_matches(':').clone_into(&mut listed.address);
                }
            } else if let Some((probe, outcome)) = trimmed.split_once(':') {
                let outcome = outcome.trim();
                let (answered, http) = (outcome.starts_with("OK"), probe.starts_with("HTTP"));
                listed.http_answers |= http && answered;
                listed.http_fails |= http && !answered && !outcome.is_empty();
                if !outcome.is_empty() && !answered && listed.failure.is_none() {
                    listed.failure = Some((outcome.to_owned(), trimmed.to_owned(), number));
                }
            }
        }
    }
    listed.close(report);
    records
}

/// `aks-2   10.224.0.5   unknown   unreachable`, `kind/n2   172.18.0.3   0/1   1/1`.
fn row(line: &str, number: u64, report: &mut CiliumReport) {
    let (line, local) = match line.split_once(" (localhost)") {
        Some((name, rest)) => (format!("{name} {rest}"), true),
        None => (line.to_owned(), false),
    };
    let cells: Vec<&str> = line.split_whitespace().collect();
    let [name, address, states @ ..] = cells.as_slice() else { return };
    if local || address.parse::<std::net::IpAddr>().is_err() || report.unreachable.len() >= LINES {
        return;
    }
    let lost = |state: &&&str| {
        **state == "unreachable" || state.split_once('/').is_some_and(|(up, all)| up == "0" && all != "0")
    };
    if states.iter().take(2).any(|state| lost(&state)) {
        let columns = ["node", "endpoints"].into_iter().zip(states);
        let states: Vec<String> = columns.map(|(what, state)| format!("{what} {state}")).collect();
        let peer = peer(name, address, &states.join(", "), line.trim());
        report.unreachable.push(CiliumPeer { line: number, ..peer });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> CiliumReport {
        let mut report = CiliumReport::default();
        of_text(text, &mut report);
        report
    }

    #[test]
    fn rows_of_all_versions_say_who_is_not_reached() {
        let old = read(
            "IPAM:                    IPv4: 254/254 allocated from 10.244.1.0/24, \nCluster health:          2/3 reachable   (2026-11-23T08:00:00Z)\n  Name                   IP           Node   Endpoints\n  aks-1 (localhost)      10.224.0.4   reachable   unreachable\n  aks-2                  10.224.0.5   unknown   unreachable\nController Status:       40/41 healthy\n",
        );
        assert_eq!(old.reached, Some((2, 3)));
        assert_eq!(
            (old.pools[0].used, old.pools[0].total, &*old.pools[0].range),
            (254, 254, "10.244.1.0/24")
        );
        assert_eq!(old.unreachable.iter().map(|peer| &*peer.name).collect::<Vec<_>>(), ["aks-2"]);
        let new = read(
            "Cluster health:   1/3 reachable   (2026-11-23T08:00:00Z)   (Probe interval: 1m36s)\nName                IP           Node    Endpoints\n  kind/a (localhost)  172.18.0.2   1/1     1/1\n  kind/b              172.18.0.3   0/1     1/1\n  kind/c              172.18.0.4   1/1     0/1\n",
        );
        assert_eq!(new.unreachable.len(), 2);
    }

    #[test]
    fn paths_say_why() {
        let report = read(
            "Probe time:   2026-11-20T09:11:02Z\nNodes:\n  kind/n0 (localhost):\n    Host connectivity to 10.224.0.4:\n      ICMP to stack:   OK, RTT=211.1µs\n  kind/n1:\n    Host connectivity to 10.224.0.5:\n      ICMP to stack:   Connection timed out\n      HTTP to agent:   OK, RTT=1ms\n",
        );
        let peer = &report.unreachable[0];
        assert_eq!(
            (&*peer.name, &*peer.address, &*peer.why),
            ("kind/n1", "10.224.0.5", "Connection timed out")
        );
        assert_eq!(report.unreachable.len(), 1);
    }

    #[test]
    fn a_pool_without_its_range_is_one_too() {
        assert_eq!(&*pool("5/9 allocated, ").unwrap().range, "");
        assert_eq!(pool("delegated to plugin"), None);
    }
}
