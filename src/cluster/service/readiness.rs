//! Why a pod is not ready.

use crate::facts::{EventKey, Facts, Key, Pod};

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The scheduler finds no node for it; in the scheduler's words.
    Unscheduled(String),
    /// On a node, and without a pod IP.
    NoAddress(String),
    /// A container waits: `CrashLoopBackOff`, `ImagePullBackOff`, …
    Waiting(String),
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
            Self::Waiting(why) => why.split([' ', ':']).next().unwrap_or_default(),
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

/// Why it is not ready; nothing when it is.
pub fn why_not_ready(facts: &Facts, key: &Key, pod: &Pod) -> Option<Why> {
    if !pod.metadata.deletion_timestamp.is_empty() {
        return Some(Why::Deleting);
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
        return None;
    }
    let node = &pod.spec.node_name;
    let lost = facts.objects.nodes.get("", node).is_some_and(|seen| {
        let ready = seen.object.status.conditions.iter().find(|condition| &*condition.r#type == "Ready");
        ready.is_some_and(|ready| &*ready.status != "True")
    });
    // The kubelet makes no pod ready without an address: where there is none, it is not told, as in a table without -o wide.
    if ready {
        return None;
    }
    let unscheduled = condition("PodScheduled").filter(|item| &*item.status == "False");
    if let Some(item) = unscheduled {
        return Some(Why::Unscheduled(item.message.to_string()));
    }
    if let Some(words) = event(facts, key, "FailedScheduling").filter(|_| node.is_empty()) {
        return Some(Why::Unscheduled(words.to_owned()));
    }
    let waiting = pod.status.container_statuses.iter().filter_map(|status| status.state.waiting.as_ref());
    let waiting = waiting.map(|item| (&*item.reason, &*item.message));
    if let Some((reason, message)) =
        waiting.clone().find(|(reason, _)| !matches!(*reason, "" | "ContainerCreating" | "PodInitializing"))
    {
        let message = if reason == "CrashLoopBackOff" || message.is_empty() {
            String::new()
        } else {
            format!(": {message}")
        };
        return Some(Why::Waiting(format!("{reason}{message}")));
    }
    if lost {
        return Some(Why::NodeLost(node.to_string()));
    }
    let ended = pod.status.container_statuses.iter().filter_map(|status| status.state.terminated.as_ref());
    if let Some(entry) = ended.clone().find(|item| item.exit_code != 0) {
        return Some(Why::Waiting(format!("{} (exit code {})", entry.reason, entry.exit_code)));
    }
    if pod.addresses().next().is_none()
        && !pod.address_hidden()
        && !node.is_empty()
        && &*pod.status.phase == "Pending"
    {
        let words = event(facts, key, "FailedCreatePodSandBox").or_else(|| event(facts, key, "FailedMount"));
        return Some(Why::NoAddress(words.unwrap_or_default().to_owned()));
    }
    if let Some(words) = event(facts, key, "Unhealthy").filter(|words| words.contains("eadiness")) {
        return Some(Why::Probe(words.to_owned()));
    }
    if &*pod.status.phase == "Running" {
        return Some(Why::Probe(String::new()));
    }
    Some(Why::NotTold(pod.status.phase.to_string()))
}
