//! Logs as log platforms and collectors hand them out: one record a line, or a document that holds many
//! (see [`envelope`]); Fluentd's own file, where a time and a tag stand before each record, and Fluent Bit's standard output.

use memchr::memmem;
use serde_json::Value;

use super::shared::events::Event;
use super::shared::{audit, envelope, line};
use super::{Head, InputFormat, Piece, share_of_lines};
use crate::bundle::{Framer, Lines, Whole};
use crate::facts::Facts;
use crate::facts::text::lossy;
use crate::facts::time;

pub(super) struct LogEnvelope;
pub(super) const FORMAT: LogEnvelope = LogEnvelope;

/// Keys that only the records of one platform have, all of them.
const MARKS: &[&[&str]] = &[
    &["\"labels\"", "\"line\"", "\"timestamp\""],
    &["\"streams\"", "\"stream\"", "\"values\""],
    &["\"_index\"", "\"_source\""],
    &["\"result\"", "\"_raw\""],
    &["\"event\"", "\"sourcetype\""],
    &["\"logName\"", "\"textPayload\""],
    &["\"logName\"", "\"jsonPayload\""],
    &["\"logName\"", "\"protoPayload\""],
    &["\"logStreamName\"", "\"message\""],
    &["\"@message\"", "\"results\""],
    &["\"logEvents\"", "\"logStream\""],
    &["\"resourceLogs\"", "\"logRecords\""],
    &["\"containerName\"", "\"containerLog\""],
    &["\"kubernetes\"", "\"pod_name\"", "\"log\""],
    &["\"kubernetes\"", "\"pod_name\"", "\"message\""],
    &["\"kubernetes\"", "\"pod\"", "\"message\""],
];

/// Keys of documents that hold records, so that they are read whole.
const HOLDERS: [&str; 7] = [
    "\"resultType\"",
    "\"hits\"",
    "\"events\"",
    "\"results\"",
    "\"logEvents\"",
    "\"resourceLogs\"",
    "\"containerLog\"",
];

impl InputFormat for LogEnvelope {
    fn name(&self) -> &'static str {
        "log-envelope"
    }

    fn about(&self) -> &'static str {
        "records of a log platform: Loki, Elasticsearch, Splunk, Google Cloud, CloudWatch, Fluent Bit, OpenTelemetry"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = head.bytes.trim_ascii_start();
        let has = |text: &[u8], word: &str| memmem::find(text, word.as_bytes()).is_some();
        if matches!(text.first(), Some(b'{' | b'[')) && !tagged(text) {
            let foreign = has(text, "\"apiVersion\"") && has(text, "\"kind\"") && has(text, "\"items\"");
            let marked = MARKS.iter().any(|keys| keys.iter().all(|key| has(text, key)));
            let records = has(text, "\"records\"") && has(text, "\"resourceId\"");
            return if marked && !foreign && !records { 98 } else { 0 };
        }
        if share_of_lines(text, 30, tagged) >= 80 { 98 } else { 0 }
    }

    fn framer(&self, head: &Head<'_>) -> Box<dyn Framer> {
        if is_document(head.bytes) { Box::new(Whole) } else { Box::new(Lines) }
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        if piece.whole && is_document(piece.bytes) {
            let Ok(value) = serde_json::from_slice::<Value>(piece.bytes) else {
                facts.problem(
                    piece.source,
                    "records of a log platform that could not be understood: the file may be cut",
                );
                return 0;
            };
            let mut records = 0;
            envelope::open(&value, &mut |opened| {
                records += 1;
                opened.read(opened.text.as_bytes(), piece, piece.first_line, records, facts);
            });
            google_audit(&value, piece, facts);
            records += events(&value, None, 6, (piece, piece.first_line), facts);
            return records.max(1);
        }
        if piece.cut_short && piece.offset == 0 && is_document(piece.bytes) {
            facts.problem(
                piece.source,
                "records of a log platform in one document that is too long to be read",
            );
            return 0;
        }
        let mut records = 0;
        let lines = piece.bytes.split(|byte| *byte == b'\n').zip(piece.first_line..);
        let last = piece.bytes.trim_ascii_end().len();
        let mut at = 0_usize;
        for (raw, number) in lines {
            let begins = at;
            at += raw.len() + 1;
            let text = raw.trim_ascii();
            if text.is_empty() {
                continue;
            }
            records += 1;
            // The first and the last tell from when to when it goes; of the others those matter that hold a known text.
            let end = records == 1 || at > last;
            let audited = [&b"auditID"[..], b"cloud.audit", b"involvedObject"]
                .iter()
                .any(|word| memmem::find(text, word).is_some());
            if !end && !audited && !line::holds_signature(text) {
                continue;
            }
            let Some(value) = record(text) else { continue };
            envelope::open(&value, &mut |opened| {
                opened.read(raw, piece, number, piece.offset + begins as u64, facts);
            });
            google_audit(&value, piece, facts);
            events(&value, None, 6, (piece, number), facts);
        }
        records
    }
}

/// Counts the Kubernetes events in a record, as exporters of events write them (GKE's `jsonPayload`, kubernetes-event-exporter,
/// eventrouter): an event without a time of its own has that of its record. Says how many there were.
fn events(value: &Value, time: Option<&str>, depth: u8, at: (&Piece<'_>, u64), facts: &mut Facts) -> u64 {
    let inner = |value: &Value, time: Option<&str>, facts: &mut Facts| {
        if depth > 0 { events(value, time, depth - 1, at, facts) } else { 0 }
    };
    match value {
        Value::Array(items) => items.iter().map(|item| inner(item, time, facts)).sum(),
        Value::Object(map) => {
            let text = |key: &str| map.get(key).and_then(Value::as_str);
            let time = ["timestamp", "@timestamp", "time", "_time"].iter().find_map(|key| text(key)).or(time);
            if map.contains_key("involvedObject") && text("reason").is_some() {
                let Ok(event) = serde_json::from_value::<Event>(value.clone()) else { return 0 };
                event.at(time).count(at.0, at.1, facts);
                return 1;
            }
            map.values().map(|item| inner(item, time, facts)).sum()
        }
        _ => 0,
    }
}

/// Whether it is one document that holds many records.
fn is_document(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let first = text.get(..text.len().min(2000)).unwrap_or(text);
    let first_line = first.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    match first.first() {
        Some(b'[') => !tagged(first_line),
        // Broken over lines, or with records within.
        Some(b'{') => {
            first_line == b"{" || HOLDERS.iter().any(|key| memmem::find(first, key.as_bytes()).is_some())
        }
        _ => false,
    }
}

/// `2026-11-20 10:00:00.123000000 +0000 kubernetes.var.log.…: {"log":…}` of Fluentd,
/// `[0] kube.var.log.…: [1795168800.123, {"log"=>"…"}]` of Fluent Bit.
fn tagged(line: &[u8]) -> bool {
    let start = line.get(..line.len().min(400)).unwrap_or(line);
    let counted = start.starts_with(b"[") && start.get(1).is_some_and(u8::is_ascii_digit);
    if counted {
        return memmem::find(start, b": [").is_some() && memmem::find(line, b"\"=>").is_some();
    }
    let digits = start.first().is_some_and(u8::is_ascii_digit);
    let stamp =
        || start.get(..10).is_some_and(|date| date.get(4) == Some(&b'-') && date.get(7) == Some(&b'-'));
    // Before the record stands a tag, and no words in brackets.
    let tag = memmem::find(start, b": {\"").and_then(|at| start.get(..at));
    // A program's log may end in a record, too: `2026-11-20T09:00:00Z	ERROR	Reconciler error	{…}`.
    let level = [&b"\tERROR\t"[..], b"\tINFO\t", b"\tDEBUG\t", b"\tWARN\t"];
    let of_program = level.iter().any(|word| memmem::find(start, word).is_some());
    digits && stamp() && !of_program && tag.is_some_and(|tag| memmem::find(tag, b"] ").is_none())
}

/// The record of a line.
fn record(text: &[u8]) -> Option<Value> {
    if text.starts_with(b"{") {
        return serde_json::from_slice(text).ok();
    }
    let whole = lossy(text);
    let (tag, json) = if text.starts_with(b"[") {
        let (tag, rest) = whole.split_once(": [")?;
        let (stamp, rest) = rest.split_once(", {\"").or_else(|| rest.split_once("], {\""))?;
        let json = format!("{{\"{}", rest.trim_end_matches(']')).replace("\"=>", "\":");
        (format!("{tag} {}", stamp.trim_start_matches('[')), json)
    } else {
        let at = whole.find(": {\"")?;
        (whole.get(..at)?.to_owned(), whole.get(at + 2..)?.to_owned())
    };
    let mut value: Value = serde_json::from_str(&json).ok()?;
    let map = value.as_object_mut()?;
    // The time stands before the record, and the tag names the file of the container.
    if !["time", "timestamp", "@timestamp", "date"].iter().any(|key| map.contains_key(*key)) {
        let stamp =
            time::rfc3339(tag.as_bytes()).map(|(_, length)| tag.get(..length).unwrap_or_default().to_owned());
        let number =
            || tag.split([' ', ',']).find(|word| word.parse::<f64>().is_ok_and(|number| number > 1e9));
        if let Some(stamp) = stamp.or_else(|| number().map(ToOwned::to_owned)) {
            map.insert("timestamp".to_owned(), stamp.into());
        }
    }
    if !map.contains_key("kubernetes")
        && let Some((_, file)) = tag.split_once(".containers.")
        && let [pod, namespace, _] = file.splitn(3, '_').collect::<Vec<_>>().as_slice()
    {
        map.insert("pod_name".to_owned(), (*pod).into());
        map.insert("namespace_name".to_owned(), (*namespace).into());
    }
    Some(value)
}

/// Refused requests in Google's audit log, whose status says `PERMISSION_DENIED` (7) for Kubernetes
/// (<https://cloud.google.com/kubernetes-engine/docs/how-to/audit-logging>).
fn google_audit(value: &Value, piece: &Piece<'_>, facts: &mut Facts) {
    match value {
        Value::Array(items) => {
            for item in items {
                google_audit(item, piece, facts);
            }
        }
        Value::Object(map) => {
            if let Some(entries) = map.get("entries") {
                google_audit(entries, piece, facts);
            }
            let Some(payload) = map.get("protoPayload") else { return };
            let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            if text("/serviceName") != "k8s.io" {
                return;
            }
            facts.api_server.audit_events += 1;
            let code = payload.pointer("/status/code").and_then(Value::as_u64);
            let code = match code {
                Some(7) => 403,
                Some(16) => 401,
                _ => return,
            };
            let path = text("/resourceName");
            let prefix = if path.starts_with("core/") { "/api/" } else { "/apis/" };
            let parts: Vec<&str> = path.split('/').collect();
            let (group, namespace, rest) = match parts.as_slice() {
                [group, _, "namespaces", namespace, rest @ ..] if !rest.is_empty() => {
                    (*group, Some(*namespace), rest)
                }
                [group, _, rest @ ..] => (*group, None, rest),
                _ => return,
            };
            let object = serde_json::json!({
                "apiGroup": if group == "core" { "" } else { group },
                "namespace": namespace,
                "resource": rest.first(),
                "name": rest.get(1),
                "subresource": rest.get(2),
            });
            let path = format!("{prefix}{}", path.strip_prefix("core/").unwrap_or(path));
            let event = serde_json::json!({
                "auditID": map.get("insertId"),
                "verb": text("/methodName").rsplit('.').next(),
                "requestURI": path,
                "objectRef": object,
                "user": { "username": text("/authenticationInfo/principalEmail") },
                "userAgent": text("/requestMetadata/callerSuppliedUserAgent"),
                "responseStatus": { "code": code, "message": text("/status/message") },
                "requestReceivedTimestamp": map.get("timestamp"),
            });
            audit::read(event.to_string().as_bytes(), piece.source, piece.first_line, facts);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_before_a_record_tell_its_time_and_its_pod() {
        for line in [
            r#"2026-11-20 10:00:00.500000000 +0000 kubernetes.var.log.containers.desk-1_till_desk-0a1b.log: {"log":"hello\n","stream":"stdout"}"#,
            r#"[0] kube.var.log.containers.desk-1_till_desk-0a1b.log: [1795168800.500000, {"log"=>"hello", "stream"=>"stdout"}]"#,
            r#"[12] kube.var.log.containers.desk-1_till_desk-0a1b.log: [[1795168800.500000, {}], {"log"=>"hello", "stream"=>"stdout"}]"#,
        ] {
            assert!(tagged(line.as_bytes()), "{line}");
            let mut all = Vec::new();
            envelope::open(&record(line.as_bytes()).unwrap(), &mut |opened| all.push(opened));
            let opened = &all[0];
            assert_eq!(
                (opened.text.trim(), opened.pod.as_str(), opened.namespace.as_str()),
                ("hello", "desk-1", "till"),
                "{line}"
            );
            assert_eq!(
                opened.when.and_then(|when| when.resolve(None)),
                Some(1_795_168_800_500_000),
                "{line}"
            );
        }
        assert!(!tagged(b"2026-11-20 10:00:00,123 - util.py[DEBUG]: {'a': 1}"));
    }
}
