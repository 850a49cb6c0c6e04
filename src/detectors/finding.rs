//! What a detector says: a finding, with its evidence, its cause and its fix.

use std::cmp::Reverse;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::details::Details;
use crate::evidence::{Confidence, Evidence};
pub use crate::facts::text::{shell, slug};
use crate::facts::time;

/// What it does to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing: told for completeness.
    Info,
    /// A nuisance.
    Low,
    /// Something does not work.
    Medium,
    /// Something important does not work.
    High,
    /// New pods, a node or the cluster do not work.
    Critical,
}

impl Severity {
    /// In lower case, as in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Whether it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FindingState {
    /// At the time of the capture: the state of an object, or the end of the log that tells of it.
    Ongoing,
    /// It was over before: its log goes on without it, or says that it works again.
    Ended,
    /// What tells of it has no time.
    #[default]
    Unknown,
}

impl FindingState {
    /// In lower case, as in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ongoing => "ongoing",
            Self::Ended => "ended",
            Self::Unknown => "unknown",
        }
    }

    /// Of what a log says: whether it was over when the log ended.
    pub fn of(over: Option<bool>) -> Self {
        over.map_or(Self::Unknown, |over| if over { Self::Ended } else { Self::Ongoing })
    }
}

/// An object, user or node that a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct SubjectRef {
    /// `ServiceAccount`, `User`, `Node`, `Pod`, …
    pub kind: String,
    /// Empty for what has none.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fix {
    /// In words.
    pub text: String,
    /// To paste, with the real names.
    pub commands: Vec<String>,
    /// YAML for `kubectl apply`.
    pub manifests: Vec<String>,
}

/// Why a finding stands under another: set by the diagnosis, once all are known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// Id of the finding that is the cause.
    pub by: String,
    /// How the two are related.
    pub because: String,
}

/// One fault that a detector found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable: the detector's id and the subject.
    pub id: String,
    /// Which detector.
    #[serde(skip_deserializing)]
    pub detector: &'static str,
    /// The fault in one line.
    pub title: String,
    /// What it does to the user.
    pub severity: Severity,
    /// How sure we are.
    pub confidence: Confidence,
    /// Whether it goes on.
    #[serde(default)]
    pub state: FindingState,
    /// What it is about.
    pub subjects: Vec<SubjectRef>,
    /// How many of `unit`.
    pub count: u64,
    /// What is counted, in the singular: `request`, `address`, `refusal`, `node`, …
    #[serde(skip_deserializing)]
    pub unit: &'static str,
    /// RFC 3339.
    pub first_seen: Option<String>,
    /// RFC 3339.
    pub last_seen: Option<String>,
    /// Where it was seen; never empty.
    pub evidence: Vec<Evidence>,
    /// The detector's own facts.
    pub details: Details,
    /// Why, in plain words.
    pub cause: String,
    /// What to do.
    pub fix: Fix,
    /// How to check that the fix worked.
    pub verify: Vec<String>,
    /// Findings that are the cause of this one, and how they are related to it.
    pub explained_by: Vec<Explanation>,
}

impl Finding {
    /// A finding needs evidence from the start.
    pub fn new(detector: &'static str, about: &str, title: String, evidence: Vec<Evidence>) -> Option<Self> {
        (!evidence.is_empty()).then(|| Self {
            id: format!("{detector}.{}", slug(about)),
            detector,
            title,
            severity: Severity::Info,
            confidence: Confidence::Possible,
            state: FindingState::Unknown,
            subjects: Vec::new(),
            count: 1,
            unit: "sighting",
            first_seen: None,
            last_seen: None,
            evidence,
            details: Details::default(),
            cause: String::new(),
            fix: Fix::default(),
            verify: Vec::new(),
            explained_by: Vec::new(),
        })
    }

    /// The worst first, and what stands for many after those.
    pub fn rank(&self) -> impl Ord + use<> {
        (
            Reverse((self.severity, self.confidence)),
            super::worst::is_rest(self),
            Reverse(self.count),
            self.id.clone(),
        )
    }

    /// Whether it rests on the present state of an object, not on events and logs alone.
    pub fn rests_on_an_object(&self) -> bool {
        let of_object = |pointer: &str| {
            pointer.starts_with(|c: char| c.is_ascii_uppercase()) && !pointer.starts_with("Event ")
        };
        self.evidence.iter().any(|item| item.pointer.as_deref().is_some_and(of_object))
    }

    /// First and last time, in microseconds since 1970.
    pub fn seen(&mut self, span: Option<(i64, i64)>) {
        self.first_seen = span.map(|(first, _)| time::rfc3339_text(first));
        self.last_seen = span.map(|(_, last)| time::rfc3339_text(last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_anchors() {
        assert_eq!(slug("system:serviceaccount:shop:cart"), "system-serviceaccount-shop-cart");
        assert_eq!(slug("<script>alert(1)</script>"), "script-alert-1-script");
    }

    #[test]
    fn a_finding_without_evidence_can_not_be_made() {
        assert!(Finding::new("x", "y", "z".into(), vec![]).is_none());
    }
}
