//! A client's connections are reset, or time out in the TLS handshake.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::Wording;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "client-connection-cut",
    chapter: Chapter::ClientAccess,
    title: "Client connections reset (TLS handshake timeout, EOF)",
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "TCP to the API server connects, and the connection ends before the TLS handshake or the response is complete. Usual reasons: a proxy, firewall or VPN resets it, full-size packets are dropped (MTU of a VPN), or the API server is overloaded.",
        decision: "A client's 'TLS handshake timeout', 'EOF', 'connection reset by peer' or 'http2: client connection lost'. Likely when seen more than twice; possible otherwise, because single ones are normal.",
        action: "Try without proxy and VPN; check the load of the API server.",
        reference: "learn.microsoft.com: TCP time-outs when kubectl or other third-party tools connect to the API server.",
    },
    detect: Evaluation::Rule(detect),
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
        cause: format!("A client's connections to the API server{}{} were established and then reset or timed out (TLS handshake timeout, EOF, connection reset). Usual reasons: a proxy, firewall or VPN in between, or an overloaded API server.", observed.reached_for_in_brackets(), observed.when()),
        fix: "Try from another network, such as Azure Cloud Shell. If that works, check the proxy and the VPN (MTU) of the client; otherwise the load of the API server.".to_owned(),
        commands: vec!["env | grep -i proxy".to_owned(), "kubectl get --raw '/readyz?verbose'".to_owned()],
        verify: common::verify(),
    };
    observed
        .finding(
            &DETECTOR,
            "client",
            "Client connections to the API server reset or cut (TLS handshake timeout, EOF)".to_owned(),
            says,
        )
        .into_iter()
        .collect()
}
