//! The target port of a service is not among those that its pods declare.

use super::common::{self, PODS, SERVICES};
use super::container_not_listening::Refusals;
use crate::cluster::Cluster;
use crate::cluster::service::{Fault, PortState, State, probed_ports};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity, shell};
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "service-target-port-undeclared",
    chapter: Chapter::Service,
    title: "The target port of a service is not a port that its pods declare",
    guide: &["3.3"],
    needs: &[SERVICES, PODS],
    explains: &["ingress-without-backend"],
    doc: Doc {
        meaning: "The service sends its traffic to a port that the pods' containers do not declare, although they declare others. What containers declare is documentation: the port may well be open. When it is not, connections are refused.",
        decision: "Only when something agrees with the suspicion, since what containers declare proves nothing. Suspected: the pods declare exactly one port, a probe of a ready pod shows that this is the one that answers, and the service leads to another. Likely: a connection to the target port of these pods was refused. A pod that declares nothing, or several ports, and a port that a probe asks, are not accused.",
        action: "Find out on which port the application listens, and set the target port to it.",
        reference: "Kubernetes: debug services. AKS: troubleshoot network problems, service not accessible.",
    },
    detect,
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
        &format!("port {} targets {}", common::port_shown(port), port.target),
    )?];
    let pod = state.pods.first()?;
    evidence.extend(common::pod_at(cluster, pod, &format!("containers declare {declared}")));
    let refused =
        port.resolved.first().map(|number| refusals.at(cluster, state, *number)).unwrap_or_default();
    evidence.extend(refused.iter().take(3).cloned());
    if refused.is_empty() && !answers_elsewhere(cluster, state, port) {
        return None;
    }
    let title = format!(
        "Service {}: its port {} leads to {} of its pods, which declare {declared}",
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
    finding.detail("target", &port.target);
    finding.detail("declared", &declared);
    let agrees = if refused.is_empty() {
        "The kubelet's probe of that port is answered, so the application listens there. Nothing in the bundle says that connections to the other port fail: it is a suspicion, since an application may listen on more ports than its pod declares."
    } else {
        "Connections to that port of these pods were refused: nothing listens there."
    };
    finding.cause = format!(
        "The service sends port {} to port {} of its pods; their containers declare {declared}. {agrees}",
        port.port, port.target
    );
    let mut commands = vec![format!(
        "kubectl exec {} -- sh -c 'ss -ltnp || netstat -ltn'   # on which port does it listen?",
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
        text:
            "Check on which port the application listens; if it is the declared one, point the service at it."
                .to_owned(),
        commands,
        manifests: Vec::new(),
    };
    finding.verify = vec![format!(
        "kubectl run probe --rm -i --restart=Never -n {} --image=mcr.microsoft.com/azure-cli -- curl -sv telnet://{}:{} --max-time 5",
        shell(&key.namespace),
        shell(&key.name),
        port.port
    )];
    Some(finding)
}
