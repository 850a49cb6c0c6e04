//! Where a fact was seen: the entry, the line or the object, and a short excerpt.
//!
//! Nothing in a report is claimed without at least one [`Evidence`]. An entry is named by its path
//! through all the archives it lies in: `logs.zip!node-1.tgz!var/log/kubelet.log`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest excerpt kept, in bytes: enough for a Forbidden line with its reason, small enough that a
/// report of thousands of lines stays light.
pub const EXCERPT_BYTES: usize = 400;

/// How many examples a tally keeps.
pub const EXAMPLES: usize = 5;

/// One place in a bundle where something was seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Path of the entry, with `!` between an archive and what lies in it.
    #[schemars(with = "String")]
    #[serde(serialize_with = "as_str", deserialize_with = "shared")]
    pub source: Arc<str>,
    /// Line in the (decompressed) entry, from 1; 0 when the whole entry is meant.
    pub line: u64,
    /// For objects: what within the entry, such as `Pod shop/cart .status.podIP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<Box<str>>,
    /// The words that say so, cut to [`EXCERPT_BYTES`].
    pub excerpt: Box<str>,
}

fn as_str<S: serde::Serializer>(value: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value)
}

fn shared<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(from).map(Into::into)
}

impl Evidence {
    /// A line of a text entry.
    pub fn line(source: &Arc<str>, line: u64, text: &[u8]) -> Self {
        Self { source: Arc::clone(source), line, pointer: None, excerpt: excerpt(text) }
    }

    /// A field of an object.
    pub fn field(source: &Arc<str>, line: u64, pointer: impl Into<Box<str>>, text: &str) -> Self {
        Self {
            source: Arc::clone(source),
            line,
            pointer: Some(pointer.into()),
            excerpt: excerpt(text.as_bytes()),
        }
    }

    /// `source:line`, as editors and people write it.
    pub fn place(&self) -> String {
        if self.line == 0 { self.source.to_string() } else { format!("{}:{}", self.source, self.line) }
    }
}

/// How sure we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Fits, and so may other things.
    Possible,
    /// Fits, and something is missing for certainty.
    Likely,
    /// The bundle shows it.
    Confirmed,
}

impl Confidence {
    /// In lower case, as in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Confirmed => "confirmed",
        }
    }
}

/// The last word before a cut is left out when it is no longer than this, in bytes.
const CUT_WORD: usize = 120;

/// Cuts bytes of a bundle to a displayable excerpt; invalid UTF-8 becomes U+FFFD.
pub fn excerpt(text: &[u8]) -> Box<str> {
    let trimmed = text.trim_ascii();
    let cut = trimmed.get(..EXCERPT_BYTES).unwrap_or(trimmed);
    // Most text is short and valid, and told so faster than it is mended.
    if cut.len() == trimmed.len()
        && let Ok(valid) = std::str::from_utf8(cut)
    {
        return valid.into();
    }
    let mut text = String::from_utf8_lossy(cut).into_owned();
    if cut.len() < trimmed.len() {
        // A cut inside a multi-byte character leaves one replacement character: drop it.
        if text.ends_with('\u{fffd}') {
            text.pop();
        }
        // Half a name is no name: it would be none of those that are masked.
        let near = text.len().saturating_sub(CUT_WORD);
        if let Some(at) = text.rfind(char::is_whitespace).filter(|at| *at > near) {
            text.truncate(at);
        }
        text.push('…');
    }
    text.into_boxed_str()
}

/// The [`EXAMPLES`] smallest pieces of evidence, whatever the order they came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examples(Vec<Evidence>);

impl Examples {
    /// Whether evidence from this place would be kept: asked before an excerpt is made.
    pub fn wants(&self, source: &Arc<str>, line: u64) -> bool {
        match self.0.last() {
            Some(last) if self.0.len() >= EXAMPLES => (source, line) <= (&last.source, last.line),
            _ => true,
        }
    }

    /// Adds one, keeping the smallest.
    pub fn add(&mut self, evidence: Evidence) {
        if let Err(at) = self.0.binary_search(&evidence) {
            // Most things are seen once.
            if self.0.is_empty() {
                self.0.reserve_exact(1);
            }
            self.0.insert(at, evidence);
            self.0.truncate(EXAMPLES);
        }
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: Self) {
        for evidence in other.0 {
            self.add(evidence);
        }
    }

    /// In order of source and line.
    pub fn as_slice(&self) -> &[Evidence] {
        &self.0
    }
}

/// The first characters of words, for a title; `…` stands for the rest.
pub fn shortened(words: &str, most: usize) -> String {
    let start: String = words.chars().take(most).collect();
    if start.len() < words.len() { format!("{}…", start.trim_end()) } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_do_not_depend_on_the_order_of_blocks() {
        let source: Arc<str> = Arc::from("a.log");
        let all: Vec<_> = (1..=20).map(|line| Evidence::line(&source, line, b"x")).collect();
        let mut forward = Examples::default();
        all.iter().cloned().for_each(|e| forward.add(e));
        let mut backward = Examples::default();
        all.iter().rev().cloned().for_each(|e| backward.add(e));
        assert_eq!(forward, backward);
        assert_eq!(forward.as_slice().iter().map(|e| e.line).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn an_excerpt_is_cut_at_a_character() {
        let text = "é".repeat(EXCERPT_BYTES);
        let text = excerpt(text.as_bytes());
        assert!(text.ends_with("é…"));
        assert!(!text.contains('\u{fffd}'));
    }
}
