//! Flows of Cilium's Hubble: `hubble observe` as text, as a table and as JSON, and the flow files of AKS's Advanced Container
//! Networking Services (cilium/cilium `hubble/pkg/printer/printer.go`, `api/v1/flow/flow.proto`); drops of `cilium monitor`
//! (`pkg/monitor/datapath_drop.go`).
//!
//! What a policy dropped is known by its reason. Every other line is a flow that says nothing of a fault by itself.

use memchr::memmem;
use serde::Deserialize;

use super::shared::unwrap::klog_time;
use super::{Head, InputFormat, Piece, share_of_lines};
use crate::bytes::pattern::{named, pattern, search};
use crate::facts::text::lossy;
use crate::facts::time::{self, When};
use crate::facts::{Facts, Signal, SignalKey, SignalSeen, fingerprint};

pub(super) struct Hubble;
pub(super) const FORMAT: Hubble = Hubble;

pattern!(
    FLOW,
    r"^(?:\[(?P<node>[^\]]+)\]: )?(?P<from>\S+?)(?::(?P<sport>\d+))? (?:\([^()]*\) )?(?P<arrow><>|->|<-) (?P<to>\S+?)(?::(?P<port>\d+))?(?: \([^()]*\))? (?P<what>.*?) ?(?P<verdict>FORWARDED|DROPPED|DENIED|ALLOWED|AUDITED|AUDIT|REDIRECTED|ERROR|TRACED|TRANSLATED)(?: \((?P<summary>[^)]*)\))?$"
);
pattern!(
    DROP,
    r"drop \((?P<why>[^()]*(?:\([^()]*\))?[^()]*)\) flow .*?: (?P<from>[0-9a-fA-F.:\[\]]+) -> (?P<to>[0-9a-fA-F.:\[\]]+) (?P<protocol>\w+)"
);

impl InputFormat for Hubble {
    fn name(&self) -> &'static str {
        "hubble"
    }

    fn about(&self) -> &'static str {
        "flows of Cilium: hubble observe as text or JSON, drops of cilium monitor"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let share = share_of_lines(head.bytes, 50, |line| is_json(line) || is_text(line));
        let first = head.bytes.trim_ascii_start();
        let first = first.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
        if share >= 60 || is_header(first) || is_field(first) && first.starts_with(b"TIMESTAMP:") {
            95
        } else {
            0
        }
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut records = 0;
        let mut columns = Vec::new();
        let mut fields: Vec<(String, String)> = Vec::new();
        for (line, number) in piece.bytes.split(|byte| *byte == b'\n').zip(piece.first_line..) {
            let line = line.trim_ascii();
            let dropped = if is_json(line) {
                of_json(line)
            } else if is_text(line) {
                of_text(&lossy(line))
            } else if is_header(line) {
                columns = cells(&lossy(line));
                continue;
            } else if is_field(line) {
                // `-o dict`: a block of names and values, the summary last.
                let text = lossy(line);
                let Some((name, value)) = text.split_once(": ") else { continue };
                fields.push((name.to_owned(), value.trim().to_owned()));
                if name != "SUMMARY" {
                    continue;
                }
                Some(of_fields(&std::mem::take(&mut fields)))
            } else if !columns.is_empty()
                && time::syslog(line).or(time::rfc3339(line).map(|(at, _)| at)).is_some()
            {
                Some(of_fields(&columns.iter().cloned().zip(cells(&lossy(line))).collect::<Vec<_>>()))
            } else {
                continue;
            };
            records += 1;
            let Some(dropped) = dropped else { continue };
            if let Some(when) = dropped.when {
                facts.saw(Some(when));
                facts.coverage.entry(piece.source).span.add(when);
            }
            if !dropped.by_policy {
                continue;
            }
            let node = if dropped.node.is_empty() { piece.node.unwrap_or_default() } else { &dropped.node };
            facts.signalled(SignalSeen {
                key: SignalKey {
                    signal: Signal::PolicyDropped,
                    namespace: "".into(),
                    pod: "".into(),
                    node: node.into(),
                    detail: dropped.detail.into(),
                },
                print: if dropped.when.is_some() {
                    fingerprint(line)
                } else {
                    fingerprint((piece.source, number, line))
                },
                stated: 1,
                times: [dropped.when, None],
                source: piece.source,
                line: number,
                text: line,
            });
        }
        records
    }
}

/// The header of `-o table`.
fn is_header(line: &[u8]) -> bool {
    line.starts_with(b"TIMESTAMP ")
        && memmem::find(line, b"DESTINATION ").is_some()
        && memmem::find(line, b"VERDICT").is_some()
}

/// A line of `-o dict`.
fn is_field(line: &[u8]) -> bool {
    ["TIMESTAMP: ", "NODE: ", "SOURCE: ", "DESTINATION: ", "TYPE: ", "VERDICT: ", "SUMMARY: "]
        .iter()
        .any(|name| line.starts_with(name.as_bytes()))
}

/// Cells are two blanks apart at least.
fn cells(line: &str) -> Vec<String> {
    let mut cells: Vec<String> =
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(ToOwned::to_owned).collect();
    // `May  4 13:23:40.501`: a day of one digit stands two blanks apart.
    if cells.len() > 1 && cells.first().is_some_and(|first| time::month(first.as_bytes()).is_some()) {
        let month = cells.remove(0);
        if let Some(day) = cells.first_mut() {
            *day = format!("{month}  {day}");
        }
    }
    cells
}

/// A row of a table, or a block of names and values.
fn of_fields(fields: &[(String, String)]) -> HubbleDrop {
    let field =
        |name: &str| fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let stamp = field("TIMESTAMP").as_bytes();
    let when = time::rfc3339(stamp).map(|(when, _)| when).or_else(|| time::syslog(stamp));
    // `shop/web-1:38160 (ID:60176)`.
    let end = |text: &str| {
        let (name, port) = socket(text.split(' ').next().unwrap_or_default());
        (name.to_owned(), port.to_owned())
    };
    let ((from, _), (to, port)) = (end(field("SOURCE")), end(field("DESTINATION")));
    let protocol = field("SUMMARY").split([' ', ',', ';']).next().unwrap_or_default();
    HubbleDrop {
        when,
        node: field("NODE").to_owned(),
        detail: format!("{from} {to} {protocol} {port}").trim().to_owned(),
        by_policy: field("VERDICT") == "DROPPED" && field("TYPE").to_lowercase().starts_with("policy denied"),
    }
}

/// A flow that did not pass.
struct HubbleDrop {
    when: Option<When>,
    node: String,
    /// `from to protocol port`.
    detail: String,
    by_policy: bool,
}

fn is_json(line: &[u8]) -> bool {
    line.starts_with(b"{")
        && memmem::find(line, b"\"verdict\"").is_some()
        && (memmem::find(line, b"\"drop_reason_desc\"").is_some()
            || memmem::find(line, b"\"traffic_direction\"").is_some()
            || memmem::find(line, b"\"node_name\"").is_some())
}

fn is_text(line: &[u8]) -> bool {
    if line.starts_with(b"xx drop (") {
        return true;
    }
    let arrow = [&b" -> "[..], b" <> ", b" <- "].iter().any(|arrow| memmem::find(line, arrow).is_some());
    arrow
        && klog_time(line).is_none()
        && stamp(line).is_some_and(|(_, at)| {
            line.get(at..).is_some_and(|rest| std::str::from_utf8(rest).is_ok_and(|rest| FLOW.is_match(rest)))
        })
}

/// The time at the start of a line, and where what follows it begins: `Nov 23 14:56:45.779: `, or RFC 3339.
fn stamp(line: &[u8]) -> Option<(When, usize)> {
    if let Some((when, length)) = time::rfc3339(line) {
        let rest = line.get(length..)?;
        return rest.starts_with(b": ").then_some((when, length + 2));
    }
    let when = time::syslog(line)?;
    let rest = line.get(15..)?;
    let fraction = rest.iter().take_while(|byte| **byte == b'.' || byte.is_ascii_digit()).count();
    rest.get(fraction..)?.starts_with(b": ").then_some((when, 15 + fraction + 2))
}

/// `10.0.0.1:80`, `[fd00::1]:80`, `fe80::1`.
fn socket(text: &str) -> (&str, &str) {
    if let Some((address, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        return (address, port);
    }
    match text.split_once(':') {
        Some((address, port)) if !port.contains(':') => (address, port),
        _ => (text, ""),
    }
}

fn of_text(line: &str) -> Option<HubbleDrop> {
    if line.starts_with("xx drop (") {
        let found = search(&DROP, line)?;
        let part = |name| named(Some(&found), name);
        let ((from, _), (to, port)) = (socket(part("from")), socket(part("to")));
        let detail = format!("{from} {to} {} {port}", part("protocol").to_uppercase());
        let by_policy = part("why").starts_with("Policy denied");
        return Some(HubbleDrop {
            when: None,
            node: String::new(),
            detail: detail.trim().to_owned(),
            by_policy,
        });
    }
    let (when, at) = stamp(line.as_bytes())?;
    let found = search(&FLOW, line.get(at..)?)?;
    let part = |name| named(Some(&found), name);
    let dropped = part("verdict") == "DROPPED";
    let by_policy = dropped && (part("what").contains("olicy denied") || part("what").contains("POLICY_DEN"));
    let protocol = part("summary").split([' ', ',', ';']).next().unwrap_or_default();
    let (from, to, port) = match part("arrow") {
        // An answer: the one that asked stands on the right.
        "<-" => (part("to"), part("from"), part("sport")),
        _ => (part("from"), part("to"), part("port")),
    };
    let detail = format!("{from} {to} {protocol} {port}");
    Some(HubbleDrop {
        when: Some(when),
        node: part("node").to_owned(),
        detail: detail.trim().to_owned(),
        by_policy,
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HubbleRecord {
    flow: Option<HubbleFlow>,
    node_name: String,
    #[serde(flatten)]
    bare: HubbleFlow,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HubbleFlow {
    time: Option<String>,
    verdict: String,
    drop_reason_desc: String,
    #[serde(rename = "IP")]
    ip: HubbleAddresses,
    l4: std::collections::BTreeMap<String, HubblePorts>,
    source: HubbleEnd,
    destination: HubbleEnd,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HubbleAddresses {
    source: String,
    destination: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HubblePorts {
    destination_port: u16,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HubbleEnd {
    namespace: String,
    pod_name: String,
}

impl HubbleEnd {
    fn label(&self, address: &str) -> String {
        if self.pod_name.is_empty() {
            address.to_owned()
        } else {
            format!("{}/{}", self.namespace, self.pod_name)
        }
    }
}

fn of_json(line: &[u8]) -> Option<HubbleDrop> {
    let record: HubbleRecord = serde_json::from_slice(line).ok()?;
    let outer = record.bare.time;
    let flow = match record.flow {
        Some(flow) => flow,
        None => HubbleFlow { time: outer.clone(), ..serde_json::from_slice(line).ok()? },
    };
    let when = flow.time.or(outer).and_then(|text| time::rfc3339(text.as_bytes())).map(|(when, _)| when);
    let (protocol, ports) =
        flow.l4.iter().next().map_or(("", 0), |(name, ports)| (name, ports.destination_port));
    let (from, to) = (flow.source.label(&flow.ip.source), flow.destination.label(&flow.ip.destination));
    let port = if ports == 0 { String::new() } else { ports.to_string() };
    Some(HubbleDrop {
        when,
        node: record.node_name,
        detail: format!("{from} {to} {protocol} {port}").trim().to_owned(),
        by_policy: flow.verdict == "DROPPED" && flow.drop_reason_desc.starts_with("POLICY_DEN"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(line: &str) -> Option<(String, bool)> {
        let found = if is_json(line.as_bytes()) { of_json(line.as_bytes()) } else { of_text(line) };
        found.map(|found| (found.detail, found.by_policy))
    }

    #[test]
    fn every_form_of_a_drop_names_both_ends() {
        let text = "Nov 23 14:56:45.779: shop/web-1:38160 (ID:60176) <> kube-system/coredns-1:53 (ID:10337) Policy denied DROPPED (UDP)";
        let expected = |by_policy| Some(("shop/web-1 kube-system/coredns-1 UDP 53".to_owned(), by_policy));
        assert!(is_text(text.as_bytes()));
        assert_eq!(dropped(text), expected(true));
        let verdict = "Nov 23 14:56:45.779 [aks-1]: x";
        assert!(!is_text(verdict.as_bytes()));
        let node = "2026-11-23T14:56:45.779Z: [aks-1]: shop/web-1:38160 (ID:60176) -> kube-system/coredns-1:53 (ID:10337) to-endpoint FORWARDED (UDP)";
        assert!(is_text(node.as_bytes()));
        assert_eq!(dropped(node), expected(false));
        let json = r#"{"flow":{"time":"2026-11-23T14:56:45.779Z","verdict":"DROPPED","IP":{"source":"10.244.1.60","destination":"10.0.0.10"},"l4":{"UDP":{"source_port":38160,"destination_port":53}},"source":{"namespace":"shop","pod_name":"web-1"},"destination":{"namespace":"kube-system","pod_name":"coredns-1"},"drop_reason_desc":"POLICY_DENIED"},"node_name":"aks-1"}"#;
        assert_eq!(dropped(json), expected(true));
        let bare = json
            .replacen("{\"flow\":", "", 1)
            .replace("},\"node_name\":\"aks-1\"}", ",\"node_name\":\"aks-1\"}");
        assert_eq!(dropped(&bare), expected(true));
    }

    #[test]
    fn tables_and_blocks_say_the_same() {
        let header = "TIMESTAMP             SOURCE                    DESTINATION                       TYPE            VERDICT   SUMMARY";
        assert!(is_header(header.as_bytes()));
        let row = cells(
            "Nov 20 14:56:45.779   shop/web-1:38160 (ID:60176)   kube-system/coredns-1:53 (ID:10337)   Policy denied   DROPPED   UDP",
        );
        let found = of_fields(&cells(header).into_iter().zip(row).collect::<Vec<_>>());
        assert_eq!(
            (found.detail.as_str(), found.by_policy),
            ("shop/web-1 kube-system/coredns-1 UDP 53", true)
        );
        assert!(is_field(b"VERDICT: DROPPED"));
    }

    #[test]
    fn drops_of_the_monitor_have_a_reason() {
        let line = "xx drop (Policy denied) flow 0x9e2c to endpoint 0, ifindex 12, file bpf_lxc.c:1276, , identity 6103->2: 10.0.1.5:45210 -> 10.0.2.9:6379 tcp SYN";
        assert_eq!(dropped(line), Some(("10.0.1.5 10.0.2.9 TCP 6379".to_owned(), true)));
        let other = "xx drop (Unsupported L3 protocol) flow 0x0 to endpoint 0, ifindex 12, file bpf_lxc.c:1, , identity 1->0: fe80::1 -> ff02::2 RouterSolicitation";
        assert_eq!(dropped(other), Some(("fe80::1 ff02::2 ROUTERSOLICITATION".to_owned(), false)));
    }
}
