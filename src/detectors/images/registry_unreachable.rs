//! Nodes don't get a registry to answer.

use std::collections::BTreeMap;

use super::{PULLS, images_and_pods, pulled_since, registry};
use crate::cluster::Cluster;
use crate::detectors::observed::{self, Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "registry-unreachable",
    chapter: Chapter::Images,
    title: "A registry can't be reached",
    guide: &["4.4"],
    needs: &[PULLS],
    explains: &["service-pods-not-ready", "kube-proxy-not-running", "coredns-unhealthy"],
    doc: Doc {
        meaning: "A pull fails before the registry has said anything: its name is not resolved, its address does not answer (a private address: peering, endpoint, route; a public one: firewall, security group), TLS is inspected on the way, or the registry lets nobody pull more for now (rate limit). When it is mcr.microsoft.com, the system's own pods can't start on new nodes.",
        decision: "Failed pulls with a timeout, 'no such host', an x509 error, a refusal, or 'toomanyrequests', by registry and way. Confirmed while pods wait and when seen more than once; likely when seen once; told as passing when the pods concerned run.",
        action: "Open the way to the registry: DNS, route, firewall, private endpoint.",
        reference: "AKS: fail to pull images from Azure Container Registry to AKS; outbound network and FQDN rules.",
    },
    detect,
};

/// How a pull failed, what that means, what to do.
const WAYS: &[(&str, &str, &str)] = &[
    (
        "timeout",
        "it does not answer: packets are dropped by a firewall, a security group, a route, or a peering that is not connected",
        "Let TCP 443 from the nodes to the registry pass (for Azure registries to their data endpoints, too); for a private endpoint, see that the networks are peered and routed.",
    ),
    (
        "dns",
        "its name is not resolved",
        "See which DNS servers the nodes ask; for a private endpoint, link the zone privatelink.azurecr.io to their network.",
    ),
    (
        "tls",
        "the certificate is not trusted: TLS is inspected on the way",
        "Take the registry's names out of the inspection, or give the nodes the authority's certificate before they are provisioned.",
    ),
    (
        "refused",
        "its address refuses connections",
        "See whether the name leads to the right address, and whether the registry runs.",
    ),
    (
        "proxy",
        "the proxy of the nodes is not reached, or refuses",
        "Correct the cluster's HTTP proxy configuration, or the proxy; registries that are reached directly belong into noProxy.",
    ),
    (
        "reset",
        "connections to it are cut: an appliance on the way does that",
        "Take the registry's names out of the appliance's inspection.",
    ),
    ("no-route", "no route leads to it", "Look at the nodes' default route."),
    (
        "rate-limit",
        "it lets nobody pull more for now (rate limit)",
        "Sign in with an account, or import the image into a registry of your own (az acr import, cache rules).",
    ),
];

fn detect(cluster: &Cluster) -> Outcome {
    let all: BTreeMap<(String, String), Observed> = observed::signals(cluster, |key| {
        let (image, how) = key.detail.split_once(' ')?;
        (key.signal == Signal::ImageUnreachable).then(|| (registry(image).to_owned(), how.to_owned()))
    });
    all.into_iter()
        .filter_map(|((registry, how), observed)| finding(cluster, &registry, &how, observed))
        .collect::<Vec<_>>()
        .into()
}

fn finding(cluster: &Cluster, registry: &str, how: &str, observed: Observed) -> Option<Finding> {
    let (_, meaning, fix) = WAYS.iter().find(|(way, ..)| *way == how)?;
    let passed = pulled_since(cluster, &observed);
    let system = registry.contains("mcr.");
    let (severity, confidence) = match (passed, observed.count > 1) {
        (true, _) => (Severity::Low, Confidence::Possible),
        (false, true) => (Severity::High, Confidence::Confirmed),
        (false, false) => (Severity::High, Confidence::Likely),
    };
    let matter =
        if system { " Images of the system come from there: new nodes can't start its pods." } else { "" };
    let isolated =
        cluster.azure.cluster().is_some_and(|aks| matches!(aks.outbound.as_str(), "none" | "block"));
    let hint = if isolated {
        " The cluster is network isolated: images of the system must come from its own registry; let AKS reconcile after a change of that registry, and reimage the nodes."
    } else {
        ""
    };
    let says = Wording {
        severity,
        confidence,
        unit: "failed pull",
        cause: format!(
            "Nodes could not reach registry {registry}, for pulls of {}{}: {meaning}.{matter}{hint}",
            images_and_pods(&observed),
            observed.when()
        ),
        fix: if passed { "Nothing to mend, unless it comes back.".to_owned() } else { (*fix).to_owned() },
        commands: if passed {
            Vec::new()
        } else {
            vec![format!(
                "az vmss run-command invoke -g NODE_RESOURCE_GROUP -n VMSS --instance-id 0 --command-id RunShellScript --scripts 'nslookup {registry}; nc -vz -w 5 {registry} 443; curl -sSI https://{registry}/v2/'"
            )]
        },
        verify: vec!["kubectl get pods -A | grep -c ImagePull   # 0".to_owned()],
    };
    let title = if passed {
        format!("Registry {registry} could not be reached for a while")
    } else {
        format!("Registry {registry} can't be reached: {}", meaning.split(':').next().unwrap_or(meaning))
    };
    observed.finding(&DETECTOR, &format!("{registry} {how}"), title, says)
}
