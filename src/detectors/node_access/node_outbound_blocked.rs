//! Nodes reach nothing, or not what they need, outside.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::{at, required};
use crate::cluster::reachability::{What, Who};
use crate::detectors::needs::NODE_LOGS;
use crate::detectors::observed::{self, Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "node-outbound-blocked",
    chapter: Chapter::NodeAccess,
    title: "Nodes can't reach what they need outside",
    guide: &["4.4"],
    needs: &[NODE_LOGS],
    explains: &[
        "registry-unreachable",
        "node-cannot-reach-api-server",
        "node-provisioning-failed",
        "node-not-ready",
    ],
    doc: Doc {
        meaning: "A node needs a handful of names outside: the registry of the system's images, Azure's management and sign-in, package servers, the API server. While it is provisioned it tries mcr.microsoft.com first; if that fails, provisioning ends with CSE exit code 50 (OutboundConnFail).",
        decision: "Exit code 50, or a test from a node (nc, curl, AKS Periscope's outbound checks) that did not reach a name of the required list. Confirmed with the exit code, or when it failed three times and more and the nodes are not known to be ready; likely otherwise. Failures of other names are told by nobody.",
        action: "Let the nodes pass to the required names: route, firewall, security group, proxy.",
        reference: "AKS: troubleshoot the OutboundConnFail error (50); outbound network and FQDN rules.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    if cluster.azure.isolated() {
        return Outcome {
            ruled_out: Some(
                "the cluster is network isolated: nothing outside is reached by design".to_owned(),
            ),
            ..Outcome::default()
        };
    }
    let script = common::codes(cluster, |code, name| code == 50 || name.contains("OutboundConnFail"));
    let script = script.filter(|observed| !cluster.is_over(observed.span));
    let coded = script.is_some();
    let mut observed = script.unwrap_or_default();
    let list = required::required(cluster.azure.cluster());
    let needed = |host: &str| list.iter().find(|item| required::vital(item) && item.matches(host));
    let mut purposes: Vec<&'static str> = Vec::new();
    // Connections that got nowhere; a refused pull is told by its own cause.
    for item in &cluster.unreached {
        let of_node = matches!(item.who, Who::Node(_)) && item.what != What::ApiServer && !item.ended;
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
        !probe.reached && (probe.node.is_some() || place.source.contains("networkoutbound"))
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
    finding(cluster, observed, coded, &purposes).into_iter().collect::<Vec<_>>().into()
}

fn finding(
    cluster: &Cluster,
    observed: Observed,
    coded: bool,
    purposes: &[&'static str],
) -> Option<crate::detectors::Finding> {
    let nodes = listed(observed.nodes.iter().map(String::as_str), 3);
    let whose = if nodes.is_empty() { "Nodes".to_owned() } else { format!("Node {nodes}") };
    let code = if coded { " Provisioning ended with exit code 50: the node never joined." } else { "" };
    let for_what =
        if purposes.is_empty() { String::new() } else { format!(" By it {}.", purposes.join(", ")) };
    let outbound = cluster.azure.cluster().map_or("", |aks| aks.outbound.as_str());
    let way = match outbound {
        "userDefinedRouting" => {
            " They leave by a route of the user: the firewall at its end must let them pass."
        }
        _ => "",
    };
    let host = observed.hosts.iter().next().cloned().unwrap_or_else(|| "mcr.microsoft.com".to_owned());
    let says = Wording {
        severity: Severity::High,
        confidence: if coded || (observed.count > 2 && !observed::recovered(cluster, &observed.nodes)) { Confidence::Confirmed } else { Confidence::Likely },
        unit: "failed attempt",
        cause: format!("{whose} can't reach {}{}.{code}{for_what}{way}", observed.reached_for_or("what they need outside"), observed.when()),
        fix: "Let the nodes pass to the names that AKS requires: on the firewall (the FQDN tag AzureKubernetesService holds them), in security groups (TCP 443 to the Internet), by the default route, and through the proxy if there is one, without TLS inspection.".to_owned(),
        commands: vec![
            format!("az vmss run-command invoke -g NODE_RESOURCE_GROUP -n VMSS --instance-id 0 --command-id RunShellScript --scripts 'nc -vz -w 5 {host} 443; curl -sS -o /dev/null -w \"%{{http_code}}\\n\" https://{host}/'"),
            format!("az aks show {} --query networkProfile.outboundType", observed::aks_named(cluster)),
        ],
        verify: vec![format!("nc -vz -w 5 {host} 443   # on a node: succeeded")],
    };
    let title = format!("{whose} can't reach {}", observed.reached_for_or("what they need outside"));
    observed.finding(&DETECTOR, "nodes", title, says)
}
