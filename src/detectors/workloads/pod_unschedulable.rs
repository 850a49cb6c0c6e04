//! Pods that the scheduler cannot place (`FailedScheduling`), grouped by what decides.

use std::collections::BTreeMap;

use super::pods_in_title;
use crate::cluster::Cluster;
use crate::cluster::pods::scheduling::{self, Barrier, Wanted};
use crate::cluster::pods::{template, unscheduled, workload_name};
use crate::detectors::details::texts;
use crate::detectors::needs::{EVENTS, PODS};
use crate::detectors::observed::{Observed, Wording, breaks_a_service, listed};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Need, Outcome, Severity, shell,
};
use crate::evidence::{excerpt, shortened};
use crate::facts::{EventKey, Key, Pod, PodSpec, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-unschedulable",
    chapter: Chapter::Workloads,
    title: "Pod Pending: FailedScheduling",
    needs: &[PODS_OR_EVENTS],
    explains: &["connection-failing", "service-pods-not-ready", "pod-not-running", "coredns-unhealthy"],
    doc: Doc {
        meaning: "The scheduler finds no node for a pod (Unschedulable) and reports for how many nodes which reason applies: Insufficient cpu or memory, Too many pods, an untolerated taint, node affinity/selector, pod anti-affinity, a volume in another zone, an unbound PersistentVolumeClaim, cordoned nodes.",
        decision: "Pods without a node whose condition PodScheduled is False or that have FailedScheduling events, and FailedScheduling events of pods that the bundle does not have, grouped by the reason that decides. The scheduler counts each node under the first check that refuses it, so the nodes that came furthest decide; control plane taints do not. Where no node matches nodeSelector or affinity, the nodes' labels are compared: if only cordoned nodes have them, the cordon decides. Confirmed; likely where the pods are not in the bundle.",
        action: "Act on the reason: requests, max pods, taints, selectors, zones; or add nodes.",
        reference: "AKS: Troubleshoot pod scheduler errors in AKS. Kubernetes: Assigning Pods to Nodes; Taints and Tolerations; Scheduler Configuration.",
    },
    detect: Evaluation::Rule(detect),
};

const PODS_OR_EVENTS: Need = Need {
    what: "the pods with their status",
    why: "it shows which pods have no node, and the scheduler's reason",
    command: PODS.command,
    met: |cluster| (PODS.met)(cluster) || (EVENTS.met)(cluster),
};

/// Pods that wait for the same.
#[derive(Default)]
struct PendingPods {
    observed: Observed,
    pods: Vec<(Key, String)>,
    words: String,
    /// The spec of the first.
    spec: Option<PodSpec>,
    /// They are in the bundle.
    seen: bool,
}

/// A pod's own spec, completed from the template that it was made of: `describe` prints no affinity.
fn spec_of(cluster: &Cluster, key: &Key, pod: &Pod) -> PodSpec {
    let mut spec = pod.spec.clone();
    if let Some((_, _, workload)) = template(&cluster.facts, key, pod) {
        let made_of = &workload.object.spec.template.spec;
        if spec.affinity.is_none() {
            spec.affinity.clone_from(&made_of.affinity);
        }
        if spec.node_selector.is_empty() && spec.affinity.is_none() {
            spec.node_selector = made_of.node_selector.clone();
        }
        if spec.containers.iter().all(|container| container.resources.is_none()) {
            spec.containers.clone_from(&made_of.containers);
        }
    }
    spec
}

fn detect(cluster: &Cluster) -> Outcome {
    let objects = &cluster.facts.objects;
    let mut groups: BTreeMap<(Barrier, String), PendingPods> = BTreeMap::new();
    for (key, seen) in objects.pods.iter() {
        let pod = &seen.object;
        if !pod.metadata.deletion_timestamp.is_empty() {
            continue;
        }
        let Some(words) = unscheduled(&cluster.facts, key, pod).filter(|words| !words.is_empty()) else {
            continue;
        };
        let spec = spec_of(cluster, key, pod);
        let refusals = scheduling::refusals(&words);
        let barrier = scheduling::decisive(objects, Some(&spec), &refusals);
        let barrier = barrier.unwrap_or_else(|| Barrier::Other(words.clone()));
        let group = groups.entry((barrier.clone(), wanted(&barrier, &spec))).or_default();
        group.observed.count += 1;
        group.observed.pods.insert(key.clone());
        group.observed.evidence.extend(seen.evidence("Pod", key).into_iter().take(1).map(|mut place| {
            place.excerpt = excerpt(words.as_bytes());
            place
        }));
        group.pods.push((key.clone(), workload_name(key, pod)));
        group.spec.get_or_insert(spec);
        group.seen = true;
        if group.words.is_empty() {
            group.words = words;
        }
    }
    of_pods_that_are_gone(cluster, &mut groups);
    groups.into_iter().filter_map(|((barrier, _), waiting)| finding(cluster, &barrier, waiting)).collect()
}

/// What tells selectors apart: two workloads that ask for other labels have two causes.
fn wanted(barrier: &Barrier, spec: &PodSpec) -> String {
    if matches!(barrier, Barrier::Selector(_)) { scheduling::wanted_text(spec) } else { String::new() }
}

/// Events outlive their pods: a Job's are deleted, and the next ones fail as they did. What ended well before the logs
/// did, or is of pods that have a node by now, is over.
fn of_pods_that_are_gone(cluster: &Cluster, groups: &mut BTreeMap<(Barrier, String), PendingPods>) {
    for (key, tally) in cluster.facts.events.of_reason("FailedScheduling") {
        let known = cluster.facts.objects.pods.get(&key.namespace, &key.name).is_some();
        let span = tally.span.resolve(cluster.anchor);
        if &*key.kind != "Pod" || known || cluster.is_over(span) || placed(cluster, key) {
            continue;
        }
        let Some(last) = tally.examples.as_slice().last() else { continue };
        let refusals = scheduling::refusals(&last.excerpt);
        let Some(barrier) = scheduling::decisive(&cluster.facts.objects, None, &refusals) else { continue };
        // The scheduler tries a deleted pod once more.
        if matches!(&barrier, Barrier::Other(words) if words.starts_with("pod ") || words.starts_with("skip"))
        {
            continue;
        }
        let group = groups.entry((barrier, String::new())).or_default();
        group.observed.add_event(cluster, key, tally);
        group.pods.push((Key::new(&*key.namespace, &*key.name), key.name.to_string()));
        if group.words.is_empty() {
            group.words = last.excerpt.to_string();
        }
    }
}

/// Whether events tell that a pod got a node after all.
fn placed(cluster: &Cluster, key: &EventKey) -> bool {
    ["Scheduled", "Started"].iter().any(|reason| {
        let mut events = cluster.facts.events.of_reason(reason);
        events.any(|(event, _)| event.name == key.name && event.namespace == key.namespace)
    })
}

/// The reason in the title's words, and what to do.
fn meaning(barrier: &Barrier, spec: Option<&PodSpec>) -> (String, String) {
    let wanted = spec.map(scheduling::wanted_text).filter(|text| !text.is_empty());
    let named = |kind: &str| {
        wanted
            .clone()
            .map_or_else(|| format!("{kind} matches no node"), |text| format!("{text} matches no node"))
    };
    let (words, fix) = match barrier {
        Barrier::Insufficient(resource) => (
            format!("Insufficient {resource}"),
            "Lower the pod's request if it is higher than needed, or add nodes (a larger VM size when one pod asks for more than a node has).",
        ),
        Barrier::Pods => (
            "Too many pods (max pods per node reached)".to_owned(),
            "Add nodes, or a node pool with a higher max pods, whose subnet has the IPs for it.",
        ),
        Barrier::VolumeZone => (
            "volume node affinity conflict (volume in another zone or on another node)".to_owned(),
            "Create the volume where the pod can run (volumeBindingMode: WaitForFirstConsumer), or add a node in the volume's zone.",
        ),
        Barrier::VolumeCount => {
            ("exceed max volume count".to_owned(), "Add nodes, or use a VM size that takes more data disks.")
        }
        Barrier::Taint(taint) if barrier.is_of_lost_node() => (
            format!("nodes are NotReady or unreachable (taint {taint})"),
            "Repair the nodes first: the taint goes away when they are Ready.",
        ),
        Barrier::NotReady => ("nodes are NotReady".to_owned(), "Repair the nodes first."),
        Barrier::Taint(taint) => (
            if taint.is_empty() {
                "untolerated taint".to_owned()
            } else {
                format!("untolerated taint {taint}")
            },
            "Add a toleration to the pod, or remove the taint if it is no longer needed.",
        ),
        Barrier::Selector(Wanted::Selector) => (
            named("nodeSelector"),
            "Correct the nodeSelector, or label nodes; a node pool scaled to zero has no node to match.",
        ),
        Barrier::Selector(Wanted::Affinity) => (
            named("node affinity"),
            "Correct the required node affinity, or label nodes; a node pool scaled to zero has no node to match.",
        ),
        Barrier::Selector(Wanted::Either) => (
            named("nodeSelector/affinity"),
            "Correct the nodeSelector or affinity, or label nodes; a node pool scaled to zero has no node to match.",
        ),
        Barrier::AntiAffinity => (
            "pod anti-affinity excludes nodes".to_owned(),
            "Add nodes, or make the anti-affinity preferred instead of required.",
        ),
        Barrier::Affinity => (
            "pod affinity matches no node".to_owned(),
            "Check that the pods that it wants to run beside exist and have a node, or make the affinity preferred.",
        ),
        Barrier::Spread => (
            "topology spread constraints".to_owned(),
            "Add nodes in the zones that lack pods, or set whenUnsatisfiable: ScheduleAnyway.",
        ),
        Barrier::Ports => (
            "no node has the host port free".to_owned(),
            "Use a Service instead of hostPort, or add nodes: each takes one pod with this port.",
        ),
        Barrier::UnboundClaim => (
            "unbound PersistentVolumeClaim".to_owned(),
            "Check why the claim is not bound: its storage class, its provisioner, its quota.",
        ),
        Barrier::MissingClaim(name) => (
            format!("PersistentVolumeClaim {name} not found"),
            "Create the claim, or correct its name in the pod.",
        ),
        Barrier::Cordoned => (
            "nodes cordoned (unschedulable)".to_owned(),
            "Uncordon the nodes once what cordoned them is finished.",
        ),
        Barrier::Gated => (
            "SchedulingGated".to_owned(),
            "Whatever set the scheduling gates removes them: check that controller.",
        ),
        Barrier::Other(words) => {
            (shortened(words, 60), "Read the scheduler's reason for each node in the pod's events.")
        }
    };
    (words, fix.to_owned())
}

/// `500m`, `4`; `180Mi`, `16Gi`.
fn quantity(resource: &str, amount: f64) -> String {
    match resource {
        "cpu" if amount < 1.0 => format!("{:.0}m", amount * 1000.0),
        "cpu" => format!("{}", (amount * 100.0).round() / 100.0),
        _ => {
            let gibi = amount / 1_073_741_824.0;
            if gibi >= 1.0 {
                format!("{}Gi", (gibi * 10.0).round() / 10.0)
            } else {
                format!("{:.0}Mi", amount / 1_048_576.0)
            }
        }
    }
}

/// What the pod asks for, and what the largest node has.
fn arithmetic(cluster: &Cluster, barrier: &Barrier, spec: Option<&PodSpec>) -> Option<String> {
    let Barrier::Insufficient(resource) = barrier else { return None };
    let asks = scheduling::requested(spec?, resource)?;
    let objects = &cluster.facts.objects;
    let asks_text = quantity(resource, asks);
    let Some((node, most)) = scheduling::largest_node(objects, resource) else {
        return Some(format!(" A pod asks for {asks_text} {resource}."));
    };
    let all = format!("the largest schedulable node, {node}, has {} allocatable", quantity(resource, most));
    Some(match scheduling::requested_on(objects, &node, resource) {
        _ if asks > most => format!(
            " A pod asks for {asks_text} {resource}; {all}: no node of this size can take it, even empty."
        ),
        Some(taken) => format!(
            " A pod asks for {asks_text} {resource}; {all}, of which the pods of the bundle on it request {}.",
            quantity(resource, taken)
        ),
        None => format!(" A pod asks for {asks_text} {resource}; {all}."),
    })
}

fn finding(cluster: &Cluster, barrier: &Barrier, waiting: PendingPods) -> Option<Finding> {
    let (words, fix) = meaning(barrier, waiting.spec.as_ref());
    let pods = waiting.pods;
    let names: Vec<String> = pods.iter().map(|(key, _)| key.label()).collect();
    let (first, _) = pods.first().cloned()?;
    let gone = if waiting.seen {
        String::new()
    } else {
        " The pods themselves are not in the bundle: they may have been deleted since.".to_owned()
    };
    let when = waiting.observed.span.map_or_else(String::new, |(_, last)| {
        if waiting.seen { String::new() } else { format!(" Last seen at {}.", time::show(last)) }
    });
    let arithmetic = arithmetic(cluster, barrier, waiting.spec.as_ref()).unwrap_or_default();
    let mut commands = if waiting.seen {
        vec![format!("kubectl describe pod {} -n {}", shell(&first.name), shell(&first.namespace))]
    } else {
        vec![format!(
            "kubectl get events -n {} --field-selector reason=FailedScheduling",
            shell(&first.namespace)
        )]
    };
    commands.push(match barrier {
        Barrier::Selector(_) => "kubectl get nodes --show-labels".to_owned(),
        Barrier::Cordoned => "kubectl get nodes   # STATUS SchedulingDisabled".to_owned(),
        _ => "kubectl describe nodes | grep -A 8 'Allocated resources'".to_owned(),
    });
    let says = Wording {
        severity: if pods.len() > 5 || breaks_a_service(cluster, &waiting.observed.pods) {
            Severity::High
        } else {
            Severity::Medium
        },
        confidence: if waiting.seen { Confidence::Confirmed } else { Confidence::Likely },
        unit: "pod",
        cause: format!(
            "The scheduler cannot place {} (FailedScheduling): {}{}{arithmetic}{gone}{when}",
            listed(names.iter().map(String::as_str), 3),
            excerpt(waiting.words.as_bytes()),
            if waiting.words.ends_with('.') { "" } else { "." },
        ),
        fix,
        commands,
        verify: vec![
            "kubectl get pods -A --field-selector status.phase=Pending   # none of these pods".to_owned(),
        ],
    };
    let title = format!("{} Pending: FailedScheduling, {words}", pods_in_title(&pods));
    let about = match barrier {
        Barrier::Selector(_) | Barrier::Other(_) => format!("{} {}", barrier.slug(), first.label()),
        _ => words,
    };
    let mut finding = waiting.observed.finding(&DETECTOR, &about, title, says)?;
    finding.details.workload.scheduling = texts([barrier.slug()]);
    if let Barrier::Insufficient(resource) = barrier {
        finding.details.workload.resource = Some(resource.clone());
    }
    Some(finding)
}
