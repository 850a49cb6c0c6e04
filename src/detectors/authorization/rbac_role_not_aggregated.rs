//! A ClusterRole that would do is not aggregated into the one that is bound.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-role-not-aggregated",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: ClusterRole lacks the label that aggregates it (view, edit, admin)",
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "The ClusterRoles view, edit and admin are aggregated: they take the rules of every ClusterRole with a label such as rbac.authorization.k8s.io/aggregate-to-view=true. A ClusterRole for a custom resource without that label changes nothing for those who are bound to view.",
        decision: "The identity is bound to an aggregated ClusterRole, no rule of it allows the request, and another ClusterRole of the bundle does and lacks the label that the aggregation selects.",
        action: "Add the label to the ClusterRole, or bind it to the identity.",
        reference: "kubernetes.io: Using RBAC Authorization, Aggregated ClusterRoles.",
    },
    detect: Evaluation::Rule(|cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::NotAggregated])),
};
