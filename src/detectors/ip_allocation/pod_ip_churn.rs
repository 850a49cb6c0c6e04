//! IPs of completed pods that are not released as fast as new pods start.

use super::common::{self, about_node, node_word, on_node, per_node, refused_words};
use super::pod_ip_leak::{ages, severity, undecided, verify};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Exhaustion, NodeIpam, Reason, Runtime};
use crate::detectors::details::number;
use crate::detectors::observed::counted;
use crate::detectors::{Chapter, Detector, Doc, Evaluation, Finding, Fix, Outcome};
use crate::evidence::EXAMPLES;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-ip-churn",
    chapter: Chapter::IpAllocation,
    title: "Pod churn: IPs of completed Jobs not yet released",
    needs: &[common::BOOKS, common::PODS],
    explains: &["pod-ip-exhausted", "pod-ip-pool-full", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "IPs are released, but late: many short-lived pods (Jobs, CronJobs, tests) end before the kubelet has cleaned up earlier ones, and the node runs out of pod IPs meanwhile. It looks like a leak and ends by itself when the churn stops.",
        decision: "The same IPAM state as for pod-ip-leak. Churn when the container runtime still has most of the sandboxes without a running pod, stopped; or when four fifths of these IPs are younger than an hour and the node has Job pods or completed pods; or, where neither age nor runtime is known, when such pods number at least five and at least half as many as the IPs: then never more than likely.",
        action: "Run fewer pods at a time, remove completed ones sooner, and let the kubelet clean up earlier. If the IPs stay allocated for hours after the churn has stopped, it is a leak.",
        reference: "Kubernetes: Garbage Collection; Automatic Cleanup for Finished Jobs. Azure Architecture Center: Troubleshoot network problems in AKS clusters.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let findings = per_node(cluster, Reason::Churn, &DETECTOR, "pod churn, IPs not yet released", node);
    let undecided = if findings.is_empty() { undecided(cluster) } else { None };
    Outcome { undecided, ..Outcome::from(findings) }
}

fn node(found: &Exhaustion, books: Option<&NodeIpam>) -> Option<Finding> {
    let books = books?;
    let orphans: Vec<_> = books.leaked().collect();
    let count = orphans.len() as u64;
    let title = format!(
        "{}: pod churn, {count} of {} pod IPs not yet released",
        on_node(&books.node),
        books.allocated()
    );
    let places = orphans.iter().take(EXAMPLES).map(|orphan| orphan.evidence()).collect();
    let mut finding = about_node(&DETECTOR, found, Some(books), title, places)?;
    finding.severity = severity(found, books, count);
    finding.count = count;
    finding.unit = "address";
    finding.details.ip_allocation.short_lived_pods = number(books.short_lived);
    let times: Vec<i64> = orphans.iter().filter_map(|orphan| orphan.written).collect();
    let ended = orphans.iter().filter(|orphan| orphan.runtime == Runtime::Ended).count();
    let why = if ended > 0 {
        format!(" The container runtime still has {ended} of their sandboxes, stopped and not removed.")
    } else if times.is_empty() {
        " Their age is unknown, so a leak is possible too.".to_owned()
    } else {
        " Few are older than an hour.".to_owned()
    };
    finding.cause = format!(
        "{}: {} addresses reserved on this node for {} (without hostNetwork), {count} of pods that are gone.{}{why} Job pods and completed pods on the node: {}; they are created faster than the kubelet cleans up.{}",
        books.ipam.label(),
        books.allocated(),
        counted(books.pods, "running pod"),
        ages(books, &times),
        books.short_lived,
        refused_words(&found.refused),
    );
    let name = node_word(&books.node);
    finding.fix = Fix {
        text: "Reduce the churn: run fewer Jobs in parallel, set ttlSecondsAfterFinished and the history limits of CronJobs, and spread them over more nodes; the logs of removed pods are gone with them. On nodes whose kubelet you configure, clean up earlier: --minimum-container-ttl-duration=0s, --maximum-dead-containers-per-container=0 and a low --maximum-dead-containers. AKS node pools do not allow these: there, replace Jobs that run every minute by a Deployment, or move to Azure CNI Overlay, whose ranges are larger.".to_owned(),
        commands: vec![
            format!("kubectl get pods -A --field-selector spec.nodeName={name},status.phase=Succeeded   # the completed pods"),
            "kubectl patch cronjob NAME -n NAMESPACE --type merge -p '{\"spec\":{\"successfulJobsHistoryLimit\":1,\"failedJobsHistoryLimit\":1,\"jobTemplate\":{\"spec\":{\"ttlSecondsAfterFinished\":60}}}}'".to_owned(),
        ],
        manifests: Vec::new(),
    };
    finding.verify = verify(books);
    Some(finding)
}
