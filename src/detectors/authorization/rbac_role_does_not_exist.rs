//! A binding names a role that does not exist.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-role-does-not-exist",
    chapter: Chapter::Authorization,
    title: "A binding names a role that does not exist",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A binding may be made before its role, and stays when the role is deleted or misspelt. It grants nothing, and `kubectl get` shows no sign of it.",
        decision: super::NEAREST,
        action: "Make the role that the binding names, or delete the binding and make one to the right role: a roleRef can't be changed.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    detect: |cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::RoleMissing]),
};
