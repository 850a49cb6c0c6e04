//! What the provisioning script of an AKS node left: `provision.json` (`ExitCode` is a string) and the
//! events of the custom script extension (`TaskName` begins with `AKS.`).

use serde::Deserialize;
use serde_json::Value;

use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::evidence::excerpt;
use crate::facts::{self, Facts, Place, time};
use crate::formats::shared::line;
use crate::formats::shared::log_line::Surroundings;
use crate::formats::shared::network_signals::last_step;

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
        let status = has("\"formattedMessage\"") && has("\"operation\"")
            || has("\"statuses\"") && has("\"ProvisioningState/");
        match text.first() {
            Some(b'{') if result || event => 95,
            Some(b'{' | b'[') if status => 95,
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
        let mut records = extension_status(piece, facts) + instance_view(piece, facts);
        if records > 0 {
            return records;
        }
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
                    step: last_step(&document.output).into(),
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

/// `az vmss get-instance-view`, `az vm get-instance-view`: each extension of a machine with its statuses, whose messages hold the
/// script's output (<https://learn.microsoft.com/rest/api/compute/virtual-machines/instance-view>). Gives how many failed.
fn instance_view(piece: &Piece<'_>, facts: &mut Facts) -> u64 {
    fn statuses(value: &Value, depth: u8, found: &mut Vec<String>) {
        match value {
            Value::Array(items) if depth > 0 => {
                for item in items {
                    statuses(item, depth - 1, found);
                }
            }
            Value::Object(map) if depth > 0 => {
                let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
                if text("code").starts_with("ProvisioningState/failed") {
                    found.push(format!("{} {}", text("code"), text("message")));
                }
                map.values().for_each(|item| statuses(item, depth - 1, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_slice::<Value>(piece.bytes) {
        statuses(&value, 12, &mut found);
    }
    for message in &found {
        line::consider(message.as_bytes(), Surroundings::default(), piece.source, piece.first_line, facts);
    }
    found.len() as u64
}

/// `status/N.status` of a VM extension: an array of reports, each with a status and a message for people
/// (<https://github.com/Azure/azure-vmextension-publishing/wiki/3.0-Status-Report>). Gives how many there are.
fn extension_status(piece: &Piece<'_>, facts: &mut Facts) -> u64 {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct ExtensionReport {
        #[serde(rename = "timestampUTC")]
        timestamp: String,
        status: ExtensionStatus,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct ExtensionStatus {
        operation: String,
        status: String,
        formatted_message: FormattedMessage,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct FormattedMessage {
        message: String,
    }
    let reports = serde_json::from_slice::<Vec<ExtensionReport>>(piece.bytes)
        .or_else(|_| serde_json::from_slice::<ExtensionReport>(piece.bytes).map(|report| vec![report]));
    let Ok(reports) = reports else { return 0 };
    let reports = reports.into_iter().filter(|report| !report.status.operation.is_empty());
    let mut records = 0;
    for report in reports {
        records += 1;
        // A success may quote errors of its first attempts.
        if report.status.status == "error" {
            let when = time::rfc3339(report.timestamp.as_bytes()).map(|(when, _)| when);
            facts.saw(when);
            let around = Surroundings { when, node: piece.node, ..Surroundings::default() };
            let message = report.status.formatted_message.message;
            line::consider(message.as_bytes(), around, piece.source, piece.first_line, facts);
        }
    }
    records
}
