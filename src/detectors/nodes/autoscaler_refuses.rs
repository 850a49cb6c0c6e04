//! The cluster autoscaler cannot add nodes for pending pods.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::EVENTS;
use crate::detectors::observed::{self, Observed, Wording, aks_named, all_ready};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::evidence::shortened;
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "autoscaler-refuses",
    chapter: Chapter::Nodes,
    title: "Cluster autoscaler cannot scale up",
    needs: &[EVENTS],
    explains: &["pod-unschedulable"],
    doc: Doc {
        meaning: "Pods are Pending and the cluster autoscaler adds no node: the node group has reached its maximum, no node group would fit the pod, or Azure has no capacity (AllocationFailed, ZonalAllocationFailed), no such VM size (SkuNotAvailable) or no vCPU quota (QuotaExceeded).",
        decision: "NotTriggerScaleUp events of pods that are still Pending, or Azure's allocation and quota errors. Confirmed for Azure's errors (possible when they ended well before the logs) and for `max node group size reached`; likely for other NotTriggerScaleUp events. Pods that are ready are left out.",
        action: "Raise the node pool's maximum or the quota; allow other VM sizes or zones.",
        reference: "AKS: Use the cluster autoscaler in AKS; Troubleshoot cluster autoscaler. kubernetes/autoscaler: cluster-autoscaler FAQ.",
    },
    detect: Evaluation::Rule(detect),
};

/// Azure's codes, what they mean, and what to do.
const CODES: &[(&str, &str, &str)] = &[
    (
        "ZonalAllocationFailed",
        "Azure has no capacity for this VM size in the zone now",
        "Let the node pool use more zones, or add a pool with another VM size.",
    ),
    (
        "OverconstrainedZonalAllocationRequest",
        "no capacity meets all constraints (VM size, zone, accelerated networking) in the zone",
        "Remove a constraint: zone, VM size, proximity placement group.",
    ),
    (
        "OverconstrainedAllocationRequest",
        "no capacity meets all constraints (VM size, accelerated networking)",
        "Remove a constraint: zone, VM size, proximity placement group.",
    ),
    (
        "AllocationFailed",
        "Azure has no capacity for this VM size in the region now",
        "Add a node pool with another VM size, or try later.",
    ),
    ("QuotaExceeded", "vCPU quota of the subscription exceeded", "Request more vCPU quota, or free cores."),
    (
        "SkuNotAvailable",
        "the VM size is not available in this region or zone",
        "Add a node pool with another VM size, or in another region.",
    ),
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
        still.then(|| Obstacle::of(words))
    });
    // `Node scale up in zones z associated with this pod failed: GCE quota exceeded. Pod is at risk of not being scheduled.`
    let failed = observed::events(cluster, "FailedScaleUp", |key, tally| {
        let words = tally.examples.as_slice().last().map_or("", |example| &*example.excerpt);
        let (_, rest) = words.split_once("failed: ")?;
        let reason = rest.split(". Pod is at risk").next().unwrap_or(rest).trim().to_owned();
        let pod = cluster.facts.objects.pods.get(&key.namespace, &key.name);
        let still = pod.is_none_or(|seen| &*seen.object.status.phase == "Pending");
        // Its own cause has the words of a subnet without addresses.
        (still && !reason.contains("IP space")).then_some(reason)
    });
    for (reason, observed) in failed {
        if !all_ready(cluster, &observed.pods) && !observed.is_over(cluster) {
            findings.extend(of_scale_up(&reason, observed));
        }
    }
    for (obstacle, observed) in waiting {
        if !all_ready(cluster, &observed.pods) && !observed.is_over(cluster) {
            findings.extend(of_pods(cluster, obstacle, observed));
        }
    }
    findings.into()
}

/// Why the autoscaler does not add a node (kubernetes/autoscaler `cluster-autoscaler/core/scaleup`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    /// Every node group that would do is at its maximum.
    Maximum,
    /// A node group failed to grow a while ago, and is left alone.
    Backoff,
    /// A node group is not ready to grow: it grows already, or failed to.
    NotReady,
    /// No node of any group would take the pod.
    NothingFits,
}

impl Obstacle {
    fn of(words: &str) -> Self {
        if words.contains("max node group size reached") || words.contains("max limit reached") {
            Self::Maximum
        } else if words.contains("in backoff after failed scale-up") {
            Self::Backoff
        } else if words.contains("not ready for scale-up") {
            Self::NotReady
        } else {
            Self::NothingFits
        }
    }

    /// The reason, in the autoscaler's words where it has some.
    fn reason(self) -> &'static str {
        match self {
            Self::Maximum => "max node group size reached",
            Self::Backoff => "node group in backoff after an earlier failed scale-up",
            Self::NotReady => "node group not ready for scale-up",
            Self::NothingFits => "no node group that it may scale would fit (selector, taint, zone, VM size)",
        }
    }

    fn fix(self) -> &'static str {
        match self {
            Self::Maximum => {
                "Raise the node pool's maximum count, if its subnet and the vCPU quota have room. More nodes cost more."
            }
            Self::Backoff => {
                "Find why the earlier scale-up failed: the activity log of the node resource group and the autoscaler's log name it (quota, capacity of the VM size, subnet full). The autoscaler tries again by itself after some minutes."
            }
            Self::NotReady => {
                "Look at the node group: a scale-up of it runs, or its nodes do not become Ready. The ConfigMap cluster-autoscaler-status shows its health."
            }
            Self::NothingFits => {
                "Compare the pod's nodeSelector, tolerations and requests with the node pools; a pod that requests more than an empty node's allocatable fits none."
            }
        }
    }
}

fn of_azure(cluster: &Cluster, code: &str, observed: Observed) -> Option<Finding> {
    let passed = observed.is_over(cluster);
    let known = CODES.iter().find(|(ours, ..)| *ours == code);
    let meaning = known.map_or(
        "the size of a scale set differs from the target that the autoscaler set",
        |(_, meaning, _)| meaning,
    );
    let fix =
        known.map_or("Read in the activity log why the scale set did not create the VMs.", |(.., fix)| fix);
    let says = Wording {
        severity: if passed { Severity::Low } else { Severity::High },
        confidence: if passed { Confidence::Possible } else { Confidence::Confirmed },
        unit: "error",
        cause: format!(
            "Scale-up failed{}: {meaning}{}.",
            observed.when(),
            if code.is_empty() { String::new() } else { format!(" ({code})") }
        ),
        fix: fix.to_owned(),
        commands: vec![
            "az vm list-usage -l REGION -o table".to_owned(),
            "az monitor activity-log list -g NODE_RESOURCE_GROUP --status Failed --offset 1d -o table"
                .to_owned(),
        ],
        verify: vec!["kubectl get nodes   # the new nodes are Ready".to_owned()],
    };
    observed.finding(
        &DETECTOR,
        if code.is_empty() { "sizes" } else { code },
        format!(
            "Scale-up {}: {meaning}{}",
            if passed { "failed earlier" } else { "fails" },
            if code.is_empty() { String::new() } else { format!(" ({code})") }
        ),
        says,
    )
}

/// A scale-up that the cloud refused, in its words.
fn of_scale_up(reason: &str, given: Observed) -> Option<Finding> {
    let pods = observed::counted(given.pods.len(), "pod");
    let says = Wording {
        severity: Severity::High,
        confidence: Confidence::Confirmed,
        unit: "event",
        cause: format!("The cloud did not create the node that the cluster autoscaler wanted for {pods}{}: {reason}.", given.when()),
        fix: "Act on the quoted reason: request quota, let the node pool use more zones, or add one with another machine type. The autoscaler tries again by itself.".to_owned(),
        commands: vec!["kubectl get configmap cluster-autoscaler-status -n kube-system -o yaml".to_owned()],
        verify: vec!["kubectl get nodes   # the new nodes are Ready".to_owned()],
    };
    given.finding(
        &DETECTOR,
        &format!("failed {reason}"),
        format!("Scale-up fails: {}", shortened(reason, 60)),
        says,
    )
}

fn of_pods(cluster: &Cluster, obstacle: Obstacle, given: Observed) -> Option<Finding> {
    let pods = observed::counted(given.pods.len(), "pod");
    let says = Wording {
        severity: Severity::Medium,
        confidence: if obstacle == Obstacle::NothingFits {
            Confidence::Likely
        } else {
            Confidence::Confirmed
        },
        unit: "event",
        cause: format!(
            "The cluster autoscaler did not scale up for {pods}{} (NotTriggerScaleUp): {}.",
            given.when(),
            obstacle.reason()
        ),
        fix: obstacle.fix().to_owned(),
        commands: if cluster.is_elsewhere() {
            Vec::new()
        } else {
            vec![format!(
                "az aks nodepool update {} --cluster-name CLUSTER --name POOL --update-cluster-autoscaler --min-count MIN --max-count MAX",
                aks_named(cluster)
                    .replace(" -n ", " --cluster-name ")
                    .split(" --cluster-name")
                    .next()
                    .unwrap_or_default()
            )]
        },
        verify: vec![
            "kubectl get events -A --field-selector reason=TriggeredScaleUp   # an event for these pods"
                .to_owned(),
        ],
    };
    let title = match obstacle {
        Obstacle::NothingFits => {
            format!("Cluster autoscaler did not scale up for {pods} (NotTriggerScaleUp)")
        }
        _ => format!("Cluster autoscaler did not scale up: {}, {pods} Pending", obstacle.reason()),
    };
    let about = match obstacle {
        Obstacle::Maximum => "maximum",
        Obstacle::Backoff => "backoff",
        Obstacle::NotReady => "not-ready",
        Obstacle::NothingFits => "pods",
    };
    given.finding(&DETECTOR, about, title, says)
}
