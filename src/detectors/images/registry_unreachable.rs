//! Nodes cannot reach a registry, or it limits their pulls.

use std::collections::BTreeMap;

use super::{PULLS, images_and_pods, pulled_since, registry};
use crate::cluster::Cluster;
use crate::detectors::observed::{self, Observed, Wording, host_word};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "registry-unreachable",
    chapter: Chapter::Images,
    title: "Registry unreachable from nodes, or pulls rate limited (429)",
    needs: &[PULLS],
    explains: &[
        "connection-failing",
        "service-pods-not-ready",
        "kube-proxy-not-running",
        "coredns-unhealthy",
    ],
    doc: Doc {
        meaning: "An image pull fails before the registry serves it: its name is not resolved, its address times out or refuses (private endpoint: peering, DNS, route; public: firewall, NSG), TLS is intercepted (x509), the proxy fails, or the registry limits pulls (429 toomanyrequests). If it is mcr.microsoft.com, system pods cannot start on new nodes.",
        decision: "Failed pulls with i/o timeout, TLS handshake timeout, no such host, an x509 or TLS error, connection refused, connection reset, no route to host, proxyconnect or toomanyrequests, by registry and error. Confirmed when seen more than once, likely when seen once. Possible and low when the pods concerned are ready, or the logs go on without it.",
        action: "Open the path to the registry (DNS, route, firewall, private endpoint); for 429, pull with an account or from your own registry.",
        reference: "AKS: Failed to pull an image from Azure Container Registry to AKS; Outbound network and FQDN rules. Docker Hub: Pull usage and limits.",
    },
    detect: Evaluation::Rule(detect),
};

/// How a pull failed, in the title's words, what that can mean, what to do.
const WAYS: &[(&str, &str, &str, &str)] = &[
    (
        "timeout",
        "connection timed out",
        "Usually packets are dropped on the path: firewall, NSG, route, or a peering that is not connected.",
        "Allow TCP 443 from the nodes to the registry (for Azure Container Registry also to its data endpoints). With a private endpoint, check that the virtual networks are peered and routed.",
    ),
    (
        "dns",
        "name cannot be resolved",
        "The nodes' DNS servers do not resolve the registry's name.",
        "Check which DNS servers the nodes use. With a private endpoint, link the zone privatelink.azurecr.io to their virtual network.",
    ),
    (
        "tls",
        "TLS or x509 error",
        "The TLS handshake fails or the certificate is not trusted: often TLS inspection by a firewall or proxy, or a private CA.",
        "Exclude the registry's names from TLS inspection, or add the CA certificate to the nodes (AKS: custom certificate authority; it applies to new nodes).",
    ),
    (
        "refused",
        "connection refused",
        "The address that the name resolves to refuses the connection.",
        "Check that the name resolves to the right address, and that the registry is running.",
    ),
    (
        "proxy",
        "proxyconnect failed",
        "The nodes' HTTP proxy cannot be reached, or refuses the request.",
        "Correct the cluster's HTTP proxy configuration or the proxy; list registries that are reached directly in noProxy.",
    ),
    (
        "reset",
        "connection reset",
        "Connections are cut, often by a firewall or TLS-inspecting appliance on the path.",
        "Exclude the registry's names from the appliance's inspection, or allow them there.",
    ),
    (
        "no-route",
        "no route to host",
        "The nodes have no route to the registry.",
        "Check the nodes' default route and effective routes.",
    ),
    (
        "plain-http",
        "HTTP where HTTPS was expected",
        "The registry speaks plain HTTP on that port, and the container runtime connects with HTTPS.",
        "Serve TLS at the registry, or name it as an HTTP registry in the runtime's settings (containerd: hosts.toml in /etc/containerd/certs.d/REGISTRY; k3s: registries.yaml), and restart the runtime.",
    ),
    (
        "server-error",
        "the registry answers with a server error (5xx)",
        "The registry, or a proxy in front of it, fails.",
        "Check the registry and its storage, and the proxy in front of it; the kubelet retries the pull by itself.",
    ),
    (
        "cut",
        "connection closed (EOF)",
        "The connection ended in the middle of the answer: a proxy or a firewall on the path, or the registry itself.",
        "Pull the image from another network, and exclude the registry's names from inspection on the path.",
    ),
    (
        "rate-limit",
        "429 Too Many Requests (pull rate limit)",
        "The registry limits the number of pulls.",
        "Pull with an account (imagePullSecrets), or import the image into your Azure Container Registry (az acr import, cache rules).",
    ),
];

fn detect(cluster: &Cluster) -> Outcome {
    let all: BTreeMap<(String, String), Observed> = observed::signals(cluster, |key| {
        let (image, how) = key.detail.split_once(' ')?;
        (key.signal == Signal::ImageUnreachable).then(|| (registry(image).to_owned(), how.to_owned()))
    });
    all.into_iter()
        .filter_map(|((registry, how), observed)| finding(cluster, &registry, &how, observed))
        .collect()
}

fn finding(cluster: &Cluster, registry: &str, how: &str, observed: Observed) -> Option<Finding> {
    let (_, state, meaning, fix) = WAYS.iter().find(|(way, ..)| *way == how)?;
    let passed = pulled_since(cluster, &observed);
    let system = registry.contains("mcr.");
    let host = host_word(registry, "REGISTRY");
    let (severity, confidence) = match (passed, observed.count > 1) {
        (true, _) => (Severity::Low, Confidence::Possible),
        (false, true) => (Severity::High, Confidence::Confirmed),
        (false, false) => (Severity::High, Confidence::Likely),
    };
    let matter = if system {
        " AKS system images come from there: new nodes cannot start their system pods."
    } else {
        ""
    };
    let isolated =
        cluster.azure.cluster().is_some_and(|aks| matches!(aks.outbound.as_str(), "none" | "block"));
    let hint = if isolated {
        " The cluster is network isolated: system images must come from its bootstrap registry; a change of that registry reaches existing nodes only when they are reimaged, which restarts their pods."
    } else {
        ""
    };
    let says = Wording {
        severity,
        confidence,
        unit: "failed pull",
        cause: format!(
            "Image pulls from registry {registry} failed{}, {state}: {}. {meaning}{matter}{hint}",
            observed.when(),
            images_and_pods(&observed)
        ),
        fix: if passed { "No action needed unless it recurs.".to_owned() } else { (*fix).to_owned() },
        commands: if passed {
            Vec::new()
        } else if cluster.is_elsewhere() {
            vec![format!(
                "nslookup {host}; nc -vz -w 5 {host} 443; curl -sSI https://{host}/v2/   # on a node"
            )]
        } else {
            vec![format!(
                "az vmss run-command invoke -g NODE_RESOURCE_GROUP -n VMSS --instance-id 0 --command-id RunShellScript --scripts 'nslookup {host}; nc -vz -w 5 {host} 443; curl -sSI https://{host}/v2/'"
            )]
        },
        verify: vec!["kubectl get pods -A | grep -c ImagePull   # 0".to_owned()],
    };
    let title = if passed {
        format!("Registry {registry}: earlier image pulls failed, {state}")
    } else {
        format!("Registry {registry}: image pulls fail, {state}")
    };
    observed.finding(&DETECTOR, &format!("{registry} {how}"), title, says)
}
