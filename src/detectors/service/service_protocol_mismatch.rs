//! The port of a service has another protocol than the container's.

use super::common::{self, PODS, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::policy::Protocol;
use crate::cluster::service::{Fault, PortState, State};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell,
};
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "service-protocol-mismatch",
    chapter: Chapter::Service,
    title: "Service and container port protocol mismatch",
    needs: &[SERVICES, PODS],
    explains: &["connection-failing"],
    doc: Doc {
        meaning: "The Service forwards one protocol (UDP), and the containers declare the same port for another (TCP). Endpoints exist, and packets arrive where usually nothing listens for them.",
        decision: "The targetPort is declared by the selected pods for another protocol, and not for the Service's. Likely, since container ports are informational and a process may listen on both; confirmed for a named targetPort, which must have the protocol.",
        action: "Set the protocol that the application uses.",
        reference: "Kubernetes: Protocols for Services.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, state, fault| match fault {
        Fault::ProtocolDiffers(port, other) => finding(cluster, key, state, port, *other),
        _ => None,
    })
    .into()
}

fn finding(
    cluster: &Cluster,
    key: &Key,
    state: &State,
    port: &PortState,
    other: Protocol,
) -> Option<Finding> {
    let (ours, other) = (port.protocol.name(), other.name());
    let mut evidence = vec![common::service_at(
        cluster,
        key,
        &format!("port {} has targetPort {}/{ours}", common::port_shown(port), port.target),
    )?];
    let pod = state.pods.first()?;
    evidence.extend(common::pod_at(cluster, pod, &format!("containers declare {}", common::declared(port))));
    let title = format!(
        "Service {} port {}: protocol mismatch, {ours}, pods declare {}/{other}",
        key.label(),
        port.port,
        port.target
    );
    let mut finding = Finding::new(DETECTOR.id, &format!("{} {}", key.label(), port.port), title, evidence)?;
    finding.severity = Severity::Medium;
    finding.confidence = if port.resolved.is_empty() { Confidence::Confirmed } else { Confidence::Likely };
    finding.unit = "port";
    finding.subjects = vec![common::subject("Service", key), common::subject("Pod", pod)];
    finding.details.service.service_protocol = Some(ours.to_string());
    finding.details.service.container_protocol = Some(other.to_string());
    finding.cause = format!(
        "The service forwards {ours} to port {} of its pods, whose containers declare that port for {other} only.",
        port.target
    );
    let patch = format!(
        "[{{\"op\":\"replace\",\"path\":\"/spec/ports/{}/protocol\",\"value\":\"{other}\"}}]",
        index(cluster, key, port)
    );
    finding.fix = Fix {
        text: format!(
            "If the application speaks {other}, set the protocol of the service's port to {other}; clients that use {ours} then lose the port."
        ),
        commands: vec![format!(
            "kubectl patch service {} --type=json -p {}",
            common::named(key),
            shell(&patch)
        )],
        manifests: Vec::new(),
    };
    finding.verify =
        vec![format!("kubectl get service {}   # PORT(S) shows {}/{other}", common::named(key), port.port)];
    Some(finding)
}

/// Where the port stands in the service.
fn index(cluster: &Cluster, key: &Key, port: &PortState) -> usize {
    let seen = cluster.facts.objects.services.get(&key.namespace, &key.name);
    let ports = seen.map(|seen| &seen.object.spec.ports);
    ports
        .and_then(|ports| {
            ports.iter().position(|ours| ours.port == u32::from(port.port) && *ours.name == *port.name)
        })
        .unwrap_or(0)
}
