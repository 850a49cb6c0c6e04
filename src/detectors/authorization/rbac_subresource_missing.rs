//! The role has the resource, but not the subresource.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-subresource-missing",
    chapter: Chapter::Authorization,
    title: "The role has the resource, but not the subresource",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A rule covers the resource, or a misspelt subresource of it. Subresources (pods/log, pods/exec, deployments/scale) are never covered by their resource, and pods/* is no wildcard.",
        decision: super::NEAREST,
        action: "Add the subresource to the rule as it is asked: resource/subresource.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    detect: |cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::Subresource]),
};
