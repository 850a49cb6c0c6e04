//! A kube-apiserver pod of a self-managed cluster is not ready.

use crate::cluster::Cluster;
use crate::cluster::pods::why_not_ready;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity, shell};

pub(super) const DETECTOR: Detector = Detector {
    id: "api-server-pod-unhealthy",
    chapter: Chapter::NodeAccess,
    title: "kube-apiserver pod not ready (self-managed clusters)",
    needs: &[PODS],
    explains: &["node-cannot-reach-api-server", "pod-cannot-reach-api-server"],
    doc: Doc {
        meaning: "Self-managed clusters run kube-apiserver as a pod on control plane nodes. On AKS it runs in an Azure subscription of Microsoft: there is no pod with the label component=kube-apiserver and no Service kubernetes-internal, and that is normal. Its logs are available through diagnostic settings (resource logs).",
        decision: "Confirmed when a pod with the label component=kube-apiserver, or named kube-apiserver-… in kube-system or openshift-kube-apiserver, is not ready. On AKS, where there is none, it is ruled out.",
        action: "Read the log of the pod and of etcd on its node.",
        reference: "kubernetes.io: Troubleshooting Clusters. learn.microsoft.com: Monitor AKS, control plane resource logs.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let pods = cluster.facts.objects.pods.iter().filter(|(key, seen)| {
        let labelled =
            seen.object.metadata.labels.get("component").is_some_and(|value| &**value == "kube-apiserver");
        let of_system = matches!(&*key.namespace, "kube-system" | "openshift-kube-apiserver");
        labelled || (of_system && key.name.starts_with("kube-apiserver-"))
    });
    let mut found = false;
    let mut findings = Vec::new();
    for (key, seen) in pods {
        found = true;
        let Some(why) = why_not_ready(&cluster.facts, key, &seen.object) else { continue };
        let mut observed = Observed { count: 1, evidence: seen.evidence("Pod", key), ..Observed::default() };
        observed.pods.insert(key.clone());
        observed.nodes.extend(Some(seen.object.spec.node_name.to_string()).filter(|node| !node.is_empty()));
        let says = Wording {
            severity: Severity::Critical,
            confidence: Confidence::Confirmed,
            unit: "pod",
            cause: format!("Pod {} (kube-apiserver) is not ready: {}.", key.label(), why.label()),
            fix: "Read its last log lines, those of its previous container, and the log of etcd on the same node."
                .to_owned(),
            commands: vec![
                format!("kubectl logs {} -n {} --tail 100", shell(&key.name), shell(&key.namespace)),
                "crictl ps -a --name kube-apiserver   # on the control plane node".to_owned(),
            ],
            verify: vec!["kubectl get --raw '/readyz?verbose'   # readyz check passed".to_owned()],
        };
        findings.extend(observed.finding(
            &DETECTOR,
            &key.label(),
            format!("Pod {} not ready: {}", key.name, why.label()),
            says,
        ));
    }
    let by_design = !found && cluster.is_aks();
    Outcome {
        findings,
        ruled_out: by_design.then(|| "AKS runs the API server outside the cluster: there is no pod component=kube-apiserver and no Service kubernetes-internal, and that is normal".to_owned()),
        undecided: (!found && !by_design).then(|| "no kube-apiserver pod is in the bundle: it runs outside the cluster, or its pods were not collected".to_owned()),
    }
}
