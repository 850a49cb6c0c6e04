//! The cluster is stopped, its last operation failed, or its API server refuses connections.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::AksCluster;
use crate::cluster::reachability::{What, Who};
use crate::detectors::needs::AKS;
use crate::detectors::observed::{self, Observed, Wording, capitalised};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, SubjectRef,
};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "cluster-stopped",
    chapter: Chapter::ClientAccess,
    title: "Cluster stopped or failed (power state, provisioning state), or connection refused",
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
        meaning: "A stopped cluster (power state Stopped) has no running API server: its FQDN does not resolve ('no such host'), or connections are refused or time out. After a failed operation (provisioning state Failed) the cluster may work in part. After a start the API server may have another IP address.",
        decision: "Confirmed when powerState.code is Stopped. With provisioning state Failed or Canceled: likely when a client also got 'connection refused', possible otherwise. Possible when a client got 'connection refused' from the API server and neither state is in the bundle: it may be starting.",
        action: "Start the cluster (az aks start); repeat a failed operation.",
        reference: "learn.microsoft.com: Stop and start an AKS cluster; Basic troubleshooting of cluster connection issues with the API server.",
    },
    detect: Evaluation::Rule(detect),
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
    finding.into_iter().collect()
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
        format!(
            " The bundle has {}{}.",
            observed::counted(given.count as usize, "failed connection"),
            given.when()
        )
    } else {
        String::new()
    };
    let unit = if given.count > 0 { "failed attempt" } else { "cluster" };
    let says = Wording {
        severity: Severity::Critical,
        confidence: Confidence::Confirmed,
        unit,
        cause: format!(
            "The power state of {} is {}: its API server and its nodes do not run.{failed}",
            aks.label(),
            aks.power
        ),
        fix: "Start the cluster, unless it was stopped on purpose (it costs money while it runs). Its API server may get another IP address: flush DNS caches, and update firewall rules that name the old one.".to_owned(),
        commands: vec![format!("az aks start {}", aks.named())],
        verify: vec![format!("az aks show {} --query powerState.code   # Running", aks.named())],
    };
    about(
        aks,
        given.finding(
            &DETECTOR,
            &aks.name,
            format!("{} is stopped (power state {})", capitalised(&aks.label()), aks.power),
            says,
        ),
    )
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
            "The provisioning state of {} is {}: its last operation did not complete, and parts of the cluster may be missing or outdated.{}",
            aks.label(),
            aks.provisioning,
            if was_refused { " Clients got 'connection refused' from its API server." } else { "" }
        ),
        fix: "Find the error of the operation in the activity log, fix that, then repeat the operation. `az aks update` without options reconciles the cluster to its current settings, which can restart parts of it."
            .to_owned(),
        commands: vec![
            "az monitor activity-log list -g NODE_RESOURCE_GROUP --status Failed --offset 7d -o table"
                .to_owned(),
            format!("az aks update {}   # asks first; without options it reconciles the cluster", aks.named()),
        ],
        verify: vec![format!("az aks show {} --query provisioningState   # Succeeded", aks.named())],
    };
    about(
        aks,
        observed.finding(
            &DETECTOR,
            &aks.name,
            format!("{}: provisioning state {}", capitalised(&aks.label()), aks.provisioning),
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
            "A client's connections to the API server{}{} were refused (connection refused). Usual reasons: the API server is starting or stopped, or the kubeconfig names the wrong host or port.",
            observed.reached_for_in_brackets(),
            observed.when()
        ),
        fix: "Check that the cluster runs, and that the kubeconfig names this cluster.".to_owned(),
        commands: vec![
            format!(
                "az aks show {} --query \"{{power:powerState.code,state:provisioningState,name:fqdn}}\"",
                aks.map_or_else(|| "-g RESOURCE_GROUP -n CLUSTER".to_owned(), AksCluster::named)
            ),
            "kubectl config view --minify".to_owned(),
        ],
        verify: common::verify(),
    };
    observed.finding(
        &DETECTOR,
        "refused",
        "Client cannot reach the API server: connection refused".to_owned(),
        says,
    )
}
