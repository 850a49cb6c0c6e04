//! States of a machine's services: `systemctl list-units` (systemd `src/systemctl/systemctl-list-units.c`), `sc queryex`, and the Windows event log's records of the service control manager as CSV.

use super::shared::line;
use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::evidence::Evidence;
use crate::facts::text::lossy;
use crate::facts::{Facts, Place, SystemUnit, time};

pub(super) struct NodeServices;
pub(super) const FORMAT: NodeServices = NodeServices;

/// Services without which a node does not work; others may be dead on healthy ones.
const VITAL: [&str; 5] = ["kubelet", "containerd", "docker", "crio", "kubeproxy"];

impl InputFormat for NodeServices {
    fn name(&self) -> &'static str {
        "node-services"
    }

    fn about(&self) -> &'static str {
        "states of a node's services: systemctl list-units, sc queryex, Windows service events"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = lossy(head.bytes.get(..head.bytes.len().min(8192)).unwrap_or(head.bytes));
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first: Vec<&str> = lines.by_ref().take(3).collect();
        let list = first.iter().take(2).any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words.as_slice(), ["UNIT", "LOAD", "ACTIVE", "SUB", ..])
        });
        let row = first.first().is_some_and(|line| unit_row(line).is_some());
        let windows = first.iter().any(|line| line.starts_with("SERVICE_NAME: "))
            || first.iter().any(|line| line.contains("\"Id\",\"LevelDisplayName\",\"Message\""));
        if list || row || windows { 87 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        line::scan(piece, facts);
        let text = lossy(piece.bytes);
        let host = host(&text);
        let node = piece.node.or(host.as_deref()).unwrap_or_default();
        let mut unit = String::new();
        let mut records = 0;
        for (raw, number) in text.lines().zip(piece.first_line..) {
            let line = raw.trim();
            let state = if let Some(name) = line.strip_prefix("SERVICE_NAME: ") {
                records += 1;
                name.trim().clone_into(&mut unit);
                None
            } else if line.starts_with("STATE ") && line.ends_with("STOPPED") {
                Some((unit.clone(), "STOPPED".to_owned()))
            } else if let Some((name, state)) = unit_row(line) {
                records += 1;
                (state == "failed" || state == "auto-restart").then(|| (name.to_owned(), state.to_owned()))
            } else if let Some(event) = windows_event(line) {
                records += 1;
                event
            } else {
                None
            };
            let Some((name, state)) = state else { continue };
            let short = name.trim_end_matches(".service");
            if !VITAL.contains(&short) {
                continue;
            }
            let place = Place { source: piece.source.clone(), line: number };
            if let Some(slot) = facts.nodes.units.slot(place) {
                *slot = SystemUnit {
                    unit: short.into(),
                    node: Some(node).filter(|node| !node.is_empty()).map(Into::into),
                    active: state.as_str().into(),
                    enabled: None,
                    evidence: Some(Evidence::line(piece.source, number, raw.trim().as_bytes())),
                };
            }
        }
        records.max(1)
    }
}

/// `● kubelet.service loaded failed failed Kubelet`: the unit and its state, the finer one where it says more.
fn unit_row(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start_matches(['●', '○', '×', '*', '↻']).trim_start();
    let words: Vec<&str> = line.split_whitespace().take(4).collect();
    let [name, "loaded" | "not-found" | "masked" | "error" | "bad-setting", active, sub] = words.as_slice()
    else {
        return None;
    };
    let state = if *active == "activating" { sub } else { active };
    name.contains('.').then_some((name, state))
}

/// A row of the service control manager: `"…","7034","Error","The kubelet service terminated unexpectedly. …"`.
#[allow(clippy::option_option)]
fn windows_event(line: &str) -> Option<Option<(String, String)>> {
    let cells: Vec<&str> = line.strip_prefix('"')?.split("\",\"").collect();
    let [_, id, _, message] = cells.as_slice() else { return None };
    id.parse::<u32>().ok()?;
    let name = message.strip_prefix("The ").and_then(|rest| rest.split_once(" service terminated"));
    Some(name.map(|(name, rest)| {
        let how = rest.split('.').next().unwrap_or_default().trim();
        (name.to_lowercase(), format!("terminated {how}").trim().to_owned())
    }))
}

/// The machine that the lines of a journal below a status name: `Nov 23 08:12:01 aks-1 kubelet[2201]: …`.
fn host(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        time::syslog(line.as_bytes())?;
        let mut words = line.split_whitespace().skip(3);
        let (host, program) = (words.next()?, words.next()?);
        program.ends_with("]:").then(|| host.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_all_kinds_are_told_apart() {
        assert_eq!(
            unit_row("● kubelet.service loaded failed failed Kubelet"),
            Some(("kubelet.service", "failed"))
        );
        assert_eq!(unit_row("cron.service loaded active running Cron"), Some(("cron.service", "active")));
        let event = windows_event(
            "\"11/23/2026 8:12:13 AM\",\"7034\",\"Error\",\"The kubelet service terminated unexpectedly.  It has done this 3 time(s).\"",
        );
        assert_eq!(event.flatten(), Some(("kubelet".to_owned(), "terminated unexpectedly".to_owned())));
    }
}
