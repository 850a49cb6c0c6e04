//! A node's iptables or nftables have no rules for services that have endpoints.

use std::collections::BTreeMap;

use super::common::{self, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::policy::EngineKind;
use crate::detectors::details::texts;
use crate::detectors::observed::listed;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity, SubjectRef, shell,
};
use crate::evidence::{Evidence, excerpt};
use crate::facts::{Key, PacketFilter};

pub(super) const DETECTOR: Detector = Detector {
    id: "service-rules-missing",
    chapter: Chapter::Service,
    title: "iptables service rules missing or outdated on a node; kube-proxy not synced",
    needs: &[FILTERS, SERVICES],
    explains: &["connection-failing"],
    doc: Doc {
        meaning: "kube-proxy writes rules on each node that route Service IPs to pods. The node's iptables or nftables have the rules of some Services and not of others, or none: kube-proxy does not run there, has not synced, or something flushed the tables.",
        decision: "The node's iptables-save or nft listing has kube-proxy's chains; Services with a cluster IP and published endpoints that are not in it are named; so are services whose rules reject them or lead to none of their endpoints. Likely, since Services and rules are collected one after the other. Clusters with the Cilium dataplane have no such rules by design.",
        action: "Read kube-proxy's log on the node, and restart kube-proxy.",
        reference: "Kubernetes: Debug Services, Is kube-proxy writing iptables rules?",
    },
    detect: Evaluation::Rule(detect),
};

const FILTERS: Need = Need {
    what: "iptables-save or nft list ruleset of a node",
    why: "it shows the Service rules that kube-proxy wrote",
    command: "kubectl debug node/NODE -i --image=mcr.microsoft.com/azure-cli -- chroot /host iptables-save > iptables-save-NODE.txt",
    met: |cluster| {
        cluster.facts.nodes.packet_filters.iter().any(|(_, filter)| &*filter.tool != "iptables -L")
    },
};

fn detect(cluster: &Cluster) -> Outcome {
    if cluster.policies.engine.kind == EngineKind::Cilium {
        return Outcome::default();
    }
    // A large dump comes in parts.
    let mut nodes: BTreeMap<&str, (PacketFilter, u64)> = BTreeMap::new();
    for (place, filter) in cluster.facts.nodes.packet_filters.iter() {
        if &*filter.tool == "iptables -L" {
            continue;
        }
        let (whole, line) =
            nodes.entry(&place.source).or_insert_with(|| (PacketFilter::default(), place.line));
        whole.node = whole.node.take().or_else(|| filter.node.clone());
        whole.rules += filter.rules;
        whole.of_kube_proxy |= filter.of_kube_proxy;
        whole.service_chains += filter.service_chains;
        if whole.tool.is_empty() {
            whole.tool.clone_from(&filter.tool);
        }
        whole.services.extend(filter.services.iter().cloned());
        whole.no_endpoints.extend(filter.no_endpoints.iter().cloned());
        whole.leads_to.extend(filter.leads_to.iter().cloned());
        *line = (*line).min(place.line);
    }
    // The tables of one family hold no rules for the other.
    let (v4, v6) = (wanted(cluster, false), wanted(cluster, true));
    let of = |tool: &str| if tool.starts_with("ip6") { &v6 } else { &v4 };
    let outdated = nodes
        .iter()
        .filter_map(|(source, (filter, line))| outdated(cluster, of(&filter.tool), source, *line, filter));
    let missing =
        nodes.iter().filter_map(|(source, (filter, line))| finding(of(&filter.tool), source, *line, filter));
    outdated.chain(missing).collect()
}

/// How the rules of a service differ from its endpoints.
fn differs(cluster: &Cluster, key: &Key, filter: &PacketFilter) -> Option<String> {
    let name = key.label();
    let published = cluster.services.all.get(key)?.published.as_ref()?;
    let endpoints = listed(
        published.ready.iter().map(ToString::to_string).collect::<Vec<_>>().iter().map(String::as_str),
        3,
    );
    let rejects = filter
        .no_endpoints
        .iter()
        .any(|port| port.rsplit_once(':').map_or(&**port, |(service, _)| service) == name);
    if rejects {
        return Some(format!("{name} is rejected (has no endpoints), its endpoints are {endpoints}"));
    }
    let leads: Vec<String> = filter
        .leads_to
        .iter()
        .filter(|(service, _)| **service == *name)
        .map(|(_, address)| address.to_string())
        .collect();
    let current = published.ready.iter().any(|address| leads.contains(&address.to_string()));
    // Endpoints change while rules and endpoints are collected: only rules that lead to none of them are outdated.
    (!leads.is_empty() && !current).then(|| {
        format!(
            "{name} leads to {}, its endpoints are {endpoints}",
            listed(leads.iter().map(String::as_str), 3)
        )
    })
}

fn outdated(
    cluster: &Cluster,
    wanted: &[&Key],
    source: &str,
    line: u64,
    filter: &PacketFilter,
) -> Option<Finding> {
    let services: Vec<(&Key, String)> =
        wanted.iter().filter_map(|key| Some((*key, differs(cluster, key, filter)?))).collect();
    let (_, first) = services.first()?;
    let node = filter.node.as_deref().unwrap_or_default();
    let whose = if node.is_empty() { format!("Node of {source}") } else { format!("Node {node}") };
    let more = if services.len() > 1 { format!(" and {} more", services.len() - 1) } else { String::new() };
    let title = format!("{whose}: outdated service rules: {first}{more}");
    let place = Evidence {
        source: source.into(),
        line,
        pointer: Some("packet filter".into()),
        excerpt: excerpt(first.as_bytes()),
    };
    let id = format!("{} outdated", if node.is_empty() { source } else { node });
    let mut finding = Finding::new(DETECTOR.id, &id, title, vec![place])?;
    finding.severity = Severity::High;
    finding.confidence = Confidence::Likely;
    finding.count = services.len() as u64;
    finding.unit = "service";
    if !node.is_empty() {
        finding.subjects =
            vec![SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.to_owned() }];
    }
    finding.subjects.extend(services.iter().take(50).map(|(key, _)| common::subject("Service", key)));
    finding.cause = format!(
        "kube-proxy on this node does not follow the endpoints: {}. Connections from this node to the service fail or time out, and work from other nodes.",
        listed(services.iter().map(|(_, words)| words.as_str()), 3)
    );
    finding.fix = restart();
    finding.verify = services
        .first()
        .map(|(key, _)| {
            format!(
                "iptables-save -t nat | grep {}   # on the node: leads to the endpoints",
                shell(&key.label())
            )
        })
        .into_iter()
        .collect();
    Some(finding)
}

/// Of a kube-proxy that does not do its work.
fn restart() -> Fix {
    Fix {
        text: "Read kube-proxy's log on this node. A restart writes all rules again; it restarts kube-proxy on all nodes, one after the other, and existing rules stay in place meanwhile.".to_owned(),
        commands: vec![
            "kubectl logs -n kube-system -l component=kube-proxy --prefix --tail=100".to_owned(),
            "kubectl rollout restart daemonset kube-proxy -n kube-system".to_owned(),
        ],
        manifests: Vec::new(),
    }
}

/// Services that should have rules: with an address of the family and ready endpoints.
fn wanted(cluster: &Cluster, v6: bool) -> Vec<&Key> {
    let services = cluster.services.all.iter().filter(|(key, state)| {
        let seen = cluster.facts.objects.services.get(&key.namespace, &key.name);
        let address = seen.and_then(|seen| seen.object.spec.cluster_ip.parse::<std::net::IpAddr>().ok());
        let address = address.is_some_and(|address| address.is_ipv6() == v6);
        let published = state.published.as_ref().is_some_and(|published| !published.ready.is_empty());
        address && published
    });
    services.map(|(key, _)| key).collect()
}

fn finding(wanted: &[&Key], source: &str, line: u64, filter: &PacketFilter) -> Option<Finding> {
    let named = |key: &&&Key| filter.services.contains(key.label().as_str());
    let missing: Vec<&&Key> = wanted.iter().filter(|key| !named(key)).collect();
    let found = wanted.len() - missing.len();
    // Rules of another cluster, or only a part of the tables: nothing of these services is in it.
    if missing.is_empty() || !filter.of_kube_proxy {
        return None;
    }
    let none = filter.services.is_empty();
    // Rules that name no service, as those of `nft list ruleset` without comments: which services they are of is not told.
    let unnamed = none && &*filter.tool == "nft" && filter.service_chains > 0;
    if (found == 0 && !none) || unnamed {
        return None;
    }
    let node = filter.node.as_deref().unwrap_or_default();
    let whose = if node.is_empty() { format!("Node of {source}") } else { format!("Node {node}") };
    let some: Vec<String> = missing.iter().take(5).map(|key| key.label()).collect();
    let title = format!(
        "{whose}: service rules missing for {} of {} services with endpoints ({})",
        missing.len(),
        wanted.len(),
        some.join(", ")
    );
    let place = Evidence {
        source: source.into(),
        line,
        pointer: Some("packet filter".into()),
        excerpt: excerpt(format!("{} rules, {} services", filter.rules, filter.services.len()).as_bytes()),
    };
    let mut finding =
        Finding::new(DETECTOR.id, if node.is_empty() { source } else { node }, title, vec![place])?;
    finding.severity = Severity::High;
    finding.confidence = Confidence::Likely;
    finding.count = missing.len() as u64;
    finding.unit = "service";
    if !node.is_empty() {
        finding.subjects =
            vec![SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.to_owned() }];
    }
    finding.subjects.extend(missing.iter().take(50).map(|key| common::subject("Service", key)));
    finding.details.service.without_rules = texts(missing.iter().take(100).map(|key| key.label()));
    finding.cause = if none {
        "kube-proxy's chains exist without rules for any service: kube-proxy has not synced, or the tables were flushed.".to_owned()
    } else {
        format!(
            "The node has rules for {found} of {} services with endpoints: kube-proxy has not synced the others, or something removed their rules.",
            wanted.len()
        )
    };
    finding.fix = restart();
    finding.verify = missing
        .first()
        .map(|key| {
            format!("iptables-save -t nat | grep {}   # on the node: prints its rules", shell(&key.label()))
        })
        .into_iter()
        .collect();
    Some(finding)
}
