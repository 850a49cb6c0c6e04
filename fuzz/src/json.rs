//! Our own reader of JSON, which passes over what nobody asks for, against `serde_json`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kubetriage::bytes::json::{read, value_end};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Deserializer, Value};

/// Some of everything that objects are read into.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReadObject<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    name: Option<String>,
    items: Vec<ReadObject<'a>>,
    labels: BTreeMap<String, String>,
    spec: Option<Box<ReadObject<'a>>>,
    port: Option<u64>,
    number: Option<i64>,
    share: Option<f64>,
    ready: bool,
    state: ReadState,
    rest: Option<Value>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
enum ReadState {
    #[default]
    Available,
    Assigned(u8),
    Other {
        reason: String,
    },
}

/// Text is read as `serde_json` reads it: everything as a value, a few fields as an object; and ends where it ends.
pub fn json(data: &[u8]) {
    let _ = value_end(data, 0);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let theirs = Deserializer::from_str(text).into_iter::<Value>().next();
    let ours = read::<Value>(text);
    match (theirs, ours) {
        (Some(Ok(theirs)), ours) => assert_eq!(ours.expect("serde_json reads it"), theirs),
        (Some(Err(error)), Ok(ours)) => {
            let why = error.to_string();
            // What a half of a pair costs there, and what stands behind the value, costs nothing here.
            let known = ["surrogate", "hex escape", "trailing characters"];
            assert!(known.iter().any(|known| why.contains(known)), "read as {ours}, and there: {why}");
        }
        _ => {}
    }
    // What is passed over is only balanced: what they refuse we may read, never the other way round.
    if let Some(Ok(theirs)) = Deserializer::from_str(text).into_iter::<ReadObject<'_>>().next() {
        assert_eq!(read::<ReadObject<'_>>(text).expect("serde_json reads it"), theirs);
    }
    let mut values = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let start = text.len() - text.trim_start_matches([' ', '\t', '\r', '\n']).len();
    if matches!(data.get(start), Some(b'{' | b'[' | b'"')) && matches!(values.next(), Some(Ok(_))) {
        assert_eq!(value_end(data, start), Some(values.byte_offset()));
    }
}
