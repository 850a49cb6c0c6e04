//! The cluster is stopped, or its last operation failed.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::AksCluster;
use crate::cluster::reachability::{What, Who};
use crate::detectors::needs::AKS;
use crate::detectors::observed::{self, Observed, Wording, capital};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, SubjectRef};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "cluster-stopped",
    chapter: Chapter::ClientAccess,
    title: "The cluster is stopped, or its API server refuses connections",
    guide: &["1"],
    needs: &[AKS],
    explains: &[
        "client-dns-fails",
        "client-blocked-on-the-way",
        "node-cannot-reach-api-server",
        "node-cannot-resolve-api-server",
        "pod-cannot-reach-api-server",
        "node-not-ready",
    ],
    doc: Doc {
        meaning: "A stopped cluster has no API server: its name disappears from DNS, or connections are refused. After a failed operation it may run in part. After a start its address may be another one than before.",
        decision: "Confirmed when the cluster's power state is Stopped. Likely when its last operation failed and a client was refused. Possible when a client was refused by the API server and the cluster is not described: it may just start.",
        action: "Start the cluster; let a failed operation be repeated.",
        reference: "AKS: stop and start a cluster; basic troubleshooting of cluster connection issues with the API server.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let refused = observed::attempts(cluster, |attempt| {
        (attempt.who == Who::Client && attempt.what == What::ApiServer && attempt.failure == Failure::Refused)
            .then_some(())
    })
    .remove(&());
    let finding = match cluster.azure.cluster() {
        Some(aks) if common::is_stopped(cluster) => stopped(cluster, aks),
        Some(aks) if matches!(aks.provisioning.as_str(), "Failed" | "Canceled") => failed(aks, refused),
        Some(aks) => refused.and_then(|observed| only_refused(Some(aks), observed)),
        None => refused.and_then(|observed| only_refused(None, observed)),
    };
    finding.into_iter().collect::<Vec<_>>().into()
}

fn about(aks: &AksCluster, finding: Option<Finding>) -> Option<Finding> {
    let mut finding = finding?;
    finding.subjects =
        vec![SubjectRef { kind: "AKS cluster".to_owned(), namespace: String::new(), name: aks.name.clone() }];
    Some(finding)
}

fn stopped(cluster: &Cluster, aks: &AksCluster) -> Option<Finding> {
    let any = |item: &crate::cluster::reachability::Unreached| (item.what == What::ApiServer).then_some(());
    let mut given = observed::attempts(cluster, any).remove(&()).unwrap_or_default();
    given.show_first(aks.evidence("powerState.code", &aks.power));
    let failed = if given.count > 0 {
        format!(" {}{} failed for that.", observed::counted(given.count as usize, "connection"), given.when())
    } else {
        String::new()
    };
    let unit = if given.count > 0 { "failed attempt" } else { "cluster" };
    let says = Wording {
        severity: Severity::Critical,
        confidence: Confidence::Confirmed,
        unit,
        cause: format!("{} is stopped: there is no API server, its name is not in DNS, and nodes are not there either.{failed}", capital(&aks.label())),
        fix: "Start the cluster. Its API server may get another address: flush DNS caches, and mend firewall rules that name the old one.".to_owned(),
        commands: vec![format!("az aks start {}", aks.named())],
        verify: vec![format!("az aks show {} --query powerState.code   # Running", aks.named())],
    };
    about(aks, given.finding(&DETECTOR, &aks.name, format!("{} is stopped", capital(&aks.label())), says))
}

fn failed(aks: &AksCluster, refused: Option<Observed>) -> Option<Finding> {
    let mut observed = refused.unwrap_or_default();
    let was_refused = observed.count > 0;
    observed.show_first(aks.evidence("provisioningState", &aks.provisioning));
    let says = Wording {
        severity: if was_refused { Severity::High } else { Severity::Medium },
        confidence: if was_refused { Confidence::Likely } else { Confidence::Possible },
        unit: if was_refused { "failed attempt" } else { "cluster" },
        cause: format!(
            "The last operation on {} ended as {}: parts of it may be missing or old until it is repeated.{}",
            aks.label(),
            aks.provisioning,
            if was_refused { " Its API server refused connections." } else { "" }
        ),
        fix: "See in the activity log why the operation failed, mend that, and let it be repeated."
            .to_owned(),
        commands: vec![
            "az monitor activity-log list -g NODE_RESOURCE_GROUP --status Failed --offset 7d -o table"
                .to_owned(),
            format!("az aks update {}   # without options: reconciles the cluster", aks.named()),
        ],
        verify: vec![format!("az aks show {} --query provisioningState   # Succeeded", aks.named())],
    };
    about(
        aks,
        observed.finding(
            &DETECTOR,
            &aks.name,
            format!("The last operation on {} ended as {}", aks.label(), aks.provisioning),
            says,
        ),
    )
}

fn only_refused(aks: Option<&AksCluster>, observed: Observed) -> Option<Finding> {
    let says = Wording {
        severity: Severity::Medium,
        confidence: Confidence::Possible,
        unit: "failed attempt",
        cause: format!(
            "The host{} answers, and nothing listens on the port of the API server{}. It is starting or stopped, or the kubeconfig names the wrong port.",
            observed.reached_for_in_brackets(),
            observed.when()
        ),
        fix: "See whether the cluster runs, and whether the kubeconfig names it.".to_owned(),
        commands: vec![
            format!(
                "az aks show {} --query \"{{power:powerState.code,state:provisioningState,name:fqdn}}\"",
                aks.map_or_else(|| "-g RESOURCE_GROUP -n CLUSTER".to_owned(), AksCluster::named)
            ),
            "kubectl config view --minify".to_owned(),
        ],
        verify: common::verify(),
    };
    observed.finding(&DETECTOR, "refused", "The API server refuses a client's connections".to_owned(), says)
}
