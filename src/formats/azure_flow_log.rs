//! Flow logs of Azure: of a virtual network (version 4) and of a security group (versions 1 and 2), as they lie in a storage
//! account, `PT1H.json` (<https://learn.microsoft.com/azure/network-watcher/vnet-flow-logs-overview>,
//! <https://learn.microsoft.com/azure/network-watcher/nsg-flow-logs-overview>).
//!
//! A tuple of the first: `milliseconds,from,to,port,port,protocol number,I|O,B|C|E|D,…`; of the second:
//! `seconds,from,to,port,port,T|U,I|O,A|D,…`. What was let pass is most of it, and is not kept.

use memchr::memmem;
use serde::Deserialize;

use super::kubernetes_json::LineCounter;
use super::shared::json::{JsonFramer, Scanned, Scanner};
use super::{Head, InputFormat, Piece};
use crate::bundle::Framer;
use crate::facts::{Facts, FlowFilter, FlowKey, FlowSeen, fingerprint, time};

pub(super) struct AzureFlowLog;
pub(super) const FORMAT: AzureFlowLog = AzureFlowLog;

impl InputFormat for AzureFlowLog {
    fn name(&self) -> &'static str {
        "azure-flow-log"
    }

    fn about(&self) -> &'static str {
        "flow log of a virtual network or of a network security group (PT1H.json)"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = head.bytes.trim_ascii_start();
        let has = |word: &str| memmem::find(text, word.as_bytes()).is_some();
        let network = has("\"flowRecords\"") || has("\"FlowLogFlowEvent\"");
        let group = has("\"NetworkSecurityGroupFlowEvent\"");
        if text.starts_with(b"{") && (network || group) { 98 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::<JsonFramer>::default()
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut lines = LineCounter::new(piece);
        let mut scanner = piece.context.map_or_else(Scanner::default, Scanner::within);
        let mut records = 0;
        let mut unread = false;
        scanner.run(piece.bytes, |found| {
            if let Scanned::Element { start, end } | Scanned::Document { start, end } = found {
                records += 1;
                let json = piece.bytes.get(start..end).unwrap_or_default();
                match serde_json::from_slice::<FlowLogRecord>(json) {
                    Ok(record) => record.read(piece, lines.at(start), facts),
                    Err(_) => unread = true,
                }
            }
            true
        });
        if unread {
            facts.problem(piece.source, "flow log records that could not be understood");
        }
        records
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FlowLogRecord {
    flow_records: NetworkFlows,
    properties: GroupFlows,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NetworkFlows {
    flows: Vec<FlowsOfList>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FlowsOfList {
    flow_groups: Vec<FlowsOfRule>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GroupFlows {
    flows: Vec<FlowsOfGroup>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FlowsOfGroup {
    rule: String,
    flows: Vec<FlowsOfRule>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FlowsOfRule {
    rule: String,
    flow_tuples: Vec<String>,
}

impl FlowLogRecord {
    fn read(&self, piece: &Piece<'_>, line: u64, facts: &mut Facts) {
        let of_network = self
            .flow_records
            .flows
            .iter()
            .flat_map(|list| &list.flow_groups)
            .map(|flows| (&flows.rule, flows));
        let of_group = self
            .properties
            .flows
            .iter()
            .flat_map(|group| group.flows.iter().map(move |flows| (&group.rule, flows)));
        for (rule, flows) in of_network.chain(of_group) {
            for tuple in &flows.flow_tuples {
                let Some((key, seconds)) = denied(tuple, rule) else { continue };
                let when = time::epoch(seconds);
                facts.saw(when);
                let print = fingerprint((rule, tuple));
                let text = format!("{rule}: {tuple}");
                let text = text.as_bytes();
                facts.flowed(FlowSeen { key, print, when, source: piece.source, line, text });
            }
        }
    }
}

/// A tuple of a flow that was stopped, and its time in seconds.
fn denied(tuple: &str, rule: &str) -> Option<(FlowKey, f64)> {
    let cells: Vec<&str> = tuple.split(',').collect();
    let [stamp, from, to, _, port, protocol, direction, state, ..] = cells.as_slice() else { return None };
    if *state != "D" {
        return None;
    }
    let number: f64 = stamp.parse().ok()?;
    // Milliseconds in the newer form.
    let seconds = if number > 1e11 { number / 1000.0 } else { number };
    let protocol = match *protocol {
        "6" | "T" => "TCP",
        "17" | "U" => "UDP",
        "1" => "ICMP",
        other => other,
    };
    let key = FlowKey {
        allowed: false,
        filter: FlowFilter::SecurityGroup,
        inbound: *direction == "I",
        target: (*to).into(),
        port: port.parse().unwrap_or(0),
        protocol: protocol.into(),
        source: (*from).into(),
        rule: rule.strip_prefix("UserRule_").unwrap_or(rule).into(),
    };
    Some((key, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_of_both_kinds_say_who_was_stopped_by_which_rule() {
        let (new, at) =
            denied("1795425603599,10.224.0.4,20.71.10.10,23956,443,6,O,D,NX,0,0,0,0", "DenyInternetOut")
                .unwrap();
        let (old, then) =
            denied("1795425603,10.224.0.4,20.71.10.10,52341,443,T,O,D,B,,,,", "UserRule_DenyInternetOut")
                .unwrap();
        assert_eq!(new, old);
        assert!(!new.inbound && at > then && at - then < 1.0);
        assert!(
            denied("1795425603599,10.224.0.4,20.71.10.10,23956,443,6,O,B,NX,0,0,0,0", "AllowAll").is_none()
        );
        assert!(denied("hello", "x").is_none());
    }
}
