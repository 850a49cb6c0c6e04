//! Conditions of objects of any kind: what a controller says of them, whether the tool knows the kind or not.
//!
//! A condition says what its name says: of most, `True` is well (`Ready`), of some it is not (`Stalled`), and of many neither is
//! (`Progressing`). Which is which stands in [`means_harm`]; of a name that stands in no list nothing is concluded.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::objects::{Condition, ConditionedObject};
use super::tally::BoundedMap;
use super::text::Text;
use crate::evidence::Evidence;

/// Names of which `False` or `Unknown` is a fault: metav1's usual ones, and those of Gateway API, cert-manager, Flux, External
/// Secrets, Karpenter, Crossplane, OLM and Azure's controllers.
const WELL: [&str; 24] = [
    "AbleToScale",
    "Accepted",
    "Available",
    "Bound",
    "Deployment",
    "Established",
    "FluxReady",
    "Healthy",
    "Initialized",
    "InstallSucceeded",
    "Launched",
    "NamesAccepted",
    "Programmed",
    "Ready",
    "Reconciled",
    "Registered",
    "Released",
    "ResolvedRefs",
    "ScalingActive",
    "SecretSynced",
    "Synced",
    "Valid",
    "Verified",
    "WebhookReady",
];

/// Names of which `True` is a fault.
const HARM: [&str; 14] = [
    "CatalogSourcesUnhealthy",
    "Conflicted",
    "Degraded",
    "DiskPressure",
    "Error",
    "Failed",
    "Failing",
    "Invalid",
    "MemoryPressure",
    "NetworkUnavailable",
    "NonStructuralSchema",
    "PIDPressure",
    "ReplicaFailure",
    "Stalled",
];

/// Reasons that say that somebody wants it so.
const MEANT: [&str; 3] = ["Disabled", "ScalingDisabled", "Suspended"];

/// Reasons that say that it is on its way.
const ON_ITS_WAY: [&str; 11] = [
    "ArtifactUpToDate",
    "Creating",
    "DependencyNotReady",
    "InProgress",
    "Installing",
    "Issuing",
    "Pending",
    "Progressing",
    "Reconciling",
    "Scheduled",
    "Waiting",
];

/// The kind under which the conditions of a node's container runtime stand, by the node's name.
pub const RUNTIME: &str = "container runtime";

/// Whether a condition tells of a fault.
pub fn means_harm(name: &str, status: &str) -> bool {
    match status {
        "False" | "Unknown" => WELL.contains(&name),
        "True" => HARM.contains(&name),
        _ => false,
    }
}

/// Whether the reason says that what is not yet so is on its way.
pub fn is_on_its_way(reason: &str) -> bool {
    ON_ITS_WAY.contains(&reason)
}

/// A condition of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConditionKey {
    /// Kind of the object, as it says itself or as the command that listed it does.
    pub kind: Text,
    /// Namespace; empty when not told.
    pub namespace: Text,
    /// Name.
    pub name: Text,
    /// Name of the condition.
    pub condition: Text,
}

/// What it was, the newest time that it was seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConditionSeen {
    /// When it became so, in microseconds since 1970, when told.
    pub since: Option<i64>,
    /// `True`, `False`, `Unknown`.
    pub status: Text,
    /// One word.
    pub reason: Text,
    /// A sentence.
    pub message: Box<str>,
    /// Where.
    pub place: Evidence,
}

/// All conditions of objects that are not kept whole, 50,000 at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// By object and name.
    map: BoundedMap<ConditionKey, Option<ConditionSeen>, 50_000>,
}

impl Conditions {
    /// Notes one; of two the newer counts.
    pub fn add(&mut self, key: ConditionKey, seen: ConditionSeen) {
        if let Some(kept) = self.map.slot(key) {
            *kept = kept.take().max(Some(seen));
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        self.map.merge(other.map, |kept, more| *kept = kept.take().max(more));
    }

    /// Puts them in order.
    pub fn settle(&mut self) {
        self.map.settle();
    }

    /// Those that tell of a fault.
    pub fn harmful(&self) -> impl Iterator<Item = (&ConditionKey, &ConditionSeen)> {
        let all = self.map.iter().filter_map(|(key, seen)| Some((key, seen.as_ref()?)));
        all.filter(|(key, seen)| means_harm(&key.condition, &seen.status) && !MEANT.contains(&&*seen.reason))
    }

    /// One condition of all objects of a kind.
    pub fn of_kind<'a>(
        &'a self,
        kind: &'a str,
        condition: &'a str,
    ) -> impl Iterator<Item = (&'a ConditionKey, &'a ConditionSeen)> {
        let all = self.map.iter().filter_map(|(key, seen)| Some((key, seen.as_ref()?)));
        all.filter(move |(key, _)| &*key.kind == kind && &*key.condition == condition)
    }

    /// Whether any was seen.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

/// The conditions of an object, and of its listeners and parents: a Gateway and its routes have them there. Of several of one
/// name one that tells of a fault stands for all.
pub fn conditions_of(
    kind: &str,
    object: &ConditionedObject,
    source: &Arc<str>,
    line: u64,
) -> Vec<(ConditionKey, ConditionSeen)> {
    let (status, meta) = (&object.status, &object.metadata);
    let nested = [&status.listeners, &status.parents, &status.ancestors].into_iter().flatten();
    let all = status.conditions.iter().chain(nested.flat_map(|part| &part.conditions));
    let mut by_name: BTreeMap<&str, &Condition> = BTreeMap::new();
    for condition in all.filter(|condition| !meta.name.is_empty() && !condition.r#type.is_empty()) {
        let kept = by_name.entry(&condition.r#type).or_insert(condition);
        if means_harm(&condition.r#type, &condition.status) {
            *kept = condition;
        }
    }
    let seen = by_name.into_values().map(|condition| {
        let Condition { r#type: name, status, reason, message, .. } = condition;
        let pointer = format!("{kind} {}/{} .status.conditions[{}]", meta.namespace, meta.name, name);
        let key = ConditionKey {
            kind: kind.into(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            condition: name.clone(),
        };
        let seen = ConditionSeen {
            since: condition.last_transition_time.0,
            status: status.clone(),
            reason: reason.clone(),
            message: (&**message).into(),
            place: Evidence::field(source, line, pointer, &format!("{name}={status} {reason}: {message}")),
        };
        (key, seen)
    });
    seen.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_a_fault_is_one() {
        assert!(
            means_harm("Ready", "False")
                && means_harm("Stalled", "True")
                && means_harm("Programmed", "Unknown")
        );
        for (name, status) in
            [("Ready", "True"), ("Progressing", "False"), ("Upgradeable", "False"), ("Issuing", "False")]
        {
            assert!(!means_harm(name, status), "{name}={status}");
        }
        assert!(is_on_its_way("Progressing") && !is_on_its_way("BuildFailed"));
    }
}
