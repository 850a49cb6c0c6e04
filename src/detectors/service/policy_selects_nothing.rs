//! A network policy that selects no pod.

use super::common::{self, PODS};
use super::policies::{self, POLICIES};
use crate::cluster::Cluster;
use crate::cluster::selector;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell,
};

pub(super) const DETECTOR: Detector = Detector {
    id: "policy-selects-nothing",
    chapter: Chapter::Service,
    title: "NetworkPolicy podSelector matches no pods",
    needs: &[POLICIES, PODS],
    explains: &[],
    doc: Doc {
        meaning: "The policy's podSelector matches no pod of its namespace, so it neither protects nor blocks anything: a misspelled label, or pods that do not exist at the moment.",
        decision: "The bundle lists the pods of the namespace, or of all namespaces, and none of this one has the labels. Info.",
        action: "Correct the podSelector, or remove the policy if it is a leftover.",
        reference: "Kubernetes: Network Policies. Popeye: code 1200.",
    },
    detect: Evaluation::Rule(detect),
};

/// Whether the bundle shows the pods of a namespace.
fn listed(cluster: &Cluster, namespace: &str) -> bool {
    let several =
        || cluster.groups.all.windows(2).any(|pair| matches!(pair, [a, b] if a.namespace != b.namespace));
    cluster.groups.in_namespace(namespace).next().is_some() || several()
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings = Vec::new();
    if !policies::pods_known(cluster) {
        return Outcome::default();
    }
    for policy in cluster.policies.iter() {
        let Some(spec) = &policy.spec else { continue };
        let namespace = &policy.key.namespace;
        let none = cluster.groups.selected(namespace, &spec.selects).next().is_none();
        if !none || !listed(cluster, namespace) {
            continue;
        }
        let wanted = selector::selector_text(&spec.selects);
        let Some(evidence) = policies::policy_at(cluster, &policy.key, &format!("podSelector: {wanted}"))
        else {
            continue;
        };
        let title = format!("NetworkPolicy {}: podSelector matches no pods ({wanted})", policy.key.label());
        let Some(mut finding) = Finding::new(DETECTOR.id, &policy.key.label(), title, vec![evidence]) else {
            continue;
        };
        finding.severity = Severity::Info;
        finding.confidence = Confidence::Confirmed;
        finding.unit = "policy";
        finding.subjects = vec![common::subject("NetworkPolicy", &policy.key)];
        finding.cause = format!("No pod in namespace {namespace} has {wanted}, so the policy has no effect.");
        finding.fix = Fix {
            text: "Correct the podSelector, or remove the policy if it is a leftover.".to_owned(),
            commands: vec![format!("kubectl get pods -n {} --show-labels", shell(namespace))],
            manifests: Vec::new(),
        };
        finding.verify = vec![format!(
            "kubectl describe networkpolicy {}   # PodSelector has labels that pods have",
            common::named(&policy.key)
        )];
        findings.push(finding);
    }
    findings.into()
}
