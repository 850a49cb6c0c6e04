//! What the detectors of this chapter share: attempts from within the cluster, and the codes of provisioning.

use crate::cluster::Cluster;
use crate::cluster::reachability::{Unreached, What, Who};
use crate::detectors::observed::{self, Observed};
use crate::detectors::{Confidence, Need, Severity};
use crate::evidence::Evidence;
use crate::facts::{Failure, Key, Signal, time};

/// The endpoints of the API server's own service.
pub(super) const API_ENDPOINTS: Need = Need {
    what: "the endpoints of namespace default",
    why: "the API server's own are among them",
    command: "kubectl get services,endpoints,endpointslices -n default -o json > default.json",
    met: endpoints_known,
};

/// Whether endpoints of the namespace were listed at all.
pub(super) fn endpoints_known(cluster: &Cluster) -> bool {
    let facts = &cluster.facts;
    let default = |key: &Key| &*key.namespace == "default";
    (facts.has_list("Endpoints") || facts.has_list("EndpointSlice"))
        && (facts.objects.endpoints.iter().any(|(key, _)| default(key))
            || facts.objects.endpoint_slices.iter().any(|(key, _)| default(key)))
}

/// Where the endpoints of a service stand.
pub(super) fn api_endpoints_evidence(cluster: &Cluster, key: &Key) -> Vec<Evidence> {
    let objects = &cluster.facts.objects;
    let published = cluster.services.all.get(key).and_then(|state| state.published.as_ref());
    let from = published.map(|item| item.from.as_slice()).unwrap_or_default();
    from.iter()
        .filter_map(|(kind, key)| match *kind {
            "Endpoints" => Some(objects.endpoints.get(&key.namespace, &key.name)?.evidence(kind, key)),
            _ => Some(objects.endpoint_slices.get(&key.namespace, &key.name)?.evidence(kind, key)),
        })
        .flatten()
        .take(1)
        .collect()
}

/// Failures after which nothing was reached at all, or something that is not the API server.
pub(super) fn no_connection(failure: Failure) -> bool {
    !failure.of_dns() && failure != Failure::TlsExpired
}

/// Failed attempts of nodes to reach the API server.
pub(super) fn of_nodes(cluster: &Cluster, fits: impl Fn(&Unreached) -> bool) -> Option<Observed> {
    observed::attempts(cluster, |attempt| {
        (matches!(attempt.who, Who::Node(_)) && attempt.what == What::ApiServer && fits(attempt))
            .then_some(())
    })
    .remove(&())
}

/// Failed attempts to reach the API server from within the cluster: of nodes, pods, and clients that don't say where
/// they run. Agents of the tunnel are noisy on healthy clusters, and left out.
pub(super) fn from_inside(cluster: &Cluster, fits: impl Fn(&Unreached) -> bool) -> Option<Observed> {
    let inside = |who: &Who| matches!(who, Who::Node(_) | Who::Pod(_) | Who::Unknown);
    observed::attempts(cluster, |attempt| {
        (inside(&attempt.who) && attempt.what == What::ApiServer && fits(attempt)).then_some(())
    })
    .remove(&())
}

/// Whether nodes or pods still got no answer from the API server when the logs end.
pub(super) fn unanswered_now(cluster: &Cluster) -> Option<Observed> {
    let given = from_inside(cluster, |item| {
        matches!(item.failure, Failure::Timeout | Failure::NoRoute | Failure::TlsTimeout) && !item.ended
    });
    let provisioning = codes(cluster, |code, name| {
        matches!(code, 50 | 51) || name.contains("K8SAPIServerConnFail") || name.contains("OutboundConnFail")
    });
    // What a node said weeks ago says nothing of today.
    let provisioning = provisioning.filter(|observed| !observed.is_over(cluster));
    match (given, provisioning) {
        (Some(mut observed), Some(more)) => {
            observed.count += more.count;
            observed.evidence.extend(more.evidence);
            observed.nodes.extend(more.nodes);
            Some(observed)
        }
        (item, other) => item.or(other),
    }
}

/// What nodes tried together with what provisioning says of the same; and whether it says so.
pub(super) fn with_script(given: Option<Observed>, script: Option<Observed>) -> Option<(Observed, bool)> {
    let coded = script.is_some();
    let (mut observed, script) = match (given, script) {
        (None, None) => return None,
        (observed, script) => (observed.unwrap_or_default(), script.unwrap_or_default()),
    };
    observed.count += script.count;
    observed.span = time::joined(observed.span, script.span);
    observed.nodes.extend(script.nodes);
    observed.show_first(script.evidence);
    Some((observed, coded))
}

/// Whether one of the nodes is known not to be ready.
pub(super) fn lost(cluster: &Cluster, observed: &Observed) -> bool {
    let nodes = &cluster.facts.objects.nodes;
    observed
        .nodes
        .iter()
        .any(|name| nodes.get("", name).is_some_and(|seen| seen.object.ready() == Some(false)))
}

/// What provisioning says of its exit code, by the code and the name that it gave: from texts of Azure and from
/// `provision.json`.
pub(super) fn codes(cluster: &Cluster, fits: impl Fn(u32, &str) -> bool) -> Option<Observed> {
    let split = |detail: &str| -> (u32, String) {
        let mut words = detail.split(' ');
        let first = words.next().unwrap_or_default();
        match first.parse() {
            Ok(code) => (code, words.next().unwrap_or_default().to_owned()),
            Err(_) => (0, first.to_owned()),
        }
    };
    let mut given = observed::signals(cluster, |key| {
        let (code, name) = split(&key.detail);
        (key.signal == Signal::ProvisioningFailed && known(code, &name, &key.node) && fits(code, &name))
            .then_some(())
    })
    .remove(&());
    for (place, provision) in cluster.facts.nodes.provisions.iter() {
        let code: u32 = provision.exit_code.parse().unwrap_or(0);
        if code == 0 || !fits(code, "") {
            continue;
        }
        let observed = given.get_or_insert_default();
        observed.count = observed.count.max(1);
        observed.details.insert(provision.exit_code.to_string());
        observed.nodes.extend(cluster.facts.host_of(&place.source).map(String::from));
        observed.evidence.push(crate::cluster::azure::at(
            place,
            &format!("ExitCode {}", provision.exit_code),
            &provision.message,
        ));
    }
    given
}

/// `exit status=1` is said by programs of all kinds: a code counts when it is one of the script's own, or named.
fn known(code: u32, name: &str, _node: &str) -> bool {
    !name.is_empty() || CODES.iter().any(|(ours, ..)| *ours == code)
}

/// Exit codes of the provisioning script: code, name, what it means, what to do (`AgentBaker`, August 2026).
pub(super) const CODES: &[(u32, &str, &str, &str)] = &[
    (
        28,
        "containerd install timeout",
        "containerd could not be installed in time",
        "Allow the node outbound TCP 443 to packages.aks.azure.com and packages.microsoft.com.",
    ),
    (
        31,
        "K8SDownloadTimeout",
        "the Kubernetes binaries could not be downloaded",
        "Allow the node outbound TCP 443 to packages.aks.azure.com.",
    ),
    (34, "kubelet start", "the kubelet did not start", "Read the journal of kubelet.service on the node."),
    (
        41,
        "CniDownloadTimeout",
        "the CNI plugins could not be downloaded (blocked egress, or TLS interception)",
        "Allow the node outbound TCP 443 to packages.aks.azure.com, without TLS interception.",
    ),
    (50, "OutboundConnFail", "the node has no outbound connectivity", ""),
    (51, "K8SAPIServerConnFail", "the node cannot reach the API server", ""),
    (52, "K8SAPIServerDNSLookupFail", "the node cannot resolve the API server's FQDN", ""),
    (53, "AZURE_DNS_LOOKUP_FAIL", "the node cannot resolve Azure names", ""),
    (
        65,
        "VHDFileNotFound",
        "a file is missing from the node image",
        "Upgrade the node image of the pool (az aks nodepool upgrade --node-image-only): this drains and reimages its nodes one after another.",
    ),
    (
        70,
        "containerd download timeout",
        "containerd could not be downloaded in time",
        "Allow the node outbound TCP 443 to packages.aks.azure.com and packages.microsoft.com.",
    ),
    (
        99,
        "apt update",
        "apt-get update timed out",
        "Allow the node to reach the package repositories of its Linux distribution.",
    ),
    (
        124,
        "timeout",
        "the provisioning script reached its time limit",
        "Read the end of /var/log/azure/cluster-provision.log on the node: the last command shows what it waited for.",
    ),
    (
        160,
        "proxy CA",
        "the CA certificate of the HTTP proxy could not be installed",
        "Correct trustedCa in the cluster's HTTP proxy configuration.",
    ),
    (
        161,
        "proxy CA",
        "the CA certificate of the HTTP proxy could not be installed",
        "Correct trustedCa in the cluster's HTTP proxy configuration.",
    ),
    (
        211,
        "OrasPullNetworkTimeout",
        "the bootstrap registry of the network isolated cluster cannot be reached",
        "Check the private endpoint of the bootstrap registry and its private DNS zone.",
    ),
    (
        212,
        "OrasPullUnauthorized",
        "the bootstrap registry of the network isolated cluster returns 401 or 403",
        "Assign the kubelet identity AcrPull on the bootstrap registry.",
    ),
    (
        215,
        "DNS health",
        "DNS does not work on the node",
        "Check the DNS servers of the virtual network, and that they answer from the node subnet.",
    ),
    (216, "LocalDNS", "LocalDNS did not start", ""),
    (217, "LocalDNS", "LocalDNS did not start", ""),
    (218, "LocalDNS", "LocalDNS did not start", ""),
    (219, "LocalDNS", "LocalDNS did not start", ""),
];

/// Codes that have causes of their own.
pub(super) const WITH_A_CAUSE: &[u32] = &[50, 51, 52, 53, 216, 217, 218, 219];

/// Names by which Azure reports the codes that have causes of their own.
pub(super) fn is_named_cause(name: &str) -> bool {
    ["K8SAPIServerConnFail", "K8SAPIServerDNSLookupFail", "OutboundConnFail", "DNS_LOOKUP_FAIL"]
        .iter()
        .any(|ours| name.contains(ours))
}

/// How bad and how sure a misconfiguration is: seen to fail, there while all is well, or there and nothing known.
pub(super) fn graded(confirmed: bool, mild: bool) -> (Severity, Confidence) {
    match (confirmed, mild) {
        (true, _) => (Severity::Critical, Confidence::Confirmed),
        (false, true) => (Severity::Low, Confidence::Possible),
        (false, false) => (Severity::High, Confidence::Likely),
    }
}
