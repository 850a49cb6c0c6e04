//! A client's connections begin and are cut.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::Wording;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "client-connection-cut",
    chapter: Chapter::ClientAccess,
    title: "A client's connections to the API server are cut",
    guide: &["1"],
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "TCP to the API server works, and the connection ends before TLS or the answer is complete: a proxy or a firewall cuts it, packets of full size don't pass (VPN), or the API server has too much to do.",
        decision: "A client's 'TLS handshake timeout', 'EOF', 'connection reset by peer' or 'http2: client connection lost'. Likely when seen more than twice; possible otherwise, since single ones happen.",
        action: "Try without proxy and VPN; look at the load of the API server.",
        reference: "AKS: TCP time-outs when kubectl or other third-party tools connect to the API server.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let cut = |failure: Failure| matches!(failure, Failure::TlsTimeout | Failure::Reset);
    let Some(observed) = common::attempts(cluster, |attempt| cut(attempt.failure)) else {
        return Outcome::default();
    };
    let often = observed.count > 2;
    let says = Wording {
        severity: Severity::Medium,
        confidence: if often { Confidence::Likely } else { Confidence::Possible },
        unit: "failed attempt",
        cause: format!("A client's connections{} to the API server{} began and were cut: a proxy, firewall or VPN between them does that, or an API server that has too much to do.", observed.reached_for_in_brackets(), observed.when()),
        fix: "Try from another network, such as Azure Cloud Shell. If it works there, look at the proxy and the VPN (MTU) of the client; otherwise at the load of the API server.".to_owned(),
        commands: vec!["env | grep -i proxy".to_owned(), "kubectl get --raw /readyz?verbose".to_owned()],
        verify: common::verify(),
    };
    observed
        .finding(&DETECTOR, "client", "A client's connections to the API server are cut".to_owned(), says)
        .into_iter()
        .collect::<Vec<_>>()
        .into()
}
