//! The targetPort of a service is not among the ports that its pods declare.

use super::common::{self, PODS, SERVICES};
use super::container_not_listening::Refusals;
use crate::cluster::Cluster;
use crate::cluster::service::{Fault, PortState, State, probed_ports};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell,
};
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "service-target-port-undeclared",
    chapter: Chapter::Service,
    title: "targetPort not declared by the pods",
    needs: &[SERVICES, PODS],
    explains: &["connection-failing", "ingress-without-backend"],
    doc: Doc {
        meaning: "The Service sends traffic to a port that the pods' containers do not declare, although they declare others. Container ports are informational: the port may still be open. If it is not, connections are refused.",
        decision: "Possible: the pods declare exactly one port, a probe of a ready pod uses it, and the Service's targetPort is another. Likely: a connection to the targetPort of these pods, or to the service while it has ready pods, was refused. Pods that declare no port or several are reported only with a refused connection, and never for a port that a probe uses.",
        action: "Check on which port the application listens, and set targetPort to it.",
        reference: "Kubernetes: Debug Services.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let refusals = Refusals::of(cluster);
    common::each(cluster, |key, state, fault| match fault {
        Fault::PortUndeclared(port) => finding(cluster, &refusals, key, state, port),
        _ => None,
    })
    .into()
}

/// Whether the pods declare one port only, and a probe shows that it answers.
fn answers_elsewhere(cluster: &Cluster, state: &State, port: &PortState) -> bool {
    let mut declared = port.declared.iter().filter(|(_, protocol, _)| *protocol == port.protocol);
    let Some((only, ..)) = declared.next().filter(|_| declared.next().is_none()) else { return false };
    state.ready.iter().any(|pod| {
        let seen = cluster.facts.objects.pods.get(&pod.namespace, &pod.name);
        seen.is_some_and(|seen| probed_ports(&seen.object).contains(only))
    })
}

fn finding(
    cluster: &Cluster,
    refusals: &Refusals<'_>,
    key: &Key,
    state: &State,
    port: &PortState,
) -> Option<Finding> {
    let declared = common::declared(port);
    let mut evidence = vec![common::service_at(
        cluster,
        key,
        &format!("port {} has targetPort {}", common::port_shown(port), port.target),
    )?];
    let pod = state.pods.first()?;
    evidence.extend(common::pod_at(cluster, pod, &format!("containers declare {declared}")));
    let mut refused =
        port.resolved.first().map(|number| refusals.at(cluster, state, *number)).unwrap_or_default();
    let at_pods = !refused.is_empty();
    refused.extend(refusals.at_service(key, state, port.port));
    evidence.extend(refused.iter().take(3).cloned());
    if refused.is_empty() && !answers_elsewhere(cluster, state, port) {
        return None;
    }
    let title = format!(
        "Service {} port {}: targetPort {} not declared by its pods ({declared})",
        key.label(),
        port.port,
        port.target
    );
    let mut finding = Finding::new(DETECTOR.id, &format!("{} {}", key.label(), port.port), title, evidence)?;
    (finding.severity, finding.confidence) = if refused.is_empty() {
        (Severity::Medium, Confidence::Possible)
    } else {
        (Severity::High, Confidence::Likely)
    };
    finding.unit = "port";
    finding.subjects = vec![common::subject("Service", key), common::subject("Pod", pod)];
    finding.details.service.target = Some(port.target.clone());
    finding.details.service.declared = Some(declared.clone());
    let agrees = if refused.is_empty() {
        "A ready pod's probe uses the declared port, so the application listens there. No failed connection to targetPort is in the bundle, and an application can listen on ports that its pod does not declare."
    } else if at_pods {
        "Connections to targetPort on these pods were refused."
    } else {
        "Connections to the service were refused, although it has ready pods."
    };
    finding.cause = format!(
        "Port {} of the service has targetPort {}; the pods' containers declare {declared}. {agrees}",
        port.port, port.target
    );
    let mut commands = vec![format!(
        "kubectl exec {} -- sh -c 'ss -ltnp || netstat -ltn'   # the listening ports",
        common::named(pod)
    )];
    let mut meant = port.declared.iter().filter(|(_, protocol, _)| *protocol == port.protocol);
    if let Some((number, ..)) = meant.next().filter(|_| meant.next().is_none()) {
        let patch = format!(
            "{{\"spec\":{{\"ports\":[{{\"port\":{},\"protocol\":\"{}\",\"targetPort\":{number}}}]}}}}",
            port.port,
            port.protocol.name()
        );
        commands.push(format!("kubectl patch service {} -p {}", common::named(key), shell(&patch)));
    }
    finding.fix = Fix {
        text: "Check on which port the application listens; if it is the declared one, set targetPort to it."
            .to_owned(),
        commands,
        manifests: Vec::new(),
    };
    finding.verify = vec![format!(
        "kubectl run probe --rm -i --restart=Never -n {} --image=mcr.microsoft.com/azure-cli -- curl -sv telnet://{}:{} --max-time 5   # Connected",
        shell(&key.namespace),
        shell(&key.name),
        port.port
    )];
    Some(finding)
}
