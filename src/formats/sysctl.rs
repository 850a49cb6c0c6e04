//! `sysctl -a` and parts of it: `net.netfilter.nf_conntrack_max = 262144`, with or without blanks (sysctl(8)).

use super::{Head, InputFormat, Piece, share_of_lines};
use crate::evidence::Evidence;
use crate::facts::{self, Facts, Place};

pub(super) struct Sysctl;
pub(super) const FORMAT: Sysctl = Sysctl;

impl InputFormat for Sysctl {
    fn name(&self) -> &'static str {
        "sysctl"
    }

    fn about(&self) -> &'static str {
        "kernel settings of a node (sysctl -a)"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        if share_of_lines(head.bytes, 50, |line| setting(line).is_some()) >= 80 { 84 } else { 0 }
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut tracking =
            facts::Conntrack { node: piece.node.map(Into::into), ..facts::Conntrack::default() };
        let mut records = 0;
        let mut first = None;
        for (line, number) in piece.bytes.split(|byte| *byte == b'\n').zip(piece.first_line..) {
            let Some((name, value)) = setting(line) else { continue };
            records += 1;
            let slot = match name {
                "net.netfilter.nf_conntrack_count" => &mut tracking.count,
                "net.netfilter.nf_conntrack_max" => &mut tracking.most,
                _ => continue,
            };
            *slot = value.parse().ok();
            tracking.evidence.push(Evidence::line(piece.source, number, line));
            first.get_or_insert(number);
        }
        let slot =
            first.and_then(|line| facts.nodes.conntrack.slot(Place { source: piece.source.clone(), line }));
        if let Some(slot) = slot {
            *slot = tracking;
        }
        records
    }
}

/// The name of a kernel setting and its value.
fn setting(line: &[u8]) -> Option<(&str, &str)> {
    let line = std::str::from_utf8(line.get(..line.len().min(500))?).ok()?;
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let families = ["net.", "kernel.", "vm.", "fs.", "user.", "dev.", "abi.", "crypto.", "debug.", "sunrpc."];
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte);
    (families.iter().any(|family| name.starts_with(family)) && name.bytes().all(plain))
        .then_some((name, value.trim()))
}
