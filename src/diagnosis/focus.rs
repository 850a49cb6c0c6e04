//! What the customer asks about: the objects that were described by name, or that the note names, beside those that only
//! stand in a list.

use std::collections::BTreeSet;

use crate::cluster::Cluster;
use crate::detectors::{Finding, SubjectRef};
use crate::facts::{Form, Key, Object, Store};

/// More objects of a kind than this were not picked by name.
const PICKED: usize = 4;
/// Shortest name that a note may mean. One without a dash or a number may be an ordinary word.
const NAME: usize = 4;

/// What the customer asks about.
#[derive(Debug, Default)]
pub(super) struct Focus {
    pods: BTreeSet<Key>,
    workloads: BTreeSet<Key>,
}

/// The objects that were described or sent whole, when they are few of many.
fn picked<T: Object>(store: &Store<T>, forms: &[Form]) -> Vec<Key> {
    let found: Vec<Key> = store
        .iter()
        .filter(|(_, seen)| forms.contains(&seen.form))
        .map(|(key, _)| key.clone())
        .take(PICKED + 1)
        .collect();
    if found.len() <= PICKED { found } else { Vec::new() }
}

impl Focus {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let objects = &cluster.facts.objects;
        // Where pods are rows of tables, a workload that was sent whole was picked; in a dump everything is whole.
        let rows = objects.pods.iter().filter(|(_, seen)| seen.form == Form::Table).count();
        let by_name: &[Form] =
            if rows * 2 > objects.pods.len() { &[Form::Describe, Form::Full] } else { &[Form::Describe] };
        let mut focus = Self::default();
        focus.pods.extend(picked(&objects.pods, &[Form::Describe]));
        for store in [&objects.deployments, &objects.stateful_sets, &objects.daemon_sets, &objects.jobs] {
            focus.workloads.extend(picked(store, by_name));
        }
        // Of what stands alone in the bundle nothing is better known than the rest.
        if objects.pods.len() <= focus.pods.len() {
            focus.pods.clear();
        }
        let words: BTreeSet<&str> = cluster
            .facts
            .notes
            .as_slice()
            .iter()
            .flat_map(|note| note.excerpt.split(|c: char| !(c.is_ascii_alphanumeric() || "-.".contains(c))))
            .map(|word| word.trim_matches('.'))
            .filter(|word| word.len() >= NAME && word.contains(|c: char| c == '-' || c.is_ascii_digit()))
            .collect();
        if !words.is_empty() {
            let pods = objects.pods.iter().map(|(key, _)| key);
            focus.pods.extend(pods.filter(|key| words.contains(&*key.name)).cloned());
            for store in [&objects.deployments, &objects.stateful_sets, &objects.daemon_sets, &objects.jobs] {
                let workloads = store.iter().map(|(key, _)| key);
                focus.workloads.extend(workloads.filter(|key| words.contains(&*key.name)).cloned());
            }
        }
        focus
    }

    /// Whether a finding is about something of it.
    pub(super) fn holds(&self, finding: &Finding) -> bool {
        finding.subjects.iter().any(|subject| self.holds_subject(subject))
    }

    fn holds_subject(&self, subject: &SubjectRef) -> bool {
        let key = Key::new(subject.namespace.as_str(), subject.name.as_str());
        if subject.kind != "Pod" {
            return self.workloads.contains(&key);
        }
        let made_of = |workload: &Key| {
            workload.namespace == key.namespace
                && key.name.strip_prefix(&*workload.name).is_some_and(|rest| rest.starts_with('-'))
        };
        self.pods.contains(&key) || self.workloads.iter().any(made_of)
    }
}
