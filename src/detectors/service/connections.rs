//! Failed connections of pods, followed to what they led to: what the detectors of connections share.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::common;
use crate::cluster::Cluster;
use crate::cluster::policy::{Answer, End, PolicyVerdict, Protocol, Socket};
use crate::cluster::reach::{Destination, Resolver};
use crate::cluster::reachability::{Unreached, What, Who, joined_over};
use crate::detectors::needs;
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{Failure, Key, time};

/// Failures of which a log of nobody's tells, before they count.
const SEVERAL: u64 = 3;

/// A connection that failed: from a workload, to a place and port, in one way.
pub(super) struct Connection<'a> {
    /// The pod that tried, as far as it is known.
    pub(super) from: Option<Key>,
    /// Whom it is told of: `shop/cart`, the pod's owner, or the log that tells of it.
    pub(super) source: String,
    /// The service that was meant.
    pub(super) service: Option<Key>,
    /// What was to be reached: `shop/cart`, a pod, an address, a name.
    pub(super) target: String,
    /// 0 when not told.
    pub(super) port: u16,
    /// How it failed.
    pub(super) failure: Failure,
    /// How often.
    pub(super) count: u64,
    /// First and last.
    pub(super) span: Option<(i64, i64)>,
    /// Whether its log goes on for long without it.
    pub(super) over: Option<bool>,
    /// Where.
    pub(super) evidence: Vec<Evidence>,
    /// The pods and ports, or the address, that it leads to.
    pub(super) ways: Vec<(End<'a>, Socket)>,
}

/// The pod's owner, which its copies share.
pub(super) fn owner(cluster: &Cluster, pod: &Key) -> String {
    let seen = cluster.facts.objects.pods.get(&pod.namespace, &pod.name);
    let owner = seen.and_then(|seen| seen.object.metadata.owner_references.first());
    let name = owner.map_or_else(|| pod.name.to_string(), |owner| owner.name.to_string());
    if pod.namespace.is_empty() { name } else { format!("{}/{name}", pod.namespace) }
}

/// The failed connections of pods to services, pods and whatever lies outside; not those that have a chapter of their own: to the
/// API server, to DNS, to registries.
pub(super) fn all(cluster: &Cluster) -> Vec<Connection<'_>> {
    let resolver = Resolver::new(cluster);
    let mut found: BTreeMap<(String, String, u16, Failure), Connection<'_>> = BTreeMap::new();
    for item in &cluster.unreached {
        if item.port == 53 || item.failure.of_dns() || item.failure == Failure::Proxy {
            continue;
        }
        let from = match &item.who {
            Who::Pod(pod) => Some(pod.clone()),
            // A log of which nobody tells whose it is counts when it leads into the cluster; an event speaks of something else.
            Who::Unknown if matches!(item.what, What::Service(_) | What::Pod(_)) && of_log(cluster, item) => {
                None
            }
            // Out of the cluster, when the log tells of it several times.
            Who::Unknown if item.what == What::Other && item.count >= SEVERAL && of_log(cluster, item) => {
                None
            }
            _ => continue,
        };
        for (target, service, ways) in targets(&resolver, item) {
            if from.as_ref().is_some_and(|pod| pod.label() == target) {
                // A pod that probes itself.
                continue;
            }
            let source = from.as_ref().map_or_else(
                || item.evidence.first().map_or_else(String::new, |place| place.source.to_string()),
                |pod| owner(cluster, pod),
            );
            let key = (source.clone(), target.clone(), item.port, item.failure);
            let ours = found.entry(key).or_insert_with(|| Connection {
                from: from.clone(),
                source,
                service,
                target,
                port: item.port,
                failure: item.failure,
                count: 0,
                span: None,
                over: None,
                evidence: Vec::new(),
                ways,
            });
            ours.count += item.count;
            ours.span = time::joined(ours.span, item.span);
            ours.over = joined_over(ours.over, Some(item.over.unwrap_or(item.ended)));
            let room = EXAMPLES.saturating_sub(ours.evidence.len());
            ours.evidence.extend(item.evidence.iter().take(room).cloned());
        }
    }
    found.into_values().collect()
}

/// Whether it is told by a log or by a command that somebody ran.
fn of_log(cluster: &Cluster, item: &Unreached) -> bool {
    let log = |place: &Evidence| {
        let entry = cluster.facts.coverage.entries.get(&place.source);
        entry.is_some_and(|entry| {
            entry.formats.has_any(needs::LOG_FORMATS) || entry.formats.has_any(&["connection-test"])
        })
    };
    item.evidence.iter().any(log)
}

/// What attempts led to: its name, the service, and the ways.
type Aim<'a> = (String, Option<Key>, Vec<(End<'a>, Socket)>);

fn targets<'a>(resolver: &Resolver<'a>, item: &Unreached) -> Vec<Aim<'a>> {
    let socket = Socket { protocol: Protocol::Tcp, port: item.port };
    match &item.what {
        What::Service(key) => {
            let backends = resolver.backends(key, (item.port > 0).then_some(item.port));
            let ways = backends.into_iter().map(|backend| (backend.end, backend.socket)).collect();
            vec![(key.label(), Some(key.clone()), ways)]
        }
        What::Pod(key) => {
            let end = resolver.pod(&key.namespace, &key.name);
            vec![(key.label(), None, end.map(|end| (end, socket)).into_iter().collect())]
        }
        What::Other => item
            .hosts
            .iter()
            .filter(|host| !host.is_empty())
            .map(|host| outside(resolver, host, socket))
            .collect(),
        _ => Vec::new(),
    }
}

fn outside<'a>(resolver: &Resolver<'a>, host: &str, socket: Socket) -> Aim<'a> {
    let ways = match host.parse::<IpAddr>().map(|ip| resolver.address(ip)) {
        Ok(Destination::End(end)) => vec![(end, socket)],
        _ => Vec::new(),
    };
    (host.to_owned(), None, ways)
}

impl<'a> Connection<'a> {
    /// `10.0.0.4:80`, `shop/cart:80`.
    pub(super) fn to(&self) -> String {
        if self.port == 0 { self.target.clone() } else { format!("{}:{}", self.target, self.port) }
    }

    /// What the policies of the bundle say of each way; nothing when an end is not known.
    pub(super) fn verdicts(&self, cluster: &'a Cluster) -> Vec<PolicyVerdict> {
        let Some(pod) = &self.from else { return Vec::new() };
        let Some(from) = Resolver::new(cluster).pod(&pod.namespace, &pod.name) else { return Vec::new() };
        self.ways.iter().map(|(to, socket)| cluster.policies.evaluate(&from, to, *socket)).collect()
    }

    /// The policies that deny every way; nothing when one is open or not known.
    pub(super) fn denied_by(&self, cluster: &'a Cluster) -> Vec<Key> {
        let verdicts = self.verdicts(cluster);
        if verdicts.iter().any(|verdict| verdict.answer() != Answer::No) {
            return Vec::new();
        }
        let sides = verdicts.iter().flat_map(|verdict| [&verdict.egress, &verdict.ingress]);
        let mut by: Vec<Key> = sides
            .filter(|side| side.answer == Answer::No)
            .flat_map(|side| side.isolated_by.clone())
            .collect();
        by.sort();
        by.dedup();
        by
    }

    /// How it failed, in the words of the system.
    pub(super) fn how(&self) -> &'static str {
        match self.failure {
            Failure::Timeout => "connection timed out",
            Failure::Refused => "connection refused",
            Failure::NoRoute => "no route to host",
            Failure::Reset => "connection reset",
            Failure::TlsTimeout => "TLS handshake timeout",
            Failure::TlsUntrusted => "x509: certificate signed by unknown authority",
            Failure::TlsWrongName => "x509: certificate is valid for another name",
            Failure::TlsExpired => "x509: certificate has expired",
            Failure::TlsVersion => "TLS handshake failure",
            Failure::Proxy | Failure::NameUnknown | Failure::ResolverFailed | Failure::Unresolved => {
                "not reached"
            }
        }
    }

    /// The objects that it is about.
    pub(super) fn subjects(&self) -> Vec<crate::detectors::SubjectRef> {
        let pod = self.from.iter().map(|pod| common::subject("Pod", pod));
        let service = self.service.iter().map(|service| common::subject("Service", service));
        pod.chain(service).collect()
    }
}
