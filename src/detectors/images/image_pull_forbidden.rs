//! A registry does not let the cluster's network or identity in.

use super::{PULLS, images_and_pods, pulled_since, pulls};
use crate::cluster::Cluster;
use crate::detectors::observed::{Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, shell};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "image-pull-forbidden",
    chapter: Chapter::Images,
    title: "A registry forbids pulls (403)",
    guide: &["4.4"],
    needs: &[PULLS],
    explains: &["service-pods-not-ready"],
    doc: Doc {
        meaning: "The registry is reached and lets this network in no further: its firewall allows chosen networks or its private endpoint only, and the nodes come with their public address, because the private zone of the registry is not linked to their network or because that address is not allowed.",
        decision: "'403 Forbidden' or 'is not allowed access' in failed pulls. Confirmed while pods wait; told as passing when the pods concerned run. A 403 of a proxy or a firewall in place of the registry looks alike: its words name it.",
        action: "Link the registry's private zone, or allow the nodes' outbound address.",
        reference: "AKS: fail to pull images from Azure Container Registry to AKS (403).",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    pulls(cluster, Signal::ImageForbidden)
        .into_iter()
        .filter_map(|(registry, pull)| finding(cluster, &registry, pull))
        .collect::<Vec<_>>()
        .into()
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
    let name = registry.split('.').next().unwrap_or(registry);
    let from = address.as_ref().map_or_else(String::new, |ip| {
        format!(" It names the address {ip}: the nodes come to its public door.")
    });
    let known = address
        .as_ref()
        .and_then(|ip| ip.parse().ok())
        .is_some_and(|ip: std::net::IpAddr| cluster.azure.egress.iter().any(|item| item.ip == ip));
    let ours = if known { " That is an outbound address of the cluster." } else { "" };
    let rule = address.unwrap_or_else(|| "NODES_OUTBOUND_ADDRESS".to_owned());
    let azure = registry.contains(".azurecr.");
    let says = Wording {
        severity: if passed { Severity::Low } else { Severity::High },
        confidence: if passed { Confidence::Possible } else { Confidence::Confirmed },
        unit: "failed pull",
        cause: format!(
            "Registry {registry} answered 403 to pulls of {}{}: its network rules don't let the nodes in.{from}{ours}",
            images_and_pods(&observed),
            observed.when()
        ),
        fix: if azure {
            "If the registry has a private endpoint, link the zone privatelink.azurecr.io to the nodes' network, so that its name leads there. Otherwise allow the nodes' outbound address.".to_owned()
        } else {
            "See what the registry's owner allows: addresses, networks, or the account in the pull secret. A 403 may also be the answer of a proxy or a firewall on the way.".to_owned()
        },
        commands: if azure {
            vec![
            format!("nslookup {registry}   # on a node: a private address, if there is a private endpoint"),
            "az network private-dns link vnet create -g GROUP -z privatelink.azurecr.io -n aks-link -v VNET_ID -e false".to_owned(),
            format!("az acr network-rule add -n {name} --ip-address {rule}"),
        ]
        } else {
            vec![format!(
                "curl -sv https://{}/v2/ -o /dev/null   # on a node: who answers, and with what",
                shell(registry)
            )]
        },
        verify: vec!["kubectl get pods -A | grep -c ImagePull   # 0".to_owned()],
    };
    let title = if passed {
        format!("Registry {registry} forbade pulls for a while (403)")
    } else {
        format!("Registry {registry} forbids pulls from the cluster's network (403)")
    };
    observed.finding(&DETECTOR, registry, title, says)
}
