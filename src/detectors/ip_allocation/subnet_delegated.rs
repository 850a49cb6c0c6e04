//! A subnet belongs to another service.

use super::common::{self, observed_refusals};
use crate::cluster::Cluster;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "subnet-delegated",
    chapter: Chapter::IpAllocation,
    title: "The subnet is delegated to another service",
    guide: &["2"],
    needs: &[common::AZURE],
    explains: &[],
    doc: Doc {
        meaning: "A subnet that is delegated to a service can only be used by that service: a node pool can't be put there (SubnetIsDelegated).",
        decision: "Azure's own words, in errors of provisioning or of a ticket.",
        action: "Use another subnet, or remove the delegation if nothing needs it.",
        reference: "AKS troubleshooting: SubnetIsDelegated error code.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let findings = observed_refusals(cluster, Signal::SubnetDelegated).filter_map(|(_, tally)| {
        let mut finding = Finding::new(DETECTOR.id, "subnet", "Azure refused a subnet: it is delegated to another service".to_owned(), tally.examples.as_slice().to_vec())?;
        finding.severity = Severity::High;
        finding.confidence = Confidence::Confirmed;
        finding.count = tally.count();
        finding.seen(tally.span.resolve(cluster.anchor));
        finding.cause = "The subnet was given to another service by a delegation, so machines of the cluster can't be put there.".to_owned();
        finding.fix = Fix {
            text: "Use another subnet for the node pool, or remove the delegation if no service uses it.".to_owned(),
            commands: vec![
                "az network vnet subnet show -g RESOURCE_GROUP --vnet-name VNET -n SUBNET --query delegations".to_owned(),
                "az network vnet subnet update -g RESOURCE_GROUP --vnet-name VNET -n SUBNET --remove delegations".to_owned(),
            ],
            manifests: Vec::new(),
        };
        finding.verify = vec!["az network vnet subnet show -g RESOURCE_GROUP --vnet-name VNET -n SUBNET --query delegations   # []".to_owned()];
        Some(finding)
    });
    findings.take(1).collect::<Vec<_>>().into()
}
