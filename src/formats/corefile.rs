//! Corefiles of CoreDNS and of AKS's node-local resolver: server blocks with plugins.

use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::facts::{Facts, Place, ServerBlock};

pub(super) struct Corefile;
pub(super) const FORMAT: Corefile = Corefile;

impl InputFormat for Corefile {
    fn name(&self) -> &'static str {
        "corefile"
    }

    fn about(&self) -> &'static str {
        "configuration of CoreDNS"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        // The first server block tells; comments may stand before it.
        let text = String::from_utf8_lossy(head.bytes.get(..16 << 10).unwrap_or(head.bytes));
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let Some(first) = lines.next() else { return 0 };
        let opens = first.ends_with('{')
            && first.len() < 300
            && (first.starts_with('.') || first.contains(':') || first.contains('.'));
        let plugins =
            ["forward ", "errors", "cache", "kubernetes ", "bind ", "proxy ", "hosts", "whoami", "log"];
        let known = lines.take(30).any(|line| plugins.iter().any(|plugin| line.starts_with(plugin)));
        if opens && known && !first.starts_with('{') { 85 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let blocks = server_blocks(&String::from_utf8_lossy(piece.bytes));
        let records = blocks.len() as u64;
        let place = Place { source: piece.source.clone(), line: piece.first_line };
        if let Some(slot) = facts.nodes.corefiles.slot(place) {
            *slot = blocks;
        }
        records
    }
}

/// The server blocks of a Corefile.
fn server_blocks(text: &str) -> Vec<ServerBlock> {
    let mut blocks: Vec<ServerBlock> = Vec::new();
    let mut depth = 0_usize;
    for line in text.lines().take(5_000) {
        let line = line.split('#').next().unwrap_or_default().trim();
        let opened = line.ends_with('{');
        let words: Vec<&str> = line.trim_end_matches('{').split_whitespace().collect();
        match (depth, words.as_slice()) {
            (_, []) if line == "}" => {
                depth = depth.saturating_sub(1);
                continue;
            }
            (0, zones) if opened && blocks.len() < 500 => {
                let zones = zones.iter().map(|zone| zone.trim_end_matches(',').into()).collect();
                blocks.push(ServerBlock { zones, ..ServerBlock::default() });
            }
            (1, [plugin, rest @ ..]) if *plugin != "}" => {
                if let Some(block) = blocks.last_mut().filter(|block| block.plugins.len() < 200) {
                    block.plugins.push((*plugin).into());
                    if let ("forward" | "proxy", [zone, upstreams @ ..]) = (*plugin, rest) {
                        let upstreams = upstreams.iter().map(|upstream| (*upstream).into()).collect();
                        block.forwards.push(((*zone).into(), upstreams));
                    }
                }
            }
            _ => {}
        }
        if opened {
            depth += 1;
        } else if line == "}" {
            depth = depth.saturating_sub(1);
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_upstreams_are_read() {
        let text = ".:53 {\n    errors\n    kubernetes cluster.local in-addr.arpa {\n      pods insecure\n    }\n    forward . /etc/resolv.conf {\n      max_concurrent 1000\n    }\n}\ncorp.example:53 {\n  forward . 10.1.0.4 10.1.0.5\n}\n";
        let blocks = server_blocks(text);
        assert_eq!(blocks.len(), 2);
        assert_eq!(
            blocks[0].plugins.iter().map(|p| &**p).collect::<Vec<_>>(),
            ["errors", "kubernetes", "forward"]
        );
        assert_eq!(blocks[1].forwards[0].1.len(), 2);
        assert_eq!(&*blocks[1].zones[0], "corp.example:53");
    }
}
