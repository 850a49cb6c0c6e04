//! The cluster is private, and the client is not in a network that leads to it.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::{AKS, CLIENT_ERRORS};
use crate::detectors::observed::{Observed, Wording, aks_named, capital};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, SubjectRef};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "private-cluster-without-path",
    chapter: Chapter::ClientAccess,
    title: "The cluster is private, and the client has no way to it",
    guide: &["1", "1.2"],
    needs: &[CLIENT_ERRORS, AKS],
    explains: &["client-dns-fails", "client-connection-cut"],
    doc: Doc {
        meaning: "The API server of a private cluster has no public address: its name is known only in a private DNS zone, and its address is of the cluster's network. A client outside that network, and outside those that are peered with it or connected by VPN or ExpressRoute, finds no such host, or times out.",
        decision: "Confirmed when the cluster is described as private and a client found no such host or got no answer; likely when only the name that the client used is one of a private cluster (privatelink); possible when it used a private address of an API server whose cluster is not described.",
        action: "Connect from a network that leads to the cluster, or run single commands by way of Azure.",
        reference: "AKS: create a private cluster, options for connecting to it; az aks command invoke.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let aks = cluster.azure.cluster();
    if aks.is_some_and(|aks| !aks.private && (aks.whole || !aks.ranges.is_empty())) {
        return Outcome { ruled_out: Some("the cluster is not private".to_owned()), ..Outcome::default() };
    }
    let described = aks.is_some_and(|aks| aks.private);
    if common::is_stopped(cluster) {
        return Outcome::default();
    }
    let given = common::attempts(cluster, |attempt| {
        let no_way = common::unanswered(attempt.failure) || attempt.failure == Failure::NameUnknown;
        no_way && (described || attempt.of_private_api())
    });
    given.and_then(|observed| finding(cluster, described, observed)).into_iter().collect::<Vec<_>>().into()
}

fn finding(cluster: &Cluster, described: bool, mut observed: Observed) -> Option<Finding> {
    let aks = cluster.azure.cluster();
    let by_name = observed.hosts.iter().any(|host| host.contains(".privatelink."));
    let no_name = observed.evidence.iter().any(|item| item.excerpt.contains("o such host"));
    if let Some(aks) = aks {
        observed.show_first(aks.evidence("apiServerAccessProfile.enablePrivateCluster", "true"));
    }
    let text = aks.map_or_else(|| "the cluster".to_owned(), crate::cluster::azure::AksCluster::label);
    let how = if no_name {
        "the name is known only in the cluster's private DNS zone, and the client's DNS server does not see it"
    } else {
        "the address is of the cluster's own network, and nothing leads there from the client"
    };
    let known = if described {
        "is private"
    } else if by_name {
        "is private, by the name that the client used"
    } else {
        "seems to be private, by the address that the client used"
    };
    let named = aks_named(cluster);
    let says = Wording {
        severity: Severity::High,
        confidence: if described { Confidence::Confirmed } else if by_name { Confidence::Likely } else { Confidence::Possible },
        unit: "failed attempt",
        cause: format!("{} {known}: {how}. A client's attempts to reach {}{} failed.", capital(&text), observed.reached_for_or("it"), observed.when()),
        fix: "Work from a machine that reaches the cluster's network: a virtual machine in it or in a peered network (with Azure Bastion), a VPN or ExpressRoute whose DNS forwards the private zone to 168.63.129.16, or a private endpoint in the client's network. Single commands can be run by way of Azure.".to_owned(),
        commands: vec![
            format!("az aks command invoke {named} --command \"kubectl get nodes\""),
            format!("az aks show {named} --query \"{{private:privateFqdn,zone:apiServerAccessProfile.privateDnsZone}}\""),
        ],
        verify: common::verify(),
    };
    let title = format!("{} {known}, and a client has no way to it", capital(&text));
    let mut finding =
        observed.finding(&DETECTOR, aks.map_or("cluster", |aks| aks.name.as_str()), title, says)?;
    if let Some(aks) = aks {
        finding.subjects = vec![SubjectRef {
            kind: "AKS cluster".to_owned(),
            namespace: String::new(),
            name: aks.name.clone(),
        }];
    }
    Some(finding)
}
