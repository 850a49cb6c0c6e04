//! Nodes can't resolve the API server's name.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::{AZURE_DNS, at};
use crate::detectors::needs::NODE_LOGS;
use crate::detectors::observed::{self, Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "node-cannot-resolve-api-server",
    chapter: Chapter::NodeAccess,
    title: "Nodes can't resolve the API server's name",
    guide: &["4", "4.5"],
    needs: &[NODE_LOGS],
    explains: &["node-not-ready", "node-cannot-reach-api-server", "tunnel-down", "node-provisioning-failed"],
    doc: Doc {
        meaning: "The DNS servers that the network gives to its machines don't know the API server's name. With servers of one's own, they must forward names of Azure to 168.63.129.16, which answers only from within a virtual network; the private zone of a private cluster must be linked to the network of those servers. New nodes then fail with CSE exit code 52 (K8SAPIServerDNSLookupFail) or 53.",
        decision: "Failed look-ups of the API server's name in the kubelet's words, or exit codes 52 and 53. Confirmed with the exit code, when a node concerned is not ready, or when look-ups go on to the end of the logs for three times and more; told as passing when they ended or the nodes are ready.",
        action: "Let the DNS servers forward to 168.63.129.16, and link the private zone to their network.",
        reference: "AKS: troubleshoot the K8SAPIServerDNSLookupFail error (52); private cluster, hub and spoke with custom DNS.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let named = |code: u32, name: &str| {
        matches!(code, 52 | 53) || name.contains("DNSLookupFail") || name.contains("DNS_LOOKUP_FAIL")
    };
    let script = common::codes(cluster, named);
    let stated = common::of_nodes(cluster, |of_node| of_node.failure.of_dns());
    let Some((given, coded)) = common::with_script(stated, script) else { return Outcome::default() };
    let over = cluster.is_over(given.span);
    let passed = over || (!coded && observed::recovered(cluster, &given.nodes));
    finding(cluster, given, coded, passed).into_iter().collect::<Vec<_>>().into()
}

fn finding(cluster: &Cluster, mut observed: Observed, coded: bool, passed: bool) -> Option<Finding> {
    let nodes = listed(observed.nodes.iter().map(String::as_str), 3);
    let whose = if nodes.is_empty() { "A node".to_owned() } else { format!("Node {nodes}") };
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
    let question = servers.as_ref().map_or_else(String::new, |servers| format!(" They ask {servers}."));
    let ours = servers
        .as_ref()
        .is_some_and(|servers| !servers.contains(AZURE_DNS) && !servers.contains("127.0.0.53"));
    let private = observed.hosts.iter().any(|host| crate::cluster::reachability::is_private_name(host));
    let zone = if private {
        " The name is one of a private zone: it is known where the zone is linked, and to servers that ask from there."
    } else {
        ""
    };
    let hint = if ours {
        " These are not Azure's own servers: they must forward names of Azure to 168.63.129.16."
    } else {
        ""
    };
    let code =
        if coded { " Provisioning ended with its exit code for this: the node never joined." } else { "" };
    let host = observed.hosts.iter().next().cloned().unwrap_or_else(|| "API_SERVER".to_owned());
    let says = Wording {
        severity,
        confidence,
        unit: "failed look-up",
        cause: if passed {
            format!(
                "{whose} could not resolve {}{}, and could again.{question}",
                observed.reached_for_or("the API server's name"),
                observed.when()
            )
        } else {
            format!(
                "{whose} can't resolve {}{}.{code}{question}{hint}{zone}",
                observed.reached_for_or("the API server's name"),
                observed.when()
            )
        },
        fix: if passed {
            "Nothing to mend, unless it comes back.".to_owned()
        } else {
            "Let the DNS servers of the network forward names of Azure (for private clusters, the private zone) to 168.63.129.16; that works only for servers within a virtual network. Link the private zone to the network of the DNS servers. Then let AKS reconcile its nodes.".to_owned()
        },
        commands: if passed {
            Vec::new()
        } else {
            vec![
                format!("nslookup {host}; nslookup {host} {AZURE_DNS}   # on the node: both must answer"),
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
        format!("{whose} could not resolve the API server's name for a while")
    } else {
        format!("{whose} can't resolve the API server's name")
    };
    observed.finding(&DETECTOR, if passed { "passing" } else { "nodes" }, title, says)
}
