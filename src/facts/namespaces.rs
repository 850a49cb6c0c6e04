//! Namespaces that a text leaves out: `kubectl get events -n shop` prints none, and where the bundle has one object of that name
//! alone, it is meant.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

use super::event::{EventKey, EventTally};
use super::signal::SignalKey;
use super::tally::LineTally;
use super::{AttemptKey, Facts, Text};

/// The namespace of the only object of a kind and name; `None` when there are several.
type Namespaces = HashMap<(&'static str, Box<str>), Option<Text>>;

fn add<'a>(
    found: &mut Namespaces,
    kind: &'static str,
    keys: impl Iterator<Item = &'a super::Key>,
    wanted: &dyn Fn(&str, &str) -> bool,
) {
    for key in keys.filter(|key| !key.namespace.is_empty() && wanted(kind, &key.name)) {
        found
            .entry((kind, (*key.name).into()))
            .and_modify(|known| {
                if known.as_deref() != Some(&*key.namespace) {
                    *known = None;
                }
            })
            .or_insert_with(|| Some(key.namespace.clone()));
    }
}

impl Facts {
    /// Fills in what can only be meant.
    pub(super) fn complete_namespaces(&mut self) {
        let mut wanted: BTreeSet<(Box<str>, Box<str>)> = BTreeSet::new();
        for (key, _) in self.events.map.iter().filter(|(key, _)| key.namespace.is_empty()) {
            wanted.insert(((*key.kind).into(), key.name.clone()));
        }
        for (key, _) in self.signals.map.iter().filter(|(key, _)| key.namespace.is_empty()) {
            wanted.insert(("Pod".into(), key.pod.clone()));
        }
        for (key, _) in self.attempts.map.iter().filter(|(key, _)| key.pod.0.is_empty()) {
            wanted.insert(("Pod".into(), (*key.pod.1).into()));
        }
        wanted.retain(|(_, name)| !name.is_empty());
        if wanted.is_empty() {
            return;
        }
        let is_wanted =
            |kind: &str, name: &str| wanted.contains(&(Box::<str>::from(kind), Box::<str>::from(name)));
        let objects = &self.objects;
        let mut found = Namespaces::new();
        add(&mut found, "Pod", objects.pods.iter().map(|(key, _)| key), &is_wanted);
        add(&mut found, "Service", objects.services.iter().map(|(key, _)| key), &is_wanted);
        add(&mut found, "ReplicaSet", objects.replica_sets.iter().map(|(key, _)| key), &is_wanted);
        add(&mut found, "Deployment", objects.deployments.iter().map(|(key, _)| key), &is_wanted);
        add(&mut found, "StatefulSet", objects.stateful_sets.iter().map(|(key, _)| key), &is_wanted);
        add(&mut found, "DaemonSet", objects.daemon_sets.iter().map(|(key, _)| key), &is_wanted);
        add(&mut found, "Job", objects.jobs.iter().map(|(key, _)| key), &is_wanted);
        let claims = objects.claims.iter().map(|(key, _)| key);
        add(&mut found, "PersistentVolumeClaim", claims, &is_wanted);
        let of =
            |kind: &'static str, name: &str| found.get(&(kind, Box::<str>::from(name))).cloned().flatten();
        let kind_of = |kind: &str| {
            [
                "Pod",
                "Service",
                "ReplicaSet",
                "Deployment",
                "StatefulSet",
                "DaemonSet",
                "Job",
                "PersistentVolumeClaim",
            ]
            .into_iter()
            .find(|ours| *ours == kind)
        };
        let event = |key: &EventKey, _: &EventTally| {
            let namespace = of(kind_of(&key.kind)?, &key.name).filter(|_| key.namespace.is_empty())?;
            Some(EventKey { namespace, ..key.clone() })
        };
        self.events.map.relabel(event, EventTally::merge);
        let signal = |key: &SignalKey, _: &LineTally| {
            let namespace = of("Pod", &key.pod).filter(|_| key.namespace.is_empty())?;
            Some(SignalKey { namespace: (*namespace).into(), ..key.clone() })
        };
        self.signals.map.relabel(signal, LineTally::merge);
        let attempt = |key: &AttemptKey, _: &LineTally| {
            let namespace = of("Pod", &key.pod.1).filter(|_| key.pod.0.is_empty())?;
            let pod = ((*namespace).into(), key.pod.1.clone());
            Some(AttemptKey { pod, source: Arc::clone(&key.source), ..key.clone() })
        };
        self.attempts.map.relabel(attempt, LineTally::merge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{EventSeen, Origin, Pod};

    #[test]
    fn an_event_without_a_namespace_is_of_the_only_pod_of_its_name() {
        let source: Arc<str> = Arc::from("a.txt");
        let mut facts = Facts::default();
        for (namespace, name) in [("shop", "cart-1"), ("shop", "web-1"), ("test", "web-1")] {
            let mut pod = Pod::default();
            pod.metadata.namespace = namespace.into();
            pod.metadata.name = name.into();
            facts.objects.pods.add(pod, &Origin::full(1, &source, 1, 0));
        }
        for name in ["cart-1", "web-1"] {
            facts.happened(EventSeen {
                normal: false,
                reason: "Unhealthy",
                kind: "Pod",
                namespace: "",
                name,
                count: 1,
                times: [None, None],
                node: None,
                message: "x",
                source: &source,
                line: 1,
            });
        }
        facts.settle();
        let found: Vec<(&str, &str)> =
            facts.events.map.iter().map(|(key, _)| (&*key.namespace, &*key.name)).collect();
        assert_eq!(found, [("", "web-1"), ("shop", "cart-1")]);
    }
}
