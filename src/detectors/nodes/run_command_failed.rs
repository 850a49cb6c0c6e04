//! `az aks command invoke` failed.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::AZURE_ERRORS;
use crate::detectors::observed::{self, Observed, Wording, aks_named};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "run-command-failed",
    chapter: Chapter::Nodes,
    title: "az aks command invoke failed",
    needs: &[AZURE_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "AKS runs the command in a pod of namespace aks-command. The pod must be scheduled on a Linux node and start within 30 seconds, admission must allow it, and the caller needs the actions runCommand/action and commandResults/read on the cluster.",
        decision: "The error codes KubernetesPerformanceError (the pod did not start in time) and KubernetesOperationError (a request to the API server failed). Confirmed that the command failed; the quoted error has the reason.",
        action: "Let the pod be scheduled, exclude namespace aks-command from admission policies, grant the actions.",
        reference: "AKS: Resolve az aks command invoke failures.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let all: BTreeMap<String, Observed> = observed::signals(cluster, |key| {
        (key.signal == Signal::RunCommandFailed).then(|| key.detail.to_string())
    });
    let findings = all.into_iter().filter_map(|(code, observed)| {
        // Both codes carry it (Azure/azure-cli#24192).
        let not_started = |place: &crate::evidence::Evidence| place.excerpt.contains("did not start within");
        let slow = code == "KubernetesPerformanceError" || observed.evidence.iter().any(not_started);
        let (why, fix) = if slow {
            ("its pod did not start within 30 seconds: usually not scheduled, or its image is pulled slowly", "Check why the pod in namespace aks-command does not start: nodes NotReady or full, taints on all Linux nodes, pulls from mcr.microsoft.com.")
        } else {
            ("a request to the API server failed, such as creating the pod in namespace aks-command; the quoted error has the reason", "Read the quoted error. If it names an admission policy or webhook, exclude namespace aks-command from it (Gatekeeper, Azure Policy).")
        };
        let says = Wording {
            severity: Severity::Medium,
            confidence: Confidence::Confirmed,
            unit: "error",
            cause: format!("az aks command invoke failed with {code}{}: {why}.", observed.when()),
            fix: fix.to_owned(),
            commands: vec!["kubectl get pods,events -n aks-command".to_owned()],
            verify: vec![format!("az aks command invoke {} --command \"kubectl get nodes\"   # prints the nodes", aks_named(cluster))],
        };
        let title = if slow {
            format!("az aks command invoke: its pod did not start within 30s ({code})")
        } else {
            format!("az aks command invoke failed: {code}")
        };
        observed.finding(&DETECTOR, &code, title, says)
    });
    findings.collect()
}
