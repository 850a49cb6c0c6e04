//! The published endpoints of a service are none of its ready pods.

use super::common::{self, PODS, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::Fault;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "service-endpoints-stale",
    chapter: Chapter::Service,
    title: "The endpoints of a service are not those of its pods",
    guide: &["3"],
    needs: &[SERVICES, PODS],
    explains: &["ingress-without-backend"],
    doc: Doc {
        meaning: "The endpoints of a service should be the addresses of its ready pods. Here they are others, or none: the controller that writes them does not run or is far behind, or somebody else writes them.",
        decision: "The endpoints that should exist are built again from selector and pods. Told only when the published ones have no address in common with them, and all ready pods have been ready for more than ten minutes: pods and endpoints are collected one after the other. Likely.",
        action: "Look at kube-controller-manager, and at who writes the EndpointSlice.",
        reference: "Kubernetes: EndpointSlices, management.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, state, fault| {
        let Fault::EndpointsDiffer { published, ready } = fault else { return None };
        let list = |all: &[std::net::IpAddr]| {
            let text: Vec<String> = all.iter().take(4).map(ToString::to_string).collect();
            if text.is_empty() { "none".to_owned() } else { text.join(", ") }
        };
        let mut evidence: Vec<_> = common::endpoints_at(cluster, state, &format!("addresses: {}", list(published))).into_iter().collect();
        evidence.extend(state.ready.first().and_then(|pod| common::pod_at(cluster, pod, &format!("ready, with an address of {}", list(ready)))));
        let title = format!("Service {}: its endpoints ({}) are none of its {} ready pods", key.label(), list(published), state.ready.len());
        let mut finding = Finding::new(DETECTOR.id, &key.label(), title, evidence)?;
        finding.severity = Severity::High;
        finding.confidence = Confidence::Likely;
        finding.unit = "service";
        finding.subjects = vec![common::subject("Service", key)];
        finding.detail("published", published.iter().take(20).collect::<Vec<_>>());
        finding.detail("ready", ready.iter().take(20).collect::<Vec<_>>());
        finding.cause = format!("The ready pods have {}, and the endpoints are {}.", list(ready), list(published));
        finding.fix = Fix {
            text: "Look at who writes the EndpointSlice (label endpointslice.kubernetes.io/managed-by) and at its age; a slice that the controller manages is written anew when it is deleted.".to_owned(),
            commands: common::look(key),
            manifests: Vec::new(),
        };
        finding.verify = common::verify(key);
        Some(finding)
    })
    .into()
}
