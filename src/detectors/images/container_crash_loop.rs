//! A container exits and is restarted, again and again: `CrashLoopBackOff`.

use std::collections::BTreeMap;

use super::{ContainerOf, add, out_of_memory, place, statuses};
use crate::cluster::Cluster;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, shell};
use crate::facts::Terminated;

pub(super) const DETECTOR: Detector = Detector {
    id: "container-crash-loop",
    chapter: Chapter::Images,
    title: "Container in CrashLoopBackOff",
    needs: &[PODS],
    explains: &[
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
        decision: "A container waiting with reason CrashLoopBackOff, grouped by workload. Confirmed. Shows the restart count and, where the pod's status has them, the last exit code, its reason and the end of its termination message. The container's log is not read: look at `kubectl logs --previous`. OOMKilled containers are reported as container-out-of-memory instead.",
        action: "Read the log of the previous container (kubectl logs --previous) and the pod's events.",
        reference: "Kubernetes: Debug Pods; Pod Lifecycle, container restarts. AKS: Troubleshoot pods in CrashLoopBackOff.",
    },
    detect,
};

#[derive(Default)]
struct Looping {
    observed: Observed,
    restarts: u32,
    last: Option<Terminated>,
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
            let looping =
                status.state.waiting.as_ref().is_some_and(|item| &*item.reason == "CrashLoopBackOff");
            if !looping || out_of_memory(&status.last_state) {
                continue;
            }
            let item = found.entry(place(key, pod, status)).or_default();
            add(&mut item.observed, key, seen, status, "CrashLoopBackOff");
            item.restarts = item.restarts.max(status.restart_count);
            item.last = item.last.take().or_else(|| status.last_state.terminated.as_deref().cloned());
        }
    }
    found
        .into_iter()
        .filter_map(|((namespace, owner, container), looping)| {
            finding(&namespace, &owner, &container, looping)
        })
        .collect()
}

fn finding(namespace: &str, owner: &str, container: &str, looping: Looping) -> Option<Finding> {
    let first = looping.observed.pods.iter().next().cloned()?;
    let pods: Vec<String> = looping.observed.pods.iter().map(|key| key.name.to_string()).collect();
    let ended = looping.last.as_ref().map_or_else(String::new, |last| {
        let message = if last.message.is_empty() {
            String::new()
        } else {
            format!(" The termination message ends with: {}", ending(&last.message))
        };
        format!(
            " Last exit code: {}{}{}.{message}",
            last.exit_code,
            if last.reason.is_empty() { String::new() } else { format!(" ({})", last.reason) },
            meaning(last.exit_code)
        )
    });
    let system = namespace == "kube-system";
    // A row of a table does not name containers.
    let named =
        if container.is_empty() { "A container".to_owned() } else { format!("Container {container}") };
    let code =
        looping.last.as_ref().map_or_else(String::new, |last| format!(", exit code {}", last.exit_code));
    let restarts = super::restarts(looping.restarts, pods.len());
    let says = Wording {
        severity: if system { Severity::High } else { Severity::Medium },
        confidence: Confidence::Confirmed,
        unit: "pod",
        cause: format!(
            "{named} of {}{} exits repeatedly: CrashLoopBackOff, {restarts}.{ended}",
            listed(pods.iter().map(String::as_str), 3),
            super::in_namespace(namespace)
        ),
        fix: "Read the last log lines of the previous container; they usually show why it exits. The pod's events show failed probes and mounts.".to_owned(),
        commands: vec![
            format!(
                "kubectl logs {} -n {}{} --previous",
                shell(&first.name),
                shell(namespace),
                if container.is_empty() { String::new() } else { format!(" -c {}", shell(container)) }
            ),
            format!("kubectl describe pod {} -n {}", shell(&first.name), shell(namespace)),
        ],
        verify: vec![format!(
            "kubectl get pods -n {} | grep {}   # Running and ready, RESTARTS stays the same",
            shell(namespace),
            shell(owner)
        )],
    };
    let observed = looping.observed;
    let title = format!(
        "{} CrashLoopBackOff ({}{restarts}{code})",
        super::labelled(namespace, owner, container),
        super::several(observed.pods.len())
    );
    let finding = observed.finding(&DETECTOR, &format!("{namespace} {owner} {container}"), title, says)?;
    Some(super::with_known_start(finding, looping.restarts))
}
