//! The role has the resource, but not the subresource.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-subresource-missing",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: role has the resource, not the subresource (pods/log, pods/exec)",
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A rule has the resource, or a misspelt subresource of it. Subresources (pods/log, pods/exec, deployments/scale) are not covered by their resource, and pods/* is not a wildcard.",
        decision: super::NEAREST,
        action: "Add the subresource to the rule: resource/subresource.",
        reference: "kubernetes.io: Using RBAC Authorization.",
    },
    detect: Evaluation::Rule(|cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::Subresource])),
};
