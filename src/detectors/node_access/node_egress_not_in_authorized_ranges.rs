//! The nodes' outbound IP addresses are not in the API server's authorized IP ranges.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::{AKS, EGRESS};
use crate::detectors::observed::{Wording, aks_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity, shell};
use crate::knowledge::CseFault;

pub(super) const DETECTOR: Detector = Detector {
    id: "node-egress-not-in-authorized-ranges",
    chapter: Chapter::NodeAccess,
    title: "Node outbound IP not in the API server's authorized IP ranges",
    needs: &[AKS, EGRESS],
    explains: &[
        "node-cannot-reach-api-server",
        "pod-cannot-reach-api-server",
        "node-not-ready",
        "tunnel-down",
        "node-provisioning-failed",
    ],
    doc: Doc {
        meaning: "Nodes of a public cluster connect to the API server's public endpoint, so their outbound IP address (of the load balancer, NAT gateway, or firewall) must be in the authorized IP ranges. Otherwise their connections are dropped like those of any other client.",
        decision: "The public IP addresses of the cluster's load balancer or NAT gateway, or those that an echo service (ifconfig.me) returned to a pod or node, are compared with every authorized IP range. Confirmed when one is in none and nodes get timeouts from the API server, or pods do and outboundType is not loadBalancer; likely without failures where outboundType is userDefinedRouting or a NAT gateway, or with failures of pods alone behind the load balancer; possible, as a risk, with the cluster's own load balancer.",
        action: "Add the outbound IP addresses to the authorized IP ranges, and keep the existing ones.",
        reference: "learn.microsoft.com: Secure access to the API server using authorized IP address ranges in AKS; Troubleshoot network problems in AKS clusters.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let Some(aks) = cluster.azure.cluster().filter(|aks| !aks.private && !aks.ranges.is_empty()) else {
        let why = cluster.azure.cluster().map(|aks| {
            if aks.private {
                "the cluster is private: authorized IP ranges do not apply to its private endpoint"
            } else {
                "there are no authorized IP ranges: the API server accepts connections from any address"
            }
        });
        return Outcome { ruled_out: why.map(ToOwned::to_owned), ..Outcome::default() };
    };
    // This word means: the cluster's own outbound address, and nobody else.
    let missing: Vec<_> = cluster
        .azure
        .egress
        .iter()
        .filter(|item| !aks.only_itself() && aks.allows(item.ip).is_none())
        .collect();
    if missing.is_empty() {
        return Outcome::default();
    }
    let failing = common::unanswered_now(cluster);
    let confirmed = failing.is_some();
    let mut observed = failing.unwrap_or_default();
    let by_appliance = !aks.outbound.is_empty() && !aks.outbound.eq_ignore_ascii_case("loadBalancer");
    // AKS may allow the address of the cluster's own load balancer implicitly: nodes that fail show that it does not.
    let of_nodes = common::of_nodes(cluster, |of_node| !of_node.ended && !of_node.failure.of_dns()).is_some()
        || common::codes(cluster, |ended| ended.fault() == Some(CseFault::ApiServer))
            .is_some_and(|code| !code.is_over(cluster));
    let (severity, confidence) = match (confirmed, by_appliance) {
        (true, false) if !of_nodes => (Severity::Medium, Confidence::Likely),
        (true, _) => (Severity::Critical, Confidence::Confirmed),
        (false, true) => (Severity::Medium, Confidence::Likely),
        (false, false) => (Severity::Low, Confidence::Possible),
    };
    let addresses: Vec<String> = missing.iter().map(|item| item.ip.to_string()).collect();
    let added: Vec<String> = missing
        .iter()
        .map(|item| if item.ip.is_ipv4() { format!("{}/32", item.ip) } else { item.ip.to_string() })
        .collect();
    let failures = if confirmed {
        format!(
            " Connections of nodes or pods to the API server time out{}{}.",
            observed.reached_for_in_brackets(),
            observed.when()
        )
    } else {
        " No such failure is in the bundle: it is a risk.".to_owned()
    };
    let places = missing.iter().map(|item| item.evidence.clone());
    observed.show_first(
        places
            .chain(aks.evidence("apiServerAccessProfile.authorizedIpRanges", &aks.ranges.join(", ")))
            .collect::<Vec<_>>(),
    );
    let kept: Vec<&str> =
        aks.ranges.iter().map(String::as_str).chain(added.iter().map(String::as_str)).collect();
    let says = Wording {
        severity,
        confidence,
        unit: if confirmed { "failed attempt" } else { "address" },
        cause: format!(
            "The outbound IP of the nodes is {}, and the API server of {} accepts connections only from its authorized IP ranges {}.{failures}",
            addresses.join(", "),
            aks.label(),
            aks.ranges.join(", ")
        ),
        fix: "Add the outbound IP addresses to the authorized IP ranges; the command keeps the existing ones. It opens the API server to everything behind these addresses, and takes up to two minutes.".to_owned(),
        commands: vec![format!(
            "az aks update {} --api-server-authorized-ip-ranges {}",
            aks.named(),
            shell(&kept.join(","))
        )],
        verify: vec![
            format!("az aks show {} --query apiServerAccessProfile.authorizedIpRanges   # has the new ones", aks.named()),
            "kubectl get nodes   # Ready".to_owned(),
        ],
    };
    let title =
        format!("Node outbound IP {} not in the API server's authorized IP ranges", addresses.join(", "));
    let finding = observed.finding(&DETECTOR, &addresses.join(" "), title, says).map(|mut finding| {
        finding.subjects.extend(aks_subject(cluster));
        finding
    });
    finding.into_iter().collect()
}
