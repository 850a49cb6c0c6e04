//! What the provisioning script of an AKS node left: `provision.json` (`ExitCode` is a string) and the
//! events of the custom script extension (`TaskName` begins with `AKS.`).

use serde::Deserialize;

use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::evidence::excerpt;
use crate::facts::{self, Facts, Place};
use crate::formats::shared::line;
use crate::formats::shared::log_line::Surroundings;

pub(super) struct ProvisionFormat;
pub(super) const FORMAT: ProvisionFormat = ProvisionFormat;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Document {
    exit_code: String,
    output: String,
    error: String,
    exec_duration: String,
    task_name: String,
    message: String,
}

impl InputFormat for ProvisionFormat {
    fn name(&self) -> &'static str {
        "node-provisioning"
    }

    fn about(&self) -> &'static str {
        "outcome of a node's provisioning: provision.json, events of the custom script extension"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = head.bytes.trim_ascii_start();
        let has = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
        let result = has("\"ExitCode\"") && (has("\"ExecDuration\"") || has("\"Output\""));
        let event = has("\"TaskName\"") && has("\"AKS.");
        if text.starts_with(b"{") && (result || event) { 95 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut records = 0;
        let mut documents = serde_json::Deserializer::from_slice(piece.bytes).into_iter::<Document>();
        while let Some(Ok(document)) = documents.next() {
            records += 1;
            let reply = [&document.error, &document.message, &document.output]
                .into_iter()
                .find(|text| !text.is_empty());
            let wording = reply.map_or("", String::as_str);
            // The end of an output says how it failed.
            let tail: String =
                wording.chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect();
            line::consider(
                wording.as_bytes(),
                Surroundings::default(),
                piece.source,
                piece.first_line,
                facts,
            );
            let place = Place { source: piece.source.clone(), line: piece.first_line + records - 1 };
            if let Some(slot) = facts.nodes.provisions.slot(place) {
                *slot = facts::Provision {
                    exit_code: document.exit_code.as_str().into(),
                    task: document.task_name.as_str().into(),
                    message: excerpt(tail.as_bytes()),
                };
            }
        }
        if records == 0 {
            facts.problem(piece.source, "provisioning result that could not be understood: it may be cut");
        }
        records
    }
}
