//! The health check of one node does not reach another.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cluster::azure::at;
use crate::detectors::observed::{Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Need, Outcome, Severity};
use crate::facts::Place;

pub(super) const DETECTOR: Detector = Detector {
    id: "node-unreachable-from-peers",
    chapter: Chapter::Nodes,
    title: "Node unreachable from other nodes (cilium-health)",
    needs: &[HEALTH],
    explains: &["pods-cannot-reach-dns", "service-pods-not-ready"],
    doc: Doc {
        meaning: "Every Cilium agent probes all other nodes (ICMP, and HTTP on port 4240) and an endpoint on each. A node that is not reachable has no path for pod traffic either: connections between pods of the two nodes, DNS and Services among them, time out.",
        decision: "`cilium status` or `cilium-health status` names a node that is not reached, or counts fewer nodes reached than there are. Confirmed when the report shows the failed probe; likely when it only counts. ICMP alone may be filtered by an NSG: then HTTP answers, and the finding is possible.",
        action: "Check the NSGs and routes between the node subnets, TCP 4240 and ICMP, and the state of the node itself.",
        reference: "Cilium: Troubleshooting, Checking cluster connectivity health, https://docs.cilium.io/en/stable/operations/troubleshooting/.",
    },
    detect: Evaluation::Rule(detect),
};

const HEALTH: Need = Need {
    what: "the state of the Cilium agents, on clusters with Cilium",
    why: "each agent probes all other nodes",
    command: "kubectl exec -n kube-system ds/cilium -c cilium-agent -- cilium-health status > cilium-health.txt",
    met: |cluster| {
        cluster.facts.nodes.cilium_reports.iter().any(|(_, report)| report.reached.is_some())
            || has_no_cilium(cluster)
    },
};

/// The pods of the system were listed, and none is Cilium's.
fn has_no_cilium(cluster: &Cluster) -> bool {
    let mut system =
        cluster.facts.objects.pods.iter().filter(|(key, _)| &*key.namespace == "kube-system").peekable();
    cluster.facts.has_list("Pod")
        && system.peek().is_some()
        && !system.any(|(key, _)| key.name.starts_with("cilium"))
}

fn detect(cluster: &Cluster) -> Outcome {
    if cluster.facts.nodes.cilium_reports.is_empty() && has_no_cilium(cluster) {
        return Outcome {
            undecided: Some(
                "no report of a Cilium agent is in the bundle, and none of the pods listed in kube-system is Cilium's"
                    .to_owned(),
            ),
            ..Outcome::default()
        };
    }
    let mut peers: BTreeMap<(String, String), (Observed, bool)> = BTreeMap::new();
    let mut counted: BTreeMap<String, Observed> = BTreeMap::new();
    let reports = &cluster.facts.nodes.cilium_reports;
    let any_named = reports.iter().any(|(_, report)| !report.unreachable.is_empty());
    for (place, report) in reports.iter() {
        let from = report.node.as_deref().unwrap_or_default();
        for peer in &report.unreachable {
            // `cluster/node` in some versions.
            let short = peer.name.rsplit('/').next().unwrap_or(&peer.name).to_owned();
            let (observed, pings_only) =
                peers.entry((short, peer.address.to_string())).or_insert_with(|| (Observed::default(), true));
            *pings_only &= peer.pings_only;
            observed.count += 1;
            let place = Place { line: place.line + peer.line, ..place.clone() };
            observed.evidence.push(at(&place, &format!("node {}", peer.name), &peer.quote));
            observed.details.insert(peer.why.to_string());
            observed.hosts.extend(Some(from.to_owned()).filter(|from| !from.is_empty()));
        }
        if let Some((up, all)) = report.reached.filter(|(up, all)| up < all && !any_named) {
            let observed = counted.entry(from.to_owned()).or_default();
            observed.count += 1;
            observed.evidence.push(at(place, "Cluster health", &format!("{up}/{all} reachable")));
            observed.details.insert(format!("{up} of {all}"));
        }
    }
    let named = peers
        .into_iter()
        .filter_map(|((name, address), (observed, pings_only))| named(&name, &address, observed, pings_only));
    let rest = counted.into_iter().filter_map(|(from, observed)| only_counted(&from, observed));
    named.chain(rest).collect()
}

fn named(short: &str, address: &str, mut observed: Observed, pings_only: bool) -> Option<Finding> {
    let from = if observed.hosts.is_empty() {
        "another node".to_owned()
    } else {
        format!("node {}", listed(observed.hosts.iter().map(String::as_str), 3))
    };
    let why: Vec<&str> = observed.details.iter().map(String::as_str).collect();
    let why = listed(why.into_iter(), 2);
    let at_address = if address.is_empty() { String::new() } else { format!(" ({address})") };
    observed.hosts.clear();
    observed.nodes.insert(short.to_owned());
    let says = Wording {
        severity: if pings_only { Severity::Low } else { Severity::High },
        confidence: if pings_only { Confidence::Possible } else { Confidence::Confirmed },
        unit: "report",
        cause: format!(
            "The health check of {from} does not reach node {short}{at_address}: {why}.{}",
            if pings_only {
                " Only the ping fails, and HTTP is answered: a filter may drop pings alone, which does no harm."
            } else {
                " Connections between pods of the two nodes fail the same way."
            }
        ),
        fix: "Check whether the node runs and is Ready. If it does, find what stops packets between the nodes: NSG rules of the node subnets (allow VirtualNetwork), routes, a host firewall; TCP 4240 and ICMP are what the check uses, and with an overlay UDP 8472.".to_owned(),
        commands: vec![
            format!("kubectl get node {} -o wide", crate::detectors::shell(short)),
            "kubectl exec -n kube-system ds/cilium -c cilium-agent -- cilium-health status --probe".to_owned(),
        ],
        verify: vec!["kubectl exec -n kube-system ds/cilium -c cilium-agent -- cilium-dbg status | grep 'Cluster health'   # all reachable".to_owned()],
    };
    observed.finding(
        &DETECTOR,
        short,
        format!("Node {short}{at_address} unreachable from {from} (cilium-health)"),
        says,
    )
}

fn only_counted(from: &str, mut observed: Observed) -> Option<Finding> {
    let counts: Vec<&str> = observed.details.iter().map(String::as_str).collect();
    let counts = listed(counts.into_iter(), 2);
    let whose = if from.is_empty() { "A node".to_owned() } else { format!("Node {from}") };
    observed.nodes.extend(Some(from.to_owned()).filter(|from| !from.is_empty()));
    let says = Wording {
        severity: Severity::Medium,
        confidence: Confidence::Likely,
        unit: "report",
        cause: format!("The health check of Cilium reaches {counts} nodes; the report does not name the others."),
        fix: "Find out which nodes are not reached, and what stops packets to them: the node itself, NSG rules, routes.".to_owned(),
        commands: vec!["kubectl exec -n kube-system ds/cilium -c cilium-agent -- cilium-health status".to_owned()],
        verify: vec!["kubectl exec -n kube-system ds/cilium -c cilium-agent -- cilium-dbg status | grep 'Cluster health'   # all reachable".to_owned()],
    };
    observed.finding(&DETECTOR, from, format!("{whose} reaches {counts} nodes (Cilium cluster health)"), says)
}
