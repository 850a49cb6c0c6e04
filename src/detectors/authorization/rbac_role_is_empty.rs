//! The role that is bound has no rules.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-role-is-empty",
    chapter: Chapter::Authorization,
    title: "The role that is bound has no rules",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A role without rules grants nothing. Aggregated ClusterRoles get their rules from other roles by label, and stay empty when no label matches.",
        decision: super::NEAREST,
        action: "Give the role the rules, or correct the labels of the roles that an aggregated role is to be made of.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    detect: |cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::RoleEmpty]),
};
