//! From a service to the socket: selector, pods, readiness, ports, endpoints.
//!
//! For every service the endpoints that the controller should have made are built again from the pods (semantics of
//! the `EndpointSlice` controller), and compared with those of the bundle. Where the bundle has none they are
//! inferred, and the faults say so. A service that can't be judged is not accused.

mod endpoints;
mod lookup;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub use endpoints::Published;
pub use lookup::{Near, Nearest};

use super::pods::{Unready, Why, why_not_ready};
use super::policy::{Protocol, named_ports};
use super::selector::Groups;
use crate::facts::{Facts, Form, IntOrString, Key, LabelSelector, Pod, Seen, Service, ServicePort};

/// A port of a service and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortState {
    /// Its name; may be empty.
    pub name: String,
    /// Port of the service.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// What it leads to, as the service says: a number or a name.
    pub target: String,
    /// The numbers that this means in the selected pods.
    pub resolved: BTreeSet<u16>,
    /// Of the pods that are ready: which do not have a port of that name.
    pub unresolved: Vec<Key>,
    /// Ports that the selected pods declare, with their names.
    pub declared: BTreeSet<(u16, Protocol, String)>,
}

/// One thing that is wrong with a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The selector takes no pod.
    NothingSelected(Nearest),
    /// The selector takes no pod, and the workload whose pods it would take has none by choice.
    ScaledToZero(String),
    /// Pods are selected, and none is ready.
    NothingReady(Vec<Unready>),
    /// A named target port that no selected pod has.
    NamedPortMissing(PortState),
    /// The target port is declared for another protocol.
    ProtocolDiffers(PortState, Protocol),
    /// The pods declare ports, and not this one. That alone proves nothing.
    PortUndeclared(PortState),
    /// No selector, and no endpoints were made by hand.
    NoSelectorNoEndpoints,
    /// An `ExternalName` within the cluster that leads to nothing.
    ExternalNameNowhere {
        /// The name.
        name: String,
        /// What is missing: `namespace x` or `service x/y`.
        missing: String,
    },
    /// The published endpoints are none of the ready pods.
    EndpointsDiffer {
        /// Addresses that are published.
        published: Vec<IpAddr>,
        /// Addresses of the ready pods.
        ready: Vec<IpAddr>,
    },
    /// A load balancer was asked for and not given.
    LoadBalancerPending {
        /// Since when, in microseconds since 1970.
        since: Option<i64>,
    },
    /// `externalTrafficPolicy: Local`, and nodes without a ready pod.
    LocalOnly {
        /// Nodes with a ready pod.
        with: usize,
        /// All nodes.
        nodes: usize,
    },
}

/// A service, followed to its pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The selected pods.
    pub pods: Vec<Key>,
    /// Of these, the ready ones.
    pub ready: Vec<Key>,
    /// Ports.
    pub ports: Vec<PortState>,
    /// Endpoints as the bundle has them.
    pub published: Option<Published>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// Why it was not judged.
    pub not_judged: Option<&'static str>,
}

/// All services of a cluster.
#[derive(Debug, Default)]
pub struct Services {
    /// By key.
    pub all: BTreeMap<Key, State>,
}

impl Services {
    /// Follows every service of a bundle.
    pub fn new(facts: &Facts, groups: &Groups, anchor: Option<i64>) -> Self {
        let objects = &facts.objects;
        let published = endpoints::published(objects);
        let finder = lookup::Finder::new(facts, groups);
        let mut services = Self::default();
        for (key, seen) in objects.services.iter() {
            let mut state = State { published: published.get(key).cloned(), ..State::default() };
            let follow = Follow { facts, groups, finder: &finder, anchor, key, seen };
            follow.judge(&mut state);
            services.all.insert(key.clone(), state);
        }
        services
    }

    /// The services that select a pod.
    pub fn of_pod(&self, pod: &Key) -> Vec<&Key> {
        let ours = self.all.iter().filter(|(key, _)| key.namespace == pod.namespace);
        ours.filter(|(_, state)| state.pods.binary_search(pod).is_ok()).map(|(key, _)| key).collect()
    }

    /// The faults of all services.
    pub fn faults(&self) -> impl Iterator<Item = (&Key, &State, &Fault)> {
        self.all.iter().flat_map(|(key, state)| state.faults.iter().map(move |fault| (key, state, fault)))
    }
}

/// The ports that the probes of a pod ask.
pub fn probed_ports(pod: &Pod) -> BTreeSet<u16> {
    let containers = pod.spec.containers.iter();
    let probes =
        containers.flat_map(|container| [&container.readiness_probe, &container.liveness_probe]).flatten();
    let ports = probes.flat_map(|probe| [&probe.http_get, &probe.tcp_socket, &probe.grpc]).flatten();
    ports
        .filter_map(|probe| probe.port.as_ref())
        .flat_map(|port| match port {
            IntOrString::Int(number) => u16::try_from(*number).into_iter().collect(),
            IntOrString::Name(name) => named_ports(&pod.spec, name, Protocol::Tcp),
        })
        .collect()
}

struct Follow<'a> {
    facts: &'a Facts,
    groups: &'a Groups,
    finder: &'a lookup::Finder<'a>,
    anchor: Option<i64>,
    key: &'a Key,
    seen: &'a Seen<Service>,
}

/// How long a load balancer may take.
const PATIENCE: i64 = 10 * 60 * 1_000_000;

impl Follow<'_> {
    fn judge(&self, state: &mut State) {
        let spec = &self.seen.object.spec;
        if &*spec.r#type == "ExternalName" {
            if let Some(missing) = self.finder.external_name_missing(&spec.external_name) {
                let name = spec.external_name.to_string();
                state.faults.push(Fault::ExternalNameNowhere { name, missing });
            }
            return;
        }
        self.load_balancer(state);
        if spec.selector.is_empty() {
            self.without_selector(state);
            return;
        }
        if !self.finder.pods_listed(&self.key.namespace) {
            state.not_judged = Some("the bundle has no list of the pods of its namespace");
            // What the endpoints say stands all the same.
            return;
        }
        let selector = LabelSelector { match_labels: spec.selector.clone(), ..LabelSelector::default() };
        let mut pods: Vec<Key> = self
            .groups
            .selected(&self.key.namespace, &selector)
            .flat_map(|group| group.pods.iter().cloned())
            .collect();
        pods.sort();
        state.pods = pods;
        if state.pods.is_empty() {
            self.nothing_selected(state);
            return;
        }
        self.readiness(state);
        self.ports(state);
        self.drift(state);
        self.local(state);
    }

    fn pod(&self, key: &Key) -> Option<&Pod> {
        self.facts.objects.pods.get(&key.namespace, &key.name).map(|seen| &seen.object)
    }

    fn without_selector(&self, state: &mut State) {
        // A plain table has no column for the selector.
        if self.seen.form < Form::Inventory {
            state.not_judged = Some("its selector is not in the bundle");
            return;
        }
        let listed = self.facts.has_list("Endpoints") || self.facts.has_list("EndpointSlice");
        let none = state.published.as_ref().is_none_or(|published| published.ready.is_empty());
        // The API server keeps its own service's endpoints, and a balancer may be all that is wanted.
        if listed && none && self.finder.endpoints_listed(&self.key.namespace) && !self.is_api_server() {
            state.faults.push(Fault::NoSelectorNoEndpoints);
        }
    }

    fn is_api_server(&self) -> bool {
        &*self.key.namespace == "default" && &*self.key.name == "kubernetes"
    }

    fn nothing_selected(&self, state: &mut State) {
        if state.published.as_ref().is_some_and(|published| !published.ready.is_empty()) {
            state.not_judged = Some("its endpoints name pods that are not in the bundle");
            return;
        }
        if self.groups.unlabelled(&self.key.namespace) {
            state.not_judged = Some("the labels of the pods of its namespace are not in the bundle");
            return;
        }
        let spec = &self.seen.object.spec;
        if let Some(workload) = self.finder.scaled_to_zero(&self.key.namespace, &spec.selector) {
            state.faults.push(Fault::ScaledToZero(workload));
            return;
        }
        if self.finder.daemon_set_of_none(self.key, &spec.selector).is_some() {
            state.not_judged = Some("its DaemonSet wants no pod on any node");
            return;
        }
        let nearest = self.finder.nearest(self.key, &spec.selector);
        state.faults.push(Fault::NothingSelected(nearest));
    }

    fn readiness(&self, state: &mut State) {
        let publish_all = self.seen.object.spec.publish_not_ready_addresses;
        let mut unready = Vec::new();
        for key in &state.pods {
            let Some(pod) = self.pod(key) else { continue };
            match why_not_ready(self.facts, key, pod) {
                None => state.ready.push(key.clone()),
                Some(_) if publish_all && pod.addresses().next().is_some() => state.ready.push(key.clone()),
                Some(why) => unready.push(Unready { pod: key.clone(), why }),
            }
        }
        // Pods on their way out are replaced by others: these are the ones that count.
        if unready.iter().any(|item| item.why != Why::Deleting) {
            unready.retain(|item| item.why != Why::Deleting);
        }
        // A job's pods come and go: a service of theirs is empty in between.
        let published = state.published.as_ref().is_some_and(|published| !published.ready.is_empty());
        if state.ready.is_empty() && !published {
            state.faults.push(Fault::NothingReady(unready));
        }
    }

    fn ports(&self, state: &mut State) {
        // Rows of tables have no target ports.
        if self.seen.form < Form::Describe {
            return;
        }
        let mut faults = Vec::new();
        for port in &self.seen.object.spec.ports {
            let Some(found) = self.port(port, state) else { continue };
            let text =
                state.pods.iter().filter_map(|key| self.pod(key)).any(|pod| !pod.spec.containers.is_empty());
            if text {
                faults.extend(self.port_fault(port, &found, state));
            }
            state.ports.push(found);
        }
        state.faults.append(&mut faults);
    }

    fn port(&self, port: &ServicePort, state: &State) -> Option<PortState> {
        let number = u16::try_from(port.port).ok()?;
        let protocol = Protocol::named(&port.protocol)?;
        let mut found = PortState {
            name: port.name.to_string(),
            port: number,
            protocol,
            target: String::new(),
            resolved: BTreeSet::new(),
            unresolved: Vec::new(),
            declared: BTreeSet::new(),
        };
        for key in &state.pods {
            let Some(pod) = self.pod(key) else { continue };
            let containers = pod.spec.containers.iter().chain(pod.spec.init_containers.iter());
            found.declared.extend(containers.flat_map(|container| container.ports.iter()).filter_map(
                |container| {
                    let number = u16::try_from(container.container_port).ok()?;
                    Some((number, Protocol::named(&container.protocol)?, container.name.to_string()))
                },
            ));
        }
        match &port.target_port {
            // The default is the port itself; 0 is how old clients write "not set".
            None | Some(IntOrString::Int(0)) => {
                found.target = number.to_string();
                found.resolved.insert(number);
            }
            Some(IntOrString::Int(target)) => {
                found.target = target.to_string();
                found.resolved.extend(u16::try_from(*target).ok());
            }
            Some(IntOrString::Name(name)) => {
                found.target = name.to_string();
                for key in &state.pods {
                    let Some(pod) = self.pod(key) else { continue };
                    let numbers = named_ports(&pod.spec, name, protocol);
                    if numbers.is_empty() && !pod.spec.containers.is_empty() {
                        found.unresolved.push(key.clone());
                    }
                    found.resolved.extend(numbers);
                }
            }
        }
        Some(found)
    }

    fn port_fault(&self, port: &ServicePort, found: &PortState, state: &State) -> Option<Fault> {
        if let Some(IntOrString::Name(name)) = &port.target_port {
            // Endpoints on this very port prove the pods wrong that the bundle shows.
            let published = state.published.as_ref().is_some_and(|all| {
                !all.ready.is_empty()
                    && all.names_ports
                    && all.ports.iter().any(|(port, _)| **port == *found.name)
            });
            let differs = found
                .declared
                .iter()
                .find(|(_, protocol, ours)| ours == &**name && *protocol != found.protocol);
            return match (found.resolved.is_empty() && !published, differs) {
                (true, Some((_, protocol, _))) => Some(Fault::ProtocolDiffers(found.clone(), *protocol)),
                (true, None) => Some(Fault::NamedPortMissing(found.clone())),
                _ => None,
            };
        }
        // A number always leads somewhere: what containers declare is documentation.
        let target = *found.resolved.first()?;
        let declared = |protocol: Option<Protocol>| {
            found
                .declared
                .iter()
                .any(|(ours, of, _)| *ours == target && protocol.is_none_or(|question| question == *of))
        };
        if found.declared.is_empty() || declared(Some(found.protocol)) {
            return None;
        }
        if declared(None) {
            let (_, other, _) = found.declared.iter().find(|(ours, ..)| *ours == target)?;
            // Whoever speaks both protocols declares one of them, as kube-dns does.
            let both = self.seen.object.spec.ports.iter().any(|ours| {
                Protocol::named(&ours.protocol) == Some(*other)
                    && (ours.target_port == port.target_port || ours.port == u32::from(target))
            });
            return (!both).then(|| Fault::ProtocolDiffers(found.clone(), *other));
        }
        if self.probed(state).contains(&target) {
            return None;
        }
        Some(Fault::PortUndeclared(found.clone()))
    }

    /// The ports on which the kubelet asks ready pods: there something listens.
    fn probed(&self, state: &State) -> BTreeSet<u16> {
        state.ready.iter().filter_map(|key| self.pod(key)).flat_map(probed_ports).collect()
    }

    /// Only a complete difference is told: pods and endpoints are collected one after the other.
    fn drift(&self, state: &mut State) {
        let Some(published) = &state.published else { return };
        if !published.complete
            || state.ready.is_empty()
            || state
                .faults
                .iter()
                .any(|fault| matches!(fault, Fault::NamedPortMissing(_) | Fault::ProtocolDiffers(..)))
        {
            return;
        }
        let settled = state.ready.iter().filter_map(|key| self.pod(key)).all(|pod| {
            let ready = pod.status.conditions.iter().find(|condition| &*condition.r#type == "Ready");
            let since = ready.and_then(|item| item.last_transition_time.0);
            since.zip(self.anchor).is_some_and(|(since, now)| now - since > PATIENCE)
        });
        let addresses = state.ready.iter().filter_map(|key| self.pod(key)).flat_map(Pod::addresses);
        let ready: BTreeSet<IpAddr> = addresses.collect();
        if settled && !ready.is_empty() && published.ready.is_disjoint(&ready) {
            state.faults.push(Fault::EndpointsDiffer {
                published: published.ready.iter().copied().collect(),
                ready: ready.into_iter().collect(),
            });
        }
    }

    fn load_balancer(&self, state: &mut State) {
        let service = &self.seen.object;
        let wanted =
            &*service.spec.r#type == "LoadBalancer" && service.status.load_balancer.ingress.is_empty();
        // An inventory does not tell what the cloud gave; a manifest that somebody wrote was never given anything.
        let written = self.seen.form == Form::Full
            && service.spec.cluster_ip.is_empty()
            && service.metadata.creation_timestamp.0.is_none();
        if !wanted || written || self.seen.form == Form::Inventory {
            return;
        }
        let since = service.metadata.creation_timestamp.0;
        let young = since.zip(self.anchor).is_some_and(|(since, now)| now - since < PATIENCE);
        if !young {
            state.faults.push(Fault::LoadBalancerPending { since });
        }
    }

    fn local(&self, state: &mut State) {
        let spec = &self.seen.object.spec;
        let outside = matches!(&*spec.r#type, "LoadBalancer" | "NodePort");
        if !outside || &*spec.external_traffic_policy != "Local" || state.ready.is_empty() {
            return;
        }
        let nodes = self.facts.objects.nodes.len();
        let with: BTreeSet<&str> =
            state.ready.iter().filter_map(|key| self.pod(key)).map(|pod| &*pod.spec.node_name).collect();
        if nodes > with.len() {
            state.faults.push(Fault::LocalOnly { with: with.len(), nodes });
        }
    }
}
