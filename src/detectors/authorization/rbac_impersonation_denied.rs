//! Someone may not act as another user.

use super::group::groups;
use super::{REQUEST_LOGS, decided};
use crate::cluster::Cluster;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity};
use crate::facts::Class;

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-impersonation-denied",
    chapter: Chapter::Authorization,
    title: "RBAC denies acting as another user",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS],
    explains: &[],
    doc: Doc {
        meaning: "A request came with the name of another user in it (kubectl --as, or a proxy that acts for people), and the sender has no right to impersonate. It was refused before the request itself was looked at.",
        decision: "403 answers whose message denies an 'impersonate' verb; audit events of such requests carry no authorizer decision.",
        action: "Leave out --as. If impersonation is wanted, as for a dashboard or a proxy, grant the verb 'impersonate' on exactly the users, groups or service accounts that it may act as.",
        reference: "Kubernetes documentation: Authenticating, user impersonation.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let findings = groups(cluster, &[Class::Impersonation])
        .iter()
        .filter_map(|group| {
            let title = format!("{} may not act as another user", group.who());
            let mut finding = Finding::new(DETECTOR.id, group.identity.label(), title, group.evidence())?;
            group.describe(cluster, &mut finding);
            finding.confidence = Confidence::Confirmed;
            finding.severity = Severity::Low;
            "The request named another user (kubectl --as), and no rule lets this identity impersonate.".clone_into(&mut finding.cause);
            finding.fix = Fix {
                text: "Repeat the request without --as. If it must act for others, grant the verb impersonate, limited by resourceNames to those others.".to_owned(),
                ..Fix::default()
            };
            finding.verify = vec![format!("kubectl auth can-i impersonate users --as={}", crate::detectors::shell(group.identity.label()))];
            Some(finding)
        })
        .collect::<Vec<_>>();
    decided(cluster, findings)
}
