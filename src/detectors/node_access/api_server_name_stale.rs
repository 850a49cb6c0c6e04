//! The API server's FQDN resolves to another IP address than the API server has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::{at, is_private};
use crate::cluster::reachability::{What, is_api_name};
use crate::detectors::observed::{Wording, aks_named, aks_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Need, Outcome, Severity};
use crate::evidence::Evidence;
use crate::facts::{AzureKind, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "api-server-name-stale",
    chapter: Chapter::NodeAccess,
    title: "API server FQDN resolves to a stale IP",
    needs: &[common::API_ENDPOINTS, ANSWERS],
    explains: &[
        "node-cannot-reach-api-server",
        "pod-cannot-reach-api-server",
        "client-blocked-on-the-way",
        "node-not-ready",
    ],
    doc: Doc {
        meaning: "Nodes and clients connect to the API server's FQDN, pods to Service default/kubernetes, whose endpoints the API server writes itself. On AKS both are the same IP address. After a stop and start, or when a private endpoint is recreated, the address changes: a DNS record, DNS cache or hosts file with the old one makes connections fail.",
        decision: "The endpoints of default/kubernetes are compared with the answers of nslookup, dig, host or curl for the API server's FQDN, and with the records of its private DNS zone. No address in common: likely when the query was made in the cluster or the record is in the zone, confirmed when connections to the FQDN or that address also failed; possible where the bundle does not say who queried, because clients of other networks can have a private endpoint and zone of their own. A public answer beside private endpoints is not judged: API Server VNet Integration looks like that.",
        action: "Correct the DNS record, or flush the cache that has the old address.",
        reference: "learn.microsoft.com: Create a private AKS cluster; Stop and start an AKS cluster.",
    },
    detect: Evaluation::Rule(detect),
};

const ANSWERS: Need = Need {
    what: "the IP address that the API server's FQDN resolves to",
    why: "it must be an endpoint of Service default/kubernetes",
    command: "nslookup $(az aks show -g RESOURCE_GROUP -n CLUSTER --query \"privateFqdn || fqdn\" -o tsv) > api-dns.txt\naz network private-dns record-set a list -g NODE_RESOURCE_GROUP -z ZONE -o json > api-records.json",
    met: |cluster| !answers(cluster).is_empty(),
};

/// What one source says of one name.
#[derive(Default)]
struct Answered {
    addresses: BTreeSet<IpAddr>,
    evidence: Vec<Evidence>,
    by: String,
    /// It holds for the nodes: asked in the cluster, or a record of the zone.
    of_cluster: bool,
    of_zone: bool,
}

/// The names of the API server, where Azure describes the cluster.
fn known_names(cluster: &Cluster) -> Option<[&String; 2]> {
    let known = cluster.azure.cluster().map(|aks| [&aks.fqdn, &aks.private_fqdn]);
    known.filter(|names| names.iter().any(|name| !name.is_empty()))
}

/// Whether a name is of the API server of this cluster, as far as the bundle tells.
fn is_own(cluster: &Cluster, name: &str) -> bool {
    match known_names(cluster) {
        Some(names) => names.iter().any(|ours| ours.eq_ignore_ascii_case(name)),
        None => is_api_name(name),
    }
}

/// Answers and records, by name and source.
fn answers(cluster: &Cluster) -> BTreeMap<(String, String), Answered> {
    let mut all: BTreeMap<(String, String), Answered> = BTreeMap::new();
    for (place, answer) in cluster.facts.nodes.answers.iter() {
        let Some(address) =
            answer.address.filter(|_| is_own(cluster, &answer.question) || is_own(cluster, &answer.name))
        else {
            continue;
        };
        let item = all.entry((answer.question.to_string(), place.source.to_string())).or_default();
        item.addresses.insert(address);
        let words = format!("{} has address {address}", answer.question);
        item.evidence.push(Evidence { excerpt: answer.message.clone(), ..at(place, &words, "") });
        item.of_cluster |= answer.in_cluster;
        if item.by.is_empty() {
            item.by = if answer.server.is_empty() {
                "a DNS query in the bundle".to_owned()
            } else {
                format!("DNS server {}", answer.server)
            };
        }
    }
    for (place, record) in cluster.facts.azure.of(AzureKind::RecordSet) {
        let full = record.text("fqdn").trim_end_matches('.').to_lowercase();
        let zone = record
            .id
            .split("/privatednszones/")
            .nth(1)
            .and_then(|rest| rest.split('/').next())
            .unwrap_or_default();
        let name = if full.is_empty() { format!("{}.{zone}", record.name.to_lowercase()) } else { full };
        if !is_own(cluster, &name) {
            continue;
        }
        for entry in record.value.get("arecords").and_then(|list| list.as_array()).into_iter().flatten() {
            let Some(address) = entry.get("ipv4address").and_then(|text| text.as_str()?.parse().ok()) else {
                continue;
            };
            let item = all.entry((name.clone(), place.source.to_string())).or_default();
            item.addresses.insert(address);
            item.evidence.push(at(place, &format!("record {}", record.name), &format!("A {address}")));
            item.by = format!("private DNS zone {zone}");
            (item.of_cluster, item.of_zone) = (true, true);
        }
    }
    all
}

fn address_list(addresses: &BTreeSet<IpAddr>) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn detect(cluster: &Cluster) -> Outcome {
    let key = Key::new("default", "kubernetes");
    let Some(published) = cluster
        .services
        .all
        .get(&key)
        .and_then(|state| state.published.as_ref())
        .filter(|service| !service.ready.is_empty())
    else {
        return Outcome {
            undecided: Some("the endpoints of default/kubernetes have no address".to_owned()),
            ..Outcome::default()
        };
    };
    let answers = answers(cluster);
    // Without a description of the cluster two names may be of two clusters.
    let clusters: BTreeSet<&str> = answers.keys().filter_map(|(name, _)| name.split('.').next()).collect();
    if clusters.len() > 1 && known_names(cluster).is_none() {
        return Outcome {
            undecided: Some(
                "the bundle has DNS answers for several API servers, and nothing says which is this cluster's"
                    .to_owned(),
            ),
            ..Outcome::default()
        };
    }
    let mut findings = Vec::new();
    let (mut same, mut other_class) = (Vec::new(), false);
    for ((name, _), answered) in answers {
        let comparable: BTreeSet<IpAddr> = answered
            .addresses
            .iter()
            .copied()
            .filter(|ip| published.ready.iter().any(|ours| ours.is_ipv4() == ip.is_ipv4()))
            .collect();
        if comparable.is_empty() {
            continue;
        }
        if comparable.iter().any(|ip| published.ready.contains(ip)) {
            same.push(name);
        } else if published.ready.iter().any(|ip| is_private(*ip))
            && comparable.iter().all(|ip| !is_private(*ip))
        {
            other_class = true;
        } else {
            findings.extend(differs(cluster, &key, &published.ready, &name, &comparable, answered));
        }
    }
    let undecided = (findings.is_empty() && same.is_empty() && other_class).then(|| "the FQDN has a public IP address and the endpoints a private one, as with API Server VNet Integration".to_owned());
    let ruled_out = (findings.is_empty() && !same.is_empty()).then(|| {
        format!(
            "{} resolves to the endpoint of Service default/kubernetes, {}",
            same.first().map_or("the FQDN", String::as_str),
            address_list(&published.ready)
        )
    });
    Outcome { findings, undecided, ruled_out }
}

fn differs(
    cluster: &Cluster,
    key: &Key,
    ours: &BTreeSet<IpAddr>,
    name: &str,
    found: &BTreeSet<IpAddr>,
    answered: Answered,
) -> Option<Finding> {
    // A server that answers with the wrong certificate is there: that is another fault.
    let mut given = crate::detectors::observed::attempts(cluster, |attempt| {
        let aimed = |host: &String| {
            host.eq_ignore_ascii_case(name) || host.parse().is_ok_and(|ip: IpAddr| found.contains(&ip))
        };
        let unanswered = !attempt.failure.of_dns() && !attempt.failure.of_tls();
        (attempt.what == What::ApiServer && unanswered && attempt.hosts.iter().any(aimed)).then_some(())
    })
    .remove(&())
    .filter(|observed| !observed.is_over(cluster))
    .unwrap_or_default();
    let failing = given.count > 0;
    // Elsewhere a second private endpoint with a zone of its own is a right way to the same server.
    let sure = answered.of_cluster && known_names(cluster).is_some();
    let mut shown_first = answered.evidence;
    shown_first.truncate(3);
    shown_first.extend(common::api_endpoints_evidence(cluster, key));
    given.show_first(shown_first);
    let failures =
        if failing { format!(" Connections to it failed{}.", given.when()) } else { String::new() };
    let zone = answered.of_zone;
    let says = Wording {
        severity: match (sure, failing) {
            (true, true) => Severity::Critical,
            (true, false) => Severity::High,
            (false, _) => Severity::Medium,
        },
        confidence: match (sure, failing) {
            (true, true) => Confidence::Confirmed,
            (true, false) => Confidence::Likely,
            (false, _) => Confidence::Possible,
        },
        unit: if failing { "failed attempt" } else { "answer" },
        cause: format!(
            "According to {}, {name} is {}; the endpoints of default/kubernetes, which the API server writes itself, are {}. Connections to the FQDN go to the wrong address{}.{failures}",
            answered.by,
            address_list(found),
            address_list(ours),
            if sure { "" } else { ", unless that is a second private endpoint for clients of other networks" }
        ),
        fix: if zone {
            "The record in the zone is stale. `az aks update` without options reconciles the cluster and its record; correct it yourself in a zone that you maintain.".to_owned()
        } else {
            "Find what still has the old address: a static record in a custom DNS server (forward the zone instead), a DNS cache, a hosts file, an IP address in a configuration. If the private DNS zone itself is stale, `az aks update` without options reconciles it.".to_owned()
        },
        commands: vec![
            format!("nslookup {} 168.63.129.16   # in the VNet: the answer of Azure DNS", crate::detectors::shell(name)),
            "az network private-dns record-set a list -g NODE_RESOURCE_GROUP -z ZONE -o table   # private clusters".to_owned(),
            format!("az aks update {}   # asks first; reconciles the cluster", aks_named(cluster)),
        ],
        verify: vec![format!("nslookup {}   # {}", crate::detectors::shell(name), address_list(ours))],
    };
    let title = format!(
        "API server FQDN resolves to {} {}, endpoints are {}",
        if sure { "stale IP" } else { "another IP" },
        address_list(found),
        address_list(ours)
    );
    let mut finding = given.finding(&DETECTOR, name, title, says)?;
    finding.subjects.extend(aks_subject(cluster));
    Some(finding)
}
