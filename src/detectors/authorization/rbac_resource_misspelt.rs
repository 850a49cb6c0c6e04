//! The role spells the resource in a way that matches nothing.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-resource-misspelt",
    chapter: Chapter::Authorization,
    title: "The role spells the resource in a way that matches nothing",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A rule has the resource in the singular, with a capital, or with a typo. Resources in rules are exact: lower case, plural. The API server accepts any word and never complains.",
        decision: super::NEAREST,
        action: "Correct the spelling in the rule.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    detect: |cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::ResourceSpelling]),
};
