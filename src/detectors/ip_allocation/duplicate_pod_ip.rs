//! One pod IP with two owners.

use super::common::{self, some};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Duplicate, DuplicateKind};
use crate::detectors::details::texts;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, SubjectRef, shell,
};

pub(super) const DETECTOR: Detector = Detector {
    id: "duplicate-pod-ip",
    chapter: Chapter::IpAllocation,
    title: "Duplicate pod IP",
    needs: &[common::PODS],
    explains: &[],
    doc: Doc {
        meaning: "Two pods have the same IP, so each gets a part of the other's traffic: connections are reset, or the wrong application answers. It happens after a CNS restart, or when IPs are released and assigned out of order.",
        decision: "Two running pods have the same IP, neither uses hostNetwork, neither is being deleted and both nodes are Ready: confirmed from objects, possible from tables, which do not show hostNetwork. A CNI state file with two sandboxes for an IP, or an IP that azure-cns assigns to a pod and has as Available in its pool: likely.",
        action: "Recreate one of the two pods, so that it gets another IP; report the bug if it recurs.",
        reference: "Azure/azure-container-networking issues 181 and 4497.",
    },
    detect: Evaluation::Rule(detect),
};

/// How many duplicates have a finding each.
const MOST: usize = 20;

fn detect(cluster: &Cluster) -> Outcome {
    let all = &cluster.ledger.duplicates;
    let mut findings: Vec<Finding> = all.iter().take(MOST).filter_map(finding).collect();
    if all.len() > MOST
        && let Some(last) = findings.last_mut()
    {
        let rest: Vec<String> = all.iter().skip(MOST).map(|item| item.ip.to_string()).collect();
        last.details.ip_allocation.more_duplicates = texts(&rest);
        last.cause += &format!(" {} more duplicate IPs: {}.", rest.len(), some(rest.iter()));
    }
    findings.into()
}

fn finding(item: &Duplicate) -> Option<Finding> {
    let owners = item.owners.join(" and ");
    let title = match item.kind {
        DuplicateKind::OwnedAndFree => {
            format!("Duplicate pod IP {}: assigned to {owners}, and Available in azure-cns", item.ip)
        }
        _ => format!("Duplicate pod IP {}: {owners}", item.ip),
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
    finding.details.ip_allocation.address = Some(item.ip.to_string());
    finding.details.ip_allocation.owners = texts(&item.owners);
    let on = if item.nodes.is_empty() { String::new() } else { format!(" on {}", item.nodes.join(" and ")) };
    finding.cause = match item.kind {
        DuplicateKind::Pods => {
            format!("Both pods{on} run with IP {}: IPAM assigned it twice.", item.ip)
        }
        DuplicateKind::Rows => format!(
            "Both rows{on} have IP {}. If neither pod uses hostNetwork, IPAM assigned it twice; the table does not show hostNetwork.",
            item.ip
        ),
        DuplicateKind::Sandboxes => format!(
            "The CNI plugin's state{on} has {} sandboxes for {}: either an old one was not removed, or the IP was assigned twice.",
            item.owners.len(),
            item.ip
        ),
        DuplicateKind::OwnedAndFree => format!(
            "The endpoint state of azure-cns{on} assigns {} to {owners}, and its pool has the IP as Available: the next pod can get it too.",
            item.ip
        ),
    };
    let pod = item.owners.first().and_then(|owner| owner.split_once('/'));
    finding.fix = Fix {
        text: "Recreate one of the pods, so that it gets another IP: its controller starts a replacement, a bare pod must be created again from its manifest. If it recurs, report it to the CNI plugin's maintainers (AKS: Microsoft support) with this evidence.".to_owned(),
        commands: pod
            .map(|(namespace, name)| (shell(namespace), shell(name)))
            .map(|(namespace, name)| {
                [
                    format!("kubectl get pod -n {namespace} {name} -o yaml > {name}.yaml   # keep it: a bare pod is not recreated"),
                    format!("kubectl delete pod -n {namespace} {name}   # this pod only"),
                ]
            })
            .into_iter()
            .flatten()
            .collect(),
        manifests: Vec::new(),
    };
    finding.verify = vec!["kubectl get pods -A -o json | jq -r '.items[] | select(.spec.hostNetwork != true and .status.phase == \"Running\") | .status.podIP' | sort | uniq -d   # prints nothing".to_owned()];
    Some(finding)
}
