//! Connections time out, and a network policy denies them.

use std::collections::BTreeMap;

use super::connections::{self, Connection};
use super::{common, policies};
use crate::cluster::Cluster;
use crate::cluster::policy::{Answer, EngineKind};
use crate::cluster::reach::Resolver;
use crate::detectors::observed::listed;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, FindingState, Fix, Outcome, Severity,
};
use crate::evidence::EXAMPLES;
use crate::facts::{Failure, Key, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "policy-blocks-connection",
    chapter: Chapter::Service,
    title: "NetworkPolicy blocks connections that time out",
    needs: &[policies::POLICIES, crate::detectors::needs::POD_LOGS],
    explains: &["connection-failing", "probe-failing", "container-crash-loop", "pod-not-running"],
    doc: Doc {
        meaning: "A pod's connections to a service, a pod or an address time out, and the NetworkPolicies of the bundle deny exactly that connection: by egress rules of the pod that connects, or ingress rules of the pods behind the target.",
        decision: "Each failed connection in the logs of pods is joined with the service and the pods that it leads to, and evaluated against the policies. Confirmed when every way is denied and the policy engine is known; likely when the bundle does not show which engine enforces policies. Connections that were refused, reset or not resolved are not counted: policies drop packets.",
        action: "If the connection should be allowed, apply the policy in the finding, which was evaluated against the bundle; otherwise stop the client.",
        reference: "kubernetes.io: Network Policies. learn.microsoft.com: Secure traffic between pods by using network policies in AKS.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    if cluster.policies.iter().len() == 0 || cluster.policies.engine.kind == EngineKind::None {
        return Outcome::default();
    }
    let mut found: BTreeMap<Vec<Key>, Vec<Connection<'_>>> = BTreeMap::new();
    for connection in connections::all(cluster) {
        let timed_out =
            matches!(connection.failure, Failure::Timeout | Failure::NoRoute | Failure::TlsTimeout);
        let by = if timed_out { connection.denied_by(cluster) } else { Vec::new() };
        if !by.is_empty() {
            found.entry(by).or_default().push(connection);
        }
    }
    found.into_iter().filter_map(|(by, connections)| finding(cluster, &by, &connections)).collect()
}

fn finding(cluster: &Cluster, by: &[Key], connections: &[Connection<'_>]) -> Option<Finding> {
    let first = connections.first()?;
    let pairs: Vec<String> =
        connections.iter().map(|item| format!("{} to {}", item.source, item.to())).collect();
    let listed_pairs = listed(pairs.iter().map(String::as_str), 2);
    let mut evidence: Vec<_> =
        connections.iter().flat_map(|item| item.evidence.iter().take(3).cloned()).collect();
    evidence.truncate(EXAMPLES);
    evidence.extend(
        by.iter().take(2).filter_map(|key| policies::policy_at(cluster, key, "no rule of it allows this")),
    );
    let title = format!("{} blocks {listed_pairs}: connection timed out", policies::titled(by));
    let about = by.iter().map(Key::label).collect::<Vec<_>>().join(" ");
    let mut finding = Finding::new(DETECTOR.id, &about, title, evidence)?;
    let over = connections.iter().all(|item| item.over == Some(true));
    let engine_known = cluster.policies.engine.kind != EngineKind::Unknown;
    (finding.severity, finding.confidence) = match (over, engine_known) {
        (true, _) => (Severity::Low, Confidence::Possible),
        (false, true) => (Severity::High, Confidence::Confirmed),
        (false, false) => (Severity::High, Confidence::Likely),
    };
    finding.count = connections.iter().map(|item| item.count).sum();
    finding.unit = "failed connection";
    let timed = connections.iter().any(|item| item.span.is_some());
    finding.state = FindingState::of(timed.then_some(over));
    finding.seen(connections.iter().fold(None, |span, item| time::joined(span, item.span)));
    finding.subjects = by.iter().map(|key| common::subject("NetworkPolicy", key)).collect();
    for subject in connections.iter().flat_map(Connection::subjects) {
        if !finding.subjects.contains(&subject) {
            finding.subjects.push(subject);
        }
    }
    finding.details.service.policies = by.iter().map(Key::label).collect();
    finding.details.service.from = Some(first.source.clone());
    finding.details.service.to = Some(first.to());
    let verdicts = first.verdicts(cluster);
    let leaving = verdicts.iter().any(|verdict| verdict.egress.answer == Answer::No);
    let side = if leaving {
        format!("no egress rule for {} allows it", first.source)
    } else {
        format!("no ingress rule for the pods of {} allows it", first.target)
    };
    finding.cause = format!(
        "{}: {side}. The connection that the log shows timing out ({}) is denied by it.{}",
        policies::titled(by),
        first.to(),
        policies::sure(cluster)
    );
    let opening = first.from.as_ref().and_then(|pod| {
        let from = Resolver::new(cluster).pod(&pod.namespace, &pod.name)?;
        let (to, socket) = first.ways.first()?;
        cluster.policies.opening(&from, to, &[*socket])
    });
    finding.fix = Fix {
        text: if opening.is_some() {
            "If this connection should be allowed, apply the policy below; it was evaluated against the bundle.".to_owned()
        } else {
            "If this connection should be allowed, add a rule for it to the policy.".to_owned()
        },
        commands: by
            .iter()
            .take(3)
            .map(|key| format!("kubectl describe networkpolicy {}", common::named(key)))
            .collect(),
        manifests: opening.map(|opening| opening.manifests).unwrap_or_default(),
    };
    finding.verify = first
        .from
        .iter()
        .map(|pod| format!("kubectl logs {} --since=5m   # no new timeouts", common::named(pod)))
        .collect();
    Some(finding)
}
