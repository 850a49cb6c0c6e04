//! A node is short of memory, disk or process IDs, and its kubelet says so.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::NODES;
use crate::detectors::observed::{self, Observed, Wording, host_word, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::evidence::excerpt;
use crate::facts::time;

pub(super) const DETECTOR: Detector = Detector {
    id: "node-under-pressure",
    chapter: Chapter::Nodes,
    title: "Node under DiskPressure, MemoryPressure or PIDPressure",
    needs: &[NODES],
    explains: &[
        "node-not-ready",
        "pod-evicted",
        "pod-unschedulable",
        "node-low-on-resource",
        "image-garbage-collection-fails",
    ],
    doc: Doc {
        meaning: "The kubelet found less memory, disk or process IDs free than its eviction threshold: it sets the condition, taints the node so that no new pod comes, and evicts pods until enough is free.",
        decision: "A condition DiskPressure, MemoryPressure or PIDPressure of a node that is True: confirmed. Events EvictionThresholdMet, FreeDiskSpaceFailed or NodeHasDiskPressure of a node, without its conditions in the bundle and without an event NodeHasNoDiskPressure after it: likely.",
        action: "Find what uses up the resource (images, logs and emptyDirs for disk; pods without limits for memory), free it, and set requests and limits.",
        reference: "kubernetes.io: Node-pressure Eviction. kubernetes/kubernetes pkg/kubelet/eviction.",
    },
    detect: Evaluation::Rule(detect),
};

/// A condition, what is short, and the events that tell of it and of its end.
struct Pressure {
    condition: &'static str,
    what: &'static str,
    begins: &'static str,
    ends: &'static str,
    fix: &'static str,
    look: &'static str,
}

const PRESSURES: [Pressure; 3] = [
    Pressure {
        condition: "DiskPressure",
        what: "disk",
        begins: "NodeHasDiskPressure",
        ends: "NodeHasNoDiskPressure",
        fix: "Find what fills the disk: images, container logs, emptyDir volumes, core dumps. Free it, set ephemeral-storage requests and limits, or use a larger OS disk. The kubelet clears the condition some minutes after enough is free.",
        look: "df -h; df -i; du -xsh /var/lib/containerd /var/lib/kubelet/pods /var/log | sort -h",
    },
    Pressure {
        condition: "MemoryPressure",
        what: "memory",
        begins: "NodeHasInsufficientMemory",
        ends: "NodeHasSufficientMemory",
        fix: "Find the pods that use more memory than they request; set requests and limits that fit, or use nodes with more memory. The kubelet clears the condition some minutes after enough is free.",
        look: "free -m; ps aux --sort=-rss | head -15",
    },
    Pressure {
        condition: "PIDPressure",
        what: "process IDs",
        begins: "NodeHasInsufficientPID",
        ends: "NodeHasSufficientPID",
        fix: "Find the program that starts so many processes or threads; set podPidsLimit in the kubelet's configuration, or spread its pods.",
        look: "ps -eLf | wc -l; cat /proc/sys/kernel/pid_max",
    },
];

/// The kubelet looks every ten seconds: older words of it are over, in microseconds.
const FRESH: i64 = 10 * 60 * 1_000_000;

/// Events of a node that tell of pressure without its name: reason, and a word of the message when it matters.
const RECLAIMS: [(&str, &[&str], &str); 4] = [
    ("EvictionThresholdMet", &["ephemeral-storage", "nodefs", "imagefs", "inodes"], "DiskPressure"),
    ("EvictionThresholdMet", &["memory"], "MemoryPressure"),
    ("EvictionThresholdMet", &["pids"], "PIDPressure"),
    ("FreeDiskSpaceFailed", &[""], "DiskPressure"),
];

fn detect(cluster: &Cluster) -> Outcome {
    let nodes = &cluster.facts.objects.nodes;
    let mut findings = Vec::new();
    let (mut judged, mut fine) = (0, true);
    for pressure in &PRESSURES {
        let mut of_conditions = Observed::default();
        let mut of_events: BTreeMap<String, Observed> = events(cluster, pressure);
        for (key, seen) in nodes.iter() {
            let conditions = &seen.object.status.conditions;
            let Some(condition) = conditions.iter().find(|item| &*item.r#type == pressure.condition) else {
                continue;
            };
            judged += 1;
            // The node's own word now is worth more than its events.
            let more = of_events.remove(&*key.name);
            if &*condition.status != "True" {
                continue;
            }
            fine = false;
            of_conditions.count += 1;
            of_conditions.nodes.insert(key.name.to_string());
            let since = condition.last_transition_time.0;
            of_conditions.span = time::joined(of_conditions.span, since.map(|at| (at, at)));
            of_conditions.evidence.extend(seen.evidence("Node", key).into_iter().take(1).map(|mut place| {
                place.excerpt = excerpt(
                    format!("{} True {} {}", condition.r#type, condition.reason, condition.message)
                        .as_bytes(),
                );
                place
            }));
            of_conditions.evidence.extend(more.into_iter().flat_map(|more| more.evidence).take(1));
        }
        if of_conditions.count > 0 {
            findings.extend(finding(pressure, of_conditions, Confidence::Confirmed));
        }
        let open = of_events.into_values().filter(|given| !given.is_over(cluster));
        findings.extend(open.filter_map(|given| finding(pressure, given, Confidence::Likely)));
    }
    let mut outcome: Outcome = findings.into();
    if fine && judged > 0 && outcome.findings.is_empty() {
        outcome.ruled_out = Some(format!("no node of {} has a pressure condition", nodes.len()));
    }
    outcome
}

/// What events tell of a pressure, by node, unless a later one says that it is over.
fn events(cluster: &Cluster, pressure: &Pressure) -> BTreeMap<String, Observed> {
    let reasons = RECLAIMS.iter().filter(|(.., condition)| *condition == pressure.condition);
    let reasons = reasons.map(|(reason, words, _)| (*reason, *words)).chain([(pressure.begins, &[""][..])]);
    let mut found: BTreeMap<String, Observed> = BTreeMap::new();
    for (reason, words) in reasons {
        let all = observed::events(cluster, reason, |key, tally| {
            let says = tally
                .examples
                .as_slice()
                .iter()
                .any(|place| words.iter().any(|word| place.excerpt.contains(word)));
            let over = cluster.facts.events.of_reason(pressure.ends).any(|(other, end)| {
                other.name == key.name && tally.span.until_end_of(&end.span).is_none_or(|after| after >= 0)
            });
            let fresh = tally.span.age_of_end().is_none_or(|age| age <= FRESH);
            (&*key.kind == "Node" && says && !over && fresh).then(|| key.name.to_string())
        });
        for (node, given) in all {
            let item = found.entry(node).or_default();
            item.count += given.count;
            item.span = time::joined(item.span, given.span);
            item.evidence.extend(given.evidence);
            item.nodes.extend(given.nodes);
        }
    }
    found
}

fn finding(pressure: &Pressure, given: Observed, confidence: Confidence) -> Option<Finding> {
    let names = listed(given.nodes.iter().map(String::as_str), 3);
    let node = host_word(given.nodes.first().map_or("", String::as_str), "NODE");
    let says = Wording {
        severity: Severity::High,
        confidence,
        unit: if confidence == Confidence::Confirmed { "node" } else { "event" },
        cause: format!(
            "The kubelet of {names} found less {} free than its eviction threshold{}: no new pods are scheduled to the node, and pods on it are evicted until enough is free.",
            pressure.what,
            given.when()
        ),
        fix: pressure.fix.to_owned(),
        commands: vec![format!("kubectl describe node {node}"), format!("{}   # on the node", pressure.look)],
        verify: vec![format!("kubectl describe node {node} | grep {}   # False", pressure.condition)],
    };
    let title = format!("Node {names}: {}", pressure.condition);
    let id = format!("{} {names}", pressure.condition);
    given.finding(&DETECTOR, &id, title, says)
}
