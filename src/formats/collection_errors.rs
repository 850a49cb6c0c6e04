//! What a collector could not collect: Replicated's `<kind>-errors.json`, an array of texts or a map of
//! namespaces to texts. Absence of that kind then proves nothing (replicatedhq/troubleshoot `pkg/collect/cluster_resources.go`).

use serde_json::Value;

use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::evidence::Evidence;
use crate::facts::{Facts, FailedCollection};
use crate::formats::shared::line;
use crate::formats::shared::log_line::Surroundings;

pub(super) struct CollectionErrors;
pub(super) const FORMAT: CollectionErrors = CollectionErrors;

impl InputFormat for CollectionErrors {
    fn name(&self) -> &'static str {
        "collection-errors"
    }

    fn about(&self) -> &'static str {
        "what the collector could not collect, and why"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = head.bytes.trim_ascii_start();
        // The content is any texts: the name says what they are about.
        let named = head.entry.name().ends_with("errors.json");
        let texts = match text.first() {
            Some(b'[') => text.get(1..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"\"")),
            Some(b'{') => memchr::memmem::find(text, b"\"kind\"").is_none(),
            _ => false,
        };
        if named && texts { 60 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let Ok(value) = serde_json::from_slice::<Value>(piece.bytes) else {
            facts.problem(piece.source, "list of collection errors that could not be understood");
            return 0;
        };
        let name = piece.entry.name();
        let what = name.trim_end_matches("errors.json").trim_end_matches('-');
        let what = if what.is_empty() { "the bundle" } else { what };
        let mut found: Vec<(String, String)> = Vec::new();
        match &value {
            Value::Array(items) => found
                .extend(items.iter().filter_map(Value::as_str).map(|why| (String::new(), why.to_owned()))),
            Value::Object(map) => {
                for (namespace, why) in map {
                    let why = why.as_str().map_or_else(|| why.to_string(), ToOwned::to_owned);
                    found.push((namespace.clone(), why));
                }
            }
            _ => {}
        }
        let records = found.len() as u64;
        for (namespace, why) in found {
            line::consider(why.as_bytes(), Surroundings::default(), piece.source, piece.first_line, facts);
            let why = Evidence::line(piece.source, piece.first_line, why.as_bytes());
            facts.failed.insert(FailedCollection { what: what.into(), namespace: namespace.into(), why });
        }
        records
    }
}
