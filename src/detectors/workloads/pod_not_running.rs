//! Pods that do not run or are not ready, whatever the reason: what no other cause takes is told here.

use crate::facts::text::beginning;
use std::collections::BTreeMap;

use super::pods_in_title;
use crate::cluster::Cluster;
use crate::cluster::pods::words::{last_words, without_time};
use crate::cluster::pods::{Why, template, why_not_running, workload_name};
use crate::detectors::details::texts;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::evidence::excerpt;
use crate::facts::{Key, Pod, PodSpec, amount, time};

/// Resources that are named.
const WANTS: usize = 5;

/// Characters of a reason that fit into a title.
const TITLE: usize = 70;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-not-running",
    chapter: Chapter::Workloads,
    title: "Pod not running or not ready",
    needs: &[PODS],
    explains: &["connection-failing", "service-pods-not-ready"],
    doc: Doc {
        meaning: "A pod is Pending, waits for its containers, is Terminating for long, ended with an error, or runs and is not ready, and no more exact cause explains it.",
        decision: "Each pod by its phase, conditions, containers and events, grouped by workload and reason; pods that another finding is about are left out. Confirmed that they do not run: why is as far as the pod's own words go. Pods that were created less than two minutes before the capture and wait for their containers are left out: they start.",
        action: "Read the pod's events and the log of its containers.",
        reference: "Kubernetes: Debug Pods; Pod Lifecycle; Determine the Reason for Pod Failure.",
    },
    detect: Evaluation::Rule(detect),
};

/// A pod younger than this is still starting, in microseconds.
const STARTING: i64 = 2 * 60 * 1_000_000;

/// A pod of this age in a table is no new one, in seconds: init containers may take some minutes.
const OLD: i64 = 10 * 60;

/// Whether a pod may well be on its way.
fn may_be_starting(cluster: &Cluster, pod: &Pod, why: &Why) -> bool {
    let waits = match why {
        Why::NoAddress(words) | Why::Probe(words) => words.is_empty(),
        Why::NotTold(_) => true,
        // `Init:0/1`: the first of its init containers is at work.
        Why::Waiting(words) => words.starts_with("Init:"),
        _ => false,
    };
    let made = pod.metadata.creation_timestamp.0.or(pod.status.start_time.0);
    match made.zip(cluster.anchor) {
        Some((made, now)) => waits && now - made < STARTING,
        // A row of a table tells an age; a description may tell nothing.
        None => waits && time::age_seconds(&pod.metadata.age).is_none_or(|age| age < OLD),
    }
}

#[derive(Default)]
struct Stopped {
    observed: Observed,
    pods: Vec<(Key, String)>,
    why: String,
    words: Vec<String>,
    since: Option<i64>,
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut groups: BTreeMap<(String, String, String), Stopped> = BTreeMap::new();
    for (key, seen) in cluster.facts.objects.pods.iter() {
        let pod = &seen.object;
        let Some(why) = reason(cluster, key, pod) else { continue };
        let workload = workload_name(key, pod);
        let group =
            groups.entry((key.namespace.to_string(), workload.clone(), kind(&why).to_owned())).or_default();
        group.observed.count += 1;
        group.observed.pods.insert(key.clone());
        group.observed.evidence.extend(seen.evidence("Pod", key).into_iter().take(1).map(|mut place| {
            place.excerpt = excerpt(why.as_bytes());
            place
        }));
        let words = last_words(&cluster.facts, key, "");
        group.observed.evidence.extend(words.iter().cloned());
        if group.words.is_empty() {
            group.words = texts(words.iter().map(|line| &line.excerpt));
        }
        let ready = pod.status.conditions.iter().find(|item| &*item.r#type == "Ready");
        group.since = group.since.or_else(|| ready.and_then(|item| item.last_transition_time.0));
        group.pods.push((key.clone(), workload));
        if group.why.is_empty() {
            group.why = why;
        }
    }
    groups.into_values().filter_map(finding).collect()
}

/// The first words of a reason, by which pods are grouped.
fn kind(why: &str) -> &str {
    why.split([':', '(']).next().unwrap_or(why).trim()
}

/// Why a pod does not run, in words; nothing where it runs, has ended well, or is starting.
fn reason(cluster: &Cluster, key: &Key, pod: &Pod) -> Option<String> {
    let status = &pod.status;
    if &*status.phase == "Succeeded" {
        return None;
    }
    // An ended pod of a Job that succeeded since is history.
    if &*status.phase == "Failed" {
        let reason = if status.reason.is_empty() { "Failed" } else { &*status.reason };
        let message = if status.message.is_empty() { String::new() } else { format!(": {}", status.message) };
        return Some(format!("{reason}{message}"));
    }
    // One that completed is not ready, and need not be.
    let all = status.container_statuses.iter();
    if all
        .clone()
        .any(|item| item.state.terminated.as_ref().is_some_and(|ended| &*ended.reason == "Completed"))
    {
        return None;
    }
    let chain = why_not_running(&cluster.facts, key, pod);
    let why = chain.last()?;
    if may_be_starting(cluster, pod, why) {
        return None;
    }
    if matches!(why, Why::Deleting) {
        let begun = crate::facts::Stamp::from(&*pod.metadata.deletion_timestamp).0;
        // Half an hour is longer than any grace period that is usual.
        let long = begun.zip(cluster.anchor).is_some_and(|(begun, now)| now - begun > 15 * STARTING);
        return long.then(|| {
            begun.map_or_else(String::new, |begun| format!("Terminating since {}", time::show(begun)))
        });
    }
    let why = chain.iter().map(Why::label).collect::<Vec<_>>().join(": ");
    // Without an event, what it asks for is all that is known of why no node takes it.
    let wants = if &*status.phase == "Pending" && pod.spec.node_name.is_empty() {
        requests(cluster, key, pod)
    } else {
        String::new()
    };
    Some(if wants.is_empty() { why } else { format!("{why}: requests {wants}") })
}

/// What the containers of a pod ask for, extended resources first: `nvidia.com/gpu 5, cpu 3, memory 5Gi`.
fn requests(cluster: &Cluster, key: &Key, pod: &Pod) -> String {
    let of_workload = template(&cluster.facts, key, pod).map(|(_, _, seen)| &seen.object.spec.template.spec);
    let known = |spec: &&PodSpec| spec.containers.iter().any(|container| container.resources.is_some());
    let Some(spec) = Some(&pod.spec).filter(known).or(of_workload) else { return String::new() };
    let mut wants: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for resources in spec.containers.iter().filter_map(|container| container.resources.as_ref()) {
        let requests = if resources.requests.is_empty() { &resources.limits } else { &resources.requests };
        for (resource, amount) in requests.iter() {
            wants.entry(resource).or_default().push(amount);
        }
    }
    let mut wants: Vec<String> = wants
        .into_iter()
        .map(|(resource, amounts)| format!("{resource} {}", total(resource, &amounts)))
        .collect();
    wants.sort_by_key(|want| !want.contains('/'));
    wants.truncate(WANTS);
    wants.join(", ")
}

/// What several containers ask for, as one amount; as it stands when it is one.
fn total(resource: &str, amounts: &[&str]) -> String {
    if let [amount] = amounts {
        return (*amount).to_owned();
    }
    let sum: f64 = amounts.iter().filter_map(|text| amount(text)).sum();
    if resource == "memory" || resource == "ephemeral-storage" {
        format!("{}Mi", (sum / 1_048_576.0).round())
    } else {
        format!("{}", (sum * 1000.0).round() / 1000.0)
    }
}

fn finding(stopped: Stopped) -> Option<Finding> {
    let (first, _) = stopped.pods.first().cloned()?;
    let names: Vec<String> = stopped.pods.iter().map(|(key, _)| key.label()).collect();
    let last = stopped
        .words
        .last()
        .map_or_else(String::new, |line| format!(": {}", beginning(without_time(line), TITLE)));
    let title = format!("{}: {}{last}", pods_in_title(&stopped.pods), beginning(&stopped.why, TITLE));
    let since = stopped.since.map_or_else(String::new, |at| format!(" Not ready since {}.", time::show(at)));
    let words = stopped
        .words
        .last()
        .map_or_else(String::new, |line| format!(" The log ends with: {}", excerpt(line.as_bytes())));
    let target = format!("{} -n {}", shell(&first.name), shell(&first.namespace));
    let failed = stopped.why.starts_with("Failed") || stopped.why.starts_with("Error");
    let says = Wording {
        severity: if failed { Severity::Low } else { Severity::Medium },
        confidence: Confidence::Confirmed,
        unit: "pod",
        cause: format!(
            "{}: {}.{since}{words}",
            listed(names.iter().map(String::as_str), 3),
            excerpt(stopped.why.as_bytes()).trim_end_matches('.')
        ),
        fix: format!(
            "Read the pod's events and its containers' logs: they show {}.",
            if failed { "how it ended" } else { "what it waits for" }
        ),
        commands: std::iter::once(format!("kubectl describe pod {target}"))
            .chain(
                // Without a node there is no log.
                (!stopped.why.contains("requests "))
                    .then(|| format!("kubectl logs {target} --all-containers --tail=50")),
            )
            .collect(),
        verify: vec![format!("kubectl get pod {target}   # Running, READY shows all containers")],
    };
    let about = format!("{} {}", first.label(), kind(&stopped.why));
    let mut finding = stopped.observed.finding(&DETECTOR, &about, title, says)?;
    finding.details.workload.last_words = stopped.words;
    Some(finding)
}
