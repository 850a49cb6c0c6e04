//! The client's DNS server does not know the API server's name.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::{Observed, Wording, aks_named, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "client-dns-fails",
    chapter: Chapter::ClientAccess,
    title: "The client can't resolve the API server's name",
    guide: &["1"],
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "The client's DNS server says that the API server's name does not exist, or does not answer. The name may be of a cluster that was deleted, made anew or stopped; or the server (a home router, a company's resolver) can't resolve names of Azure.",
        decision: "A client's 'no such host', 'server misbehaving' or timeout of a look-up for the API server. Confirmed when the cluster's description has another name than the client used; otherwise likely. Names of private clusters, and clusters that are stopped, are told by their own causes.",
        action: "Compare the name with the cluster's, fetch a new kubeconfig, or ask another DNS server.",
        reference: "AKS: basic troubleshooting of cluster connection issues with the API server.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    if common::is_stopped(cluster) || common::is_private_cluster(cluster) == Some(true) {
        return Outcome::default();
    }
    let given = common::attempts(cluster, |attempt| attempt.failure.of_dns() && !attempt.of_private_api());
    given.and_then(|observed| finding(cluster, observed)).into_iter().collect::<Vec<_>>().into()
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
    let message = if unknown { "says that the name does not exist" } else { "does not answer" };
    let (cause, fix) = match stale {
        Some(aks) => {
            observed.show_first(aks.evidence("fqdn", &aks.fqdn));
            (
                format!("The client asks for {hosts}, and the API server of {} is {}: the kubeconfig is of another cluster, or of this one before it was made anew.", aks.label(), aks.fqdn),
                "Fetch the kubeconfig of the cluster anew.".to_owned(),
            )
        }
        None => (
            format!("{question} {message}: {hosts}{}. If other DNS servers know it, that server can't resolve names of Azure; if none does, the cluster was deleted, made anew or stopped.", observed.when()),
            "Ask a public DNS server for the name. If it knows it, let the client use another DNS server; otherwise see whether the cluster runs, and fetch its kubeconfig anew.".to_owned(),
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
        format!("A client can't resolve the API server's name {hosts}"),
        says,
    )
}
