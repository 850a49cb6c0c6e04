//! Someone tried to grant permissions that they do not hold.

use super::group::groups;
use super::{REQUEST_LOGS, decided};
use crate::cluster::Cluster;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity};
use crate::facts::Class;

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-escalation-denied",
    chapter: Chapter::Authorization,
    title: "RBAC stops an identity from granting what it does not hold",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS],
    explains: &[],
    doc: Doc {
        meaning: "An identity that may create or change roles or bindings tried to put permissions into them that it does not hold itself. The authorizer allowed the request; RBAC's own escalation check answered 403. This protects the cluster: without it, whoever edits roles could give themselves everything.",
        decision: "403 answers whose authorizer said yes and whose message is 'attempting to grant RBAC permissions not currently held'.",
        action: "Let an administrator create the role, or grant the identity the permissions first. The verbs 'escalate' on roles and 'bind' on roles lift the check: they make the identity as powerful as an administrator of that scope, so grant them only to trusted deployers.",
        reference: "Kubernetes documentation: Using RBAC Authorization, privilege escalation prevention and bootstrapping.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let findings = groups(cluster, &[Class::Escalation])
        .iter()
        .filter_map(|group| {
            let title = format!("{} tried to grant permissions that it does not hold ({})", group.who(), group.refused_actions());
            let mut finding = Finding::new(DETECTOR.id, group.identity.label(), title, group.evidence())?;
            group.describe(cluster, &mut finding);
            finding.confidence = Confidence::Confirmed;
            finding.severity = Severity::Medium;
            let question = group.reasons().into_iter().next().unwrap_or_default();
            finding.cause = format!("RBAC's escalation check refused it: {}", question.replace('\n', " "));
            finding.fix = Fix {
                text: "Have an administrator create the role or binding, or first grant this identity the permissions that it wants to pass on. Granting 'escalate' or 'bind' also works and is dangerous: it lifts the limit altogether.".to_owned(),
                ..Fix::default()
            };
            finding.verify = vec!["Repeat the request: it is answered with 201 instead of 403.".to_owned()];
            Some(finding)
        })
        .collect::<Vec<_>>();
    decided(cluster, findings)
}
