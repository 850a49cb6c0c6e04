//! An error of Azure as JSON: `{"code": …, "message": …}`, within `error` or not, with `details` of the same form
//! (<https://github.com/microsoft/api-guidelines/blob/vNext/azure/Guidelines.md>, handling errors).

use serde_json::Value;

use super::shared::line;
use super::shared::log_line::Surroundings;
use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::facts::Facts;

pub(super) struct AzureErrorFormat;
pub(super) const FORMAT: AzureErrorFormat = AzureErrorFormat;

/// Errors within errors, and no further.
const DEPTH: usize = 6;

impl InputFormat for AzureErrorFormat {
    fn name(&self) -> &'static str {
        "azure-error"
    }

    fn about(&self) -> &'static str {
        "error of an Azure operation as JSON: code and message"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = head.bytes.trim_ascii_start();
        let has = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
        // A result of run-command has a list of messages, and a status of Kubernetes its kind.
        let other = has("\"displayStatus\"") || has("\"kind\"") || has("\"exitCode\"");
        if !text.starts_with(b"{") || other {
            return 0;
        }
        if text.len() < super::HEAD_BYTES {
            let error = serde_json::from_slice::<Value>(text).ok();
            return if error.is_some_and(|value| error_of(&value).is_some()) { 96 } else { 0 };
        }
        if has("\"code\"") && has("\"message\"") && has("\"error\"") { 70 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut documents = serde_json::Deserializer::from_slice(piece.bytes).into_iter::<Value>();
        let mut records = 0;
        while let Some(Ok(document)) = documents.next() {
            if let Some(error) = error_of(&document) {
                records += note(piece, error, DEPTH, facts);
            }
        }
        if records == 0 {
            facts.problem(piece.source, "error of Azure that could not be understood: it may be cut");
        }
        records
    }
}

/// The error of a document: itself, or its field of that name.
fn error_of(document: &Value) -> Option<&Value> {
    let is_error = |value: &&Value| {
        value.get("code").is_some_and(Value::is_string) && value.get("message").is_some_and(Value::is_string)
    };
    Some(document).filter(is_error).or_else(|| document.get("error").filter(is_error))
}

/// Notes what an error and those within it say; gives how many there are.
fn note(piece: &Piece<'_>, error: &Value, depth: usize, facts: &mut Facts) -> u64 {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let words = format!("({}) {}", text("code"), text("message"));
    let around = Surroundings { node: piece.node, ..Surroundings::default() };
    line::consider(words.as_bytes(), around, piece.source, piece.first_line, facts);
    let details = error.get("details").and_then(Value::as_array);
    let inner = error.get("innererror").or_else(|| error.get("innerError"));
    let more = details.into_iter().flatten().chain(inner).filter(|_| depth > 0);
    1 + more.filter(|error| error.is_object()).map(|error| note(piece, error, depth - 1, facts)).sum::<u64>()
}
