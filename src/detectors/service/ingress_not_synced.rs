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
        !key.normal && is_ours(key, tally) && !is_done(cluster, key, tally) && is_fresh(cluster, tally)
    });
    warnings.filter_map(|(key, tally)| finding(cluster, key, tally)).collect()
}

/// Whether a warning is of the controller that brings the object into place: of a kind of those, and no report of a policy, of
/// something that works all the same, of a change that came between.
fn is_ours(key: &EventKey, tally: &EventTally) -> bool {
    // Tables write kinds that they do not know as in the command: `gateway/web`, `httproute.gateway.networking.k8s.io/web`.
    let kind = key.kind.split('.').next().unwrap_or_default();
    let known = KINDS.iter().any(|ours| ours.eq_ignore_ascii_case(kind));
    let report = ["Policy", "BadConfig"].iter().any(|word| key.reason.contains(word))
        || key.reason.ends_with("WithWarning");
    let conflict = tally
        .examples
        .as_slice()
        .last()
        .is_some_and(|place| place.excerpt.contains("object has been modified"));
    known && !report && !conflict
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
    let fresh: i64 = if tally.count > 1 { 20 * 60 * 1_000_000 } else { 5 * 60 * 1_000_000 };
    tally.span.age_of_end().is_none_or(|age| age <= fresh)
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
