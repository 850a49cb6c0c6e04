//! `externalTrafficPolicy: Local` with nodes that have no pod of the service.

use super::common::{self, PODS, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::Fault;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell,
};

pub(super) const DETECTOR: Detector = Detector {
    id: "service-local-traffic-only",
    chapter: Chapter::Service,
    title: "externalTrafficPolicy Local: not every node has a ready pod",
    needs: &[SERVICES, PODS],
    explains: &[],
    doc: Doc {
        meaning: "With externalTrafficPolicy Local, only nodes with a ready pod of the Service answer external traffic. The load balancer's health probe leaves out the others; clients that connect to such a node's NodePort directly time out.",
        decision: "externalTrafficPolicy is Local, the type is LoadBalancer or NodePort, and fewer nodes have a ready pod than there are nodes. Info: this is how the policy works, and it preserves the client's source IP.",
        action: "None if clients use the load balancer. Otherwise set the policy to Cluster, or run a pod on every node.",
        reference: "Kubernetes: Create an External Load Balancer, preserving the client source IP.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, _, fault| {
        let Fault::LocalOnly { with, nodes } = fault else { return None };
        let evidence = vec![common::service_at(cluster, key, "externalTrafficPolicy: Local")?];
        let title = format!("Service {}: externalTrafficPolicy Local, ready pods on {with} of {nodes} nodes", key.label());
        let mut finding = Finding::new(DETECTOR.id, &key.label(), title, evidence)?;
        finding.severity = Severity::Info;
        finding.confidence = Confidence::Confirmed;
        finding.unit = "service";
        finding.subjects = vec![common::subject("Service", key)];
        finding.cause = format!("With externalTrafficPolicy Local, nodes without a ready pod of the service drop its external traffic. {with} of {nodes} nodes {} one; the load balancer's health probe leaves out the others.", if *with == 1 { "has" } else { "have" });
        finding.fix = Fix {
            text: "No action needed if clients use the load balancer. If they connect to nodes directly (NodePort), set the policy to Cluster (pods then no longer see the client's IP), or run a pod on every node.".to_owned(),
            commands: vec![format!("kubectl patch service {} -p {}", common::named(key), shell("{\"spec\":{\"externalTrafficPolicy\":\"Cluster\"}}"))],
            manifests: Vec::new(),
        };
        finding.verify = vec![format!(
            "kubectl get service {} -o jsonpath='{{.spec.externalTrafficPolicy}}'   # Cluster",
            common::named(key)
        )];
        Some(finding)
    })
    .into()
}
