//! What the detectors of network policies share.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cluster::policy::{
    Answer, CompiledRule, Direction, End, EngineKind, Policy, PolicyVerdict, Socket,
};
use crate::cluster::reach::Backend;
use crate::cluster::selector::{self, LabelGroup};
use crate::detectors::Need;
use crate::evidence::Evidence;
use crate::facts::{Key, LabelSelector, Text};

use super::common;

/// Network policies.
pub(super) const POLICIES: Need = Need {
    what: "the network policies, with the labels of namespaces",
    why: "their rules are evaluated",
    command: "kubectl get networkpolicies,namespaces -A -o json > policies.json",
    met: |cluster| cluster.facts.has_list("NetworkPolicy") || cluster.policies.iter().len() > 0,
};

/// How sure an evaluation is: to the letter of the API, or by the engine that runs.
pub(super) fn sure(cluster: &Cluster) -> &'static str {
    match cluster.policies.engine.kind {
        EngineKind::Unknown => {
            " The bundle does not show which network policy engine runs; the policies were evaluated as the Kubernetes API defines them."
        }
        _ => "",
    }
}

/// Where a policy stands.
pub(super) fn policy_at(cluster: &Cluster, key: &Key, words: &str) -> Option<Evidence> {
    let seen = cluster.facts.objects.network_policies.get(&key.namespace, &key.name)?;
    common::at(seen.evidence("NetworkPolicy", key), words)
}

/// Groups of pods that can't reach any of some places, by the policies that isolate them.
pub(super) struct Blocked<'a> {
    /// The policies.
    pub(super) policies: Vec<Key>,
    /// The groups.
    pub(super) groups: Vec<&'a LabelGroup>,
}

impl Blocked<'_> {
    /// How many pods.
    pub(super) fn pods(&self) -> usize {
        self.groups.iter().map(|group| group.pods.len()).sum()
    }

    /// All of them.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.groups.iter().flat_map(|group| &group.pods)
    }
}

/// The first pod of a group that policies can select.
pub(super) fn one_of<'a>(cluster: &'a Cluster, group: &'a LabelGroup) -> Option<End<'a>> {
    let key = group.pods.first()?;
    let seen = cluster.facts.objects.pods.get(&key.namespace, &key.name)?;
    (!seen.object.spec.host_network).then(|| End::pod(key, &seen.object, &cluster.groups))
}

/// Who can't reach any of the places on any of the sockets, although policies could be told.
pub(super) fn blocked<'a>(cluster: &'a Cluster, to: &[(End<'a>, Socket)]) -> Vec<Blocked<'a>> {
    let mut found: BTreeMap<Vec<Key>, Vec<&LabelGroup>> = BTreeMap::new();
    for group in cluster.groups.all.iter().filter(|group| group.labels.is_some()) {
        let isolated = cluster.policies.of(&group.namespace).next().is_some();
        // Who is not isolated in a namespace without policies may still be refused by the other side.
        if !isolated && !to.iter().any(|(end, _)| matches!(end, End::Pod(pod) if cluster.policies.of(&pod.key.namespace).next().is_some())) {
            continue;
        }
        let Some(from) = one_of(cluster, group) else { continue };
        let verdicts: Vec<PolicyVerdict> =
            to.iter().map(|(end, socket)| cluster.policies.evaluate(&from, end, *socket)).collect();
        if verdicts.is_empty() || verdicts.iter().any(|verdict| verdict.answer() != Answer::No) {
            continue;
        }
        let Some(first) = verdicts.first() else { continue };
        let egress = first.egress.answer == Answer::No;
        let by = if egress { first.egress.isolated_by.clone() } else { first.ingress.isolated_by.clone() };
        found.entry(by).or_default().push(group);
    }
    found.into_iter().map(|(policies, groups)| Blocked { policies, groups }).collect()
}

/// The ways to a service as ends and sockets.
pub(super) fn ways(backends: Vec<Backend<'_>>) -> Vec<(End<'_>, Socket)> {
    backends.into_iter().map(|backend| (backend.end, backend.socket)).collect()
}

/// `NetworkPolicy shop/deny`, `NetworkPolicies a/b, c/d and 2 more`.
pub(super) fn titled(keys: &[Key]) -> String {
    let kind = if keys.len() == 1 { "NetworkPolicy" } else { "NetworkPolicies" };
    let names: Vec<String> = keys.iter().map(Key::label).collect();
    format!("{kind} {}", crate::detectors::observed::listed(names.iter().map(String::as_str), 2))
}

/// Names of policies.
pub(super) fn names(keys: &[Key]) -> String {
    keys.iter().map(Key::label).collect::<Vec<_>>().join(", ")
}

/// Whether pods of the bundle can tell that a selector takes nobody.
pub(super) fn pods_known(cluster: &Cluster) -> bool {
    cluster.facts.has_list("Pod") && cluster.groups.all.iter().all(|group| group.labels.is_some())
}

/// The namespaces of the bundle.
pub(super) fn namespaces(cluster: &Cluster) -> Vec<&Text> {
    cluster.facts.objects.namespaces.iter().map(|(key, _)| &key.name).collect()
}

/// Why a peer by labels means nobody.
#[derive(Clone, Debug)]
pub(super) enum Dead {
    /// No namespace has the labels.
    Namespaces(LabelSelector),
    /// No pod of the namespaces has the labels.
    Pods(LabelSelector, Vec<Text>),
}

/// Whether a peer means somebody; nothing when it does, or when it can't be told.
pub(super) fn dead(cluster: &Cluster, policy: &Policy, peer: &crate::cluster::policy::Peer) -> Option<Dead> {
    use crate::cluster::policy::Peer;
    let Peer::Pods { namespaces: wanted, pods } = peer else { return None };
    if !pods_known(cluster) || !cluster.facts.has_list("Namespace") {
        return None;
    }
    let taken: Vec<Text> = match wanted {
        None => vec![policy.key.namespace.clone()],
        Some(selector) => {
            let mut taken = Vec::new();
            for namespace in namespaces(cluster) {
                match cluster.policies.takes_namespace(selector, namespace) {
                    Answer::Yes => taken.push(namespace.clone()),
                    Answer::Unknown => return None,
                    Answer::No => {}
                }
            }
            if taken.is_empty() {
                return Some(Dead::Namespaces(selector.clone()));
            }
            taken
        }
    };
    let selector = pods.as_ref().filter(|selector| !selector::takes_all(selector))?;
    let anybody = taken.iter().any(|namespace| cluster.groups.selected(namespace, selector).next().is_some());
    // A namespace without any pod says nothing about labels.
    let empty = taken.iter().all(|namespace| cluster.groups.in_namespace(namespace).next().is_none());
    (!anybody && !empty).then(|| Dead::Pods(selector.clone(), taken))
}

/// Whether a rule lets anybody pass at all.
pub(super) fn lets_somebody(cluster: &Cluster, policy: &Policy, rule: &CompiledRule) -> bool {
    use crate::cluster::policy::Peer;
    let somebody = |peer: &Peer| match peer {
        Peer::Broken => false,
        Peer::Block { .. } => true,
        Peer::Pods { .. } => dead(cluster, policy, peer).is_none(),
    };
    rule.peers.is_empty() || rule.peers.iter().any(somebody)
}

/// Whether the policies that isolate a pod let anybody come in.
pub(super) fn nobody_comes_in<'a>(cluster: &'a Cluster, end: &End<'_>) -> Option<Vec<&'a Policy>> {
    let isolating = cluster.policies.isolating(end, Direction::Ingress);
    if isolating.is_empty() || cluster.policies.engine.kind == EngineKind::None {
        return None;
    }
    let open = isolating.iter().any(|policy| {
        let rules = policy.spec.as_ref().and_then(|spec| spec.rules(Direction::Ingress)).unwrap_or_default();
        rules.iter().any(|rule| lets_somebody(cluster, policy, rule))
    });
    (!open).then_some(isolating)
}
