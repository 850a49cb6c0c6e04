//! Expired certificates.

use crate::cluster::Cluster;
use crate::cluster::azure::at;
use crate::cluster::reachability::{What, Who};
use crate::detectors::observed::{self, Observed, Wording, aks_named, capitalised, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Need, Outcome, Severity};
use crate::facts::{Failure, Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "certificate-expired",
    chapter: Chapter::Nodes,
    title: "Certificate expired (x509)",
    needs: &[TLS],
    explains: &[
        "node-not-ready",
        "node-cannot-reach-api-server",
        "pod-cannot-reach-api-server",
        "client-credentials-refused",
        "admission-webhook-failing",
        "tunnel-down",
    ],
    doc: Doc {
        meaning: "Certificates expire: in AKS, cluster CAs of clusters created before May 2019 and kubelet or user client certificates after two years. Then kubelets, kubectl or webhooks fail with x509: certificate has expired or is not yet valid. A wrong clock gives the same error.",
        decision: "`certificate has expired or is not yet valid` on connections to the API server, kubelets or webhooks; a kubelet's own line that its bootstrap client certificate is expired; a certificate saved with openssl whose notAfter is before the newest time of the bundle. Confirmed for the certificate and for kubelets' own lines (possible when the node is Ready again); likely for x509 errors, possible when they ended. Connections to anything else are possible.",
        action: "Rotate the cluster's certificates (az aks rotate-certs, recreates all nodes), then fetch the kubeconfigs again.",
        reference: "AKS: Certificate rotation in AKS; Node Not Ready failures caused by expired certificates. Kubernetes: Certificate Management with kubeadm.",
    },
    detect: Evaluation::Rule(detect),
};

const TLS: Need = Need {
    what: "TLS errors in logs of nodes, pods and clients, or a certificate's dates",
    why: "they show which certificate has expired",
    command: "openssl s_client -connect API_SERVER:443 </dev/null 2>/dev/null | openssl x509 -noout -subject -issuer -dates > certificate.txt",
    met: |cluster| {
        observed::signals(cluster, |key| (key.signal == Signal::KubeletCertificateExpired).then_some(()))
            .contains_key(&())
            || cluster.facts.nodes.certificates.iter().next().is_some()
            || cluster.unreached.iter().any(|item| item.failure.of_tls())
            || crate::detectors::needs::has_node_logs(cluster)
    },
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings: Vec<Finding> = Vec::new();
    if let Some(given) =
        observed::signals(cluster, |key| (key.signal == Signal::KubeletCertificateExpired).then_some(()))
            .remove(&())
    {
        findings.extend(of_kubelets(cluster, given));
    }
    let expired = observed::attempts(cluster, |attempt| {
        let kind = match (&attempt.who, &attempt.what) {
            (Who::Client, _) => "client",
            (_, What::ApiServer) => "api-server",
            (_, What::Kubelet) => "kubelet",
            (Who::ControlPlane, _) => "webhook",
            _ => "other",
        };
        (attempt.failure == Failure::TlsExpired).then_some(kind)
    });
    for (kind, observed) in expired {
        findings.extend(of_connections(cluster, kind, observed));
    }
    findings.extend(presented_certificates(cluster));
    findings.into()
}

fn of_kubelets(cluster: &Cluster, given: Observed) -> Option<Finding> {
    let nodes = listed(given.nodes.iter().map(String::as_str), 3);
    let whose = if nodes.is_empty() { "a node".to_owned() } else { format!("node {nodes}") };
    // Logged once at the start: silence after it proves nothing, a node that is Ready does.
    let over = observed::recovered(cluster, &given.nodes);
    let says = Wording {
        severity: if over { Severity::Low } else { Severity::Critical },
        confidence: if over { Confidence::Possible } else { Confidence::Confirmed },
        unit: "line",
        cause: format!("The kubelet of {whose} logged{} that its client certificate has expired. With an expired certificate it cannot authenticate to the API server.", given.when()),
        fix: "Rotate the cluster's certificates. This recreates all nodes and takes up to 30 minutes of downtime; existing kubeconfigs become invalid. A node image upgrade alone does not renew them.".to_owned(),
        commands: rotation(cluster),
        verify: vec!["kubectl get nodes   # Ready".to_owned()],
    };
    given.finding(
        &DETECTOR,
        "kubelet-client",
        format!(
            "{}: kubelet client certificate {}",
            if nodes.is_empty() { "Unidentified node".to_owned() } else { capitalised(&whose) },
            if over { "had expired; the node is Ready again" } else { "expired" }
        ),
        says,
    )
}

fn of_connections(cluster: &Cluster, kind: &'static str, mut observed: Observed) -> Option<Finding> {
    // The words stand in a line only once; the dates are in them.
    let dates = observed.evidence.iter().find_map(|item| {
        let (_, rest) = item.excerpt.split_once("current time ")?;
        Some(rest.trim_end_matches(['"', '\'', '.']).split('"').next()?.to_owned())
    });
    let over = observed.is_over(cluster);
    let (severity, confidence) = match (kind, over) {
        ("other", _) => (Severity::Low, Confidence::Possible),
        (_, true) => (Severity::Medium, Confidence::Possible),
        _ => (Severity::High, Confidence::Likely),
    };
    let what = match kind {
        "client" => "a client's connection to the API server",
        "api-server" => "connections to the API server",
        "kubelet" => "connections to kubelets",
        "webhook" => "connections from the API server to webhooks or aggregated APIs",
        _ => "connections",
    };
    let dated = dates.map_or_else(String::new, |dates| format!(" From the error: current time {dates}."));
    let fix = match kind {
        "webhook" => {
            "Renew the webhook's serving certificate (by its operator or cert-manager) and the caBundle in its configuration."
        }
        "other" => "Renew the server's certificate, or correct the client's clock.",
        _ => {
            "Compare the client's clock with the certificate's dates. If the clock is right, rotate the cluster's certificates (this recreates all nodes, with up to 30 minutes of downtime), then fetch the kubeconfigs again."
        }
    };
    observed.hosts.remove("");
    let says = Wording {
        severity,
        confidence,
        unit: "failed attempt",
        cause: format!(
            "{}{} failed{}: x509, certificate has expired or is not yet valid.{dated}",
            capitalised(what),
            observed.reached_for_in_brackets(),
            observed.when()
        ),
        fix: fix.to_owned(),
        commands: match kind {
            "webhook" | "other" => Vec::new(),
            _ => rotation(cluster),
        },
        verify: vec![format!(
            "openssl s_client -connect {}:443 </dev/null 2>/dev/null | openssl x509 -noout -dates   # notAfter is in the future",
            observed::host_word(observed.hosts.iter().next().map_or("", String::as_str), "HOST")
        )],
    };
    let title = format!(
        "x509 certificate expired or not yet valid: {what} {}",
        if kind == "client" { "fails" } else { "fail" }
    );
    observed.finding(&DETECTOR, kind, title, says)
}

/// Renews the certificates of an AKS cluster, and the kubeconfig that is no longer valid after it.
fn rotation(cluster: &Cluster) -> Vec<String> {
    if cluster.is_elsewhere() {
        return Vec::new();
    }
    vec![
        format!("az aks rotate-certs {}   # recreates all nodes", aks_named(cluster)),
        format!("az aks get-credentials {} --overwrite-existing", aks_named(cluster)),
    ]
}

/// Certificates that were saved with openssl and had expired at the time of the bundle.
fn presented_certificates(cluster: &Cluster) -> Vec<Finding> {
    let Some(now) = cluster.anchor else { return Vec::new() };
    let over = cluster.facts.nodes.certificates.iter().filter_map(|(place, certificate)| {
        Some((place, certificate, certificate.not_after.filter(|end| *end < now)?))
    });
    let findings = over.filter_map(|(place, item, end)| {
        let whose = if item.whose.is_empty() { item.subject.to_string() } else { item.whose.to_string() };
        let whose = if whose.is_empty() { place.source.to_string() } else { whose };
        let mut observed = Observed { count: 1, ..Observed::default() };
        observed.show_first([at(place, &format!("certificate {whose}"), &format!("notAfter {}", time::show(end)))]);
        let says = Wording {
            severity: Severity::High,
            confidence: Confidence::Confirmed,
            unit: "certificate",
            cause: format!("The certificate of {whose} expired at {}, before the newest time in the bundle ({}).", time::show(end), time::show(now)),
            fix: "Renew it. If it belongs to the AKS cluster, rotate the cluster's certificates (this recreates all nodes, with up to 30 minutes of downtime), then fetch the kubeconfigs again.".to_owned(),
            commands: rotation(cluster),
            verify: vec!["openssl x509 -noout -dates -in CERTIFICATE   # notAfter is in the future".to_owned()],
        };
        observed.finding(&DETECTOR, &whose, format!("Certificate of {whose} expired at {}", time::show(end)), says)
    });
    findings.collect()
}
