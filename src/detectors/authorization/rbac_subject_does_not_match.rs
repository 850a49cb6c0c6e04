//! A binding would allow it, but its subject is misspelt or of the wrong kind.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-subject-does-not-match",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: binding names another subject (name, namespace or kind)",
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A binding to a role with the right rules names a subject that is nearly this identity: a typo in its name or namespace, the same ServiceAccount name in another namespace, kind User instead of ServiceAccount, or a similar group. Kubernetes does not check that a subject exists.",
        decision: super::NEAREST,
        action: "Correct the subject of the binding as shown. If the present subject exists, the right one is added beside it.",
        reference: "kubernetes.io: Using RBAC Authorization.",
    },
    detect: Evaluation::Rule(|cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::Subject])),
};
