//! Pods of a workload that the API server refuses to create (`FailedCreate`).

use crate::cluster::Cluster;
use crate::cluster::pods::creation::{NotCreated, Refused, Standing, not_created};
use crate::detectors::needs::EVENTS;
use crate::detectors::observed::{counted, subject};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell,
};
use crate::evidence::{EXAMPLES, excerpt};

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-not-created",
    chapter: Chapter::Workloads,
    title: "Pods not created: FailedCreate",
    needs: &[EVENTS],
    explains: &[
        "connection-failing",
        "service-selector-matches-nothing",
        "service-pods-not-ready",
        "pod-not-running",
    ],
    doc: Doc {
        meaning: "A controller (ReplicaSet, StatefulSet, DaemonSet, Job) wants to create a pod, and the API server refuses it: a ResourceQuota is used up, the ServiceAccount of the template does not exist, Pod Security, a LimitRange, a missing PriorityClass or RuntimeClass, or an admission webhook that denies the pod or does not answer. No pod object exists, so nothing is Pending.",
        decision: "FailedCreate events by their text. Confirmed and high while the workload lacks pods at capture (condition ReplicaFailure, or fewer pods than desired); likely where the workload's state is not in the bundle. Over, and ruled out, when the workload has all its pods, or when a pod of the same template exists (missing ServiceAccount): a ServiceAccount that is applied a second after its Deployment leaves such an event.",
        action: "Act on the API server's reason: quota, ServiceAccount, security context, limits, webhook. The controller retries by itself.",
        reference: "Kubernetes: Resource Quotas; Configure Service Accounts for Pods; Pod Security Admission; Limit Ranges.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let (ended, ongoing): (Vec<_>, Vec<_>) = not_created(&cluster.facts, cluster.anchor)
        .into_iter()
        // A page of events may not tell what it is about.
        .filter(|item| !item.kind.is_empty())
        .partition(|item| item.standing == Standing::Ended || cluster.is_over(item.span));
    let over = ended.first().map(|item| {
        format!(
            "earlier FailedCreate of {} ({}) is over: {}",
            counted(ended.len(), "workload"),
            item.refused.slug(),
            if item.standing == Standing::Ended {
                "the pods exist by now"
            } else {
                "the logs go on without it"
            }
        )
    });
    let findings: Outcome = ongoing.into_iter().filter_map(finding).collect();
    Outcome { ruled_out: over, ..findings }
}

/// The reason in words, and what to do.
fn meaning(refused: &Refused) -> (String, &'static str) {
    match refused {
        Refused::Quota(quota, resource) if resource.is_empty() => (
            format!("exceeded quota {quota}"),
            "Raise the quota, or delete objects of the namespace that are no longer needed.",
        ),
        Refused::Quota(quota, resource) => (
            format!("exceeded quota {quota} ({resource})"),
            "Raise the quota, lower the requests of the pods, or delete objects of the namespace that are no longer needed.",
        ),
        Refused::ServiceAccount(account) => (
            format!("ServiceAccount {account} not found"),
            "Correct serviceAccountName in the pod template, or create the ServiceAccount.",
        ),
        Refused::PodSecurity(profile) => (
            format!("violates PodSecurity {profile}"),
            "Change the securityContext of the pod template as the message says. If the pods must be privileged, lower the label pod-security.kubernetes.io/enforce of the namespace: that lowers the protection for every pod in it.",
        ),
        Refused::LimitRange => (
            "violates the namespace's LimitRange".to_owned(),
            "Set requests and limits within the LimitRange, or change it.",
        ),
        Refused::PriorityClass(name) => (
            format!("PriorityClass {name} not found"),
            "Correct priorityClassName in the pod template, or create the PriorityClass.",
        ),
        Refused::RuntimeClass(name) => (
            format!("RuntimeClass {name} not found"),
            "Correct runtimeClassName in the pod template, or create the RuntimeClass.",
        ),
        Refused::Webhook(name) => (
            format!("refused by admission webhook {name}"),
            "Change the pod template to comply with the webhook's message; where the webhook does not answer, repair its service first.",
        ),
        Refused::Other => ("refused by the API server".to_owned(), "Act on the API server's message."),
    }
}

fn finding(item: NotCreated<'_>) -> Option<Finding> {
    let (why, fix) = meaning(&item.refused);
    let workload = item.workload.label();
    let have = item.replicas.map_or_else(String::new, |(there, wanted)| format!(" {there}/{wanted} pods,"));
    let title = format!("{} {workload}:{have} FailedCreate, {why}", item.kind);
    let mut evidence = item.evidence;
    evidence.truncate(EXAMPLES);
    let mut finding =
        Finding::new(DETECTOR.id, &format!("{} {workload}", item.refused.slug()), title, evidence)?;
    // Some of its pods are there: it works, with less.
    let partly = item.replicas.is_some_and(|(there, _)| there > 0);
    finding.severity = if partly { Severity::Medium } else { Severity::High };
    finding.confidence =
        if item.standing == Standing::Ongoing { Confidence::Confirmed } else { Confidence::Likely };
    finding.count = item.count;
    finding.unit = "failure";
    finding.seen(item.span);
    finding.subjects = vec![subject(item.kind, &item.workload)];
    let state = match item.replicas {
        Some((there, wanted)) => format!("It has {there} of {wanted} pods at capture."),
        None if item.standing == Standing::Ongoing => {
            "Its condition ReplicaFailure is True at capture.".to_owned()
        }
        None => "Whether it has its pods by now is not in the bundle.".to_owned(),
    };
    finding.cause = format!(
        "The API server refuses the pods of {} {workload}: {}. {state}",
        item.kind,
        excerpt(item.words.as_bytes()).trim_end_matches('.')
    );
    finding.details.workload.lacks = Some(item.refused.slug().to_owned());
    let namespace = shell(&item.workload.namespace);
    let mut commands = vec![format!(
        "kubectl describe {} {} -n {namespace}",
        item.kind.to_lowercase(),
        shell(&item.workload.name)
    )];
    if let Refused::Quota(_, resource) = &item.refused {
        finding.details.workload.resource = Some(resource.clone());
        commands.push(format!("kubectl describe resourcequota -n {namespace}"));
    }
    finding.fix = Fix { text: fix.to_owned(), commands, manifests: Vec::new() };
    finding.verify = vec![format!(
        "kubectl get events -n {namespace} --field-selector reason=FailedCreate   # no new ones"
    )];
    Some(finding)
}
