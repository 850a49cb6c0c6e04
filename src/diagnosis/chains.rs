//! Which finding explains which.
//!
//! A detector names the detectors whose findings it may be the cause of. Two findings are joined only when what they
//! are about is related (the same object, a pod and its node, a service and the pods that it selects, the whole
//! cluster) and their times agree; the relation is printed with the link.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashMapExt};

use crate::cluster::Cluster;
use crate::detectors::{
    self, Chapter, Confidence, Detector, Evaluation, Explanation, Finding, FindingState, Severity, SubjectRef,
};
use crate::facts::Key;

/// Pods of a service that are looked at: a relation by one of them is enough.
const PODS: usize = 500;
/// Links of one finding; what has more causes has none that matters.
const LINKS: usize = 5;

/// Kinds of subjects that stand for the whole cluster.
const WHOLE: &str = "AKS cluster";

/// Causes that concern the whole cluster even when no object of the bundle stands for it. Any other cause without a
/// subject relates to nothing: what it is about is not known.
const CLUSTER_WIDE: &[&str] = &[
    "nsg-blocks-egress",
    "default-route-leads-nowhere",
    "firewall-denies-required-egress",
    "private-zone-not-linked",
    "private-endpoint-not-approved",
    "cluster-stopped",
    "node-egress-not-in-authorized-ranges",
    "coredns-upstream-failing",
    "dns-servers-mixed",
    "certificate-expired",
    "tunnel-down",
    "etcd-full",
    "api-server-endpoints-missing",
    "snat-exhausted",
];

/// What a finding is about, by kind and name, with how it comes to be about it.
type Handles = BTreeMap<SubjectRef, String>;

fn reference(kind: &str, namespace: &str, name: &str) -> SubjectRef {
    SubjectRef { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
}

fn subject_name(subject: &SubjectRef) -> String {
    let name = if subject.namespace.is_empty() {
        subject.name.clone()
    } else {
        format!("{}/{}", subject.namespace, subject.name)
    };
    format!("{} {name}", subject.kind.to_lowercase())
}

/// Workloads whose pods a service would take.
fn workloads_of<'a>(cluster: &'a Cluster, service: &'a Key) -> Vec<(&'static str, &'a Key)> {
    let objects = &cluster.facts.objects;
    let Some(service_seen) = objects.services.get(&service.namespace, &service.name) else {
        return Vec::new();
    };
    let selector = &service_seen.object.spec.selector;
    if selector.is_empty() {
        return Vec::new();
    }
    let stores = [
        ("Deployment", &objects.deployments),
        ("ReplicaSet", &objects.replica_sets),
        ("StatefulSet", &objects.stateful_sets),
        ("DaemonSet", &objects.daemon_sets),
    ];
    let mut found = Vec::new();
    for (kind, store) in stores {
        let ours = store.of_namespace(&service.namespace).filter(|(_, seen)| {
            let labels = &seen.object.spec.template.metadata.labels;
            selector.iter().all(|(key, value)| labels.get(key) == Some(value))
        });
        found.extend(ours.map(|(key, _)| (kind, key)).take(PODS));
    }
    found
}

/// Everything that the objects of a finding depend on: their pods, the nodes of these, the accounts they run under.
fn handles(cluster: &Cluster, finding: &Finding) -> Handles {
    let mut found = Handles::new();
    let pods = &cluster.facts.objects.pods;
    let of_pod = |found: &mut Handles, key: &Key, how: &str| {
        let Some(seen) = pods.get(&key.namespace, &key.name) else { return };
        let node = &seen.object.spec.node_name;
        // A pod that waits for a node where none is ready waits for one of these.
        let nodes = &cluster.facts.objects.nodes;
        let none_ready = nodes.iter().all(|(_, seen)| seen.object.ready() == Some(false));
        if node.is_empty() && none_ready && !seen.object.ended() {
            for (node, _) in nodes.iter().take(PODS) {
                found.entry(reference("Node", "", &node.name)).or_insert_with(|| {
                    format!("{how}pod {} waits for a node, and none is ready", key.label())
                });
            }
        }
        if !node.is_empty() {
            found
                .entry(reference("Node", "", node))
                .or_insert_with(|| format!("{how}pod {} runs on node {node}", key.label()));
        }
    };
    for subject in &finding.subjects {
        found.insert(subject.clone(), format!("both are about {}", subject_name(subject)));
    }
    for subject in &finding.subjects {
        let key = Key::new(subject.namespace.as_str(), subject.name.as_str());
        match subject.kind.as_str() {
            "Pod" => of_pod(&mut found, &key, ""),
            "Service" => {
                let Some(state) = cluster.services.all.get(&key) else { continue };
                // The ready ones suffer from nothing; but connections failed when they may not have been ready.
                let of_connections = finding.details.service.to.is_some();
                let suffering =
                    state.pods.iter().filter(|pod| of_connections || state.ready.binary_search(pod).is_err());
                for (kind, workload) in workloads_of(cluster, &key) {
                    let how =
                        format!("service {} selects the pods of {kind} {}", key.label(), workload.label());
                    found.entry(reference(kind, &workload.namespace, &workload.name)).or_insert(how);
                }
                for pod in suffering.take(PODS) {
                    let how = format!("service {} leads to pod {}", key.label(), pod.label());
                    found.entry(reference("Pod", &pod.namespace, &pod.name)).or_insert(how);
                    of_pod(&mut found, pod, &format!("service {}: its ", key.label()));
                }
            }
            _ => {}
        }
    }
    found
}

/// Sets `explained_by` of every finding that another one explains.
pub(super) fn explain(cluster: &Cluster, findings: &mut [Finding]) {
    // Only findings that some detector claims to explain need their relations.
    let mut claimed: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, finding) in findings.iter().enumerate() {
        claimed.entry(finding.detector).or_default().push(at);
    }
    let mut relations: HashMap<usize, Handles> = HashMap::new();
    let mut links: Vec<(usize, usize, String)> = Vec::new();
    for (cause, finding) in findings.iter().enumerate() {
        let explains = detectors::find(finding.detector).map_or(&[][..], |detector| detector.explains);
        // A mere possibility explains nothing.
        if explains.is_empty() || finding.confidence == Confidence::Possible {
            continue;
        }
        let named = finding.subjects.iter().any(|subject| subject.kind == WHOLE);
        let whole = named || finding.subjects.is_empty() && CLUSTER_WIDE.contains(&finding.detector);
        for symptom in explains.iter().filter_map(|detector| claimed.get(detector)).flatten().copied() {
            let Some(other) = findings.get(symptom).filter(|_| symptom != cause) else { continue };
            if !times_agree(finding, other) || !reason_fits(finding, other) {
                continue;
            }
            let handles = relations.entry(symptom).or_insert_with(|| handles(cluster, other));
            let related = finding.subjects.iter().find_map(|subject| handles.get(subject).cloned());
            let because = related
                .or_else(|| whole.then(|| "it concerns the whole cluster".to_owned()))
                .or_else(|| same_line(finding, other));
            links.extend(because.map(|because| (cause, symptom, because)));
        }
    }
    links.extend(told_twice(findings));
    links.extend(last_words(findings).into_iter().map(|(cause, pod)| (cause, pod, LAST_WORDS.to_owned())));
    let pairs: BTreeSet<(usize, usize)> =
        links.iter().map(|(cause, symptom, _)| (*cause, *symptom)).collect();
    let ids: Vec<String> = findings.iter().map(|finding| finding.id.clone()).collect();
    let mut causes_of: HashMap<usize, Vec<usize>> = HashMap::new();
    for (cause, symptom, because) in links {
        // Two that name each other as symptoms: neither is the cause. And a circle has no beginning.
        let mutual = pairs.contains(&(symptom, cause)) && !of_its_containers(findings, cause, symptom);
        if mutual || is_behind(symptom, cause, &causes_of) {
            continue;
        }
        if let (Some(finding), Some(id)) = (findings.get_mut(symptom), ids.get(cause))
            && finding.explained_by.len() < LINKS
        {
            causes_of.entry(symptom).or_default().push(cause);
            finding.explained_by.push(Explanation { by: id.clone(), because });
        }
    }
}

/// Whether the cause is what the containers of the very pods do that the symptom is about: CoreDNS is down because its own
/// container crashes, and not the other way round.
fn of_its_containers(findings: &[Finding], cause: usize, symptom: usize) -> bool {
    let (Some(cause), Some(symptom)) = (findings.get(cause), findings.get(symptom)) else { return false };
    let of_container = |finding: &Finding| {
        detectors::find(finding.detector)
            .is_some_and(|detector| matches!(detector.chapter, Chapter::Images | Chapter::Workloads))
    };
    let pods = |finding: &'_ Finding| -> BTreeSet<SubjectRef> {
        finding.subjects.iter().filter(|subject| subject.kind == "Pod").cloned().collect()
    };
    of_container(cause) && !of_container(symptom) && !pods(cause).is_disjoint(&pods(symptom))
}

/// What one line makes two findings of: of a cause that a text names by itself and one that a rule found, the graver one is the
/// cause, and the one of the rule when they are alike: it knows more than the words.
fn told_twice(findings: &[Finding]) -> Vec<(usize, usize, String)> {
    let named = |finding: &Finding| {
        detectors::find(finding.detector)
            .is_some_and(|detector| matches!(detector.detect, Evaluation::Named(_)))
    };
    let counts =
        |finding: &Finding| finding.confidence > Confidence::Possible && finding.severity > Severity::Low;
    // By the lines that tell of them: a bundle may have thousands of findings.
    let mut by_line: HashMap<Line<'_>, Vec<usize>> = HashMap::new();
    for (at, finding) in findings.iter().enumerate().filter(|(_, finding)| counts(finding)) {
        lines(finding).for_each(|line| by_line.entry(line).or_default().push(at));
    }
    let mut pairs: BTreeSet<(usize, usize)> = BTreeSet::new();
    for ours in by_line.values().filter(|ours| ours.len() > 1) {
        let is_named = |at: &usize| findings.get(*at).is_some_and(named);
        let (texts, rules): (Vec<usize>, Vec<usize>) = ours.iter().copied().partition(is_named);
        pairs.extend(texts.iter().flat_map(|text| rules.iter().map(move |rule| (*text, *rule))));
    }
    let mut links = Vec::new();
    for (text, rule) in pairs {
        let severity = |at: usize| findings.get(at).map(|finding| finding.severity);
        let because = SAME_LINE.to_owned();
        links.push(if severity(rule) >= severity(text) {
            (rule, text, because)
        } else {
            (text, rule, because)
        });
    }
    links
}

const LAST_WORDS: &str = "the pod's log ends with it";

/// Where the line with which the log of a pod ends, that does not run, is what another finding is about: cause and pod.
fn last_words(findings: &[Finding]) -> Vec<(usize, usize)> {
    let chapters = [Chapter::Dns, Chapter::Service];
    let is_failure = |finding: &Finding| {
        finding.state != FindingState::Ended
            && detectors::find(finding.detector).is_some_and(|detector| chapters.contains(&detector.chapter))
    };
    let mut by_line: HashMap<Line<'_>, usize> = HashMap::new();
    for (at, finding) in findings.iter().enumerate().filter(|(_, finding)| is_failure(finding)) {
        lines(finding).for_each(|line| {
            by_line.entry(line).or_insert(at);
        });
    }
    let ended = |finding: &&(usize, &Finding)| {
        let (_, finding) = finding;
        !finding.details.workload.last_words.is_empty()
            && match finding.detector {
                // One that is ready again is no pod that does not run.
                "container-crash-loop" => finding.severity > Severity::Low,
                detector => detector == "pod-not-running",
            }
    };
    let pods: Vec<(usize, &Finding)> = findings.iter().enumerate().collect();
    pods.iter()
        .filter(ended)
        .filter_map(|(pod, finding)| {
            let cause = lines(finding).find_map(|line| by_line.get(&line).copied())?;
            Some((cause, *pod))
        })
        .collect()
}

/// What a pod ends with is more than a possibility: it is likely, and as grave as a pod that does not run.
pub(super) fn weigh_last_words(findings: &mut [Finding]) {
    for (cause, _) in last_words(findings) {
        if let Some(finding) = findings.get_mut(cause) {
            finding.confidence = finding.confidence.max(Confidence::Likely);
            finding.severity = finding.severity.max(Severity::Medium);
        }
    }
}

const SAME_LINE: &str = "the same log line shows both";

/// Entry, line and text of a piece of evidence.
type Line<'a> = (&'a str, u64, &'a str);

fn lines(finding: &Finding) -> impl Iterator<Item = Line<'_>> {
    let lines = finding.evidence.iter().filter(|item| item.line > 0);
    lines.map(|item| (&*item.source, item.line, &*item.excerpt))
}

/// The line that tells of both, if there is one: an event of a service with Azure's refusal in its message.
fn same_line(cause: &Finding, symptom: &Finding) -> Option<String> {
    lines(cause).any(|ours| lines(symptom).any(|theirs| ours == theirs)).then(|| SAME_LINE.to_owned())
}

/// Whether a finding is among the causes of another one, directly or by way of others.
fn is_behind(cause: usize, of: usize, causes_of: &HashMap<usize, Vec<usize>>) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![of];
    while let Some(at) = open.pop() {
        if at == cause {
            return true;
        }
        if seen.insert(at) {
            open.extend(causes_of.get(&at).into_iter().flatten());
        }
    }
    false
}

/// Where a symptom says why its pods are not ready, the reasons of which at least one must be of the cause's making: a
/// crash loop on a node without addresses is still a crash loop.
fn reason_fits(cause: &Finding, symptom: &Finding) -> bool {
    let readiness = cause.details.workload.probe.as_deref() == Some("readiness");
    detectors::find(cause.detector).is_none_or(|detector| may_make(detector, readiness, symptom))
}

/// Whether a cause can make what a symptom says of its pods; `readiness`: as a probe that fails it is of readiness.
pub(super) fn may_make(detector: &Detector, readiness: bool, symptom: &Finding) -> bool {
    let reasons = &symptom.details.common.why;
    let wanted: &[&str] = match (detector.id, detector.chapter) {
        // A pod that waits for a node is as much without one.
        ("node-not-ready" | "cni-not-ready", _) if reasons.iter().all(|reason| reason == "are not ready") => {
            return true;
        }
        (_, Chapter::IpAllocation) => &["have no address"],
        ("node-not-ready", _) => &["are on a node that is not ready", "can't be scheduled"],
        ("pod-unschedulable", _) => &["can't be scheduled"],
        ("container-crash-loop" | "container-out-of-memory", _) => {
            &["CrashLoopBackOff", "OOMKilled", "Error"]
        }
        ("container-cannot-start", _) => return true,
        ("probe-failing", _) if readiness => &["fail their readiness probe"],
        ("container-not-listening", _) => &["fail their readiness probe"],
        (_, Chapter::Images) => &["ImagePullBackOff", "ErrImagePull", "InvalidImageName"],
        _ => return true,
    };
    reasons.is_empty() || reasons.iter().any(|reason| wanted.contains(&reason.as_str()))
}

/// A cause that began after its symptom had ended is none. What has no time agrees.
fn times_agree(cause: &Finding, symptom: &Finding) -> bool {
    match (&cause.first_seen, &symptom.last_seen) {
        // RFC 3339 in UTC sorts as text.
        (Some(begin), Some(end)) => begin <= end,
        _ => true,
    }
}

/// All that a finding explains, directly or by way of others.
pub(super) fn symptoms(of: &str, findings: &[Finding]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = vec![of.to_owned()];
    while let Some(cause) = open.pop() {
        for finding in
            findings.iter().filter(|finding| finding.explained_by.iter().any(|link| link.by == cause))
        {
            if finding.id != of && !found.contains(&finding.id) {
                found.push(finding.id.clone());
                open.push(finding.id.clone());
            }
        }
    }
    found
}
