//! Pods are selected, and none is ready.

use std::collections::BTreeMap;

use super::common::{self, PODS, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::{Fault, State, Unready, Why};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity, shell};
use crate::evidence::EXAMPLES;
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "service-pods-not-ready",
    chapter: Chapter::Service,
    title: "None of the pods behind a service is ready",
    guide: &["3.2"],
    needs: &[SERVICES, PODS],
    explains: &[
        "ingress-without-backend",
        "admission-webhook-failing",
        "metrics-api-unavailable",
        "pods-cannot-reach-dns",
    ],
    doc: Doc {
        meaning: "The selector takes pods, and none of them is ready, so the service has no endpoints that get traffic. Why they are not ready is the cause: a crash, an image, the scheduler, a missing address, a lost node, or a readiness probe that fails.",
        decision: "For each selected pod: its phase, its conditions, what its containers wait for, its node, and the events about it. Pods that were deleted or have ended are left out, and a service that publishes pods that are not ready is not told.",
        action: "Mend the reason that most of the pods have.",
        reference: "Kubernetes: debug services, debug pods. AKS: troubleshoot network problems.",
    },
    detect,
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
    let pods = if count == 1 { "its pod is not".to_owned() } else { format!("none of its {count} pods is") };
    let title = format!("Service {} has no ready pod: {pods} ready ({})", key.label(), words.join(", "));
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
        .map(|item| serde_json::json!({ "pod": item.pod.label(), "why": item.why.label() }));
    finding.detail("pods", reasons.collect::<Vec<_>>());
    finding.detail("why", kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>());
    let first = kinds.first().and_then(|(_, pods)| pods.first())?;
    finding.cause = format!(
        "The selector takes {count} pods, and none is ready, so the service leads nowhere. {}: {}.",
        first.pod.label(),
        first.why.label()
    );
    finding.fix = fix(first);
    finding.verify = common::verify(key);
    Some(finding)
}

/// `2 fail their readiness probe`, `3 in CrashLoopBackOff`.
fn phrase(kind: &str) -> String {
    if kind.contains(' ') { kind.to_owned() } else { format!("in {kind}") }
}

fn fix(item: &Unready) -> Fix {
    let pod = common::named(&item.pod);
    let describe = format!("kubectl describe pod {pod}");
    let (text, commands) = match &item.why {
        Why::Waiting(why) if why.starts_with("CrashLoop") || why.contains("exit code") => (
            "The container starts and ends again: its last output says why.",
            vec![format!("kubectl logs {pod} --previous"), describe],
        ),
        Why::Waiting(why) if why.contains("Image") => {
            ("The image can't be pulled: check its name and tag, and the right to pull it.", vec![describe])
        }
        Why::Waiting(_) => {
            ("The container can't be started: the message names what is missing.", vec![describe])
        }
        Why::Unscheduled(_) => (
            "The scheduler finds no node: the message counts why. Lower the requests, correct selectors and tolerations, or add nodes.",
            vec![describe, "kubectl describe nodes | grep -A8 'Allocated resources'".to_owned()],
        ),
        Why::NoAddress(_) => (
            "The pod gets no sandbox or no address: see the chapter on addresses.",
            vec![
                describe,
                format!(
                    "kubectl get events -n {} --field-selector reason=FailedCreatePodSandBox",
                    shell(&item.pod.namespace)
                ),
            ],
        ),
        Why::NodeLost(node) => (
            "The node is lost: bring it back, or let the pods be moved.",
            vec![format!("kubectl describe node {}", shell(node))],
        ),
        Why::Probe(_) => (
            "The container runs, and its readiness probe fails: check that the application listens on the probe's port and answers its path, and that the probe is patient enough.",
            vec![describe, format!("kubectl logs {pod}")],
        ),
        Why::Deleting | Why::NotTold(_) => {
            ("Look at the pods: their events say what they wait for.", vec![describe])
        }
    };
    Fix { text: text.to_owned(), commands, manifests: Vec::new() }
}
