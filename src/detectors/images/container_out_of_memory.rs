//! Containers are `OOMKilled`.

use std::collections::BTreeMap;

use super::{ContainerOf, add, out_of_memory, place, statuses};
use crate::cluster::Cluster;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{self, Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::facts::{Key, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "container-out-of-memory",
    chapter: Chapter::Images,
    title: "Container OOMKilled",
    needs: &[PODS],
    explains: &[
        "connection-failing",
        "container-crash-loop",
        "service-pods-not-ready",
        "tunnel-down",
        "coredns-unhealthy",
        "metrics-api-unavailable",
    ],
    doc: Doc {
        meaning: "The kernel kills a container that exceeds its memory limit, or the largest process when the node itself runs out of memory (OOMKilled, usually exit code 137). The kubelet restarts it, and its service is interrupted each time. Exit code 137 without the reason OOMKilled is another SIGKILL, such as a failed liveness probe or a stop beyond the grace period.",
        decision: "Reason OOMKilled in a container's current or last state, or `container init was OOM-killed` in the events of a pod that does not run, grouped by workload. Confirmed. High when the container is not ready at capture, low when it is ready and restarted no more than twice, otherwise medium. The kernel's `Killed process` lines of the same node are added as evidence.",
        action: "Raise the memory limit to peak usage, or fix the memory leak.",
        reference: "AKS: Troubleshoot OOMKilled in AKS clusters. Kubernetes: Assign Memory Resources to Containers and Pods.",
    },
    detect: Evaluation::Rule(detect),
};

#[derive(Default)]
struct Ended {
    observed: Observed,
    restarts: u32,
    /// The oldest pod that was never ready is not ready since then.
    since: Option<i64>,
    not_ready: bool,
    /// Killed before it ran.
    at_start: bool,
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
            item.since = item.since.into_iter().chain(super::never_ready_since(pod)).min();
            item.restarts = item.restarts.max(status.restart_count);
            // A pod that ended for good is not expected to be ready.
            item.not_ready |= !status.ready && !pod.ended();
        }
    }
    at_start(cluster, &mut found);
    let kernel =
        observed::signals(cluster, |key| (key.signal == Signal::OutOfMemory).then_some(())).remove(&());
    let containers = found.into_iter().filter_map(|((namespace, owner, container), ended)| {
        finding(cluster, [&namespace, &owner, &container], ended, kernel.as_ref())
    });
    let findings: Vec<Finding> = containers.collect();
    // The kernel names a process; whose it is, only the pods tell.
    let alone = kernel.filter(|given| findings.is_empty() && !given.is_over(cluster)).and_then(by_kernel);
    findings.into_iter().chain(alone).collect()
}

/// What the kernel says, where no container of the bundle is known to have been killed.
fn by_kernel(given: Observed) -> Option<Finding> {
    let killed = listed(given.details.iter().map(String::as_str), 3);
    let node = match given.nodes.first() {
        Some(node) if given.nodes.len() == 1 => format!("Node {node}"),
        _ => "Unidentified node".to_owned(),
    };
    let times = if given.count > 1 { format!(" ({} times)", given.count) } else { String::new() };
    let says = Wording {
        severity: Severity::Medium,
        confidence: if given.count > 1 { Confidence::Likely } else { Confidence::Possible },
        unit: "kill",
        cause: format!("A container reached its memory limit{}, and the kernel killed {killed} in it. Which container that is, the kernel does not name.", given.when()),
        fix: "Find the container: its last state is OOMKilled. Compare its memory limit with its peak usage, then raise the limit or fix the leak.".to_owned(),
        commands: vec!["kubectl get pods -A -o jsonpath='{range .items[*]}{.metadata.namespace}/{.metadata.name} {.status.containerStatuses[*].lastState.terminated.reason}{\"\\n\"}{end}' | grep OOMKilled".to_owned()],
        verify: vec!["journalctl -k --since '10 minutes ago' | grep -c oom-kill   # on the node: 0".to_owned()],
    };
    let title = format!("{node}: container at its memory limit, kernel OOM-killed {killed}{times}");
    given.finding(&DETECTOR, "kernel", title, says)
}

/// Containers whose first process is killed before they run (runc: `container init was OOM-killed`): the limit is too
/// small to start anything.
fn at_start(cluster: &Cluster, found: &mut BTreeMap<ContainerOf, Ended>) {
    for reason in ["FailedCreatePodSandBox", "Failed"] {
        for (event, tally) in
            cluster.facts.events.of_reason(reason).filter(|(event, _)| &*event.kind == "Pod")
        {
            let killed = |place: &&crate::evidence::Evidence| place.excerpt.contains("OOM-killed");
            let Some(place) = tally.examples.as_slice().iter().find(killed) else { continue };
            let key = Key::new(&*event.namespace, &*event.name);
            let pod = cluster.facts.objects.pods.get(&key.namespace, &key.name).map(|seen| &seen.object);
            if pod.is_some_and(|pod| pod.is_ready() || pod.ended()) {
                continue;
            }
            let owner = pod.map_or_else(|| key.name.to_string(), |pod| super::workload_name(&key, pod));
            let only = pod.map_or("", |pod| match &*pod.spec.containers {
                [only] => &*only.name,
                _ => "",
            });
            let item = found.entry((key.namespace.to_string(), owner, only.to_owned())).or_default();
            item.observed.add_event(cluster, event, tally);
            item.observed.show_first([place.clone()]);
            item.not_ready = true;
            item.at_start = true;
        }
    }
}

/// The memory limit of the container, as its pod states it.
fn memory_limit(cluster: &Cluster, observed: &Observed, container: &str) -> Option<String> {
    let key = observed.pods.first()?;
    let spec = &cluster.facts.objects.pods.get(&key.namespace, &key.name)?.object.spec;
    let ours = spec.containers.iter().find(|item| &*item.name == container)?;
    ours.resources
        .as_ref()?
        .limits
        .iter()
        .find(|(resource, _)| &***resource == "memory")
        .map(|(_, limit)| limit.to_string())
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
    let now = if ended.not_ready { " and is not ready at capture" } else { "" };
    // A row of a table does not name containers.
    let named =
        if container.is_empty() { "A container".to_owned() } else { format!("Container {container}") };
    let restarts = super::restarts(ended.restarts, pods.len());
    let says = Wording {
        severity,
        confidence: Confidence::Confirmed,
        unit: "container",
        cause: format!("{named} of {}{} was OOMKilled ({restarts} in total){now}. Its peak usage exceeds its memory limit (without a limit: the node's memory): the limit is too low, or the process leaks memory.", listed(pods.iter().map(String::as_str), 3), super::in_namespace(namespace)),
        fix: "Compare the memory limit with peak usage, then raise the limit or fix the leak. A changed limit restarts the pods. Runtimes with a heap setting (Java, Node.js) need it below the limit.".to_owned(),
        commands: vec![
            format!("kubectl top pod {} -n {} --containers", shell(&first.name), shell(namespace)),
            format!("kubectl get pod {} -n {} -o jsonpath='{{.spec.containers[*].resources}}'", shell(&first.name), shell(namespace)),
        ],
        verify: vec![super::runs_again(cluster, namespace, owner, &observed.pods)],
    };
    let label = super::labelled(namespace, owner, container);
    let title = if ended.at_start {
        format!("{label} OOMKilled while it starts: the memory limit is too low")
    } else {
        let limit = memory_limit(cluster, &observed, container);
        let limit = limit.map_or_else(String::new, |limit| format!("limit {limit}, "));
        format!("{label} OOMKilled ({limit}{}{restarts})", super::several(observed.pods.len()))
    };
    let finding = observed.finding(&DETECTOR, &format!("{namespace} {owner} {container}"), title, says)?;
    Some(super::with_onset(super::with_known_start(finding, ended.restarts), ended.since))
}
