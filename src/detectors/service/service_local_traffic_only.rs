//! `externalTrafficPolicy: Local` with nodes that have no pod of the service.

use super::common::{self, PODS, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::Fault;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity, shell};

pub(super) const DETECTOR: Detector = Detector {
    id: "service-local-traffic-only",
    chapter: Chapter::Service,
    title: "Traffic from outside is answered by some nodes only (externalTrafficPolicy Local)",
    guide: &["3"],
    needs: &[SERVICES, PODS],
    explains: &[],
    doc: Doc {
        meaning: "With externalTrafficPolicy Local, only nodes that run a ready pod of the service answer from outside. The load balancer's health probe leaves the others out; whoever asks another node directly, by its node port, gets no answer.",
        decision: "The policy is Local, the type is LoadBalancer or NodePort, and fewer nodes have a ready pod than there are nodes. Told as information: it is how the policy works, and keeps the client's address.",
        action: "Nothing, if clients use the load balancer. Otherwise set the policy to Cluster, or run a pod on every node.",
        reference: "Kubernetes: preserving the client source address.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, _, fault| {
        let Fault::LocalOnly { with, nodes } = fault else { return None };
        let evidence = vec![common::service_at(cluster, key, "externalTrafficPolicy: Local")?];
        let title = format!("Service {} answers from outside on {with} of {nodes} nodes only", key.label());
        let mut finding = Finding::new(DETECTOR.id, &key.label(), title, evidence)?;
        finding.severity = Severity::Info;
        finding.confidence = Confidence::Confirmed;
        finding.unit = "service";
        finding.subjects = vec![common::subject("Service", key)];
        finding.cause = format!("externalTrafficPolicy is Local, and {with} of {nodes} nodes run a ready pod of it: the others do not answer on its node port.");
        finding.fix = Fix {
            text: "If clients ask nodes directly, set the policy to Cluster (the client's address is lost then), or run a pod on every node.".to_owned(),
            commands: vec![format!("kubectl patch service {} -p {}", common::named(key), shell("{\"spec\":{\"externalTrafficPolicy\":\"Cluster\"}}"))],
            manifests: Vec::new(),
        };
        finding.verify = common::look(key);
        Some(finding)
    })
    .into()
}
