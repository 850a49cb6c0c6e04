//! What log platforms put around a line: a record with the text, its time, and the pod and node that wrote it. All of them say
//! the same in other words, so one reader takes them all: it finds the records in a document, and in a record the fields.
//!
//! Loki (`logcli -o jsonl`, `query_range`), Elasticsearch and `OpenSearch` (`_source`, `hits`), Splunk (`_raw`, the event
//! collector's `event`), Google Cloud Logging (`textPayload`, `jsonPayload`), Amazon `CloudWatch` (`events`, `@message`), Fluent
//! Bit, Fluentd, Vector, Filebeat (`kubernetes`), OpenTelemetry (`resourceLogs`).

use serde_json::{Map, Value};

use super::log_line::Surroundings;
use super::{audit, line};
use crate::facts::time::{self, When};
use crate::facts::{Facts, fingerprint};
use crate::formats::Piece;

/// A record, opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::formats) struct Envelope {
    /// What was logged.
    pub(in crate::formats) text: String,
    /// When.
    pub(in crate::formats) when: Option<When>,
    /// The pod that wrote it, and its namespace.
    pub(in crate::formats) pod: String,
    pub(in crate::formats) namespace: String,
    /// The node on which it was written.
    pub(in crate::formats) node: String,
}

/// Names of the fields, the most particular first. In nested objects their parts stand below one another.
const TEXT: &[&str] = &[
    "log",
    "message",
    "MESSAGE",
    "line",
    "_raw",
    "@message",
    "textPayload",
    "LogMessage",
    "msg",
    "body",
    "Line",
    "rawLog",
    "containerLog",
    "event",
];
const TIME: &[&str] = &[
    "@timestamp",
    "timestamp",
    "_time",
    "timeUnixNano",
    "observedTimeUnixNano",
    "time",
    "ts",
    "Time",
    "tsNs",
    "date",
    "eventTimestamp",
];
const POD: &[&str] = &[
    "pod_name",
    "podName",
    "pod",
    "k8s.pod.name",
    "kubernetes_pod_name",
    "k8s_pod_name",
    "kubernetes.pod_name",
    "kubernetes.pod.name",
];
const NAMESPACE: &[&str] = &[
    "namespace_name",
    "pod_namespace",
    "namespace",
    "k8s.namespace.name",
    "kubernetes_namespace_name",
    "kubernetes_namespace",
    "kubernetes.namespace_name",
    "kubernetes.namespace",
];
const NODE: &[&str] = &[
    "node_name",
    "nodeName",
    "pod_node_name",
    "node",
    "k8s.node.name",
    "kubernetes_host",
    "kubernetes.host",
    "kubernetes.node.name",
    "compute.googleapis.com/resource_name",
    "host",
    "_HOSTNAME",
    "nodename",
    "hostname",
];
/// Objects within a record that tell of its pod.
const WITHIN: [&str; 9] =
    ["kubernetes", "k8s", "labels", "stream", "fields", "resource", "attributes", "host", "metadata"];
/// Deepest nesting that is followed.
const DEPTH: u8 = 12;

/// Opens every record of a document.
pub(in crate::formats) fn open(value: &Value, found: &mut impl FnMut(Envelope)) {
    records(value, &Map::new(), DEPTH, found);
}

fn records(value: &Value, above: &Map<String, Value>, depth: u8, found: &mut impl FnMut(Envelope)) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let map = match value {
        Value::Array(items) => {
            // A row of CloudWatch Insights lists its fields.
            let row: Option<Map<String, Value>> = items
                .iter()
                .map(|item| Some((item.get("field")?.as_str()?.to_owned(), item.get("value")?.clone())))
                .collect();
            if let Some(row) = row.filter(|row| !row.is_empty()) {
                found(envelope(&row, above));
            } else {
                for item in items {
                    records(item, above, depth, found);
                }
            }
            return;
        }
        Value::Object(map) => map,
        _ => return,
    };
    if let Some(Value::Object(source)) = map.get("_source") {
        found(envelope(source, map));
    } else if let (Some(Value::Object(labels)), Some(Value::Array(values))) =
        (map.get("stream"), map.get("values"))
    {
        for entry in values {
            let Some([stamp, Value::String(text), ..]) = entry.as_array().map(Vec::as_slice) else {
                continue;
            };
            let mut opened = envelope(labels, above);
            opened.text.clone_from(text);
            opened.when = when(stamp).or(opened.when);
            found(opened);
        }
    } else if let Some(resource) =
        map.get("resourceLogs").or_else(|| map.get("scopeLogs")).or_else(|| map.get("logRecords"))
    {
        let attributes = attributes(map.get("resource"));
        records(resource, if attributes.is_empty() { above } else { &attributes }, depth, found);
    } else if let Some(inner) = ["hits", "data", "result", "results", "events", "logEvents", "entries"]
        .iter()
        .find_map(|key| map.get(*key).filter(|inner| inner.is_array() || inner.is_object()))
    {
        let inherited = attributes(map.get("resource"));
        records(inner, if inherited.is_empty() { above } else { &inherited }, depth, found);
    } else {
        let attributes = attributes(map.get("resource"));
        found(envelope(map, if attributes.is_empty() { above } else { &attributes }));
    }
}

/// OpenTelemetry's list of keys and values as an object.
fn attributes(resource: Option<&Value>) -> Map<String, Value> {
    let list = resource.and_then(|resource| resource.get("attributes")).and_then(Value::as_array);
    let pairs = list.into_iter().flatten().filter_map(|item| {
        let value = item.get("value")?;
        Some((item.get("key")?.as_str()?.to_owned(), value.get("stringValue").unwrap_or(value).clone()))
    });
    pairs.collect()
}

fn envelope(map: &Map<String, Value>, above: &Map<String, Value>) -> Envelope {
    let mut inner: Option<&Map<String, Value>> = None;
    let text = match TEXT.iter().find_map(|key| map.get(*key)) {
        Some(Value::String(text)) => text.clone(),
        // The event collector's event, a body with attributes.
        Some(Value::Object(nested)) => {
            inner = Some(nested);
            let inside = nested.get("stringValue").or_else(|| TEXT.iter().find_map(|key| nested.get(*key)));
            inside.and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        _ => {
            let payload = map.get("jsonPayload").or_else(|| map.get("structPayload"));
            inner = payload.and_then(Value::as_object);
            let inside = inner.and_then(|inner| TEXT.iter().find_map(|key| inner.get(*key)));
            inside.and_then(Value::as_str).unwrap_or_default().to_owned()
        }
    };
    let from = |keys: &[&str]| {
        [Some(map), inner, Some(above)]
            .into_iter()
            .flatten()
            .find_map(|map| field(map, keys))
            .unwrap_or_default()
    };
    // AKS Periscope's record of a container is named for its pod.
    let pod =
        if map.contains_key("containerLog") { field(map, &["name"]).unwrap_or_default() } else { from(POD) };
    Envelope {
        when: [Some(map), inner, Some(above)]
            .into_iter()
            .flatten()
            .find_map(|map| TIME.iter().find_map(|key| when(map.get(*key)?))),
        pod,
        namespace: from(NAMESPACE),
        node: from(NODE),
        text,
    }
}

/// The first of some fields that is a text, in a record or in what it says of its pod.
fn field(map: &Map<String, Value>, keys: &[&str]) -> Option<String> {
    let direct = |map: &Map<String, Value>| {
        keys.iter()
            .find_map(|key| map.get(*key)?.as_str().filter(|text| !text.is_empty()).map(ToOwned::to_owned))
    };
    let within = || {
        WITHIN.iter().filter_map(|key| map.get(*key)?.as_object()).find_map(|part| {
            // `kubernetes: {pod: {name: …}}` of Filebeat, `resource: {labels: {…}}` of Google.
            direct(part)
                .or_else(|| {
                    keys.iter().find_map(|key| Some(part.get(*key)?.get("name")?.as_str()?.to_owned()))
                })
                .or_else(|| direct(part.get("labels")?.as_object()?))
        })
    };
    // What is around the pod says more of it than a field of the record that may be anything.
    if map.contains_key("kubernetes") {
        within().or_else(|| direct(map))
    } else {
        direct(map).or_else(within)
    }
}

/// A time as a text or a number, of any unit.
fn when(value: &Value) -> Option<When> {
    match value {
        Value::Number(number) => epoch(number.as_f64()?),
        Value::String(text) => {
            time::rfc3339(text.as_bytes()).map(|(when, _)| when).or_else(|| epoch(text.parse::<f64>().ok()?))
        }
        _ => None,
    }
}

/// Nanoseconds, too.
fn epoch(number: f64) -> Option<When> {
    time::epoch(if number > 1e17 { number / 1e3 } else { number })
}

impl Envelope {
    /// Gives the line to the reader of lines; `raw` is the record as it stands.
    pub(in crate::formats) fn read(
        &self,
        raw: &[u8],
        piece: &Piece<'_>,
        number: u64,
        at: u64,
        facts: &mut Facts,
    ) {
        facts.saw(self.when);
        if let Some(when) = self.when {
            facts.coverage.entry(piece.source).span.add(when);
        }
        let text = self.text.trim();
        if text.starts_with('{')
            && text.contains("\"auditID\"")
            && let Some(event) = audit::within(text.as_bytes(), 4)
        {
            facts.api_server.audit_events += 1;
            audit::read(&event, piece.source, number, facts);
            return;
        }
        let around = Surroundings {
            when: self.when,
            node: Some(self.node.as_str()).filter(|node| !node.is_empty()).or(piece.node),
            log_of: (!self.pod.is_empty())
                .then_some((self.namespace.as_str(), self.pod.as_str()))
                .or(piece.log_of),
            print: self.when.map(|_| fingerprint(raw)),
            at,
            ..Surroundings::default()
        };
        for line in text.lines() {
            line::consider(line.as_bytes(), around, piece.source, number, facts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_platform_says_the_same_in_its_own_words() {
        let time = "2026-11-20T10:00:00.5Z";
        let text = "dial tcp 10.0.0.1:443: i/o timeout";
        let labels = json!({"namespace": "till", "pod": "desk-1", "node_name": "harbour-1"});
        for record in [
            json!({"labels": labels, "line": text, "timestamp": time}),
            json!({"status": "success", "data": {"resultType": "streams", "result": [{"stream": labels, "values": [["1795168800500000000", text]]}]}}),
            json!({"_index": "logs", "_source": {"@timestamp": time, "log": text, "kubernetes": {"pod_name": "desk-1", "namespace_name": "till", "host": "harbour-1"}}}),
            json!({"hits": {"total": {"value": 1}, "hits": [{"_source": {"@timestamp": time, "message": text, "kubernetes": {"pod": {"name": "desk-1"}, "namespace": "till", "node": {"name": "harbour-1"}}}}]}}),
            json!({"preview": false, "result": {"_raw": text, "_time": time, "pod": "desk-1", "namespace": "till", "node": "harbour-1"}}),
            json!({"event": {"log": text, "kubernetes": {"pod_name": "desk-1", "namespace_name": "till", "host": "harbour-1"}}, "time": 1_795_168_800.5, "sourcetype": "kube"}),
            json!([{"textPayload": text, "timestamp": time, "resource": {"type": "k8s_container", "labels": {"namespace_name": "till", "pod_name": "desk-1"}}, "labels": {"compute.googleapis.com/resource_name": "harbour-1"}}]),
            json!({"results": [[{"field": "@timestamp", "value": "2026-11-20 10:00:00.500"}, {"field": "@message", "value": text}, {"field": "kubernetes.pod_name", "value": "desk-1"}, {"field": "kubernetes.namespace_name", "value": "till"}, {"field": "kubernetes.host", "value": "harbour-1"}]]}),
            json!({"resourceLogs": [{"resource": {"attributes": [{"key": "k8s.pod.name", "value": {"stringValue": "desk-1"}}, {"key": "k8s.namespace.name", "value": {"stringValue": "till"}}, {"key": "k8s.node.name", "value": {"stringValue": "harbour-1"}}]}, "scopeLogs": [{"logRecords": [{"timeUnixNano": "1795168800500000000", "body": {"stringValue": text}}]}]}]}),
            json!({"message": text, "timestamp": time, "kubernetes": {"pod_name": "desk-1", "pod_namespace": "till", "pod_node_name": "harbour-1"}}),
        ] {
            let mut all = Vec::new();
            open(&record, &mut |opened| all.push(opened));
            let [opened] = all.as_slice() else { panic!("{record}") };
            let fields =
                (opened.text.as_str(), opened.pod.as_str(), opened.namespace.as_str(), opened.node.as_str());
            assert_eq!(fields, (text, "desk-1", "till", "harbour-1"), "{record}");
            assert_eq!(
                opened.when.and_then(|when| when.resolve(None)),
                Some(1_795_168_800_500_000),
                "{record}"
            );
        }
    }
}
