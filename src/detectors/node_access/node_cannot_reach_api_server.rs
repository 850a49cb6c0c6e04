//! Nodes cannot connect to the API server.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::NODE_LOGS;
use crate::detectors::observed::{self, Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::facts::Failure;
use crate::knowledge::CseFault;

pub(super) const DETECTOR: Detector = Detector {
    id: "node-cannot-reach-api-server",
    chapter: Chapter::NodeAccess,
    title: "Nodes cannot reach the API server (K8SAPIServerConnFail, CSE 51)",
    needs: &[NODE_LOGS],
    explains: &["node-not-ready", "tunnel-down", "node-provisioning-failed"],
    doc: Doc {
        meaning: "The kubelet needs the API server for node status, leases and pods. Without a connection the node becomes NotReady, and a new node fails provisioning (K8SAPIServerConnFailVMExtensionError, CSE exit code 51). The error narrows it down: i/o timeout means dropped packets (authorized IP ranges, NSG, route table, firewall); connection refused an API server that is stopped or starting; no route to host a dead next hop or private endpoint; an x509 error TLS interception or old certificates.",
        decision: "Failed connections to the API server in kubelet and provisioning logs, or CSE exit code 51. Confirmed with the exit code, or when one of the nodes is NotReady; likely when seen more than once up to the end of the logs; reported as low when the nodes are Ready again or the errors ended long before.",
        action: "Check the path from the node: authorized IP ranges, NSG, route table, firewall. What the bundle shows to block it is a finding of its own.",
        reference: "learn.microsoft.com: Troubleshoot the K8SAPIServerConnFailVMExtensionError error code (51); Basic troubleshooting of Node Not Ready failures. Azure/AgentBaker: cse_helpers.sh.",
    },
    detect: Evaluation::Rule(detect),
};

/// How the connections failed, and what that means.
fn meaning(failure: Failure) -> &'static str {
    match failure {
        Failure::Timeout => {
            "i/o timeout (packets dropped: check authorized IP ranges, NSG, route table, NVA, firewall)"
        }
        Failure::Refused => {
            "connection refused (API server stopped or starting, or another machine has its address)"
        }
        Failure::NoRoute => "no route to host (check the route table and the private endpoint)",
        Failure::Reset => "connection reset (a firewall or NVA on the path, or a restart of the API server)",
        Failure::Proxy => {
            "failed at a proxy (the API server's FQDN must be in noProxy of the HTTP proxy configuration)"
        }
        Failure::TlsTimeout => {
            "TLS handshake timeout (a firewall or NVA interferes with TLS, or the API server is overloaded)"
        }
        Failure::TlsUntrusted => {
            "x509: unknown authority (TLS interception, or old certificates on the node)"
        }
        Failure::TlsWrongName => "x509: wrong host name (another server has the API server's address)",
        _ => "failed",
    }
}

fn detect(cluster: &Cluster) -> Outcome {
    let script = common::codes(cluster, |ended| ended.fault() == Some(CseFault::ApiServer));
    let stated = common::of_nodes(cluster, |of_node| common::no_connection(of_node.failure));
    let Some((given, coded)) = common::with_script(stated, script) else { return Outcome::default() };
    let over = given.is_over(cluster);
    let passed = over || (!coded && observed::recovered(cluster, &given.nodes));
    finding(cluster, given, coded, passed).into_iter().collect()
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
        .map(|(count, failure)| format!("{count} × {}", meaning(*failure)))
        .collect::<Vec<_>>()
        .join("; ");
    let nodes = listed(given.nodes.iter().map(String::as_str), 3);
    let whose = match given.nodes.len() {
        0 => "A node".to_owned(),
        1 => format!("Node {nodes}"),
        _ => format!("Nodes {nodes}"),
    };
    let lost = common::lost(cluster, &given);
    let (severity, confidence) = match (passed, coded || lost, given.count > 1) {
        (true, ..) => (Severity::Low, Confidence::Possible),
        (_, true, _) => (Severity::Critical, Confidence::Confirmed),
        (_, _, true) => (Severity::High, Confidence::Likely),
        _ => (Severity::Medium, Confidence::Possible),
    };
    let code = if coded { " Provisioning (CSE) ended with exit code 51, K8SAPIServerConnFail." } else { "" };
    let ways_shown = if how.is_empty() { String::new() } else { format!(" Errors: {how}.") };
    let host = given.hosts.iter().next().cloned().unwrap_or_else(|| "API_SERVER".to_owned());
    let says = Wording {
        severity,
        confidence,
        unit: "failed attempt",
        cause: if passed {
            format!(
                "{whose} could not reach the API server{}{}. Since then {}.{ways_shown}",
                given.reached_for_in_brackets(),
                given.when(),
                if observed::recovered(cluster, &given.nodes) {
                    "the nodes are Ready"
                } else {
                    "the logs show no more of these errors"
                }
            )
        } else {
            format!(
                "{whose} cannot reach the API server{}{}.{code}{ways_shown}",
                given.reached_for_in_brackets(),
                given.when()
            )
        },
        fix: if passed {
            "No action needed unless it comes back: upgrades, restarts and stops of a cluster cause this."
                .to_owned()
        } else {
            "Test the connection from the node, then check its path: the node's outbound IP address is in the authorized IP ranges; NSGs and the firewall allow TCP 443 to the API server; the next hop of the default route is reachable; the private endpoint is approved.".to_owned()
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
        format!("{whose} could not reach the API server, ended")
    } else if coded {
        format!("{whose} cannot reach the API server: K8SAPIServerConnFail (CSE 51)")
    } else {
        format!("{whose} cannot reach the API server")
    };
    given.finding(&DETECTOR, if passed { "passing" } else { "nodes" }, title, says)
}
