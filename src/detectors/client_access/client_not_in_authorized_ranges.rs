//! The client's public address is not in the API server's authorized IP ranges.

use std::net::IpAddr;

use super::common::{self, ClientAddress};
use crate::cluster::Cluster;
use crate::cluster::azure::{AksCluster, range};
use crate::detectors::details::texts;
use crate::detectors::needs::{AKS, CLIENT_ERRORS};
use crate::detectors::observed::{Observed, Wording, listed};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, SubjectRef, shell,
};

pub(super) const DETECTOR: Detector = Detector {
    id: "client-not-in-authorized-ranges",
    chapter: Chapter::ClientAccess,
    title: "Client IP not in the API server's authorized IP ranges",
    needs: &[CLIENT_ERRORS, AKS],
    explains: &["client-blocked-on-the-way", "client-connection-cut"],
    doc: Doc {
        meaning: "Connections from an address outside the authorized IP ranges of the API server are dropped: kubectl ends with 'i/o timeout' (Windows: 'connectex: A connection attempt failed …'). The address that counts is the public one of the client's NAT, proxy or VPN, not that of its own interface; home, mobile and build agent addresses change.",
        decision: "The client's public address (given with --client-ip, or answered by a service such as ifconfig.me in the bundle) is compared with every authorized IP range of `az aks show`. Confirmed when it is in none and the client timed out, or when the ranges are 0.0.0.0/32 alone; likely when it is in none and the bundle has no failure, or when there are ranges, the client timed out, and its address is unknown; possible when a client timed out and the cluster's configuration is not in the bundle. An address within a range rules this cause out.",
        action: "Add the client's public address to the authorized IP ranges and name the existing ones too: the option replaces the whole list. The change can take up to two minutes.",
        reference: "learn.microsoft.com: Secure access to the API server using authorized IP address ranges in AKS; Client IP address can't access the API server.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let timeouts =
        common::attempts(cluster, |attempt| common::unanswered(attempt.failure) && !attempt.of_private_api());
    let Some(aks) = cluster.azure.cluster() else {
        let unknown = cluster.azure.clusters.is_empty() && common::is_private_cluster(cluster) != Some(true);
        return timeouts.filter(|_| unknown).and_then(unexplained).into_iter().collect();
    };
    if aks.private {
        return ruled_out(
            "the cluster is private: authorized IP ranges do not apply to its private endpoint".to_owned(),
        );
    }
    if aks.ranges.is_empty() {
        return ruled_out(format!(
            "{} has no authorized IP ranges: its API server accepts connections from any address",
            aks.label()
        ));
    }
    let known = common::addresses(cluster);
    // A service tag stands for addresses that the bundle does not name.
    let tagged = aks.ranges.iter().find(|text| range(text).is_none());
    if let (Some(tag), None) = (tagged, known.iter().find(|item| aks.allows(item.ip).is_some())) {
        return Outcome {
            undecided: Some(format!(
                "the authorized IP ranges contain {tag}, whose addresses are not in the bundle"
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
            "the client's address {} is within the authorized IP range {range}",
            inside.ip
        ));
    }
    match timeouts {
        Some(observed) => address_unknown(aks, observed, known.first(), &common::earlier(cluster)).into_iter().collect(),
        None => Outcome {
            undecided: Some("the cluster has authorized IP ranges, and the client's public address is not in the bundle: pass it with --client-ip".to_owned()),
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
    format!("az aks update {} --api-server-authorized-ip-ranges {}", aks.named(), shell(&all.join(",")))
}

fn finish(mut finding: Finding, aks: &AksCluster) -> Finding {
    finding.subjects =
        vec![SubjectRef { kind: "AKS cluster".to_owned(), namespace: String::new(), name: aks.name.clone() }];
    finding.details.platform.authorized_ranges = texts(&aks.ranges);
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
    let only = if aks.only_itself() { " (0.0.0.0/32 allows no client)" } else { "" };
    let timed_out =
        if failed { format!(" A client's connections timed out{}.", observed.when()) } else { String::new() };
    let single = if client.ip.is_ipv4() { format!("{}/32", client.ip) } else { client.ip.to_string() };
    let says = Wording {
        severity: if failed { Severity::High } else { Severity::Medium },
        confidence: if failed { Confidence::Confirmed } else { Confidence::Likely },
        unit: if failed { "failed attempt" } else { "address" },
        cause: format!(
            "The authorized IP ranges of {} are {ranges}{only}. The client's public address {} is in none of them, so its connections are dropped.{timed_out}",
            aks.label(),
            client.ip
        ),
        fix: format!(
            "Add {single} to the authorized IP ranges; the command keeps the existing ones. It opens the API server to everyone behind that address. Ask the network administrators whether the address is static: behind a NAT or VPN, add the range of its public addresses."
        ),
        commands: vec![update(aks, &single)],
        verify: common::verify(),
    };
    let title = format!("Client IP {} not in the authorized IP ranges of {}", client.ip, aks.label());
    Some(finish(observed.finding(&DETECTOR, &client.ip.to_string(), title, says)?, aks))
}

fn address_unknown(
    aks: &AksCluster,
    mut observed: Observed,
    private: Option<&ClientAddress>,
    earlier: &[IpAddr],
) -> Option<Finding> {
    observed.show_first(aks.evidence("apiServerAccessProfile.authorizedIpRanges", &aks.ranges.join(", ")));
    let but = private.map_or_else(String::new, |item| {
        format!(" {} is a private address: the API server sees the public address of its NAT.", item.ip)
    });
    let outside: Vec<String> =
        earlier.iter().filter(|ip| aks.allows(**ip).is_none()).map(ToString::to_string).collect();
    let before = if outside.is_empty() {
        String::new()
    } else {
        format!(
            " Audit events show earlier kubectl requests from {}, which is in none of the ranges now.",
            listed(outside.iter().map(String::as_str), 3)
        )
    };
    let sure = aks.only_itself();
    let ranges = listed(aks.ranges.iter().map(String::as_str), 6);
    let says = Wording {
        severity: Severity::High,
        confidence: if sure { Confidence::Confirmed } else { Confidence::Likely },
        unit: "failed attempt",
        cause: format!("A client's connections to the API server{}{} timed out, and {} accepts connections only from its authorized IP ranges {ranges}. The client's public address is not in the bundle.{but}{before}", observed.reached_for_in_brackets(), observed.when(), aks.label()),
        fix: "Get the public address of the client, and add it if it is in none of the ranges; the command keeps the existing ones. `kubetriage report … --client-ip ADDRESS` then decides this cause.".to_owned(),
        commands: vec!["curl -s https://ifconfig.me   # on the client".to_owned(), update(aks, "CLIENT_ADDRESS/32")],
        verify: common::verify(),
    };
    let title =
        format!("Client timeout: API server of {} has authorized IP ranges, client IP unknown", aks.label());
    Some(finish(observed.finding(&DETECTOR, "unknown client", title, says)?, aks))
}

/// Timeouts alone: the most common cause, and not the only one.
fn unexplained(observed: Observed) -> Option<Finding> {
    let says = Wording {
        severity: Severity::High,
        confidence: Confidence::Possible,
        unit: "failed attempt",
        cause: format!(
            "A client's connections to the API server{}{} timed out. Most common reason: the client's public address is not in the authorized IP ranges (addresses of build agents and home connections change). Others: a private cluster, or a firewall in between. The cluster's configuration (`az aks show`), which would decide it, is not in the bundle.",
            observed.reached_for_in_brackets(),
            observed.when()
        ),
        fix: "Compare the authorized IP ranges with the client's public address.".to_owned(),
        commands: vec![
            "az aks show -g RESOURCE_GROUP -n CLUSTER --query apiServerAccessProfile".to_owned(),
            "curl -s https://ifconfig.me   # on the client".to_owned(),
        ],
        verify: common::verify(),
    };
    let title = "Client cannot reach the API server: connection timeout".to_owned();
    observed.finding(&DETECTOR, "timeout", title, says)
}
