//! Required egress of nodes fails: `OutboundConnFail` (CSE exit code 50), or FQDNs that AKS requires cannot be reached.

use super::common::{self, ScriptEnd};
use crate::cluster::Cluster;
use crate::cluster::azure::{at, required};
use crate::cluster::reachability::{What, Who, is_api_name};
use crate::detectors::needs::NODE_LOGS;
use crate::detectors::observed::{self, Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "node-outbound-blocked",
    chapter: Chapter::NodeAccess,
    title: "Required egress blocked (OutboundConnFail, CSE 50)",
    needs: &[NODE_LOGS],
    explains: &[
        "registry-unreachable",
        "node-cannot-reach-api-server",
        "node-provisioning-failed",
        "node-not-ready",
    ],
    doc: Doc {
        meaning: "AKS nodes require outbound access to some FQDNs: mcr.microsoft.com (Microsoft Artifact Registry), Azure Resource Manager, Microsoft Entra ID, package repositories, the API server. Provisioning tests mcr.microsoft.com first; if that fails, it ends with OutboundConnFailVMExtensionError (CSE exit code 50).",
        decision: "CSE exit code 50, or a failed connection of a node (logs, nc, curl, outbound checks of AKS Periscope) to a required FQDN. Confirmed with the exit code, or with three or more failures while the nodes are not known to be Ready; likely otherwise. Failures for other names do not count.",
        action: "Allow the required outbound FQDNs: route table, firewall, NSG, HTTP proxy.",
        reference: "learn.microsoft.com: Troubleshoot the OutboundConnFailVMExtensionError error code (50); Outbound network and FQDN rules for AKS clusters. Azure/AgentBaker: cse_helpers.sh.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    if cluster.azure.isolated() {
        return Outcome {
            ruled_out: Some(
                "the cluster is network isolated: it has no outbound access by design".to_owned(),
            ),
            ..Outcome::default()
        };
    }
    let script = common::codes(cluster, ScriptEnd::of_outbound);
    let script = script.filter(|observed| !observed.is_over(cluster));
    let coded = script.is_some();
    let mut observed = script.unwrap_or_default();
    let list = required::required(cluster.azure.cluster());
    let needed = |host: &str| list.iter().find(|item| required::vital(item) && item.matches(host));
    let mut purposes: Vec<&'static str> = Vec::new();
    // Connections that failed; a refused pull has its own cause.
    for item in &cluster.unreached {
        // The API server's name is a cause of its own.
        let of_api = item.what == What::ApiServer
            || item.failure.of_dns() && item.hosts.iter().any(|host| is_api_name(host));
        let of_node = matches!(item.who, Who::Node(_)) && !of_api && !item.ended;
        let nowhere = matches!(
            item.failure,
            Failure::Timeout
                | Failure::NoRoute
                | Failure::TlsUntrusted
                | Failure::NameUnknown
                | Failure::ResolverFailed
                | Failure::Refused
                | Failure::Reset
        );
        if of_node
            && nowhere
            && let Some(requirement) = item.hosts.iter().find_map(|host| needed(host))
        {
            purposes.push(requirement.purpose);
            observed.add_attempt(item);
        }
    }
    for (place, probe) in cluster.facts.nodes.probes.iter().filter(|(place, probe)| {
        !probe.reached && (probe.node.is_some() || probe.on_node || place.source.contains("networkoutbound"))
    }) {
        if let Some(requirement) = needed(&probe.target) {
            purposes.push(requirement.purpose);
            observed.hosts.insert(probe.target.to_string());
            observed.count += u64::from(observed.count == 0);
            observed.evidence.push(at(
                place,
                &format!("connection test to {}", probe.target),
                &probe.message,
            ));
            observed.nodes.extend(probe.node.as_ref().map(ToString::to_string));
        }
    }
    if observed.count == 0 && !coded {
        return Outcome::default();
    }
    purposes.dedup();
    finding(cluster, observed, coded, &purposes).into_iter().collect()
}

fn finding(
    cluster: &Cluster,
    observed: Observed,
    coded: bool,
    purposes: &[&'static str],
) -> Option<crate::detectors::Finding> {
    let nodes = listed(observed.nodes.iter().map(String::as_str), 3);
    let whose = match observed.nodes.len() {
        0 => "Nodes".to_owned(),
        1 => format!("Node {nodes}"),
        _ => format!("Nodes {nodes}"),
    };
    let code = if coded { " Provisioning (CSE) ended with exit code 50, OutboundConnFail." } else { "" };
    let for_what =
        if purposes.is_empty() { String::new() } else { format!(" Needed so that {}.", purposes.join(", ")) };
    let outbound = cluster.azure.cluster().map_or("", |aks| aks.outbound.as_str());
    let way = match outbound {
        "userDefinedRouting" => {
            " outboundType is userDefinedRouting: the firewall or NVA behind the route must allow it."
        }
        _ => "",
    };
    let host = observed.hosts.iter().next().map_or("", String::as_str);
    let host = observed::host_word(host, "mcr.microsoft.com");
    let says = Wording {
        severity: Severity::High,
        confidence: if coded || (observed.count > 2 && !observed::recovered(cluster, &observed.nodes)) { Confidence::Confirmed } else { Confidence::Likely },
        unit: "failed attempt",
        cause: format!(
            "{whose} cannot reach {}{}.{code}{for_what}{way}",
            observed.reached_for_or("required outbound FQDNs"),
            observed.when()
        ),
        fix: "Allow the outbound FQDNs that AKS requires: on the firewall (FQDN tag AzureKubernetesService in Azure Firewall), in NSGs (TCP 443 outbound), by the default route, and on the HTTP proxy if there is one, without TLS interception.".to_owned(),
        commands: vec![
            format!("az vmss run-command invoke -g NODE_RESOURCE_GROUP -n VMSS --instance-id 0 --command-id RunShellScript --scripts 'nc -vz -w 5 {host} 443; curl -sS -o /dev/null -w \"%{{http_code}}\\n\" https://{host}/'"),
            format!("az aks show {} --query networkProfile.outboundType", observed::aks_named(cluster)),
        ],
        verify: vec![format!("nc -vz -w 5 {host} 443   # on a node: succeeded")],
    };
    let title = format!(
        "{whose} cannot reach {} {}",
        observed.reached_for_or("required outbound FQDNs"),
        if coded { "(OutboundConnFail, CSE 50)" } else { "(required egress)" }
    );
    observed.finding(&DETECTOR, "nodes", title, says)
}
