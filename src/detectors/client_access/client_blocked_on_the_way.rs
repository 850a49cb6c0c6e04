//! A client's connections to a public API server are dropped, and the cluster is not what drops them.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::{AKS, CLIENT_ERRORS};
use crate::detectors::observed::Wording;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "client-blocked-on-the-way",
    chapter: Chapter::ClientAccess,
    title: "Something between the client and the API server drops connections",
    guide: &["1"],
    needs: &[CLIENT_ERRORS, AKS],
    explains: &[],
    doc: Doc {
        meaning: "The client gets no answer from a public API server that takes connections from it: a firewall, a proxy or a VPN on the client's side drops them, or a client certificate of the network is asked for on the way.",
        decision: "A client timed out or found no route, and the description of the cluster rules out the cluster's own causes: it is public, runs, and has no authorised ranges, or the client's address is within one. Likely, since what drops them is not in the bundle.",
        action: "Try from another network; let outgoing TCP 443 to the API server's name pass.",
        reference: "AKS: basic troubleshooting of cluster connection issues with the API server; TCP time-outs when kubectl or other third-party tools connect.",
    },
    detect,
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
        "the client's address is within its authorised ranges"
    } else {
        "it has no authorised ranges"
    };
    observed.show_first(aks.evidence("apiServerAccessProfile", why));
    let private = observed.hosts.iter().any(|host| host.parse().is_ok_and(crate::cluster::azure::is_private));
    let stale = if private {
        " The client used a private address: its kubeconfig may be of another cluster."
    } else {
        ""
    };
    let host = if aks.fqdn.is_empty() { "API_SERVER" } else { &aks.fqdn };
    let says = Wording {
        severity: Severity::High,
        confidence: Confidence::Likely,
        unit: "failed attempt",
        cause: format!("A client's connections{} to the API server{} were not answered, although {} is public and {why}: what drops them lies between, on the client's side.{stale}", observed.reached_for_in_brackets(), observed.when(), aks.label()),
        fix: "Try from another network, such as Azure Cloud Shell. If it works there, let the client's firewall, proxy or VPN pass outgoing TCP 443 to the API server's name.".to_owned(),
        commands: vec![format!("curl -vk --connect-timeout 10 https://{host}/version"), format!("nslookup {host}")],
        verify: common::verify(),
    };
    observed
        .finding(
            &DETECTOR,
            "client",
            "A client gets no answer from a public API server that lets it in".to_owned(),
            says,
        )
        .into_iter()
        .collect::<Vec<_>>()
        .into()
}
