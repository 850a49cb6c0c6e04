//! The rule is limited to names that the request does not have.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-resource-names-cannot-match",
    chapter: Chapter::Authorization,
    title: "The rule is limited to names that the request does not have",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A rule covers verb and resource, but is limited by resourceNames. list, watch, create and deletecollection carry no object name, so such a rule never matches them; a get of another name is not covered either.",
        decision: super::NEAREST,
        action: "Add the name to the rule; for verbs without a name a rule without resourceNames is needed, which is wider: it covers all objects of the resource in the scope.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    detect: |cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::ResourceName]),
};
