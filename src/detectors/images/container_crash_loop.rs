//! A container starts, ends, and starts again.

use std::collections::BTreeMap;

use super::{ContainerOf, add, out_of_memory, place, statuses};
use crate::cluster::Cluster;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{Observed, Wording, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, shell};
use crate::facts::Terminated;

pub(super) const DETECTOR: Detector = Detector {
    id: "container-crash-loop",
    chapter: Chapter::Images,
    title: "A container ends again and again",
    guide: &["3.2"],
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
        meaning: "The program in a container ends, with an error or because its probe failed, and the kubelet starts it again, each time after a longer wait (CrashLoopBackOff). What it printed before it ended says why, mostly: a configuration that is missing, a database that is not reached, a port that is taken.",
        decision: "A container that waits with CrashLoopBackOff, by workload. Confirmed; its last exit code and, where the bundle has its log, the last words before the end are shown. Containers that were ended for want of memory are told by that.",
        action: "Read the output of the last start.",
        reference: "Kubernetes: debug pods. AKS: intermittent time-outs or server issues when accessing the application.",
    },
    detect,
};

#[derive(Default)]
struct Looping {
    observed: Observed,
    restarts: u32,
    last: Option<Terminated>,
}

/// What an exit code means, when it is not the program's own.
fn meaning(code: i64) -> &'static str {
    match code {
        0 => "the program ended by itself, without an error: it is not made to stay",
        126 => "the command can't be run (permissions)",
        127 => "the command was not found in the image",
        134 => "the program aborted (SIGABRT)",
        137 => "it was killed (SIGKILL): by its liveness probe, or because it took too long to stop",
        139 => "the program crashed (SIGSEGV)",
        143 => "it was told to stop (SIGTERM), by its liveness probe or a roll-out",
        _ => "the program ended with an error of its own",
    }
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
        .collect::<Vec<_>>()
        .into()
}

fn finding(namespace: &str, owner: &str, container: &str, looping: Looping) -> Option<Finding> {
    let first = looping.observed.pods.iter().next().cloned()?;
    let pods: Vec<String> = looping.observed.pods.iter().map(|key| key.name.to_string()).collect();
    let ended = looping.last.as_ref().map_or_else(String::new, |last| {
        let message = if last.message.is_empty() {
            String::new()
        } else {
            format!(" It left the words: {}", crate::evidence::excerpt(last.message.as_bytes()))
        };
        format!(
            " The last time it ended with exit code {}{}: {}.{message}",
            last.exit_code,
            if last.reason.is_empty() || &*last.reason == "Error" {
                String::new()
            } else {
                format!(" ({})", last.reason)
            },
            meaning(last.exit_code)
        )
    });
    let system = namespace == "kube-system";
    // A row of a table does not name containers.
    let named =
        if container.is_empty() { "A container".to_owned() } else { format!("Container {container}") };
    let says = Wording {
        severity: if system { Severity::High } else { Severity::Medium },
        confidence: Confidence::Confirmed,
        unit: "pod",
        cause: format!(
            "{} of {} in {namespace} ends again and again ({} restarts).{ended}",
            named,
            listed(pods.iter().map(String::as_str), 3),
            looping.restarts
        ),
        fix: "Read what it printed before it ended.".to_owned(),
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
            "kubectl get pods -n {} | grep {}   # Running, RESTARTS grows no more",
            shell(namespace),
            shell(owner)
        )],
    };
    let observed = looping.observed;
    let title = format!(
        "{named} of {namespace}/{owner} ends again and again ({})",
        counted(observed.pods.len(), "pod")
    );
    let finding = observed.finding(&DETECTOR, &format!("{namespace} {owner} {container}"), title, says)?;
    Some(super::with_known_start(finding, looping.restarts))
}
