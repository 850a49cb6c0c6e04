//! The client's address is not among the ranges that may reach the API server.

use std::net::IpAddr;

use super::common::{self, ClientAddress};
use crate::cluster::Cluster;
use crate::cluster::azure::{AksCluster, range};
use crate::detectors::needs::{AKS, CLIENT_ERRORS};
use crate::detectors::observed::{Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, SubjectRef};

pub(super) const DETECTOR: Detector = Detector {
    id: "client-not-in-authorized-ranges",
    chapter: Chapter::ClientAccess,
    title: "The client is not in the API server's authorised IP ranges",
    guide: &["1", "1.1"],
    needs: &[CLIENT_ERRORS, AKS],
    explains: &["client-blocked-on-the-way", "client-connection-cut"],
    doc: Doc {
        meaning: "The API server drops every connection from an address outside its authorised ranges: kubectl waits and says 'i/o timeout' (Windows: 'connectex: A connection attempt failed …'). The address that counts is the public one behind which the client stands, of its NAT, proxy or VPN, not the one of its own interface; home and mobile connections change it.",
        decision: "The client's public address (given with --client-ip, or answered by a service such as ifconfig.me in the bundle) is compared with every range of `az aks show`. Confirmed when it is in none and the client timed out; likely when it is in none and no failure is in the bundle, or when ranges are on, the client timed out, and its address is not known; possible when a client timed out and the cluster's configuration is not in the bundle. An address within a range is never accused.",
        action: "Add the client's public address to the ranges, the existing ones included: the option replaces the whole list. It takes up to two minutes.",
        reference: "AKS: secure access to the API server using authorised IP address ranges; client IP address can't access the API server.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let timeouts =
        common::attempts(cluster, |attempt| common::unanswered(attempt.failure) && !attempt.of_private_api());
    let Some(aks) = cluster.azure.cluster() else {
        let unknown = cluster.azure.clusters.is_empty() && common::is_private_cluster(cluster) != Some(true);
        return timeouts.filter(|_| unknown).and_then(unexplained).into_iter().collect::<Vec<_>>().into();
    };
    if aks.private {
        return ruled_out("the cluster is private: authorised ranges don't hold for it".to_owned());
    }
    if aks.ranges.is_empty() {
        return ruled_out(format!(
            "{} has no authorised ranges: its API server takes connections from everywhere",
            aks.label()
        ));
    }
    let known = common::addresses(cluster);
    // A service tag stands for addresses that the bundle does not name.
    let tagged = aks.ranges.iter().find(|text| range(text).is_none());
    if let (Some(tag), None) = (tagged, known.iter().find(|item| aks.allows(item.ip).is_some())) {
        return Outcome {
            undecided: Some(format!(
                "the authorised ranges hold {tag}, whose addresses are not in the bundle"
            )),
            ..Outcome::default()
        };
    }
    // A client with both families reaches the API server by IPv4.
    let families = |ip: IpAddr| {
        aks.ranges.iter().filter_map(|text| range(text)).any(|range| range.addr().is_ipv4() == ip.is_ipv4())
    };
    // The API server never sees a private address.
    let public: Vec<&ClientAddress> =
        known.iter().filter(|item| !item.private && families(item.ip)).collect();
    let outside: Vec<&&ClientAddress> = public.iter().filter(|item| aks.allows(item.ip).is_none()).collect();
    if !outside.is_empty() {
        let findings: Vec<Finding> = outside
            .iter()
            .filter_map(|item| out_of_range(aks, item, timeouts.clone().unwrap_or_default()))
            .collect();
        return findings.into();
    }
    if let Some(inside) = public.first() {
        let range = aks.allows(inside.ip).unwrap_or_default();
        return ruled_out(format!(
            "the client's address {} is within the authorised range {range}",
            inside.ip
        ));
    }
    match timeouts {
        Some(observed) => address_unknown(aks, observed, known.first(), &common::earlier(cluster)).into_iter().collect::<Vec<_>>().into(),
        None => Outcome {
            undecided: Some("authorised ranges are on, and the client's public address is not in the bundle: give it with --client-ip".to_owned()),
            ..Outcome::default()
        },
    }
}

fn ruled_out(why: String) -> Outcome {
    Outcome { ruled_out: Some(why), ..Outcome::default() }
}

/// The command that adds an address to the existing ranges.
fn update(aks: &AksCluster, added: &str) -> String {
    // This one means "nobody but the cluster itself", which a list with an address in it no longer says.
    let kept = aks.ranges.iter().filter(|range| !range.starts_with("0.0.0.0/32"));
    let all: Vec<&str> = kept.map(String::as_str).chain([added]).collect();
    format!("az aks update {} --api-server-authorized-ip-ranges {}", aks.named(), all.join(","))
}

fn finish(mut finding: Finding, aks: &AksCluster) -> Finding {
    finding.subjects =
        vec![SubjectRef { kind: "AKS cluster".to_owned(), namespace: String::new(), name: aks.name.clone() }];
    finding.detail("authorized_ranges", &aks.ranges);
    finding
}

fn out_of_range(aks: &AksCluster, client: &ClientAddress, mut observed: Observed) -> Option<Finding> {
    let failed = observed.count > 0;
    observed.show_first(
        [
            aks.evidence("apiServerAccessProfile.authorizedIpRanges", &aks.ranges.join(", ")),
            Some(client.evidence.clone()),
        ]
        .into_iter()
        .flatten(),
    );
    let ranges = listed(aks.ranges.iter().map(String::as_str), 6);
    let only = if aks.only_itself() { " (0.0.0.0/32 lets nobody in but the cluster itself)" } else { "" };
    let timed_out = if failed {
        format!(" Its connections{} were not answered.", observed.when())
    } else {
        String::new()
    };
    let single = if client.ip.is_ipv4() { format!("{}/32", client.ip) } else { client.ip.to_string() };
    let says = Wording {
        severity: if failed { Severity::High } else { Severity::Medium },
        confidence: if failed { Confidence::Confirmed } else { Confidence::Likely },
        unit: if failed { "failed attempt" } else { "address" },
        cause: format!(
            "The API server of {} may be reached from {ranges}{only}, and the client's address {} is in none of them: its packets are dropped.{timed_out}",
            aks.label(),
            client.ip
        ),
        fix: format!(
            "Add {single} to the ranges; the command keeps those that are there. Ask the network's administrators first whether the address is fixed: behind a NAT or VPN, add the range of its public addresses."
        ),
        commands: vec![update(aks, &single)],
        verify: common::verify(),
    };
    let title = format!("Client {} is not in the authorised IP ranges of {}", client.ip, aks.label());
    Some(finish(observed.finding(&DETECTOR, &client.ip.to_string(), title, says)?, aks))
}

fn address_unknown(
    aks: &AksCluster,
    mut observed: Observed,
    private: Option<&ClientAddress>,
    earlier: &[IpAddr],
) -> Option<Finding> {
    observed.show_first(aks.evidence("apiServerAccessProfile.authorizedIpRanges", &aks.ranges.join(", ")));
    let but = private.map_or_else(String::new, |item| format!(" The address {} is a private one: the API server sees the public address behind which it stands.", item.ip));
    let outside: Vec<String> =
        earlier.iter().filter(|ip| aks.allows(**ip).is_none()).map(ToString::to_string).collect();
    let before = if outside.is_empty() {
        String::new()
    } else {
        format!(
            " Audit events show kubectl earlier from {}, which no range holds now.",
            listed(outside.iter().map(String::as_str), 3)
        )
    };
    let sure = aks.only_itself();
    let ranges = listed(aks.ranges.iter().map(String::as_str), 6);
    let says = Wording {
        severity: Severity::High,
        confidence: if sure { Confidence::Confirmed } else { Confidence::Likely },
        unit: "failed attempt",
        cause: format!("A client's connections{} to the API server{} were not answered, and {} takes connections only from {ranges}. The client's public address is not in the bundle.{but}{before}", observed.reached_for_in_brackets(), observed.when(), aks.label()),
        fix: "Find the public address of the client, and add it to the ranges if it is in none: the command keeps those that are there. With it, kubetriage decides this: kubetriage report … --client-ip ADDRESS.".to_owned(),
        commands: vec!["curl -s https://ifconfig.me   # on the client".to_owned(), update(aks, "CLIENT_ADDRESS/32")],
        verify: common::verify(),
    };
    let title =
        format!("A client can't reach the API server of {}, which has authorised IP ranges", aks.label());
    Some(finish(observed.finding(&DETECTOR, "unknown client", title, says)?, aks))
}

/// Timeouts alone: the first cause of the guide, and not the only one.
fn unexplained(observed: Observed) -> Option<Finding> {
    let says = Wording {
        severity: Severity::High,
        confidence: Confidence::Possible,
        unit: "failed attempt",
        cause: format!(
            "A client's connections{} to the API server{} were not answered: they are dropped on the way. The most common reason is that authorised IP ranges are on and the client's public address is in none of them (it may have changed: build agents and home connections do); others are a private cluster, or a firewall between. The cluster's configuration, which would tell, is not in the bundle.",
            observed.reached_for_in_brackets(),
            observed.when()
        ),
        fix: "Show the authorised ranges and the client's public address, and compare them.".to_owned(),
        commands: vec![
            "az aks show -g RESOURCE_GROUP -n CLUSTER --query apiServerAccessProfile".to_owned(),
            "curl -s https://ifconfig.me   # on the client".to_owned(),
        ],
        verify: common::verify(),
    };
    let title = "A client can't reach the API server: connections time out".to_owned();
    observed.finding(&DETECTOR, "timeout", title, says)
}
