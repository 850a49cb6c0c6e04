//! The role has the resource, but not the verb.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-verb-missing",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: role has the resource, not the verb",
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A rule of a bound role has this resource with other verbs. get, list and watch are three separate verbs, delete and deletecollection two; kubectl exec needs create on pods/exec.",
        decision: super::NEAREST,
        action: "Add the verb to the rule. Controllers that watch need get, list and watch together.",
        reference: "kubernetes.io: Using RBAC Authorization.",
    },
    detect: Evaluation::Rule(|cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::Verb])),
};
