//! Nodes get no connection to the API server.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::NODE_LOGS;
use crate::detectors::observed::{self, Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "node-cannot-reach-api-server",
    chapter: Chapter::NodeAccess,
    title: "Nodes can't reach the API server",
    guide: &["4"],
    needs: &[NODE_LOGS],
    explains: &["node-not-ready", "tunnel-down", "node-provisioning-failed"],
    doc: Doc {
        meaning: "The kubelet reports its node and its pods to the API server and fetches from there what it shall run. Without a connection a node turns NotReady after a while, and a new node is not provisioned (CSE exit code 51, K8SAPIServerConnFail). How it fails tells where: a timeout means that packets are dropped (authorised ranges, security group, route, firewall), a refusal that the API server is stopped or starting, no route a dead next hop or private endpoint, a certificate error that TLS is inspected on the way.",
        decision: "Failed connections to the API server in the kubelet's words, in logs of nodes and of provisioning, or exit code 51. Confirmed with the exit code, or when a node concerned is not ready; likely when the failures go on to the end of the logs; told as passing, with its time span, when the nodes are ready again or the failures ended.",
        action: "Follow the way from the node: ranges, security group, route, firewall; what of these the bundle shows to block is told as its own finding.",
        reference: "AKS: troubleshoot the K8SAPIServerConnFail error (51); basic troubleshooting of Node Not Ready failures.",
    },
    detect,
};

/// How the connections failed, and what that means.
fn meaning(failure: Failure) -> &'static str {
    match failure {
        Failure::Timeout => {
            "got no answer: packets are dropped on the way (authorised IP ranges without the nodes' address, a security group, a route to a dead appliance, a firewall)"
        }
        Failure::Refused => {
            "were refused: the API server is stopped, starting, or another machine answers on its address"
        }
        Failure::NoRoute => "found no route: a route leads nowhere, or the private endpoint is gone",
        Failure::Reset => "were cut: an appliance on the way ends them, or the API server restarts",
        Failure::Proxy => {
            "did not get past a proxy: the API server's name belongs into noProxy of the cluster's HTTP proxy configuration"
        }
        Failure::TlsTimeout => {
            "ended in the TLS handshake: an appliance holds them up, or the API server has too much to do"
        }
        Failure::TlsUntrusted => {
            "met a certificate of an unknown authority: TLS is inspected on the way, or the node's certificates are old"
        }
        Failure::TlsWrongName => {
            "met a certificate of another name: something else answers on the API server's address"
        }
        _ => "failed",
    }
}

fn detect(cluster: &Cluster) -> Outcome {
    let script = common::codes(cluster, |code, name| code == 51 || name.contains("K8SAPIServerConnFail"));
    let stated = common::of_nodes(cluster, |of_node| common::no_connection(of_node.failure));
    let Some((given, coded)) = common::with_script(stated, script) else { return Outcome::default() };
    let over = cluster.is_over(given.span);
    let passed = over || (!coded && observed::recovered(cluster, &given.nodes));
    finding(cluster, given, coded, passed).into_iter().collect::<Vec<_>>().into()
}

fn finding(cluster: &Cluster, given: Observed, coded: bool, passed: bool) -> Option<Finding> {
    let mut ways: Vec<(u64, Failure)> = Vec::new();
    for item in &cluster.unreached {
        let of_node = matches!(item.who, crate::cluster::reachability::Who::Node(_));
        if of_node
            && item.what == crate::cluster::reachability::What::ApiServer
            && common::no_connection(item.failure)
        {
            match ways.iter_mut().find(|(_, way)| *way == item.failure) {
                Some((count, _)) => *count += item.count,
                None => ways.push((item.count, item.failure)),
            }
        }
    }
    ways.sort_by_key(|(count, failure)| (std::cmp::Reverse(*count), *failure));
    let how = ways
        .iter()
        .take(2)
        .map(|(count, failure)| format!("{count} {}", meaning(*failure)))
        .collect::<Vec<_>>()
        .join("; ");
    let nodes = listed(given.nodes.iter().map(String::as_str), 3);
    let whose = if nodes.is_empty() { "A node".to_owned() } else { format!("Node {nodes}") };
    let lost = common::lost(cluster, &given);
    let (severity, confidence) = match (passed, coded || lost, given.count > 1) {
        (true, ..) => (Severity::Low, Confidence::Possible),
        (_, true, _) => (Severity::Critical, Confidence::Confirmed),
        (_, _, true) => (Severity::High, Confidence::Likely),
        _ => (Severity::Medium, Confidence::Possible),
    };
    let code = if coded { " Provisioning ended with exit code 51: the node never joined." } else { "" };
    let ways_shown = if how.is_empty() { String::new() } else { format!(" Of the attempts, {how}.") };
    let host = given.hosts.iter().next().cloned().unwrap_or_else(|| "API_SERVER".to_owned());
    let says = Wording {
        severity,
        confidence,
        unit: "failed attempt",
        cause: if passed {
            format!(
                "{whose} could not reach the API server{}{}, and could again: {}.{ways_shown}",
                given.reached_for_in_brackets(),
                given.when(),
                if observed::recovered(cluster, &given.nodes) {
                    "the nodes are ready"
                } else {
                    "later logs show no more of it"
                }
            )
        } else {
            format!(
                "{whose} can't reach the API server{}{}.{code}{ways_shown}",
                given.reached_for_in_brackets(),
                given.when()
            )
        },
        fix: if passed {
            "Nothing to mend, unless it comes back: upgrades, restarts and stops of a cluster look like this."
                .to_owned()
        } else {
            "Try the connection from the node, then follow its way: the authorised ranges hold the nodes' outbound address; security groups and the firewall let TCP 443 to the API server pass; the default route leads to a live next hop; the private endpoint is approved.".to_owned()
        },
        commands: if passed {
            Vec::new()
        } else {
            vec![
                format!(
                    "az vmss run-command invoke -g NODE_RESOURCE_GROUP -n VMSS --instance-id 0 --command-id RunShellScript --scripts 'nc -vz -w 5 {host} 443; curl -vk --connect-timeout 5 https://{host}/version'"
                ),
                format!(
                    "az aks show {} --query \"{{ranges:apiServerAccessProfile.authorizedIpRanges,out:networkProfile.outboundType,fqdn:fqdn}}\"",
                    observed::aks_named(cluster)
                ),
            ]
        },
        verify: vec!["kubectl get nodes   # Ready".to_owned()],
    };
    let title = if passed {
        format!("{whose} could not reach the API server for a while")
    } else {
        format!("{whose} can't reach the API server")
    };
    given.finding(&DETECTOR, if passed { "passing" } else { "nodes" }, title, says)
}
