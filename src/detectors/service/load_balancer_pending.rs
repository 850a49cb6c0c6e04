//! A service of type `LoadBalancer` that got no address.

use super::common::{self, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::Fault;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity, shell};
use crate::facts::{EventKey, EventTally, Key, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "load-balancer-pending",
    chapter: Chapter::Service,
    title: "A load balancer was asked for and not given",
    guide: &["3"],
    needs: &[SERVICES],
    explains: &[],
    doc: Doc {
        meaning: "The cloud has given no address to a service of type LoadBalancer (EXTERNAL-IP <pending>): the cluster's identity may lack a right on the subnet or the public address, a quota may be used up, or an annotation may be wrong.",
        decision: "The service has no address of a balancer. Confirmed with an event 'SyncLoadBalancerFailed' about it, whose message tells why; likely without one on a cluster on Azure; possible elsewhere, where nobody may provide balancers. Services younger than ten minutes are left alone.",
        action: "As the event says: grant the right, raise the quota, correct the annotation.",
        reference: "AKS: use a public Standard Load Balancer; troubleshoot SyncLoadBalancerFailed.",
    },
    detect,
};

/// Known reasons: what the message has, and what to do.
const REASONS: &[(&str, &str)] = &[
    (
        "LinkedAuthorizationFailed",
        "The cluster's identity lacks a right on a resource outside its own resource group: grant it Network Contributor on the subnet or on the resource group of the public address.",
    ),
    (
        "AuthorizationFailed",
        "The cluster's identity lacks a right on the subnet or the public address: grant it Network Contributor there.",
    ),
    (
        "PublicIPCountLimitReached",
        "The subscription has no public address left in the region: delete unused ones or raise the quota.",
    ),
    (
        "PublicIPAddressCannotBeUsed",
        "The public address that is asked for is in use, or of another region or SKU.",
    ),
    ("SubnetIsFull", "The subnet has no address left for an internal load balancer."),
];

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, _, fault| match fault {
        Fault::LoadBalancerPending { since } => finding(cluster, key, *since),
        _ => None,
    })
    .into()
}

fn event<'a>(cluster: &'a Cluster, service: &Key) -> Option<(&'a EventKey, &'a EventTally)> {
    cluster.facts.events.of_reason("SyncLoadBalancerFailed").find(|(key, _)| {
        &*key.kind == "Service" && *key.namespace == *service.namespace && *key.name == *service.name
    })
}

fn finding(cluster: &Cluster, key: &Key, since: Option<i64>) -> Option<Finding> {
    let failed = event(cluster, key);
    let on_azure = cluster.facts.azure.of(crate::facts::AzureKind::Cluster).next().is_some()
        || cluster
            .facts
            .objects
            .nodes
            .iter()
            .any(|(_, seen)| seen.object.spec.provider_id.starts_with("azure://"));
    let mut evidence = vec![common::service_at(cluster, key, "type LoadBalancer, without an address")?];
    let words = failed.and_then(|(_, tally)| tally.examples.as_slice().last());
    evidence.extend(words.cloned());
    let title = format!("Service {} waits for a load balancer", key.label());
    let mut finding = Finding::new(DETECTOR.id, &key.label(), title, evidence)?;
    (finding.severity, finding.confidence) = match (failed, on_azure) {
        (Some(_), _) => (Severity::High, Confidence::Confirmed),
        (None, true) => (Severity::Medium, Confidence::Likely),
        (None, false) => (Severity::Low, Confidence::Possible),
    };
    finding.unit = "service";
    finding.subjects = vec![common::subject("Service", key)];
    if let Some((_, tally)) = failed {
        finding.count = tally.count.max(1);
        finding.unit = "failure";
        finding.seen(tally.span.resolve(cluster.anchor));
    }
    let age = since.map_or_else(String::new, |since| format!(" since {}", time::show(since)));
    let why = words.map_or_else(
        || "No event says why.".to_owned(),
        |words| format!("The cloud says: {}", words.excerpt),
    );
    finding.cause = format!("The service has asked for a load balancer{age} and has none. {why}");
    let known = words.and_then(|words| REASONS.iter().find(|(text, _)| words.excerpt.contains(text)));
    let text = known.map_or("The events of the service name what the cloud refused; without events, check that a cloud controller runs and that annotations of the service name existing resources.", |(_, fix)| fix);
    finding.fix = Fix {
        text: text.to_owned(),
        commands: vec![format!("kubectl describe service {}", common::named(key))],
        manifests: Vec::new(),
    };
    finding.verify = vec![format!(
        "kubectl get service {} -n {}   # EXTERNAL-IP is an address",
        shell(&key.name),
        shell(&key.namespace)
    )];
    Some(finding)
}
