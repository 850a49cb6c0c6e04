//! The postStart hook of a container fails, and the kubelet kills the container for it.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::EVENTS;
use crate::detectors::observed::{self, Observed, Wording, host_word};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::evidence::shortened;
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "lifecycle-hook-failing",
    chapter: Chapter::Workloads,
    title: "FailedPostStartHook: the container is killed and restarted",
    needs: &[EVENTS],
    explains: &["container-crash-loop", "service-pods-not-ready", "probe-failing"],
    doc: Doc {
        meaning: "A container's postStart hook exited with an error or did not answer. The kubelet kills the container for it and restarts it under its restart policy: the program itself may be sound, and its log shows no failure.",
        decision: "Events FailedPostStartHook of a pod that is not ready now; where the pod is not in the bundle, several of them up to a short time before the collection. Confirmed with the pod's state, likely without.",
        action: "Correct the hook: what it runs must exist in the image, wait until the program answers, and exit with 0.",
        reference: "kubernetes.io: Container Lifecycle Hooks. kubernetes/kubernetes pkg/kubelet/kuberuntime/kuberuntime_container.go (FailedPostStartHook).",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let failing: BTreeMap<(String, String), Observed> =
        observed::events(cluster, "FailedPostStartHook", |key, tally| {
            let pod = cluster.facts.objects.pods.get(&key.namespace, &key.name);
            let goes_on = match pod {
                Some(seen) => !seen.object.is_ready() && !seen.object.ended(),
                None => observed::goes_on(
                    cluster,
                    key,
                    tally,
                    if tally.span.age_of_end().is_some() { 1 } else { 2 },
                ),
            };
            (&*key.kind == "Pod" && goes_on).then(|| (key.namespace.to_string(), key.name.to_string()))
        });
    failing
        .into_iter()
        .filter_map(|((namespace, name), given)| {
            finding(cluster, &Key::new(namespace.as_str(), name.as_str()), given)
        })
        .collect()
}

/// What the hook ended with: `exited with 1: , message: "…"`, `failed - error: …`.
fn reason(message: &str) -> Option<&str> {
    let at = ["exited with ", "error: "].iter().find_map(|mark| message.rfind(mark))?;
    message.get(at..).map(|reason| reason.trim_start_matches("error: "))
}

fn finding(cluster: &Cluster, pod: &Key, given: Observed) -> Option<Finding> {
    let known = cluster.facts.objects.pods.get(&pod.namespace, &pod.name).is_some();
    let why = given.evidence.iter().find_map(|place| reason(&place.excerpt));
    let why = why.map_or_else(String::new, |why| format!(": {}", shortened(why, 60)));
    let who = if pod.name.is_empty() { "Unidentified pod".to_owned() } else { pod.label() };
    let (name, namespace) = (host_word(&pod.name, "POD"), host_word(&pod.namespace, "NAMESPACE"));
    let says = Wording {
        severity: Severity::High,
        confidence: if known { Confidence::Confirmed } else { Confidence::Likely },
        unit: "failed hook",
        cause: format!("The postStart hook of a container of {who} fails{}{why}. The kubelet kills and restarts the container each time.", given.when()),
        fix: "Correct the hook: its command must exist in the image, wait until the program it talks to answers, and exit with 0. Move what need not finish before the container counts as started into the program, or into an init container.".to_owned(),
        commands: vec![format!("kubectl get pod {name} -n {namespace} -o jsonpath='{{.spec.containers[*].lifecycle}}'")],
        verify: vec![format!("kubectl get events -n {namespace} --field-selector reason=FailedPostStartHook   # no new ones")],
    };
    given.finding(&DETECTOR, &pod.label(), format!("{who}: postStart hook fails{why}"), says)
}
