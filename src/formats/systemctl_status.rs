//! `systemctl status UNIT`: whether a service of a node runs (systemd, `systemctl-show.c`).
//!
//! `● kubelet.service - Kubernetes Kubelet`, then `Loaded:` and `Active: active (running) since Tue 2025-11-11 02:46:42
//! CST; 4h ago`, then the unit's last lines of the journal, which name the host.

use super::shared::line;
use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::evidence::Evidence;
use crate::facts::text::lossy;
use crate::facts::{Facts, Place, SystemUnit};

pub(super) struct SystemctlStatus;
pub(super) const FORMAT: SystemctlStatus = SystemctlStatus;

impl InputFormat for SystemctlStatus {
    fn name(&self) -> &'static str {
        "systemctl-status"
    }

    fn about(&self) -> &'static str {
        "systemctl status of a node's services"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let mut lines = head.bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let first = lines.next().is_some_and(|line| heading(&lossy(line)).is_some());
        let second = lines.next().is_some_and(|line| line.trim_ascii_start().starts_with(b"Loaded: "));
        if first && second { 90 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        // The unit's last lines of the journal are a log.
        line::scan(piece, facts);
        let mut open: Option<(Place, SystemUnit)> = None;
        let mut units = 0;
        for (line, number) in piece.bytes.split(|byte| *byte == b'\n').zip(piece.first_line..) {
            let line = lossy(line);
            if let Some(name) = heading(&line) {
                keep(open.take(), facts);
                units += 1;
                let place = Place { source: piece.source.clone(), line: number };
                let node = piece.node.map(Into::into);
                open = Some((place, SystemUnit { unit: name.into(), node, ..SystemUnit::default() }));
            } else if let Some((_, unit)) = &mut open {
                if let Some(state) = line.trim_start().strip_prefix("Active: ") {
                    unit.active = state.split(" since ").next().unwrap_or(state).trim().into();
                    unit.evidence = Some(Evidence::line(piece.source, number, line.trim().as_bytes()));
                } else if let Some(loaded) = line.trim_start().strip_prefix("Loaded: ") {
                    unit.enabled = enabled(loaded);
                } else if unit.node.is_none() {
                    unit.node = host(&line).map(Into::into);
                }
            }
        }
        keep(open, facts);
        units
    }
}

fn keep(found: Option<(Place, SystemUnit)>, facts: &mut Facts) {
    let Some((place, unit)) = found.filter(|(_, unit)| !unit.active.is_empty()) else { return };
    if let Some(slot) = facts.nodes.units.slot(place) {
        *slot = unit;
    }
}

/// The unit of a first line.
fn heading(line: &str) -> Option<&str> {
    let rest = line.trim_end().strip_prefix(['●', '○', '×', '*', '↻'])?.strip_prefix(' ')?;
    let name = rest.split(' ').next()?;
    name.strip_suffix(".service").filter(|name| !name.is_empty())
}

/// `loaded (/etc/systemd/system/kubelet.service; enabled; …)`, `not-found (…)`, `masked (…)`.
fn enabled(loaded: &str) -> Option<bool> {
    match loaded.split(' ').next()? {
        "not-found" | "masked" => Some(false),
        _ => match loaded.split(';').nth(1)?.trim().trim_end_matches(')') {
            "enabled" | "enabled-runtime" | "static" => Some(true),
            "disabled" => Some(false),
            _ => None,
        },
    }
}

/// The host that a line of the journal names: `Dec 11 10:53:51 worker-02 systemd[1]: …`.
fn host(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let (month, day, time) = (words.next()?, words.next()?, words.next()?);
    let dated = month.len() == 3 && day.parse::<u8>().is_ok() && time.matches(':').count() == 2;
    let host = words.next()?;
    words.next()?.contains("]:").then_some(host).filter(|_| dated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_hosts_are_told() {
        assert_eq!(heading("○ kube-scheduler.service - Kubernetes Scheduler"), Some("kube-scheduler"));
        assert_eq!(heading("* kubelet.service - kubelet"), Some("kubelet"));
        assert_eq!(heading("● boot.mount - Boot"), None);
        assert_eq!(host("Dec 11 10:53:51 worker-02 systemd[1]: Stopped containerd."), Some("worker-02"));
        assert_eq!(host("   Main PID: 907 (code=exited)"), None);
    }
}
