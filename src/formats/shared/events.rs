//! Kubernetes events, core/v1 and events.k8s.io/v1, from JSON or YAML.

use serde::Deserialize;

use super::line;
use super::log_line::Surroundings;
use crate::facts::time::{self, When};
use crate::facts::{EventSeen, Facts, fingerprint};
use crate::formats::Piece;

/// An event of either API group. The scheduler writes `eventTime` and `series`; others count.
// The names are the API's.
#[allow(clippy::struct_field_names)]
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::formats) struct Event {
    metadata: EventMeta,
    r#type: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    note: Option<String>,
    involved_object: Option<Regarding>,
    regarding: Option<Regarding>,
    count: Option<u64>,
    deprecated_count: Option<u64>,
    first_timestamp: Option<String>,
    last_timestamp: Option<String>,
    deprecated_first_timestamp: Option<String>,
    deprecated_last_timestamp: Option<String>,
    event_time: Option<String>,
    series: Option<Series>,
    source: Option<EventSource>,
    deprecated_source: Option<EventSource>,
    reporting_instance: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct EventMeta {
    uid: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    creation_timestamp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Regarding {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Series {
    count: Option<u64>,
    last_observed_time: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EventSource {
    host: Option<String>,
}

impl Event {
    /// With a time for an event that has none.
    pub(in crate::formats) fn at(mut self, time: Option<&str>) -> Self {
        let stamps = [&self.first_timestamp, &self.last_timestamp, &self.event_time];
        if stamps.iter().all(|stamp| stamp.is_none()) {
            self.event_time = time.map(ToOwned::to_owned);
        }
        self
    }

    /// Counts it, and looks for known errors in its message.
    pub(in crate::formats) fn count(&self, piece: &Piece<'_>, line: u64, facts: &mut Facts) {
        let when = |stamps: &[&Option<String>]| -> Option<When> {
            stamps.iter().find_map(|stamp| Some(time::rfc3339(stamp.as_deref()?.as_bytes())?.0))
        };
        let series = self.series.as_ref();
        let first = when(&[
            &self.first_timestamp,
            &self.deprecated_first_timestamp,
            &self.event_time,
            &self.metadata.creation_timestamp,
        ]);
        let observed = series.map_or(&None, |series| &series.last_observed_time);
        let last = when(&[observed, &self.last_timestamp, &self.deprecated_last_timestamp, &self.event_time]);
        facts.saw(last.or(first));
        let about = self.involved_object.as_ref().or(self.regarding.as_ref());
        let part = |get: fn(&Regarding) -> &Option<String>| -> &str {
            about.and_then(|about| get(about).as_deref()).unwrap_or_default()
        };
        let (kind, name) = (part(|about| &about.kind), part(|about| &about.name));
        let namespace = match part(|about| &about.namespace) {
            "" => self.metadata.namespace.as_deref().unwrap_or_default(),
            namespace => namespace,
        };
        let message = self.message.as_deref().or(self.note.as_deref()).unwrap_or_default();
        let host = |source: &Option<EventSource>| source.as_ref().and_then(|source| source.host.clone());
        let node =
            host(&self.source).or_else(|| host(&self.deprecated_source)).filter(|host| !host.is_empty());
        let node = node
            .or_else(|| self.reporting_instance.clone().filter(|_| kind == "Pod" && self.is_of_kubelet()));
        let count =
            self.count.or(series.and_then(|series| series.count)).or(self.deprecated_count).unwrap_or(1);
        facts.happened(EventSeen {
            normal: self.r#type.as_deref() == Some("Normal"),
            reason: self.reason.as_deref().unwrap_or_default(),
            kind,
            namespace,
            name,
            count,
            times: [first, last],
            node: node.as_deref(),
            message,
            source: piece.source,
            line,
        });
        let identity = self.metadata.uid.as_deref().or(self.metadata.name.as_deref());
        let around = Surroundings {
            when: first,
            last,
            node: node.as_deref(),
            pod: (kind == "Pod").then_some((namespace, name)),
            count,
            print: identity.map(fingerprint),
            ..Surroundings::default()
        };
        line::consider(message.as_bytes(), around, piece.source, line, facts);
    }

    fn is_of_kubelet(&self) -> bool {
        matches!(self.reason.as_deref(), Some("FailedCreatePodSandBox" | "Failed" | "BackOff" | "Unhealthy"))
    }
}
