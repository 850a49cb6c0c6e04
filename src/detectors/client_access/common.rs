//! What the detectors of this chapter share: a client's attempts to reach the API server, and its addresses.

use std::net::IpAddr;

use crate::cluster::Cluster;
use crate::cluster::azure::{at, is_private};
use crate::cluster::reachability::{Unreached, What, Who};
use crate::detectors::observed::{self, Observed};
use crate::evidence::Evidence;
use crate::facts::{Failure, Whose};

/// A client's failed attempts to reach the API server.
pub(super) fn attempts(cluster: &Cluster, fits: impl Fn(&Unreached) -> bool) -> Option<Observed> {
    observed::attempts(cluster, |attempt| {
        (attempt.who == Who::Client && attempt.what == What::ApiServer && fits(attempt)).then_some(())
    })
    .remove(&())
}

/// Packets are dropped on the way.
pub(super) fn unanswered(failure: Failure) -> bool {
    matches!(failure, Failure::Timeout | Failure::NoRoute)
}

/// An address under which the client is seen from outside.
pub(super) struct ClientAddress {
    pub(super) ip: IpAddr,
    pub(super) evidence: Evidence,
    /// It is of a private network: the API server sees another one.
    pub(super) private: bool,
}

/// The client's addresses: what the user said, and what services answered outside the cluster.
pub(super) fn addresses(cluster: &Cluster) -> Vec<ClientAddress> {
    let seen = cluster.facts.nodes.outward.iter().filter(|(_, seen)| seen.whose == Whose::Client);
    let mut found: Vec<ClientAddress> = seen
        .filter_map(|(place, seen)| {
            let ip = seen.address?;
            let evidence = at(place, &seen.from, &format!("the client is seen as {ip}"));
            Some(ClientAddress { ip, evidence, private: is_private(ip) })
        })
        .collect();
    found.sort_by_key(|item| item.ip);
    found.dedup_by_key(|item| item.ip);
    // What the user says outranks what lies in the bundle.
    let given = |item: &ClientAddress| &*item.evidence.source == "--client-ip";
    if found.iter().any(given) {
        found.retain(given);
    }
    found
}

/// Public addresses from which kubectl asked earlier, by the refused requests of the audit log; not necessarily those of
/// the client that fails now.
pub(super) fn earlier(cluster: &Cluster) -> Vec<IpAddr> {
    let by_kubectl = cluster
        .denials
        .iter()
        .filter(|(_, denial)| denial.agents.iter().any(|agent| agent.starts_with("kubectl")));
    let mut found: Vec<IpAddr> = by_kubectl
        .flat_map(|(_, denial)| denial.addresses.iter())
        .filter_map(|address| address.parse().ok())
        .filter(|ip| !is_private(*ip))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether the cluster is private, as far as the bundle tells: by its description, else by the names and addresses
/// that clients used.
pub(super) fn is_private_cluster(cluster: &Cluster) -> Option<bool> {
    match cluster.azure.cluster() {
        Some(ours) if ours.whole || !ours.ranges.is_empty() => Some(ours.private),
        _ => {
            let mut ours = cluster
                .unreached
                .iter()
                .filter(|item| item.who == Who::Client && item.what == What::ApiServer);
            ours.any(Unreached::of_private_api).then_some(true)
        }
    }
}

/// The cluster is stopped.
pub(super) fn is_stopped(cluster: &Cluster) -> bool {
    cluster
        .azure
        .cluster()
        .is_some_and(|ours| matches!(ours.power.to_ascii_lowercase().as_str(), "stopped" | "deallocated"))
}

/// The check that a client reaches the API server.
pub(super) fn verify() -> Vec<String> {
    vec!["kubectl get --raw /readyz   # from the client: ok".to_owned()]
}
