//! The role is for other paths than the one asked for.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-path-not-covered",
    chapter: Chapter::Authorization,
    title: "The role is for other paths than the one asked for",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "Paths such as /metrics and /healthz are no resources: they are granted by nonResourceURLs of a ClusterRole, exactly or with a star at the end, through a ClusterRoleBinding.",
        decision: super::NEAREST,
        action: "Add the path to nonResourceURLs of the rule.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    detect: |cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::Path]),
};
