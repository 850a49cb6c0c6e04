//! Probes of the kubelet that fail: the container is killed for it, or its pod is not ready.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cluster::pods::workload_name;
use crate::detectors::needs::{EVENTS, PODS};
use crate::detectors::observed::{self, Observed, Wording, breaks_a_service, counted, listed, subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::evidence::{Evidence, excerpt};
use crate::facts::{
    Container, ContainerProbe, ContainerStatus, EventKey, EventTally, IntOrString, Key, Pod, Terminated,
};

pub(super) const DETECTOR: Detector = Detector {
    id: "probe-failing",
    chapter: Chapter::Workloads,
    title: "Probe failed (Unhealthy): liveness, readiness, startup",
    needs: &[EVENTS, PODS],
    explains: &[
        "connection-failing",
        "container-crash-loop",
        "container-not-listening",
        "service-pods-not-ready",
        "pod-not-running",
        "coredns-unhealthy",
    ],
    doc: Doc {
        meaning: "The kubelet asks a container by its probes. A failed liveness or startup probe kills and restarts it; a failed readiness probe takes the pod out of its Services. The answer tells why: an HTTP status, connection refused (wrong port, or not listening yet), a timeout, or another protocol than the probe speaks (HTTP undeclared_port of a gRPC port, HTTP of an HTTPS port).",
        decision: "Unhealthy events by probe and answer. A liveness or startup probe counts when containers were killed for it (Killing: failed liveness probe), or when the container was restarted after a signal; likely in the latter case. A readiness probe counts when the pod is Running and not ready at capture: confirmed. Probes that failed only while a container started are left out, and refused readiness probes are container-not-listening.",
        action: "Compare the probe's port, path and scheme with what the container listens on, and its timeoutSeconds and failureThreshold with how long it takes to answer.",
        reference: "Kubernetes: Configure Liveness, Readiness and Startup Probes.",
    },
    detect: Evaluation::Rule(detect),
};

/// Which probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

impl ProbeKind {
    fn of(words: &str) -> Option<Self> {
        let begins = |word: &str| words.contains(&format!("{word} probe "));
        match () {
            () if begins("Startup") => Some(Self::Startup),
            () if begins("Liveness") => Some(Self::Liveness),
            () if begins("Readiness") => Some(Self::Readiness),
            () => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }

    fn of_container(self, container: &Container) -> Option<&ContainerProbe> {
        match self {
            Self::Startup => container.startup_probe.as_deref(),
            Self::Liveness => container.liveness_probe.as_deref(),
            Self::Readiness => container.readiness_probe.as_deref(),
        }
    }
}

/// How it failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ProbeFailure {
    /// An HTTP status.
    Status(String),
    /// Nothing listens.
    Refused,
    /// No answer in time.
    Timeout,
    /// The port speaks something else.
    Protocol(&'static str),
    /// The program says that it is not well.
    Unhealthy,
    /// A command failed, or something else.
    Other,
}

impl ProbeFailure {
    fn of(words: &str) -> Self {
        let has = |text: &str| words.contains(text);
        if let Some((_, rest)) = words.split_once("statuscode: ") {
            let code: String = rest.chars().take_while(char::is_ascii_digit).collect();
            return Self::Status(code);
        }
        if has("connection refused") {
            Self::Refused
        } else if has("malformed HTTP") || has("http2: server sent GOAWAY") {
            Self::Protocol("the port does not speak HTTP/1 (gRPC or another protocol)")
        } else if has("server gave HTTP response to HTTPS client")
            || has("first record does not look like a TLS handshake")
        {
            Self::Protocol("HTTPS probe of an HTTP port")
        } else if has("service unhealthy") || has("NOT_SERVING") || has("responded with \"NOT") {
            Self::Unhealthy
        } else if has("does not implement the grpc health protocol") {
            Self::Protocol("the server does not implement gRPC health checking")
        } else if has("deadline exceeded")
            || has("imeout")
            || has("timed out")
            || has("did not complete within")
        {
            Self::Timeout
        } else {
            Self::Other
        }
    }

    fn slug(&self) -> &'static str {
        match self {
            Self::Status(_) => "status",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Protocol(_) => "protocol",
            Self::Unhealthy => "unhealthy",
            Self::Other => "other",
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Status(code) => format!("HTTP {code}"),
            Self::Refused => "connection refused".to_owned(),
            Self::Timeout => "timeout".to_owned(),
            Self::Protocol(words) => (*words).to_owned(),
            Self::Unhealthy => "the program answers that it is not serving".to_owned(),
            Self::Other => "failed".to_owned(),
        }
    }
}

/// The port that a probe asks, as a number.
fn port_of(probe: &ContainerProbe, container: &Container) -> Option<u32> {
    let undeclared_port = probe.http_get.as_ref().or(probe.tcp_socket.as_ref()).or(probe.grpc.as_ref())?;
    match undeclared_port.port.as_ref()? {
        IntOrString::Int(number) => u32::try_from(*number).ok(),
        IntOrString::Name(name) => {
            container.ports.iter().find(|port| port.name == *name).map(|port| port.container_port)
        }
    }
}

/// A probe that asks a port which the container does not declare, although it declares others: the port, and those.
fn undeclared(kind: ProbeKind, pod: &Pod) -> Option<(u32, String)> {
    pod.spec.containers.iter().find_map(|container| {
        let port = port_of(kind.of_container(container)?, container)?;
        let declared: Vec<u32> = container.ports.iter().map(|port| port.container_port).collect();
        (!declared.is_empty() && !declared.contains(&port)).then(|| {
            let others: Vec<String> = declared.iter().map(ToString::to_string).collect();
            (port, others.join(", "))
        })
    })
}

#[derive(Default)]
struct Failing {
    observed: Observed,
    pods: Vec<Key>,
    restarts: u32,
    undeclared: Option<(u32, String)>,
    sure: bool,
    words: String,
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut groups: BTreeMap<(String, ProbeKind, ProbeFailure), Failing> = BTreeMap::new();
    for (key, tally) in cluster.facts.events.of_reason("Unhealthy").filter(|(key, _)| &*key.kind == "Pod") {
        let Some(seen) = cluster.facts.objects.pods.get(&key.namespace, &key.name) else {
            by_events(cluster, key, tally, &mut groups);
            continue;
        };
        let pod = &seen.object;
        if pod.ended() || !pod.metadata.deletion_timestamp.is_empty() {
            continue;
        }
        let name = Key::new(&*key.namespace, &*key.name);
        // Of one probe the newest words.
        let mut found: BTreeMap<ProbeKind, &Evidence> = BTreeMap::new();
        for example in tally.examples.as_slice() {
            if let Some(kind) = ProbeKind::of(&example.excerpt) {
                found.insert(kind, example);
            }
        }
        for (kind, example) in found {
            let Some(sure) = harms(cluster, key, tally, pod, kind) else { continue };
            let failure = ProbeFailure::of(&example.excerpt);
            // Its own cause, with what listens and what does not.
            if kind == ProbeKind::Readiness && failure == ProbeFailure::Refused {
                continue;
            }
            let group = groups
                .entry((format!("{}/{}", key.namespace, workload_name(&name, pod)), kind, failure))
                .or_default();
            group.observed.add_event(cluster, key, tally);
            group
                .observed
                .evidence
                .retain(|place| ProbeKind::of(&place.excerpt).is_none_or(|ours| ours == kind));
            group.pods.push(name.clone());
            let restarts = pod.status.container_statuses.iter().map(|status| status.restart_count).max();
            group.restarts = group.restarts.max(restarts.unwrap_or(0));
            group.undeclared = group.undeclared.take().or_else(|| undeclared(kind, pod));
            group.sure |= sure;
            if group.words.is_empty() {
                group.words = example.excerpt.to_string();
            }
        }
    }
    groups
        .into_iter()
        .filter_map(|((workload, kind, failure), failing)| {
            finding(cluster, &workload, kind, &failure, failing)
        })
        .collect()
}

/// A pod that is not in the bundle: a probe that fails again and again, to the end.
fn by_events(
    cluster: &Cluster,
    key: &EventKey,
    tally: &EventTally,
    groups: &mut BTreeMap<(String, ProbeKind, ProbeFailure), Failing>,
) {
    // A program that starts slowly fails a few times, too.
    const LEAST: u64 = 6;
    let listed = cluster.facts.objects.pods.of_namespace(&key.namespace).next().is_some();
    let Some(example) = tally.examples.as_slice().last() else { return };
    let Some(kind) = ProbeKind::of(&example.excerpt) else { return };
    let failure = ProbeFailure::of(&example.excerpt);
    let its_cause = kind == ProbeKind::Readiness && failure == ProbeFailure::Refused;
    if its_cause || listed || !observed::goes_on(cluster, key, tally, LEAST) {
        return;
    }
    let group = groups.entry((key.name.to_string(), kind, failure)).or_default();
    group.observed.add_event(cluster, key, tally);
    group.pods.push(Key::new(&*key.namespace, &*key.name));
    group.words = example.excerpt.to_string();
}

/// Whether a failed probe does harm: `Some(true)` when the bundle shows it, `Some(false)` when it fits.
fn harms(cluster: &Cluster, key: &EventKey, tally: &EventTally, pod: &Pod, kind: ProbeKind) -> Option<bool> {
    if kind == ProbeKind::Readiness {
        let running = !pod.status.container_statuses.is_empty()
            && pod
                .status
                .container_statuses
                .iter()
                .all(|status| status.state.waiting.is_none() && status.state.terminated.is_none());
        // A container that is killed again and again is not ready for that.
        let restarts = pod.status.container_statuses.iter().any(|status| status.restart_count > 2);
        return (!pod.is_ready() && running && !restarts).then_some(true);
    }
    let killed = cluster.facts.events.of_reason("Killing").any(|(killing, words)| {
        killing.namespace == key.namespace
            && killing.name == key.name
            && words
                .examples
                .as_slice()
                .iter()
                .any(|example| example.excerpt.contains(kind.name()) && example.excerpt.contains("probe"))
    });
    let by_signal =
        |ended: &Terminated| &*ended.reason != "OOMKilled" && matches!(ended.exit_code, 137 | 143);
    let last = |status: &ContainerStatus| {
        status.restart_count > 0 && status.last_state.terminated.as_deref().is_some_and(by_signal)
    };
    let restarted = pod.status.container_statuses.iter().any(|status| status.restart_count > 0);
    if killed && (restarted || tally.count > 2) {
        return Some(true);
    }
    (tally.count > 2 && pod.status.container_statuses.iter().any(last)).then_some(false)
}

fn finding(
    cluster: &Cluster,
    workload: &str,
    kind: ProbeKind,
    failure: &ProbeFailure,
    failing: Failing,
) -> Option<Finding> {
    let first = failing.pods.first().cloned()?;
    let name = kind.name();
    let pods: Vec<String> = failing.pods.iter().map(Key::label).collect();
    let who = if first.name.is_empty() {
        "Unidentified pod".to_owned()
    } else if pods.len() == 1 {
        format!("Pod {}", first.label())
    } else {
        format!("{} of {workload}", counted(pods.len(), "pod"))
    };
    let undeclared_port = failing.undeclared.as_ref();
    let port = undeclared_port.map_or_else(String::new, |(port, declared)| {
        format!(" (probe asks port {port}, container declares {declared})")
    });
    let restarted = if kind == ProbeKind::Readiness || failing.restarts == 0 {
        String::new()
    } else {
        format!(", {}", counted(failing.restarts, "restart"))
    };
    let how = match failure.words() {
        words if words == "failed" => String::new(),
        words => format!(", {words}"),
    };
    let title = format!("{who}: {name} probe failed{how}{port}{restarted}");
    let harm = match kind {
        ProbeKind::Readiness => "so the pod is not ready and gets no traffic from its Services",
        ProbeKind::Liveness | ProbeKind::Startup => "so the kubelet kills and restarts the container",
    };
    let fix = match (undeclared_port, failure) {
        (Some((port, declared)), _) => format!(
            "Set the {name} probe's port to the one that the container listens on: it asks {port}, and the container declares {declared}. A changed probe rolls out new pods."
        ),
        (None, ProbeFailure::Protocol(_)) => format!(
            "Give the {name} probe the protocol of its port (grpc, tcpSocket, or httpGet with the right scheme), or a port that speaks the probe's. A changed probe rolls out new pods."
        ),
        (None, ProbeFailure::Status(_)) => format!(
            "Check which path answers 200 to 399: correct the {name} probe's path, or repair what the path reports."
        ),
        (None, ProbeFailure::Timeout) => format!(
            "Check how long the container takes to answer; raise the {name} probe's timeoutSeconds, or give it a startupProbe while it starts. A container throttled at its CPU limit answers late."
        ),
        (None, _) => {
            "Compare the probe's port and path with what the container listens on, and read its log."
                .to_owned()
        }
    };
    let says = Wording {
        severity: if breaks_a_service(cluster, &failing.pods.iter().cloned().collect()) {
            Severity::High
        } else {
            Severity::Medium
        },
        confidence: if failing.sure { Confidence::Confirmed } else { Confidence::Likely },
        unit: "failed probe",
        cause: format!(
            "The {name} probe of {} fails, {harm}: {}{}",
            listed(pods.iter().map(String::as_str), 3),
            excerpt(failing.words.as_bytes()),
            if port.is_empty() { String::new() } else { format!(".{port}") }
        ),
        fix,
        commands: vec![
            format!("kubectl describe pod {} -n {}", shell(&first.name), shell(&first.namespace)),
            format!("kubectl logs {} -n {}", shell(&first.name), shell(&first.namespace)),
        ],
        verify: vec![format!(
            "kubectl get pod {} -n {}   # READY shows all containers, RESTARTS stays the same",
            shell(&first.name),
            shell(&first.namespace)
        )],
    };
    let services = cluster.services.of_pod(&first);
    let mut observed = failing.observed;
    observed.pods = failing.pods.into_iter().collect();
    let about = format!("{workload} {name} {}", failure.slug());
    let mut finding = observed.finding(&DETECTOR, &about, title, says)?;
    finding.subjects.extend(services.into_iter().map(|key| subject("Service", key)));
    finding.details.workload.probe = Some(name.to_owned());
    finding.details.workload.failure =
        Some(if undeclared_port.is_some() { "port" } else { failure.slug() }.to_owned());
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_by_the_kubelets_words() {
        for (words, kind, failure) in [
            (
                "Readiness probe failed: HTTP probe failed with statuscode: 404",
                ProbeKind::Readiness,
                "status",
            ),
            (
                "Liveness probe failed: dial tcp 10.1.1.1:80: connect: connection refused",
                ProbeKind::Liveness,
                "refused",
            ),
            (
                "Liveness probe failed: Get \"http://10.1.1.1:80/\": net/http: HTTP/1.x transport connection broken: malformed HTTP response \"\\x00\"",
                ProbeKind::Liveness,
                "protocol",
            ),
            (
                "Startup probe failed: timeout: failed to connect service \"10.1.1.1:80\" within 1s: context deadline exceeded",
                ProbeKind::Startup,
                "timeout",
            ),
        ] {
            assert_eq!(ProbeKind::of(words), Some(kind));
            assert_eq!(ProbeFailure::of(words).slug(), failure, "{words}");
        }
    }
}
