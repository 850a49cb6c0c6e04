//! The outbound check of the Azure CLI, `az aks check-network outbound`: a script on a node that tries what a node needs, and a
//! line for each, `Connecting to https://mcr.microsoft.com: FAILED, curl: (28) …` (Azure/azure-cli-extensions `aks-preview`).

use super::shared::line;
use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::bytes::pattern::{named, pattern, search};
use crate::evidence::excerpt;
use crate::facts::text::lossy;
use crate::facts::{Facts, Place, Probe};

pub(super) struct OutboundCheck;
pub(super) const FORMAT: OutboundCheck = OutboundCheck;

pattern!(
    TRIED,
    r"(?i)\b(?:connecting|connect|connectivity|outbound) (?:to|check to) (?:https?://)?(?P<host>[a-z0-9][a-z0-9.-]*\.[a-z0-9-]+)(?::(?P<port>\d+))?/?:? (?P<verdict>failed|failure|success|succeeded|successful|passed|ok)\b"
);

impl InputFormat for OutboundCheck {
    fn name(&self) -> &'static str {
        "outbound-check"
    }

    fn about(&self) -> &'static str {
        "outbound check of a node by the Azure CLI (az aks check-network outbound)"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        if head.bytes.len() >= super::HEAD_BYTES || memchr::memmem::find(head.bytes, b"onnecti").is_none() {
            return 0;
        }
        let text = lossy(head.bytes);
        let begins = text.lines().take(5).any(|line| line.contains("required outbound network connectivity"));
        let tried = text.lines().take(200).filter(|line| TRIED.is_match(line)).count();
        match (begins, tried) {
            (true, _) => 80,
            (false, 2..) => 64,
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
        line::scan(piece, facts);
        let text = lossy(piece.bytes);
        let mut records = 0;
        for (line, number) in text.lines().zip(piece.first_line..) {
            let Some(found) = search(&TRIED, line).filter(|_| line.len() < 2000) else { continue };
            records += 1;
            let place = Place { source: piece.source.clone(), line: number };
            if let Some(slot) = facts.nodes.probes.slot(place) {
                *slot = Probe {
                    node: piece.node.map(Into::into),
                    target: named(Some(&found), "host").into(),
                    port: named(Some(&found), "port").parse().unwrap_or(0),
                    in_cluster: true,
                    on_node: true,
                    reached: !named(Some(&found), "verdict").to_ascii_lowercase().starts_with("fail"),
                    message: excerpt(line.trim().as_bytes()),
                };
            }
        }
        records.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_tried_and_how_it_went() {
        let tried = |line: &str| {
            let found = search(&TRIED, line)?;
            Some([named(Some(&found), "host"), named(Some(&found), "verdict")].join(" "))
        };
        let line = "Connecting to https://mcr.microsoft.com: FAILED, curl: (28) Connection timed out";
        assert_eq!(tried(line).as_deref(), Some("mcr.microsoft.com FAILED"));
        assert_eq!(
            tried("Connecting to https://management.azure.com: SUCCESS").as_deref(),
            Some("management.azure.com SUCCESS")
        );
        assert_eq!(tried("Connecting to the server failed"), None);
    }
}
