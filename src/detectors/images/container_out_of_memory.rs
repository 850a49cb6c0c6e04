//! Containers are ended for want of memory.

use std::collections::BTreeMap;

use super::{ContainerOf, add, out_of_memory, place, statuses};
use crate::cluster::Cluster;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{self, Observed, Wording, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, shell};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "container-out-of-memory",
    chapter: Chapter::Images,
    title: "A container is ended for want of memory",
    guide: &["3.2"],
    needs: &[PODS],
    explains: &[
        "container-crash-loop",
        "service-pods-not-ready",
        "tunnel-down",
        "coredns-unhealthy",
        "metrics-api-unavailable",
    ],
    doc: Doc {
        meaning: "The kernel ends a container that takes more memory than its limit (OOMKilled, exit code 137), or the largest one when the whole node runs out. It starts again, and its service stumbles each time. Exit code 137 without that reason is another killing: a probe, a stop that took too long.",
        decision: "The reason OOMKilled in the state of a container, now or before its last restart, by workload. Confirmed. High when the container is not ready now, low when it runs again and restarted no more than twice. The kernel's own words are evidence of it.",
        action: "Raise the limit to what the program needs, or find its leak.",
        reference: "AKS: troubleshooting OOMKilled; Kubernetes: assign memory resources to containers.",
    },
    detect,
};

#[derive(Default)]
struct Ended {
    observed: Observed,
    restarts: u32,
    not_ready: bool,
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut found: BTreeMap<ContainerOf, Ended> = BTreeMap::new();
    for (key, seen) in cluster.facts.objects.pods.iter() {
        let pod = &seen.object;
        for status in
            statuses(pod).filter(|status| out_of_memory(&status.state) || out_of_memory(&status.last_state))
        {
            let item = found.entry(place(key, pod, status)).or_default();
            add(&mut item.observed, key, seen, status, "OOMKilled");
            item.restarts = item.restarts.max(status.restart_count);
            // A pod that ended for good is not expected to be ready.
            item.not_ready |= !status.ready && !pod.ended();
        }
    }
    let kernel =
        observed::signals(cluster, |key| (key.signal == Signal::OutOfMemory).then_some(())).remove(&());
    found
        .into_iter()
        .filter_map(|((namespace, owner, container), ended)| {
            finding(cluster, [&namespace, &owner, &container], ended, kernel.as_ref())
        })
        .collect::<Vec<_>>()
        .into()
}

fn finding(
    cluster: &Cluster,
    [namespace, owner, container]: [&str; 3],
    ended: Ended,
    kernel: Option<&Observed>,
) -> Option<Finding> {
    let pods: Vec<String> = ended.observed.pods.iter().map(|key| key.name.to_string()).collect();
    let first = ended.observed.pods.iter().next().cloned()?;
    let mut observed = ended.observed;
    let node = cluster
        .facts
        .objects
        .pods
        .get(&first.namespace, &first.name)
        .map(|seen| seen.object.spec.node_name.to_string());
    // The kernel's words are of this container when they are of its node.
    if let Some(kernel) =
        kernel.filter(|kernel| node.as_ref().is_some_and(|node| kernel.nodes.contains(node)))
    {
        observed.evidence.extend(kernel.evidence.iter().take(2).cloned());
    }
    let severity = match (ended.not_ready, ended.restarts) {
        (true, _) => Severity::High,
        (false, 0..=2) => Severity::Low,
        (false, _) => Severity::Medium,
    };
    let now = if ended.not_ready { "it is not ready now" } else { "it runs again" };
    // A row of a table does not name containers.
    let named =
        if container.is_empty() { "A container".to_owned() } else { format!("Container {container}") };
    let says = Wording {
        severity,
        confidence: Confidence::Confirmed,
        unit: "container",
        cause: format!("{} of {} in {namespace} was ended for want of memory (OOMKilled, exit code 137) and started again, {} times at most; {now}. Its limit is lower than what it takes, or it has a leak.", named, listed(pods.iter().map(String::as_str), 3), ended.restarts),
        fix: "Compare the limit with what the container takes at its height. Raise it, or find the leak; programs with a heap of their own (Java, Node.js) need its size set below the limit.".to_owned(),
        commands: vec![
            format!("kubectl top pod {} -n {} --containers", shell(&first.name), shell(namespace)),
            format!("kubectl get pod {} -n {} -o jsonpath='{{.spec.containers[*].resources}}'", shell(&first.name), shell(namespace)),
        ],
        verify: vec![format!("kubectl get pod -n {} | grep {}   # RESTARTS grows no more", shell(namespace), shell(owner))],
    };
    let title = format!(
        "{named} of {namespace}/{owner} is ended for want of memory ({})",
        counted(observed.pods.len(), "pod")
    );
    let finding = observed.finding(&DETECTOR, &format!("{namespace} {owner} {container}"), title, says)?;
    Some(super::with_known_start(finding, ended.restarts))
}
