//! The role has the resource, but not the verb.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-verb-missing",
    chapter: Chapter::Authorization,
    title: "The role has the resource, but not the verb",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A rule of a role that is bound to the identity is for this resource, but for other verbs. get, list and watch are three verbs; so are delete and deletecollection; exec into a pod takes create on pods/exec.",
        decision: super::NEAREST,
        action: "Add the verb to the rule. Controllers that watch need get, list and watch together.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    detect: |cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::Verb]),
};
