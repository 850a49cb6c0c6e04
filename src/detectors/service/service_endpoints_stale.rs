//! The published endpoints of a service are none of its ready pods.

use super::common::{self, PODS, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::Fault;
use crate::detectors::details::texts;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "service-endpoints-stale",
    chapter: Chapter::Service,
    title: "Stale endpoints",
    needs: &[SERVICES, PODS],
    explains: &["connection-failing", "ingress-without-backend"],
    doc: Doc {
        meaning: "The endpoints of a Service should be the IPs of its ready pods. Here they are others, or none: the EndpointSlice controller does not run or is far behind, or something else writes them.",
        decision: "The endpoints that should exist are computed from selector and pods. Reported only when the published ones share no address with them, and all ready pods have been ready for more than ten minutes, since pods and endpoints are collected one after the other. Likely.",
        action: "Check kube-controller-manager, and what writes the EndpointSlice.",
        reference: "Kubernetes: EndpointSlices, management.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, state, fault| {
        let Fault::EndpointsDiffer { published, ready } = fault else { return None };
        let list = |all: &[std::net::IpAddr]| {
            let text: Vec<String> = all.iter().take(4).map(ToString::to_string).collect();
            if text.is_empty() { "none".to_owned() } else { text.join(", ") }
        };
        let mut evidence: Vec<_> = common::endpoints_at(cluster, state, &format!("addresses: {}", list(published))).into_iter().collect();
        evidence.extend(state.ready.first().and_then(|pod| common::pod_at(cluster, pod, &format!("ready, pod IP {}", list(ready)))));
        let title = format!("Service {}: stale endpoints ({}), ready pods have {}", key.label(), list(published), list(ready));
        let mut finding = Finding::new(DETECTOR.id, &key.label(), title, evidence)?;
        finding.severity = Severity::High;
        finding.confidence = Confidence::Likely;
        finding.unit = "service";
        finding.subjects = vec![common::subject("Service", key)];
        finding.details.service.published = texts(published.iter().take(20));
        finding.details.service.ready = texts(ready.iter().take(20));
        finding.cause = format!("The published endpoints are {}, and the ready pods have {}: none is shared, although all of the pods have been ready for more than ten minutes.", list(published), list(ready));
        finding.fix = Fix {
            text: "Check what writes the EndpointSlice (label endpointslice.kubernetes.io/managed-by), and on self-managed clusters the log of kube-controller-manager.".to_owned(),
            commands: common::look(key),
            manifests: Vec::new(),
        };
        finding.verify = common::verify(key);
        Some(finding)
    })
    .into()
}
