//! Who could not reach what, how, and whether it goes on: failed attempts, joined to the things of the cluster.
//!
//! A timeout, a refusal, an unknown name and a certificate that is not trusted mean different things, and so does who
//! speaks: nothing is judged here, that is the detectors' part.

use std::collections::BTreeMap;
use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

use super::azure::{self, Azure};
use super::episode;
use super::speaker::is_of_pod;
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{API_SERVER_DOMAINS, AttemptKey, Facts, Failure, Key, Recovery, Speaker, time};

/// Who tried.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// kubectl or the like, on somebody's machine.
    Client,
    /// A node: its kubelet, its provisioning; its name is empty when not told.
    Node(String),
    /// A pod.
    Pod(Key),
    /// `CoreDNS`, for others.
    Dns,
    /// The API server, or another part of the control plane.
    ControlPlane,
    /// An agent of the tunnel, noisy on healthy clusters.
    Tunnel,
    /// The text does not tell.
    Unknown,
}

/// What was to be reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The API server, by the name or the address that was used.
    ApiServer,
    /// A kubelet.
    Kubelet,
    /// A name that was looked up, when it is of nothing else.
    Name,
    /// A container registry.
    Registry,
    /// A service of the cluster.
    Service(Key),
    /// A pod.
    Pod(Key),
    /// The machine itself.
    Itself,
    /// Something else.
    Other,
}

/// Attempts of one kind.
#[derive(Clone, Debug)]
pub struct Unreached {
    /// Who tried.
    pub who: Who,
    /// To reach what.
    pub what: What,
    /// How it failed.
    pub failure: Failure,
    /// Names and addresses that were used, a few.
    pub hosts: Vec<String>,
    /// The port; 0 when not told.
    pub port: u16,
    /// DNS servers that were asked, a few.
    pub resolvers: Vec<String>,
    /// How often.
    pub count: u64,
    /// First and last.
    pub span: Option<(i64, i64)>,
    /// It ended well before the logs did: it was passing.
    pub ended: bool,
    /// What its own logs say of that, where they tell times.
    pub over: Option<bool>,
    /// Where.
    pub evidence: Vec<Evidence>,
}

/// Names of registries that nodes pull from.
const REGISTRIES: &[&str] = &[
    ".azurecr.io",
    ".azurecr.us",
    ".azurecr.cn",
    "mcr.microsoft.com",
    "mcr.azure.cn",
    "docker.io",
    "quay.io",
    "ghcr.io",
    "gcr.io",
    "pkg.dev",
    "registry.k8s.io",
];
/// The API server's service, by its names in the cluster.
const SERVICE_NAMES: &[&str] =
    &["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
/// Ports of the control plane that are not the API server's: etcd, the scheduler, the controller managers, kubelets' other port.
const OTHER_PORTS: [u16; 10] = [2379, 2380, 2381, 4001, 10249, 10255, 10256, 10257, 10258, 10259];
/// What ended this long before the end of the logs is over, in microseconds.
const OVER: i64 = 10 * 60 * 1_000_000;
/// Names and resolvers kept of one kind of attempt.
const KEPT: usize = 20;

/// Whether a name is of an AKS API server.
pub fn is_api_name(host: &str) -> bool {
    API_SERVER_DOMAINS.iter().any(|end| host.trim_end_matches('.').ends_with(end))
}

/// Whether a name is of a private API server.
pub fn is_private_name(host: &str) -> bool {
    is_api_name(host) && host.contains(".privatelink.")
}

/// Whether a host is one of a registry that nodes pull from.
pub fn is_registry(host: &str) -> bool {
    REGISTRIES.iter().any(|name| host.ends_with(name))
}

/// Whether what ended then was over well before the logs end.
pub fn is_over(last: i64, logs_end: Option<i64>) -> bool {
    logs_end.is_some_and(|end| end - last > OVER)
}

/// Nobody but the path of the entry may tell whose attempt it is.
fn told_by_entry(key: &AttemptKey) -> bool {
    key.speaker == Speaker::Unknown && key.pod.1.is_empty()
}

/// The words of a path that may be the name of a pod.
fn words(path: &str) -> impl Iterator<Item = &str> {
    path.split(['/', '!', '_']).map(|part| part.split(".log").next().unwrap_or(part).trim_end_matches(".txt"))
}

struct Places<'a> {
    /// Names and addresses of the API server.
    api: HashSet<String>,
    services: HashMap<IpAddr, &'a Key>,
    /// Services of the bundle by namespace and name.
    named: HashMap<(&'a str, &'a str), &'a Key>,
    pods: HashMap<IpAddr, &'a Key>,
    /// Pods whose name is a word of an entry's path.
    by_name: HashMap<&'a str, Vec<&'a Key>>,
    /// The speaker of each entry that was asked for.
    of_entry: HashMap<String, Option<Key>>,
}

impl<'a> Places<'a> {
    fn new(facts: &'a Facts, azure: &Azure) -> Self {
        let objects = &facts.objects;
        let mut api: HashSet<String> = HashSet::new();
        for cluster in &azure.clusters {
            let names = [cluster.fqdn.clone(), cluster.private_fqdn.clone()];
            api.extend(names.into_iter().filter(|name| !name.is_empty()));
        }
        // `kubectl get service kubernetes` does not tell the namespace.
        for namespace in ["default", ""] {
            if let Some(seen) = objects.services.get(namespace, "kubernetes") {
                api.insert(seen.object.spec.cluster_ip.to_string());
            }
            if let Some(seen) = objects.endpoints.get(namespace, "kubernetes") {
                let addresses = seen.object.subsets.iter().flat_map(|subset| &subset.addresses);
                api.extend(addresses.map(|address| address.ip.to_string()));
            }
        }
        let slices = objects.endpoint_slices.iter().filter(|(key, _)| &*key.namespace == "default");
        for (_, seen) in slices {
            let of = seen.object.metadata.labels.get("kubernetes.io/service-name");
            if of.is_some_and(|name| &**name == "kubernetes") {
                api.extend(
                    seen.object
                        .endpoints
                        .iter()
                        .flat_map(|endpoint| &endpoint.addresses)
                        .map(ToString::to_string),
                );
            }
        }
        api.remove("");
        let mut places = Self {
            api,
            services: HashMap::new(),
            named: HashMap::new(),
            pods: HashMap::new(),
            by_name: HashMap::new(),
            of_entry: HashMap::new(),
        };
        for (key, seen) in objects.services.iter() {
            places.named.insert((&key.namespace, &key.name), key);
            if let Ok(ip) = seen.object.spec.cluster_ip.parse() {
                places.services.insert(ip, key);
            }
        }
        let question = facts.attempts.map.iter().filter(|(key, _)| told_by_entry(key));
        let entries: HashSet<&str> = question.map(|(key, _)| &*key.source).collect();
        let without_namespace = facts.attempts.map.iter().map(|(key, _)| &key.pod);
        let without_namespace = without_namespace.filter(|(namespace, _)| namespace.is_empty());
        let named: HashSet<&str> =
            entries.into_iter().flat_map(words).chain(without_namespace.map(|(_, name)| &**name)).collect();
        for (key, seen) in objects.pods.iter() {
            if !seen.object.spec.host_network {
                places.pods.extend(seen.object.addresses().map(|ip| (ip, key)));
            }
            if named.contains(&*key.name) {
                places.by_name.entry(&key.name).or_default().push(key);
            }
        }
        places
    }

    /// The service of a name: `cart.shop`, `cart.shop.svc.cluster.local`, and `cart` in the namespace of the pod that asks.
    fn service_named(&self, host: &str, who: &Who) -> Option<&'a Key> {
        let mut labels = host.trim_end_matches('.').split('.');
        let (name, namespace, rest) = (labels.next()?, labels.next(), labels.next());
        let namespace = match (namespace, who) {
            // Another name of two or more labels may be one of the outside.
            (Some(namespace), _) if rest.is_none_or(|rest| rest == "svc") => namespace,
            (None, Who::Pod(pod)) => &*pod.namespace,
            _ => return None,
        };
        self.named.get(&(namespace, name)).copied()
    }

    fn is_api_service(service: &Key) -> bool {
        &*service.name == "kubernetes" && matches!(&*service.namespace, "default" | "")
    }

    fn what(&self, key: &AttemptKey, who: &Who) -> What {
        let host = &*key.host;
        let person = key.speaker == Speaker::Person;
        if key.port == 10250 {
            return What::Kubelet;
        }
        if matches!(host, "localhost" | "127.0.0.1" | "::1" | "0.0.0.0" | "::") {
            return What::Itself;
        }
        if is_registry(host) {
            return What::Registry;
        }
        // A machine that runs the API server runs etcd and others beside it.
        let of_its_machine = host.parse::<IpAddr>().is_ok() && OTHER_PORTS.contains(&key.port);
        let api =
            is_api_name(host) || SERVICE_NAMES.contains(&host) || self.api.contains(host) && !of_its_machine;
        // A DNS server that is asked is named as the resolver.
        let own_words = person && key.port != 53 && !key.failure.of_dns();
        if api {
            return What::ApiServer;
        }
        // A service or a pod of the cluster is what it is, whatever the path looks like.
        let known = host
            .parse::<IpAddr>()
            .is_ok_and(|ip| self.services.contains_key(&ip) || self.pods.contains_key(&ip));
        let named = host.split('.').any(|label| label == "svc");
        if !key.failure.of_dns()
            && let Some(service) = self.service_named(host, who)
            && !Self::is_api_service(service)
        {
            return What::Service(service.clone());
        }
        if !known && !named && (key.of_api || own_words) {
            return What::ApiServer;
        }
        if let Ok(ip) = host.parse::<IpAddr>() {
            if let Some(service) = self.services.get(&ip).filter(|service| !Self::is_api_service(service)) {
                return What::Service((*service).clone());
            }
            if let Some(pod) = self.pods.get(&ip) {
                return What::Pod((*pod).clone());
            }
        }
        if key.failure.of_dns() { What::Name } else { What::Other }
    }

    /// The pod whose log an entry is.
    fn pod_of(&mut self, path: &str) -> Option<Key> {
        if let Some(known) = self.of_entry.get(path) {
            return known.clone();
        }
        let found = words(path)
            .filter_map(|name| self.by_name.get(name))
            .flatten()
            .find(|pod| is_of_pod(path, pod))
            .or_else(|| self.pod_of_file(path))
            .map(|pod| (*pod).clone());
        self.of_entry.insert(path.to_owned(), found.clone());
        found
    }

    /// The only pod that has the name of the file: `coredns-5d78c9869d-k7w2x.log`.
    fn pod_of_file(&self, path: &str) -> Option<&&'a Key> {
        let name = path.rsplit(['/', '!']).next()?;
        let stem = name.strip_suffix(".log").or_else(|| name.strip_suffix(".txt")).unwrap_or(name);
        match self.by_name.get(stem)?.as_slice() {
            [pod] => Some(pod),
            _ => None,
        }
    }

    fn who(&mut self, key: &AttemptKey) -> Who {
        match key.speaker {
            Speaker::Person => return Who::Client,
            Speaker::Dns => return Who::Dns,
            Speaker::Tunnel => return Who::Tunnel,
            Speaker::ControlPlane => return Who::ControlPlane,
            Speaker::Node => return Who::Node(key.node.to_string()),
            Speaker::Unknown => {}
        }
        let (namespace, name) = (&*key.pod.0, &*key.pod.1);
        // `kubectl logs POD` without a namespace: the only pod of that name.
        if namespace.is_empty()
            && let Some([pod]) = self.by_name.get(name).map(Vec::as_slice)
        {
            return Who::Pod((*pod).clone());
        }
        if !name.is_empty() {
            return Who::Pod(Key::new(&*key.pod.0, &*key.pod.1));
        }
        if let Some(pod) = self.pod_of(&key.source) {
            return Who::Pod(pod);
        }
        if key.node.is_empty() { Who::Unknown } else { Who::Node(key.node.to_string()) }
    }
}

fn keep(list: &mut Vec<String>, item: &str) {
    if !item.is_empty() && list.len() < KEPT && !list.iter().any(|ours| ours == item) {
        list.push(item.to_owned());
    }
}

/// Whether all of several are over: what goes on anywhere is not; of what no log tells nothing is known.
pub fn joined_over(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a && b),
        (a, b) => a.or(b),
    }
}

/// All failed attempts of a bundle, by who, what and how.
pub fn unreached(facts: &Facts, azure: &Azure, anchor: Option<i64>, logs_end: Option<i64>) -> Vec<Unreached> {
    let mut places = Places::new(facts, azure);
    let mut all: BTreeMap<(Who, What, Failure, u16), Unreached> = BTreeMap::new();
    for (key, tally) in facts.attempts.map.iter() {
        let who = places.who(key);
        let what = places.what(key, &who);
        let item =
            all.entry((who.clone(), what.clone(), key.failure, key.port)).or_insert_with(|| Unreached {
                who,
                what,
                failure: key.failure,
                hosts: Vec::new(),
                port: key.port,
                resolvers: Vec::new(),
                count: 0,
                span: None,
                ended: false,
                over: None,
                evidence: Vec::new(),
            });
        keep(&mut item.hosts, &key.host);
        keep(&mut item.resolvers, &key.resolver);
        item.count += tally.count();
        item.span = time::joined(item.span, tally.span.resolve(anchor));
        let over = episode::is_over(
            facts,
            Some(Recovery::ApiServer).filter(|_| item.what == What::ApiServer),
            &tally.span,
            tally.count(),
            tally.examples.as_slice(),
        );
        // The log of a pod that is ready may have nothing more to say: it does not tell whether that goes on.
        let is_ready = |pod: &Key| {
            facts.objects.pods.get(&pod.namespace, &pod.name).is_some_and(|seen| seen.object.is_ready())
        };
        let quiet = over == Some(false)
            && matches!(&item.who, Who::Pod(pod) if is_ready(pod))
            && tally.span.resolve(anchor).is_some_and(|(_, last)| is_over(last, logs_end));
        item.over = joined_over(item.over, if quiet { Some(true) } else { over });
        if item.evidence.len() < EXAMPLES {
            item.evidence.extend(tally.examples.as_slice().iter().take(2).cloned());
        }
    }
    let mut found: Vec<Unreached> = all.into_values().collect();
    for item in &mut found {
        item.ended = item.over.unwrap_or_else(|| item.span.is_some_and(|(_, last)| is_over(last, logs_end)));
        item.evidence.truncate(EXAMPLES);
    }
    found
}

impl Unreached {
    /// It was a private API server that was to be reached: by its name, or by an address that is private.
    pub fn of_private_api(&self) -> bool {
        let private =
            |host: &String| is_private_name(host) || host.parse::<IpAddr>().is_ok_and(azure::is_private);
        self.what == What::ApiServer && self.hosts.iter().any(private)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_reached() {
        assert!(is_api_name("prod-1.hcp.westeurope.azmk8s.io"));
        assert!(is_private_name("prod.0f.privatelink.westeurope.azmk8s.io"));
        assert!(!is_private_name("contoso.privatelink.azurecr.io"));
        assert!(is_registry("contoso.azurecr.io") && is_registry("mcr.microsoft.com"));
        assert!(!is_registry("azurecr.io.example"));
    }
}
