//! kubectl and the API server are more than one minor version apart.

use crate::cluster::Cluster;
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::{self, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "kubectl-version-skew",
    chapter: Chapter::ClientAccess,
    title: "kubectl and the API server are too far apart",
    guide: &["1"],
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "kubectl is made for API servers of its own minor version, and of one more or less. Further apart it may ask for resources that the server does not have, and its output may be wrong in parts.",
        decision: "kubectl's own warning that the difference exceeds the supported skew.",
        action: "Install the kubectl of the cluster's version.",
        reference: "Kubernetes: version skew policy. AKS: az aks install-cli.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let given =
        observed::signals(cluster, |key| (key.signal == Signal::VersionSkew).then_some(())).remove(&());
    let Some(observed) = given else { return Outcome::default() };
    let says = Wording {
        severity: Severity::Low,
        confidence: Confidence::Confirmed,
        unit: "warning",
        cause: "kubectl says itself that the API server's version is further from its own than is supported: requests may fail for resources that one side does not know.".to_owned(),
        fix: "Install the kubectl of the cluster's version.".to_owned(),
        commands: vec!["az aks install-cli --client-version CLUSTER_VERSION".to_owned()],
        verify: vec!["kubectl version   # no warning".to_owned()],
    };
    observed
        .finding(
            &DETECTOR,
            "client",
            "kubectl and the API server are more than one minor version apart".to_owned(),
            says,
        )
        .into_iter()
        .collect::<Vec<_>>()
        .into()
}
