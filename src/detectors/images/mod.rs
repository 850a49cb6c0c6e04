//! Failed image pulls, containers that exit.

mod container_cannot_start;
mod container_crash_loop;
mod container_out_of_memory;
mod image_not_found;
mod image_pull_failing;
mod image_pull_forbidden;
mod image_pull_unauthorized;
mod pod_evicted;
mod registry_unreachable;

super::detectors![
    image_pull_unauthorized,
    image_pull_forbidden,
    registry_unreachable,
    image_not_found,
    image_pull_failing,
    container_cannot_start,
    container_out_of_memory,
    container_crash_loop,
    pod_evicted,
];

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::Cluster;
use crate::cluster::pods::workload_name;
use crate::facts::{Condition, ContainerState, ContainerStatus, Key, Pod, Seen, Signal, time};

use super::Finding;
use super::Need;
use super::observed::{self, Observed};
use super::shell;

/// Where failed pulls are reported.
const PULLS: Need = Need {
    what: "events, or logs of the kubelet and the container runtime",
    why: "they hold the error of a failed image pull",
    command: "kubectl get events -A -o json > events.json",
    met: |cluster| cluster.facts.events.read > 0 || super::needs::has_node_logs(cluster),
};

/// The registry of an image: what stands before the first slash when it looks like a host.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) => host,
        _ => "docker.io",
    }
}

/// Failed pulls of one kind, by registry.
fn pulls(cluster: &Cluster, signal: Signal) -> BTreeMap<String, Observed> {
    observed::signals(cluster, |key| {
        let image = key.detail.split(' ').next().unwrap_or_default();
        (key.signal == signal).then(|| registry(image).to_owned())
    })
}

/// Whether failed pulls are over: the pods that they kept back run by now, or the logs go on without.
fn pulled_since(cluster: &Cluster, given: &Observed) -> bool {
    observed::all_ready(cluster, &given.pods)
        || observed::have_come_up(cluster, &given.pods, given.span)
        || given.is_over(cluster)
}

/// The images that the lines name and the pods that pull them, for a sentence.
fn images_and_pods(given: &Observed) -> String {
    let images =
        observed::listed(given.details.iter().map(|detail| detail.split(' ').next().unwrap_or(detail)), 3);
    let pods: Vec<String> = given.pods.iter().map(Key::label).collect();
    let pods = observed::listed(pods.iter().map(String::as_str), 3);
    if pods.is_empty() { images } else { format!("{images} (pods: {pods})") }
}

/// All containers of a pod, with those that run before the others.
fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses)
}

/// When a container ended last, twice, as a span.
fn ended_at(status: &ContainerStatus) -> Option<(i64, i64)> {
    let last = status.last_state.terminated.as_ref().or(status.state.terminated.as_ref())?;
    let at = last.finished_at.0?;
    Some((at, at))
}

/// A pod's status has the time of the last exit only: after several restarts the first one is unknown.
fn with_known_start(mut finding: Finding, restarts: u32) -> Finding {
    if restarts > 1 {
        finding.first_seen = None;
    }
    finding
}

/// A container that was `OOMKilled`.
fn out_of_memory(state: &ContainerState) -> bool {
    state.terminated.as_ref().is_some_and(|item| &*item.reason == "OOMKilled")
}

/// Namespace, owner and container: what one finding about containers is about.
type ContainerOf = (String, String, String);

/// The workload of a pod, or the pod itself, with the container.
fn place(key: &Key, pod: &Pod, status: &ContainerStatus) -> ContainerOf {
    (key.namespace.to_string(), workload_name(key, pod), status.name.to_string())
}

/// How to see that a workload runs again: a changed template makes pods of other names.
fn runs_again(cluster: &Cluster, namespace: &str, owner: &str, pods: &BTreeSet<Key>) -> String {
    let of_deployment = pods.iter().any(|key| {
        let seen = cluster.facts.objects.pods.get(&key.namespace, &key.name);
        let reference = seen.and_then(|seen| seen.object.metadata.owner_references.first());
        reference.is_some_and(|reference| &*reference.kind == "ReplicaSet" && *reference.name != *owner)
    });
    let (namespace, owner) = (shell(namespace), observed::host_word(owner, "POD"));
    if of_deployment {
        format!(
            "kubectl rollout status deployment/{owner} -n {namespace}   # successfully rolled out; RESTARTS stays the same"
        )
    } else {
        format!(
            "kubectl get pods -n {namespace} | grep {owner}   # Running and ready, RESTARTS stays the same"
        )
    }
}

/// Since when a pod is not ready, when it never was: its status has no time of the first failure.
fn never_ready_since(pod: &Pod) -> Option<i64> {
    let not_ready = |item: &&Condition| &*item.r#type == "Ready" && &*item.status == "False";
    let (since, made) = (
        pod.status.conditions.iter().find(not_ready)?.last_transition_time.0?,
        pod.metadata.creation_timestamp.0?,
    );
    // Later it may have been ready in between.
    (since - made < 120 * 1_000_000).then_some(since)
}

/// With the onset of the harm, when that is known and no earlier time stands.
fn with_onset(mut finding: Finding, since: Option<i64>) -> Finding {
    if finding.first_seen.is_none() {
        finding.first_seen = since.map(time::show);
    }
    finding
}

/// `shop/cart-5d8 container app:`, the start of a title. A row of a table does not name containers.
fn labelled(namespace: &str, owner: &str, container: &str) -> String {
    // Rows below `Events:` alone name no pod, a table of one namespace does not name it.
    let owner = if owner.is_empty() { "Unidentified pod" } else { owner };
    let workload = if namespace.is_empty() { owner.to_owned() } else { format!("{namespace}/{owner}") };
    if container.is_empty() { format!("{workload}:") } else { format!("{workload} container {container}:") }
}

/// ` in namespace shop`, or nothing where it is not known.
fn in_namespace(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!(" in namespace {namespace}") }
}

/// `container app: `; a row of a table does not name containers.
fn of_container(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("container {name}: ") }
}

/// `3 pods, `, or nothing for a single one.
fn several(pods: usize) -> String {
    if pods == 1 { String::new() } else { format!("{pods} pods, ") }
}

/// `8 restarts`, of several pods `up to 8 restarts`.
fn restarts(most: u32, pods: usize) -> String {
    let counted = if most == 1 { "1 restart".to_owned() } else { format!("{most} restarts") };
    if pods == 1 { counted } else { format!("up to {counted}") }
}

/// Adds a container to what is known of its workload.
fn add(observed: &mut Observed, key: &Key, seen: &Seen<Pod>, status: &ContainerStatus, state: &str) {
    observed.count += 1;
    observed.pods.insert(key.clone());
    observed.evidence.extend(seen.evidence("Pod", key).into_iter().take(1).map(|mut place| {
        place.excerpt =
            format!("{}{state}, {} restarts", of_container(&status.name), status.restart_count).into();
        place
    }));
    observed.span = time::joined(observed.span, ended_at(status));
}
