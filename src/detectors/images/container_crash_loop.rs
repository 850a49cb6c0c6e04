//! A container exits and is restarted, again and again: `CrashLoopBackOff`.

use crate::facts::text::beginning;
use std::collections::{BTreeMap, BTreeSet};

use super::{ContainerOf, add, out_of_memory, place, statuses};
use crate::cluster::Cluster;
use crate::cluster::pods::words::{last_line, last_words, of_message, without_time};
use crate::detectors::details::texts;
use crate::detectors::needs::{PODS, has_node_logs};
use crate::detectors::observed::{self, Observed, Wording, host_word, listed};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Need, Outcome, Severity, shell,
};
use crate::facts::{ContainerStatus, Key, Pod, Signal, Terminated};

/// Characters of a reason that fit into a title.
const TITLE: usize = 70;

pub(super) const DETECTOR: Detector = Detector {
    id: "container-crash-loop",
    chapter: Chapter::Images,
    title: "Container in CrashLoopBackOff",
    needs: &[PODS_OR_NODE_LOGS],
    explains: &[
        "connection-failing",
        "service-pods-not-ready",
        "coredns-unhealthy",
        "kube-proxy-not-running",
        "container-not-listening",
        "api-server-pod-unhealthy",
        "tunnel-down",
        "cns-unreachable",
    ],
    doc: Doc {
        meaning: "The container exits, with an error or because its liveness or startup probe failed, and the kubelet restarts it after a growing delay of up to five minutes (CrashLoopBackOff). Common reasons: missing configuration, a dependency that cannot be reached, a port already in use.",
        decision: "A container waiting with reason CrashLoopBackOff, or one that ended with an error after three restarts or more, grouped by workload. Confirmed. Shows the restart count, the last exit code and its reason, and the last words: the line that names the failure at the end of the termination message or of the container's log, of the previous run where the bundle has it. A kubelet's log that backs off a container to its end counts where the pods are not in the bundle: likely. A container that is ready and was restarted ten times or more is low. OOMKilled containers are reported as container-out-of-memory instead.",
        action: "Read the log of the previous container (kubectl logs --previous) and the pod's events.",
        reference: "Kubernetes: Debug Pods; Pod Lifecycle, container restarts. AKS: Troubleshoot pods in CrashLoopBackOff.",
    },
    detect: Evaluation::Rule(detect),
};

const PODS_OR_NODE_LOGS: Need = Need {
    what: "the pods with their status",
    why: "it shows which containers are restarted, and how they ended",
    command: PODS.command,
    met: |cluster| (PODS.met)(cluster) || has_node_logs(cluster),
};

#[derive(Default)]
struct Looping {
    observed: Observed,
    restarts: u32,
    /// The oldest pod that was never ready is not ready since then.
    since: Option<i64>,
    last: Option<Terminated>,
    /// The lines that name the failure.
    words: Vec<String>,
    /// It runs and is ready at the moment.
    ready: bool,
    /// What tells of it.
    source: LoopSource,
}

/// What tells of a container that is restarted again and again.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum LoopSource {
    /// Its pod's status.
    #[default]
    Status,
    /// A kubelet's log alone.
    Log,
    /// Events alone.
    Event,
}

/// Restarts of a container that is ready now, from which on they are told.
const MANY_RESTARTS: u32 = 10;

/// How a container is restarted again and again: `Some(true)` when it is ready at the moment.
fn looping(pod: &Pod, status: &ContainerStatus) -> Option<bool> {
    let waits = |reason: &str| reason.strip_prefix("Init:").unwrap_or(reason) == "CrashLoopBackOff";
    if status.state.waiting.as_ref().is_some_and(|item| waits(&item.reason)) {
        return Some(false);
    }
    let ended_badly = |ended: &Terminated| ended.exit_code != 0 || &*ended.reason == "Error";
    if status.state.terminated.as_deref().is_some_and(ended_badly) && status.restart_count > 2 && !pod.ended()
    {
        return Some(false);
    }
    let crashed = status.last_state.terminated.as_deref().is_some_and(ended_badly);
    (crashed && status.ready && status.restart_count >= MANY_RESTARTS).then_some(true)
}

/// What an exit code means where the shell or a signal gave it; empty where it is the program's.
fn meaning(code: i64) -> &'static str {
    match code {
        0 => ": the main process finished without an error instead of running on",
        126 => ": the command cannot be executed",
        127 => ": command not found in the image",
        134 => ": SIGABRT, the process aborted",
        137 => {
            ": SIGKILL, e.g. after a failed liveness probe, a stop that exceeded its grace period, or an OOM kill that the runtime did not report"
        }
        139 => ": SIGSEGV, segmentation fault",
        143 => ": SIGTERM, e.g. after a failed liveness probe",
        _ => "",
    }
}

/// The end of a termination message: it holds the last lines of the log, and the reason is in the last of them.
fn ending(message: &str) -> String {
    const MOST: usize = 300;
    let whole = message.trim();
    let skipped = whole.chars().count().saturating_sub(MOST);
    let end: String = whole.chars().skip(skipped).collect();
    let from_a_line = end.split_once('\n').filter(|_| skipped > 0).map_or(&*end, |(_, lines)| lines);
    let cut = if skipped > 0 { "…" } else { "" };
    format!("{cut}{}", crate::evidence::excerpt(from_a_line.as_bytes()))
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut found: BTreeMap<ContainerOf, Looping> = BTreeMap::new();
    for (key, seen) in cluster.facts.objects.pods.iter() {
        let pod = &seen.object;
        for status in statuses(pod) {
            let Some(ready) = looping(pod, status) else { continue };
            if out_of_memory(&status.last_state) || out_of_memory(&status.state) {
                continue;
            }
            let item = found.entry(place(key, pod, status)).or_default();
            let state = if ready { "restarted" } else { "CrashLoopBackOff" };
            add(&mut item.observed, key, seen, status, state);
            item.ready = ready && (item.ready || item.restarts == 0);
            item.since = item.since.into_iter().chain(super::never_ready_since(pod)).min();
            item.restarts = item.restarts.max(status.restart_count);
            let last = status.last_state.terminated.as_deref().or(status.state.terminated.as_deref());
            item.last = item.last.take().or_else(|| last.cloned());
            if item.words.is_empty() {
                let mut lines = last_words(&cluster.facts, key, &status.name);
                // Of one that runs, the last line is no reason.
                if lines.is_empty() && !ready {
                    lines = last_line(&cluster.facts, key, &status.name).map_or(&[], std::slice::from_ref);
                }
                item.observed.evidence.extend(lines.iter().cloned());
                item.words = texts(lines.iter().map(|line| &line.excerpt));
            }
        }
    }
    of_logs(cluster, &mut found);
    of_events(cluster, &mut found);
    found
        .into_iter()
        .filter_map(|((namespace, owner, container), looping)| {
            finding(cluster, [&namespace, &owner, &container], looping)
        })
        .collect()
}

/// What logs of kubelets say of pods that are not in the bundle: they back off to the end of the log.
fn of_logs(cluster: &Cluster, found: &mut BTreeMap<ContainerOf, Looping>) {
    let all = observed::signals(cluster, |key| {
        let mut parts = key.detail.splitn(3, ' ');
        let (namespace, pod, container) = (parts.next()?, parts.next()?, parts.next()?);
        let known = cluster.facts.objects.pods.get(namespace, pod).is_some();
        (key.signal == Signal::CrashLoop && !known)
            .then(|| (namespace.to_owned(), pod.to_owned(), container.to_owned()))
    });
    for (place, mut seen) in all {
        if cluster.is_over(seen.span) || seen.count < 2 {
            continue;
        }
        seen.pods = BTreeSet::from([Key::new(place.0.as_str(), place.1.as_str())]);
        let lines = last_words(&cluster.facts, &Key::new(place.0.as_str(), place.1.as_str()), &place.2);
        seen.evidence.extend(lines.iter().cloned());
        let words = texts(lines.iter().map(|line| &line.excerpt));
        let source = LoopSource::Log;
        found.entry(place).or_insert(Looping { observed: seen, words, source, ..Looping::default() });
    }
}

/// The container of `Back-off restarting failed container app in pod cart-0_shop(uid)`; older kubelets do not name it.
fn backed_off(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("ack-off restarting failed container")?;
    let rest = rest.trim_start().trim_start_matches('=');
    Some(rest.split([' ', '=']).next().filter(|_| rest.contains("pod")).unwrap_or_default())
}

/// What events say of pods that are not in the bundle: a fragment of `kubectl describe`, `kubectl get events` alone.
fn of_events(cluster: &Cluster, found: &mut BTreeMap<ContainerOf, Looping>) {
    for (key, tally) in cluster.facts.events.of_reason("BackOff").filter(|(key, _)| &*key.kind == "Pod") {
        let container = tally.examples.as_slice().iter().find_map(|place| backed_off(&place.excerpt));
        // Where the pods of the namespace are listed, one that is not among them is gone.
        let known = cluster.facts.objects.pods.of_namespace(&key.namespace).next().is_some();
        // A kubelet says so of a container that it has restarted before: one fresh row is enough.
        let least = if tally.span.age_of_end().is_some() { 1 } else { 2 };
        let Some(container) = container.filter(|_| !known && observed::goes_on(cluster, key, tally, least))
        else {
            continue;
        };
        let pod = Key::new(&*key.namespace, &*key.name);
        let is_known = found.iter().any(|(_, looping)| looping.observed.pods.contains(&pod));
        if is_known {
            continue;
        }
        let mut item = Looping { source: LoopSource::Event, ..Looping::default() };
        item.observed.add_event(cluster, key, tally);
        let lines = last_words(&cluster.facts, &pod, container);
        item.observed.evidence.extend(lines.iter().cloned());
        item.words = texts(lines.iter().map(|line| &line.excerpt));
        found.insert((key.namespace.to_string(), key.name.to_string(), container.to_owned()), item);
    }
}

/// Whether the exit code is known: a row of a table says `Error`, which 0 never is.
fn knows_code(ended: &Terminated) -> bool {
    ended.exit_code != 0 || &*ended.reason != "Error"
}

fn finding(cluster: &Cluster, [namespace, owner, container]: [&str; 3], looping: Looping) -> Option<Finding> {
    let first = looping.observed.pods.iter().next().cloned()?;
    // Rows below `Events:` alone do not name their pod.
    let name = |key: &Key| if key.name.is_empty() { "a pod" } else { &*key.name }.to_owned();
    let pods: Vec<String> = looping.observed.pods.iter().map(name).collect();
    let ended = looping.last.as_ref().map_or_else(String::new, |last| {
        let message = if last.message.is_empty() {
            String::new()
        } else {
            format!(" The termination message ends with: {}", ending(&last.message))
        };
        if !knows_code(last) {
            return format!(" It ended with {}; its exit code is not in the bundle.{message}", last.reason);
        }
        format!(
            " Last exit code: {}{}{}.{message}",
            last.exit_code,
            if last.reason.is_empty() { String::new() } else { format!(" ({})", last.reason) },
            meaning(last.exit_code)
        )
    });
    let of_message = looping.last.as_ref().and_then(of_message).map(ToOwned::to_owned);
    let words = of_message.or_else(|| looping.words.first().map(|line| without_time(line).to_owned()));
    let log = if looping.words.is_empty() {
        String::new()
    } else {
        format!(" The log ends with: {}", crate::evidence::excerpt(looping.words.join(" | ").as_bytes()))
    };
    // A row of a table does not name containers.
    let named =
        if container.is_empty() { "A container".to_owned() } else { format!("Container {container}") };
    let code = looping
        .last
        .as_ref()
        .filter(|last| knows_code(last))
        .map_or_else(String::new, |last| format!(", exit code {}", last.exit_code));
    let restarts = super::restarts(looping.restarts, pods.len());
    let of_status = looping.source == LoopSource::Status;
    let state = match (looping.ready, looping.source) {
        (true, _) => format!("ready at capture, {restarts}"),
        (false, LoopSource::Log) => "CrashLoopBackOff, to the end of the kubelet's log".to_owned(),
        (false, LoopSource::Event) => "the kubelet backs off from restarting it".to_owned(),
        (false, LoopSource::Status) => format!("CrashLoopBackOff, {restarts}"),
    };
    let says = Wording {
        severity: if looping.ready {
            Severity::Low
        } else if of_status
            && (namespace == "kube-system" || observed::breaks_a_service(cluster, &looping.observed.pods))
        {
            Severity::High
        } else {
            Severity::Medium
        },
        confidence: if of_status { Confidence::Confirmed } else { Confidence::Likely },
        unit: if looping.source == LoopSource::Event { "event" } else { "pod" },
        cause: format!(
            "{named} of {}{} exits repeatedly: {state}.{ended}{log}",
            listed(pods.iter().map(String::as_str), 3),
            super::in_namespace(namespace)
        ),
        fix: match &words {
            Some(words) => format!("Correct what the last line of its log names: {}. A changed template or configuration rolls out new pods.", beginning(words, 160).trim_end_matches('.')),
            None => "Read the last log lines of the previous container; they usually show why it exits. The pod's events show failed probes and mounts.".to_owned(),
        },
        commands: vec![
            format!(
                "kubectl logs {} -n {}{} --previous",
                host_word(&first.name, "POD"),
                shell(namespace),
                if container.is_empty() { String::new() } else { format!(" -c {}", shell(container)) }
            ),
            format!("kubectl describe pod {} -n {}", host_word(&first.name, "POD"), shell(namespace)),
        ],
        verify: vec![super::runs_again(cluster, namespace, owner, &looping.observed.pods)],
    };
    let observed = looping.observed;
    let why = words.as_deref().map_or_else(String::new, |words| format!(": {}", beginning(words, TITLE)));
    let (several, label) =
        (super::several(observed.pods.len()), super::labelled(namespace, owner, container));
    let title = match (looping.ready, looping.source) {
        (true, _) => format!("{label} ready, {several}{restarts}{code}{why}"),
        (false, LoopSource::Log) => format!("{label} CrashLoopBackOff (kubelet log){why}"),
        (false, LoopSource::Event) => format!("{label} CrashLoopBackOff (events){why}"),
        (false, LoopSource::Status) => format!("{label} CrashLoopBackOff ({several}{restarts}{code}){why}"),
    };
    let mut finding =
        observed.finding(&DETECTOR, &format!("{namespace} {owner} {container}"), title, says)?;
    finding.details.workload.last_words = looping.words;
    let finding = super::with_known_start(finding, looping.restarts);
    Some(super::with_onset(finding, looping.since))
}
