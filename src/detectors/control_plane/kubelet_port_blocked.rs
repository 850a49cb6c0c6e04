//! The kubelet's port is closed to those who may ask it.

use std::collections::BTreeSet;

use super::{FLAPPING, requests_to_kubelets, restarts, tunnel_agents};
use crate::cluster::Cluster;
use crate::cluster::azure::{Far, Filtered, at};
use crate::cluster::reachability::{What, Who};
use crate::detectors::needs::{CLIENT_ERRORS, PODS};
use crate::detectors::observed::{Observed, Wording, listed, node_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "kubelet-port-blocked",
    chapter: Chapter::ControlPlane,
    title: "kubelet port 10250 blocked (logs, exec and metrics fail)",
    needs: &[CLIENT_ERRORS, PODS],
    explains: &["metrics-api-unavailable"],
    doc: Doc {
        meaning: "For kubectl logs, exec, port-forward and top, a konnectivity agent connects to TCP 10250 of the node's kubelet; metrics-server does the same. An NSG or a firewall on the node (ufw, iptables) that blocks this port makes logs and exec fail ('dial tcp NODE_IP:10250: i/o timeout') for pods of some nodes and not of others.",
        decision: "Failed requests to kubelets while all konnectivity agents are ready, or an NSG of the nodes that denies TCP 10250 within the virtual network. Confirmed when the bundle has the NSG rule and failures; likely with failures alone, or with the rule alone (a risk). Where the agents are not in the bundle, see tunnel-down.",
        action: "Allow TCP 10250 within the node subnets.",
        reference: "learn.microsoft.com: TCP time-outs such as 'dial tcp <Node_IP>:10250: i/o timeout' (AKS troubleshooting).",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut agents = tunnel_agents(cluster).filter(|(_, seen)| !seen.object.ended()).peekable();
    let agents_ready = agents.peek().is_some()
        && agents.all(|(_, seen)| seen.object.is_ready() && restarts(&seen.object) < FLAPPING);
    let denial = cluster.azure.node_groups().into_iter().find_map(|group| {
        match group.filter(true, Far::Network, "tcp", 10250) {
            Filtered::Denied(rule) => Some((group, rule, group.place.clone()?)),
            _ => None,
        }
    });
    let given = requests_to_kubelets(cluster);
    let failing = given.is_some();
    if denial.is_none() && !failing {
        return by_pods(cluster).into_iter().collect();
    }
    if denial.is_none() && !(failing && agents_ready) {
        return Outcome::default();
    }
    let mut observed = given.unwrap_or_default();
    let over = denial.is_none() && observed.is_over(cluster);
    if let Some((group, rule, place)) = &denial {
        observed.show_first([at(
            place,
            &format!("NSG {}, rule {}", group.name, rule.name),
            &format!("priority {}, Inbound, Deny, port 10250", rule.priority),
        )]);
    }
    let addresses: BTreeSet<String> = observed.details.iter().chain(&observed.hosts).cloned().collect();
    let question: Vec<String> = cluster
        .facts
        .objects
        .nodes
        .iter()
        .filter(|(key, seen)| {
            addresses.iter().any(|ours| {
                **ours == *key.name
                    || seen.object.status.addresses.iter().any(|address| *address.address == **ours)
            })
        })
        .map(|(key, _)| key.name.to_string())
        .collect();
    let names = if question.is_empty() {
        listed(addresses.iter().map(String::as_str), 3)
    } else {
        listed(question.iter().map(String::as_str), 3)
    };
    let to = if names.is_empty() { String::new() } else { format!(" of {names}") };
    let (severity, confidence) = match (over, denial.is_some(), failing) {
        (true, ..) => (Severity::Low, Confidence::Possible),
        (_, true, true) => (Severity::High, Confidence::Confirmed),
        (_, true, false) => (Severity::Medium, Confidence::Likely),
        _ => (Severity::High, Confidence::Likely),
    };
    let by = denial.as_ref().map_or_else(
        || " The konnectivity agents are ready, so check the path from them to the kubelet: an NSG between node subnets, a firewall on the node (ufw, iptables), or the kubelet's serving certificate.".to_owned(),
        |(group, rule, _)| format!(" Rule {} (priority {}) of NSG {} denies TCP 10250 within the virtual network.", rule.name, rule.priority, group.name),
    );
    let failures = if failing {
        format!("Requests to the kubelet{to} (port 10250) failed{}.", observed.when())
    } else {
        "No failed request to a kubelet is in the bundle.".to_owned()
    };
    let says = Wording {
        severity,
        confidence,
        unit: if failing { "failed request" } else { "rule" },
        cause: format!("{failures}{by}"),
        fix: "Allow TCP 10250 within the virtual network with an NSG rule of a lower priority number than the denying rule; on the node, remove the ufw or iptables rule. AKS does not support a firewall on nodes.".to_owned(),
        commands: vec![
            format!("az network nsg rule create -g GROUP --nsg-name {} -n allow-kubelet --priority {} --direction Inbound --access Allow --protocol Tcp --destination-port-ranges 10250 --source-address-prefixes VirtualNetwork", denial.as_ref().map_or_else(|| "NSG".to_owned(), |(group, ..)| shell(&group.name)), denial.as_ref().map_or(110, |(_, rule, _)| rule.priority.saturating_sub(1).max(100))),
            "ufw status   # on the node".to_owned(),
            "iptables -L INPUT -n | grep 10250   # on the node".to_owned(),
        ],
        verify: vec!["kubectl logs POD -n NAMESPACE --tail=1   # a pod on that node: prints a line".to_owned()],
    };
    let title = match &denial {
        Some((group, rule, _)) if failing => {
            format!("kubelet port 10250{to} blocked by NSG {} (rule {})", group.name, rule.name)
        }
        Some((group, rule, _)) => {
            format!("NSG {} denies kubelet port 10250 (rule {})", group.name, rule.name)
        }
        None => format!("Requests to kubelet port 10250{to} fail, konnectivity-agent is ready"),
    };
    let about = if names.is_empty() { "10250".to_owned() } else { names.clone() };
    observed.details.clear();
    let finding = observed.finding(&DETECTOR, &about, title, says).map(|mut finding| {
        finding.subjects.extend(question.iter().map(|name| node_subject(name)));
        finding
    });
    finding.into_iter().collect()
}

/// What pods say of kubelets that do not answer them: metrics-server, Prometheus.
fn by_pods(cluster: &Cluster) -> Option<Finding> {
    let mut observed = Observed::default();
    for item in &cluster.unreached {
        let network = matches!(item.failure, Failure::Timeout | Failure::NoRoute);
        let speaks = matches!(item.who, Who::Pod(_) | Who::Unknown);
        if speaks && network && item.what == What::Kubelet && !item.ended {
            observed.add_attempt(item);
        }
    }
    if observed.count < 3 || observed.is_over(cluster) {
        return None;
    }
    let hosts = listed(observed.hosts.iter().map(String::as_str), 3);
    let says = Wording {
        severity: Severity::Medium,
        confidence: Confidence::Likely,
        unit: "failed request",
        cause: format!("Requests of pods to the kubelets of {hosts} (port 10250) get no answer{}: a firewall or NSG between the nodes, a network policy, or pods whose packets do not reach the nodes' addresses.", observed.when()),
        fix: "Allow TCP 10250 from the pod network (or, where pod addresses are translated, from the nodes) to all nodes: cloud firewall or security group, firewall on the node, network policy for egress of the pod.".to_owned(),
        commands: vec![
            "nc -vz -w 5 NODE_IP 10250   # on another node, and in a pod".to_owned(),
            "iptables -L INPUT -n | grep 10250   # on the node".to_owned(),
        ],
        verify: vec!["kubectl top nodes   # every node has values".to_owned()],
    };
    observed.finding(
        &DETECTOR,
        "pods",
        format!("kubelet port 10250 of {hosts} does not answer requests of pods"),
        says,
    )
}
