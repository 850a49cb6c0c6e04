//! The role that is bound has no rules.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-role-is-empty",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: bound role has no rules (empty or aggregated ClusterRole)",
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A role without rules grants nothing. An aggregated ClusterRole (aggregationRule) gets its rules from other ClusterRoles by label, and stays empty when no label matches.",
        decision: super::NEAREST,
        action: "Add the rules to the role, or correct the labels of the ClusterRoles to aggregate.",
        reference: "kubernetes.io: Using RBAC Authorization.",
    },
    detect: Evaluation::Rule(|cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::RoleEmpty])),
};
