//! One address with two owners.

use super::common::{self, some};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Duplicate, DuplicateKind};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity, SubjectRef};

pub(super) const DETECTOR: Detector = Detector {
    id: "duplicate-pod-ip",
    chapter: Chapter::IpAllocation,
    title: "One address has two owners",
    guide: &["2", "3.5"],
    needs: &[common::PODS],
    explains: &[],
    doc: Doc {
        meaning: "Two pods have the same address, so each gets a part of the other's traffic: connections are reset or answered by the wrong program. It happens after a CNS restart or when releases and reservations are done out of order.",
        decision: "Two running pods tell the same address, neither uses its node's network, neither is being deleted and both nodes are ready: confirmed from the objects themselves, possible from tables, which don't tell whether a pod uses its node's network. Or a CNI's state file names two sandboxes for an address; or azure-cns's endpoint state gives an address to a pod while its pool calls it available, so that the next pod will get it, too.",
        action: "Delete one of the two pods, so that it gets another address; restart azure-cns on the node; upgrade the node image and report the bug.",
        reference: "Azure/azure-container-networking issues 181 and 4497.",
    },
    detect,
};

/// Duplicates that are told one by one.
const MOST: usize = 20;

fn detect(cluster: &Cluster) -> Outcome {
    let all = &cluster.ledger.duplicates;
    let mut findings: Vec<Finding> = all.iter().take(MOST).filter_map(finding).collect();
    if all.len() > MOST
        && let Some(last) = findings.last_mut()
    {
        let rest: Vec<String> = all.iter().skip(MOST).map(|item| item.ip.to_string()).collect();
        last.detail("more_duplicates", &rest);
        last.cause += &format!(" There are {} more such addresses: {}.", rest.len(), some(rest.iter()));
    }
    findings.into()
}

fn finding(item: &Duplicate) -> Option<Finding> {
    let owners = item.owners.join(" and ");
    let title = match item.kind {
        DuplicateKind::OwnedAndFree => {
            format!("Address {} belongs to {owners} and is given out as free", item.ip)
        }
        _ => format!("Address {} belongs to {owners}", item.ip),
    };
    let mut finding =
        Finding::new(DETECTOR.id, &format!("{} {owners}", item.ip), title, item.evidence.clone())?;
    (finding.confidence, finding.severity) = match item.kind {
        DuplicateKind::Pods => (Confidence::Confirmed, Severity::Critical),
        DuplicateKind::Sandboxes | DuplicateKind::OwnedAndFree => (Confidence::Likely, Severity::High),
        DuplicateKind::Rows => (Confidence::Possible, Severity::Medium),
    };
    finding.subjects = item
        .nodes
        .iter()
        .map(|node| SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.clone() })
        .collect();
    finding.subjects.extend(item.owners.iter().filter_map(|owner| owner.split_once('/')).map(
        |(namespace, name)| SubjectRef {
            kind: "Pod".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        },
    ));
    finding.detail("address", item.ip);
    finding.detail("owners", &item.owners);
    let on = if item.nodes.is_empty() { String::new() } else { format!(" on {}", item.nodes.join(" and ")) };
    finding.cause = match item.kind {
        DuplicateKind::Pods => {
            format!("Both pods{on} run with the address {}. The IPAM gave it out twice.", item.ip)
        }
        DuplicateKind::Rows => format!(
            "Both rows{on} show the address {}. If both pods use their own network, the IPAM gave it out twice; tables don't tell.",
            item.ip
        ),
        DuplicateKind::Sandboxes => format!(
            "The CNI's state{on} names {} sandboxes for {}: either an old one was not removed, or the address was given out twice.",
            item.owners.len(),
            item.ip
        ),
        DuplicateKind::OwnedAndFree => format!(
            "azure-cns's endpoint state{on} says that {owners} has {}, and its pool calls the address available: the next pod gets it, too.",
            item.ip
        ),
    };
    let pod = item.owners.first().and_then(|owner| owner.split_once('/'));
    finding.fix = Fix {
        text: "Delete one of the owners, so that it gets another address, and restart azure-cns on the node where that is the IPAM. Upgrade the node image; if it comes back, report it with this evidence.".to_owned(),
        commands: pod.map(|(namespace, name)| format!("kubectl delete pod -n {} {}", crate::detectors::shell(namespace), crate::detectors::shell(name))).into_iter().collect(),
        manifests: Vec::new(),
    };
    finding.verify = vec!["kubectl get pods -A -o json | jq -r '.items[] | select(.spec.hostNetwork != true and .status.phase == \"Running\") | .status.podIP' | sort | uniq -d   # nothing".to_owned()];
    Some(finding)
}
