//! A subnet is delegated to another service.

use super::common::{self, observed_refusals};
use crate::cluster::Cluster;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "subnet-delegated",
    chapter: Chapter::IpAllocation,
    title: "Subnet is delegated to another service (SubnetIsDelegated)",
    needs: &[common::AZURE],
    explains: &[],
    doc: Doc {
        meaning: "A subnet that is delegated to a service can only be used by that service: a node pool cannot be placed in it (SubnetIsDelegated).",
        decision: "Azure's error in provisioning output or a ticket. Confirmed.",
        action: "Use another subnet, or remove the delegation if no service uses it.",
        reference: "AKS: Troubleshoot the SubnetIsDelegated error code.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let findings = observed_refusals(cluster, Signal::SubnetDelegated).filter_map(|(_, tally)| {
        let mut finding = Finding::new(DETECTOR.id, "subnet", "Subnet is delegated to another service (SubnetIsDelegated)".to_owned(), tally.examples.as_slice().to_vec())?;
        finding.severity = Severity::High;
        finding.confidence = Confidence::Confirmed;
        finding.count = tally.count();
        finding.seen(tally.span.resolve(cluster.anchor));
        finding.cause = "Azure rejected the subnet for a node pool: it is delegated to another service.".to_owned();
        finding.fix = Fix {
            text: "Use another subnet for the node pool. Remove the delegation only if no service uses the subnet.".to_owned(),
            commands: vec![
                "az network vnet subnet show -g RESOURCE_GROUP --vnet-name VNET -n SUBNET --query delegations".to_owned(),
                "az network vnet subnet update -g RESOURCE_GROUP --vnet-name VNET -n SUBNET --remove delegations   # only if no service uses it".to_owned(),
            ],
            manifests: Vec::new(),
        };
        finding.verify = vec!["az network vnet subnet show -g RESOURCE_GROUP --vnet-name VNET -n SUBNET --query delegations   # []".to_owned()];
        Some(finding)
    });
    findings.take(1).collect()
}
