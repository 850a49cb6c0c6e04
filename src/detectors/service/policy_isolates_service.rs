//! Network policies deny all ingress to a service.

use std::collections::BTreeMap;

use super::common::{self, PODS, SERVICES};
use super::policies::{self, POLICIES};
use crate::cluster::Cluster;
use crate::cluster::reach::Resolver;
use crate::cluster::service::State;
use crate::detectors::details::texts;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell,
};
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "policy-isolates-service",
    chapter: Chapter::Service,
    title: "NetworkPolicy denies all ingress to a Service",
    needs: &[POLICIES, SERVICES, PODS],
    explains: &["connection-failing", "ingress-without-backend", "policy-drops-logged"],
    doc: Doc {
        meaning: "All ready pods of a Service are isolated for ingress, and the policies allow no peer: they have no ingress rule (default deny without an allow), or every rule selects pods or namespaces that do not exist. Connections from pods time out.",
        decision: "For each Service with ready pods: the policies that select its pods for ingress, and whether any peer of their rules matches. ipBlocks and rules without peers count as a match. Likely: the result of an evaluation, and a Service may be meant for no client. The kubelet's and the node's own traffic is not affected by policies.",
        action: "Allow the Service's clients: `kubetriage reach` prints an evaluated policy.",
        reference: "Kubernetes: Network Policies, default policies. AKS: Secure traffic between pods by using network policies.",
    },
    detect: Evaluation::Rule(detect),
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
    found.iter().filter_map(|(policies, services)| finding(cluster, policies, services)).collect()
}

fn finding(cluster: &Cluster, isolating: &[Key], services: &[(&Key, &State)]) -> Option<Finding> {
    let policies = policies::names(isolating);
    let mut evidence: Vec<_> = isolating
        .iter()
        .take(3)
        .filter_map(|policy| policies::policy_at(cluster, policy, "allows no ingress"))
        .collect();
    evidence.extend(services.iter().take(5).filter_map(|(key, _)| {
        common::service_at(cluster, key, &format!("selector: {}", common::selector(cluster, key)))
    }));
    let (first, state) = services.first()?;
    let named: Vec<String> = services.iter().take(4).map(|(key, _)| key.label()).collect();
    let rest = services.len().saturating_sub(named.len());
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let what = if services.len() == 1 { "Service" } else { "Services" };
    let title =
        format!("{what} {}{more}: all ingress denied by {}", named.join(", "), policies::titled(isolating));
    let mut finding = Finding::new(DETECTOR.id, &policies, title, evidence)?;
    finding.severity = Severity::High;
    finding.confidence = Confidence::Likely;
    finding.count = services.len() as u64;
    finding.unit = "service";
    finding.subjects = services.iter().take(50).map(|(key, _)| common::subject("Service", key)).collect();
    finding.subjects.extend(isolating.iter().map(|policy| common::subject("NetworkPolicy", policy)));
    finding.details.service.policies = texts(isolating.iter().map(Key::label));
    finding.details.service.services = texts(services.iter().take(100).map(|(key, _)| key.label()));
    let has_rules = |key: &Key| {
        let policy = cluster.policies.of(&key.namespace).find(|policy| policy.key == *key);
        let spec = policy.and_then(|policy| policy.spec.as_ref());
        spec.and_then(|spec| spec.ingress.as_ref()).is_some_and(|rules| !rules.is_empty())
    };
    let why = if isolating.iter().any(has_rules) {
        "and their ingress rules match no pod or namespace in the bundle"
    } else {
        "without any ingress rule"
    };
    finding.cause = format!(
        "All ready pods of {} are isolated by {}, {why}. Connections from pods time out where the policies are enforced.{}",
        if services.len() == 1 { first.label() } else { format!("these {} services", services.len()) },
        policies::titled(isolating),
        policies::sure(cluster)
    );
    let port = state.ports.first().map_or(80, |port| port.port);
    finding.fix = Fix {
        text: "Allow the clients. For a client pod in the bundle, the command prints the smallest policy that lets it connect, checked by evaluation.".to_owned(),
        commands: vec![format!("kubetriage reach BUNDLE --from NAMESPACE/CLIENT --to {}:{port}", first.label())],
        manifests: Vec::new(),
    };
    finding.verify = vec![format!(
        "kubectl exec -n NAMESPACE CLIENT -- nc -vz -w 5 {}.{} {port}   # open",
        shell(&first.name),
        shell(&first.namespace)
    )];
    Some(finding)
}
