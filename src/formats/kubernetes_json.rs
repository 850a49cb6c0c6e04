//! Kubernetes objects as JSON: `kubectl get -o json`, raw API lists, single objects, bare arrays,
//! concatenated documents, and the stream of `kubectl cluster-info dump` with its log blocks.
//!
//! kubectl sorts keys, so `kind: List` comes after the items, which carry their own kind. Raw API lists
//! (`PodList`) say it first, and their items have none.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::shared::audit;
use super::shared::conditions;
use super::shared::dump::Frame;
use super::shared::events::Event;
use super::shared::go_encoded;
use super::shared::json::{JsonFramer, Scanned, Scanner, fields, kind, plain_string};
use super::shared::line;
use super::shared::log_line::Surroundings;
use super::shared::sections;
use super::{Head, InputFormat, Piece};
use crate::bundle::Framer;
use crate::bytes::json;
use crate::facts::text::lossy;
use crate::facts::{Facts, Origin, Pod, kind_of_group, time};

pub(super) struct KubernetesJson;
pub(super) const FORMAT: KubernetesJson = KubernetesJson;

impl InputFormat for KubernetesJson {
    fn name(&self) -> &'static str {
        "kubernetes-json"
    }

    fn about(&self) -> &'static str {
        "Kubernetes objects as JSON: lists, single objects, arrays, concatenated documents, cluster-info dump"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let json = head.bytes.trim_ascii_start();
        if !matches!(json.first(), Some(b'{' | b'[')) {
            return 0;
        }
        // The keys of the first object: of the list, or of the first element of an array.
        let mut keys = Vec::new();
        let mut audit = false;
        for (key, value) in fields(json) {
            audit |= key == b"apiVersion" && value.starts_with(b"\"audit.k8s.io");
            keys.push(key);
        }
        let has = |key: &str| keys.contains(&key.as_bytes());
        let list = has("items") || has("Items");
        if (audit && !list) || sections::mixed_after_document(json) {
            return 0;
        }
        let content = [
            "spec",
            "status",
            "rules",
            "roleRef",
            "subjects",
            "data",
            "subsets",
            "involvedObject",
            "endpoints",
        ];
        if has("kind") && has("apiVersion") {
            90
        } else if list || (has("metadata") && content.iter().any(|key| has(key))) {
            70
        } else {
            0
        }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::<JsonFramer>::default()
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut reader = ObjectReader {
            piece,
            facts,
            lines: LineCounter::new(piece),
            list: piece.context.map(OpenList::from_head).unwrap_or_default(),
            records: 0,
            log_of: piece.context.and_then(Frame::parse).and_then(owner),
        };
        let mut scanner = piece.context.map_or_else(Scanner::default, Scanner::within);
        let text = piece.bytes;
        let mut last_end = 0;
        scanner.run(text, |found| {
            last_end = reader.found(found);
            true
        });
        let rest = text.get(last_end..).unwrap_or_default();
        // A block may well end between two items; what begins and does not end was cut.
        let pending = rest.iter().any(|byte| !byte.is_ascii_whitespace() && *byte != b',');
        if scanner.unfinished() && pending {
            reader.unfinished(text.get(scanner.pending()..).unwrap_or_default());
        } else if !scanner.unfinished() {
            // The last line of a text between documents may lack its newline.
            let rest = rest.trim_ascii();
            if !rest.is_empty() && !rest.starts_with(b"{") {
                let at = Surroundings { node: piece.node, ..Surroundings::default() };
                let number = reader.lines.at(last_end);
                line::consider(rest, at, piece.source, number, reader.facts);
            }
        }
        reader.records
    }
}

static CREATED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"creationTimestamp\""));

/// Line numbers of growing offsets.
pub(super) struct LineCounter<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    pub(super) fn new(piece: &Piece<'a>) -> Self {
        Self { text: piece.bytes, at: 0, line: piece.first_line }
    }

    pub(super) fn at(&mut self, offset: usize) -> u64 {
        let between = self.text.get(self.at..offset).unwrap_or_default();
        self.line += memchr::memchr_iter(b'\n', between).count() as u64;
        self.at = self.at.max(offset);
        self.line
    }
}

/// The list whose items are being read.
#[derive(Default)]
struct OpenList {
    /// What its items are, when the list says so.
    item_kind: Option<String>,
    /// The list tells it only by its link, as very old dumps do.
    by_link: bool,
}

impl OpenList {
    fn from_head(head: &[u8]) -> Self {
        let message = kind(head);
        let item_kind =
            message.kind.and_then(|kind| kind.strip_suffix("List")).filter(|kind| !kind.is_empty());
        let item_kind = item_kind.map(|kind| kind_of_group(kind, message.version));
        if item_kind.is_none() && message.kind.is_none() {
            let link =
                fields(head).find(|(key, _)| *key == b"selfLink").and_then(|(_, value)| plain_string(value));
            let item_kind = link.and_then(go_encoded::item_kind).map(ToOwned::to_owned);
            return Self { by_link: item_kind.is_some(), item_kind };
        }
        Self { item_kind, by_link: false }
    }
}

/// The pod of a log that begins.
fn owner(frame: Frame<'_>) -> Option<(&str, &str)> {
    match frame {
        Frame::Start(namespace, name) => Some((namespace, name)),
        Frame::End => None,
    }
}

struct ObjectReader<'a, 'p> {
    piece: &'a Piece<'p>,
    facts: &'a mut Facts,
    lines: LineCounter<'p>,
    list: OpenList,
    records: u64,
    /// The pod whose log, framed by `kubectl cluster-info dump`, is being read.
    log_of: Option<(&'p str, &'p str)>,
}

impl<'p> ObjectReader<'_, 'p> {
    /// Handles one finding; gives where it ends.
    fn found(&mut self, found: Scanned) -> usize {
        let text = self.piece.bytes;
        let slice = |start: usize, end: usize| text.get(start..end).unwrap_or_default();
        match found {
            Scanned::Head { start, end } => {
                self.list = OpenList::from_head(slice(start, end));
                if let Some(kind) = self.list.item_kind.clone() {
                    let line = self.lines.at(start);
                    self.facts.listed(&kind, self.piece.source, line);
                }
                end
            }
            Scanned::Element { start, end } => {
                let line = self.lines.at(start);
                self.object(slice(start, end), (line, start as u64), true);
                end
            }
            Scanned::Document { start, end } => {
                let line = self.lines.at(start);
                self.document(slice(start, end), (line, start as u64));
                end
            }
            Scanned::Text { start, end } => {
                let line = self.lines.at(start);
                let text: &'p [u8] = self.piece.bytes;
                if let Some(frame) = text.get(start..end).and_then(Frame::parse) {
                    self.log_of = owner(frame);
                }
                let around =
                    Surroundings { node: self.piece.node, log_of: self.log_of, ..Surroundings::default() };
                line::consider(slice(start, end), around, self.piece.source, line, self.facts);
                end
            }
            Scanned::End { end } => {
                self.list = OpenList::default();
                end
            }
        }
    }

    /// An object that is a document of its own, or a list without items.
    fn document(&mut self, json: &[u8], (line, at): (u64, u64)) {
        let message = kind(json);
        match message.kind {
            Some(list) if list.len() > 4 && list.ends_with("List") => {
                let kind = kind_of_group(list.trim_end_matches("List"), message.version);
                self.facts.listed(&kind, self.piece.source, line);
                self.records += 1;
            }
            None if fields(json).any(|(key, _)| key == b"Items") => {
                let list = OpenList::from_head(json);
                if let Some(kind) = list.item_kind {
                    self.facts.listed(&kind, self.piece.source, line);
                }
                self.records += 1;
            }
            Some("Status") => {
                let around = Surroundings { node: self.piece.node, ..Surroundings::default() };
                line::consider(json, around, self.piece.source, line, self.facts);
                self.records += 1;
            }
            _ => self.object(json, (line, at), false),
        }
    }

    fn object(&mut self, json: &[u8], (line, at): (u64, u64), of_list: bool) {
        if self.list.by_link
            && of_list
            && go_encoded::is_go(json)
            && let Some(normal) = go_encoded::normalised(json)
        {
            self.list.by_link = false;
            self.object(&normal, (line, at), of_list);
            self.list.by_link = true;
            return;
        }
        let message = kind(json);
        self.records += 1;
        if message.version.is_some_and(|version| version.starts_with("audit.k8s.io")) {
            self.facts.api_server.audit_events += 1;
            if !audit::read(json, self.piece.source, line, self.facts) {
                self.problem("audit events that could not be read");
            }
            return;
        }
        let given = message.kind.map(|kind| kind_of_group(kind, message.version));
        let Some(kind) =
            given.or_else(|| self.list.item_kind.clone()).or_else(|| by_shape(json).map(ToOwned::to_owned))
        else {
            self.facts.not_kept("objects that do not tell their kind");
            return;
        };
        self.facts.met(&kind, of_list, self.piece.source, line);
        if kind == "Event" {
            self.event(json, line);
            return;
        }
        let origin = Origin::full(json.len(), self.piece.source, line, self.piece.offset + at);
        match self.facts.objects.parse(&kind, json, &origin) {
            Ok(true) => {}
            Ok(false) => {
                self.facts.not_kept(&kind);
                if let Ok(object) = json::read(&lossy(json)) {
                    conditions::note(&kind, &object, self.piece, line, self.facts);
                }
            }
            Err(error) => {
                self.problem(&format!("{kind} objects that could not be understood ({error} error)"));
            }
        }
        if kind == "Pod" {
            // A pod that was just made or that just changed is the newest absolute time of many bundles.
            let stamp = CREATED.find(json).and_then(|at| {
                let rest = json.get(at + 19..)?;
                let quote = memchr::memchr(b'"', rest)?;
                time::rfc3339(rest.get(quote + 1..)?)
            });
            self.facts.saw(stamp.map(|(when, _)| when));
            if memchr::memmem::find(json, b"ErrImagePull").is_some()
                && let Ok(pod) = json::read::<Pod>(&lossy(json))
            {
                conditions::waiting(&pod, self.piece, line, self.facts);
            }
        }
    }

    fn event(&mut self, json: &[u8], line: u64) {
        let Ok(event) = json::read::<Event>(&lossy(json)) else {
            self.problem("events that could not be understood");
            return;
        };
        event.count(self.piece, line, self.facts);
    }

    /// The entry ends within an object, or one object is longer than the limit.
    fn unfinished(&mut self, rest: &[u8]) {
        if self.piece.cut_short {
            return;
        }
        let what = kind(rest).kind.or(self.list.item_kind.as_deref()).unwrap_or("object").to_owned();
        let name = fields(rest).find(|(key, _)| *key == b"metadata").and_then(|(_, meta)| {
            fields(meta)
                .find(|(key, _)| *key == b"name")
                .map(|(_, name)| String::from_utf8_lossy(name).into_owned())
        });
        let name = name.map_or_else(String::new, |name| format!(" {name}"));
        self.problem(&format!("JSON ends in the middle of {what}{name}: the file is cut"));
    }

    fn problem(&mut self, what: &str) {
        self.facts.problem(self.piece.source, what);
    }
}

/// What an object without a kind must be, by the fields that only that kind has.
pub(super) fn by_shape(json: &[u8]) -> Option<&'static str> {
    let mut namespaced = false;
    let mut shape = None;
    for (key, value) in fields(json) {
        let has = |word: &str| memchr::memmem::find(value, word.as_bytes()).is_some();
        match key {
            b"metadata" => namespaced = has("\"namespace\""),
            b"roleRef" => shape = Some("Binding"),
            b"rules" => shape = shape.or(Some("Role")),
            b"subsets" => shape = Some("Endpoints"),
            b"addressType" => shape = Some("EndpointSlice"),
            b"involvedObject" | b"regarding" => shape = Some("Event"),
            b"spec" if has("\"podSelector\"") => shape = shape.or(Some("NetworkPolicy")),
            b"spec" if has("\"clusterIP\"") || has("\"sessionAffinity\"") => {
                shape = shape.or(Some("Service"));
            }
            b"spec" if has("\"schedule\"") && has("\"jobTemplate\"") => shape = shape.or(Some("CronJob")),
            b"spec" if has("\"template\"") => shape = shape.or(workload(value)),
            b"spec" if has("\"containers\"") => shape = shape.or(Some("Pod")),
            b"status" if has("\"nodeInfo\"") => shape = shape.or(Some("Node")),
            b"status" if has("\"networkContainers\"") => shape = shape.or(Some("NodeNetworkConfig")),
            _ => {}
        }
    }
    Some(match (shape?, namespaced) {
        ("Binding", true) => "RoleBinding",
        ("Binding", false) => "ClusterRoleBinding",
        ("Role", false) => "ClusterRole",
        (shape, _) => shape,
    })
}

/// Which workload has these fields in its `spec`, its pods' template aside.
fn workload(spec: &[u8]) -> Option<&'static str> {
    let mut keys = fields(spec).map(|(key, _)| key);
    let mut found = None;
    let mut plain_selector = false;
    for (key, value) in fields(spec) {
        match key {
            b"strategy" | b"progressDeadlineSeconds" => found = Some("Deployment"),
            b"serviceName" | b"podManagementPolicy" => found = Some("StatefulSet"),
            b"completions" | b"backoffLimit" | b"parallelism" => found = Some("Job"),
            b"updateStrategy" => found = found.or(Some("DaemonSet")),
            b"selector" => plain_selector = memchr::memmem::find(value, b"\"match").is_none(),
            _ => {}
        }
    }
    match found {
        None if plain_selector => Some("ReplicationController"),
        None if keys.any(|key| key == b"replicas") => Some("ReplicaSet"),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Objects;

    #[test]
    fn an_object_without_a_kind_is_known_by_its_shape() {
        assert_eq!(
            by_shape(br#"{"metadata":{"name":"a","namespace":"b"},"spec":{"containers":[]}}"#),
            Some("Pod")
        );
        assert_eq!(
            by_shape(br#"{"metadata":{"name":"a"},"roleRef":{},"subjects":[]}"#),
            Some("ClusterRoleBinding")
        );
        assert_eq!(
            by_shape(br#"{"metadata":{"name":"a","namespace":"b"},"spec":{"template":{"spec":{"containers":[]}}}}"#),
            None
        );
        let workload = |fields: &str| {
            let json = format!(
                r#"{{"metadata":{{"name":"a","namespace":"b"}},"spec":{{{fields},"template":{{}}}}}}"#
            );
            by_shape(json.as_bytes())
        };
        assert_eq!(workload(r#""replicas":1,"strategy":{}"#), Some("Deployment"));
        assert_eq!(workload(r#""replicas":1,"selector":{"matchLabels":{}}"#), Some("ReplicaSet"));
        assert_eq!(workload(r#""selector":{"matchLabels":{}},"updateStrategy":{}"#), Some("DaemonSet"));
        assert_eq!(workload(r#""replicas":1,"serviceName":"x","updateStrategy":{}"#), Some("StatefulSet"));
    }

    #[test]
    fn kept_kinds_are_told() {
        assert!(Objects::keeps("Pod"));
        assert!(!Objects::keeps("Secret"));
    }
}
