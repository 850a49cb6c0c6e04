//! Nodes cannot resolve the API server's FQDN.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::{AZURE_DNS, at};
use crate::detectors::needs::NODE_LOGS;
use crate::detectors::observed::{self, Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::knowledge::CseFault;

pub(super) const DETECTOR: Detector = Detector {
    id: "node-cannot-resolve-api-server",
    chapter: Chapter::NodeAccess,
    title: "Nodes cannot resolve the API server FQDN (K8SAPIServerDNSLookupFail, CSE 52)",
    needs: &[NODE_LOGS],
    explains: &["node-not-ready", "node-cannot-reach-api-server", "tunnel-down", "node-provisioning-failed"],
    doc: Doc {
        meaning: "The DNS servers of the virtual network do not resolve the API server's FQDN ('no such host', DNS timeout). Custom DNS servers must forward Azure names to 168.63.129.16, which answers only from within an Azure virtual network; the private DNS zone of a private cluster must be linked to the VNet of those servers. New nodes fail provisioning with K8SAPIServerDNSLookupFailVMExtensionError (CSE exit code 52) or code 53.",
        decision: "Failed DNS queries for the API server's FQDN in kubelet and provisioning logs, or CSE exit codes 52 and 53. Confirmed with the exit code, when one of the nodes is NotReady, or with three or more failures up to the end of the logs; reported as low when they ended long before or the nodes are Ready.",
        action: "Add a conditional forwarder to 168.63.129.16 on the custom DNS servers, and link the private DNS zone to their VNet.",
        reference: "learn.microsoft.com: Troubleshoot the K8SAPIServerDNSLookupFailVMExtensionError error code (52); Private AKS cluster, hub and spoke with custom DNS. Azure/AgentBaker: cse_helpers.sh.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let script = common::codes(cluster, |ended| ended.fault() == Some(CseFault::ApiServerDns));
    let stated = common::of_nodes(cluster, |of_node| of_node.failure.of_dns());
    let Some((given, coded)) = common::with_script(stated, script) else { return Outcome::default() };
    let over = given.is_over(cluster);
    let passed = over || (!coded && observed::recovered(cluster, &given.nodes));
    finding(cluster, given, coded, passed).into_iter().collect()
}

fn finding(cluster: &Cluster, mut observed: Observed, coded: bool, passed: bool) -> Option<Finding> {
    let nodes = listed(observed.nodes.iter().map(String::as_str), 3);
    let whose = match observed.nodes.len() {
        0 => "A node".to_owned(),
        1 => format!("Node {nodes}"),
        _ => format!("Nodes {nodes}"),
    };
    let custom = cluster.azure.networks.iter().find(|network| network.of_nodes && !network.dns.is_empty());
    let servers = custom.map(|network| network.dns.join(", ")).or_else(|| {
        let question = listed(observed.resolvers.iter().map(String::as_str), 3);
        (!question.is_empty()).then_some(question)
    });
    if let Some((network, place)) = custom.and_then(|network| Some((network, network.place.as_ref()?))) {
        observed.evidence.push(at(
            place,
            &format!("virtual network {}, dhcpOptions.dnsServers", network.name),
            &network.dns.join(", "),
        ));
    }
    let lost = common::lost(cluster, &observed);
    let (severity, confidence) = match (passed, coded || lost || observed.count > 2) {
        (true, _) => (Severity::Low, Confidence::Possible),
        (false, true) => (Severity::Critical, Confidence::Confirmed),
        (false, false) => (Severity::High, Confidence::Likely),
    };
    let question = servers.as_ref().map_or_else(String::new, |servers| format!(" DNS servers: {servers}."));
    let ours = servers
        .as_ref()
        .is_some_and(|servers| !servers.contains(AZURE_DNS) && !servers.contains("127.0.0.53"));
    let private = observed.hosts.iter().any(|host| crate::cluster::reachability::is_private_name(host));
    let zone = if private {
        " The FQDN is in a private DNS zone: it resolves only through Azure DNS in a VNet that is linked to the zone."
    } else {
        ""
    };
    let hint = if ours {
        " These are custom DNS servers: they need a conditional forwarder to 168.63.129.16."
    } else {
        ""
    };
    let code = if coded { " Provisioning (CSE) ended with exit code 52 or 53." } else { "" };
    let host = observed::host_word(observed.hosts.iter().next().map_or("", String::as_str), "API_SERVER");
    let says = Wording {
        severity,
        confidence,
        unit: "failed DNS query",
        cause: if passed {
            format!(
                "{whose} could not resolve {}{}; these errors ended.{question}",
                observed.reached_for_or("the API server's FQDN"),
                observed.when()
            )
        } else {
            format!(
                "{whose} cannot resolve {}{}.{code}{question}{hint}{zone}",
                observed.reached_for_or("the API server's FQDN"),
                observed.when()
            )
        },
        fix: if passed {
            "No action needed unless it comes back.".to_owned()
        } else {
            "Custom DNS servers: add a conditional forwarder to 168.63.129.16 for Azure names (private clusters: for the private DNS zone); that works only from a server in an Azure VNet. Link the private DNS zone to the VNet of the DNS servers. New nodes resolve the FQDN from then on; failed ones are retried by the next operation on the node pool. If the cluster was only just created or started, its record may not have propagated yet: repeat the operation after some minutes.".to_owned()
        },
        commands: if passed {
            Vec::new()
        } else {
            vec![
                format!("nslookup {host}   # on the node"),
                format!(
                    "nslookup {host} {AZURE_DNS}   # on the node: Azure DNS; both must give the same address"
                ),
                "az network vnet show -g GROUP -n VNET --query dhcpOptions.dnsServers".to_owned(),
                "az network private-dns link vnet list -g GROUP -z ZONE -o table   # private clusters"
                    .to_owned(),
            ]
        },
        verify: vec![
            format!("nslookup {host}   # on a node: an address"),
            "kubectl get nodes   # Ready".to_owned(),
        ],
    };
    let title = if passed {
        format!("{whose} could not resolve the API server FQDN, ended")
    } else {
        format!("{whose} cannot resolve the API server FQDN{}", if coded { " (CSE 52 or 53)" } else { "" })
    };
    observed.finding(&DETECTOR, if passed { "passing" } else { "nodes" }, title, says)
}
