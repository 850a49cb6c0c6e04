//! The identity is bound in a namespace and asks for the whole cluster.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc, Evaluation};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-bound-in-namespace-only",
    chapter: Chapter::Authorization,
    title: "403 Forbidden: RoleBinding grants in its namespace only, request is cluster-wide",
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A RoleBinding grants within its namespace only, even when it refers to a ClusterRole. Requests across all namespaces (kubectl -A, informers without a namespace), and requests for cluster-scoped resources such as nodes, need a ClusterRoleBinding.",
        decision: super::NEAREST,
        action: "Either limit the application to its own namespace, or apply the ClusterRole and ClusterRoleBinding that the finding shows.",
        reference: "kubernetes.io: Using RBAC Authorization.",
    },
    detect: Evaluation::Rule(|cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::ClusterScope])),
};
