//! The client cannot resolve the FQDN of the API server.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::{Observed, Wording, aks_named, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "client-dns-fails",
    chapter: Chapter::ClientAccess,
    title: "Client cannot resolve the API server FQDN (no such host)",
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "The client's DNS server answers NXDOMAIN ('no such host') for the API server's FQDN, or gives no usable answer. The FQDN may be of a cluster that was deleted, recreated or stopped, or the DNS server (home router, company resolver) does not resolve Azure names.",
        decision: "A client's 'no such host', 'server misbehaving' or DNS timeout for the API server. Confirmed when `az aks show` has another FQDN than the client used; otherwise likely. Private and stopped clusters are causes of their own.",
        action: "Compare the FQDN with that of the cluster, get the kubeconfig again, or use another DNS server.",
        reference: "learn.microsoft.com: Basic troubleshooting of cluster connection issues with the API server.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    if common::is_stopped(cluster) || common::is_private_cluster(cluster) == Some(true) {
        return Outcome::default();
    }
    let given = common::attempts(cluster, |attempt| attempt.failure.of_dns() && !attempt.of_private_api());
    given.and_then(|observed| finding(cluster, observed)).into_iter().collect()
}

fn finding(cluster: &Cluster, mut observed: Observed) -> Option<Finding> {
    let aks = cluster.azure.cluster().filter(|aks| !aks.fqdn.is_empty());
    let hosts = listed(observed.hosts.iter().map(String::as_str), 3);
    let stale = aks.filter(|aks| !observed.hosts.contains(&aks.fqdn));
    let unknown = observed
        .evidence
        .iter()
        .any(|item| item.excerpt.contains("o such host") || item.excerpt.contains("NXDOMAIN"));
    let server = listed(observed.resolvers.iter().map(String::as_str), 3);
    let question = if server.is_empty() {
        "The client's DNS server".to_owned()
    } else {
        format!("The client's DNS server {server}")
    };
    let message = if unknown { "answers NXDOMAIN (no such host)" } else { "gives no usable answer" };
    let (cause, fix) = match stale {
        Some(aks) => {
            observed.show_first(aks.evidence("fqdn", &aks.fqdn));
            (
                format!(
                    "The client resolves {hosts}, and the FQDN of {} is {}: the kubeconfig is of another cluster, or of this one before it was recreated.",
                    aks.label(),
                    aks.fqdn
                ),
                "Get the kubeconfig of the cluster again; --overwrite-existing replaces its entry in the local kubeconfig.".to_owned(),
            )
        }
        None => (
            format!(
                "{question} {message} for {hosts}{}. If other DNS servers resolve it, that server does not resolve Azure names; if none does, the cluster may have been deleted, recreated or stopped.",
                observed.when()
            ),
            "Query a public DNS server for the FQDN. If that resolves, let the client use another DNS server; otherwise check that the cluster exists and runs, and get its kubeconfig again.".to_owned(),
        ),
    };
    let host = observed.hosts.iter().next().cloned().unwrap_or_default();
    let named = aks_named(cluster);
    let says = Wording {
        severity: Severity::High,
        confidence: if stale.is_some() { Confidence::Confirmed } else { Confidence::Likely },
        unit: "failed attempt",
        cause,
        fix,
        commands: vec![
            format!("nslookup {} 8.8.8.8", crate::detectors::shell(&host)),
            format!("az aks show {named} --query \"{{name:fqdn,state:powerState.code}}\""),
            format!("az aks get-credentials {named} --overwrite-existing"),
        ],
        verify: common::verify(),
    };
    observed.finding(
        &DETECTOR,
        "client",
        if unknown {
            format!("Client cannot resolve API server (no such host): {hosts}")
        } else {
            format!("Client cannot resolve API server: {hosts}")
        },
        says,
    )
}
