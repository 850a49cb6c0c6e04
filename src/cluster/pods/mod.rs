//! Why a pod does not run, or is not ready: one model that detectors, services and the graph ask.

pub mod creation;
pub mod scheduling;
pub mod words;

use crate::facts::{Condition, ContainerStatus, EventKey, Facts, Key, Node, Pod, Seen, Workload};

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The scheduler finds no node for it; in the scheduler's words.
    Unscheduled(String),
    /// On a node, and without a pod IP.
    NoAddress(String),
    /// A container waits: `CrashLoopBackOff`, `ImagePullBackOff`, …
    Waiting(String),
    /// An init container waits or failed, and the others wait for it: its name, and how it is.
    Initialising(String, String),
    /// Its node is not ready.
    NodeLost(String),
    /// Runs and is not ready; the kubelet's words about its readiness probe, if there are any.
    Probe(String),
    /// It is being deleted.
    Deleting,
    /// Containers have not started, or not become ready, and nothing says why.
    NotTold(String),
}

impl Why {
    /// In a few words.
    pub fn label(&self) -> String {
        match self {
            Self::Unscheduled(why) if why.is_empty() => "Unschedulable".to_owned(),
            Self::Unscheduled(why) => format!("Unschedulable ({why})"),
            Self::NoAddress(why) if why.is_empty() => "no pod IP yet".to_owned(),
            Self::NoAddress(why) => format!("no pod IP ({why})"),
            Self::NodeLost(node) => format!("node {node} NotReady"),
            Self::Probe(why) if why.is_empty() => "Running but not ready".to_owned(),
            Self::Waiting(why) | Self::Probe(why) => why.clone(),
            Self::Initialising(name, why) if name.is_empty() => format!("init container: {why}"),
            Self::Initialising(name, why) => format!("init container {name}: {why}"),
            Self::Deleting => "Terminating".to_owned(),
            Self::NotTold(phase) if phase.is_empty() => "not ready".to_owned(),
            Self::NotTold(phase) => format!("not ready ({phase})"),
        }
    }

    /// The kind of reason, to group pods by.
    pub fn kind(&self) -> &str {
        match self {
            Self::Unscheduled(_) => "can't be scheduled",
            Self::NoAddress(_) => "have no address",
            Self::Waiting(why) | Self::Initialising(_, why) => {
                why.split([' ', ':']).next().unwrap_or_default()
            }
            Self::NodeLost(_) => "are on a node that is not ready",
            Self::Probe(_) => "fail their readiness probe",
            Self::Deleting => "are being deleted",
            Self::NotTold(_) => "are not ready",
        }
    }
}

/// A pod that is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unready {
    /// Which.
    pub pod: Key,
    /// Why.
    pub why: Why,
}

/// The newest words of an event about a pod.
fn event<'a>(facts: &'a Facts, pod: &Key, reason: &str) -> Option<&'a str> {
    let key = |normal: bool| EventKey {
        normal,
        reason: reason.into(),
        kind: "Pod".into(),
        namespace: (&*pod.namespace).into(),
        name: (&*pod.name).into(),
    };
    let ours = facts.events.map.get(&key(false)).or_else(|| facts.events.map.get(&key(true)));
    ours.and_then(|tally| tally.examples.as_slice().last()).map(|item| &*item.excerpt)
}

/// What keeps a pod from being ready, in the end: the furthest upstream of [`why_not_running`].
pub fn why_not_ready(facts: &Facts, key: &Key, pod: &Pod) -> Option<Why> {
    why_not_running(facts, key, pod).pop()
}

/// Why a pod does not run or is not ready: what is seen of it first, then what lies behind that. Nothing when it is ready,
/// and nothing when the bundle does not have its state.
pub fn why_not_running(facts: &Facts, key: &Key, pod: &Pod) -> Vec<Why> {
    let node = &pod.spec.node_name;
    let probe = event(facts, key, "Unhealthy").filter(|words| words.contains("eadiness"));
    let lost = || {
        let node = facts.objects.nodes.get("", node).filter(|seen| seen.object.ready() == Some(false));
        node.map(|seen| match probe {
            // What its kubelet reported while it could is the pod's own: the silence of the node came after.
            Some(words) if became_unready_before(pod, &seen.object) => Why::Probe(words.to_owned()),
            _ => Why::NodeLost(pod.spec.node_name.to_string()),
        })
    };
    if !pod.metadata.deletion_timestamp.is_empty() {
        // Nobody on a silent node ends it.
        return std::iter::once(Why::Deleting).chain(lost()).collect();
    }
    let condition = |name: &str| pod.status.conditions.iter().find(|condition| &*condition.r#type == name);
    let ready = match condition("Ready") {
        Some(ready) => &*ready.status == "True",
        // A row of a table tells the containers that are ready.
        None => {
            &*pod.status.phase == "Running"
                && !pod.status.container_statuses.is_empty()
                && pod.status.container_statuses.iter().all(|status| status.ready)
        }
    };
    // Neither a condition nor a container's state: an excerpt of the object, which says nothing.
    let is_given = condition("Ready").is_some() || !pod.status.container_statuses.is_empty();
    // A manifest (a static pod's file, `--dry-run`, a chart) has no status at all.
    if !is_given && matches!(&*pod.status.phase, "Running" | "") {
        return Vec::new();
    }
    // The kubelet makes no pod ready without an address: where there is none, it is not told, as in a table without -o wide.
    if ready {
        return Vec::new();
    }
    if let Some(words) = unscheduled(facts, key, pod) {
        return vec![Why::Unscheduled(words)];
    }
    if let Some(why) = pod.status.init_container_statuses.iter().find_map(stopped) {
        return std::iter::once(Why::Initialising(why.0, why.1)).chain(lost()).collect();
    }
    let waiting = pod.status.container_statuses.iter().filter_map(|status| status.state.waiting.as_ref());
    let waiting = waiting.map(|item| (&*item.reason, &*item.message));
    if let Some((reason, message)) =
        waiting.clone().find(|(reason, _)| !matches!(*reason, "" | "ContainerCreating" | "PodInitializing"))
    {
        // A row of a table shows an init container's reason as the pod's: `Init:CrashLoopBackOff`.
        if let Some(init) = reason.strip_prefix("Init:").filter(|init| !init.contains('/')) {
            return vec![Why::Initialising(String::new(), init.to_owned())];
        }
        let message = if reason == "CrashLoopBackOff" || message.is_empty() {
            String::new()
        } else {
            format!(": {message}")
        };
        return vec![Why::Waiting(format!("{reason}{message}"))];
    }
    if let Some(lost) = lost() {
        return vec![lost];
    }
    let ended = pod.status.container_statuses.iter().filter_map(|status| status.state.terminated.as_ref());
    if let Some(entry) = ended.clone().find(|item| item.exit_code != 0) {
        return vec![Why::Waiting(format!("{} (exit code {})", entry.reason, entry.exit_code))];
    }
    // A row of a table tells no exit code.
    if let Some(entry) = ended.clone().find(|item| &*item.reason == "Error") {
        return vec![Why::Waiting(entry.reason.to_string())];
    }
    if pod.addresses().next().is_none()
        && !pod.address_hidden()
        && !node.is_empty()
        && &*pod.status.phase == "Pending"
    {
        let words = event(facts, key, "FailedCreatePodSandBox").or_else(|| event(facts, key, "FailedMount"));
        return vec![Why::NoAddress(words.unwrap_or_default().to_owned())];
    }
    if let Some(words) = probe {
        return vec![Why::Probe(words.to_owned())];
    }
    if &*pod.status.phase == "Running" {
        return vec![Why::Probe(String::new())];
    }
    vec![Why::NotTold(pod.status.phase.to_string())]
}

/// Whether a pod was not ready before its node was not; `false` where the times are not told.
fn became_unready_before(pod: &Pod, node: &Node) -> bool {
    let since = |conditions: &[Condition]| {
        conditions.iter().find(|condition| &*condition.r#type == "Ready")?.last_transition_time.0
    };
    since(&pod.status.conditions).zip(since(&node.status.conditions)).is_some_and(|(pod, node)| pod < node)
}

/// The scheduler's words about a pod that it found no node for: of the pod's condition, or of its events. Empty where
/// only the condition says that it was tried.
pub fn unscheduled(facts: &Facts, key: &Key, pod: &Pod) -> Option<String> {
    // A row of a table may have no column for the node: what runs, or waits for its containers, has one.
    let has_a_node = pod.status.container_statuses.iter().any(|status| {
        status.ready || status.state.waiting.as_ref().is_some_and(|waiting| !waiting.reason.is_empty())
    });
    if !pod.spec.node_name.is_empty() || has_a_node || !matches!(&*pod.status.phase, "Pending" | "") {
        return None;
    }
    let condition = pod.status.conditions.iter();
    let condition =
        condition.clone().find(|item| &*item.r#type == "PodScheduled" && &*item.status == "False");
    let words = condition.map(|item| &*item.message).filter(|words| !words.is_empty());
    let words = words.or_else(|| event(facts, key, "FailedScheduling"));
    words.or_else(|| condition.map(|_| "")).map(ToOwned::to_owned)
}

/// An init container that holds up the others: its name and how it is. One that works is none.
fn stopped(status: &ContainerStatus) -> Option<(String, String)> {
    if let Some(waiting) = &status.state.waiting
        && !matches!(&*waiting.reason, "" | "PodInitializing" | "ContainerCreating")
    {
        let message = if &*waiting.reason == "CrashLoopBackOff" || waiting.message.is_empty() {
            String::new()
        } else {
            format!(": {}", waiting.message)
        };
        return Some((status.name.to_string(), format!("{}{message}", waiting.reason)));
    }
    let ended = status.state.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
    Some((status.name.to_string(), format!("{} (exit code {})", ended.reason, ended.exit_code)))
}

/// The workload whose template a pod was made of: its owner, the owner's owner, or the one of its namespace whose
/// selector takes it.
pub fn template<'a>(
    facts: &'a Facts,
    key: &'a Key,
    pod: &Pod,
) -> Option<(&'static str, &'a Key, &'a Seen<Workload>)> {
    let objects = &facts.objects;
    let stores = [
        ("Deployment", &objects.deployments),
        ("StatefulSet", &objects.stateful_sets),
        ("DaemonSet", &objects.daemon_sets),
        ("Job", &objects.jobs),
    ];
    stores.into_iter().find_map(|(kind, store)| {
        let found = store.of_namespace(&key.namespace).find(|(_, seen)| {
            let selector = &seen.object.spec.selector;
            !super::selector::takes_all(selector) && super::selector::matches(selector, &pod.metadata.labels)
        });
        found.map(|(owner, seen)| (kind, owner, seen))
    })
}

/// A pod's workload, as people name it: the owner without the hash that a Deployment gives its replica sets.
pub fn workload_name(key: &Key, pod: &Pod) -> String {
    // A static pod belongs to its node, and is its own workload.
    let Some(owner) = pod.metadata.owner_references.first().filter(|owner| &*owner.kind != "Node") else {
        return key.name.to_string();
    };
    let hashed = owner.name.rsplit_once('-').filter(|(_, hash)| {
        &*owner.kind == "ReplicaSet"
            && pod.metadata.labels.get("pod-template-hash").is_some_and(|ours| &**ours == *hash)
    });
    hashed.map_or_else(|| owner.name.to_string(), |(name, _)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::facts::{EventSeen, Origin};

    fn ready_since(status: &str, since: &str) -> Box<[Condition]> {
        [Condition {
            r#type: "Ready".into(),
            status: status.into(),
            last_transition_time: since.into(),
            ..Condition::default()
        }]
        .into()
    }

    /// Why a pod is not ready that became so then, on a node that was lost at nine.
    fn why(pod_since: &str) -> Option<Why> {
        let mut facts = Facts::default();
        let source: Arc<str> = Arc::from("a.json");
        let mut node = Node::default();
        node.metadata.name = "n1".into();
        node.status.conditions = ready_since("Unknown", "2026-11-20T09:00:00Z");
        facts.objects.nodes.add(node, &Origin::full(1, &source, 1, 0));
        let key = Key::new("shop", "cart-1");
        facts.happened(EventSeen {
            normal: false,
            reason: "Unhealthy",
            kind: "Pod",
            namespace: "shop",
            name: "cart-1",
            count: 3,
            times: [None, None],
            node: None,
            message: "Readiness probe failed: connection refused",
            source: &source,
            line: 1,
        });
        facts.settle();
        let mut pod = Pod::default();
        pod.spec.node_name = "n1".into();
        pod.status.phase = "Running".into();
        pod.status.conditions = ready_since("False", pod_since);
        why_not_ready(&facts, &key, &pod)
    }

    #[test]
    fn a_pod_that_failed_before_its_node_was_lost_has_its_own_reason() {
        assert!(matches!(why("2026-11-20T08:40:00Z"), Some(Why::Probe(_))));
        assert!(matches!(why("2026-11-20T09:00:00Z"), Some(Why::NodeLost(_))));
        assert!(matches!(why(""), Some(Why::NodeLost(_))));
    }
}
