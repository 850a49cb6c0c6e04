//! The identity is bound in a namespace and asks for the whole cluster.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-bound-in-namespace-only",
    chapter: Chapter::Authorization,
    title: "The identity is bound in a namespace and asks for the whole cluster",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A RoleBinding grants within its namespace only, even when it refers to a ClusterRole. Requests across all namespaces (kubectl -A, informers without a namespace), and requests for resources of the cluster such as nodes, need a ClusterRoleBinding.",
        decision: super::NEAREST,
        action: "Either let the program ask in its namespace only, or grant the ClusterRole that the finding shows through a ClusterRoleBinding.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    detect: |cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::ClusterScope]),
};
