//! The addresses by which nodes leave are not among the ranges that may reach the API server.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::{AKS, EGRESS};
use crate::detectors::observed::{Wording, aks_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "node-egress-not-in-authorized-ranges",
    chapter: Chapter::NodeAccess,
    title: "The nodes' outbound address is not in the API server's authorised IP ranges",
    guide: &["4", "4.3"],
    needs: &[AKS, EGRESS],
    explains: &[
        "node-cannot-reach-api-server",
        "pod-cannot-reach-api-server",
        "node-not-ready",
        "tunnel-down",
        "node-provisioning-failed",
    ],
    doc: Doc {
        meaning: "Nodes of a public cluster reach the API server by its public address, so the address by which they leave (of the load balancer, a NAT gateway, or the firewall to which their route leads) must be among the authorised ranges. Otherwise they are shut out like any other client.",
        decision: "The public addresses that the cluster's load balancer or NAT gateway uses, or that a service answered to a pod or node, are compared with every range. Confirmed when one is in none and nodes or pods get no answer from the API server; likely without such failures where nodes leave by a route of the user or a NAT gateway; possible, as a risk, where they leave by the cluster's own load balancer.",
        action: "Add the outbound addresses to the ranges, the existing ones included.",
        reference: "AKS: secure access to the API server using authorised IP address ranges; troubleshoot network problems, nodes can't reach the API server.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let Some(aks) = cluster.azure.cluster().filter(|aks| !aks.private && !aks.ranges.is_empty()) else {
        let why = cluster.azure.cluster().map(|aks| {
            if aks.private {
                "the cluster is private: authorised ranges don't hold for it"
            } else {
                "the API server takes connections from everywhere"
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
    // Azure may let the address of the cluster's own load balancer in unsaid: nodes that fail show that it does not.
    let of_nodes = common::of_nodes(cluster, |of_node| !of_node.ended && !of_node.failure.of_dns()).is_some()
        || common::codes(cluster, |code, _| code == 51).is_some_and(|code| !cluster.is_over(code.span));
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
            " Nodes or pods get no answer from the API server{}{}.",
            observed.reached_for_in_brackets(),
            observed.when()
        )
    } else {
        " No failure of this kind is in the bundle: it is a risk.".to_owned()
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
            "The nodes leave by {}, and the API server of {} takes connections only from {}.{failures}",
            addresses.join(", "),
            aks.label(),
            aks.ranges.join(", ")
        ),
        fix: "Add the outbound addresses to the ranges; the command keeps those that are there.".to_owned(),
        commands: vec![format!(
            "az aks update {} --api-server-authorized-ip-ranges {}",
            aks.named(),
            kept.join(",")
        )],
        verify: vec![
            format!("az aks show {} --query apiServerAccessProfile.authorizedIpRanges", aks.named()),
            "kubectl get nodes   # Ready, after two minutes".to_owned(),
        ],
    };
    let title =
        format!("The nodes' outbound address {} is not in the authorised IP ranges", addresses.join(", "));
    let finding = observed.finding(&DETECTOR, &addresses.join(" "), title, says).map(|mut finding| {
        finding.subjects.extend(aks_subject(cluster));
        finding
    });
    finding.into_iter().collect::<Vec<_>>().into()
}
