//! Impersonation denied: a request names another user, and its sender lacks the verb impersonate.

use super::group::groups;
use super::{REQUEST_LOGS, decided};
use crate::cluster::Cluster;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};
use crate::facts::Class;

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-impersonation-denied",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: impersonation denied (kubectl --as)",
    needs: &[REQUEST_LOGS],
    explains: &[],
    doc: Doc {
        meaning: "A request named another user (kubectl --as, or a proxy that acts for people), and the sender lacks the verb impersonate. It was denied before the request itself was authorized.",
        decision: "403 responses whose message denies the verb 'impersonate' ('cannot impersonate resource \"users\"'): confirmed.",
        action: "Leave out --as. If impersonation is intended, as for a dashboard or a proxy, grant the verb 'impersonate' limited by resourceNames to the users, groups or ServiceAccounts that it acts for.",
        reference: "kubernetes.io: Authenticating, user impersonation.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let findings = groups(cluster, &[Class::Impersonation])
        .iter()
        .filter_map(|group| {
            let title = format!("{} cannot impersonate another user (forbidden)", group.who());
            let mut finding = Finding::new(DETECTOR.id, group.identity.label(), title, group.evidence())?;
            group.describe(cluster, &mut finding);
            finding.confidence = Confidence::Confirmed;
            finding.severity = Severity::Low;
            let account = group.identity.service_account().is_some();
            if account {
                "The request named another user (impersonation headers), and this ServiceAccount lacks the verb impersonate for it."
            } else {
                "The request named another user (kubectl --as), and this identity lacks the verb impersonate for it."
            }
            .clone_into(&mut finding.cause);
            finding.fix = Fix {
                text: if account {
                    "Grant this ServiceAccount the verb impersonate on the users or serviceaccounts that it acts for, limited by resourceNames; unlimited, it could act as any user, cluster admins included. Or turn impersonation off in the configuration of its application."
                } else {
                    "Repeat the request without --as. If it must act for others, grant the verb impersonate limited by resourceNames to those users; unlimited, it could act as any user, cluster admins included."
                }
                .to_owned(),
                ..Fix::default()
            };
            finding.verify = vec![format!("kubectl auth can-i impersonate users --as={}   # yes, once granted", crate::detectors::shell(group.identity.label()))];
            Some(finding)
        })
        .collect();
    decided(cluster, findings)
}
