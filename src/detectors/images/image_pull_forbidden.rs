//! A registry, or something in front of it, answers image pulls with 403 Forbidden.

use super::{PULLS, images_and_pods, pulled_since, pulls};
use crate::cluster::Cluster;
use crate::detectors::observed::{Observed, Wording, host_word};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "image-pull-forbidden",
    chapter: Chapter::Images,
    title: "Image pulls fail with 403 Forbidden",
    needs: &[PULLS],
    explains: &["connection-failing", "service-pods-not-ready"],
    doc: Doc {
        meaning: "The registry is reached and rejects the request: its network rules allow only selected networks or its private endpoint, and the nodes arrive from an IP that is not allowed, often because the private DNS zone of the registry is not linked to their virtual network. A proxy or firewall can answer 403 in the registry's place.",
        decision: "`403 Forbidden`, `unexpected status: 403` or `is not allowed access` in failed pulls, by registry. Confirmed, high. Possible and low when the pods concerned are ready, or the logs go on without it. The client IP is named where the answer has it.",
        action: "Link the registry's private DNS zone, or add the nodes' outbound IP to its network rules.",
        reference: "AKS: Failed to pull an image from Azure Container Registry to AKS (403 Forbidden). Azure Container Registry: Configure public IP network rules.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    pulls(cluster, Signal::ImageForbidden)
        .into_iter()
        .filter_map(|(registry, pull)| finding(cluster, &registry, pull))
        .collect()
}

/// `client with IP '20.1.2.3' is not allowed access`.
fn refused_address(observed: &Observed) -> Option<String> {
    observed.evidence.iter().find_map(|item| {
        let (_, rest) = item.excerpt.split_once("client with IP '")?;
        Some(rest.split('\'').next()?.to_owned())
    })
}

fn finding(cluster: &Cluster, registry: &str, observed: Observed) -> Option<Finding> {
    let passed = pulled_since(cluster, &observed);
    let address = refused_address(&observed);
    let host = host_word(registry, "REGISTRY");
    let name = host.split('.').next().unwrap_or(&host);
    let known = address
        .as_ref()
        .and_then(|ip| ip.parse().ok())
        .is_some_and(|ip: std::net::IpAddr| cluster.azure.egress.iter().any(|item| item.ip == ip));
    let ours = if known { ", an outbound IP of the cluster" } else { "" };
    let why = address.as_ref().map_or_else(
        || {
            "Registry network rules, missing rights, or a proxy or firewall on the path can answer so."
                .to_owned()
        },
        |ip| format!("Its network rules do not allow client IP {ip}{ours}."),
    );
    let rule = host_word(address.as_deref().unwrap_or_default(), "NODES_OUTBOUND_IP");
    let azure = registry.contains(".azurecr.");
    let says = Wording {
        severity: if passed { Severity::Low } else { Severity::High },
        confidence: if passed { Confidence::Possible } else { Confidence::Confirmed },
        unit: "failed pull",
        cause: format!(
            "Pulls from registry {registry} were answered with 403 Forbidden{}: {}. {why}",
            observed.when(),
            images_and_pods(&observed)
        ),
        fix: if azure {
            "If the registry has a private endpoint, link the zone privatelink.azurecr.io to the nodes' virtual network, so that its name resolves to it. Otherwise add the nodes' outbound IP to the registry's network rules; this admits every client behind that IP.".to_owned()
        } else {
            "Check which IPs, networks and accounts the registry allows, and the account in the pull secret. A proxy or firewall on the path can also answer 403.".to_owned()
        },
        commands: if azure {
            vec![
            format!("nslookup {host}   # on a node: a private IP if there is a private endpoint"),
            "az network private-dns link vnet create -g RESOURCE_GROUP -z privatelink.azurecr.io -n aks-link -v VNET_ID -e false".to_owned(),
            format!("az acr network-rule add -n {name} --ip-address {rule}"),
        ]
        } else {
            vec![format!(
                "curl -sv https://{}/v2/ -o /dev/null   # on a node: who answers, and with which status",
                shell(registry)
            )]
        },
        verify: vec!["kubectl get pods -A | grep -c ImagePull   # 0".to_owned()],
    };
    let title = if passed {
        format!("Registry {registry}: earlier image pulls failed with 403 Forbidden")
    } else {
        format!("Registry {registry}: image pulls fail with 403 Forbidden")
    };
    observed.finding(&DETECTOR, registry, title, says)
}
