//! Someone tried to grant permissions that they do not hold.

use super::group::groups;
use super::{REQUEST_LOGS, decided};
use crate::cluster::Cluster;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};
use crate::facts::Class;

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-escalation-denied",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: privilege escalation prevented (escalate, bind)",
    needs: &[REQUEST_LOGS],
    explains: &[],
    doc: Doc {
        meaning: "An identity that can create or update roles or bindings tried to grant permissions that it does not have itself. The authorizer allowed the request; RBAC's privilege escalation prevention answered 403. Without this check, whoever can edit roles could become cluster admin.",
        decision: "403 responses with the message 'is attempting to grant RBAC permissions not currently held': confirmed.",
        action: "Let an administrator create the role or binding, or grant the identity these permissions first. The verbs 'escalate' and 'bind' on roles turn the check off: they make the identity as powerful as an administrator of that scope, so grant them to trusted deployers only.",
        reference: "kubernetes.io: Using RBAC Authorization, privilege escalation prevention and bootstrapping.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let findings = groups(cluster, &[Class::Escalation])
        .iter()
        .filter_map(|group| {
            let title = format!("{}: privilege escalation prevented ({})", group.who(), group.refused_actions());
            let mut finding = Finding::new(DETECTOR.id, group.identity.label(), title, group.evidence())?;
            group.describe(cluster, &mut finding);
            finding.confidence = Confidence::Confirmed;
            finding.severity = Severity::Medium;
            let question = group.reasons().into_iter().next().unwrap_or_default();
            finding.cause = format!("RBAC's privilege escalation prevention answered 403: {}", question.replace('\n', " "));
            finding.fix = Fix {
                text: "Have an administrator create the role or binding, or first grant this identity the permissions that it wants to grant. The verbs 'escalate' and 'bind' turn the check off altogether: they let the identity grant itself anything in their scope.".to_owned(),
                ..Fix::default()
            };
            finding.verify = vec![format!(
                "kubectl apply -f ROLE.yaml --dry-run=server --as={}   # no 'forbidden'",
                crate::detectors::shell(group.identity.label())
            )];
            Some(finding)
        })
        .collect();
    decided(cluster, findings)
}
