//! Network policies are there, and nothing enforces them.

use super::common;
use super::policies::{self, POLICIES};
use crate::cluster::Cluster;
use crate::cluster::policy::EngineKind;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Need, Outcome, Severity};
use crate::facts::AzureKind;

pub(super) const DETECTOR: Detector = Detector {
    id: "policy-engine-missing",
    chapter: Chapter::Service,
    title: "There are network policies, and no engine enforces them",
    guide: &["3.7"],
    needs: &[POLICIES, ENGINE],
    explains: &[],
    doc: Doc {
        meaning: "NetworkPolicy objects are accepted by every cluster, and do nothing without an engine. Whoever relies on them is not protected; and whoever looks for the cause of a timeout need not look at them.",
        decision: "The cluster's networkPolicy is empty or 'none' and its dataplane is not Cilium (az aks show), and no daemon of an engine is among the pods: confirmed. Without az aks show, likely, when the pods of kube-system are there and none is of an engine.",
        action: "Enable an engine, if the policies are meant to protect; it will enforce all of them at once.",
        reference: "AKS: secure traffic between pods by using network policies.",
    },
    detect,
};

const ENGINE: Need = Need {
    what: "the cluster as Azure describes it, or the pods of kube-system",
    why: "one of them tells which engine enforces policies",
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
        "{count} network {} enforced by nothing",
        if count == 1 { "policy is" } else { "policies are" }
    );
    let finding = Finding::new(DETECTOR.id, "cluster", title, evidence).map(|mut finding| {
        finding.severity = Severity::Medium;
        finding.confidence = if of_azure { Confidence::Confirmed } else { Confidence::Likely };
        finding.count = count as u64;
        finding.unit = "policy";
        finding.subjects = cluster.policies.iter().take(50).map(|policy| common::subject("NetworkPolicy", &policy.key)).collect();
        finding.cause = format!("No engine runs ({}): the policies do nothing, neither good nor bad.", cluster.policies.engine.from);
        finding.fix = Fix {
            text: "If they are meant to protect, enable an engine; try them with `kubetriage reach` first, since all are enforced at once.".to_owned(),
            commands: vec!["az aks update -g RESOURCE_GROUP -n CLUSTER --network-policy azure   # or calico, cilium".to_owned()],
            manifests: Vec::new(),
        };
        finding.verify = vec!["az aks show -g RESOURCE_GROUP -n CLUSTER --query networkProfile.networkPolicy".to_owned()];
        finding
    });
    finding.into_iter().collect::<Vec<_>>().into()
}
