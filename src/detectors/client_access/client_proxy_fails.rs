//! A client should use a proxy, and does not get past it.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::Wording;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "client-proxy-fails",
    chapter: Chapter::ClientAccess,
    title: "A client does not get past its proxy",
    guide: &["1"],
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "The client's environment (HTTPS_PROXY) or kubeconfig names a proxy, and kubectl can't connect to that proxy, or it refuses. The API server was not asked: its ranges and its state don't matter yet.",
        decision: "A client's error with the word 'proxyconnect', which names the proxy's own address. Confirmed, since it says nothing else.",
        action: "Correct the proxy's address, or reach the API server without it.",
        reference: "AKS: TCP time-outs when kubectl or other third-party tools connect to the API server. Kubernetes: kubeconfig, proxy-url.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let Some(observed) = common::attempts(cluster, |attempt| attempt.failure == Failure::Proxy) else {
        return Outcome::default();
    };
    let says = Wording {
        severity: Severity::High,
        confidence: Confidence::Confirmed,
        unit: "failed attempt",
        cause: format!(
            "kubectl should go by a proxy{}{}, and does not get past it. The API server was not asked.",
            observed.reached_for_in_brackets(),
            observed.when()
        ),
        fix: "See which proxy the environment and the kubeconfig name, and whether it runs; name the API server in NO_PROXY if it is reached without.".to_owned(),
        commands: vec![
            "env | grep -i _proxy; kubectl config view --minify | grep proxy-url".to_owned(),
            "NO_PROXY=.azmk8s.io kubectl get nodes".to_owned(),
        ],
        verify: common::verify(),
    };
    observed
        .finding(&DETECTOR, "client", "A client does not get past its proxy".to_owned(), says)
        .into_iter()
        .collect::<Vec<_>>()
        .into()
}
