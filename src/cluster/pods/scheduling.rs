//! Why the scheduler finds no node for a pod: its words taken apart, and which of its reasons decides.
//!
//! The words are those of the scheduler's plugins (kubernetes/kubernetes, `pkg/scheduler/framework/plugins`), of all
//! versions since 1.9. It counts each node once, under the first plugin that refuses it; so the nodes that came furthest
//! are those that would do but for what refused them.

use crate::cluster::selector;
use crate::facts::{Key, LabelSelector, Labels, Node, NodeSelector, Objects, Pod, PodSpec, amount};

/// Why nodes are refused, in the order in which the scheduler asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Barrier {
    /// Cordoned.
    Cordoned,
    /// A taint that the pod does not tolerate.
    Taint(String),
    /// nodeSelector or node affinity; which of the two, when the pod or its template is known.
    Selector(Wanted),
    /// A host port is taken.
    Ports,
    /// Not enough of a resource: `cpu`, `memory`, `nvidia.com/gpu`.
    Insufficient(String),
    /// As many pods as the node takes.
    Pods,
    /// As many volumes as the node takes.
    VolumeCount,
    /// Its volume is of another zone or node.
    VolumeZone,
    /// Topology spread constraints.
    Spread,
    /// Pods that it must not run beside.
    AntiAffinity,
    /// Pods that it must run beside.
    Affinity,
    /// The node does not work.
    NotReady,
    /// A claim without a volume.
    UnboundClaim,
    /// A claim that is not there: its name.
    MissingClaim(String),
    /// The pod waits for its gates to be removed.
    Gated,
    /// Something else, in the scheduler's words.
    Other(String),
}

/// What asks for certain nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// `nodeSelector`.
    Selector,
    /// Required node affinity.
    Affinity,
    /// One of the two.
    Either,
}

/// Words of a plugin, and what they mean.
const WORDS: &[(&str, Barrier)] = &[
    ("were unschedulable", Barrier::Cordoned),
    ("scheduling is disabled", Barrier::Cordoned),
    ("NodeUnschedulable", Barrier::Cordoned),
    ("didn't match Pod's node affinity", Barrier::Selector(Wanted::Either)),
    ("didn't match node selector", Barrier::Selector(Wanted::Selector)),
    ("didn't match node affinity", Barrier::Selector(Wanted::Affinity)),
    ("MatchNodeSelector", Barrier::Selector(Wanted::Either)),
    ("didn't have free ports", Barrier::Ports),
    ("PodFitsHostPorts", Barrier::Ports),
    ("Too many pods", Barrier::Pods),
    ("Insufficient pods", Barrier::Pods),
    ("exceed max volume count", Barrier::VolumeCount),
    ("MaxVolumeCount", Barrier::VolumeCount),
    ("MatchInterPodAffinity", Barrier::AntiAffinity),
    ("NoVolumeNodeConflict", Barrier::VolumeZone),
    ("volume node affinity conflict", Barrier::VolumeZone),
    ("no available volume zone", Barrier::VolumeZone),
    ("NoVolumeZoneConflict", Barrier::VolumeZone),
    ("topology spread constraints", Barrier::Spread),
    ("pod affinity/anti-affinity", Barrier::AntiAffinity),
    ("anti-affinity", Barrier::AntiAffinity),
    ("pod affinity rules", Barrier::Affinity),
    ("were not ready", Barrier::NotReady),
    ("NodeNotReady", Barrier::NotReady),
    ("unbound immediate PersistentVolumeClaim", Barrier::UnboundClaim),
    ("unbound PersistentVolumeClaim", Barrier::UnboundClaim),
    ("didn't find available persistent volumes to bind", Barrier::UnboundClaim),
    ("non-empty scheduling gates", Barrier::Gated),
];

/// One of the scheduler's reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of how many nodes; 0 where it is of the pod.
    pub nodes: u32,
    /// Why.
    pub barrier: Barrier,
}

/// The scheduler's message, taken apart.
pub fn refusals(message: &str) -> Vec<Refusal> {
    // What comes after is about evictions that would not help either.
    let whole = message.split(" preemption: ").next().unwrap_or(message);
    let whole = whole.split_once("nodes are available: ").map_or(whole, |(_, rest)| rest);
    let mut parts: Vec<String> = Vec::new();
    for part in whole.trim_end_matches(['.', ' ']).split(", ") {
        // Old words for one taint: `had taint {a: b}, that the pod didn't tolerate`.
        match parts.last_mut().filter(|_| part.starts_with("that ")) {
            Some(before) => before.push_str(", that the pod didn't tolerate"),
            None => parts.push(part.to_owned()),
        }
    }
    parts.iter().filter_map(|part| refusal(part)).collect()
}

fn refusal(part: &str) -> Option<Refusal> {
    let part = part.trim().trim_end_matches('.');
    let (nodes, words) = match part.split_once(' ') {
        Some((number, rest)) => number.parse().map_or((0, part), |number: u32| (number, rest)),
        None => (0, part),
    };
    let quoted = |text: &str| text.split('"').nth(1).unwrap_or_default().to_owned();
    let barrier = if words.contains(" taint") {
        let taint = words.split_once('{').and_then(|(_, rest)| rest.split('}').next()).unwrap_or_default();
        Barrier::Taint(taint.trim().trim_end_matches(':').to_owned())
    } else if let Some((_, barrier)) = WORDS.iter().find(|(text, _)| words.contains(text)) {
        barrier.clone()
    } else if let Some(resource) = words.strip_prefix("Insufficient ") {
        Barrier::Insufficient(resource.split(['.', ' ']).next().unwrap_or(resource).to_owned())
            .whole_name(resource)
    } else if words.starts_with("persistentvolumeclaim ") && words.contains("not found") {
        Barrier::MissingClaim(quoted(words))
    } else if words.is_empty() {
        return None;
    } else {
        Barrier::Other(words.to_owned())
    };
    Some(Refusal { nodes, barrier })
}

impl Barrier {
    /// `nvidia.com/gpu` has a dot that ends no sentence.
    fn whole_name(self, words: &str) -> Self {
        match self {
            Self::Insufficient(_) => {
                let name = words.split(' ').next().unwrap_or(words).trim_end_matches('.');
                Self::Insufficient(name.to_owned())
            }
            other => other,
        }
    }

    /// A word for it, by which findings are grouped and told apart.
    pub fn slug(&self) -> String {
        match self {
            Self::Cordoned => "cordoned".to_owned(),
            Self::Taint(_) => "taint".to_owned(),
            Self::Selector(Wanted::Selector) => "node-selector".to_owned(),
            Self::Selector(Wanted::Affinity) => "node-affinity".to_owned(),
            Self::Selector(Wanted::Either) => "node-selector-or-affinity".to_owned(),
            Self::Ports => "host-port".to_owned(),
            Self::Insufficient(resource) => resource.clone(),
            Self::Pods => "pods".to_owned(),
            Self::VolumeCount => "volume-count".to_owned(),
            Self::VolumeZone => "volume-zone".to_owned(),
            Self::Spread => "topology-spread".to_owned(),
            Self::AntiAffinity => "pod-anti-affinity".to_owned(),
            Self::Affinity => "pod-affinity".to_owned(),
            Self::NotReady => "node-not-ready".to_owned(),
            Self::UnboundClaim => "unbound-claim".to_owned(),
            Self::MissingClaim(_) => "missing-claim".to_owned(),
            Self::Gated => "gated".to_owned(),
            Self::Other(_) => "other".to_owned(),
        }
    }

    /// Nodes with this taint are not there for workloads, in any cluster.
    fn is_of_control_plane(&self) -> bool {
        matches!(self, Self::Taint(taint) if taint.starts_with("node-role.kubernetes.io/")
            || taint.starts_with("CriticalAddonsOnly"))
    }

    /// The taint of a node that does not work: the node is the cause.
    pub fn is_of_lost_node(&self) -> bool {
        let of_lost = |taint: &String| {
            taint.starts_with("node.kubernetes.io/unreachable")
                || taint.starts_with("node.kubernetes.io/not-ready")
        };
        matches!(self, Self::NotReady) || matches!(self, Self::Taint(taint) if of_lost(taint))
    }
}

/// What decides: of the reasons that the scheduler gives, the one without which the pod would run.
pub fn decisive(objects: &Objects, spec: Option<&PodSpec>, all: &[Refusal]) -> Option<Barrier> {
    // What is of the pod concerns every node.
    if let Some(of_pod) = all.iter().find(|refusal| refusal.nodes == 0) {
        return Some(of_pod.barrier.clone());
    }
    let ours: Vec<&Refusal> = all.iter().filter(|refusal| !refusal.barrier.is_of_control_plane()).collect();
    let candidates = if ours.is_empty() { all.iter().collect() } else { ours };
    // The nodes that came furthest; of several reasons at that place, that of most nodes.
    let furthest = candidates.iter().max_by_key(|refusal| (place(&refusal.barrier), refusal.nodes))?;
    let Barrier::Selector(wanted) = furthest.barrier else { return Some(furthest.barrier.clone()) };
    let wanted = spec.map_or(wanted, |spec| wanted_by(objects, spec, wanted));
    // Nodes that it asks for, and that an earlier plugin has taken out: they would do.
    let fitting = spec.map(|spec| fitting(objects, spec)).unwrap_or_default();
    if !fitting.is_empty() {
        let earlier = |test: fn(&Barrier) -> bool| {
            candidates.iter().find(|refusal| test(&refusal.barrier)).map(|refusal| refusal.barrier.clone())
        };
        if fitting.iter().all(|node| node.spec.unschedulable)
            && let Some(cordoned) = earlier(|barrier| *barrier == Barrier::Cordoned)
        {
            return Some(cordoned);
        }
        if fitting.iter().all(|node| !node.spec.taints.is_empty())
            && let Some(taint) = earlier(|barrier| matches!(barrier, Barrier::Taint(_)))
        {
            return Some(taint);
        }
    }
    Some(Barrier::Selector(wanted))
}

/// The place of a plugin in the order in which the scheduler asks.
fn place(barrier: &Barrier) -> u8 {
    match barrier {
        Barrier::NotReady => 0,
        Barrier::Cordoned => 1,
        Barrier::Taint(_) => 2,
        Barrier::Selector(_) => 3,
        Barrier::Ports => 4,
        Barrier::Insufficient(_) | Barrier::Pods => 5,
        Barrier::VolumeCount => 6,
        Barrier::VolumeZone => 7,
        Barrier::Spread => 8,
        Barrier::AntiAffinity | Barrier::Affinity => 9,
        _ => 10,
    }
}

fn required(spec: &PodSpec) -> Option<&NodeSelector> {
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?.required.as_ref()?;
    (!affinity.node_selector_terms.is_empty()).then_some(affinity)
}

/// Which of the two it is that no node satisfies.
fn wanted_by(objects: &Objects, spec: &PodSpec, otherwise: Wanted) -> Wanted {
    match (spec.node_selector.is_empty(), required(spec)) {
        (false, None) => Wanted::Selector,
        (true, Some(_)) => Wanted::Affinity,
        (true, None) => otherwise,
        (false, Some(affinity)) => {
            let any =
                |test: &dyn Fn(&Labels) -> bool| labelled(objects).any(|node| test(&node.metadata.labels));
            match (
                any(&|labels| has_all(&spec.node_selector, labels)),
                any(&|labels| meets(affinity, labels)),
            ) {
                (false, true) => Wanted::Selector,
                (true, false) => Wanted::Affinity,
                _ => Wanted::Either,
            }
        }
    }
}

fn labelled(objects: &Objects) -> impl Iterator<Item = &Node> {
    objects.nodes.iter().map(|(_, seen)| &seen.object).filter(|node| !node.metadata.labels.is_empty())
}

/// Nodes with the labels that a pod asks for, when it asks for any and the labels are known.
fn fitting<'a>(objects: &'a Objects, spec: &PodSpec) -> Vec<&'a Node> {
    if spec.node_selector.is_empty() && required(spec).is_none() {
        return Vec::new();
    }
    labelled(objects)
        .filter(|node| !is_of_control_plane(&node.metadata.labels))
        .filter(|node| {
            let labels = &node.metadata.labels;
            has_all(&spec.node_selector, labels)
                && required(spec).is_none_or(|affinity| meets(affinity, labels))
        })
        .collect()
}

/// Nodes of the control plane take no workloads, cordoned or not.
fn is_of_control_plane(labels: &Labels) -> bool {
    ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"]
        .iter()
        .any(|label| labels.get(label).is_some())
        || labels.get("kubernetes.io/role").is_some_and(|role| matches!(&**role, "master" | "control-plane"))
}

fn has_all(wanted: &Labels, labels: &Labels) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether a node's labels satisfy one of the terms (`Gt` and `Lt` compare numbers).
fn meets(affinity: &NodeSelector, labels: &Labels) -> bool {
    affinity.node_selector_terms.iter().any(|term| {
        term.match_expressions.iter().all(|requirement| {
            let compare = |test: fn(i64, i64) -> bool| {
                let ours = labels.get(&requirement.key).and_then(|value| value.parse().ok());
                let theirs = requirement.values.first().and_then(|value| value.parse().ok());
                ours.zip(theirs).is_some_and(|(ours, theirs)| test(ours, theirs))
            };
            match &*requirement.operator {
                "Gt" => compare(|ours, theirs| ours > theirs),
                "Lt" => compare(|ours, theirs| ours < theirs),
                _ => {
                    let wanted = LabelSelector {
                        match_expressions: [requirement.clone()].into(),
                        ..LabelSelector::default()
                    };
                    selector::matches(&wanted, labels)
                }
            }
        })
    })
}

/// What a pod asks of its node's labels, as text: `nodeSelector disk=ssd`, `node affinity state in (ready)`.
pub fn wanted_text(spec: &PodSpec) -> String {
    let mut parts = Vec::new();
    if !spec.node_selector.is_empty() {
        parts.push(format!("nodeSelector {}", selector::pairs(&spec.node_selector)));
    }
    if let Some(affinity) = required(spec) {
        let terms = affinity.node_selector_terms.iter().map(|term| {
            let wanted = LabelSelector {
                match_expressions: term.match_expressions.clone(),
                ..LabelSelector::default()
            };
            selector::selector_text(&wanted)
        });
        parts.push(format!("node affinity {}", terms.collect::<Vec<_>>().join(" or ")));
    }
    parts.join(", ")
}

/// What all containers of a pod ask for of a resource; `None` when none of them tells it.
pub fn requested(spec: &PodSpec, resource: &str) -> Option<f64> {
    let of = |container: &crate::facts::Container| {
        let resources = container.resources.as_ref()?;
        resources.requests.amount(resource).or_else(|| resources.limits.amount(resource))
    };
    let mut all = spec.containers.iter().filter_map(of).peekable();
    all.peek()?;
    let together: f64 = all.sum();
    // Init containers run one after the other, before the others.
    let most = spec.init_containers.iter().filter_map(of).fold(0.0, f64::max);
    Some(together.max(most))
}

/// The largest allocatable amount of a node that takes pods; `None` when it is not told.
pub fn largest_node(objects: &Objects, resource: &str) -> Option<(String, f64)> {
    let nodes = objects.nodes.iter().filter(|(_, seen)| !seen.object.spec.unschedulable);
    let amounts = nodes.filter_map(|(key, seen)| {
        let allocatable = &seen.object.status.allocatable;
        let text = match resource {
            "cpu" => &allocatable.cpu,
            "memory" => &allocatable.memory,
            _ => return None,
        };
        Some((key.name.to_string(), amount(text)?))
    });
    amounts.max_by(|a, b| a.1.total_cmp(&b.1).then_with(|| b.0.cmp(&a.0)))
}

/// What the pods on a node ask for of a resource, when pods of more than one namespace are in the bundle.
pub fn requested_on(objects: &Objects, node: &str, resource: &str) -> Option<f64> {
    let on = |pod: &Pod| &*pod.spec.node_name == node && !pod.ended();
    let mut namespaces: Vec<&Key> =
        objects.pods.iter().filter(|(_, seen)| on(&seen.object)).map(|(key, _)| key).collect();
    namespaces.dedup_by(|a, b| a.namespace == b.namespace);
    if namespaces.len() < 2 {
        return None;
    }
    let pods = objects.pods.iter().filter(|(_, seen)| on(&seen.object));
    Some(pods.filter_map(|(_, seen)| requested(&seen.object.spec, resource)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn barriers(message: &str) -> Vec<(u32, Barrier)> {
        refusals(message).into_iter().map(|item| (item.nodes, item.barrier)).collect()
    }

    #[test]
    fn the_schedulers_words_are_taken_apart() {
        assert_eq!(
            barriers(
                "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {dedicated: gpu}. preemption: 0/3 nodes are available"
            ),
            [(1, Barrier::Insufficient("cpu".into())), (2, Barrier::Taint("dedicated: gpu".into()))]
        );
        assert_eq!(
            barriers("0/2 nodes are available: 2 node(s) had taint {a: b}, that the pod didn't tolerate."),
            [(2, Barrier::Taint("a: b".into()))]
        );
        assert_eq!(
            barriers("0/4 nodes are available: 4 Insufficient nvidia.com/gpu."),
            [(4, Barrier::Insufficient("nvidia.com/gpu".into()))]
        );
        assert_eq!(
            barriers("persistentvolumeclaim \"data\" not found"),
            [(0, Barrier::MissingClaim("data".into()))]
        );
        assert_eq!(barriers("0/5 nodes are available: 5 Insufficient pods."), [(5, Barrier::Pods)]);
    }

    #[test]
    fn the_nodes_that_came_furthest_decide() {
        let decide = |message: &str| decisive(&Objects::default(), None, &refusals(message));
        assert_eq!(
            decide("0/4 nodes are available: 1 node(s) were unschedulable, 3 Insufficient memory."),
            Some(Barrier::Insufficient("memory".into()))
        );
        assert_eq!(
            decide(
                "0/4 nodes are available: 3 node(s) didn't match Pod's node affinity/selector, 1 Insufficient cpu."
            ),
            Some(Barrier::Insufficient("cpu".into()))
        );
        assert_eq!(
            decide(
                "0/2 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 1 node(s) were unschedulable."
            ),
            Some(Barrier::Cordoned)
        );
    }
}
