//! The pod runs under another service account than the one that is bound.

use super::{PODS_AND_ACCOUNTS, RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-pod-uses-another-account",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: pod uses another ServiceAccount than the bound one (serviceAccountName)",
    needs: &[REQUEST_LOGS, RBAC_OBJECTS, PODS_AND_ACCOUNTS],
    explains: &[],
    doc: Doc {
        meaning: "Pods authenticate as the ServiceAccount in serviceAccountName, `default` when there is none. Here that account has no binding, while another ServiceAccount of the namespace has the rights and no pod uses it.",
        decision: super::NEAREST,
        action: "Set serviceAccountName of the workload to the ServiceAccount that is bound. Granting the rights to `default` would give them to every pod of the namespace.",
        reference: "kubernetes.io: Using RBAC Authorization.",
    },
    detect: Evaluation::Rule(|cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::OtherAccount])),
};
