//! May pod A reach B? NetworkPolicy of networking.k8s.io/v1, evaluated to the letter.
//!
//! A pod is isolated in a direction as soon as one policy selects it for that direction; then only what a rule of
//! those policies allows passes. Traffic needs the source's egress and the destination's ingress. What the bundle
//! does not show makes the answer "unknown" where it could change it, never a guess.
//!
//! Engines deviate from the letter; the deviations that are known are applied by [`EngineKind`].

mod compiled;
mod engine;
mod opening;
mod ports;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use foldhash::HashMap;

pub use compiled::{CompiledRule, CompiledSpec, Direction, Peer, Policy, Port, Protocol, Which};
pub use engine::{Engine, EngineKind};
pub use opening::Opening;
pub use ports::{Ports, Range};

use super::selector::{self, Groups};
use crate::facts::{Facts, Key, LabelSelector, Labels, Objects, Pod, PodSpec, Text};

/// The label by which the API server names every namespace.
const NAME: &str = "kubernetes.io/metadata.name";

/// Yes, no, or not to be told from this bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// No.
    No,
    /// The bundle lacks what would tell.
    Unknown,
    /// Yes.
    Yes,
}

impl Answer {
    fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    fn and(self, other: Self) -> Self {
        self.min(other)
    }

    fn or(self, other: Self) -> Self {
        self.max(other)
    }
}

/// A pod as policies see it.
#[derive(Clone, Debug)]
pub struct PodEnd<'a> {
    /// Namespace and name.
    pub key: Key,
    /// Nothing when not known.
    pub labels: Option<&'a Labels>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its containers and their ports; nothing when not known.
    pub spec: Option<&'a PodSpec>,
    /// It acts as its node.
    pub host_network: bool,
    /// Its node; empty when not told.
    pub node: Text,
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub enum End<'a> {
    /// A pod.
    Pod(PodEnd<'a>),
    /// An address that is of no pod.
    Address(IpAddr),
}

impl<'a> End<'a> {
    /// A pod of the bundle.
    pub fn pod(key: &Key, pod: &'a Pod, groups: &'a Groups) -> Self {
        let labels = groups.of(key).map_or(Some(&pod.metadata.labels), |group| group.labels.as_ref());
        let is_given = !pod.spec.containers.is_empty();
        Self::Pod(PodEnd {
            key: key.clone(),
            labels,
            addresses: pod.addresses().collect(),
            spec: is_given.then_some(&pod.spec),
            host_network: pod.spec.host_network,
            node: pod.spec.node_name.clone(),
        })
    }

    /// The pods that a workload would make.
    pub fn template(key: &Key, labels: &'a Labels, spec: &'a PodSpec) -> Self {
        Self::Pod(PodEnd {
            key: key.clone(),
            labels: Some(labels),
            addresses: Vec::new(),
            spec: Some(spec),
            host_network: spec.host_network,
            node: Text::default(),
        })
    }

    /// `namespace/name`, or the address.
    pub fn label(&self) -> String {
        match self {
            Self::Pod(pod) => pod.key.label(),
            Self::Address(ip) => ip.to_string(),
        }
    }

    fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::Pod(pod) => &pod.addresses,
            Self::Address(ip) => std::slice::from_ref(ip),
        }
    }

    /// The pod, when policies can select it.
    fn selectable(&self) -> Option<&PodEnd<'a>> {
        match self {
            Self::Pod(pod) if !pod.host_network => Some(pod),
            _ => None,
        }
    }
}

/// A port of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Socket {
    /// TCP, UDP, SCTP.
    pub protocol: Protocol,
    /// 1–65535.
    pub port: u16,
}

/// What one side says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Whether it passes.
    pub answer: Answer,
    /// The policies that isolate the pod in this direction; none: it is not isolated.
    pub isolated_by: Vec<Key>,
    /// The policy and the rule (from 0) that let it pass.
    pub allowed_by: Option<(Key, usize)>,
    /// Why it can't be told.
    pub unknown: Option<String>,
}

impl Side {
    fn open() -> Self {
        Self { answer: Answer::Yes, isolated_by: Vec::new(), allowed_by: None, unknown: None }
    }
}

/// What both sides say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVerdict {
    /// Of the source.
    pub egress: Side,
    /// Of the destination.
    pub ingress: Side,
}

impl PolicyVerdict {
    /// Whether it passes both.
    pub fn answer(&self) -> Answer {
        self.egress.answer.and(self.ingress.answer)
    }

    /// The side of a direction.
    pub fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        }
    }
}

/// All policies of a cluster.
#[derive(Debug, Default)]
pub struct Policies {
    /// Who enforces them.
    pub engine: Engine,
    all: Vec<Policy>,
    of_namespace: BTreeMap<Text, Vec<usize>>,
    /// Labels of namespaces that are in the bundle.
    namespaces: BTreeMap<Text, Labels>,
    nodes: HashMap<IpAddr, Text>,
    /// Policies of other kinds, which may change a verdict: kind and key. Cluster-wide ones have no namespace.
    pub foreign: Vec<(&'static str, Key)>,
}

impl Policies {
    /// Reads them from the facts.
    pub fn new(facts: &Facts) -> Self {
        let objects = &facts.objects;
        let mut policies = Self { engine: engine::of(facts), foreign: foreign(objects), ..Self::default() };
        for (key, seen) in objects.network_policies.iter() {
            policies.add(Policy::compile(key, &seen.object));
        }
        for (key, seen) in objects.namespaces.iter() {
            // A row of a table shows no labels.
            if seen.form >= crate::facts::Form::Describe || !seen.object.metadata.labels.is_empty() {
                policies.namespaces.insert(key.name.clone(), seen.object.metadata.labels.clone());
            }
        }
        for (key, seen) in objects.nodes.iter() {
            for address in &seen.object.status.addresses {
                if let Ok(ip) = address.address.parse() {
                    policies.nodes.insert(ip, key.name.clone());
                }
            }
        }
        policies
    }

    /// Adds one.
    pub fn add(&mut self, policy: Policy) {
        self.of_namespace.entry(policy.key.namespace.clone()).or_default().push(self.all.len());
        self.all.push(policy);
    }

    /// All of networking.k8s.io.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Policy> {
        self.all.iter()
    }

    /// Those of a namespace.
    pub fn of(&self, namespace: &str) -> impl Iterator<Item = &Policy> {
        self.of_namespace.get(namespace).into_iter().flatten().filter_map(|at| self.all.get(*at))
    }

    /// The name of the node that has an address.
    pub fn node(&self, ip: IpAddr) -> Option<&str> {
        self.nodes.get(&ip).map(|name| &**name)
    }

    /// Whether a namespace selector takes a namespace. Since Kubernetes 1.21 the API server gives each its name as
    /// a label, so that much is known of those that are not in the bundle.
    pub fn takes_namespace(&self, selector: &LabelSelector, namespace: &str) -> Answer {
        if selector::takes_all(selector) {
            return Answer::Yes;
        }
        if let Some(labels) = self.namespaces.get(namespace) {
            return Answer::of(selector::matches(selector, labels));
        }
        // Without its object, only its name is known of it.
        let ours: Labels = [(Text::from(NAME), Text::from(namespace))].into_iter().collect();
        let by_name = selector.match_labels.iter().all(|(key, _)| &**key == NAME)
            && selector.match_expressions.iter().all(|requirement| &*requirement.key == NAME);
        let mut pairs = selector.match_labels.iter();
        let refused = pairs.any(|(key, value)| &**key == NAME && &**value != namespace);
        if by_name || refused { Answer::of(selector::matches(selector, &ours)) } else { Answer::Unknown }
    }

    /// Names of namespaces whose labels are known.
    pub fn known_namespaces(&self) -> impl Iterator<Item = (&Text, &Labels)> {
        self.namespaces.iter()
    }

    /// The policies that select a pod for a direction, and those of which it can't be told.
    fn selecting<'s>(&'s self, pod: &PodEnd<'_>, direction: Direction) -> Vec<(&'s Policy, Answer)> {
        let mut found = Vec::new();
        for policy in self.of(&pod.key.namespace) {
            let answer = match &policy.spec {
                None => Answer::Unknown,
                Some(spec) if spec.rules(direction).is_none() => Answer::No,
                Some(spec) if selector::takes_all(&spec.selects) => Answer::Yes,
                Some(spec) => pod
                    .labels
                    .map_or(Answer::Unknown, |label| Answer::of(selector::matches(&spec.selects, label))),
            };
            if answer != Answer::No {
                found.push((policy, answer));
            }
        }
        found
    }

    /// Whether a rule of a policy takes an end of a connection as its peer.
    fn takes(&self, policy: &Policy, peer: &Peer, end: &End<'_>) -> Answer {
        match peer {
            Peer::Broken => Answer::No,
            Peer::Block { .. } => {
                let of_cluster = end.selectable().is_some()
                    || end.addresses().iter().any(|ip| self.nodes.contains_key(ip));
                // Cilium knows pods and nodes by identity: ranges never mean them.
                if self.engine.kind == EngineKind::Cilium && of_cluster {
                    return Answer::No;
                }
                Answer::of(end.addresses().iter().any(|ip| peer.holds(*ip)))
            }
            Peer::Pods { namespaces, pods } => {
                let Some(pod) = end.selectable() else { return Answer::No };
                let namespace = match namespaces {
                    None => Answer::of(policy.key.namespace == pod.key.namespace),
                    Some(selector) => self.takes_namespace(selector, &pod.key.namespace),
                };
                let labels = match pods {
                    None => Answer::Yes,
                    Some(selector) if selector::takes_all(selector) => Answer::Yes,
                    Some(selector) => pod
                        .labels
                        .map_or(Answer::Unknown, |label| Answer::of(selector::matches(selector, label))),
                };
                namespace.and(labels)
            }
        }
    }

    fn admits(
        &self,
        policy: &Policy,
        rule: &CompiledRule,
        peer: &End<'_>,
        to: &End<'_>,
        socket: Socket,
    ) -> Answer {
        let ports = if rule.ports.is_empty() {
            Answer::Yes
        } else {
            rule.ports.iter().map(|port| names(port, to, socket)).max().unwrap_or(Answer::No)
        };
        if ports == Answer::No {
            return Answer::No;
        }
        let peers = if rule.peers.is_empty() {
            Answer::Yes
        } else {
            rule.peers.iter().map(|item| self.takes(policy, item, peer)).max().unwrap_or(Answer::No)
        };
        ports.and(peers)
    }

    fn side(
        &self,
        direction: Direction,
        ours: &End<'_>,
        peer: &End<'_>,
        to: &End<'_>,
        socket: Socket,
    ) -> Side {
        let Some(pod) = ours.selectable() else { return Side::open() };
        if self.engine.kind == EngineKind::None || self.spares(direction, pod, peer) {
            return Side::open();
        }
        let selecting = self.selecting(pod, direction);
        let isolated_by: Vec<Key> = selecting
            .iter()
            .filter(|(_, answer)| *answer == Answer::Yes)
            .map(|(item, _)| item.key.clone())
            .collect();
        let mut best = Answer::No;
        let mut unknown = None;
        for (policy, selects) in &selecting {
            let Some(spec) = &policy.spec else {
                best = best.or(Answer::Unknown);
                unknown = Some(format!("the bundle has {} without what it says", policy.key.label()));
                continue;
            };
            for (at, rule) in spec.rules(direction).unwrap_or_default().iter().enumerate() {
                let admits = self.admits(policy, rule, peer, to, socket);
                if admits == Answer::Yes && *selects == Answer::Yes {
                    let allowed_by = Some((policy.key.clone(), at));
                    let side = Side { answer: Answer::Yes, isolated_by, allowed_by, unknown: None };
                    return self.with_foreign(side, &pod.key.namespace);
                }
                if admits != Answer::No {
                    best = best.or(Answer::Unknown);
                    unknown.get_or_insert_with(|| {
                        format!("{} selects by labels that the bundle does not show", policy.key.label())
                    });
                }
            }
        }
        let answer = match (isolated_by.is_empty(), selecting.is_empty()) {
            (true, true) => Answer::Yes,
            // Whether it is isolated at all is not known.
            (true, false) => {
                unknown.get_or_insert_with(|| {
                    format!("the labels of {} are not in the bundle", pod.key.label())
                });
                Answer::Unknown
            }
            (false, _) => best,
        };
        let unknown = unknown.filter(|_| answer == Answer::Unknown);
        self.with_foreign(Side { answer, isolated_by, allowed_by: None, unknown }, &pod.key.namespace)
    }

    /// What no policy stops: a pod and its own node.
    fn spares(&self, direction: Direction, pod: &PodEnd<'_>, peer: &End<'_>) -> bool {
        let own_node = match peer {
            End::Address(ip) => self.node(*ip).is_some_and(|node| *node == *pod.node && !node.is_empty()),
            End::Pod(other) => other.host_network && !pod.node.is_empty() && other.node == pod.node,
        };
        match direction {
            Direction::Ingress => own_node,
            // Azure NPM always lets a pod reach its node.
            Direction::Egress => own_node && self.engine.kind == EngineKind::AzureNpm,
        }
    }

    /// A policy of another kind that may apply makes the answer unknown.
    fn with_foreign(&self, mut side: Side, namespace: &str) -> Side {
        let applies = self.foreign.iter().find(|(kind, key)| {
            let of_engine = match self.engine.kind {
                EngineKind::Unknown | EngineKind::Other(_) => true,
                EngineKind::Calico => kind.starts_with("Calico"),
                EngineKind::Cilium => kind.starts_with("Cilium"),
                EngineKind::None | EngineKind::AzureNpm => false,
            };
            of_engine && (key.namespace.is_empty() || &*key.namespace == namespace)
        });
        if let Some((kind, key)) = applies {
            side.answer = Answer::Unknown;
            side.unknown = Some(format!("{kind} {} may change it, and is not evaluated", key.label()));
        }
        side
    }

    /// Whether a connection passes, and by which policies.
    pub fn evaluate(&self, from: &End<'_>, to: &End<'_>, socket: Socket) -> PolicyVerdict {
        PolicyVerdict {
            egress: self.side(Direction::Egress, from, to, to, socket),
            ingress: self.side(Direction::Ingress, to, from, to, socket),
        }
    }

    /// The policies that isolate a pod in a direction.
    pub fn isolating(&self, end: &End<'_>, direction: Direction) -> Vec<&Policy> {
        let Some(pod) = end.selectable() else { return Vec::new() };
        let all = self.selecting(pod, direction).into_iter();
        all.filter(|(_, answer)| *answer == Answer::Yes).map(|(policy, _)| policy).collect()
    }
}

/// Whether a port of a rule means the port of a connection; names are those of the destination.
fn names(port: &Port, to: &End<'_>, socket: Socket) -> Answer {
    if port.protocol != Some(socket.protocol) {
        return Answer::No;
    }
    match &port.which {
        Which::All => Answer::Yes,
        Which::Range(first, last) => Answer::of((*first..=*last).contains(&socket.port)),
        Which::Broken => Answer::No,
        Which::Named(name) => match to {
            End::Address(_) => Answer::No,
            End::Pod(pod) => match pod.spec {
                None => Answer::Unknown,
                Some(spec) => Answer::of(named_ports(spec, name, socket.protocol).contains(&socket.port)),
            },
        },
    }
}

/// The numbers of a port name in a pod: of its containers and of its sidecars.
pub fn named_ports(spec: &PodSpec, name: &str, protocol: Protocol) -> BTreeSet<u16> {
    let sidecars =
        spec.init_containers.iter().filter(|init_container| &*init_container.restart_policy == "Always");
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter());
    ports
        .filter(|port| &*port.name == name && Protocol::named(&port.protocol) == Some(protocol))
        .filter_map(|port| u16::try_from(port.container_port).ok())
        .collect()
}

fn foreign(objects: &Objects) -> Vec<(&'static str, Key)> {
    let stores = [
        ("Calico NetworkPolicy", &objects.calico_policies),
        ("Calico GlobalNetworkPolicy", &objects.calico_global_policies),
        ("CiliumNetworkPolicy", &objects.cilium_policies),
        ("CiliumClusterwideNetworkPolicy", &objects.cilium_clusterwide_policies),
        ("AdminNetworkPolicy", &objects.admin_policies),
    ];
    let all =
        stores.into_iter().flat_map(|(kind, store)| store.iter().map(move |(key, _)| (kind, key.clone())));
    all.collect()
}
