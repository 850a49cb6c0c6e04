//! A pod cannot connect to a service, a pod or an address: the symptom, with what the bundle says of each hop.

use super::common::{self, SERVICES};
use super::connections::{self, Connection};
use crate::cluster::Cluster;
use crate::cluster::policy::Answer;
use crate::cluster::service::State;
use crate::detectors::needs::POD_LOGS;
use crate::detectors::observed::{counted, listed};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, FindingState, Fix, Outcome, Severity,
};
use crate::facts::{Failure, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "connection-failing",
    chapter: Chapter::Service,
    title: "Connections of a pod to a service, pod or address fail",
    needs: &[POD_LOGS, SERVICES],
    explains: &["container-crash-loop", "probe-failing", "ingress-without-backend"],
    doc: Doc {
        meaning: "A program in the cluster logs that its connections to a service, another pod or an address outside fail: timed out, refused, reset, or in the TLS handshake. Each of these narrows the hops that can be at fault.",
        decision: "The failed connections in the logs of pods and in pasted commands are joined with services and pods by name and address. Likely when they go on to the end of the log, at least three times or in a command that somebody ran; possible for addresses outside the cluster; low when the log goes on without them. A hop that explains it (no endpoints, a policy, a wrong port, rules of a node) is a cause of its own, under which this stands.",
        action: "Follow the hops that the finding lists as not excluded, beginning with the command that decides between them.",
        reference: "kubernetes.io: Debug Services. learn.microsoft.com: Troubleshoot connection problems to pods or services within an AKS cluster.",
    },
    detect: Evaluation::Rule(detect),
};

/// So many failures are no accident.
const SEVERAL: u64 = 3;

fn detect(cluster: &Cluster) -> Outcome {
    connections::all(cluster).iter().filter_map(|connection| finding(cluster, connection)).collect()
}

/// What the bundle says of the hops on the way.
#[derive(Default)]
struct Hops {
    /// What is excluded, with the fact.
    fine: Vec<String>,
    /// What explains it.
    broken: Option<String>,
}

fn hops(cluster: &Cluster, connection: &Connection<'_>) -> Hops {
    let mut hops = Hops::default();
    if let Some(service) = &connection.service
        && let Some(state) = cluster.services.all.get(service)
    {
        of_service(&mut hops, connection, &service.label(), state);
        if hops.broken.is_none() {
            hops.broken = local_only(cluster, connection, service, state);
        }
    }
    let verdicts = connection.verdicts(cluster);
    if !verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.answer() == Answer::Yes) {
        let foreign = cluster.policies.foreign.first();
        hops.fine.push(match foreign {
            Some((kind, _)) => format!("NetworkPolicies allow it (a {kind} is not evaluated)"),
            None => "NetworkPolicies allow it".to_owned(),
        });
    }
    hops
}

/// A service for the pods of each node alone (`internalTrafficPolicy: Local`), and none of its ready pods is on the client's node.
fn local_only(
    cluster: &Cluster,
    connection: &Connection<'_>,
    service: &Key,
    state: &State,
) -> Option<String> {
    let objects = &cluster.facts.objects;
    let spec = &objects.services.get(&service.namespace, &service.name)?.object.spec;
    let node = |pod: &Key| {
        Some(&objects.pods.get(&pod.namespace, &pod.name)?.object.spec.node_name)
            .filter(|node| !node.is_empty())
    };
    let client = node(connection.from.as_ref()?)?;
    let mut ready = state.ready.iter().map(node);
    let elsewhere = !state.ready.is_empty() && ready.all(|node| node.is_some_and(|node| node != client));
    (&*spec.internal_traffic_policy == "Local" && elsewhere).then(|| {
        format!("service {} has internalTrafficPolicy: Local, and none of its ready pods is on the client's node {client}", service.label())
    })
}

fn of_service(hops: &mut Hops, connection: &Connection<'_>, name: &str, state: &State) {
    let ports: Vec<String> = state.ports.iter().map(|port| port.port.to_string()).collect();
    if connection.port > 0 && !ports.is_empty() && !ports.contains(&connection.port.to_string()) {
        hops.broken = Some(format!(
            "service {name} has no port {} (it has {})",
            connection.port,
            listed(ports.iter().map(String::as_str), 5)
        ));
        return;
    }
    match (state.pods.len(), state.ready.len()) {
        (0, 0) => {}
        (all, 0) => hops.broken = Some(format!("0/{all} pods of service {name} are ready")),
        (all, ready) => hops.fine.push(format!("service {name} has {ready}/{all} ready pods")),
    }
}

/// What the way in which it failed leaves open, and the command that decides.
fn left(connection: &Connection<'_>) -> (&'static str, String) {
    let by_service = connection.service.is_some();
    let pod = connection.from.as_ref().map_or_else(|| "-n NAMESPACE POD".to_owned(), common::named);
    match connection.failure {
        Failure::Refused if by_service => (
            "A refusal at the service's address comes from kube-proxy (no endpoints in its rules: a REJECT) or from the pod behind it (nothing listens at targetPort, or only on 127.0.0.1).",
            "iptables-save | grep -A3 SERVICE   # on the client's node: REJECT, or DNAT to which pod\nkubectl exec -n NAMESPACE POD -- ss -ltn   # in the service's pod: what listens".to_owned(),
        ),
        Failure::Refused => (
            "The host answered that nothing listens at that port: the process is not there, listens on another port, or only on 127.0.0.1; no policy, route or firewall drops the packets.",
            format!("kubectl exec {pod} -- nc -vz -w 5 HOST PORT"),
        ),
        Failure::Timeout | Failure::NoRoute => (
            "No answer came back: a policy or firewall drops the packets, a route or node on the path is missing, or nothing has that address.",
            "hubble observe --verdict DROPPED   # with Cilium\nkubectl get pods -A -o wide   # whether client and target are on Ready nodes".to_owned(),
        ),
        Failure::Reset => (
            "The connection was established and then cut: by the program at the other end (it speaks another protocol, or exited), a proxy, or a load balancer's idle timeout.",
            format!("kubectl exec {pod} -- curl -v telnet://HOST:PORT"),
        ),
        _ => (
            "TCP works: the server's certificate or TLS version is not accepted by the client.",
            format!("kubectl exec {pod} -- openssl s_client -connect HOST:PORT -servername HOST"),
        ),
    }
}

fn finding(cluster: &Cluster, connection: &Connection<'_>) -> Option<Finding> {
    let hops = hops(cluster, connection);
    let who = connection.source.as_str();
    let title = format!("{who} cannot connect to {}: {}", connection.to(), connection.how());
    let about = format!("{who} {} {}", connection.to(), connection.how());
    let mut finding = Finding::new(DETECTOR.id, &about, title, connection.evidence.clone())?;
    let over = connection.over == Some(true);
    let inside = connection.service.is_some()
        || connection.ways.iter().any(|(end, _)| matches!(end, crate::cluster::policy::End::Pod(_)));
    // A command that somebody ran has no time; once is enough.
    let several = connection.count >= SEVERAL || connection.span.is_none();
    (finding.severity, finding.confidence) = match (over, inside, several) {
        (true, ..) => (Severity::Low, Confidence::Possible),
        (false, true, true) => (Severity::Medium, Confidence::Likely),
        // Whose log it is nobody tells.
        (false, false, _) if connection.from.is_none() => (Severity::Low, Confidence::Possible),
        (false, ..) => (Severity::Medium, Confidence::Possible),
    };
    finding.state = FindingState::of(connection.over.filter(|_| connection.span.is_some()));
    finding.count = connection.count;
    finding.unit = "failed connection";
    finding.seen(connection.span);
    finding.subjects = connection.subjects();
    finding.details.service.from = Some(who.to_owned());
    finding.details.service.to = Some(connection.to());
    let (meaning, command) = left(connection);
    let fine =
        if hops.fine.is_empty() { String::new() } else { format!(" Excluded: {}.", hops.fine.join("; ")) };
    finding.cause = match &hops.broken {
        Some(broken) => format!("{}.", crate::detectors::observed::capitalised(broken)),
        None => format!("{} × {}. {meaning}{fine}", connection.count, connection.how()),
    };
    finding.fix = Fix {
        text: match &hops.broken {
            Some(_) => "Fix that first: this connection depends on it.".to_owned(),
            None => format!(
                "No hop in the bundle explains {}. Run the commands below: they show at which hop it fails.",
                counted(connection.count, "failure")
            ),
        },
        commands: command.split('\n').map(ToOwned::to_owned).collect(),
        manifests: Vec::new(),
    };
    finding.verify = connection
        .from
        .iter()
        .map(|pod| format!("kubectl logs {} --since=5m   # no new failures", common::named(pod)))
        .collect();
    Some(finding)
}
