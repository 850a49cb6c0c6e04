//! The role has the resource, but in the wrong API group.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-api-group-wrong",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: role has the resource in the wrong API group (apiGroups)",
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A rule of a bound role has the resource and the verb, but in another API group: \"\" for deployments (they are in apps), the removed group extensions, a typo in the group of a custom resource.",
        decision: super::NEAREST,
        action: "Correct apiGroups in the rule. `kubectl api-resources` lists the group of each resource.",
        reference: "kubernetes.io: Using RBAC Authorization.",
    },
    detect: Evaluation::Rule(|cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::ApiGroup])),
};
