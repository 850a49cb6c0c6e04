//! A service of type `LoadBalancer` whose EXTERNAL-IP is pending.

use std::collections::BTreeSet;

use super::common::{self, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::Fault;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell,
};
use crate::evidence::shortened;
use crate::facts::{EventKey, EventTally, Key, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "load-balancer-pending",
    chapter: Chapter::Service,
    title: "LoadBalancer EXTERNAL-IP <pending>",
    needs: &[SERVICES],
    explains: &[],
    doc: Doc {
        meaning: "The cloud has assigned no external IP to a Service of type LoadBalancer: often the cluster identity lacks a permission on the subnet or public IP (LinkedAuthorizationFailed), the public IP quota is used up, the subnet is full, or an annotation is wrong.",
        decision: "The Service has no load balancer IP and is older than ten minutes. Confirmed with a SyncLoadBalancerFailed event, whose message has the reason; likely without one on Azure; possible elsewhere, where no load balancer provider may be installed.",
        action: "Act on the event's message: assign the role, raise the quota, correct the annotation.",
        reference: "AKS: Use a public standard load balancer in AKS. Kubernetes: Service, type LoadBalancer. kubernetes-sigs/cloud-provider-azure: Azure LoadBalancer.",
    },
    detect: Evaluation::Rule(detect),
};

/// Known reasons: what the message has, and what to do.
const REASONS: &[(&str, &str)] = &[
    (
        "LinkedAuthorizationFailed",
        "The cluster identity lacks a permission on a resource outside the node resource group: assign it Network Contributor on the subnet or on the public IP's resource group.",
    ),
    (
        "AuthorizationFailed",
        "The cluster identity lacks a permission on the subnet or the public IP: assign it Network Contributor there.",
    ),
    (
        "PublicIPCountLimitReached",
        "The subscription's public IP quota in the region is used up: raise the quota, or release public IPs that are not in use.",
    ),
    (
        "PublicIPAddressCannotBeUsed",
        "The requested public IP is in use, or in another region or of another SKU.",
    ),
    (
        "SubnetIsFull",
        "The subnet has no free IP for an internal load balancer: use another subnet (annotation azure-load-balancer-internal-subnet).",
    ),
];

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings = common::each(cluster, |key, _, fault| match fault {
        Fault::LoadBalancerPending { since } => finding(cluster, key, *since),
        _ => None,
    });
    // Where the bundle has the events without the service, they tell.
    let services = &cluster.facts.objects.services;
    let unseen = refusals(cluster).filter(|(key, tally)| {
        let over = cluster.is_over(tally.span.resolve(cluster.anchor))
            || tally.span.age_of_end().is_some_and(|age| age > FRESH)
            || is_done(cluster, key, tally);
        !over && services.get(&key.namespace, &key.name).is_none()
    });
    let unseen: BTreeSet<Key> = unseen.map(|(key, _)| Key::new(&*key.namespace, &*key.name)).collect();
    findings.extend(unseen.iter().filter_map(|key| finding(cluster, key, None)));
    findings.into()
}

/// Reasons for which controllers of load balancers say that they got none: kubernetes/cloud-provider
/// `controllers/service`, aws-load-balancer-controller, `MetalLB`.
const REFUSALS: [&str; 6] = [
    "SyncLoadBalancerFailed",
    "CreatingLoadBalancerFailed",
    "FailedBuildModel",
    "FailedDeployModel",
    "AllocationFailed",
    "LoadBalancerUpdateFailed",
];
/// What ends it.
const DONE: [&str; 6] = [
    "EnsuredLoadBalancer",
    "UpdatedLoadBalancer",
    "SuccessfullyReconciled",
    "IPAllocated",
    "DeletedLoadBalancer",
    "Attach",
];
/// Controllers try again at least every five minutes, in microseconds.
const FRESH: i64 = 15 * 60 * 1_000_000;

/// Warnings about Services that say why there is no load balancer.
fn refusals(cluster: &Cluster) -> impl Iterator<Item = (&EventKey, &EventTally)> {
    cluster
        .facts
        .events
        .map
        .iter()
        .filter(|(key, _)| &*key.kind == "Service" && REFUSALS.contains(&&*key.reason))
}

/// Whether an event tells later that the load balancer is there, or no longer wanted.
fn is_done(cluster: &Cluster, key: &EventKey, tally: &EventTally) -> bool {
    DONE.iter().any(|reason| {
        cluster.facts.events.of_reason(reason).any(|(other, later)| {
            &*other.kind == "Service"
                && (&other.namespace, &other.name) == (&key.namespace, &key.name)
                && tally.span.until_end_of(&later.span).is_none_or(|after| after >= 0)
        })
    })
}

fn event<'a>(cluster: &'a Cluster, service: &Key) -> Option<(&'a EventKey, &'a EventTally)> {
    let of_service = |key: &EventKey| *key.namespace == *service.namespace && *key.name == *service.name;
    let mut all: Vec<_> = refusals(cluster).filter(|(key, _)| of_service(key)).collect();
    all.sort_by_key(|(key, _)| &*key.reason != "SyncLoadBalancerFailed");
    all.into_iter().next()
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
    let mut evidence: Vec<_> =
        common::service_at(cluster, key, "type LoadBalancer, no external IP").into_iter().collect();
    let words = failed.and_then(|(_, tally)| tally.examples.as_slice().last());
    evidence.extend(words.cloned());
    let known = words.and_then(|words| REASONS.iter().find(|(text, _)| words.excerpt.contains(text)));
    let in_words = failed.zip(words).filter(|((key, _), _)| &*key.reason != "SyncLoadBalancerFailed");
    let title = format!(
        "Service {}: LoadBalancer EXTERNAL-IP <pending>{}",
        key.label(),
        match (known, in_words) {
            (Some((code, _)), _) => format!(", {code}"),
            (None, Some((_, words))) => format!(": {}", shortened(&words.excerpt, 80)),
            (None, None) => String::new(),
        }
    );
    let mut finding = Finding::new(DETECTOR.id, &key.label(), title, evidence)?;
    (finding.severity, finding.confidence) = match (failed, on_azure) {
        (Some(_), _) if cluster.facts.objects.services.get(&key.namespace, &key.name).is_some() => {
            (Severity::High, Confidence::Confirmed)
        }
        (Some(_), _) => (Severity::High, Confidence::Likely),
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
    let age = since.map_or_else(String::new, |since| format!(", created at {},", time::show(since)));
    let why = words.map_or_else(
        || "No SyncLoadBalancerFailed event is in the bundle.".to_owned(),
        |words| {
            let reason = failed.map_or("SyncLoadBalancerFailed", |(key, _)| &*key.reason);
            format!("{reason}: {}", words.excerpt)
        },
    );
    finding.cause = format!("The service{age} has no external IP. {why}");
    let text = known.map_or("Read the events of the service for the cloud's error. Without events, check that a cloud controller runs, and that the service's annotations name existing resources.", |(_, fix)| fix);
    finding.fix = Fix {
        text: text.to_owned(),
        commands: vec![format!("kubectl describe service {}", common::named(key))],
        manifests: Vec::new(),
    };
    finding.verify = vec![format!(
        "kubectl get service {} -n {}   # EXTERNAL-IP shows an IP",
        shell(&key.name),
        shell(&key.namespace)
    )];
    Some(finding)
}
