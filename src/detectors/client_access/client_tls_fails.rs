//! The client's TLS handshake with the API server fails: x509 errors, TLS versions.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::at;
use crate::cluster::reachability::{What, Who};
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::{self, Observed, Wording, aks_named};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "client-tls-fails",
    chapter: Chapter::ClientAccess,
    title: "x509 or TLS error of a client: unknown authority, wrong host, TLS version",
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "The server that answers presents a certificate that the client does not trust (x509: certificate signed by unknown authority) or that is for another host (x509: certificate is valid for …). Usual reasons: TLS interception by a proxy, a kubeconfig from before a certificate rotation, or an address of another cluster. With a client or proxy that is too old, both sides have no TLS version in common.",
        decision: "A client's x509 or TLS error for the API server. Confirmed when a certificate saved with openssl has an issuer that is no Kubernetes CA; otherwise likely. Expired certificates are a cause of their own (certificate-expired).",
        action: "Exclude the API server's FQDN from TLS interception; get the kubeconfig again; update the client.",
        reference: "learn.microsoft.com: Troubleshoot 'tls: client offered only unsupported versions'; Certificate rotation in AKS.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings = Vec::new();
    for failure in [Failure::TlsUntrusted, Failure::TlsWrongName, Failure::TlsVersion] {
        // A script without a log of its own is a client, too.
        let of_client = observed::attempts(cluster, |attempt| {
            let client = matches!(attempt.who, Who::Client | Who::Unknown);
            (client && attempt.what == What::ApiServer && attempt.failure == failure).then_some(())
        });
        if let Some(observed) = of_client.into_values().next() {
            findings.extend(finding(cluster, failure, observed));
        }
    }
    findings.into()
}

fn finding(cluster: &Cluster, failure: Failure, mut observed: Observed) -> Option<Finding> {
    // The CA of a cluster calls itself `ca` or `kubernetes`; a company's proxy does not.
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
            "x509: certificate is for another host than the API server",
            "the certificate is valid for another host. Usual reasons: an old address or name in the kubeconfig, or a proxy that answers instead of the API server",
            "Get the kubeconfig again, and connect to the FQDN in it, not to an IP address.",
        ),
        Failure::TlsVersion => (
            "version",
            "TLS version not supported: client and server have none in common",
            "one side offers only TLS versions that the other does not support; AKS requires TLS 1.2 or later",
            "Update the client, or enable TLS 1.2 in it; check for a proxy that offers an old version.",
        ),
        _ => (
            "authority",
            "x509: certificate signed by unknown authority (client to API server)",
            "the client does not trust the issuer of the certificate. Usual reasons: TLS interception by a proxy, or a kubeconfig from before a certificate rotation",
            "Check the issuer of the certificate. If it is the company's CA, exclude *.hcp.REGION.azmk8s.io from TLS interception; if it is the cluster's CA, get the kubeconfig again (--overwrite-existing replaces its entry).",
        ),
    };
    let issuer = inspected.map_or_else(String::new, |(_, item)| {
        format!(
            " The issuer of the certificate is {}, no Kubernetes CA: TLS interception on the way.",
            item.issuer
        )
    });
    let host = observed.hosts.iter().next().cloned().unwrap_or_else(|| "API_SERVER".to_owned());
    let named = aks_named(cluster);
    let says = Wording {
        severity: Severity::High,
        confidence: if inspected.is_some() { Confidence::Confirmed } else { Confidence::Likely },
        unit: "failed attempt",
        cause: format!(
            "A client reached {}{}, and its TLS handshake failed: {why}.{issuer}",
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
