//! The role has the resource, but in the wrong API group.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-api-group-wrong",
    chapter: Chapter::Authorization,
    title: "The role has the resource, but in the wrong API group",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A rule of a role that is bound to the identity names the resource and the verb, but in another API group: the empty group for deployments (they are in apps), extensions after it was removed, a typo in the group of a custom resource.",
        decision: super::NEAREST,
        action: "Correct apiGroups of the rule. `kubectl api-resources` lists the group of each resource.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    detect: |cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::ApiGroup]),
};
