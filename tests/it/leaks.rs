//! Nothing that identifies leaves: marks are planted in every string and every key of a result, and looked for in every
//! output.

use std::sync::LazyLock;

use kubetriage::Options;
use kubetriage::bundle::Input;
use kubetriage::cluster::Cluster;
use kubetriage::diagnosis::Diagnosis;
use kubetriage::report::{Format, Pseudonyms, Redacted, Replace, inspection, redact, render, summary};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::common;

const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
/// A node of the sample bundle.
const NODE: &str = "aks-np1-vmss000000";
const MAIL: &str = "grace.hopper@contoso-secret.com";
const GUID: &str = "0b1f6471-1bf0-4dda-aec3-cb9272f09590";
const GROUP: &str = "rg-secret-prod";
const PATH: &str = "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590/resourceGroups/rg-secret-prod";

/// A result with findings of many shapes, as JSON, and the cluster that it is of.
static RESULT: LazyLock<(Cluster, Diagnosis, Value)> = LazyLock::new(|| {
    let inputs = [Input::Path(common::sample("bundles/contoso-shop"))];
    let cluster = kubetriage::read(&inputs, &Options::default()).unwrap();
    let diagnosis = Diagnosis::of(&cluster, vec!["contoso-shop".to_owned()], None);
    let value = serde_json::to_value(&diagnosis).unwrap();
    (cluster, diagnosis, value)
});

/// How a mark is written.
#[derive(Clone, Copy, Debug)]
enum Writing {
    Plain,
    Capitals,
    Slug,
}

impl Writing {
    fn of(self, mark: &str) -> String {
        match self {
            Self::Plain => mark.to_owned(),
            Self::Capitals => mark.to_uppercase(),
            Self::Slug => mark.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect(),
        }
    }
}

/// Fields whose strings are the program's own, or are read back as what they are (`severity`); no bundle reaches them.
const OURS: [&str; 18] = [
    "ask_for",
    "chapter",
    "collected",
    "confidence",
    "covers",
    "detector",
    "first_seen",
    "format",
    "lanes",
    "last_seen",
    "layouts",
    "notice",
    "schema",
    "severity",
    "since",
    "state",
    "tool",
    "verdict",
];

/// Plants marks, in turn and in the writings in turn, in every string, and a key with a mark in every map of data.
fn plant(value: &mut Value, key: &str, writings: &[Writing], planted: &mut usize) {
    const MARKS: [&str; 5] = [TOKEN, NODE, MAIL, GUID, PATH];
    let mut next = || {
        *planted += 1;
        let writing =
            writings.get(*planted / MARKS.len() % writings.len()).copied().unwrap_or(Writing::Plain);
        writing.of(MARKS[*planted % MARKS.len()])
    };
    match value {
        _ if OURS.contains(&key) => {}
        Value::String(text) => *text = format!("{text} {}", next()),
        Value::Array(items) => items.iter_mut().for_each(|item| plant(item, key, writings, planted)),
        Value::Object(map) => {
            let before: Map<String, Value> = std::mem::take(map);
            if ["objects", "other_objects", "versions", "node_facts", "azure", "reported_by"].contains(&key) {
                map.insert(next(), Value::from(1));
            }
            for (name, mut item) in before {
                plant(&mut item, &name, writings, planted);
                map.insert(name, item);
            }
        }
        _ => {}
    }
}

/// Every output of a result, those of the terminal as well.
fn outputs(redacted: &Redacted) -> Vec<(&'static str, String)> {
    let mut all: Vec<_> =
        Format::ALL.iter().map(|format| (format.name(), render(redacted, *format).unwrap())).collect();
    all.push(("terminal", summary(redacted, 100)));
    all.push(("inspect", inspection(redacted, 100, true)));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn no_mark_in_any_writing_is_in_any_output(writings in proptest::collection::vec(prop_oneof![Just(Writing::Plain), Just(Writing::Capitals), Just(Writing::Slug)], 1..7)) {
        let (cluster, original, value) = &*RESULT;
        let mut value = value.clone();
        let mut planted = 0;
        plant(&mut value, "", &writings, &mut planted);
        // Each stands somewhere as it is: nothing can tell a secret of which there is but a slug.
        value["summary"] = Value::String(format!("{TOKEN} {NODE} {MAIL} {PATH}"));
        prop_assert!(planted > 500, "only {} were planted", planted);
        let mut diagnosis: Diagnosis = serde_json::from_value(value).unwrap();
        diagnosis.keep_own_words(original);
        for (finding, from) in diagnosis.findings.iter_mut().zip(&original.findings) {
            (finding.detector, finding.unit) = (from.detector, from.unit);
        }
        for (replace, marks) in [(None, &[TOKEN][..]), (Some(Replace::All), &[TOKEN, NODE, MAIL, GUID, GROUP])] {
            let redacted = redact(diagnosis.clone(), replace.map(|replace| Pseudonyms::new(cluster, replace)));
            for (name, text) in outputs(&redacted) {
                let text = text.to_lowercase();
                for mark in marks {
                    for writing in [Writing::Plain, Writing::Slug] {
                        let mark = writing.of(mark).to_lowercase();
                        let at = text.find(&mark);
                        prop_assert!(at.is_none(), "{mark} is in {name}: {:?}", at.and_then(|at| text.get(at.saturating_sub(80)..at + 120)));
                    }
                }
            }
        }
    }
}

#[test]
fn a_control_character_in_an_address_a_range_or_any_other_string_is_not_sent_as_it_is() {
    fn steer(value: &mut Value, key: &str) {
        match value {
            _ if OURS.contains(&key) => {}
            Value::String(text) => text.push('\u{2}'),
            Value::Array(items) => items.iter_mut().for_each(|item| steer(item, key)),
            Value::Object(map) => map.iter_mut().for_each(|(name, item)| steer(item, name)),
            _ => {}
        }
    }
    let (_, original, value) = &*RESULT;
    let mut value = value.clone();
    steer(&mut value, "");
    let mut diagnosis: Diagnosis = serde_json::from_value(value).unwrap();
    diagnosis.keep_own_words(original);
    for (finding, from) in diagnosis.findings.iter_mut().zip(&original.findings) {
        (finding.detector, finding.unit) = (from.detector, from.unit);
    }
    // The page shows addresses and kinds as they are: they are the program's own.
    for (name, text) in outputs(&redact(diagnosis, None)).iter().filter(|(name, _)| *name != "html") {
        let at = text.find('\u{2}');
        let around = at.and_then(|at| text.get(at.saturating_sub(80)..at));
        assert!(at.is_none(), "a control character is in {name} behind {around:?}");
    }
}

#[test]
fn commands_with_pseudonyms_are_refused_by_a_shell() {
    let (cluster, diagnosis, _) = &*RESULT;
    let redacted = redact(diagnosis.clone(), Some(Pseudonyms::new(cluster, Replace::All)));
    let commands: Vec<&String> = redacted.findings.iter().flat_map(|finding| &finding.fix.commands).collect();
    assert!(commands.iter().any(|command| command.contains("<node-")), "{commands:?}");
    assert!(!commands.iter().any(|command| command.contains(" node-")), "{commands:?}");
    for (name, text) in outputs(&redacted) {
        assert!(text.contains("pseudonyms"), "{name} does not say that names are pseudonyms");
    }
}

/// A bundle whose names are ordinary words, and of which each kind of name is in a finding or a path.
fn bundle_of_ordinary_words(folder: &std::path::Path) {
    let pod = |namespace: &str, name: &str| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": namespace, "name": name, "labels": {"team": "zorkteam", "app": "kart"}},
            "spec": {"nodeName": "zorknode7", "containers": [{"name": "kart", "image": "zork.azurecr.io/zorkcorp/kart:rel-77"}]},
            "status": {"phase": "Pending", "podIP": "203.0.113.77", "containerStatuses": [{
                "name": "kart", "image": "zork.azurecr.io/zorkcorp/kart:rel-77", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": "ErrImagePull", "message":
                    "failed to pull and unpack image \"zork.azurecr.io/zorkcorp/kart:rel-77\": not found"}},
            }]},
        })
    };
    let pods: Vec<Value> =
        ["shop", "web", "prod", "test", "payments"].map(|ns| pod(ns, "kart-7d9f8-abcde")).to_vec();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "PodList", "items": pods});
    let event = |message: &str, name: &str| {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"namespace": "prod", "name": name},
            "involvedObject": {"kind": "Pod", "namespace": "prod", "name": "kart-7d9f8-abcde"},
            "type": "Warning", "reason": "FailedScheduling", "message": message, "count": 3,
            "firstTimestamp": "2026-11-23T10:00:00Z", "lastTimestamp": "2026-11-23T10:05:00Z",
        })
    };
    let events = [
        event("0/3 nodes are available: 3 node(s) had untolerated taint {dedicated: zorkpay}.", "a"),
        event("connect to 0xcb00714d, 3405803853: object 0b1f64711bf04ddaaec3cb9272f09590 is unknown", "b"),
    ];
    let events = serde_json::json!({"apiVersion": "v1", "kind": "EventList", "items": events});
    let inner = folder.join("zorkcorp-emea");
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::write(inner.join("pods.json"), list.to_string()).unwrap();
    std::fs::write(inner.join("zorkreport.json"), events.to_string()).unwrap();
    std::fs::write(inner.join("zorknotes.bin"), b"no format of any kind, from zorknode7").unwrap();
}

#[test]
fn names_that_are_ordinary_words_and_names_of_files_and_images_are_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("zorkbundle");
    bundle_of_ordinary_words(&folder);
    let cluster = kubetriage::read(&[Input::Path(folder)], &Options::default()).unwrap();
    let diagnosis = Diagnosis::of(&cluster, vec!["zorkbundle".to_owned()], None);
    let plain = serde_json::to_string(&diagnosis).unwrap();
    let redacted = redact(diagnosis, Some(Pseudonyms::new(&cluster, Replace::All)));
    for (name, text) in outputs(&redacted) {
        let text = text.to_lowercase();
        for mark in ["zork", "kart", "rel-77", "payments", "cb00714d", "3405803853", "0b1f6471", "203.0.113"]
        {
            let at = text.find(mark);
            let around = at.and_then(|at| text.get(at.saturating_sub(80)..(at + 80).min(text.len())));
            assert!(at.is_none(), "{mark} is in {name}: {around:?}");
        }
    }
    // Words of the page's script are no names: those are looked for in the data.
    let json = render(&redacted, Format::Json).unwrap();
    for namespace in ["shop", "web", "prod", "test"] {
        let forms = [format!("\"{namespace}\""), format!("{namespace}/"), format!(" {namespace} ")];
        assert!(forms.iter().any(|form| plain.contains(form)), "{namespace} is not in the report at all");
        assert!(!forms.iter().any(|form| json.contains(form)), "{namespace} is in the report");
    }
    assert!(json.contains("image-1") && json.contains("namespace-1"), "pseudonyms stand for them");
}
