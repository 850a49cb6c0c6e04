//! The controller of an Ingress, a Gateway or a route says in an event that it cannot do what the object asks for.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::EVENTS;
use crate::detectors::observed::{self, Observed, Wording, host_word};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::evidence::shortened;
use crate::facts::{EventKey, EventTally, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "ingress-not-synced",
    chapter: Chapter::Service,
    title: "Ingress, Gateway or route: its controller reports an error",
    needs: &[EVENTS],
    explains: &["connection-failing"],
    doc: Doc {
        meaning: "A controller of Ingresses or Gateways could not bring the object into its load balancer: a Service that is missing or of the wrong type, a certificate, a subnet, a permission. Until that is repaired the load balancer keeps its last state, or has none.",
        decision: "Warning events of an Ingress, Gateway, HTTPRoute, GRPCRoute, TLSRoute, TCPRoute or TargetGroupBinding that no later normal event of the same object follows: likely.",
        action: "Act on the event's message.",
        reference: "kubernetes.io: Ingress controllers. cloud.google.com: GKE Ingress troubleshooting. kubernetes-sigs.github.io/aws-load-balancer-controller.",
    },
    detect: Evaluation::Rule(detect),
};

const KINDS: [&str; 7] =
    ["Ingress", "Gateway", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "TargetGroupBinding"];

fn detect(cluster: &Cluster) -> Outcome {
    let all = cluster.facts.events.map.iter();
    let warnings = all.filter(|(key, tally)| {
        !key.normal
            && KINDS.contains(&&*key.kind)
            && !is_done(cluster, key, tally)
            && is_fresh(cluster, tally)
    });
    warnings.filter_map(|(key, tally)| finding(cluster, key, tally)).collect()
}

/// Whether a normal event tells later that the object was brought into place.
fn is_done(cluster: &Cluster, key: &EventKey, tally: &EventTally) -> bool {
    cluster.facts.events.map.iter().any(|(other, later)| {
        other.normal
            && (&other.kind, &other.namespace, &other.name) == (&key.kind, &key.namespace, &key.name)
            && tally.span.until_end_of(&later.span).is_some_and(|after| after > 0)
    })
}

fn is_fresh(cluster: &Cluster, tally: &EventTally) -> bool {
    // Controllers try again at least every quarter of an hour.
    const FRESH: i64 = 30 * 60 * 1_000_000;
    tally.span.age_of_end().is_none_or(|age| age <= FRESH)
        && !cluster.is_over(tally.span.resolve(cluster.anchor))
}

fn finding(cluster: &Cluster, key: &EventKey, tally: &EventTally) -> Option<Finding> {
    let message = tally.examples.as_slice().last()?.excerpt.clone();
    let object = Key::new(&*key.namespace, &*key.name);
    let mut given = Observed::default();
    given.add_event(cluster, key, tally);
    let kind = key.kind.to_lowercase();
    let (name, namespace) = (host_word(&key.name, "NAME"), host_word(&key.namespace, "NAMESPACE"));
    let says = Wording {
        severity: Severity::High,
        confidence: Confidence::Likely,
        unit: "event",
        cause: format!(
            "The controller of {} {} reports{}: {}: {message}",
            key.kind,
            object.label(),
            given.when(),
            key.reason
        ),
        fix: "Act on the quoted message; the controller tries again by itself.".to_owned(),
        commands: vec![format!("kubectl describe {kind} {name} -n {namespace}")],
        verify: vec![format!("kubectl describe {kind} {name} -n {namespace}   # Events: no new Warning")],
    };
    let label = if key.name.is_empty() {
        format!("Unidentified {kind}")
    } else {
        format!("{} {}", key.kind, object.label())
    };
    let title = format!("{label}: {}: {}", key.reason, shortened(&message, 50));
    let mut finding =
        given.finding(&DETECTOR, &format!("{} {} {}", key.kind, object.label(), key.reason), title, says)?;
    if !key.name.is_empty() {
        let mut subject = common::subject("Ingress", &object);
        observed::capitalised(&key.kind).clone_into(&mut subject.kind);
        finding.subjects.push(subject);
    }
    Some(finding)
}
