//! The target port of a service is a name that no pod has.

use super::common::{self, PODS, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::{Fault, PortState, State};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity, shell};
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "service-named-port-missing",
    chapter: Chapter::Service,
    title: "The target port of a service is a name that its pods do not have",
    guide: &["3.3"],
    needs: &[SERVICES, PODS],
    explains: &["ingress-without-backend"],
    doc: Doc {
        meaning: "A service may name its target port. The name is looked up among the ports of each pod's containers; where no container has it, the port silently vanishes from the endpoints, and connections are refused.",
        decision: "No selected pod has a container port of that name and protocol (containers and sidecars). Endpoints in the bundle that have the port prove the contrary, and then nothing is told.",
        action: "Give the container port the name, or use a name or number that the container has.",
        reference: "Kubernetes: services, port definitions.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, state, fault| match fault {
        Fault::NamedPortMissing(port) => finding(cluster, key, state, port),
        _ => None,
    })
    .into()
}

fn finding(cluster: &Cluster, key: &Key, state: &State, port: &PortState) -> Option<Finding> {
    let question = format!("port {} targets the name {}", common::port_shown(port), port.target);
    let declared = common::declared(port);
    let has = if declared.is_empty() { "no ports".to_owned() } else { declared.clone() };
    let mut evidence = vec![common::service_at(cluster, key, &question)?];
    let pod = port.unresolved.first().or(state.pods.first())?;
    evidence.extend(common::pod_at(cluster, pod, &format!("containers declare {has}")));
    evidence.extend(common::endpoints_at(cluster, state, "the port is not among the endpoints"));
    let title = format!(
        "Service {}: its port {} leads nowhere, no pod has a port named {}",
        key.label(),
        port.port,
        port.target
    );
    let mut finding = Finding::new(DETECTOR.id, &format!("{} {}", key.label(), port.port), title, evidence)?;
    finding.severity = Severity::High;
    finding.confidence = Confidence::Confirmed;
    finding.unit = "port";
    finding.subjects = vec![common::subject("Service", key), common::subject("Pod", pod)];
    finding.detail("target", &port.target);
    finding.detail("declared", &declared);
    finding.cause = format!(
        "The service sends port {} to the container port named {}, and the containers of its pods declare {has}. The port is left out of the endpoints.",
        port.port, port.target
    );
    // The only port of the protocol is the one that is meant.
    let mut meant = port.declared.iter().filter(|(_, protocol, _)| *protocol == port.protocol);
    let only = meant.next().filter(|_| meant.next().is_none());
    let mut fix = Fix {
        text:
            "Use a name that the containers have, or give the container port this name in the pod template."
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
            "Point the port at {target}, the only {} port that the containers declare; or rename the container port.",
            port.protocol.name()
        );
        fix.commands = vec![format!("kubectl patch service {} -p {}", common::named(key), shell(&patch))];
    }
    finding.fix = fix;
    finding.verify = common::verify(key);
    Some(finding)
}
