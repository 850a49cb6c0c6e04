//! Containers that the kubelet cannot create or start: a `ConfigMap`, a `Secret` or a key is missing, a volume cannot be
//! mounted, the runtime refuses.

use crate::facts::text::beginning;
use std::collections::BTreeMap;

use super::{ContainerOf, add, place, statuses};
use crate::cluster::Cluster;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{Observed, Wording, breaks_a_service, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::evidence::{Evidence, excerpt};
use crate::facts::{Key, Pod};

/// Characters of a reason that fit into a title.
const TITLE: usize = 70;

pub(super) const DETECTOR: Detector = Detector {
    id: "container-cannot-start",
    chapter: Chapter::Images,
    title: "CreateContainerConfigError, RunContainerError, FailedMount",
    needs: &[PODS],
    explains: &["connection-failing", "service-pods-not-ready", "container-crash-loop", "coredns-unhealthy"],
    doc: Doc {
        meaning: "The image is there, and the container cannot be created or started: a ConfigMap, a Secret or a key of one that the pod names does not exist (CreateContainerConfigError, or FailedMount when it is a volume), a volume cannot be mounted, or the container runtime refuses (CreateContainerError, RunContainerError).",
        decision: "Containers waiting with such a reason, and pods that wait for their containers with FailedMount or FailedAttachVolume events, grouped by workload and message. Confirmed. Optional references are no reason: the kubelet starts such a container.",
        action: "Create what is missing, or correct its name in the pod template.",
        reference: "Kubernetes: ConfigMaps; Secrets; Debug Pods. AKS: Troubleshoot disk and file mount errors.",
    },
    detect: Evaluation::Rule(detect),
};

/// Reasons of the kubelet (kubernetes, `pkg/kubelet/kuberuntime`, `pkg/kubelet/images`), without a prefix `Init:`.
const REASONS: &[&str] = &[
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "StartError",
    "ContainerCannotRun",
    "PostStartHookError",
    "PreCreateHookError",
    "PreStartHookError",
];

#[derive(Default)]
struct Stuck {
    observed: Observed,
    reason: String,
    words: String,
}

/// The newest words of an event about a pod that hold one of these.
fn event<'a>(cluster: &'a Cluster, key: &Key, reason: &'a str, hold: &[&str]) -> Option<&'a Evidence> {
    let all = cluster.facts.events.of_reason(reason);
    let ours = all.filter(|(event, _)| {
        &*event.kind == "Pod" && *event.namespace == *key.namespace && *event.name == *key.name
    });
    ours.flat_map(|(_, tally)| tally.examples.as_slice())
        .filter(|place| hold.is_empty() || hold.iter().any(|word| place.excerpt.contains(word)))
        .last()
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut found: BTreeMap<ContainerOf, Stuck> = BTreeMap::new();
    for (key, seen) in cluster.facts.objects.pods.iter() {
        let pod = &seen.object;
        if pod.ended() || !pod.metadata.deletion_timestamp.is_empty() {
            continue;
        }
        for status in statuses(pod) {
            let waiting = status.state.waiting.as_ref().map(|item| (&*item.reason, &*item.message));
            let ended = status.state.terminated.as_ref().map(|item| (&*item.reason, &*item.message));
            let Some((reason, message)) = waiting.or(ended) else { continue };
            let reason = reason.strip_prefix("Init:").unwrap_or(reason);
            if !REASONS.contains(&reason) {
                continue;
            }
            let failed = event(cluster, key, "Failed", &["rror"]);
            let words = if message.is_empty() { failed.map_or("", |place| &place.excerpt) } else { message };
            let item = found.entry(place(key, pod, status)).or_default();
            add(&mut item.observed, key, seen, status, reason);
            item.observed.evidence.extend(failed.cloned());
            reason.clone_into(&mut item.reason);
            words.trim_start_matches("Error: ").clone_into(&mut item.words);
        }
        if let Some((reason, failed)) = unmounted(cluster, key, pod) {
            let owner = super::workload_name(key, pod);
            let item = found.entry((key.namespace.to_string(), owner, String::new())).or_default();
            item.observed.count += 1;
            item.observed.pods.insert(key.clone());
            item.observed.evidence.push(failed.clone());
            reason.clone_into(&mut item.reason);
            item.words = failed.excerpt.to_string();
        }
    }
    found
        .into_iter()
        .filter_map(|((namespace, owner, container), stuck)| {
            finding(cluster, [&namespace, &owner, &container], stuck)
        })
        .collect()
}

/// A pod whose containers wait for a volume.
fn unmounted<'a>(cluster: &'a Cluster, key: &Key, pod: &Pod) -> Option<(&'static str, &'a Evidence)> {
    let waits = statuses(pod).any(|status| {
        let reason = status.state.waiting.as_ref().map(|item| &*item.reason);
        matches!(reason, Some("ContainerCreating" | "PodInitializing"))
    });
    if !waits || pod.is_ready() {
        return None;
    }
    // What attaches comes before what mounts, and is its reason.
    let attach = event(cluster, key, "FailedAttachVolume", &[]).map(|place| ("FailedAttachVolume", place));
    let missing = event(cluster, key, "FailedMount", &["not found", "MountVolume"]);
    attach.or_else(|| missing.map(|place| ("FailedMount", place)))
}

/// What is missing, in a word: the kubelet says `secret "db" not found`, `couldn't find key k in ConfigMap ns/name`.
fn lacks(words: &str) -> &'static str {
    let has = |text: &str| words.contains(text);
    match () {
        () if has("find key")
            || has("references non-existent config key")
            || has("non-existent secret key") =>
        {
            "key"
        }
        () if has("secret \"") && has("not found") => "secret",
        () if has("configmap \"") && has("not found") => "config-map",
        () if has("Multi-Attach") => "multi-attach",
        () if has("runAsNonRoot") || has("must not run as root") || has("non-numeric user") => {
            "run-as-non-root"
        }
        () if has("ermission denied") => "permission",
        () if has("executable file not found") || has("no such file or directory") => "command",
        () => "other",
    }
}

fn finding(cluster: &Cluster, [namespace, owner, container]: [&str; 3], stuck: Stuck) -> Option<Finding> {
    let first = stuck.observed.pods.iter().next().cloned()?;
    let pods: Vec<String> = stuck.observed.pods.iter().map(|key| key.name.to_string()).collect();
    let lacks = lacks(&stuck.words);
    let words =
        if stuck.words.is_empty() { String::new() } else { format!(": {}", beginning(&stuck.words, TITLE)) };
    let fix = match lacks {
        "key" | "secret" | "config-map" => {
            "Create the ConfigMap, Secret or key that the message names, in the pod's namespace, or correct its name in the pod template. A missing one may also be marked optional."
        }
        "multi-attach" => {
            "The disk is attached to another node: the pod that uses it there must end first. Use strategy Recreate for a Deployment with a ReadWriteOnce disk."
        }
        "run-as-non-root" => {
            "Set runAsUser to a numeric user that is not 0, or use an image whose USER is one."
        }
        "command" => "Correct command and args in the pod template: the image has no such file.",
        _ => "Act on the message; the pod's events have it whole.",
    };
    let target = format!("{} -n {}", shell(&first.name), shell(namespace));
    let says = Wording {
        severity: if breaks_a_service(cluster, &stuck.observed.pods) {
            Severity::High
        } else {
            Severity::Medium
        },
        confidence: Confidence::Confirmed,
        unit: "pod",
        cause: format!(
            "{}{} cannot start{}: {}{}",
            listed(pods.iter().map(String::as_str), 3),
            super::in_namespace(namespace),
            if container.is_empty() { String::new() } else { format!(" container {container}") },
            stuck.reason,
            if stuck.words.is_empty() {
                ". The message is not in the bundle: a ConfigMap, Secret or key is missing, or the runtime refused.".to_owned()
            } else {
                format!(", {}", excerpt(stuck.words.as_bytes()))
            }
        ),
        fix: fix.to_owned(),
        commands: vec![
            format!("kubectl describe pod {target}"),
            format!("kubectl get configmaps,secrets -n {}", shell(namespace)),
        ],
        verify: vec![format!("kubectl get pod {target}   # Running, READY shows all containers")],
    };
    let title = format!(
        "{} {}{}{words}",
        super::labelled(namespace, owner, container),
        super::several(pods.len()),
        stuck.reason
    );
    let mut finding =
        stuck.observed.finding(&DETECTOR, &format!("{namespace} {owner} {container}"), title, says)?;
    finding.details.workload.lacks = Some(lacks.to_owned());
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_by_the_kubelets_words() {
        for (words, expected) in [
            ("couldn't find key LOG_LEVEL in ConfigMap shop/web-config", "key"),
            ("secret \"db\" not found", "secret"),
            ("MountVolume.SetUp failed for volume \"c\" : configmap \"web\" not found", "config-map"),
            ("Multi-Attach error for volume \"pvc-1\"", "multi-attach"),
        ] {
            assert_eq!(lacks(words), expected, "{words}");
        }
    }
}
