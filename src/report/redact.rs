//! What may leave the program. A diagnosis is serialised, and every string and every key of it is looked at, but those
//! that are the program's own: secrets are masked always, names and addresses get pseudonyms when that is wanted.
//! Renderers take nothing but what went through here.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Deref;
use std::sync::LazyLock;

use rayon::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::pseudonyms::Pseudonyms;
use super::secrets::mask;
use super::vocabulary::{TextRole, Vocabulary};
use crate::cluster::Cluster;
use crate::diagnosis::Diagnosis;
use crate::facts::Facts;

/// A diagnosis that may be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Redacted {
    diagnosis: Diagnosis,
    pseudonyms: Option<String>,
}

impl Redacted {
    /// What stands for what, a line each: pseudonym, tab, original. Nothing when nothing was replaced. It undoes the
    /// redaction, so it is for the owner of the bundle alone.
    pub fn pseudonym_map(&self) -> Option<&str> {
        self.pseudonyms.as_deref()
    }
}

impl Deref for Redacted {
    type Target = Diagnosis;

    fn deref(&self) -> &Diagnosis {
        &self.diagnosis
    }
}

/// Strings of the program's own, by where they stand; `*` is any index. What is not listed may be of the bundle.
const OURS: [&str; 33] = [
    "/ask_for/*/command",
    "/ask_for/*/what",
    "/ask_for/*/why",
    "/causes/*/confidence",
    "/causes/*/severity",
    "/causes/*/state",
    "/coverage/entries/*/format",
    "/findings/*/confidence",
    "/findings/*/detector",
    "/findings/*/first_seen",
    "/findings/*/last_seen",
    "/findings/*/severity",
    "/findings/*/state",
    "/findings/*/unit",
    "/first_screen/collected",
    "/first_screen/covers/*",
    "/first_screen/since",
    "/inventory/layouts/*",
    "/inventory/subnets/*/role",
    "/notice",
    "/root_causes/*/confidence",
    "/root_causes/*/severity",
    "/root_causes/*/state",
    "/schema",
    "/seen_and_over/*/confidence",
    "/seen_and_over/*/severity",
    "/seen_and_over/*/state",
    "/timeline/lanes/*/what",
    "/tool/name",
    "/tool/version",
    "/verdicts/*/chapter",
    "/verdicts/*/id",
    "/verdicts/*/verdict",
];

const IDS: [&str; 11] = [
    "/causes/*/findings/*",
    "/causes/*/follows/*",
    "/findings/*/explained_by/*/by",
    "/findings/*/id",
    "/first_screen/finding",
    "/root_causes/*/findings/*",
    "/root_causes/*/id",
    "/seen_and_over/*/findings/*",
    "/seen_and_over/*/id",
    "/timeline/onsets/*/id",
    "/verdicts/*/findings/*",
];

const COMMANDS: [&str; 4] =
    ["/findings/*/fix/commands/*", "/findings/*/verify/*", "/first_screen/check", "/first_screen/commands/*"];

const MANIFESTS: &str = "/findings/*/fix/manifests/*";

fn role(path: &str) -> Option<TextRole> {
    if OURS.contains(&path) {
        None
    } else if IDS.contains(&path) {
        Some(TextRole::Id)
    } else if COMMANDS.contains(&path) {
        Some(TextRole::Command)
    } else if path == MANIFESTS {
        Some(TextRole::Manifest)
    } else {
        Some(TextRole::Text)
    }
}

/// Keys of the program's own: the fields of the types that are serialised.
static KEYS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    fn properties(schema: &Value, into: &mut HashSet<String>) {
        match schema {
            Value::Object(map) => {
                if let Some(Value::Object(fields)) = map.get("properties") {
                    into.extend(fields.keys().cloned());
                }
                map.values().for_each(|part| properties(part, into));
            }
            Value::Array(parts) => parts.iter().for_each(|part| properties(part, into)),
            _ => {}
        }
    }
    let mut keys: HashSet<String> = HashSet::new();
    properties(schemars::schema_for!(Diagnosis).as_value(), &mut keys);
    keys
});

/// Calls something with every string and every key that may be of the bundle.
fn walk(value: &mut Value, path: &mut String, with: &mut dyn FnMut(&mut String, TextRole)) {
    match value {
        Value::String(text) => {
            if let Some(role) = role(path) {
                with(text, role);
            }
        }
        Value::Array(items) => {
            let end = path.len();
            path.push_str("/*");
            for item in items {
                walk(item, path, with);
            }
            path.truncate(end);
        }
        Value::Object(map) => {
            let end = path.len();
            let mut rewritten = Map::new();
            for (mut key, mut item) in std::mem::take(map) {
                path.push('/');
                path.push_str(&key);
                if !KEYS.contains(&key) {
                    with(&mut key, TextRole::Text);
                }
                walk(&mut item, path, with);
                path.truncate(end);
                // Two keys that became one are still two.
                let numbered = (2..).map(|number| format!("{key} ({number})"));
                let free =
                    std::iter::once(key.clone()).chain(numbered).find(|key| !rewritten.contains_key(key));
                rewritten.insert(free.unwrap_or(key), item);
            }
            *map = rewritten;
        }
        _ => {}
    }
}

/// Rewrites the strings of a part of the diagnosis; `None` when nothing of it changed.
fn rewritten<T: Serialize + DeserializeOwned>(
    part: &T,
    path: &str,
    with: &mut dyn FnMut(&mut String, TextRole),
) -> Option<serde_json::Result<T>> {
    let mut value = serde_json::to_value(part).ok()?;
    let mut changed = false;
    walk(&mut value, &mut path.to_owned(), &mut |text, role| {
        let before = text.clone();
        with(text, role);
        changed |= *text != before;
    });
    if changed { Some(serde_json::from_value(value)) } else { None }
}

/// The diagnosis in parts, so that no more than one of them is held twice: the two long lists item by item, the rest whole.
struct DiagnosisParts {
    rest: Diagnosis,
    findings: Vec<crate::detectors::Finding>,
    entries: Vec<crate::diagnosis::EntryView>,
}

impl DiagnosisParts {
    fn of(mut diagnosis: Diagnosis) -> Self {
        let findings = std::mem::take(&mut diagnosis.findings);
        let entries = std::mem::take(&mut diagnosis.coverage.entries);
        Self { rest: diagnosis, findings, entries }
    }

    fn join(mut self) -> Diagnosis {
        self.rest.findings = self.findings;
        self.rest.coverage.entries = self.entries;
        self.rest
    }

    /// Rewrites every string. What each part gives back is told in the order of the parts, whatever the threads.
    fn rewrite<G: Send, F>(&mut self, with: F) -> Vec<G>
    where
        F: Fn(&mut Vec<G>, &mut String, TextRole) + Sync,
    {
        let mut given = Vec::new();
        match rewritten(&self.rest, "", &mut |text, role| with(&mut given, text, role)) {
            Some(Ok(mut rest)) => {
                rest.keep_own_words(&self.rest);
                self.rest = rest;
            }
            // What can't be read back is not shown as it was.
            Some(Err(error)) => {
                self.rest = Diagnosis::of(&Cluster::freeze(Facts::default()), Vec::new(), None);
                self.lost(&error);
            }
            None => {}
        }
        let of_findings = self.findings.par_iter_mut().map(|finding| {
            let mut given = Vec::new();
            let other = rewritten(finding, "/findings/*", &mut |text, role| with(&mut given, text, role));
            let lost = other.and_then(|other| {
                other
                    .map(|mut other| {
                        (other.detector, other.unit) = (finding.detector, finding.unit);
                        *finding = other;
                    })
                    .err()
            });
            (given, lost)
        });
        let of_findings: Vec<_> = of_findings.collect();
        let mut lost = of_findings.iter().map(|(_, lost)| lost.is_some()).collect::<Vec<_>>().into_iter();
        self.findings.retain(|_| !lost.next().unwrap_or_default());
        for (more, lost) in of_findings {
            given.extend(more);
            if let Some(error) = lost {
                self.lost(&error);
            }
        }
        let of_entries = self.entries.par_iter_mut().map(|entry| {
            let mut given = Vec::new();
            let with = &mut |text: &mut String, role| with(&mut given, text, role);
            let lost = match rewritten(entry, "/coverage/entries/*", with) {
                Some(Ok(other)) => {
                    *entry = other;
                    None
                }
                Some(Err(error)) => {
                    "(not shown)".clone_into(&mut entry.path);
                    (entry.problem, entry.note, entry.first_unrecognised) = (None, None, None);
                    Some(error)
                }
                None => None,
            };
            (given, lost)
        });
        for (more, lost) in of_entries.collect::<Vec<_>>() {
            given.extend(more);
            if let Some(error) = lost {
                self.lost(&error);
            }
        }
        given
    }

    fn lost(&mut self, error: &serde_json::Error) {
        let what =
            format!("a part of the report could not be redacted and is left out ({:?})", error.classify());
        self.rest.internal_errors.push(what);
    }
}

/// Masks secrets everywhere, and puts pseudonyms in the place of names and addresses when they are wanted.
pub fn redact(diagnosis: Diagnosis, pseudonyms: Option<Pseudonyms>) -> Redacted {
    let mut parts = DiagnosisParts::of(diagnosis);
    let secrets = parts.rewrite(|secrets: &mut Vec<String>, text, _| {
        if let Some(masked) = mask(text) {
            *text = masked.text;
            secrets.extend(masked.secrets);
        }
    });
    let count = secrets.len() as u64;
    // A secret that was recognised in one place is one everywhere: in an id, in capitals, cut to letters and dashes.
    let secrets: BTreeSet<String> = secrets.into_iter().collect();
    let vocabulary = Vocabulary::of_secrets(&secrets);
    if !vocabulary.is_empty() {
        parts.rewrite(|_: &mut Vec<()>, text, _| vocabulary.replace(text, TextRole::Text));
    }
    let map = pseudonyms.map(|mut pseudonyms| {
        let mut met = parts.rewrite(|met, text, _| met.extend(pseudonyms.names_in(text)));
        met.extend(pseudonyms.names_of_paths(&parts.rest.inputs));
        pseudonyms.learn(met, &secrets);
        let replaced = parts.rewrite(|replaced, text, role| pseudonyms.replace(text, role, replaced));
        let addresses: BTreeMap<String, String> = replaced.into_iter().collect();
        parts.rest.redaction.pseudonyms = pseudonyms.kinds();
        parts.rest.notice = Some(NOTICE.to_owned());
        pseudonyms.map(&addresses)
    });
    parts.rest.redaction.secrets = count;
    Redacted { diagnosis: parts.join(), pseudonyms: map }
}

/// Stands at the top of every output with pseudonyms.
const NOTICE: &str = "Names and addresses in this report are pseudonyms: equal ones stand for equal ones. In commands and manifests they stand in <angle brackets>: put the real ones there before you run them.";
