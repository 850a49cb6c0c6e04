//! Addresses of pods that ended faster than they are cleaned up.

use super::common::{self, about_node, node_word, on_node, per_node, refused_words};
use super::pod_ip_leak::{ages, severity, undecided, verify};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Exhaustion, NodeIpam, Reason, Runtime};
use crate::detectors::{Chapter, Detector, Doc, Finding, Fix, Outcome};
use crate::evidence::EXAMPLES;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-ip-churn",
    chapter: Chapter::IpAllocation,
    title: "Pods come and go faster than their addresses are cleaned up",
    guide: &["2.1", "2.3"],
    needs: &[common::BOOKS, common::PODS],
    explains: &["pod-ip-exhausted", "pod-ip-pool-full", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "The plugin gives addresses back, but late: many short-lived pods (Jobs, CronJobs, tests) end before the kubelet has cleaned up their predecessors, and the node's addresses run out in between. It looks like a leak and heals by itself when the churn stops.",
        decision: "The same books as for 'pod-ip-leak'. It is churn when most of the orphans' sandboxes are known to the container runtime and have merely ended; or when four fifths of the orphans are younger than an hour and the node has pods of Jobs or ended pods; or, where neither ages nor the runtime are known, when such pods are at least half as many as the orphans, and five: then it is never more than likely.",
        action: "Make fewer pods at a time or let them live longer; remove ended ones sooner; and let the kubelet clean up earlier. If orphans stay for hours after the churn has stopped, it is a leak after all.",
        reference: "Kubernetes: Garbage collection of containers and images; TTL-after-finished controller. Azure Architecture Center: Troubleshoot network problems in AKS clusters.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let findings = per_node(cluster, Reason::Churn, &DETECTOR, "ended pods keep their addresses", node);
    let undecided = if findings.is_empty() { undecided(cluster) } else { None };
    Outcome { findings, undecided, ..Outcome::default() }
}

fn node(found: &Exhaustion, books: Option<&NodeIpam>) -> Option<Finding> {
    let books = books?;
    let orphans: Vec<_> = books.leaked().collect();
    let count = orphans.len() as u64;
    let title = format!(
        "{}: {count} of {} pod addresses belong to pods that just ended",
        on_node(&books.node),
        books.allocated()
    );
    let places = orphans.iter().take(EXAMPLES).map(|orphan| orphan.evidence()).collect();
    let mut finding = about_node(&DETECTOR, found, Some(books), title, places)?;
    finding.severity = severity(found, books, count);
    finding.count = count;
    finding.unit = "address";
    finding.detail("short_lived_pods", books.short_lived);
    let times: Vec<i64> = orphans.iter().filter_map(|orphan| orphan.written).collect();
    let ended = orphans.iter().filter(|orphan| orphan.runtime == Runtime::Ended).count();
    let why = if ended > 0 {
        format!(" The container runtime still has {ended} of their sandboxes, ended and not removed.")
    } else if times.is_empty() {
        " Nothing tells their age, so a leak is possible, too.".to_owned()
    } else {
        " Hardly any is older than an hour.".to_owned()
    };
    finding.cause = format!(
        "{} has {} addresses reserved on this node for {} live pods; {count} are of pods that are gone.{}{why} The node has {} pods of Jobs or ended ones: they are made faster than the kubelet cleans up.{}",
        books.ipam.label(),
        books.allocated(),
        books.pods,
        ages(books, &times),
        books.short_lived,
        refused_words(&found.refused),
    );
    let name = node_word(&books.node);
    finding.fix = Fix {
        text: "Slow the churn: run fewer Jobs in parallel, set ttlSecondsAfterFinished and the history limits of CronJobs, and spread them over more nodes. On nodes whose kubelet you configure, clean up earlier: --minimum-container-ttl-duration=0s, --maximum-dead-containers-per-container=0 and a low --maximum-dead-containers. AKS does not let these be set on its node pools: there, replace Jobs that run every minute by a Deployment, or move to Azure CNI Overlay, whose ranges are larger.".to_owned(),
        commands: vec![
            format!("kubectl get pods -A --field-selector spec.nodeName={name},status.phase=Succeeded   # who makes them"),
            "kubectl patch cronjob NAME -n NAMESPACE --type merge -p '{\"spec\":{\"successfulJobsHistoryLimit\":1,\"failedJobsHistoryLimit\":1,\"jobTemplate\":{\"spec\":{\"ttlSecondsAfterFinished\":60}}}}'".to_owned(),
        ],
        manifests: Vec::new(),
    };
    finding.verify = verify(books);
    Some(finding)
}
