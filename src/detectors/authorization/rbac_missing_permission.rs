//! A request was denied because no RBAC rule allows it.

use super::{REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-missing-permission",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: no Role or ClusterRole grants it",
    needs: &[REQUEST_LOGS],
    explains: &[],
    doc: Doc {
        meaning: "A user or ServiceAccount made a request that no Role or ClusterRole bound to it allows; the API server answered 403 ('… is forbidden: User \"…\" cannot list resource …'). Controllers retry such requests endlessly, so one missing rule can fill a log.",
        decision: "Audit events with code 403 and authorization decision forbid, access log lines with resp=403, RBAC DENY lines, and 'is forbidden' errors in client logs. The same request in several logs counts once (joined by audit ID). 403s of admission, quota, Pod Security, the Node authorizer, Azure RBAC and of anonymous requests have a cause of their own (forbidden-not-by-rbac). A denial is reported as ended when its log goes on for 15 minutes or more without it. The roles and bindings of the bundle are evaluated as the API server does, to say what is bound and what is missing.",
        action: "Apply the Role or ClusterRole and the binding that the finding shows: they contain exactly what was denied. Identities of the control plane (system:kube-scheduler and the like) are never granted anything: find what changed their default ClusterRoleBinding.",
        reference: "kubernetes.io: Using RBAC Authorization.",
    },
    detect: Evaluation::Rule(|cluster| {
        near_miss::detect(
            cluster,
            &DETECTOR,
            &[MissStep::NoBinding, MissStep::NoRule, MissStep::Unknown, MissStep::Allowed],
        )
    }),
};
