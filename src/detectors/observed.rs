//! What many lines say of one thing, and the finding that is made of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Confidence, Detector, Finding, FindingState, Fix, Severity, SubjectRef};
use crate::cluster::Cluster;
use crate::cluster::azure::AksCluster;
use crate::cluster::episode;
use crate::cluster::reachability::{Unreached, Who, joined_over};
use crate::detectors::details::texts;
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{EventKey, EventTally, Key, SignalKey, time};

/// How many subjects a finding names.
const NAMED: usize = 50;

/// Lines, events and attempts that say the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    /// How often.
    pub(super) count: u64,
    /// First and last, in microseconds since 1970.
    pub(super) span: Option<(i64, i64)>,
    /// Where.
    pub(super) evidence: Vec<Evidence>,
    /// Nodes that it is about.
    pub(super) nodes: BTreeSet<String>,
    /// Pods that it is about.
    pub(super) pods: BTreeSet<Key>,
    /// Names and addresses that could not be reached.
    pub(super) hosts: BTreeSet<String>,
    /// DNS servers that were queried.
    pub(super) resolvers: BTreeSet<String>,
    /// What the lines themselves name.
    pub(super) details: BTreeSet<String>,
    /// Whether it had ended when the logs that tell of it did; `None` when none tells times.
    pub(super) over: Option<bool>,
}

impl Observed {
    fn place(&mut self, more: &[Evidence]) {
        let room = (EXAMPLES * 4).saturating_sub(self.evidence.len());
        self.evidence.extend(more.iter().take(2.min(room)).cloned());
    }

    /// Whether it was over well before the logs end.
    pub(super) fn is_over(&self, cluster: &Cluster) -> bool {
        self.over.unwrap_or_else(|| cluster.is_over(self.span))
    }

    /// Adds a failed attempt.
    pub(super) fn add_attempt(&mut self, item: &Unreached) {
        self.count += item.count;
        self.span = time::joined(self.span, item.span);
        self.over = joined_over(self.over, item.over);
        self.place(&item.evidence);
        self.hosts.extend(item.hosts.iter().cloned());
        self.resolvers.extend(item.resolvers.iter().cloned());
        match &item.who {
            Who::Node(name) if !name.is_empty() => drop(self.nodes.insert(name.clone())),
            Who::Pod(pod) => drop(self.pods.insert(pod.clone())),
            _ => {}
        }
    }

    /// Adds events of one kind about one object.
    pub(super) fn add_event(&mut self, cluster: &Cluster, key: &EventKey, tally: &EventTally) {
        self.count += tally.count.max(1);
        self.span = time::joined(self.span, tally.span.resolve(cluster.anchor));
        self.place(tally.examples.as_slice());
        match &*key.kind {
            "Pod" => drop(self.pods.insert(Key::new(&*key.namespace, &*key.name))),
            "Node" => drop(self.nodes.insert(key.name.to_string())),
            _ => {}
        }
    }

    /// Adds more evidence, such as that of the configuration, at the front.
    pub(super) fn show_first(&mut self, more: impl IntoIterator<Item = Evidence>) {
        let mut all: Vec<Evidence> = more.into_iter().collect();
        all.append(&mut self.evidence);
        self.evidence = all;
    }

    /// ` between … and …`, or nothing.
    pub(super) fn when(&self) -> String {
        self.span.map_or_else(String::new, |(first, last)| {
            if first == last {
                format!(" at {}", time::show(first))
            } else {
                format!(" between {} and {}", time::show(first), time::show(last))
            }
        })
    }

    /// ` (20.1.2.3, api.example)`: what could not be reached, a few; or nothing.
    pub(super) fn reached_for_in_brackets(&self) -> String {
        if self.hosts.is_empty() { String::new() } else { format!(" ({})", self.reached_for_or("")) }
    }

    /// `20.1.2.3, api.example`: what could not be reached, a few; or other words.
    pub(super) fn reached_for_or(&self, otherwise: &str) -> String {
        if self.hosts.is_empty() {
            otherwise.to_owned()
        } else {
            listed(self.hosts.iter().map(String::as_str), 3)
        }
    }

    /// The finding of a detector, with what was observed.
    pub(super) fn finding(
        self,
        detector: &Detector,
        about: &str,
        title: String,
        says: Wording,
    ) -> Option<Finding> {
        let mut evidence = self.evidence;
        let mut seen = BTreeSet::new();
        evidence.retain(|item| seen.insert((item.source.clone(), item.line, item.pointer.clone())));
        evidence.truncate(EXAMPLES + 2);
        let mut finding = Finding::new(detector.id, about, title, evidence)?;
        finding.severity = says.severity;
        finding.confidence = says.confidence;
        // What a detector takes for passed by more than its log (a node is Ready by now) is not said to go on.
        let passed = says.severity <= Severity::Low && says.confidence == Confidence::Possible;
        finding.state = FindingState::of(self.over.filter(|over| *over || !passed));
        finding.count = self.count.max(1);
        finding.unit = says.unit;
        finding.seen(self.span);
        let nodes = self.nodes.iter().take(NAMED);
        finding.subjects = nodes
            .map(|name| SubjectRef { kind: "Node".into(), namespace: String::new(), name: name.clone() })
            .collect();
        finding.subjects.extend(
            self.pods.iter().filter(|pod| !pod.name.is_empty()).take(NAMED).map(|pod| subject("Pod", pod)),
        );
        finding.details.common.hosts = texts(&self.hosts);
        finding.details.common.resolvers = texts(&self.resolvers);
        finding.cause = says.cause;
        finding.fix = Fix { text: says.fix, commands: says.commands, manifests: Vec::new() };
        finding.verify = says.verify;
        Some(finding)
    }
}

/// What a finding says, apart from what was observed.
pub(super) struct Wording {
    /// What it does to the user.
    pub(super) severity: Severity,
    /// How sure we are.
    pub(super) confidence: Confidence,
    /// What is counted, in the singular.
    pub(super) unit: &'static str,
    /// Why.
    pub(super) cause: String,
    /// What to do.
    pub(super) fix: String,
    /// To paste.
    pub(super) commands: Vec<String>,
    /// How to check that it worked.
    pub(super) verify: Vec<String>,
}

/// Known error texts, by a key that the caller makes of each; those without one are left out.
pub(super) fn signals<K: Ord>(
    cluster: &Cluster,
    key: impl Fn(&SignalKey) -> Option<K>,
) -> BTreeMap<K, Observed> {
    let mut found: BTreeMap<K, Observed> = BTreeMap::new();
    for (signal, tally) in cluster.facts.signals.map.iter() {
        let Some(key) = key(signal) else { continue };
        let item = found.entry(key).or_default();
        item.count += tally.count();
        item.span = time::joined(item.span, tally.span.resolve(cluster.anchor));
        let places = tally.examples.as_slice();
        let over =
            episode::is_over(&cluster.facts, signal.signal.ended_by(), &tally.span, tally.count(), places);
        item.over = joined_over(item.over, over);
        item.place(places);
        if !signal.node.is_empty() {
            item.nodes.insert(signal.node.to_string());
        }
        if !signal.pod.is_empty() {
            item.pods.insert(Key::new(&*signal.namespace, &*signal.pod));
        }
        if !signal.detail.is_empty() {
            item.details.insert(signal.detail.to_string());
        }
    }
    found
}

/// Failed attempts, by a key that the caller makes of each; those without one are left out.
pub(super) fn attempts<K: Ord>(
    cluster: &Cluster,
    key: impl Fn(&Unreached) -> Option<K>,
) -> BTreeMap<K, Observed> {
    let mut found: BTreeMap<K, Observed> = BTreeMap::new();
    for item in &cluster.unreached {
        if let Some(key) = key(item) {
            found.entry(key).or_default().add_attempt(item);
        }
    }
    found
}

/// Events of a reason, by a key that the caller makes of each; those without one are left out.
pub(super) fn events<K: Ord>(
    cluster: &Cluster,
    reason: &str,
    key: impl Fn(&EventKey, &EventTally) -> Option<K>,
) -> BTreeMap<K, Observed> {
    let mut found: BTreeMap<K, Observed> = BTreeMap::new();
    for (ours, tally) in cluster.facts.events.of_reason(reason) {
        if let Some(key) = key(ours, tally) {
            found.entry(key).or_default().add_event(cluster, ours, tally);
        }
    }
    found
}

/// `a, b, c and 4 more`.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>, most: usize) -> String {
    let all: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    let named = all.get(..most.min(all.len())).unwrap_or_default().join(", ");
    match all.len().saturating_sub(most) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

pub(super) use crate::facts::text::{capitalised, counted};

/// `-g group -n name` of the cluster, or words that stand for them.
pub(super) fn aks_named(cluster: &Cluster) -> String {
    cluster.azure.cluster().map_or_else(|| "-g RESOURCE_GROUP -n CLUSTER".to_owned(), AksCluster::named)
}

/// A host as a word of a command, within quotes too: what has other letters than a host's is no host, and is not written.
pub(super) fn host_word(host: &str, otherwise: &str) -> String {
    let of_host = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    let is_host = host.starts_with(|c: char| c.is_ascii_alphanumeric()) && host.chars().all(of_host);
    if is_host { host.to_owned() } else { otherwise.to_owned() }
}

/// The cluster as a subject, when Azure describes it.
pub(super) fn aks_subject(cluster: &Cluster) -> Vec<SubjectRef> {
    let ours = cluster.azure.cluster().filter(|aks| !aks.name.is_empty());
    ours.map(|aks| SubjectRef {
        kind: "AKS cluster".to_owned(),
        namespace: String::new(),
        name: aks.name.clone(),
    })
    .into_iter()
    .collect()
}

/// A subject.
pub(super) fn subject(kind: &str, key: &Key) -> SubjectRef {
    SubjectRef { kind: kind.to_owned(), namespace: key.namespace.to_string(), name: key.name.to_string() }
}

/// The node of a finding's subjects.
pub(super) fn node_subject(name: &str) -> SubjectRef {
    SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: name.to_owned() }
}

/// Whether all of these pods are ready now, and the bundle has them all: their failures have ended.
pub(super) fn all_ready(cluster: &Cluster, pods: &BTreeSet<Key>) -> bool {
    let pod = |key: &Key| cluster.facts.objects.pods.get(&key.namespace, &key.name);
    !pods.is_empty() && pods.iter().all(|key| pod(key).is_some_and(|seen| seen.object.is_ready()))
}

/// Silence after which what a kubelet says again and again is over, in microseconds: its longest delay is five minutes, and it
/// repeats an event at once until it has said so 25 times (kubernetes/client-go `tools/record/events_cache.go`).
const FRESH: [i64; 2] = [2 * 60 * 1_000_000, 10 * 60 * 1_000_000];
const BURST: u64 = 25;
/// What tells that a pod got further, or is gone.
const FURTHER: [&str; 2] = ["Started", "Completed"];

/// Whether events of one kind about one pod, which is not in the bundle, tell of something that goes on: several times, close
/// together, up to the end of what is dated or not long before their text was made, and nothing later of the pod.
pub(super) fn goes_on(cluster: &Cluster, key: &EventKey, tally: &EventTally, least: u64) -> bool {
    let [short, long] = FRESH;
    let limit = if tally.count < BURST { short } else { long };
    let fresh = tally.span.age_of_end().is_none_or(|age| age <= limit);
    let gap = tally.span.length() / i64::try_from(tally.count.saturating_sub(1).max(1)).unwrap_or(i64::MAX);
    let further = FURTHER.iter().any(|reason| {
        cluster.facts.events.of_reason(reason).any(|(other, later)| {
            !key.name.is_empty()
                && (&other.namespace, &other.name) == (&key.namespace, &key.name)
                && tally.span.until_end_of(&later.span).is_some_and(|after| after > 0)
        })
    });
    let over = cluster.is_over(tally.span.resolve(cluster.anchor));
    tally.count >= least && fresh && !over && !further && gap <= long
}

/// Whether all of these pods got as far as a running container after a time: each is ready now, or an event says later that a
/// container of it started. Their sandbox, and so their network, was made then.
pub(super) fn have_come_up(cluster: &Cluster, pods: &BTreeSet<Key>, span: Option<(i64, i64)>) -> bool {
    let is_up = |key: &Key| {
        let ready = cluster.facts.objects.pods.get(&key.namespace, &key.name);
        let ready = ready.is_some_and(|seen| seen.object.is_ready() || seen.object.ended());
        let mut started = cluster.facts.events.of_reason("Started");
        ready
            || started.any(|(event, tally)| {
                let ours = *event.name == *key.name
                    && (*event.namespace == *key.namespace || key.namespace.is_empty());
                let dated = span.zip(tally.span.resolve(cluster.anchor));
                let later = dated.is_some_and(|(span, started)| started.1 >= span.1);
                ours && (later || after_its_sandbox(cluster, event, tally))
            })
    };
    !pods.is_empty() && pods.iter().all(is_up)
}

/// Whether events tell of each of these pods that its sandbox could not be made.
pub(super) fn lacked_a_sandbox(cluster: &Cluster, pods: &BTreeSet<Key>) -> bool {
    let failed = |pod: &Key| {
        let mut events = cluster.facts.events.of_reason("FailedCreatePodSandBox");
        events.any(|(key, _)| {
            *key.name == *pod.name && (*key.namespace == *pod.namespace || pod.namespace.is_empty())
        })
    };
    pods.iter().all(failed)
}

/// Whether a container started after the last failed sandbox of its pod, by the order that the events themselves tell.
fn after_its_sandbox(cluster: &Cluster, started: &EventKey, tally: &EventTally) -> bool {
    let reasons = ["FailedCreatePodSandBox", "Failed"].into_iter();
    let mut failed = reasons.flat_map(|reason| cluster.facts.events.of_reason(reason));
    failed.any(|(key, failed)| {
        (&key.namespace, &key.name) == (&started.namespace, &started.name)
            && failed.span.until_end_of(&tally.span).is_some_and(|after| after >= 0)
    })
}

/// Whether a service is left without a ready pod, one of these being among those that it selects.
pub(super) fn breaks_a_service(cluster: &Cluster, pods: &BTreeSet<Key>) -> bool {
    pods.iter().take(NAMED).any(|pod| {
        let services = cluster.services.of_pod(pod);
        services
            .into_iter()
            .any(|key| cluster.services.all.get(key).is_some_and(|state| state.ready.is_empty()))
    })
}

/// Whether none of these pods is ready, as far as they are in the bundle, and all are.
pub(super) fn none_ready(cluster: &Cluster, pods: &BTreeSet<Key>) -> bool {
    let pod = |key: &Key| cluster.facts.objects.pods.get(&key.namespace, &key.name);
    !pods.is_empty() && pods.iter().all(|key| pod(key).is_some_and(|seen| !seen.object.is_ready()))
}

/// Whether all nodes of the bundle are ready, and there are some.
pub(super) fn nodes_ready(cluster: &Cluster) -> bool {
    let nodes = &cluster.facts.objects.nodes;
    !nodes.is_empty() && nodes.iter().all(|(_, seen)| seen.object.ready() == Some(true))
}

/// Whether these nodes, or all where none is named, are ready now.
pub(super) fn recovered(cluster: &Cluster, nodes: &BTreeSet<String>) -> bool {
    let ready = |name: &String| {
        let seen = cluster.facts.objects.nodes.get("", name);
        seen.is_some_and(|seen| seen.object.ready() == Some(true))
    };
    if nodes.is_empty() { nodes_ready(cluster) } else { nodes.iter().all(ready) }
}

/// The one node on which all of these pods are, when there is such a one and others are in the bundle.
pub(super) fn common_node(cluster: &Cluster, pods: &BTreeSet<Key>) -> Option<String> {
    let node = |key: &Key| {
        Some(cluster.facts.objects.pods.get(&key.namespace, &key.name)?.object.spec.node_name.to_string())
    };
    let names: BTreeSet<String> = pods.iter().filter_map(node).filter(|name| !name.is_empty()).collect();
    let several = cluster.facts.objects.nodes.len() > 1;
    let mut names = names.into_iter();
    match (names.next(), names.next(), several) {
        (Some(only), None, true) => Some(only),
        _ => None,
    }
}
