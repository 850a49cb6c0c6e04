//! The kubelet's port is closed to those who may ask it.

use std::collections::BTreeSet;

use super::{requests_to_kubelets, tunnel_agents};
use crate::cluster::Cluster;
use crate::cluster::azure::{Far, Filtered, at};
use crate::detectors::needs::{CLIENT_ERRORS, PODS};
use crate::detectors::observed::{Wording, listed, node_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity, shell};

pub(super) const DETECTOR: Detector = Detector {
    id: "kubelet-port-blocked",
    chapter: Chapter::ControlPlane,
    title: "The kubelet's port 10250 is blocked between nodes",
    guide: &["4"],
    needs: &[CLIENT_ERRORS, PODS],
    explains: &["metrics-api-unavailable"],
    doc: Doc {
        meaning: "The agent of the tunnel, on whatever node it runs, connects to the kubelet of the node that is asked, on TCP 10250; the metrics server does the same. A security group or a firewall on the node (ufw, iptables) that drops that port makes logs and exec fail for pods of some nodes, and work for others.",
        decision: "Failed requests to kubelets while all agents of the tunnel are ready, or a security group of the nodes whose rules deny TCP 10250 within the network. Confirmed with both; likely with the failures alone; the rule alone is a risk, told as likely. Where the agents are not in the bundle, the tunnel is suspected instead.",
        action: "Let TCP 10250 within the nodes' subnets pass.",
        reference: "AKS: TCP timeouts such as dial tcp <Node_IP>:10250: i/o timeout.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut agents = tunnel_agents(cluster).filter(|(_, seen)| !seen.object.ended()).peekable();
    let agents_ready = agents.peek().is_some() && agents.all(|(_, seen)| seen.object.is_ready());
    let denial = cluster.azure.node_groups().into_iter().find_map(|group| {
        match group.filter(true, Far::Network, "tcp", 10250) {
            Filtered::Denied(rule) => Some((group, rule, group.place.clone()?)),
            _ => None,
        }
    });
    let given = requests_to_kubelets(cluster);
    let failing = given.is_some();
    if denial.is_none() && !(failing && agents_ready) {
        return Outcome::default();
    }
    let mut observed = given.unwrap_or_default();
    let over = denial.is_none() && cluster.is_over(observed.span);
    if let Some((group, rule, place)) = &denial {
        observed.show_first([at(
            place,
            &format!("security group {}, rule {}", group.name, rule.name),
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
        || " The tunnel's agents are ready, so it is between them and the kubelet: a security group between node pools, or a firewall on the node (ufw, iptables).".to_owned(),
        |(group, rule, _)| format!(" Rule {} (priority {}) of security group {} denies TCP 10250 within the network.", rule.name, rule.priority, group.name),
    );
    let failures = if failing {
        format!("Connections to the kubelet{to} on port 10250 failed{}.", observed.when())
    } else {
        "Connections to kubelets on port 10250 are denied; no failure is in the bundle.".to_owned()
    };
    let says = Wording {
        severity,
        confidence,
        unit: if failing { "failed request" } else { "rule" },
        cause: format!("{failures}{by}"),
        fix: "Let TCP 10250 within the nodes' subnets pass, by a rule with a lower number than the denial; on the node, switch off ufw or remove its rule. AKS does not support a firewall on nodes.".to_owned(),
        commands: vec![
            format!("az network nsg rule create -g GROUP --nsg-name {} -n allow-kubelet --priority {} --direction Inbound --access Allow --protocol Tcp --destination-port-ranges 10250 --source-address-prefixes VirtualNetwork", denial.as_ref().map_or_else(|| "NSG".to_owned(), |(group, ..)| shell(&group.name)), denial.as_ref().map_or(110, |(_, rule, _)| rule.priority.saturating_sub(1).max(100))),
            "ufw status; iptables -L INPUT -n | grep 10250   # on the node".to_owned(),
        ],
        verify: vec!["kubectl logs POD -n NAMESPACE --tail=1   # of a pod on that node".to_owned()],
    };
    let about = if names.is_empty() { "10250".to_owned() } else { names.clone() };
    observed.details.clear();
    let finding = observed
        .finding(&DETECTOR, &about, format!("The kubelet's port 10250{to} is not reached"), says)
        .map(|mut finding| {
            finding.subjects.extend(question.iter().map(|name| node_subject(name)));
            finding
        });
    finding.into_iter().collect::<Vec<_>>().into()
}
