//! A node's iptables or nftables have no rules for services that have endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

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
        meaning: "kube-proxy writes rules on each node that route Service IPs to pods; Cilium keeps a table of its own in its place. The node's iptables, nftables, IPVS or Cilium tables have some Services and not others, or none: kube-proxy (or Cilium's agent) does not run there, has not synced, or something flushed the tables.",
        decision: "The node's iptables-save or nft listing has kube-proxy's chains, or ipvsadm's, `cilium service list`'s or `cilium bpf lb list`'s table is there; Services with a cluster IP and published endpoints that are not in it are named; so are services whose rules reject them or lead to none of their endpoints. Likely, since Services and rules are collected one after the other. Clusters with the Cilium dataplane have no iptables rules by design.",
        action: "Read the log of kube-proxy, or of Cilium's agent, on the node, and restart it.",
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

/// Whether a table is Cilium's, which stands in for kube-proxy.
fn of_cilium(filter: &PacketFilter) -> bool {
    filter.tool.starts_with("cilium")
}

fn detect(cluster: &Cluster) -> Outcome {
    let by_cilium = cluster.policies.engine.kind == EngineKind::Cilium;
    // A large dump comes in parts.
    let mut nodes: BTreeMap<(&str, &str), (PacketFilter, u64)> = BTreeMap::new();
    for (place, filter) in cluster.facts.nodes.packet_filters.iter() {
        if &*filter.tool == "iptables -L" || by_cilium && !of_cilium(filter) {
            continue;
        }
        let (whole, line) = nodes
            .entry((&place.source, &filter.tool))
            .or_insert_with(|| (PacketFilter::default(), place.line));
        whole.node = whole.node.take().or_else(|| filter.node.clone());
        whole.rules += filter.rules;
        whole.of_kube_proxy |= filter.of_kube_proxy;
        whole.of_ipvs |= filter.of_ipvs;
        whole.service_chains += filter.service_chains;
        if whole.tool.is_empty() {
            whole.tool.clone_from(&filter.tool);
        }
        whole.services.extend(filter.services.iter().cloned());
        whole.no_endpoints.extend(filter.no_endpoints.iter().cloned());
        whole.leads_to.extend(filter.leads_to.iter().cloned());
        whole.addresses.extend(&filter.addresses);
        whole.address_leads_to.extend(&filter.address_leads_to);
        *line = (*line).min(place.line);
    }
    // The tables of one family hold no rules for the other.
    let (v4, v6) = (wanted(cluster, false), wanted(cluster, true));
    let of = |tool: &str| if tool.starts_with("ip6") { &v6 } else { &v4 };
    let outdated = nodes.iter().filter_map(|((source, _), (filter, line))| {
        outdated(cluster, of(&filter.tool), source, *line, filter)
    });
    let missing = nodes
        .iter()
        .filter_map(|((source, _), (filter, line))| finding(of(&filter.tool), source, *line, filter));
    outdated.chain(missing).collect()
}

/// How the rules of a service differ from its endpoints.
fn differs(cluster: &Cluster, (key, address): &ServiceAddress<'_>, filter: &PacketFilter) -> Option<String> {
    let name = key.label();
    let published = cluster.services.all.get(*key)?.published.as_ref()?;
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
    let by_name = filter.leads_to.iter().filter(|(service, _)| **service == *name).map(|(_, pod)| pod);
    let by_address =
        filter.address_leads_to.iter().filter(|(service, _)| service == address).map(|(_, pod)| pod);
    let leads: BTreeSet<String> = by_name.chain(by_address).map(ToString::to_string).collect();
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
    wanted: &[ServiceAddress<'_>],
    source: &str,
    line: u64,
    filter: &PacketFilter,
) -> Option<Finding> {
    let services: Vec<(&Key, String)> =
        wanted.iter().filter_map(|item| Some((item.0, differs(cluster, item, filter)?))).collect();
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
        "{} on this node does not follow the endpoints: {}. Connections from this node to the service fail or time out, and work from other nodes.",
        if of_cilium(filter) { "Cilium" } else { "kube-proxy" },
        listed(services.iter().map(|(_, words)| words.as_str()), 3)
    );
    finding.fix = restart(filter);
    let first = services.first().and_then(|(key, _)| wanted.iter().find(|(item, _)| item == key));
    finding.verify = first.map(|item| look(filter, item, "leads to the endpoints")).into_iter().collect();
    Some(finding)
}

/// The command that shows a service in the table it was read from, and what must be seen.
fn look(filter: &PacketFilter, (key, address): &ServiceAddress<'_>, seen: &str) -> String {
    match &*filter.tool {
        "ipvsadm" => format!("ipvsadm -L -n | grep -A 5 {address}   # on the node: {seen}"),
        "nft" if filter.services.is_empty() => {
            format!("nft list ruleset | grep {address}   # on the node: {seen}")
        }
        _ if of_cilium(filter) => format!(
            "kubectl exec -n kube-system ds/cilium -- cilium-dbg service list | grep -A 5 {address}   # in the pod of this node: {seen}"
        ),
        _ => format!("iptables-save -t nat | grep {}   # on the node: {seen}", shell(&key.label())),
    }
}

/// Of a kube-proxy, or a Cilium in its place, that does not do its work.
fn restart(filter: &PacketFilter) -> Fix {
    if of_cilium(filter) {
        return Fix {
            text: "Read the log of Cilium's agent on this node. A restart reads all Services and endpoints again; it restarts the agents of all nodes, one after the other, and existing connections stay meanwhile.".to_owned(),
            commands: vec![
                "kubectl logs -n kube-system -l k8s-app=cilium -c cilium-agent --prefix --tail=100".to_owned(),
                "kubectl rollout restart daemonset cilium -n kube-system".to_owned(),
            ],
            manifests: Vec::new(),
        };
    }
    Fix {
        text: "Read kube-proxy's log on this node. A restart writes all rules again; it restarts kube-proxy on all nodes, one after the other, and existing rules stay in place meanwhile.".to_owned(),
        commands: vec![
            "kubectl logs -n kube-system -l component=kube-proxy --prefix --tail=100".to_owned(),
            "kubectl rollout restart daemonset kube-proxy -n kube-system".to_owned(),
        ],
        manifests: Vec::new(),
    }
}

/// A service and its cluster address.
type ServiceAddress<'a> = (&'a Key, IpAddr);

/// Services that should have rules: with an address of the family and ready endpoints.
fn wanted(cluster: &Cluster, v6: bool) -> Vec<ServiceAddress<'_>> {
    let services = cluster.services.all.iter().filter_map(|(key, state)| {
        let seen = cluster.facts.objects.services.get(&key.namespace, &key.name)?;
        let address: IpAddr = seen.object.spec.cluster_ip.parse().ok()?;
        let published = state.published.as_ref().is_some_and(|published| !published.ready.is_empty());
        (address.is_ipv6() == v6 && published).then_some((key, address))
    });
    services.collect()
}

fn finding(wanted: &[ServiceAddress<'_>], source: &str, line: u64, filter: &PacketFilter) -> Option<Finding> {
    let named = |(key, address): &&ServiceAddress<'_>| {
        filter.services.contains(key.label().as_str()) || filter.addresses.contains(address)
    };
    let missing: Vec<&ServiceAddress<'_>> = wanted.iter().filter(|item| !named(item)).collect();
    let found = wanted.len() - missing.len();
    // Rules of another cluster, or only a part of the tables: nothing of these services is in it.
    // An empty table of IPVS is what a node in another mode has, and iptables in IPVS mode lead to sets.
    let other_mode = &*filter.tool == "ipvsadm" && filter.addresses.is_empty() || filter.of_ipvs;
    if missing.is_empty() || !filter.of_kube_proxy || other_mode {
        return None;
    }
    let none = filter.services.is_empty() && filter.addresses.is_empty();
    // Rules that name no service, as those of `nft list ruleset` without comments: which services they are of is not told.
    let unnamed = none && &*filter.tool == "nft" && filter.service_chains > 0;
    if (found == 0 && !none) || unnamed {
        return None;
    }
    let node = filter.node.as_deref().unwrap_or_default();
    let whose = if node.is_empty() { format!("Node of {source}") } else { format!("Node {node}") };
    let some: Vec<String> = missing.iter().take(5).map(|(key, _)| key.label()).collect();
    let title = format!(
        "{whose}: rules missing for {} of {} services ({})",
        missing.len(),
        wanted.len(),
        some.join(", ")
    );
    let place = Evidence {
        source: source.into(),
        line,
        pointer: Some("packet filter".into()),
        excerpt: excerpt(
            format!("{} rules, {} services", filter.rules, filter.services.len().max(filter.addresses.len()))
                .as_bytes(),
        ),
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
    finding.subjects.extend(missing.iter().take(50).map(|(key, _)| common::subject("Service", key)));
    finding.details.service.without_rules = texts(missing.iter().take(100).map(|(key, _)| key.label()));
    let by = if of_cilium(filter) { "Cilium" } else { "kube-proxy" };
    finding.cause = if none {
        format!(
            "{by}'s tables exist without entries for any service: it has not synced, or the tables were flushed."
        )
    } else {
        format!(
            "The node has rules for {found} of {} services with endpoints: {by} has not synced the others, or something removed their rules.",
            wanted.len()
        )
    };
    finding.fix = restart(filter);
    finding.verify = missing.first().map(|item| look(filter, item, "prints its rules")).into_iter().collect();
    Some(finding)
}
