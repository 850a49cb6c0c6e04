//! The RoleBinding is in another namespace than the requests.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-binding-in-another-namespace",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: RoleBinding is in another namespace than the request",
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A RoleBinding names the identity, and its role would allow the request, but the binding is in another namespace. A RoleBinding grants in its own namespace only, whatever the namespace of its subjects.",
        decision: super::NEAREST,
        action: "Create a RoleBinding in the namespace of the requests; an existing one cannot be moved. Delete the old one if nothing needs it.",
        reference: "kubernetes.io: Using RBAC Authorization.",
    },
    detect: Evaluation::Rule(|cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::OtherNamespace])),
};
