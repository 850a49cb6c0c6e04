//! A client reaches something, and its certificate is not that of the API server.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::at;
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::{Observed, Wording, aks_named};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "client-tls-fails",
    chapter: Chapter::ClientAccess,
    title: "The certificate that a client meets is not that of the API server",
    guide: &["1"],
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "Something answers on the API server's address with a certificate that the client does not trust, or that names another host: a proxy that inspects TLS, a kubeconfig from before the certificates were rotated, or an address of another cluster. A client or a server that is too old finds no TLS version in common.",
        decision: "A client's x509 or TLS error for the API server. Confirmed when a certificate saved with openssl shows an issuer that is no Kubernetes authority; otherwise likely. Expired certificates are a cause of their own.",
        action: "Take the API server's name out of the inspection; fetch the kubeconfig anew; update the client.",
        reference: "AKS: TLS: client offered only unsupported versions; certificate rotation.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings = Vec::new();
    for failure in [Failure::TlsUntrusted, Failure::TlsWrongName, Failure::TlsVersion] {
        if let Some(observed) = common::attempts(cluster, |attempt| attempt.failure == failure) {
            findings.extend(finding(cluster, failure, observed));
        }
    }
    findings.into()
}

fn finding(cluster: &Cluster, failure: Failure, mut observed: Observed) -> Option<Finding> {
    // An authority of a cluster calls itself `ca` or `kubernetes`; a company's proxy does not.
    let inspected = cluster.facts.nodes.certificates.iter().find(|(_, certificate)| {
        let ours = certificate
            .issuer
            .trim_start_matches('/')
            .trim_start_matches("CN")
            .trim_start_matches([' ', '=']);
        certificate.untrusted
            && !ours.is_empty()
            && !matches!(ours, "ca" | "kubernetes")
            && observed.hosts.iter().any(|host| **host == *certificate.whose)
    });
    if let Some((place, item)) = inspected {
        observed.show_first([at(
            place,
            &format!("certificate of {}", item.whose),
            &format!("issuer {}", item.issuer),
        )]);
    }
    let (about, title, why, fix) = match failure {
        Failure::TlsWrongName => (
            "name",
            "The certificate that a client meets is of another host",
            "it names another host: the kubeconfig has an old address or name, or a proxy answers in the API server's place",
            "Fetch the kubeconfig anew, and use the name in it, not an address.",
        ),
        Failure::TlsVersion => (
            "version",
            "A client and the API server find no TLS version in common",
            "one side offers only TLS versions that the other does not take: AKS asks for TLS 1.2 at least",
            "Update the client, or let it use TLS 1.2; look for a proxy that answers with an old version.",
        ),
        _ => (
            "authority",
            "The certificate that a client meets is of an authority that it does not trust",
            "a proxy on the way inspects TLS and shows a certificate of its own, or the kubeconfig is from before the cluster's certificates were rotated",
            "See who issued the certificate. A company's authority: take *.hcp.REGION.azmk8s.io out of the inspection. The cluster's own: fetch the kubeconfig anew.",
        ),
    };
    let issuer = inspected.map_or_else(String::new, |(_, item)| {
        format!(" It was issued by {}: TLS is inspected on the way.", item.issuer)
    });
    let host = observed.hosts.iter().next().cloned().unwrap_or_else(|| "API_SERVER".to_owned());
    let named = aks_named(cluster);
    let says = Wording {
        severity: Severity::High,
        confidence: if inspected.is_some() { Confidence::Confirmed } else { Confidence::Likely },
        unit: "failed attempt",
        cause: format!(
            "A client reached {}{}, and gave up at the certificate: {why}.{issuer}",
            observed.reached_for_or("the API server's address"),
            observed.when()
        ),
        fix: fix.to_owned(),
        commands: vec![
            format!(
                "openssl s_client -connect {}:443 -showcerts </dev/null 2>/dev/null | openssl x509 -noout -issuer -subject -dates",
                crate::detectors::shell(&host)
            ),
            format!("az aks get-credentials {named} --overwrite-existing"),
        ],
        verify: common::verify(),
    };
    observed.finding(&DETECTOR, about, title.to_owned(), says)
}
