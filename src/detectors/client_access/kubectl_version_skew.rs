//! kubectl and the API server are more than one minor version apart.

use crate::cluster::Cluster;
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::{self, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "kubectl-version-skew",
    chapter: Chapter::ClientAccess,
    title: "Unsupported kubectl version skew",
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "kubectl supports API servers within one minor version of its own (older or newer). Beyond that skew, commands can fail for API versions or fields that one side does not know, and output can be incomplete.",
        decision: "kubectl's own warning 'version difference between client and server exceeds the supported minor version skew'.",
        action: "Install a kubectl of the cluster's minor version.",
        reference: "kubernetes.io: Version Skew Policy. learn.microsoft.com: az aks install-cli.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let given =
        observed::signals(cluster, |key| (key.signal == Signal::VersionSkew).then_some(())).remove(&());
    let Some(observed) = given else { return Outcome::default() };
    let says = Wording {
        severity: Severity::Low,
        confidence: Confidence::Confirmed,
        unit: "warning",
        cause: "kubectl warns that its version difference to the API server exceeds the supported skew of one minor version: commands can fail for API versions that one side does not know.".to_owned(),
        fix: "Install a kubectl of the cluster's minor version. This replaces the kubectl of the client machine only.".to_owned(),
        commands: vec!["az aks install-cli --client-version CLUSTER_VERSION".to_owned()],
        verify: vec!["kubectl version   # no warning".to_owned()],
    };
    observed
        .finding(
            &DETECTOR,
            "client",
            "Unsupported kubectl version skew: more than one minor version from the API server".to_owned(),
            says,
        )
        .into_iter()
        .collect()
}
