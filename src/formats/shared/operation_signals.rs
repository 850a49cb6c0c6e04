//! What clients, Azure, registries and nodes say when something other than the network fails, or when they name the
//! fault themselves.

use std::net::IpAddr;

use super::attempts::of_log;
use super::prefilter::{ModuleSignatures, Prefilter};
use crate::bytes::pattern::{has, named, pattern, search};
use crate::facts::Signal;

/// A text that holds none of these says nothing of the kind. Part of the prefilter of all lines, so each has letters
/// that are rare in logs. Some leave out the
/// first letter of a word: it is a capital in one version or at the start of a message, and small elsewhere.
pub(super) const SIGNATURES: &[&str] = &[
    "configuration has been provided",
    "getting credentials",
    "minor version skew",
    "pull image",
    "pull and unpack",
    "PullImage",
    "with ErrImagePull",
    "assign requested address",
    "NetworkLinkFailed",
    "multiple zones with overlapping",
    "econcile private dns",
    "custom private dns",
    "DNSZoneMissing",
    "AuthorizationFailed",
    "AADSTS",
    "bootstrap client cert",
    "disruption budget",
    "Eviction blocked",
    "UnsatisfiablePDB",
    "fix node group",
    "AllocationFailed",
    "OverconstrainedAlloc",
    "QuotaExceeded",
    "SkuNotAvailable",
    "SubCode: Throttled",
    "ManagedClusterHandler",
    "Status=429",
    "HighCostGet",
    "RequestsThrottled",
    "KubernetesPerf",
    "KubernetesOper",
    "Metrics API not",
    "FailedDiscoveryCheck",
    "list for metrics.k8s.io",
    "with CrashLoopBackOff",
    "of memory: Kill",
    "PLEG is not",
    "pthread_create failed",
    "localdns.service",
    "plugin/kubernetes",
];

static HERE: ModuleSignatures = ModuleSignatures::new(|| Prefilter::of(SIGNATURES));

pattern!(
    IMAGE,
    r#"(?:[Pp]ull(?:ing)? (?:and unpack )?image|PullImage)[: ]+"?(?P<image>[a-z0-9][\w./:@-]+)"?"#
);
pattern!(
    AZURE,
    r"\b(?P<code>LinkedAuthorizationFailed|AuthorizationFailed|AADSTS7000222|AADSTS7000215|AADSTS700016)\b"
);
pattern!(ACTION, r"action(?:\(s\))? '(?P<action>[^']{1,200})'");
pattern!(SCOPE, r"(?:over scope|linked scope(?:\(s\))?) '(?P<scope>[^']{1,400})'");
pattern!(IDENTITY, r"[Tt]he client '(?P<client>[0-9a-fA-F-]{8,36}|[^']{1,80}@[^']{1,80})'");
pattern!(DIALLED, r"dial tcp (?:\S+->)?(?P<ip>\[[0-9a-fA-F:]+\]|[0-9.]+):\d+");
pattern!(EVICTED, r#"evicting pods?[ /]"?(?P<pod>[a-z0-9][a-z0-9./-]*[a-z0-9])"?"#);
pattern!(KILLED, r"Killed process \d+ \((?P<name>[^)]{1,60})\)");
pattern!(
    BACKED_OFF,
    r"failed container=(?P<container>[a-z0-9-]{1,63}) pod=(?P<pod>[a-z0-9.-]{1,253})_(?P<namespace>[a-z0-9-]{1,63})"
);
pattern!(
    SCALE,
    r"\b(?P<code>ZonalAllocationFailed|OverconstrainedZonalAllocationRequest|OverconstrainedAllocationRequest|AllocationFailed|QuotaExceeded|SkuNotAvailable)\b"
);
pattern!(RUN_COMMAND, r"(?P<code>KubernetesPerformanceError|KubernetesOperationError)");

/// Ways in which a pull fails before the registry has answered: words of the text, and how it is told.
const UNREACHED: &[(&str, &str)] = &[
    ("proxyconnect", "proxy"),
    ("x509: ", "tls"),
    ("tls: ", "tls"),
    ("no such host", "dns"),
    ("server misbehaving", "dns"),
    ("name resolution", "dns"),
    // The registry was never asked.
    ("dial tcp: lookup ", "dns"),
    ("toomanyrequests", "rate-limit"),
    ("429 Too Many Requests", "rate-limit"),
    ("connection refused", "refused"),
    ("connection reset", "reset"),
    ("i/o timeout", "timeout"),
    ("TLS handshake timeout", "timeout"),
    ("deadline exceeded", "timeout"),
    ("request canceled", "timeout"),
    ("no route to host", "no-route"),
    ("network is unreachable", "no-route"),
    ("server gave HTTP response to HTTPS client", "plain-http"),
    ("503 Service Unavailable", "server-error"),
    ("502 Bad Gateway", "server-error"),
    ("504 Gateway", "server-error"),
    ("500 Internal Server Error", "server-error"),
    ("unexpected EOF", "cut"),
    (": EOF", "cut"),
];

// `Get https://registry.example/v2/team/app/manifests/1.2: no basic auth credentials`: docker names no image.
pattern!(
    MANIFEST,
    r#"https?://(?P<registry>[\w.:-]+)/v2/(?P<name>[\w./-]+)/(?:manifests|blobs)/(?P<tag>[\w.:-]*\w)"#
);

/// A failed pull: how, and of which image.
fn pull(text: &str) -> Option<(Signal, String)> {
    if !(has!(text, "ailed") || has!(text, "rror")) {
        return None;
    }
    // `Failed to pull image: rpc error: …` names none: an image stands in quotes, or has the form of one.
    let image = IMAGE.captures_iter(text).find_map(|found| {
        let image = named(Some(&found), "image").trim_end_matches([':', ',']);
        let quoted = found.get(0).is_some_and(|whole| whole.as_str().contains('"'));
        (quoted || image.contains(['/', ':', '.'])).then(|| image.to_owned())
    });
    let image = image.or_else(|| {
        // What a proxy on the way keeps from the registry is an attempt of the node.
        let found = search(&MANIFEST, text).filter(|_| !has!(text, "proxyconnect"))?;
        let [registry, name, tag] = ["registry", "name", "tag"].map(|part| named(Some(&found), part));
        let mark = if tag.starts_with("sha256:") { '@' } else { ':' };
        Some(format!("{registry}/{name}{mark}{tag}"))
    })?;
    // Its progress is told in the same words.
    let backs_off = has!(text, "Back-off pulling") && !has!(text, ": ErrImagePull: ");
    if has!(text, "Successfully pulled") || backs_off || image.is_empty() {
        return None;
    }
    if has!(text, "401 Unauthorized")
        || has!(text, "authentication required")
        || has!(text, "pull access denied")
        || has!(text, "no basic auth credentials")
        || has!(text, "denied: requested access")
        || has!(text, "insufficient_scope")
    {
        return Some((Signal::ImageUnauthorised, image));
    }
    if has!(text, "403 Forbidden")
        || has!(text, "is not allowed access")
        || has!(text, "unexpected status: 403")
    {
        return Some((Signal::ImageForbidden, image));
    }
    // The registry was never called: its name was not resolved.
    let looked_up = has!(text, ": lookup ") && !has!(text, "no such host");
    if looked_up
        && (has!(text, "i/o timeout")
            || has!(text, "server misbehaving")
            || has!(text, "Try again")
            || has!(text, "read udp"))
    {
        return Some((Signal::ImageUnreachable, format!("{image} dns")));
    }
    if let Some((_, how)) = UNREACHED.iter().find(|(words, _)| text.contains(words)) {
        return Some((Signal::ImageUnreachable, format!("{image} {how}")));
    }
    if has!(text, "no match for platform") {
        return Some((Signal::ImageMissing, format!("{image} platform")));
    }
    let missing = has!(text, ": not found")
        || has!(text, "manifest unknown")
        || has!(text, "NotFound")
        || has!(text, "name unknown");
    // Whatever else it says, the pull failed: the words are quoted.
    Some((if missing { Signal::ImageMissing } else { Signal::ImageFailed }, image))
}

/// Parts of the cluster that talk to Azure, as the paths of their logs name them.
const TALK_TO_AZURE: &[&str] =
    &["kube-system", "cloud-controller", "autoscaler", "azure", "csi", "karpenter", "waagent", "kubelet"];

/// Whether a signal counts where it is said: an application that deploys to Azure, or runs kubectl, says in its log
/// what would be a fault of this cluster elsewhere.
///
/// `path` is the entry's; `host`: whether the line names the host that says it.
pub(super) fn counts(signal: Signal, path: &str, host: bool) -> bool {
    match signal {
        Signal::NoKubeconfig | Signal::CredentialPlugin | Signal::VersionSkew => !host && !of_log(path),
        Signal::AzureRefused
        | Signal::ScaleUpFailed
        | Signal::ArmThrottled
        | Signal::AksThrottled
        | Signal::PrivateZoneFailed => !of_log(path) || TALK_TO_AZURE.iter().any(|word| path.contains(word)),
        _ => true,
    }
}

/// Which text it is, and what it names itself.
pub(super) fn signal(text: &str) -> Option<(Signal, String)> {
    if HERE.concerns(text) {
        return classify(text);
    }
    debug_assert!(classify(text).is_none(), "no signature of this module stands in: {text}");
    None
}

/// The questions, one after the other.
fn classify(text: &str) -> Option<(Signal, String)> {
    let plain = |signal: Signal| Some((signal, String::new()));
    if has!(text, "ull image")
        || has!(text, "pull and unpack")
        || has!(text, "PullImage")
        || has!(text, "with ErrImagePull")
    {
        return pull(text);
    }
    if has!(text, "getting credentials") {
        // client-go `plugin/pkg/client/auth/exec`: what a test or a log calls getting credentials is something else.
        let why = text.split_once("getting credentials: ").map_or("", |(_, why)| why);
        if !["exec", "decoding", "plugin", "parsing"].iter().any(|start| why.starts_with(start)) {
            return None;
        }
        return Some((Signal::CredentialPlugin, why.chars().take(120).collect()));
    }
    if has!(text, "no configuration has been provided") {
        return plain(Signal::NoKubeconfig);
    }
    if has!(text, "minor version skew") {
        return plain(Signal::VersionSkew);
    }
    if has!(text, "cannot assign requested address") {
        // A server that can't bind its own address is something else, and so is a host without IPv6.
        let host = search(&DIALLED, text);
        let ip: Option<IpAddr> = named(host.as_ref(), "ip").trim_matches(['[', ']']).parse().ok();
        let outside = ip.filter(|ip| match ip {
            IpAddr::V4(ip) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local()),
            IpAddr::V6(_) => false,
        });
        return outside.filter(|_| !has!(text, "bind: ")).map(|ip| (Signal::SnatExhausted, ip.to_string()));
    }
    if has!(text, "NetworkLinkFailed")
        || has!(text, "multiple zones with overlapping")
        || has!(text, "econcile private dns failed")
    {
        return Some((Signal::PrivateZoneFailed, "link".to_owned()));
    }
    if has!(text, "DNSZoneMissingPermission") || has!(text, "read and write to custom private dns zone") {
        return Some((Signal::PrivateZoneFailed, "permission".to_owned()));
    }
    if let Some(found) = search(&AZURE, text) {
        // A linked refusal tells first what is allowed, then what is missing.
        let missing = text.split_once("; however").map_or(text, |(_, missing)| missing);
        let action = search(&ACTION, missing);
        let scope = search(&SCOPE, missing);
        let client = search(&IDENTITY, text);
        let parts = [
            named(Some(&found), "code"),
            named(action.as_ref(), "action"),
            named(scope.as_ref(), "scope"),
            named(client.as_ref(), "client"),
        ];
        return Some((Signal::AzureRefused, parts.join(" ").trim_end().to_owned()));
    }
    if has!(text, "bootstrap client cert") && has!(text, "expired") {
        return plain(Signal::KubeletCertificateExpired);
    }
    if has!(text, "disruption budget") || has!(text, "Eviction blocked by") || has!(text, "UnsatisfiablePDB")
    {
        let refused = has!(text, "iolate") || has!(text, "blocked") || has!(text, "Unsatisfiable");
        return refused
            .then(|| (Signal::DrainBlocked, named(search(&EVICTED, text).as_ref(), "pod").to_owned()));
    }
    if has!(text, "SubCode: Throttled")
        || (has!(text, "ManagedClusterHandler") && has!(text, "limit has been exceeded"))
    {
        return plain(Signal::AksThrottled);
    }
    if has!(text, "Status=429") || has!(text, "HighCostGet") || has!(text, "RequestsThrottled") {
        return plain(Signal::ArmThrottled);
    }
    if let Some(found) = search(&SCALE, text) {
        return Some((Signal::ScaleUpFailed, named(Some(&found), "code").to_owned()));
    }
    if has!(text, "Failed to fix node group sizes") {
        return plain(Signal::ScaleUpFailed);
    }
    if let Some(found) = search(&RUN_COMMAND, text) {
        return Some((Signal::RunCommandFailed, named(Some(&found), "code").to_owned()));
    }
    // External and custom metrics are APIs of other programs.
    let other = has!(text, "external.metrics.k8s.io") || has!(text, "custom.metrics.k8s.io");
    let metrics = has!(text, "FailedDiscoveryCheck") && has!(text, "metrics.k8s.io") && !other;
    if metrics
        || has!(text, "Metrics API not available")
        || (has!(text, "list for metrics.k8s.io") && has!(text, "unable to handle"))
    {
        return plain(Signal::MetricsUnavailable);
    }
    if has!(text, "with CrashLoopBackOff") {
        let found = search(&BACKED_OFF, text)?;
        let parts = ["namespace", "pod", "container"].map(|part| named(Some(&found), part));
        return Some((Signal::CrashLoop, parts.join(" ")));
    }
    if has!(text, "of memory: Kill") {
        // `Memory cgroup out of memory` is a container at its limit.
        let signal =
            if has!(text, "cgroup out of memory") { Signal::OutOfMemory } else { Signal::SystemOutOfMemory };
        return Some((signal, named(search(&KILLED, text).as_ref(), "name").to_owned()));
    }
    if has!(text, "PLEG is not healthy") || has!(text, "pthread_create failed") {
        return plain(Signal::NodeStruggles);
    }
    if has!(text, "localdns.service")
        && (has!(text, "Failed") || has!(text, "failed") || has!(text, "Main process exited"))
    {
        return plain(Signal::LocalDnsFailed);
    }
    if has!(text, "plugin/kubernetes") && has!(text, "Unauthorized") {
        return plain(Signal::DnsUnauthorised);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wording_is_told_by_what_it_means() {
        for (text, expected, detail) in [
            (
                "Failed to pull image \"contoso.azurecr.io/cart:1\": rpc error: code = Unknown desc = failed to pull and unpack image \"contoso.azurecr.io/cart:1\": failed to resolve reference: failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized",
                Signal::ImageUnauthorised,
                "contoso.azurecr.io/cart:1",
            ),
            (
                "failed to pull and unpack image \"contoso.azurecr.io/cart:1\": failed to authorize: failed to fetch anonymous token: unexpected status: 403 Forbidden",
                Signal::ImageForbidden,
                "contoso.azurecr.io/cart:1",
            ),
            (
                "Failed to pull image \"mcr.microsoft.com/pause:3\": dial tcp 204.79.197.219:443: i/o timeout",
                Signal::ImageUnreachable,
                "mcr.microsoft.com/pause:3 timeout",
            ),
            (
                "Failed to pull image \"nginx:nope\": rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/library/nginx:nope\": docker.io/library/nginx:nope: not found",
                Signal::ImageMissing,
                "nginx:nope",
            ),
            (
                "getting credentials: exec: executable kubelogin not found",
                Signal::CredentialPlugin,
                "exec: executable kubelogin not found",
            ),
            (
                "dial tcp 40.1.2.3:443: connect: cannot assign requested address",
                Signal::SnatExhausted,
                "40.1.2.3",
            ),
            (
                "Code=\"LinkedAuthorizationFailed\" Message=\"The client 'x' has permission to perform action 'Microsoft.Network/loadBalancers/write' on scope '/a'; however, it does not have permission to perform action(s) 'Microsoft.Network/virtualNetworks/subnets/join/action' on the linked scope\"",
                Signal::AzureRefused,
                "LinkedAuthorizationFailed Microsoft.Network/virtualNetworks/subnets/join/action",
            ),
            (
                "error when evicting pods/\"cart-1\" -n \"shop\": Cannot evict pod as it would violate the pod's disruption budget.",
                Signal::DrainBlocked,
                "cart-1",
            ),
            (
                "failed to \"StartContainer\" for \"app\" with CrashLoopBackOff: \"back-off 5m0s restarting failed container=app pod=cart-1_shop(0d1f)\"",
                Signal::CrashLoop,
                "shop cart-1 app",
            ),
            ("Status=429 Code=\"OperationNotAllowed\"", Signal::ArmThrottled, ""),
            (
                "Memory cgroup out of memory: Killed process 4711 (java) total-vm:1kB",
                Signal::OutOfMemory,
                "java",
            ),
        ] {
            assert_eq!(signal(text), Some((expected, detail.to_owned())), "{text}");
        }
    }

    #[test]
    fn progress_and_other_failures_are_not_told() {
        for text in [
            "Successfully pulled image \"nginx\" in 2s",
            "Failed to pull image: rpc error: code = NotFound desc = failed to pull and unpack image: not found",
            "Pulling image \"nginx\"",
            "Back-off pulling image \"nginx\"",
            "listen tcp 10.0.0.1:53: bind: cannot assign requested address",
            "Created pod disruption budget",
            "[INFO] plugin/kubernetes: waiting for Kubernetes API",
            "localdns.service: Deactivated successfully.",
        ] {
            assert_eq!(signal(text), None, "{text}");
        }
    }
}
