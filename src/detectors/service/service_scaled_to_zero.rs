//! A service whose workload was scaled to zero.

use super::common::{self, PODS, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::Fault;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "service-scaled-to-zero",
    chapter: Chapter::Service,
    title: "Service has no endpoints: workload scaled to 0 replicas",
    needs: &[SERVICES, PODS],
    explains: &["connection-failing"],
    doc: Doc {
        meaning: "The selector is right, and the workload whose pods it selects has 0 replicas, set by someone or by an autoscaler. Until it is scaled up, the Service has no endpoints.",
        decision: "A Deployment or StatefulSet of the namespace whose pod template has the selector's labels and whose replicas are 0. Info: a choice, not a fault.",
        action: "Scale it up if it should run.",
        reference: "Kubernetes: Deployments, scaling a Deployment.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, state, fault| {
        let Fault::ScaledToZero(workload) = fault else { return None };
        let mut evidence =
            vec![common::service_at(cluster, key, &format!("selector: {}", common::selector(cluster, key)))?];
        evidence.extend(common::endpoints_at(cluster, state, "no address"));
        let title = format!("Service {} has no endpoints: {workload} scaled to 0 replicas", key.label());
        let mut finding = Finding::new(DETECTOR.id, &key.label(), title, evidence)?;
        finding.severity = Severity::Info;
        finding.confidence = Confidence::Confirmed;
        finding.unit = "service";
        finding.subjects = vec![common::subject("Service", key)];
        finding.cause = format!("{workload} creates the pods that this service selects, and has 0 replicas.");
        let name = workload.rsplit('/').next().unwrap_or_default();
        let kind = workload.split(' ').next().unwrap_or_default().to_ascii_lowercase();
        finding.fix = Fix {
            text: "If it should run, scale it up. If an autoscaler (HPA, KEDA) scaled it down, check its minimum."
                .to_owned(),
            commands: vec![format!(
                "kubectl scale {kind} {} -n {} --replicas=1",
                crate::detectors::shell(name),
                crate::detectors::shell(&key.namespace)
            )],
            manifests: Vec::new(),
        };
        finding.verify = common::verify(key);
        Some(finding)
    })
    .into()
}
