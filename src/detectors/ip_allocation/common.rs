//! What the detectors of this chapter share: their needs, and findings about nodes.

use std::collections::BTreeSet;

use crate::cluster::Cluster;
use crate::cluster::ipam::{AddressRefusals, Age, Exhaustion, NodeIpam, Orphan, Reason, Runtime};
use crate::detectors::details::{number, texts};
use crate::detectors::{
    Confidence, Detector, Finding, FindingState, LeakedAddress, Need, Severity, SubjectRef, observed, shell,
};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{Key, Signal, time};

/// The IPAM state of nodes.
pub(super) const BOOKS: Need = Need {
    what: "the IPAM state of each node (store or its listing)",
    why: "it lists every pod IP allocated on the node",
    command: "kubectl get nnc -n kube-system -o json > nnc.json   # Azure CNI with dynamic addresses\nfor node in $(kubectl get nodes -o name); do kubectl debug $node -i --image=mcr.microsoft.com/azure-cli -- chroot /host sh -c 'ls -la --full-time /var/lib/cni/networks/*/; cat /var/run/azure-vnet-ipam.json; curl -s localhost:10090/debug/ipaddresses -d \"{\\\"IPConfigStateFilter\\\":[\\\"Assigned\\\",\\\"Available\\\"]}\"; crictl pods -o json' > ipam-${node#node/}.txt; done",
    met: |cluster| !cluster.ledger.books.is_empty(),
};

/// The pods.
pub(super) const PODS: Need = Need {
    what: "the pods of all namespaces",
    why: "an IP is leaked when no running pod on its node has it",
    command: "kubectl get pods -A -o json > pods.json",
    met: |cluster| {
        !cluster.facts.objects.pods.is_empty() || cluster.ledger.books.iter().any(|books| books.pods_known)
    },
};

/// Formats of logs in which the kubelet or the CNI plugin reports a refused address.
const OF_NODES: &[&str] = &["journal", "journal-json", "klog", "go-log"];

/// Where refused addresses are reported.
pub(super) const REFUSALS: Need = Need {
    what: "events, or logs of the kubelet and the CNI plugin",
    why: "they show when a pod was refused an address, and why",
    command: "kubectl get events -A -o json > events.json",
    met: |cluster| {
        cluster.facts.events.read > 0
            || cluster.facts.signals.map.iter().any(|(key, _)| key.signal.refuses_a_pod())
            || cluster.facts.coverage.entries.values().any(|entry| entry.formats.has_any(OF_NODES))
    },
};

/// The cluster as Azure describes it.
pub(super) const AZURE: Need = Need {
    what: "the cluster and its subnets, as Azure describes them",
    why: "node pools, their maximum count and the IP ranges are needed to calculate capacity",
    command: "az aks show -g RESOURCE_GROUP -n CLUSTER -o json > aks.json\naz network vnet list -o json > vnets.json",
    met: |cluster| cluster.ledger.subnets.described || !cluster.ledger.subnets.all.is_empty(),
};

/// Nodes that have a finding each; the others share one.
const ONE_BY_ONE: usize = 20;
/// How many addresses a finding names; the rest is counted.
pub(super) const NAMED: usize = 250;

/// One finding for each of the worst nodes, and one for all others, so that a cluster of thousands of nodes
/// stays readable.
pub(super) fn per_node(
    cluster: &Cluster,
    reason: Reason,
    detector: &'static Detector,
    what: &str,
    item: impl Fn(&Exhaustion, Option<&NodeIpam>) -> Option<Finding>,
) -> Vec<Finding> {
    let ledger = &cluster.ledger;
    let books = |found: &Exhaustion| found.books.and_then(|at| ledger.books.get(at));
    let mut all: Vec<&Exhaustion> =
        ledger.exhaustions.iter().filter(|found| found.reason == reason).collect();
    all.sort_by_cached_key(|found| {
        let leaked = books(found).map_or(0, |books| books.leaked().count() as u64);
        (std::cmp::Reverse((found.sure, leaked.max(found.refused.count))), found.node.clone())
    });
    let (over, all): (Vec<&Exhaustion>, Vec<&Exhaustion>) =
        all.into_iter().partition(|found| found.books.is_none() && have_come_up(cluster, &found.refused));
    let mut findings: Vec<Finding> =
        all.iter().take(ONE_BY_ONE).filter_map(|found| item(found, books(found))).collect();
    let ended = over.iter().take(ONE_BY_ONE).filter_map(|found| item(found, None));
    findings.extend(ended.map(|mut finding| {
        finding.title = format!("{}, ended", finding.title);
        (finding.severity, finding.confidence) = (Severity::Low, Confidence::Possible);
        finding.state = FindingState::Ended;
        finding
    }));
    let rest: Vec<&&Exhaustion> = all.iter().skip(ONE_BY_ONE).collect();
    if let (Some(sample), false) = (findings.last().cloned(), rest.is_empty()) {
        let nodes: Vec<&str> = rest.iter().map(|found| found.node.as_str()).collect();
        let evidence: Vec<Evidence> = rest
            .iter()
            .flat_map(|found| {
                found
                    .refused
                    .evidence
                    .iter()
                    .chain(books(found).into_iter().flat_map(|books| &books.evidence))
            })
            .take(EXAMPLES)
            .cloned()
            .collect();
        let title = format!("{} more nodes: {what}", rest.len());
        if let Some(mut finding) = Finding::new(detector.id, "more nodes", title, evidence) {
            finding.severity = sample.severity;
            finding.confidence = rest.iter().map(|found| found.sure).min().unwrap_or(sample.confidence);
            finding.count = rest.len() as u64;
            finding.unit = "node";
            finding.cause = format!("Same as on the {ONE_BY_ONE} nodes above, which are the worst.");
            "As on the nodes above.".clone_into(&mut finding.fix.text);
            finding.details.common.nodes = texts(&nodes);
            findings.push(finding);
        }
    }
    findings
}

/// Whether all pods that were refused an address run by now.
fn have_come_up(cluster: &Cluster, refused: &AddressRefusals) -> bool {
    let key = |label: &String| {
        let (namespace, name) = label.split_once('/').unwrap_or(("", label));
        Key::new(namespace, name)
    };
    let pods: BTreeSet<Key> = refused.pods.iter().map(key).collect();
    !refused.nameless && observed::have_come_up(cluster, &pods, refused.span)
}

/// A finding about a node, with its refusals and its pods.
pub(super) fn about_node(
    detector: &'static Detector,
    found: &Exhaustion,
    books: Option<&NodeIpam>,
    title: String,
    mut places: Vec<Evidence>,
) -> Option<Finding> {
    places.extend(found.refused.evidence.iter().take(3).cloned());
    // The addresses themselves say more than the store as a whole.
    if places.is_empty() || books.is_some_and(|books| books.orphans.is_empty()) {
        places.extend(books.into_iter().flat_map(|books| &books.evidence).take(2).cloned());
    }
    places.dedup();
    places.truncate(EXAMPLES + 3);
    let network = books.map_or("", |books| books.network.as_str());
    let mut finding = Finding::new(detector.id, &format!("{} {network}", found.node), title, places)?;
    finding.confidence = found.sure;
    finding.count = found.refused.count.max(1);
    finding.unit = "refusal";
    finding.seen(found.refused.span);
    finding.subjects = subjects(&found.node, &found.refused);
    finding.details.ip_allocation.refusals = number(found.refused.count);
    if !found.refused.pods.is_empty() {
        finding.details.ip_allocation.pods_refused = texts(&found.refused.pods);
    }
    if let Some(books) = books {
        details(books, &mut finding);
    }
    Some(finding)
}

/// The node and the pods that were refused.
pub(super) fn subjects(node: &str, refused: &AddressRefusals) -> Vec<SubjectRef> {
    let mut all = Vec::new();
    if !node.is_empty() && !node.starts_with('(') {
        all.push(SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.to_owned() });
    }
    all.extend(refused.pods.iter().filter_map(|pod| pod.split_once('/')).map(|(namespace, name)| {
        SubjectRef { kind: "Pod".to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }));
    all
}

/// `node x`, or what there is instead.
pub(super) fn on_node(node: &str) -> String {
    if let Some(pool) = node.strip_prefix("(no node, pool ").and_then(|of| of.strip_suffix(')')) {
        return format!("IP pool {pool}");
    }
    match node.strip_prefix("(unknown node of ").and_then(|of| of.strip_suffix(')')) {
        Some(of) => format!("Unidentified node of {of}"),
        None if node.is_empty() || node.starts_with('(') => "Unidentified node".to_owned(),
        None => format!("Node {node}"),
    }
}

/// The node in a command.
pub(super) fn node_word(node: &str) -> String {
    if node.is_empty() || node.starts_with('(') { "NODE".to_owned() } else { shell(node) }
}

/// `a/b, c/d and 3 more`.
pub(super) fn some<'a>(all: impl ExactSizeIterator<Item = &'a String>) -> String {
    let count = all.len();
    let named: Vec<&str> = all.take(4).map(|name| name.trim_start_matches('/')).collect();
    let rest = count - named.len();
    if rest > 0 { format!("{} and {rest} more", named.join(", ")) } else { named.join(", ") }
}

/// ` Pods were refused 40 times between … and …: a/b, c/d.`, or nothing.
pub(super) fn refused_words(refused: &AddressRefusals) -> String {
    if refused.count == 0 {
        return String::new();
    }
    let times = if refused.count == 1 { "once".to_owned() } else { format!("{} times", refused.count) };
    let between = refused.span.map_or_else(String::new, |(first, last)| {
        if first == last {
            format!(" at {}", time::show(first))
        } else {
            format!(" between {} and {}", time::show(first), time::show(last))
        }
    });
    let pods =
        if refused.pods.is_empty() { String::new() } else { format!(": {}", some(refused.pods.iter())) };
    format!(" Pods were refused an address {times}{between}{pods}.")
}

/// How long refusals went on, in minutes.
pub(super) fn minutes(refused: &AddressRefusals) -> Option<i64> {
    refused.span.map(|(first, last)| (last - first) / 60_000_000)
}

/// An address of which `calicoctl ipam check` tells no more than the attributes of its allocation.
pub(super) fn leaked_of_calicoctl((ip, attributes): &(std::net::IpAddr, Box<str>)) -> LeakedAddress {
    let pod = Some(attributes.to_string()).filter(|attributes| !attributes.is_empty());
    LeakedAddress { ip: ip.to_string(), pod, sandbox: None, reserved: None, runtime: None }
}

fn leaked(orphan: &Orphan) -> LeakedAddress {
    LeakedAddress {
        ip: orphan.ip.to_string(),
        pod: orphan.owner.as_deref().map(str::to_owned),
        sandbox: orphan.sandbox.as_deref().map(str::to_owned),
        reserved: orphan.written.map(time::rfc3339_text),
        runtime: match orphan.runtime {
            Runtime::NotAsked => None,
            Runtime::Gone => Some("does not know this sandbox".to_owned()),
            Runtime::Ended => Some("has this sandbox, ended".to_owned()),
        },
    }
}

/// The books in a finding.
pub(super) fn details(books: &NodeIpam, finding: &mut Finding) {
    finding.details.ip_allocation.ipam = Some(books.ipam.label().to_string());
    finding.details.ip_allocation.network = Some(books.network.clone());
    finding.details.ip_allocation.store = Some(books.place.clone());
    if !books.also.is_empty() {
        finding.details.ip_allocation.also_seen = texts(&books.also);
    }
    finding.details.ip_allocation.node_known_by = Some(books.node_known_by.to_string());
    finding.details.ip_allocation.in_use = books.pods_known.then_some(books.pods).and_then(number);
    finding.details.ip_allocation.max_pods = books.max_pods.and_then(number);
    finding.details.ip_allocation.waiting_pods = number(books.waiting);
    finding.details.ip_allocation.ranges = texts(&books.ranges);
    finding.details.ip_allocation.counted_by_hand = books.counted;
    if let Some(lease) = &books.lease {
        finding.details.ip_allocation.allocated = lease.allocated;
        finding.details.ip_allocation.capacity = lease.allocated;
        finding.details.ip_allocation.requested = lease.requested;
        finding.details.ip_allocation.subnet = Some(lease.subnet.clone());
        finding.details.ip_allocation.container_status = Some(lease.status.clone());
        finding.details.ip_allocation.normal_spare = number(lease.normal_spare);
        if !lease.unheld.is_empty() {
            finding.details.ip_allocation.not_held_by_a_pod = texts(lease.unheld.iter().take(NAMED));
        }
        return;
    }
    finding.details.ip_allocation.allocated = number(books.allocated());
    finding.details.ip_allocation.capacity = books.capacity();
    finding.details.ip_allocation.matched = number(books.matched);
    finding.details.ip_allocation.ages_known = Some(books.aged);
    if !books.elsewhere.is_empty() {
        finding.details.ip_allocation.held_by_pods_of_other_nodes =
            texts(books.elsewhere.iter().take(NAMED).map(|(ip, _)| ip));
    }
    if books.pods_known && !books.counted {
        let all = books.leaked().count();
        finding.details.ip_allocation.leaked = books.leaked().take(NAMED).map(leaked).collect();
        finding.details.ip_allocation.leaked_not_named = number(all.saturating_sub(NAMED));
        let young = books.orphans.iter().filter(|orphan| orphan.age == Age::Young).count();
        if young > 0 {
            finding.details.ip_allocation.young_and_left_out = number(young);
        }
    }
}

/// The tallies of a text, one by one.
pub(super) fn observed_refusals(
    cluster: &Cluster,
    signal: Signal,
) -> impl Iterator<Item = (&crate::facts::SignalKey, &crate::facts::LineTally)> {
    cluster.facts.signals.map.iter().filter(move |(key, _)| key.signal == signal)
}
