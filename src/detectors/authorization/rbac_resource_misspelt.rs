//! The role spells the resource in a way that matches nothing.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-resource-misspelt",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: resource name in the role matches nothing (singular, capitalised, typo)",
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A rule has the resource in the singular, with a capital letter, or with a typo. Resource names in rules are lower case and plural, as in `kubectl api-resources`; the API server accepts any text there without a warning.",
        decision: super::NEAREST,
        action: "Correct the resource name in the rule.",
        reference: "kubernetes.io: Using RBAC Authorization.",
    },
    detect: Evaluation::Rule(|cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::ResourceSpelling])),
};
