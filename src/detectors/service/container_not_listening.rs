//! The kubelet's probe of a running container gets connection refused.

use std::collections::BTreeMap;
use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt};

use super::common::{self, PODS};
use crate::bytes::pattern::pattern;
use crate::cluster::Cluster;
use crate::cluster::reachability::What;
use crate::cluster::service::State;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity, SubjectRef,
};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{EventKey, EventTally, Failure, Key, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "container-not-listening",
    chapter: Chapter::Service,
    title: "Probe failed: connection refused (Unhealthy)",
    needs: &[EVENTS, PODS],
    explains: &["connection-failing", "service-pods-not-ready", "service-target-port-undeclared"],
    doc: Doc {
        meaning: "The kubelet's readiness, liveness or startup probe gets `connect: connection refused`. Usually the application listens on another port, only on 127.0.0.1, or has not started listening.",
        decision: "Unhealthy events with `connection refused` for pods that are still not ready and whose containers all run. Confirmed, high. Pods that became ready since are left out, and so are containers that wait or have exited (CrashLoopBackOff is its own cause).",
        action: "Let the application listen on 0.0.0.0 and on the port that the probe and the Service use.",
        reference: "Kubernetes: Configure Liveness, Readiness and Startup Probes.",
    },
    detect: Evaluation::Rule(detect),
};

const EVENTS: Need = Need {
    what: "events",
    why: "the kubelet reports failed probes there (Unhealthy)",
    command: "kubectl get events -A -o json > events.json",
    met: |cluster| cluster.facts.events.read > 0,
};

pattern!(
    REFUSED,
    r"dial tcp (?P<ip>\[?[0-9a-fA-F.:]+\]?):(?P<port>\d+): connect: connection refused|Failed to connect to (?P<ip2>[0-9a-fA-F.:]+) port (?P<port2>\d+)[^:]*: Connection refused"
);

/// The port of a probe that was refused.
fn refused_port(text: &str) -> Option<u16> {
    let found = REFUSED.captures(text)?;
    found.name("port").or_else(|| found.name("port2"))?.as_str().parse().ok()
}

/// Events that say that a probe of a pod was refused.
fn refused_probes(cluster: &Cluster) -> impl Iterator<Item = (&EventKey, &EventTally, u16, &Evidence)> {
    let events = cluster.facts.events.of_reason("Unhealthy").filter(|(key, _)| &*key.kind == "Pod");
    events.filter_map(|(key, tally)| {
        let found = tally
            .examples
            .as_slice()
            .iter()
            .find_map(|example| Some((refused_port(&example.excerpt)?, example)))?;
        Some((key, tally, found.0, found.1))
    })
}

/// Where connections to ports of pods were refused: looked up once for all services.
pub(super) struct Refusals<'a> {
    /// By namespace and name of the pod, and port.
    probes: HashMap<(&'a str, &'a str, u16), Vec<&'a Evidence>>,
    attempts: HashMap<(IpAddr, u16), Vec<&'a Evidence>>,
    /// At the address of a service, on its own port.
    of_services: HashMap<(&'a Key, u16), Vec<&'a Evidence>>,
}

impl<'a> Refusals<'a> {
    pub(super) fn of(cluster: &'a Cluster) -> Self {
        let mut found =
            Self { probes: HashMap::new(), attempts: HashMap::new(), of_services: HashMap::new() };
        for item in cluster.unreached.iter().filter(|item| item.failure == Failure::Refused && !item.ended) {
            if let What::Service(service) = &item.what {
                found.of_services.entry((service, item.port)).or_default().extend(&item.evidence);
            }
        }
        for (key, _, port, evidence) in refused_probes(cluster) {
            found.probes.entry((&key.namespace, &key.name, port)).or_default().push(evidence);
        }
        for (key, tally) in
            cluster.facts.attempts.map.iter().filter(|(key, _)| key.failure == Failure::Refused)
        {
            if let Ok(ip) = key.host.parse() {
                found.attempts.entry((ip, key.port)).or_default().extend(tally.examples.as_slice());
            }
        }
        found
    }

    /// Those to a service that has ready pods: one of these refused, or the rules of a node are wrong.
    pub(super) fn at_service(&self, service: &Key, state: &State, port: u16) -> Vec<Evidence> {
        let found = self.of_services.get(&(service, port)).filter(|_| !state.ready.is_empty());
        found.into_iter().flatten().copied().take(EXAMPLES).cloned().collect()
    }

    /// Those to a port of the pods of a service.
    pub(super) fn at(&self, cluster: &Cluster, state: &State, port: u16) -> Vec<Evidence> {
        let of_pods =
            state.pods.iter().filter_map(|pod| self.probes.get(&(&*pod.namespace, &*pod.name, port)));
        let pods =
            state.pods.iter().filter_map(|pod| cluster.facts.objects.pods.get(&pod.namespace, &pod.name));
        let of_addresses =
            pods.flat_map(|seen| seen.object.addresses()).filter_map(|ip| self.attempts.get(&(ip, port)));
        of_pods.chain(of_addresses).flatten().copied().take(EXAMPLES).cloned().collect()
    }
}

#[derive(Default)]
struct RefusedProbes {
    pods: Vec<Key>,
    count: u64,
    span: Option<(i64, i64)>,
    evidence: Vec<Evidence>,
}

fn detect(cluster: &Cluster) -> Outcome {
    // Copies of a pod are one finding: by owner and port.
    let mut found: BTreeMap<(String, u16), RefusedProbes> = BTreeMap::new();
    for (event, tally, port, evidence) in refused_probes(cluster) {
        let Some(seen) = cluster.facts.objects.pods.get(&event.namespace, &event.name) else {
            if goes_on_unseen(cluster, event, tally) {
                let name = Key::new(&*event.namespace, &*event.name);
                let item = found.entry((name.label(), port)).or_default();
                item.pods.push(name);
                item.count += tally.count.max(1);
                item.span = time::joined(item.span, tally.span.resolve(cluster.anchor));
                item.evidence.push(evidence.clone());
            }
            continue;
        };
        let pod = &seen.object;
        let ready = pod
            .status
            .conditions
            .iter()
            .any(|condition| &*condition.r#type == "Ready" && &*condition.status == "True");
        let runs = !pod.status.container_statuses.is_empty()
            && pod.status.container_statuses.iter().all(|container_status| {
                container_status.state.waiting.is_none() && container_status.state.terminated.is_none()
            });
        if ready || !runs || pod.ended() || !pod.metadata.deletion_timestamp.is_empty() {
            continue;
        }
        let owner = pod.metadata.owner_references.first();
        let owner = owner.map_or_else(|| event.name.to_string(), |owner| owner.name.to_string());
        let item = found.entry((format!("{}/{owner}", event.namespace), port)).or_default();
        item.pods.push(Key::new(&*event.namespace, &*event.name));
        item.count += tally.count.max(1);
        item.span = time::joined(item.span, tally.span.resolve(cluster.anchor));
        item.evidence.push(evidence.clone());
    }
    found.into_iter().filter_map(|((owner, port), refused)| finding(cluster, &owner, port, refused)).collect()
}

/// Failures of a probe after which it is no mere start.
const SEVERAL: u64 = 5;

/// Whether events alone tell of it: nothing of the namespace's pods is in the bundle, the probe failed several times, and no log
/// goes on without it.
fn goes_on_unseen(cluster: &Cluster, event: &EventKey, tally: &EventTally) -> bool {
    tally.count >= SEVERAL
        && cluster.facts.objects.pods.of_namespace(&event.namespace).next().is_none()
        && !cluster.is_over(tally.span.resolve(cluster.anchor))
}

fn finding(cluster: &Cluster, owner: &str, port: u16, mut refused: RefusedProbes) -> Option<Finding> {
    refused.evidence.truncate(EXAMPLES);
    let first = refused.pods.first()?.clone();
    let pods = if refused.pods.len() == 1 {
        format!("Pod {}", first.label())
    } else {
        format!("{} pods of {owner}", refused.pods.len())
    };
    let title = format!("{pods}: probe failed, connection refused on port {port}");
    let mut finding = Finding::new(DETECTOR.id, &format!("{owner} {port}"), title, refused.evidence)?;
    let seen = cluster.facts.objects.pods.get(&first.namespace, &first.name);
    (finding.severity, finding.confidence) = if seen.is_some() {
        (Severity::High, Confidence::Confirmed)
    } else {
        (Severity::Medium, Confidence::Likely)
    };
    finding.count = refused.count;
    finding.unit = "refused probe";
    finding.seen(refused.span);
    let mut subjects: Vec<SubjectRef> =
        refused.pods.iter().take(50).map(|pod| common::subject("Pod", pod)).collect();
    subjects.extend(cluster.services.of_pod(&first).into_iter().map(|key| common::subject("Service", key)));
    finding.subjects = subjects;
    finding.details.service.port = Some(port.to_string());
    let containers = seen.iter().flat_map(|pod| &pod.object.spec.containers);
    let declared = containers.flat_map(|container| &container.ports);
    let declared: Vec<String> = declared.map(|port| port.container_port.to_string()).collect();
    let others = if declared.is_empty() || declared.contains(&port.to_string()) {
        String::new()
    } else {
        format!(" The containers declare {}: the probe's port may be wrong.", declared.join(", "))
    };
    finding.cause = format!(
        "{} the kubelet's probe of port {port} gets connection refused: usually the application listens on another port, on 127.0.0.1 only, or not yet.{others}",
        if seen.is_some() {
            "The containers run, and"
        } else {
            "By the events (the pod itself is not in the bundle),"
        }
    );
    let name = common::named(&first);
    finding.fix = Fix {
        text: "Check on which address and port the application listens; it must be 0.0.0.0 (or ::) and the probe's port.".to_owned(),
        commands: vec![format!("kubectl exec {name} -- sh -c 'ss -ltnp || netstat -ltn'   # the listening ports"), format!("kubectl logs {name}")],
        manifests: Vec::new(),
    };
    finding.verify = vec![format!("kubectl get pod {name}   # READY shows all containers, e.g. 1/1")];
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_refused_probe_is_read() {
        assert_eq!(
            refused_port(
                "Readiness probe failed: Get \"http://10.1.1.1:8080/ready\": dial tcp 10.1.1.1:8080: connect: connection refused"
            ),
            Some(8080)
        );
        assert_eq!(
            refused_port("Readiness probe failed: dial tcp [fd00::5]:9000: connect: connection refused"),
            Some(9000)
        );
        assert_eq!(refused_port("Readiness probe failed: HTTP probe failed with statuscode: 503"), None);
    }
}
