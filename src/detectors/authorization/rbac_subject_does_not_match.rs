//! A binding would allow it, but its subject is misspelt or of the wrong kind.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-subject-does-not-match",
    chapter: Chapter::Authorization,
    title: "A binding would allow it, but its subject is misspelt or of the wrong kind",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A binding in the right place, to a role with the right rules, names somebody nearly like the identity: a namespace or a name with a typo, a User where a ServiceAccount was meant, a group that the user is not in. Nothing checks that a subject exists.",
        decision: super::NEAREST,
        action: "Correct the subject of the binding as shown. If the wrong subject exists and was meant too, the right one is added beside it.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    detect: |cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::Subject]),
};
