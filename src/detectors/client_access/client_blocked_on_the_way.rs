//! A client's connections to a public API server are dropped, and the cluster is not what drops them.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::{AKS, CLIENT_ERRORS};
use crate::detectors::observed::{Wording, capitalised, host_word};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "client-blocked-on-the-way",
    chapter: Chapter::ClientAccess,
    title: "Client blocked on the way to a public API server (timeout)",
    needs: &[CLIENT_ERRORS, AKS],
    explains: &[],
    doc: Doc {
        meaning: "The client's connections time out ('i/o timeout', 'no route to host') although the API server is public and would accept its address. Usual reasons: a firewall, proxy or VPN on the client's side blocks outbound TCP 443, or the kubeconfig names another cluster.",
        decision: "A client timed out or had no route, and `az aks show` rules out the cluster's own causes: it is public, not stopped, and has no authorized IP ranges, or a public address of the client is within one. Likely at most, because what drops the packets is not in the bundle.",
        action: "Try from another network, such as Azure Cloud Shell; allow outbound TCP 443 to the API server's FQDN.",
        reference: "learn.microsoft.com: Basic troubleshooting of cluster connection issues with the API server; TCP time-outs when kubectl or other third-party tools connect to the API server.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let Some(aks) =
        cluster.azure.cluster().filter(|aks| !aks.private && (aks.whole || !aks.ranges.is_empty()))
    else {
        return Outcome::default();
    };
    let inside =
        common::addresses(cluster).iter().any(|address| !address.private && aks.allows(address.ip).is_some());
    if common::is_stopped(cluster) || !(aks.ranges.is_empty() || inside) {
        return Outcome::default();
    }
    let Some(mut observed) = common::attempts(cluster, |attempt| common::unanswered(attempt.failure)) else {
        return Outcome::default();
    };
    let why = if inside {
        "the client's address is within its authorized IP ranges"
    } else {
        "it has no authorized IP ranges"
    };
    observed.show_first(aks.evidence("apiServerAccessProfile", why));
    let private = observed.hosts.iter().any(|host| host.parse().is_ok_and(crate::cluster::azure::is_private));
    let stale = if private {
        " The client used a private IP address: its kubeconfig may be of another cluster."
    } else {
        ""
    };
    let host = host_word(&aks.fqdn, "API_SERVER");
    let says = Wording {
        severity: Severity::High,
        confidence: Confidence::Likely,
        unit: "failed attempt",
        cause: format!("A client's connections to the API server{}{} timed out or found no route. {} is public and {why}, so a firewall, proxy or VPN between the client and Azure is the likely reason.{stale}", observed.reached_for_in_brackets(), observed.when(), capitalised(&aks.label())),
        fix: "Try from another network, such as Azure Cloud Shell. If that works, allow outbound TCP 443 to the API server's FQDN in the firewall, proxy or VPN of the client.".to_owned(),
        commands: vec![format!("curl -vk --connect-timeout 10 https://{host}/version"), format!("nslookup {host}")],
        verify: common::verify(),
    };
    observed
        .finding(
            &DETECTOR,
            "client",
            "Client timeout to a public API server that accepts its address".to_owned(),
            says,
        )
        .into_iter()
        .collect()
}
