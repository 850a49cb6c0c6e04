//! The RoleBinding is in another namespace than the requests.

use super::{RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-binding-in-another-namespace",
    chapter: Chapter::Authorization,
    title: "The RoleBinding is in another namespace than the requests",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS, RBAC_OBJECTS],
    explains: &[],
    doc: Doc {
        meaning: "A RoleBinding names the identity, and its role would allow the request, but the binding is in another namespace. A RoleBinding counts in its own namespace only, whatever namespace its subjects are in.",
        decision: super::NEAREST,
        action: "Make a RoleBinding in the namespace of the requests; the one that is there can't be moved. Delete it if it was never meant.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    detect: |cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::OtherNamespace]),
};
