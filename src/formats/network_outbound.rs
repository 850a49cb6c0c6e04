//! AKS Periscope's attempts to reach what a node needs (`networkoutbound/…`): JSON with the target, and
//! `Connected` or `Error: …` (Azure/aks-periscope; the spelling of the keys was not verified, so case is ignored).

use serde_json::Value;

use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::evidence::excerpt;
use crate::facts::{Facts, Place, Probe};
use crate::formats::shared::line;
use crate::formats::shared::log_line::Surroundings;

pub(super) struct NetworkOutbound;
pub(super) const FORMAT: NetworkOutbound = NetworkOutbound;

impl InputFormat for NetworkOutbound {
    fn name(&self) -> &'static str {
        "network-outbound"
    }

    fn about(&self) -> &'static str {
        "attempts of AKS Periscope to reach the Internet, the API server and registries"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = head.bytes.trim_ascii_start();
        let lower = text.get(..text.len().min(600)).unwrap_or(text).to_ascii_lowercase();
        let has = |word: &str| memchr::memmem::find(&lower, word.as_bytes()).is_some();
        let json = matches!(text.first(), Some(b'{' | b'['));
        if json
            && has("\"url\"")
            && has("\"status\"")
            && (has("\"type\"") || has("\"timestamp\""))
            && (has("connected") || has("error"))
        {
            70
        } else {
            0
        }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut records = 0;
        let mut documents = serde_json::Deserializer::from_slice(piece.bytes).into_iter::<Value>();
        while let Some(Ok(document)) = documents.next() {
            let all = match document {
                Value::Array(items) => items,
                item => vec![item],
            };
            for item in all {
                let field = |name: &str| {
                    let map = item.as_object()?;
                    map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?.1.as_str()
                };
                let Some(status) = field("status") else { continue };
                records += 1;
                line::consider(
                    status.as_bytes(),
                    Surroundings::default(),
                    piece.source,
                    piece.first_line,
                    facts,
                );
                let place = Place { source: piece.source.clone(), line: piece.first_line + records - 1 };
                if let Some(slot) = facts.nodes.probes.slot(place) {
                    let target = field("url").or_else(|| field("type")).unwrap_or_default();
                    let (host, port) = target.rsplit_once(':').unwrap_or((target, ""));
                    let port = port.parse().ok();
                    *slot = Probe {
                        node: piece.node.map(Into::into),
                        target: port.map_or(target, |_| host).into(),
                        port: port.unwrap_or(0),
                        in_cluster: true,
                        on_node: true,
                        reached: status.eq_ignore_ascii_case("connected"),
                        message: excerpt(status.as_bytes()),
                    };
                }
            }
        }
        if records == 0 {
            facts.problem(
                piece.source,
                "attempts to reach something that could not be understood: the file may be cut",
            );
        }
        records
    }
}
