//! The same name is answered by one DNS server and denied by another, answered and denied by one server in turns, or denied for
//! IPv6 where it is answered for IPv4.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::cluster::Cluster;
use crate::cluster::azure::{AZURE_DNS, is_private};
use crate::detectors::needs::DNS_LOGS;
use crate::detectors::observed::{Observed, Wording, host_word};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::evidence::Evidence;
use crate::facts::{Place, ResolvedName};

pub(super) const DETECTOR: Detector = Detector {
    id: "dns-answers-differ",
    chapter: Chapter::Dns,
    title: "DNS servers answer the same name differently",
    needs: &[DNS_LOGS],
    explains: &[
        "dns-name-unknown",
        "node-cannot-resolve-api-server",
        "node-provisioning-failed",
        "client-dns-fails",
    ],
    doc: Doc {
        meaning: "A name that one DNS server resolves and another denies is known to the zones of one of them only: clients that ask the other fail, or fail in turns where one list or one `forward` line holds both. A server that answers A and refuses AAAA makes nslookup, and with it the provisioning script of AKS nodes, fail although the address is known.",
        decision: "Answers of nslookup, dig and host in the bundle for one name: an address from one server and NXDOMAIN, SERVFAIL or REFUSED from a private server other than Azure's; both from one server, the failure later; an A record and a failure of AAAA from the same server. Likely: the bundle shows what was answered at that time.",
        action: "Let the server that does not know the name forward its zone to the one that does.",
        reference: "learn.microsoft.com: Troubleshoot DNS resolution failures from inside the pod but not from the worker node. RFC 4074: Common Misbehavior Against DNS Queries for IPv6 Addresses.",
    },
    detect: Evaluation::Rule(detect),
};

type LookUp<'a> = (&'a Place, &'a ResolvedName);

/// How the answers for a name differ.
enum Difference {
    /// One server has it, another one does not.
    Servers { knows: String, address: IpAddr },
    /// One server has it and has it not.
    ByTurns { address: IpAddr },
    /// There is an IPv4 address, and the question for an IPv6 one fails.
    Ipv6 { address: IpAddr },
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut by_name: BTreeMap<&str, Vec<LookUp<'_>>> = BTreeMap::new();
    for (place, answer) in cluster.facts.nodes.answers.iter().filter(|(_, answer)| !answer.server.is_empty())
    {
        by_name.entry(&answer.question).or_default().push((place, answer));
    }
    by_name.into_iter().filter_map(|(name, answers)| of_name(name, &answers)).collect()
}

/// The server, and the failure that differs from an answer.
fn of_name(name: &str, answers: &[LookUp<'_>]) -> Option<Finding> {
    let mut found: Option<(LookUp<'_>, LookUp<'_>, Difference)> = None;
    for failed in answers.iter().filter(|(_, answer)| !answer.status.is_empty()) {
        let server = &failed.1.server;
        // Public servers do not know private names, and Azure's own knows no zone of others: that is as it should be.
        let theirs = server.parse::<IpAddr>().is_ok_and(is_private) && &**server != AZURE_DNS;
        for good in answers {
            let Some(address) = good.1.address else { continue };
            let same = good.1.server == *server;
            let difference = if failed.1.ipv6 {
                if !same || address.is_ipv6() {
                    continue;
                }
                Difference::Ipv6 { address }
            } else if same {
                // What failed first may have been repaired since.
                if (&failed.0.source, failed.0.line) < (&good.0.source, good.0.line) {
                    continue;
                }
                Difference::ByTurns { address }
            } else if theirs && failed.1.status.as_ref() != "REFUSED" {
                Difference::Servers { knows: good.1.server.to_string(), address }
            } else {
                continue;
            };
            found.get_or_insert((*failed, *good, difference));
        }
    }
    let (failed, good, difference) = found?;
    finding(name, failed, good, &difference)
}

fn finding(name: &str, failed: LookUp<'_>, good: LookUp<'_>, difference: &Difference) -> Option<Finding> {
    let (server, status) = (&failed.1.server, &failed.1.status);
    let quoted = host_word(name, "NAME");
    let (title, cause, fix) = match difference {
        Difference::Ipv6 { address } => (
            format!("DNS server {server} answers A and fails AAAA (IPv6) with {status}: {name}"),
            format!("DNS server {server} has the IPv4 address of {name} ({address}) and answers {status} to the question for an IPv6 address, where an empty answer without error would be right. nslookup takes that for a failure, and so does the provisioning script of AKS nodes (CSE exit code 52); some resolvers drop the IPv4 answer, too."),
            format!("Let {server} answer AAAA questions for names without one with NOERROR and no record: update it, or take out the rule that blocks or refuses AAAA; or forward the zone to 168.63.129.16."),
        ),
        Difference::ByTurns { address } => (
            format!("DNS server {server} answers {name} by turns: {address}, then {status}"),
            format!("The same server {server} gave {address} for {name} once and {status} then: it forwards to several servers that do not know the same zones, and picks one of them for each question (CoreDNS: at random)."),
            "Let every server that is forwarded to know the zone, or forward the zone only to those that do: for CoreDNS a server block of its own for the zone (AKS: ConfigMap coredns-custom), and `policy sequential` does not help, since NXDOMAIN is a valid answer.".to_owned(),
        ),
        Difference::Servers { knows, address } => (
            format!("DNS server {server} does not know {name} ({status}), {knows} answers {address}"),
            format!("DNS server {server} answers {status} for {name}, and {knows} answers {address}: who asks {server} cannot resolve the name. {server} does not forward the zone to a server that has it."),
            if knows == AZURE_DNS {
                format!("Let {server} forward the zone to 168.63.129.16 (only a server in an Azure VNet can; elsewhere by a DNS private resolver), and link the private DNS zone to the VNet of {server}.")
            } else {
                format!("Let {server} forward the zone to {knows}.")
            },
        ),
    };
    let evidence =
        |answer: LookUp<'_>| Evidence::line(&answer.0.source, answer.0.line, answer.1.message.as_bytes());
    let observed = Observed {
        count: 1,
        evidence: vec![evidence(failed), evidence(good)],
        hosts: BTreeSet::new(),
        ..Observed::default()
    };
    let says = Wording {
        severity: Severity::High,
        confidence: Confidence::Likely,
        unit: "answer",
        cause,
        fix,
        commands: vec![format!("nslookup {quoted} {server}; nslookup {quoted} {}", good.1.server)],
        verify: vec![format!(
            "for i in 1 2 3 4 5 6; do nslookup {quoted} {server}; done   # the same address each time"
        )],
    };
    observed.finding(&DETECTOR, name, title, says)
}
