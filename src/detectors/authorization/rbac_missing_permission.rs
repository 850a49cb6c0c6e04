//! A request was denied because no RBAC rule allows it.

use super::{REQUEST_LOGS, near_miss};
use crate::cluster::rbac::MissStep;
use crate::detectors::{Chapter, Detector, Doc};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-missing-permission",
    chapter: Chapter::Authorization,
    title: "RBAC denies an identity what it asks for, and no rule comes near",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS],
    explains: &[],
    doc: Doc {
        meaning: "A user or service account asked the API server for something that no Role or ClusterRole bound to it allows. The API server answered 403 Forbidden. Controllers repeat such requests for ever, so a single missing rule can fill a log.",
        decision: "Audit events with code 403 whose authorizer said no, access log lines with resp=403, the authorizer's own lines, and the error text that clients log. The same request in several logs counts once: audit and access log are joined by audit id. Refusals by admission, quota, Pod Security, the Node authorizer, Azure RBAC, and of anonymous or unauthenticated requests are not counted here; they have their own names. A denial that stopped, while the log that told of it goes on for a quarter of an hour and more, is told as ended. The rules of the bundle are evaluated as the API server would, to say what is bound and what is not.",
        action: "Apply the Role or ClusterRole and the binding that the finding shows: they hold exactly what was denied. If a binding exists already in another namespace, or names the account wrongly, repair that one instead.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    detect: |cluster| {
        near_miss::detect(
            cluster,
            &DETECTOR,
            &[MissStep::NoBinding, MissStep::NoRule, MissStep::Unknown, MissStep::Allowed],
        )
    },
};
