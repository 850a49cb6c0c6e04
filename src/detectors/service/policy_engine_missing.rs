//! There are network policies, and no engine enforces them.

use super::common;
use super::policies::{self, POLICIES};
use crate::cluster::Cluster;
use crate::cluster::policy::EngineKind;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity,
};
use crate::facts::AzureKind;

pub(super) const DETECTOR: Detector = Detector {
    id: "policy-engine-missing",
    chapter: Chapter::Service,
    title: "NetworkPolicy not enforced (network policy: none)",
    needs: &[POLICIES, ENGINE],
    explains: &[],
    doc: Doc {
        meaning: "Every cluster accepts NetworkPolicy objects; without a network policy engine they have no effect. Workloads that rely on them are not protected, and they are not the cause of a timeout.",
        decision: "networkProfile.networkPolicy is empty or none and the dataplane is not Cilium (az aks show), and the pods show no engine's DaemonSet: confirmed. Likely without az aks show, when the kube-system pods are in the bundle and none belongs to an engine.",
        action: "Enable an engine (Cilium, Azure, Calico) if the policies should protect; it reimages the nodes and enforces all policies at once.",
        reference: "AKS: Secure traffic between pods by using network policies.",
    },
    detect: Evaluation::Rule(detect),
};

const ENGINE: Need = Need {
    what: "the cluster as Azure describes it, or the pods of kube-system",
    why: "either shows which engine enforces policies",
    command: "az aks show -g RESOURCE_GROUP -n CLUSTER -o json > aks.json",
    met: |cluster| cluster.policies.engine.kind != EngineKind::Unknown,
};

fn detect(cluster: &Cluster) -> Outcome {
    let count = cluster.policies.iter().len();
    if cluster.policies.engine.kind != EngineKind::None || count == 0 {
        return Outcome::default();
    }
    let of_azure = cluster.facts.azure.of(AzureKind::Cluster).next().is_some();
    let evidence: Vec<_> = cluster
        .policies
        .iter()
        .take(3)
        .filter_map(|policy| policies::policy_at(cluster, &policy.key, "not enforced"))
        .collect();
    let title = format!(
        "{count} {} not enforced: no network policy engine",
        if count == 1 { "NetworkPolicy" } else { "NetworkPolicies" }
    );
    let finding = Finding::new(DETECTOR.id, "cluster", title, evidence).map(|mut finding| {
        finding.severity = Severity::Medium;
        finding.confidence = if of_azure { Confidence::Confirmed } else { Confidence::Likely };
        finding.count = count as u64;
        finding.unit = "policy";
        finding.subjects = cluster.policies.iter().take(50).map(|policy| common::subject("NetworkPolicy", &policy.key)).collect();
        finding.cause = format!("The cluster has no network policy engine ({}): the policies neither protect nor block anything.", cluster.policies.engine.from);
        finding.fix = Fix {
            text: "If they should protect, enable an engine. This reimages all node pools at the same time, and all policies are enforced at once: evaluate them with `kubetriage reach` first.".to_owned(),
            commands: vec!["az aks update -g RESOURCE_GROUP -n CLUSTER --network-policy calico   # or --network-policy cilium --network-dataplane cilium; azure (NPM) is being retired".to_owned()],
            manifests: Vec::new(),
        };
        finding.verify = vec!["az aks show -g RESOURCE_GROUP -n CLUSTER --query networkProfile.networkPolicy   # not none".to_owned()];
        finding
    });
    finding.into_iter().collect()
}
