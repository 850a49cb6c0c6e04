//! The cluster autoscaler can't add nodes for pods that wait.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::EVENTS;
use crate::detectors::observed::{self, Observed, Wording, aks_named, all_ready};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "autoscaler-refuses",
    chapter: Chapter::Nodes,
    title: "The cluster autoscaler can't add nodes",
    guide: &["3.2"],
    needs: &[EVENTS],
    explains: &["pod-unschedulable"],
    doc: Doc {
        meaning: "Pods wait for room, and the autoscaler adds no node: every pool is at its maximum, no pool would fit the pod, or Azure has no such machines in the zone, or the subscription no quota for them.",
        decision: "Events NotTriggerScaleUp of pods that still wait, or Azure's errors on allocation and quota. Confirmed for Azure's own errors that are not over; for events likely, since the same event tells that a pool's selector does not fit. Pods that run by now are left out.",
        action: "Raise the pool's maximum or the quota; allow other sizes or zones.",
        reference: "AKS: use the cluster autoscaler; troubleshoot cluster autoscaler.",
    },
    detect,
};

/// Azure's codes and what they mean.
const CODES: &[(&str, &str, &str)] = &[
    (
        "ZonalAllocationFailed",
        "Azure has no such machines in that zone now",
        "Let the pool use more zones, or another machine size.",
    ),
    (
        "OverconstrainedZonalAllocationRequest",
        "no machines meet all the conditions (size, zone, accelerated networking) in that zone",
        "Take away a condition: zone, size, proximity group.",
    ),
    (
        "OverconstrainedAllocationRequest",
        "no machines meet all the conditions (size, zone, accelerated networking)",
        "Take away a condition: zone, size, proximity group.",
    ),
    (
        "AllocationFailed",
        "Azure has no such machines in the region now",
        "Use another machine size, or try later.",
    ),
    ("QuotaExceeded", "the subscription's quota of cores is used up", "Ask for more quota, or free cores."),
    ("SkuNotAvailable", "the machine size is not offered there", "Use another machine size or region."),
];

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings: Vec<Finding> = Vec::new();
    let errors: BTreeMap<String, Observed> = observed::signals(cluster, |key| {
        (key.signal == Signal::ScaleUpFailed).then(|| key.detail.to_string())
    });
    for (code, error) in errors {
        findings.extend(of_azure(cluster, &code, error));
    }
    let waiting = observed::events(cluster, "NotTriggerScaleUp", |key, tally| {
        if &*key.kind != "Pod" {
            return None;
        }
        let words = tally.examples.as_slice().last().map_or("", |example| &*example.excerpt);
        let pod = cluster.facts.objects.pods.get(&key.namespace, &key.name);
        let still = pod.is_none_or(|seen| &*seen.object.status.phase == "Pending");
        still.then(|| words.contains("max node group size reached"))
    });
    for (at_maximum, observed) in waiting {
        if !all_ready(cluster, &observed.pods) && !cluster.is_over(observed.span) {
            findings.extend(of_pods(cluster, at_maximum, observed));
        }
    }
    findings.into()
}

fn of_azure(cluster: &Cluster, code: &str, observed: Observed) -> Option<Finding> {
    let passed = cluster.is_over(observed.span);
    let known = CODES.iter().find(|(ours, ..)| *ours == code);
    let meaning =
        known.map_or("its groups of machines don't have the size that it set", |(_, meaning, _)| meaning);
    let fix = known.map_or("See in the activity log why the machines were not made.", |(.., fix)| fix);
    let says = Wording {
        severity: if passed { Severity::Low } else { Severity::High },
        confidence: if passed { Confidence::Possible } else { Confidence::Confirmed },
        unit: "error",
        cause: format!(
            "Nodes could not be added{}: {meaning}{}.",
            observed.when(),
            if code.is_empty() { String::new() } else { format!(" ({code})") }
        ),
        fix: fix.to_owned(),
        commands: vec![
            "az vm list-usage -l REGION -o table".to_owned(),
            "az monitor activity-log list -g NODE_RESOURCE_GROUP --status Failed --offset 1d -o table"
                .to_owned(),
        ],
        verify: vec!["kubectl get nodes   # the new ones are there".to_owned()],
    };
    observed.finding(
        &DETECTOR,
        if code.is_empty() { "sizes" } else { code },
        format!("Nodes can't be added: {meaning}"),
        says,
    )
}

fn of_pods(cluster: &Cluster, at_maximum: bool, given: Observed) -> Option<Finding> {
    let pods = observed::counted(given.pods.len(), "pod");
    let says = Wording {
        severity: Severity::Medium,
        confidence: if at_maximum { Confidence::Confirmed } else { Confidence::Likely },
        unit: "event",
        cause: format!(
            "{pods} waited for room{}, and the autoscaler added no node: {}.",
            given.when(),
            if at_maximum {
                "pools are at their maximum"
            } else {
                "no pool that it may grow would fit them (selector, taint, zone, size)"
            }
        ),
        fix: if at_maximum {
            "Raise the maximum of the pool, if its subnet and the quota have room.".to_owned()
        } else {
            "Compare the pod's selector, tolerations and requests with the pools; a pod that asks for more than a whole machine fits none.".to_owned()
        },
        commands: vec![format!(
            "az aks nodepool update {} --cluster-name CLUSTER --name POOL --update-cluster-autoscaler --min-count MIN --max-count MAX",
            aks_named(cluster)
                .replace(" -n ", " --cluster-name ")
                .split(" --cluster-name")
                .next()
                .unwrap_or_default()
        )],
        verify: vec!["kubectl get events -A --field-selector reason=TriggeredScaleUp".to_owned()],
    };
    let title = if at_maximum {
        format!("Pools are at their maximum, and {pods} wait for room")
    } else {
        format!("The autoscaler finds no pool for {pods} that wait for room")
    };
    given.finding(&DETECTOR, if at_maximum { "maximum" } else { "pods" }, title, says)
}
