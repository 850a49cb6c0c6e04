//! Network policies let nobody reach a service.

use std::collections::BTreeMap;

use super::common::{self, PODS, SERVICES};
use super::policies::{self, POLICIES};
use crate::cluster::Cluster;
use crate::cluster::reach::Resolver;
use crate::cluster::service::State;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity};
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "policy-isolates-service",
    chapter: Chapter::Service,
    title: "Network policies let nobody reach a service",
    guide: &["3.7"],
    needs: &[POLICIES, SERVICES, PODS],
    explains: &["ingress-without-backend", "policy-drops-logged"],
    doc: Doc {
        meaning: "All pods of a service are isolated for ingress, and the policies that isolate them let nobody in: there is no rule at all (default-deny without an allow), or every rule names pods or namespaces that do not exist. Clients time out.",
        decision: "For each service with ready pods: the policies that select its pods for ingress, and for each of their rules whether it means anybody. Ranges of addresses and rules without a peer count as somebody. Likely: it is evaluated, and a service may be meant for nobody. Services of other namespaces' kubelets and of nodes are not affected by policies.",
        action: "Allow the clients of the service: the policy for a client is proved by `kubetriage reach`.",
        reference: "Kubernetes: network policies. AKS: secure traffic between pods.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let resolver = Resolver::new(cluster);
    // One finding for all services that the same policies isolate.
    let mut found: BTreeMap<Vec<Key>, Vec<(&Key, &State)>> = BTreeMap::new();
    for (key, state) in &cluster.services.all {
        let ends = state.ready.iter().filter_map(|pod| resolver.pod(&pod.namespace, &pod.name));
        let by: Option<Vec<_>> = ends.map(|end| policies::nobody_comes_in(cluster, &end)).collect();
        let mut policies: Vec<Key> =
            by.into_iter().flatten().flatten().map(|policy| policy.key.clone()).collect();
        policies.sort();
        policies.dedup();
        if !policies.is_empty() {
            found.entry(policies).or_default().push((key, state));
        }
    }
    found
        .iter()
        .filter_map(|(policies, services)| finding(cluster, policies, services))
        .collect::<Vec<_>>()
        .into()
}

fn finding(cluster: &Cluster, isolating: &[Key], services: &[(&Key, &State)]) -> Option<Finding> {
    let policies = policies::names(isolating);
    let mut evidence: Vec<_> = isolating
        .iter()
        .take(3)
        .filter_map(|policy| policies::policy_at(cluster, policy, "lets nobody in"))
        .collect();
    evidence.extend(services.iter().take(5).filter_map(|(key, _)| {
        common::service_at(cluster, key, &format!("selector: {}", common::selector(cluster, key)))
    }));
    let (first, state) = services.first()?;
    let named: Vec<String> = services.iter().take(4).map(|(key, _)| key.label()).collect();
    let rest = services.len().saturating_sub(named.len());
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let what = if services.len() == 1 { "service" } else { "services" };
    let title = format!("Nobody can reach {what} {}{more}: {policies} lets nobody in", named.join(", "));
    let mut finding = Finding::new(DETECTOR.id, &policies, title, evidence)?;
    finding.severity = Severity::High;
    finding.confidence = Confidence::Likely;
    finding.count = services.len() as u64;
    finding.unit = "service";
    finding.subjects = services.iter().take(50).map(|(key, _)| common::subject("Service", key)).collect();
    finding.subjects.extend(isolating.iter().map(|policy| common::subject("NetworkPolicy", policy)));
    finding.detail("policies", isolating.iter().map(Key::label).collect::<Vec<_>>());
    finding.detail("services", services.iter().take(100).map(|(key, _)| key.label()).collect::<Vec<_>>());
    let has_rules = |key: &Key| {
        let policy = cluster.policies.of(&key.namespace).find(|policy| policy.key == *key);
        let spec = policy.and_then(|policy| policy.spec.as_ref());
        spec.and_then(|spec| spec.ingress.as_ref()).is_some_and(|rules| !rules.is_empty())
    };
    let why = if isolating.iter().any(has_rules) {
        "and their rules name only pods or namespaces that do not exist"
    } else {
        "and no rule allows anything"
    };
    finding.cause = format!(
        "All ready pods of {} are isolated by {policies}, {why}. Clients time out. {}",
        if services.len() == 1 { first.label() } else { format!("these {} services", services.len()) },
        policies::sure(cluster)
    );
    let port = state.ports.first().map_or(80, |port| port.port);
    finding.fix = Fix {
        text: "Allow the clients: for a client of the bundle, the command below prints the smallest policy that lets it pass, proved by evaluation.".to_owned(),
        commands: vec![format!("kubetriage reach BUNDLE --from NAMESPACE/CLIENT --to {}:{port}", first.label())],
        manifests: Vec::new(),
    };
    finding.verify = vec![format!(
        "kubectl exec -n NAMESPACE CLIENT -- nc -vz -w 5 {}.{} {port}",
        first.name, first.namespace
    )];
    Some(finding)
}
