//! Where the API server runs as a pod of the cluster: it does not run.

use crate::cluster::Cluster;
use crate::cluster::service::why_not_ready;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity, shell};

pub(super) const DETECTOR: Detector = Detector {
    id: "api-server-pod-unhealthy",
    chapter: Chapter::NodeAccess,
    title: "A pod of the API server is not ready (self-managed clusters)",
    guide: &["4.1", "4.6", "4.7"],
    needs: &[PODS],
    explains: &["node-cannot-reach-api-server", "pod-cannot-reach-api-server"],
    doc: Doc {
        meaning: "Self-managed clusters and other distributions run the API server as a pod on control plane nodes. On AKS it runs in Azure's own subscription: no pod is labelled component=kube-apiserver, no service is called kubernetes-internal, and both commands of the guide find nothing. That is normal; its logs come by way of Container Insights or diagnostic settings.",
        decision: "Confirmed when a pod labelled component=kube-apiserver, or named so in kube-system, is not ready. Where there is none, on AKS it is ruled out by design.",
        action: "Read the pod's log and that of etcd on its node.",
        reference: "AKS: monitor the control plane, resource logs. Kubernetes: debug clusters.",
    },
    detect,
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
            cause: format!("The API server's pod {} is not ready: {}.", key.label(), why.label()),
            fix: "Read the last lines of its log, of its last start, and those of etcd on the same node."
                .to_owned(),
            commands: vec![
                format!("kubectl logs {} -n {} --tail 100", shell(&key.name), shell(&key.namespace)),
                "crictl ps -a --name kube-apiserver   # on the control plane node".to_owned(),
            ],
            verify: vec!["kubectl get --raw /readyz?verbose".to_owned()],
        };
        findings.extend(observed.finding(
            &DETECTOR,
            &key.label(),
            format!("The API server's pod {} is not ready: {}", key.name, why.label()),
            says,
        ));
    }
    let by_design = !found && cluster.is_aks();
    Outcome {
        findings,
        ruled_out: by_design.then(|| "AKS runs the API server outside the cluster: no pod component=kube-apiserver and no service kubernetes-internal exist, and that is normal".to_owned()),
        undecided: (!found && !by_design).then(|| "no pod of the API server is in the bundle: it runs outside the cluster, or its pods were not collected".to_owned()),
    }
}
