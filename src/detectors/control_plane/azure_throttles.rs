//! Azure Resource Manager or AKS throttles: 429 Too Many Requests.

use crate::cluster::Cluster;
use crate::detectors::needs::AZURE_ERRORS;
use crate::detectors::observed::{self, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "azure-throttles",
    chapter: Chapter::ControlPlane,
    title: "Azure throttling: 429 Too Many Requests (Resource Manager, AKS)",
    needs: &[AZURE_ERRORS],
    explains: &["autoscaler-refuses", "load-balancer-pending"],
    doc: Doc {
        meaning: "Azure Resource Manager limits the requests of a subscription and region (by the cluster's controllers and by other tools), and AKS limits the operations on one managed cluster. Beyond the limit both answer 429 Too Many Requests: disks are not attached, load balancers not updated and nodes not added until there are fewer requests.",
        decision: "Errors of Azure: Status=429 with OperationNotAllowed, HighCostGet…, SubscriptionRequestsThrottled; for AKS itself 'SubCode: Throttled' and the limit of PutManagedClusterHandler. Confirmed when they go on to the end of the logs, reported as low when they ended long before. A 429 of the API server or for an eviction is another cause.",
        action: "Find the caller with the most requests and reduce them; spread clusters over subscriptions.",
        reference: "learn.microsoft.com: Throttling Resource Manager requests; Troubleshoot 429 Too Many Requests errors in AKS.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let all = observed::signals(cluster, |key| {
        matches!(key.signal, Signal::ArmThrottled | Signal::AksThrottled).then_some(key.signal)
    });
    let findings = all.into_iter().filter_map(|(signal, observed)| {
        let of_aks = signal == Signal::AksThrottled;
        let passed = observed.is_over(cluster);
        let says = Wording {
            severity: if passed { Severity::Low } else { Severity::Medium },
            confidence: if passed { Confidence::Possible } else { Confidence::Confirmed },
            unit: "refused request",
            cause: if of_aks {
                format!("AKS rejected operations on the managed cluster with 429 Too Many Requests{}: too many in a short time. A pipeline or script that repeats them is the usual reason.", observed.when())
            } else {
                format!("Azure Resource Manager rejected requests of the subscription with 429 Too Many Requests{}: changes of disks, load balancers and nodes are delayed or fail until there are fewer requests.", observed.when())
            },
            fix: if of_aks {
                "Run operations on one cluster one after another, with pauses; do not repeat `az aks update` in loops.".to_owned()
            } else {
                "Find the caller with the most operations in the activity log (it lists writes, not reads): scanners, monitoring, other clusters. Raise the scan interval of the cluster autoscaler; spread clusters over subscriptions or regions; keep the Kubernetes version current.".to_owned()
            },
            commands: vec!["az monitor activity-log list --offset 1h --query \"[].{caller:caller,operation:operationName.value}\" -o tsv | sort | uniq -c | sort -rn | head".to_owned()],
            verify: vec!["az aks show -g RESOURCE_GROUP -n CLUSTER --query provisioningState   # Succeeded".to_owned()],
        };
        let who = if of_aks { "AKS" } else { "Azure Resource Manager" };
        let title = if passed { format!("{who} throttling, ended: 429 Too Many Requests") } else { format!("{who} throttling: 429 Too Many Requests") };
        observed.finding(&DETECTOR, if of_aks { "aks" } else { "resource-manager" }, title, says)
    });
    findings.collect()
}
