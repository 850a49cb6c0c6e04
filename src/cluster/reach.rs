//! Names and addresses as ends of a connection: pods, workloads, services, addresses.

use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt};

use super::Cluster;
use super::policy::{End, Protocol, Socket};
use crate::facts::{Facts, Key};

/// Where a connection may lead.
pub enum Destination<'a> {
    /// One end.
    End(End<'a>),
    /// A service: its key. It leads to its pods.
    Service(Key),
}

/// One way to a service: the pod and the port behind it.
pub struct Backend<'a> {
    /// Port of the service.
    pub port: u16,
    /// The pod, or the address that the endpoints name.
    pub end: End<'a>,
    /// Where it listens.
    pub socket: Socket,
}

/// Pods and services by their addresses.
#[derive(Debug, Default)]
pub struct Addresses {
    pods: HashMap<IpAddr, Key>,
    services: HashMap<IpAddr, Key>,
}

impl Addresses {
    /// Of a bundle.
    pub(super) fn of(facts: &Facts) -> Self {
        let mut pods = HashMap::new();
        for (key, seen) in facts.objects.pods.iter() {
            // A pod of the host's network has the address of its node.
            if !seen.object.ended() && !seen.object.spec.host_network {
                pods.extend(seen.object.addresses().map(|ip| (ip, key.clone())));
            }
        }
        let services = facts.objects.services.iter().filter_map(|(key, seen)| {
            let ip = seen.object.spec.cluster_ip.parse().ok()?;
            Some((ip, key.clone()))
        });
        Self { pods, services: services.collect() }
    }
}

/// Finds ends by name and by address.
pub struct Resolver<'a> {
    cluster: &'a Cluster,
}

impl<'a> Resolver<'a> {
    /// Of a cluster.
    pub fn new(cluster: &'a Cluster) -> Self {
        Self { cluster }
    }

    /// A pod, or what a workload of that name would make.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<End<'a>> {
        let objects = &self.cluster.facts.objects;
        let key = Key::new(namespace, name);
        if let Some(seen) = objects.pods.get(namespace, name) {
            return Some(End::pod(&key, &seen.object, &self.cluster.groups));
        }
        let stores = [
            &objects.deployments,
            &objects.stateful_sets,
            &objects.daemon_sets,
            &objects.replica_sets,
            &objects.jobs,
        ];
        let workload = stores.into_iter().find_map(|store| store.get(namespace, name))?;
        let template = &workload.object.spec.template;
        let made =
            |labels| self.cluster.groups.having(namespace, labels).find_map(|group| group.pods.first());
        // A pod that it made has an address, too.
        if let Some(pod) = made(&template.metadata.labels).filter(|_| !template.metadata.labels.is_empty()) {
            return self.pod(&pod.namespace, &pod.name);
        }
        let is_given = !template.spec.containers.is_empty();
        is_given.then(|| End::template(&key, &template.metadata.labels, &template.spec))
    }

    /// Whatever has an address.
    pub fn address(&self, ip: IpAddr) -> Destination<'a> {
        let addresses = self.cluster.addresses();
        if let Some(key) = addresses.pods.get(&ip)
            && let Some(end) = self.pod(&key.namespace, &key.name)
        {
            return Destination::End(end);
        }
        match addresses.services.get(&ip) {
            Some(key) => Destination::Service(key.clone()),
            None => Destination::End(End::Address(ip)),
        }
    }

    /// `namespace/name` of a pod, a service or a workload, or an address.
    pub fn find(&self, text: &str) -> Result<Destination<'a>, String> {
        if let Ok(ip) = text.parse() {
            return Ok(self.address(ip));
        }
        let Some((namespace, name)) = text.split_once('/') else {
            return Err(format!("`{text}` is neither NAMESPACE/NAME nor an address"));
        };
        let objects = &self.cluster.facts.objects;
        if objects.pods.get(namespace, name).is_none() && objects.services.get(namespace, name).is_some() {
            return Ok(Destination::Service(Key::new(namespace, name)));
        }
        let found = self.pod(namespace, name).map(Destination::End);
        found.ok_or_else(|| format!("the bundle has no pod, service or workload {text}"))
    }

    /// Who connects: a pod, a workload, an address, or one of the pods of a service.
    pub fn source(&self, text: &str) -> Result<End<'a>, String> {
        if let Some(end) = text.split_once('/').and_then(|(namespace, name)| self.pod(namespace, name)) {
            return Ok(end);
        }
        match self.find(text)? {
            Destination::End(end) => Ok(end),
            Destination::Service(key) => {
                let state = self.cluster.services.all.get(&key);
                let first = state.and_then(|state| state.pods.first());
                let pod = first.and_then(|pod| self.pod(&pod.namespace, &pod.name));
                pod.ok_or_else(|| format!("{} is a service without pods", key.label()))
            }
        }
    }

    /// The ways to a service, on one of its ports or on all: its ready pods, or the addresses that its endpoints name.
    pub fn backends(&self, service: &Key, port: Option<u16>) -> Vec<Backend<'a>> {
        let Some(state) = self.cluster.services.all.get(service) else { return Vec::new() };
        let mut found = Vec::new();
        let pods = if state.ready.is_empty() { &state.pods } else { &state.ready };
        for ours in state.ports.iter().filter(|ours| port.is_none_or(|port| port == ours.port)) {
            for key in pods {
                let Some(end) = self.pod(&key.namespace, &key.name) else { continue };
                found.extend(ours.resolved.iter().map(|number| Backend {
                    port: ours.port,
                    end: end.clone(),
                    socket: Socket { protocol: ours.protocol, port: *number },
                }));
            }
        }
        if !found.is_empty() {
            return found;
        }
        // Endpoints made by hand, such as those of the API server.
        let Some(published) = &state.published else { return found };
        let spec = self.cluster.facts.objects.services.get(&service.namespace, &service.name);
        for ours in spec.into_iter().flat_map(|seen| seen.object.spec.ports.iter()) {
            let Ok(number) = u16::try_from(ours.port) else { continue };
            if port.is_some_and(|port| port != number) {
                continue;
            }
            let same =
                published.ports.iter().filter(|(name, _)| *name == ours.name || published.ports.len() == 1);
            for (_, target) in same {
                for ip in &published.ready {
                    let end = match self.address(*ip) {
                        Destination::End(end) => end,
                        Destination::Service(_) => End::Address(*ip),
                    };
                    let protocol = Protocol::named(&ours.protocol).unwrap_or_default();
                    found.push(Backend { port: number, end, socket: Socket { protocol, port: *target } });
                }
            }
        }
        found
    }
}
