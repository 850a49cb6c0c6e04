//! A binding names a role that does not exist.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-role-does-not-exist",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: binding refers to a role that does not exist (roleRef)",
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A binding can be created before its role, and stays when the role is deleted or its name is misspelt. It grants nothing, and `kubectl get` shows no error.",
        decision: super::NEAREST,
        action: "Create the role that the binding names, or delete the binding and create one to the right role: roleRef is immutable.",
        reference: "kubernetes.io: Using RBAC Authorization.",
    },
    detect: Evaluation::Rule(|cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::RoleMissing])),
};
