//! The pod runs under another service account than the one that is bound.

use super::{PODS_AND_ACCOUNTS, RBAC_OBJECTS, REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-pod-uses-another-account",
    chapter: Chapter::Authorization,
    title: "The pod runs under another service account than the one that is bound",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS, RBAC_OBJECTS, PODS_AND_ACCOUNTS],
    explains: &[],
    doc: Doc {
        meaning: "Pods make their requests under the account that their spec names, `default` when it names none. Here that account has no binding, while another account of the namespace may do what was asked, and no pod runs under it.",
        decision: super::NEAREST,
        action: "Set serviceAccountName of the workload to the account that is bound. Granting the rights to `default` would give them to every pod of the namespace.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    detect: |cluster| near_miss::detect(cluster, &DETECTOR, &[MissStep::OtherAccount]),
};
