//! `calicoctl ipam show` (boxed table of pools and blocks) and `calicoctl ipam check` (its report).
//!
//! The words are those of calicoctl 3.x; `IPS RESERVED` came later, and a paste may have spaces within
//! the borders.

use std::net::IpAddr;

use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::facts::{CalicoReport, CalicoUse, Facts, Place};

pub(super) struct Calicoctl;
pub(super) const FORMAT: Calicoctl = Calicoctl;

/// Most leaked addresses kept of one report.
const LEAKED: usize = 65_536;

impl InputFormat for Calicoctl {
    fn name(&self) -> &'static str {
        "calicoctl-ipam"
    }

    fn about(&self) -> &'static str {
        "calicoctl ipam show and calicoctl ipam check"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let has = |word: &str| memchr::memmem::find(head.bytes, word.as_bytes()).is_some();
        let show = has("GROUPING") && has("IPS TOTAL") && has("IPS IN USE");
        let check =
            has("Checking IPAM for inconsistencies") || has("allocated in IPAM but not actually in use");
        let begins = head.bytes.trim_ascii_start();
        let bare = begins.starts_with(b"+--")
            || begins.starts_with(b"| GROUPING")
            || begins.starts_with(b"Checking IPAM");
        match (show || check, bare) {
            (true, true) => 88,
            // Among other things: a transcript is split first.
            (true, false) => 35,
            _ => 0,
        }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        super::shared::line::scan_prose(piece, facts);
        let mut report = CalicoReport::default();
        let text = String::from_utf8_lossy(piece.bytes);
        let mut records = 0;
        for line in text.lines().map(str::trim) {
            records += u64::from(row(line, &mut report) || finding(line, &mut report));
        }
        if records > 0 {
            let place = Place { source: piece.source.clone(), line: piece.first_line };
            if let Some(slot) = facts.nodes.calico_reports.slot(place) {
                *slot = report;
            }
        }
        records
    }
}

/// `| IP Pool  | 10.4.0.0/16 |     65536 | 13 (0%)    | 65523 (100%) |`, with `IPS RESERVED` perhaps.
fn row(line: &str, report: &mut CalicoReport) -> bool {
    let Some(inner) = line.strip_prefix('|') else { return false };
    let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
    let [grouping, range, total, used, ..] = cells.as_slice() else { return false };
    let number = |cell: &str| cell.split([' ', '(']).next()?.parse::<f64>().ok().map(|number| number as u64);
    let (Some(total), Some(used)) = (number(total), number(used)) else { return false };
    report.uses.push(CalicoUse { pool: *grouping == "IP Pool", range: (*range).into(), total, used });
    true
}

fn finding(line: &str, report: &mut CalicoReport) -> bool {
    let number = |before: &str, after: &str| -> Option<u64> {
        line.strip_prefix(before)?.strip_suffix(after)?.trim().parse().ok()
    };
    if let Some(count) = number("Found ", "IPs that are allocated in IPAM but not actually in use.") {
        report.not_in_use = Some(count);
    } else if let Some(count) = number("IPAM blocks record ", "allocations.") {
        report.allocations = Some(count);
    } else if let Some(count) = number("Workloads and nodes are using ", "IPs.") {
        report.in_use = Some(count);
    } else if let Some((ip, attributes)) =
        line.split_once(" leaked; attrs ").or_else(|| line.split_once(" allocated in IPAM but found no"))
    {
        let Ok(ip) = ip.trim().parse::<IpAddr>() else { return false };
        if report.leaked.len() < LEAKED {
            let cut: String = attributes.chars().take(300).collect();
            report.leaked.push((ip, cut.into()));
        }
    } else {
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_table_with_broken_borders() {
        let mut report = CalicoReport::default();
        assert!(row("| IP Pool | 10.233.64.0/18 | 16384 | 15381 (94%) | 1003 (6%) |", &mut report));
        assert!(!row("| GROUPING |  CIDR     | IPS TOTAL | IPS IN USE  | IPS FREE |", &mut report));
        assert_eq!((report.uses[0].total, report.uses[0].used, report.uses[0].pool), (16384, 15381, true));
    }

    #[test]
    fn the_lines_of_a_check() {
        let mut report = CalicoReport::default();
        assert!(finding("10.244.97.141 leaked; attrs Main:k8s-pod-network.3f9a pod=x", &mut report));
        assert!(finding("Found 3 IPs that are allocated in IPAM but not actually in use.", &mut report));
        assert!(!finding("Found 56 workload IPs.", &mut report));
        assert_eq!((report.leaked.len(), report.not_in_use), (1, Some(3)));
    }
}
