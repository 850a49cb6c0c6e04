//! The rule is limited to names that the request does not have.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-resource-names-cannot-match",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: resourceNames of the rule do not match the request",
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A rule has the verb and the resource, but is limited by resourceNames. list, watch, create and deletecollection requests carry no object name, so such a rule does not match them; nor does it match a get of another name.",
        decision: super::NEAREST,
        action: "Add the name to resourceNames. For verbs without an object name, add a rule without resourceNames: it is wider and covers every object of the resource in its scope.",
        reference: "kubernetes.io: Using RBAC Authorization.",
    },
    detect: Evaluation::Rule(|cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::ResourceName])),
};
