//! `crictl pods -o json` and `crictl ps -o json`: sandboxes and containers as the runtime knows them.

use serde::Deserialize;

use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::evidence::Evidence;
use crate::facts::{ConditionKey, ConditionSeen, Facts, Place, RUNTIME, Sandbox};

pub(super) struct Crictl;
pub(super) const FORMAT: Crictl = Crictl;

#[derive(Default, Deserialize)]
#[serde(default)]
struct CrictlListing {
    items: Vec<CrictlItem>,
    containers: Vec<serde::de::IgnoredAny>,
    images: Vec<serde::de::IgnoredAny>,
    status: RuntimeStatus,
}

/// `crictl info` (kubernetes/cri-api `RuntimeStatus`).
#[derive(Default, Deserialize)]
#[serde(default)]
struct RuntimeStatus {
    conditions: Vec<RuntimeCondition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RuntimeCondition {
    r#type: String,
    status: bool,
    reason: String,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CrictlItem {
    id: String,
    metadata: Metadata,
    state: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    namespace: String,
}

impl InputFormat for Crictl {
    fn name(&self) -> &'static str {
        "crictl"
    }

    fn about(&self) -> &'static str {
        "pod sandboxes, containers and images of a node's runtime (crictl -o json)"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = head.bytes.trim_ascii_start();
        let has = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
        let sandboxes = has("SANDBOX_READY") || has("SANDBOX_NOTREADY");
        let containers = has("\"containers\"")
            && (has("\"podSandboxId\"") || has("CONTAINER_RUNNING") || has("CONTAINER_EXITED"));
        let images = has("\"images\"") && has("\"repoTags\"");
        let info = has("\"runtimeHandlers\"") || (has("\"RuntimeReady\"") && has("\"NetworkReady\""));
        // Nodes speak of runtime handlers, too: objects of the API name their version.
        if text.starts_with(b"{") && !has("\"apiVersion\"") && (sandboxes || containers || images || info) {
            93
        } else {
            0
        }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let Ok(listing) = serde_json::from_slice::<CrictlListing>(piece.bytes) else {
            facts.problem(piece.source, "crictl's JSON could not be understood: it may be cut");
            return 0;
        };
        for condition in listing.status.conditions.iter().filter(|condition| !condition.r#type.is_empty()) {
            let quoted = format!("\"{}\"", condition.r#type);
            let before = memchr::memmem::find(piece.bytes, quoted.as_bytes())
                .and_then(|at| piece.bytes.get(..at))
                .unwrap_or_default();
            let line = piece.first_line + memchr::memchr_iter(b'\n', before).count() as u64;
            let status = if condition.status { "True" } else { "False" };
            let words = format!("{}={status} {}: {}", condition.r#type, condition.reason, condition.message);
            let pointer = format!("crictl info .status.conditions[{}]", condition.r#type);
            facts.conditions.add(
                ConditionKey {
                    kind: RUNTIME.into(),
                    namespace: "".into(),
                    name: piece.node.unwrap_or_default().into(),
                    condition: condition.r#type.as_str().into(),
                },
                ConditionSeen {
                    since: None,
                    status: status.into(),
                    reason: condition.reason.as_str().into(),
                    message: condition.message.as_str().into(),
                    place: Evidence::field(piece.source, line, pointer, &words),
                },
            );
        }
        let others = listing.containers.len() + listing.images.len();
        let mut records = others.max(1) as u64 - u64::from(others == 0 && !listing.items.is_empty());
        for (item, at) in listing.items.into_iter().zip(0..) {
            records += 1;
            // Several share a line: each takes a place of its own.
            let place = Place { source: piece.source.clone(), line: piece.first_line + at };
            if let Some(slot) = facts.nodes.sandboxes.slot(place) {
                *slot = Sandbox {
                    node: piece.node.map(Into::into),
                    id: item.id.as_str().into(),
                    namespace: item.metadata.namespace.as_str().into(),
                    pod: item.metadata.name.as_str().into(),
                    ready: item.state == "SANDBOX_READY",
                };
            }
        }
        records
    }
}
