//! A service selects pods, and none is ready.

use std::collections::BTreeMap;

use super::common::{self, PODS, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::pods::{Unready, Why};
use crate::cluster::service::{Fault, State};
use crate::detectors::details::texts;
use crate::detectors::observed::counted;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell,
};
use crate::evidence::EXAMPLES;
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "service-pods-not-ready",
    chapter: Chapter::Service,
    title: "Service has no ready endpoints: 0/N pods ready",
    needs: &[SERVICES, PODS],
    explains: &[
        "connection-failing",
        "ingress-without-backend",
        "admission-webhook-failing",
        "metrics-api-unavailable",
        "pods-cannot-reach-dns",
    ],
    doc: Doc {
        meaning: "The selector matches pods, and none of them is ready, so the Service has no ready endpoints and connections to it fail. The cause is why the pods are not ready: CrashLoopBackOff, ImagePullBackOff, Unschedulable, no pod IP, a NotReady node, or a failing readiness probe.",
        decision: "For each selected pod: its phase, conditions, waiting reasons, node, and events. Confirmed, high. Completed pods are left out, and so are Services that publish not-ready addresses. Without a condition or event that names the reason, a Running pod is reported as not ready only.",
        action: "Fix the reason that most of the pods have.",
        reference: "Kubernetes: Debug Services; Debug Pods. AKS: Troubleshoot connection issues to an app hosted in an AKS cluster.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, state, fault| match fault {
        Fault::NothingReady(unready) => finding(cluster, key, state, unready),
        _ => None,
    })
    .into()
}

fn finding(cluster: &Cluster, key: &Key, state: &State, unready: &[Unready]) -> Option<Finding> {
    let mut kinds: BTreeMap<&str, Vec<&Unready>> = BTreeMap::new();
    for item in unready {
        kinds.entry(item.why.kind()).or_default().push(item);
    }
    let mut kinds: Vec<(&str, Vec<&Unready>)> = kinds.into_iter().collect();
    kinds.sort_by_key(|(kind, pods)| (std::cmp::Reverse(pods.len()), *kind));
    let words: Vec<String> =
        kinds.iter().map(|(kind, pods)| format!("{} {}", pods.len(), phrase(kind))).collect();
    let mut evidence: Vec<_> = kinds
        .iter()
        .filter_map(|(_, pods)| pods.first())
        .filter_map(|kind| common::pod_at(cluster, &kind.pod, &kind.why.label()))
        .take(EXAMPLES)
        .collect();
    evidence.extend(common::endpoints_at(cluster, state, "no ready address"));
    let count = unready.len();
    let title = format!(
        "Service {} has no ready endpoints: 0/{count} pods ready ({})",
        key.label(),
        words.join(", ")
    );
    let mut finding = Finding::new(DETECTOR.id, &key.label(), title, evidence)?;
    finding.severity = Severity::High;
    finding.confidence = Confidence::Confirmed;
    finding.count = count as u64;
    finding.unit = "pod";
    finding.subjects = vec![common::subject("Service", key)];
    finding.subjects.extend(unready.iter().take(50).map(|item| common::subject("Pod", &item.pod)));
    let reasons = unready
        .iter()
        .take(50)
        .map(|item| crate::detectors::PodNotReady { pod: item.pod.label(), why: item.why.label() });
    finding.details.service.not_ready = reasons.collect();
    finding.details.common.why = texts(kinds.iter().map(|(kind, _)| *kind));
    let first = kinds.first().and_then(|(_, pods)| pods.first())?;
    finding.cause = format!(
        "The selector matches {}, none ready, so the service has no endpoint to send traffic to. {}: {}.",
        counted(count, "pod"),
        first.pod.label(),
        first.why.label()
    );
    finding.fix = fix(first);
    finding.verify = common::verify(key);
    Some(finding)
}

/// A kind of reason in kubectl's words: `CrashLoopBackOff`, `Terminating`.
fn phrase(kind: &str) -> &str {
    match kind {
        "can't be scheduled" => "Pending, Unschedulable",
        "have no address" => "without a pod IP",
        "are on a node that is not ready" => "on a NotReady node",
        "fail their readiness probe" => "Running, not ready",
        "are being deleted" => "Terminating",
        "are not ready" => "not ready",
        _ => kind,
    }
}

fn fix(item: &Unready) -> Fix {
    let pod = common::named(&item.pod);
    let describe = format!("kubectl describe pod {pod}");
    let (text, commands) = match &item.why {
        Why::Waiting(why) | Why::Initialising(_, why)
            if why.starts_with("CrashLoop") || why.contains("exit code") =>
        {
            (
                "The container exits repeatedly: read the log of the previous container.",
                vec![format!("kubectl logs {pod} --previous"), describe],
            )
        }
        Why::Waiting(why) | Why::Initialising(_, why) if why.contains("Image") => (
            "The image cannot be pulled: check its name and tag, the credentials and the path to the registry.",
            vec![describe],
        ),
        Why::Waiting(_) | Why::Initialising(..) => {
            ("The container cannot start: the message names the reason.", vec![describe])
        }
        Why::Unscheduled(_) => (
            "The scheduler finds no node (FailedScheduling): the message counts the reasons. Lower the requests, correct nodeSelectors and tolerations, or add nodes.",
            vec![describe, "kubectl describe nodes | grep -A8 'Allocated resources'".to_owned()],
        ),
        Why::NoAddress(_) => (
            "The pod has no sandbox or no IP yet: read its FailedCreatePodSandBox events.",
            vec![
                describe,
                format!(
                    "kubectl get events -n {} --field-selector reason=FailedCreatePodSandBox",
                    shell(&item.pod.namespace)
                ),
            ],
        ),
        Why::NodeLost(node) => (
            "The node is NotReady: repair it; the pods are replaced on other nodes after five minutes if their controller can.",
            vec![format!("kubectl describe node {}", shell(node))],
        ),
        Why::Probe(_) => (
            "The container runs and is not ready: check that the application listens on the readiness probe's port and answers its path, and the probe's initialDelaySeconds, timeoutSeconds and failureThreshold.",
            vec![describe, format!("kubectl logs {pod}")],
        ),
        Why::Deleting | Why::NotTold(_) => {
            ("Read the pods' events: they show what the pods wait for.", vec![describe])
        }
    };
    Fix { text: text.to_owned(), commands, manifests: Vec::new() }
}
