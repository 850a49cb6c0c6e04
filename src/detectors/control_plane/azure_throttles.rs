//! Azure refuses requests of the cluster, or about it, for their number.

use crate::cluster::Cluster;
use crate::detectors::needs::AZURE_ERRORS;
use crate::detectors::observed::{self, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "azure-throttles",
    chapter: Chapter::ControlPlane,
    title: "Azure refuses requests for their number (429)",
    guide: &["4"],
    needs: &[AZURE_ERRORS],
    explains: &["autoscaler-refuses", "load-balancer-pending"],
    doc: Doc {
        meaning: "Azure counts requests twice: the resource manager those of a subscription and region (of the cluster's controllers and of other tools), and AKS those for one cluster's definition. Past the limit both answer 429: disks are not attached, load balancers not changed, nodes not added, until less is asked.",
        decision: "Azure's own words: Status=429 with OperationNotAllowed, HighCostGet…, SubscriptionRequestsThrottled; or SubCode: Throttled and the limit of PutManagedClusterHandler for AKS itself. Confirmed when still at the end of the logs; told as passing otherwise. A 429 of the API server or for an eviction is something else.",
        action: "Find who asks, and let it ask less; spread clusters over subscriptions.",
        reference: "Azure: throttling of Resource Manager requests. AKS: 429 Too Many Requests errors.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let all = observed::signals(cluster, |key| {
        matches!(key.signal, Signal::ArmThrottled | Signal::AksThrottled).then_some(key.signal)
    });
    let findings = all.into_iter().filter_map(|(signal, observed)| {
        let of_aks = signal == Signal::AksThrottled;
        let passed = cluster.is_over(observed.span);
        let says = Wording {
            severity: if passed { Severity::Low } else { Severity::Medium },
            confidence: if passed { Confidence::Possible } else { Confidence::Confirmed },
            unit: "refused request",
            cause: if of_aks {
                format!("AKS refused operations on the cluster{}: too many came in a short time, from a pipeline or a script that repeats them.", observed.when())
            } else {
                format!("Azure's resource manager refused requests of the subscription{}: disks, load balancers and nodes are changed late or not at all until it is less.", observed.when())
            },
            fix: if of_aks {
                "Let operations on one cluster follow each other with time between; don't repeat az aks update in loops.".to_owned()
            } else {
                "Find who asks most in the activity log: scanners, monitoring, other clusters. Let the cluster autoscaler scan less often; spread clusters over subscriptions or regions; keep the cluster's version current.".to_owned()
            },
            commands: vec!["az monitor activity-log list --offset 1h --query \"[].{caller:caller,operation:operationName.value}\" -o tsv | sort | uniq -c | sort -rn | head".to_owned()],
            verify: vec!["az aks show -g RESOURCE_GROUP -n CLUSTER --query provisioningState   # answers, Succeeded".to_owned()],
        };
        let who = if of_aks { "AKS" } else { "Azure's resource manager" };
        let title = if passed { format!("{who} refused requests for their number for a while") } else { format!("{who} refuses requests for their number (429)") };
        observed.finding(&DETECTOR, if of_aks { "aks" } else { "resource-manager" }, title, says)
    });
    findings.collect::<Vec<_>>().into()
}
