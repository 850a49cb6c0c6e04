//! Certificates are over.

use crate::cluster::Cluster;
use crate::cluster::azure::at;
use crate::cluster::reachability::{What, Who};
use crate::detectors::observed::{self, Observed, Wording, aks_named, capital, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Need, Outcome, Severity};
use crate::facts::{Failure, Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "certificate-expired",
    chapter: Chapter::Nodes,
    title: "A certificate is expired",
    guide: &["4", "1"],
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
        meaning: "Clusters' certificates end: those of clients after two years, authorities of clusters made before May 2019 too. Then kubelets, kubectl or webhooks are not trusted any more, or do not trust. A clock that is wrong looks the same.",
        decision: "'certificate has expired or is not yet valid' towards the API server, kubelets or webhooks; a kubelet whose bootstrap certificate is over; a certificate saved with openssl whose end is before the newest time of the bundle. Confirmed for the certificate and for kubelets' own words; likely for x509 errors, which a wrong clock gives, too. Errors towards anything else outside are told as possible.",
        action: "Rotate the cluster's certificates, then fetch kubeconfigs anew.",
        reference: "AKS: certificate rotation; troubleshoot Node Not Ready failures with expired certificates.",
    },
    detect,
};

const TLS: Need = Need {
    what: "errors of TLS in logs of nodes, pods and clients, or a certificate's dates",
    why: "they tell which certificate is over",
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
    // Said once at the start: that nothing follows in the log proves nothing, a node that reports does.
    let over = observed::recovered(cluster, &given.nodes);
    let says = Wording {
        severity: if over { Severity::Low } else { Severity::Critical },
        confidence: if over { Confidence::Possible } else { Confidence::Confirmed },
        unit: "line",
        cause: format!("The kubelet of {whose} says that its client certificate is over{}: the API server does not take its reports any more.", given.when()),
        fix: "Rotate the cluster's certificates; all nodes are made anew by that. Upgrading the node image alone does not renew them.".to_owned(),
        commands: vec![format!("az aks rotate-certs {}", aks_named(cluster)), format!("az aks get-credentials {} --overwrite-existing", aks_named(cluster))],
        verify: vec!["kubectl get nodes   # Ready".to_owned()],
    };
    given.finding(
        &DETECTOR,
        "kubelet-client",
        format!(
            "The kubelet's certificate on {whose} {}",
            if over { "was expired, and the node is ready by now" } else { "is expired" }
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
    let over = cluster.is_over(observed.span);
    let (severity, confidence) = match (kind, over) {
        ("other", _) => (Severity::Low, Confidence::Possible),
        (_, true) => (Severity::Medium, Confidence::Possible),
        _ => (Severity::High, Confidence::Likely),
    };
    let what = match kind {
        "client" => "a client's connection to the API server",
        "api-server" => "connections to the API server",
        "kubelet" => "connections to kubelets",
        "webhook" => "connections of the API server to webhooks or aggregated APIs",
        _ => "connections",
    };
    let dated = dates.map_or_else(String::new, |dates| format!(" The error says: current time {dates}."));
    let fix = match kind {
        "webhook" => {
            "Renew the webhook's certificate (most operators do by themselves, or by cert-manager), and the authority in its configuration."
        }
        "other" => "Renew the certificate of that server, or correct the clock of who asks.",
        _ => {
            "Compare the clock of who complains with the dates. If the clock is right, rotate the cluster's certificates, then fetch kubeconfigs anew."
        }
    };
    observed.hosts.remove("");
    let says = Wording {
        severity,
        confidence,
        unit: "failed attempt",
        cause: format!(
            "{}{} failed{}, because a certificate is expired or not yet valid.{dated}",
            capital(what),
            observed.reached_for_in_brackets(),
            observed.when()
        ),
        fix: fix.to_owned(),
        commands: match kind {
            "webhook" | "other" => Vec::new(),
            _ => vec![
                format!("az aks rotate-certs {}", aks_named(cluster)),
                format!("az aks get-credentials {} --overwrite-existing", aks_named(cluster)),
            ],
        },
        verify: vec![format!(
            "openssl s_client -connect {}:443 </dev/null 2>/dev/null | openssl x509 -noout -dates",
            observed.hosts.iter().next().map_or("HOST", String::as_str)
        )],
    };
    let title = format!("A certificate is expired: {what} fail");
    observed.finding(&DETECTOR, kind, title, says)
}

/// Certificates that somebody saved, and whose end is over at the time of the bundle.
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
            cause: format!("The certificate of {whose} ended at {}, before the newest time of the bundle ({}).", time::show(end), time::show(now)),
            fix: "Renew it. If it is the cluster's own, rotate the cluster's certificates, then fetch kubeconfigs anew.".to_owned(),
            commands: vec![format!("az aks rotate-certs {}   # the cluster's own", aks_named(cluster))],
            verify: vec!["openssl x509 -noout -dates -in CERTIFICATE".to_owned()],
        };
        observed.finding(&DETECTOR, &whose, format!("The certificate of {whose} ended at {}", time::show(end)), says)
    });
    findings.collect()
}
