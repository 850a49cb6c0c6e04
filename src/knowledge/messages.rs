//! The texts of errors, by component.

use std::sync::{LazyLock, OnceLock};

use aho_corasick::AhoCorasick;
use regex::Regex;
use serde::Deserialize;

/// The files, by component.
const FILES: [(&str, &str); 21] = [
    ("addons", include_str!("../../knowledge/messages/addons.toml")),
    ("authenticator", include_str!("../../knowledge/messages/authenticator.toml")),
    ("autoscalers", include_str!("../../knowledge/messages/autoscalers.toml")),
    ("azure", include_str!("../../knowledge/messages/azure.toml")),
    ("azure-identity", include_str!("../../knowledge/messages/azure-identity.toml")),
    ("azure-resources", include_str!("../../knowledge/messages/azure-resources.toml")),
    ("clients", include_str!("../../knowledge/messages/clients.toml")),
    ("cloud-controller", include_str!("../../knowledge/messages/cloud-controller.toml")),
    ("cluster", include_str!("../../knowledge/messages/cluster.toml")),
    ("control-plane", include_str!("../../knowledge/messages/control-plane.toml")),
    ("dns", include_str!("../../knowledge/messages/dns.toml")),
    ("etcd", include_str!("../../knowledge/messages/etcd.toml")),
    ("ingress", include_str!("../../knowledge/messages/ingress.toml")),
    ("ipam", include_str!("../../knowledge/messages/ipam.toml")),
    ("kernel", include_str!("../../knowledge/messages/kernel.toml")),
    ("kube-proxy", include_str!("../../knowledge/messages/kube-proxy.toml")),
    ("kubelet", include_str!("../../knowledge/messages/kubelet.toml")),
    ("load-balancer", include_str!("../../knowledge/messages/load-balancer.toml")),
    ("runtime", include_str!("../../knowledge/messages/runtime.toml")),
    ("storage", include_str!("../../knowledge/messages/storage.toml")),
    ("tokens", include_str!("../../knowledge/messages/tokens.toml")),
];

/// The text of an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Names it, in kebab-case.
    pub id: String,
    /// What it says of the cause: one of a closed list, [`crate::facts::Signal`] by its name, or the id of a cause of
    /// `knowledge/causes` that it names by itself.
    pub means: String,
    /// The component that writes it.
    pub by: Vec<String>,
    /// In the log of a pod it counts only when the log's path, with the pod's namespace, holds one of these words: an application may
    /// say the same of something else.
    #[serde(default)]
    pub speakers: Vec<String>,
    /// Letters that are rare in logs: a line without any of these is never looked at.
    pub anchors: Vec<String>,
    /// Words that must all stand in the text; a text in `any` of several ways has one of these besides.
    #[serde(default)]
    pub all: Vec<String>,
    /// See [`Message::all`].
    #[serde(default)]
    pub any: Vec<String>,
    /// Words none of which may stand in it.
    #[serde(default)]
    pub not: Vec<String>,
    /// What the text itself names: the group `detail` of this expression. Groups `node`, `namespace` and `pod` name whom it is about.
    #[serde(default)]
    pub pattern: Option<String>,
    /// How several groups of the expression are told as one detail: `{zone} in {region}`.
    #[serde(default)]
    pub detail: Option<String>,
    #[serde(skip)]
    built: OnceLock<Regex>,
    /// Where the component writes it.
    pub source: String,
    /// Lines as they are seen.
    pub samples: Vec<String>,
    /// Lines that look alike and mean something else.
    #[serde(default)]
    pub unlike: Vec<String>,
}

#[derive(Deserialize)]
struct MessageFile {
    message: Vec<Message>,
}

/// All messages, with what finds them.
pub struct Messages {
    all: Vec<Message>,
    /// Finds the anchors; which message each is of.
    anchors: Option<AhoCorasick>,
    owner: Vec<usize>,
}

/// Every message that is known.
#[allow(clippy::expect_used, clippy::panic, reason = "a test reads each file")]
pub static MESSAGES: LazyLock<Messages> = LazyLock::new(|| {
    let files = FILES.iter().flat_map(|(name, text)| {
        toml::from_str::<MessageFile>(text)
            .unwrap_or_else(|error| panic!("knowledge/messages/{name}.toml: {error}"))
            .message
    });
    let all: Vec<Message> = files.collect();
    let anchors =
        all.iter().enumerate().flat_map(|(at, message)| message.anchors.iter().map(move |text| (text, at)));
    let (texts, owner): (Vec<&String>, Vec<usize>) = anchors.unzip();
    Messages { anchors: AhoCorasick::new(&texts).ok(), owner, all }
});

impl Messages {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Message> {
        self.all.iter()
    }

    /// The letters by which they are found.
    pub(super) fn anchors(&self) -> impl Iterator<Item = &str> {
        self.all.iter().flat_map(|message| &message.anchors).map(String::as_str)
    }

    /// The message that a text is, and what the text itself names.
    pub fn find(&self, text: &str) -> Option<Found<'_>> {
        let anchors = self.anchors.as_ref()?;
        let mut tried = Vec::new();
        for found in anchors.find_overlapping_iter(text) {
            let Some(owner) =
                self.owner.get(found.pattern().as_usize()).filter(|owner| !tried.contains(*owner))
            else {
                continue;
            };
            tried.push(*owner);
            let Some(message) = self.all.get(*owner) else { continue };
            if let Some(found) = message.holds(text) {
                return Some(found);
            }
        }
        None
    }
}

/// Most characters of what a text names.
const NAMED: usize = 200;

/// A message in a text.
pub struct Found<'m> {
    /// Which.
    pub message: &'m Message,
    /// What the text itself names, or nothing.
    pub detail: String,
    /// Node, namespace and pod that it is about, as far as the text says.
    pub about: [String; 3],
}

impl Message {
    /// Its expression, built when a text first needs it: most runs need few of them.
    #[allow(clippy::expect_used, reason = "a test builds each")]
    fn expression(&self) -> Option<&Regex> {
        let pattern = self.pattern.as_deref()?;
        Some(self.built.get_or_init(|| Regex::new(pattern).expect("the expression can be built")))
    }

    /// What a text names, when it is this message.
    fn holds(&self, text: &str) -> Option<Found<'_>> {
        let has = |words: &String| text.contains(words.as_str());
        let fits = self.all.iter().all(has)
            && (self.any.is_empty() || self.any.iter().any(has))
            && !self.not.iter().any(has);
        if !fits {
            return None;
        }
        let Some(pattern) = self.expression() else {
            return Some(Found { message: self, detail: String::new(), about: Default::default() });
        };
        let found = pattern.captures(text)?;
        let named = |name: &str| {
            found.name(name).map_or_else(String::new, |part| part.as_str().chars().take(NAMED).collect())
        };
        let detail = self.detail.as_ref().map_or_else(
            || named("detail"),
            |words| {
                let names = pattern.capture_names().flatten();
                names.fold(words.clone(), |words, name| words.replace(&format!("{{{name}}}"), &named(name)))
            },
        );
        let detail = detail.trim().trim_end_matches('.').to_owned();
        Some(Found { message: self, detail, about: ["node", "namespace", "pod"].map(named) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_message_has_an_id_a_source_and_anchors_of_its_own_words() {
        let mut ids = BTreeSet::new();
        for message in MESSAGES.iter() {
            assert!(ids.insert(&message.id), "{} stands twice", message.id);
            assert!(!message.source.is_empty() && !message.by.is_empty(), "{}", message.id);
            for anchor in &message.anchors {
                assert!(anchor.len() >= 5, "{}: the anchor {anchor} is too short", message.id);
                // Within CSV and JSON a quote is written otherwise.
                assert!(!anchor.contains(['"', '\\']), "{}: the anchor {anchor} has a quote", message.id);
            }
            assert!(!message.samples.is_empty(), "{} has no sample", message.id);
        }
    }

    #[test]
    fn each_sample_is_its_own_message_and_no_other() {
        for message in &MESSAGES.all {
            for sample in &message.samples {
                assert!(message.holds(sample).is_some(), "{} does not know: {sample}", message.id);
                let rivals: Vec<&str> = MESSAGES
                    .all
                    .iter()
                    .filter(|other| {
                        let anchored = other.anchors.iter().any(|anchor| sample.contains(anchor.as_str()));
                        anchored && other.means != message.means && other.holds(sample).is_some()
                    })
                    .map(|other| other.id.as_str())
                    .collect();
                assert!(rivals.is_empty(), "{rivals:?} take the sample of {}: {sample}", message.id);
                assert_eq!(
                    MESSAGES.find(sample).map(|found| &found.message.means),
                    Some(&message.means),
                    "{sample}"
                );
            }
            for line in &message.unlike {
                assert!(
                    MESSAGES.find(line).is_none_or(|found| found.message.id != message.id),
                    "{} takes: {line}",
                    message.id
                );
            }
        }
    }
}
