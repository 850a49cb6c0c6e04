//! The target port of a service is a name that no pod has.

use super::common::{self, PODS, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::{Fault, PortState, State};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell,
};
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "service-named-port-missing",
    chapter: Chapter::Service,
    title: "targetPort name not found on any pod",
    needs: &[SERVICES, PODS],
    explains: &["connection-failing", "ingress-without-backend"],
    doc: Doc {
        meaning: "A Service may name its targetPort. The name is looked up among the container ports of each pod; where no container has it, the port is left out of the endpoints without an error, and connections are refused.",
        decision: "No selected pod has a container port of that name and protocol (containers and sidecars). Confirmed. Not reported when the bundle's endpoints have the port.",
        action: "Use a name or number that the containers declare, or name the container port.",
        reference: "Kubernetes: Service, port definitions.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, state, fault| match fault {
        Fault::NamedPortMissing(port) => finding(cluster, key, state, port),
        _ => None,
    })
    .into()
}

fn finding(cluster: &Cluster, key: &Key, state: &State, port: &PortState) -> Option<Finding> {
    let question = format!("port {} has targetPort {}", common::port_shown(port), port.target);
    let declared = common::declared(port);
    let has = if declared.is_empty() { "no ports".to_owned() } else { declared.clone() };
    let mut evidence = vec![common::service_at(cluster, key, &question)?];
    let pod = port.unresolved.first().or(state.pods.first())?;
    evidence.extend(common::pod_at(cluster, pod, &format!("containers declare {has}")));
    evidence.extend(common::endpoints_at(cluster, state, "the port is missing in the endpoints"));
    let title = format!(
        "Service {} port {}: targetPort \"{}\" not found on any pod",
        key.label(),
        port.port,
        port.target
    );
    let mut finding = Finding::new(DETECTOR.id, &format!("{} {}", key.label(), port.port), title, evidence)?;
    finding.severity = Severity::High;
    finding.confidence = Confidence::Confirmed;
    finding.unit = "port";
    finding.subjects = vec![common::subject("Service", key), common::subject("Pod", pod)];
    finding.details.service.target = Some(port.target.clone());
    finding.details.service.declared = Some(declared.clone());
    finding.cause = format!(
        "Port {} has targetPort \"{}\", and the containers of the selected pods declare {has}. Kubernetes leaves the port out of the endpoints.",
        port.port, port.target
    );
    // The only port of the protocol is the one that is meant.
    let mut meant = port.declared.iter().filter(|(_, protocol, _)| *protocol == port.protocol);
    let only = meant.next().filter(|_| meant.next().is_none());
    let mut fix = Fix {
        text:
            "Use a port name that the containers declare, or give the container port this name in the pod template (rolls out new pods)."
                .to_owned(),
        ..Fix::default()
    };
    if let Some((number, _, name)) = only {
        let target = if name.is_empty() { number.to_string() } else { format!("\"{name}\"") };
        let patch = format!(
            "{{\"spec\":{{\"ports\":[{{\"port\":{},\"protocol\":\"{}\",\"targetPort\":{target}}}]}}}}",
            port.port,
            port.protocol.name()
        );
        fix.text = format!(
            "Set targetPort to {target}, the only {} port that the containers declare; or name the container port as the service expects.",
            port.protocol.name()
        );
        fix.commands = vec![format!("kubectl patch service {} -p {}", common::named(key), shell(&patch))];
    }
    finding.fix = fix;
    finding.verify = common::verify(key);
    Some(finding)
}
