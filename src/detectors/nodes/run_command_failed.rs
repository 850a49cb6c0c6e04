//! `az aks command invoke` failed.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::AZURE_ERRORS;
use crate::detectors::observed::{self, Observed, Wording, aks_named};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "run-command-failed",
    chapter: Chapter::Nodes,
    title: "az aks command invoke failed",
    guide: &["1.2"],
    needs: &[AZURE_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "Azure runs the command in a pod of namespace aks-command. That pod must find a node (Linux, with room) and start within 30 seconds, admission must let it in, and the caller needs the actions runCommand and commandResults on the cluster.",
        decision: "Azure's codes KubernetesPerformanceError and KubernetesOperationError. Confirmed, since they mean nothing else.",
        action: "Give the pod a node, leave namespace aks-command out of policies, grant the actions.",
        reference: "AKS: resolve az aks command invoke failures.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let all: BTreeMap<String, Observed> = observed::signals(cluster, |key| {
        (key.signal == Signal::RunCommandFailed).then(|| key.detail.to_string())
    });
    let findings = all.into_iter().filter_map(|(code, observed)| {
        let slow = code == "KubernetesPerformanceError";
        let (why, fix) = if slow {
            ("its pod did not start within 30 seconds: no node took it, or its image came too late", "See why the pod in namespace aks-command does not start: nodes that are not ready or full, taints on all Linux nodes, the registry mcr.microsoft.com.")
        } else {
            ("the API server refused what Azure asked it for, such as the pod in namespace aks-command: an admission policy or a webhook said no, or did not answer", "Read what the message says of admission; leave namespace aks-command out of Gatekeeper's and Azure Policy's constraints.")
        };
        let says = Wording {
            severity: Severity::Medium,
            confidence: Confidence::Confirmed,
            unit: "error",
            cause: format!("az aks command invoke ended with {code}{}: {why}.", observed.when()),
            fix: fix.to_owned(),
            commands: vec!["kubectl get pods,events -n aks-command".to_owned()],
            verify: vec![format!("az aks command invoke {} --command \"kubectl get nodes\"", aks_named(cluster))],
        };
        observed.finding(&DETECTOR, &code, format!("az aks command invoke fails ({code})"), says)
    });
    findings.collect::<Vec<_>>().into()
}
