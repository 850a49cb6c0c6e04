//! What the detectors of this chapter share.

use crate::cluster::Cluster;
use crate::cluster::service::{Fault, PortState, State};
use crate::detectors::{Finding, Need, shell};
use crate::evidence::{Evidence, excerpt};
use crate::facts::Key;

/// Services with their selectors.
pub(super) const SERVICES: Need = Need {
    what: "the services",
    why: "their selectors and ports are compared with the pods",
    command: "kubectl get services,endpoints,endpointslices -A -o json > services.json",
    met: |cluster| !cluster.facts.objects.services.is_empty(),
};

/// Pods with their labels.
pub(super) const PODS: Need = Need {
    what: "the pods with their labels",
    why: "selectors are compared with their labels",
    command: "kubectl get pods -A -o json > pods.json",
    met: |cluster| cluster.groups.all.iter().any(|group| group.labels.is_some()),
};

pub(super) use crate::detectors::observed::subject;

/// Where an object stands, with words on what it says.
pub(super) fn at(mut places: Vec<Evidence>, words: &str) -> Option<Evidence> {
    let first = (!places.is_empty()).then(|| places.swap_remove(0))?;
    Some(Evidence { excerpt: excerpt(words.as_bytes()), ..first })
}

/// Where a pod stands.
pub(super) fn pod_at(cluster: &Cluster, key: &Key, words: &str) -> Option<Evidence> {
    let seen = cluster.facts.objects.pods.get(&key.namespace, &key.name)?;
    at(seen.evidence("Pod", key), words)
}

/// Where a service stands.
pub(super) fn service_at(cluster: &Cluster, key: &Key, words: &str) -> Option<Evidence> {
    let seen = cluster.facts.objects.services.get(&key.namespace, &key.name)?;
    at(seen.evidence("Service", key), words)
}

/// Where the endpoints of a service stand.
pub(super) fn endpoints_at(cluster: &Cluster, state: &State, words: &str) -> Option<Evidence> {
    let (kind, key) = state.published.as_ref()?.from.first()?;
    let objects = &cluster.facts.objects;
    let places = match *kind {
        "Endpoints" => objects.endpoints.get(&key.namespace, &key.name)?.evidence(kind, key),
        _ => objects.endpoint_slices.get(&key.namespace, &key.name)?.evidence(kind, key),
    };
    at(places, words)
}

/// The selector of a service.
pub(super) fn selector(cluster: &Cluster, key: &Key) -> String {
    let seen = cluster.facts.objects.services.get(&key.namespace, &key.name);
    seen.map_or_else(String::new, |seen| crate::cluster::selector::pairs(&seen.object.spec.selector))
}

/// `-n namespace name`, for commands.
pub(super) fn named(key: &Key) -> String {
    format!("{} -n {}", shell(&key.name), shell(&key.namespace))
}

/// The commands that show a service and its endpoints.
pub(super) fn look(key: &Key) -> Vec<String> {
    vec![
        format!("kubectl describe service {}", named(key)),
        format!(
            "kubectl get endpointslices -n {} -l kubernetes.io/service-name={}",
            shell(&key.namespace),
            shell(&key.name)
        ),
    ]
}

/// The check that a service has endpoints again.
pub(super) fn verify(key: &Key) -> Vec<String> {
    vec![format!(
        "kubectl get endpointslices -n {} -l kubernetes.io/service-name={} -o wide   # ENDPOINTS lists the pod IPs",
        shell(&key.namespace),
        shell(&key.name)
    )]
}

/// `80/TCP (http)`.
pub(super) fn port_shown(port: &PortState) -> String {
    let name = if port.name.is_empty() { String::new() } else { format!(" ({})", port.name) };
    format!("{}/{}{name}", port.port, port.protocol.name())
}

/// The ports that pods declare, for people.
pub(super) fn declared(port: &PortState) -> String {
    let text = port.declared.iter().map(|(number, protocol, name)| {
        let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
        format!("{number}/{}{name}", protocol.name())
    });
    text.collect::<Vec<_>>().join(", ")
}

/// One finding for each fault of a kind.
pub(super) fn each(
    cluster: &Cluster,
    item: impl Fn(&Key, &State, &Fault) -> Option<Finding>,
) -> Vec<Finding> {
    cluster.services.faults().filter_map(|(key, state, fault)| item(key, state, fault)).collect()
}

/// Whether the endpoints of the bundle agree that nothing is there.
pub(super) fn endpoints_empty(state: &State) -> bool {
    state.published.as_ref().is_some_and(|published| published.complete && published.ready.is_empty())
}
