//! `conntrack -L` (connections) and `conntrack -S` (counters per processor).

use super::{Head, InputFormat, Piece, share_of_lines};
use crate::evidence::Evidence;
use crate::facts::text::lossy;
use crate::facts::{self, Facts, Place};

pub(super) struct ConntrackFormat;
pub(super) const FORMAT: ConntrackFormat = ConntrackFormat;

impl InputFormat for ConntrackFormat {
    fn name(&self) -> &'static str {
        "conntrack"
    }

    fn about(&self) -> &'static str {
        "connection tracking: conntrack -L and -S"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        if share_of_lines(head.bytes, 50, |line| is_entry(line) || is_counter(line)) >= 60 { 85 } else { 0 }
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut found = facts::Conntrack { node: piece.node.map(Into::into), ..facts::Conntrack::default() };
        let mut records = 0;
        for (line, number) in piece.bytes.split(|byte| *byte == b'\n').zip(piece.first_line..) {
            if is_counter(line) {
                records += 1;
                let text = lossy(line);
                let count = |key: &str| -> u64 {
                    text.split_whitespace().find_map(|word| word.strip_prefix(key)?.parse().ok()).unwrap_or(0)
                };
                found.insert_failed += count("insert_failed=");
                found.dropped += count("drop=") + count("early_drop=");
                found.dropped_early += count("early_drop=");
                found.evidence.push(Evidence::line(piece.source, number, line));
            } else if is_entry(line) {
                records += 1;
                found.entries += 1;
                found.unreplied += u64::from(memchr::memmem::find(line, b"[UNREPLIED]").is_some());
            }
        }
        let place = Place { source: piece.source.clone(), line: piece.first_line };
        if let Some(slot) = facts.nodes.conntrack.slot(place) {
            *slot = found;
        }
        records
    }
}

/// `tcp      6 86399 ESTABLISHED src=… dst=…`, with or without the family before it.
fn is_entry(line: &[u8]) -> bool {
    let has = |word: &str| memchr::memmem::find(line, word.as_bytes()).is_some();
    [&b"tcp "[..], b"udp ", b"icmp ", b"ipv4 ", b"ipv6 ", b"unknown ", b"icmpv6 ", b"sctp "]
        .iter()
        .any(|start| line.starts_with(start))
        && has(" src=")
        && has(" dst=")
}

/// `cpu=0   found=12 invalid=3 …`.
fn is_counter(line: &[u8]) -> bool {
    line.starts_with(b"cpu=") && memchr::memmem::find(line, b"insert_failed=").is_some()
}
