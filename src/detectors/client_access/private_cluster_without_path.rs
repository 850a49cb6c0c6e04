//! The cluster is private, and the client has no network path to it.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::{AKS, CLIENT_ERRORS};
use crate::detectors::observed::{Observed, Wording, aks_named, capitalised};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, SubjectRef,
};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "private-cluster-without-path",
    chapter: Chapter::ClientAccess,
    title: "Private cluster: client has no network path (VNet, peering, VPN)",
    needs: &[CLIENT_ERRORS, AKS],
    explains: &["client-dns-fails", "client-connection-cut"],
    doc: Doc {
        meaning: "The API server of a private cluster has a private IP address, and its private FQDN resolves through a private DNS zone. A client outside the cluster's VNet, without VNet peering, VPN, ExpressRoute or a private endpoint of its own, gets 'no such host' or an i/o timeout.",
        decision: "Confirmed when `az aks show` says that the cluster is private and a client got 'no such host', a timeout or no route; likely when only the FQDN that the client used is that of a private cluster (privatelink); possible when the client used a private IP address and the bundle does not describe the cluster.",
        action: "Connect from a network with a path to the cluster's VNet, or use az aks command invoke.",
        reference: "learn.microsoft.com: Create a private AKS cluster (options for connecting); Access a private AKS cluster with command invoke.",
    },
    detect: Evaluation::Rule(detect),
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
    given.and_then(|observed| finding(cluster, described, observed)).into_iter().collect()
}

fn finding(cluster: &Cluster, described: bool, mut observed: Observed) -> Option<Finding> {
    let aks = cluster.azure.cluster();
    let by_name = observed.hosts.iter().any(|host| host.contains(".privatelink."));
    let no_name = observed.evidence.iter().any(|item| item.excerpt.contains("o such host"));
    if let Some(aks) = aks {
        observed.show_first(aks.evidence("apiServerAccessProfile.enablePrivateCluster", "true"));
    }
    let text = aks.map_or_else(|| "the cluster".to_owned(), crate::cluster::azure::AksCluster::label);
    let lack = if no_name {
        "cannot resolve its FQDN (no such host)"
    } else {
        "has no network path (timeout or no route)"
    };
    let how = if no_name {
        "its private FQDN resolves only through its private DNS zone, and the client's DNS server does not resolve it"
    } else {
        "its API server has a private IP address, which the client cannot reach"
    };
    let known = if described {
        "is private"
    } else if by_name {
        "is private by its FQDN"
    } else {
        "may be private (private IP address)"
    };
    let named = aks_named(cluster);
    let says = Wording {
        severity: Severity::High,
        confidence: if described { Confidence::Confirmed } else if by_name { Confidence::Likely } else { Confidence::Possible },
        unit: "failed attempt",
        cause: format!("{} {known}: {how}. A client's attempts to reach {}{} failed.", capitalised(&text), observed.reached_for_or("it"), observed.when()),
        fix: "Connect from a machine with a path to the cluster's VNet: a VM in it or in a peered VNet (with Azure Bastion), VPN or ExpressRoute with DNS that forwards the private zone to 168.63.129.16, or a private endpoint in the client's VNet. For single commands, `az aks command invoke` needs no network path; it runs them in a pod of the cluster with your rights.".to_owned(),
        commands: vec![
            format!("az aks command invoke {named} --command \"kubectl get nodes\""),
            format!("az aks show {named} --query \"{{private:privateFqdn,zone:apiServerAccessProfile.privateDnsZone}}\""),
        ],
        verify: common::verify(),
    };
    let title = format!("{} {known}: client {lack}", capitalised(&text));
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
