//! What a selector may have meant: the nearest pods, other namespaces, workloads.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::selector::Groups;
use crate::facts::{Facts, Form, Key, Labels, Text};

/// Pods that lack little of what a selector asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// Some of the pods.
    pub pods: Vec<Key>,
    /// How many there are.
    pub count: usize,
    /// What differs: key, wanted, found (nothing when the key is absent).
    pub differs: Vec<(String, String, Option<String>)>,
}

/// What is nearest to a selector that takes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nearest {
    /// Namespaces in which the selector would take pods, with how many.
    pub elsewhere: Vec<(String, usize)>,
    /// A workload that has the labels itself and does not give them to its pods: `Deployment shop/cart`.
    pub on_workload: Option<String>,
    /// A workload that would make such pods, and made none: `ReplicaSet shop/cart-1`.
    pub no_pods_of: Option<String>,
    /// The nearest pods of the namespace.
    pub near: Option<Near>,
    /// The bundle has endpoints for it, and they are empty.
    pub confirmed: bool,
}

/// Answers what a selector may have meant.
pub(super) struct Finder<'a> {
    facts: &'a Facts,
    groups: &'a Groups,
    /// Namespaces of which some pod is in the bundle.
    with_pods: BTreeSet<&'a str>,
    with_endpoints: BTreeSet<&'a str>,
    /// Groups by each of their labels, over all namespaces.
    by_pair: BTreeMap<(&'a Text, &'a Text), Vec<usize>>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(facts: &'a Facts, groups: &'a Groups) -> Self {
        let objects = &facts.objects;
        let with_pods = objects.pods.iter().map(|(key, _)| &*key.namespace).collect();
        let endpoints = objects.endpoints.iter().map(|(key, _)| &*key.namespace);
        let slices = objects.endpoint_slices.iter().map(|(key, _)| &*key.namespace);
        let mut by_pair: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, group) in groups.all.iter().enumerate() {
            for pair in group.labels.iter().flat_map(Labels::iter) {
                by_pair.entry(pair).or_default().push(at);
            }
        }
        Self { facts, groups, with_pods, with_endpoints: endpoints.chain(slices).collect(), by_pair }
    }

    /// Whether the pods of a namespace are all in the bundle, as far as it tells: some of them are, or the list
    /// spans several namespaces.
    pub(super) fn pods_listed(&self, namespace: &str) -> bool {
        self.facts.has_list("Pod") && (self.with_pods.contains(namespace) || self.with_pods.len() > 1)
    }

    /// The same of endpoints.
    pub(super) fn endpoints_listed(&self, namespace: &str) -> bool {
        self.with_endpoints.contains(namespace) || self.with_endpoints.len() > 1
    }

    /// A workload whose pods a selector would take, and that has none by choice.
    pub(super) fn scaled_to_zero(&self, namespace: &str, selector: &Labels) -> Option<String> {
        let taken = |labels: &Labels| selector.iter().all(|(key, value)| labels.get(key) == Some(value));
        let objects = &self.facts.objects;
        let stores = [("Deployment", &objects.deployments), ("StatefulSet", &objects.stateful_sets)];
        stores.into_iter().find_map(|(kind, store)| {
            let mut ours = store.iter().filter(|(key, _)| &*key.namespace == namespace);
            let (key, _) = ours.find(|(_, seen)| {
                let spec = &seen.object.spec;
                spec.replicas == Some(0) && taken(&spec.template.metadata.labels)
            })?;
            Some(format!("{kind} {}", key.label()))
        })
    }

    /// A `DaemonSet` behind a service that wants no pod on any node, such as one for Windows where there is no such node. A table
    /// tells no labels: there it is the one of the service's own name.
    pub(super) fn daemon_set_of_none(&self, service: &Key, selector: &Labels) -> Option<String> {
        let mut ours = self.facts.objects.daemon_sets.of_namespace(&service.namespace);
        let (key, _) = ours.find(|(key, seen)| {
            let labels = &seen.object.spec.template.metadata.labels;
            let takes = selector.iter().all(|(name, value)| labels.get(name) == Some(value));
            let named = labels.is_empty()
                && (key.name == service.name || selector.iter().any(|(_, value)| *value == key.name));
            let none = seen.object.spec.replicas == Some(0)
                || seen.object.status.desired_number_scheduled == Some(0);
            none && (takes && !labels.is_empty() || named)
        })?;
        Some(format!("DaemonSet {}", key.label()))
    }

    /// What comes nearest to a selector that takes nothing.
    pub(super) fn nearest(&self, service: &Key, selector: &'a Labels) -> Nearest {
        let objects = &self.facts.objects;
        let mut nearest = Nearest {
            confirmed: self.facts.objects.endpoints.get(&service.namespace, &service.name).is_some()
                || (self.facts.has_list("EndpointSlice") && self.endpoints_listed(&service.namespace)),
            ..Nearest::default()
        };
        // Other namespaces: asked by the rarest pair.
        let lists = selector.iter().map(|pair| self.by_pair.get(&pair).map_or(&[][..], Vec::as_slice));
        let mut elsewhere: BTreeMap<String, usize> = BTreeMap::new();
        for at in lists.min_by_key(|list| list.len()).unwrap_or_default() {
            let Some(group) = self.groups.all.get(*at) else { continue };
            let current = group.labels.as_ref();
            let all =
                current.is_some_and(|ours| selector.iter().all(|(key, value)| ours.get(key) == Some(value)));
            if all && group.namespace != service.namespace {
                *elsewhere.entry(group.namespace.to_string()).or_default() += group.pods.len();
            }
        }
        nearest.elsewhere = elsewhere.into_iter().collect();
        let taken = |labels: &Labels| selector.iter().all(|(key, value)| labels.get(key) == Some(value));
        let stores = [
            ("Deployment", &objects.deployments),
            ("StatefulSet", &objects.stateful_sets),
            ("DaemonSet", &objects.daemon_sets),
        ];
        for (kind, store) in stores {
            for (key, seen) in store.iter().filter(|(key, _)| key.namespace == service.namespace) {
                let template = &seen.object.spec.template.metadata.labels;
                if seen.form < Form::Describe {
                    continue;
                }
                if taken(template) && nearest.no_pods_of.is_none() {
                    nearest.no_pods_of = Some(format!("{kind} {}", key.label()));
                } else if taken(&seen.object.metadata.labels) && nearest.on_workload.is_none() {
                    nearest.on_workload = Some(format!("{kind} {}", key.label()));
                }
            }
        }
        nearest.near = self.near(service, selector);
        nearest
    }

    /// The pods of the namespace that differ least: those that share a pair, or whose value is spelt alike.
    fn near(&self, service: &Key, selector: &Labels) -> Option<Near> {
        let mut best: Option<(usize, usize, Near)> = None;
        for group in self.groups.in_namespace(&service.namespace) {
            let Some(labels) = &group.labels else { continue };
            let mut differs = Vec::new();
            let mut distance = 0;
            let mut alike = false;
            for (key, wanted) in selector.iter() {
                match labels.get(key) {
                    Some(current) if current == wanted => alike = true,
                    current => {
                        let edits =
                            current.map_or(wanted.len() + 4, |ours| strsim::levenshtein(ours, wanted));
                        alike |= current.is_some() && edits <= 2 + wanted.len() / 4;
                        distance += edits;
                        differs.push((key.to_string(), wanted.to_string(), current.map(ToString::to_string)));
                    }
                }
            }
            // A pod whose name is that of the service is meant, whatever its labels are.
            let namesake = group.pods.first().is_some_and(|pod| pod.name.starts_with(&*service.name));
            if !alike && !namesake {
                continue;
            }
            let rank = (differs.len(), distance);
            if best.as_ref().is_none_or(|(count, far, _)| rank < (*count, *far)) {
                let pods = group.pods.iter().take(3).cloned().collect();
                best = Some((rank.0, rank.1, Near { pods, count: group.pods.len(), differs }));
            }
        }
        best.map(|(_, _, near)| near)
    }

    /// What an `ExternalName` within the cluster lacks: `service.namespace.svc.cluster.local`.
    pub(super) fn external_name_missing(&self, name: &str) -> Option<String> {
        let inside = name.trim_end_matches('.').strip_suffix(".svc.cluster.local");
        let (service, namespace) = inside.or_else(|| name.strip_suffix(".svc"))?.rsplit_once('.')?;
        let service = service.rsplit('.').next().unwrap_or(service);
        let objects = &self.facts.objects;
        if self.facts.has_list("Namespace") && objects.namespaces.get("", namespace).is_none() {
            return Some(format!("namespace {namespace}"));
        }
        let of_it = objects.services.iter().any(|(key, _)| &*key.namespace == namespace);
        let all = self.facts.has_list("Service") && (of_it || self.with_pods.len() > 1);
        (all && objects.services.get(namespace, service).is_none())
            .then(|| format!("service {namespace}/{service}"))
    }
}
