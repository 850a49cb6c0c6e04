//! Nodes reach nothing, or not what they need, outside.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::{at, required};
use crate::cluster::reachability::{What, Who};
use crate::detectors::needs::NODE_LOGS;
use crate::detectors::told::{self, Says, Told, listed};
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
    judge,
};

fn judge(cluster: &Cluster) -> Outcome {
    if cluster.azure.isolated() {
        return Outcome {
            ruled_out: Some(
                "the cluster is network isolated: nothing outside is reached by design".to_owned(),
            ),
            ..Outcome::default()
        };
    }
    let script = common::codes(cluster, |code, name| code == 50 || name.contains("OutboundConnFail"));
    let script = script.filter(|told| !cluster.is_over(told.span));
    let coded = script.is_some();
    let mut told = script.unwrap_or_default();
    let list = required::required(cluster.azure.cluster());
    let needed = |host: &str| list.iter().find(|one| required::vital(one) && one.matches(host));
    let mut purposes: Vec<&'static str> = Vec::new();
    // Connections that got nowhere; a refused pull is told by its own cause.
    for one in &cluster.unreached {
        let of_node = matches!(one.who, Who::Node(_)) && one.what != What::ApiServer && !one.ended;
        let nowhere = matches!(
            one.failure,
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
            && let Some(requirement) = one.hosts.iter().find_map(|host| needed(host))
        {
            purposes.push(requirement.purpose);
            told.add_attempt(one);
        }
    }
    for (place, probe) in cluster.facts.nodes.probes.iter().filter(|(place, probe)| {
        !probe.reached && (probe.node.is_some() || place.source.contains("networkoutbound"))
    }) {
        if let Some(requirement) = needed(&probe.target) {
            purposes.push(requirement.purpose);
            told.hosts.insert(probe.target.to_string());
            told.count += u64::from(told.count == 0);
            told.evidence.push(at(place, &format!("connection test to {}", probe.target), &probe.message));
            told.nodes.extend(probe.node.as_ref().map(ToString::to_string));
        }
    }
    if told.count == 0 && !coded {
        return Outcome::default();
    }
    purposes.dedup();
    finding(cluster, told, coded, &purposes).into_iter().collect::<Vec<_>>().into()
}

fn finding(
    cluster: &Cluster,
    told: Told,
    coded: bool,
    purposes: &[&'static str],
) -> Option<crate::detectors::Finding> {
    let nodes = listed(told.nodes.iter().map(String::as_str), 3);
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
    let host = told.hosts.iter().next().cloned().unwrap_or_else(|| "mcr.microsoft.com".to_owned());
    let says = Says {
        severity: Severity::High,
        confidence: if coded || (told.count > 2 && !told::recovered(cluster, &told.nodes)) { Confidence::Confirmed } else { Confidence::Likely },
        unit: "failed attempt",
        cause: format!("{whose} can't reach {}{}.{code}{for_what}{way}", told.reached_for_or("what they need outside"), told.when()),
        fix: "Let the nodes pass to the names that AKS requires: on the firewall (the FQDN tag AzureKubernetesService holds them), in security groups (TCP 443 to the Internet), by the default route, and through the proxy if there is one, without TLS inspection.".to_owned(),
        commands: vec![
            format!("az vmss run-command invoke -g NODE_RESOURCE_GROUP -n VMSS --instance-id 0 --command-id RunShellScript --scripts 'nc -vz -w 5 {host} 443; curl -sS -o /dev/null -w \"%{{http_code}}\\n\" https://{host}/'"),
            format!("az aks show {} --query networkProfile.outboundType", told::aks_named(cluster)),
        ],
        verify: vec![format!("nc -vz -w 5 {host} 443   # on a node: succeeded")],
    };
    let title = format!("{whose} can't reach {}", told.reached_for_or("what they need outside"));
    told.finding(&DETECTOR, "nodes", title, says)
}
