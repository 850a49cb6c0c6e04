//! The role is for other paths than the one asked for.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-path-not-covered",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: nonResourceURLs of the role do not cover the path",
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "Paths such as /metrics and /healthz are not resources: nonResourceURLs of a ClusterRole grant them, exactly or with a * at the end, through a ClusterRoleBinding.",
        decision: super::NEAREST,
        action: "Add the path to nonResourceURLs in the rule.",
        reference: "kubernetes.io: Using RBAC Authorization.",
    },
    detect: Evaluation::Rule(|cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::Path])),
};
