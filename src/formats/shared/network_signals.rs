//! The texts in which programs say that they could not reach something, and what else is said about the network
//! (FORMATS §1.4 and §6, CATALOG A and C–I).

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use regex::{Captures, Regex};

use super::line::{Surroundings, Unwrapped};
use crate::facts::{AttemptKey, AttemptSeen, Facts, Failure, Signal, SignalKey, SignalSeen};

/// A text that holds none of these says nothing about the network. Part of the prefilter of all lines.
pub(super) const SIGNATURES: &[&str] = &[
    "dial tcp",
    "read udp",
    "x509: ",
    "TLS handshake timeout",
    "connectex",
    "was refused - did",
    "only unsupported versions",
    "provide credentials",
    "network for sandbox",
    "calico-packet",
    "olicy denied",
    "iptables-restore",
    "syncing proxy rules",
    "conntrack: table full",
    "ing backend",
    "agent available",
    "calling webhook",
    "etcdserver: ",
    "oo many requests",
    "VMExtensionError",
    "exit status=",
    "unexpected status",
    "detected for zone",
    "Corefile:",
];

macro_rules! pattern {
    ($name:ident, $($part:literal)+) => {
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(concat!($($part),+)).ok());
    };
}
// `dial tcp 10.0.0.1:443: i/o timeout`; some lines lack the second colon, and addresses may be masked.
pattern!(
    DIALLED,
    r"dial tcp (?:\S+->)?(?P<host>\[[0-9a-fA-F.:]+\]|[A-Za-z0-9_.*-]+|\[[A-Z_]+\])(?::(?P<port>\d{1,5}))?:? (?:connect(?:ex)?: |i/o|connection|no route|operation|network|A connection|connectex)"
);
pattern!(
    LOOKED_UP,
    r#"lookup (?P<host>[A-Za-z0-9_.*-]+)(?: on (?P<resolver>\[?[0-9a-fA-F.:]+\]?:\d+))?: (?P<why>no such host|server misbehaving|i/o timeout|read udp|Temporary failure|dial udp|getaddrinfow|Try again|connection refused|No such host)"#
);
pattern!(RESOLVER, r"read udp \S+?->(?P<resolver>\[?[0-9a-fA-F.:]+\]?:53): ");
pattern!(ASKED, r#"(?:https?|wss?)://(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>\d{1,5}))?"#);
pattern!(
    REFUSED,
    r"The connection to the server (?P<host>\[?[A-Za-z0-9_.:-]+?\]?)(?::(?P<port>\d{1,5}))? was refused"
);
pattern!(UPSTREAM, r"plugin/errors: \d+ (?P<name>\S+) (?P<type>[A-Z0-9]+): ");
pattern!(CSE, r"(?:exit status=|ExitCode: ?)(?P<code>\d{1,3})\b");
pattern!(NAMED_CSE, r"(?:VMExtensionError_(?P<name>[A-Za-z0-9]+)|(?P<old>[A-Za-z0-9]+)VMExtensionError)\b");
pattern!(
    WEBHOOK,
    r#"failed calling webhook "?(?P<name>[a-z0-9.-]+)"?: (?:failed to call webhook: )?(?:Post "?https?://(?P<host>[a-z0-9.-]+)(?::\d+)?)?"#
);
pattern!(
    PACKET,
    r"calico-packet: .*?SRC=(?P<from>[0-9a-fA-F.:]+) DST=(?P<to>[0-9a-fA-F.:]+).*?PROTO=(?P<protocol>\w+)(?:.*?DPT=(?P<port>\d+))?"
);
pattern!(
    CILIUM,
    r"(?P<from>[a-zA-Z0-9./_:\[\]-]+?)(?::\d+)?(?: \([^)]*\))? (?:->|<>) (?P<to>[a-zA-Z0-9./_\[\]-]+?):(?P<port>\d+)(?: \([^)]*\))? (?:.*?)olicy denied(?: by denylist)?(?: \([^)]*\))? DROPPED \((?P<protocol>\w+)"
);

fn search<'a>(pattern: &LazyLock<Option<Regex>>, text: &'a str) -> Option<Captures<'a>> {
    pattern.as_ref()?.captures(text)
}

fn named<'a>(found: Option<&Captures<'a>>, name: &str) -> &'a str {
    found.and_then(|found| found.name(name)).map_or("", |found| found.as_str())
}

/// How it failed, by the words of Go, of Windows and of curl.
fn failure(text: &str) -> Option<Failure> {
    let has = |words: &str| text.contains(words);
    Some(match () {
        () if has("x509: certificate signed by unknown authority") || has("x509: \u{201c}") => {
            Failure::TlsUntrusted
        }
        () if has("x509: certificate is valid for")
            || has("doesn't contain any IP SANs")
            || has("x509: certificate is not valid for any names") =>
        {
            Failure::TlsWrongName
        }
        () if has("x509: certificate has expired") => Failure::TlsExpired,
        () if has("only unsupported versions") || has("protocol version not supported") => {
            Failure::TlsVersion
        }
        () if has("TLS handshake timeout") => Failure::TlsTimeout,
        () if has("no such host") || has("No such host") => Failure::NameUnknown,
        () if has("server misbehaving")
            || has("Temporary failure in name resolution")
            || (has("lookup ") && (has("i/o timeout") || has("Try again"))) =>
        {
            Failure::ResolverFailed
        }
        () if has("i/o timeout")
            || has("connection timed out")
            || has("did not properly respond")
            || has("n'a pas répondu")
            || has("n\u{2019}a pas répondu") =>
        {
            Failure::Timeout
        }
        () if has("connection refused")
            || has("actively refused")
            || has("was refused - did")
            || has("l'a expressément refusée") =>
        {
            Failure::Refused
        }
        () if has("no route to host") || has("network is unreachable") => Failure::NoRoute,
        () if has("connection reset by peer") => Failure::Reset,
        // Windows answers in its own language: a message of `connectex` that is not a refusal is mostly a timeout.
        () if has("connectex: ") => Failure::Timeout,
        () => return None,
    })
}

/// The words that kubectl, helm, terraform and the like put before an error that they show to people.
fn of_client(text: &str) -> bool {
    const CLIENT: [&str; 8] = [
        "Unable to connect to the server",
        "Error from server",
        "The connection to the server",
        "couldn't get current server API group list",
        "Unable to reach the api server",
        "Kubernetes cluster unreachable",
        "error: You must be logged in",
        "couldn't get resource list for",
    ];
    CLIENT.iter().any(|words| text.contains(words))
}

/// What was to be reached, and over which resolver.
fn attempt(text: &str) -> Option<(Failure, String, u16, String)> {
    let failure = failure(text)?;
    let number = |text: &str| text.parse::<u16>().unwrap_or(0);
    let url = search(&ASKED, text);
    let scheme = |port: u16| if port == 0 && text.contains("https://") { 443 } else { port };
    if let Some(found) = search(&LOOKED_UP, text) {
        let port = scheme(number(named(url.as_ref(), "port")));
        let failure = if failure == Failure::NameUnknown { failure } else { Failure::ResolverFailed };
        return Some((
            failure,
            named(Some(&found), "host").to_owned(),
            port,
            named(Some(&found), "resolver").to_owned(),
        ));
    }
    if let Some(found) = search(&RESOLVER, text)
        && failure != Failure::NameUnknown
    {
        let name = search(&UPSTREAM, text);
        let host = named(name.as_ref(), "name").trim_end_matches('.').to_owned();
        return Some((Failure::ResolverFailed, host, 53, named(Some(&found), "resolver").to_owned()));
    }
    if let Some(found) = search(&DIALLED, text) {
        let host = named(Some(&found), "host").trim_matches(['[', ']']).to_owned();
        return Some((failure, host, number(named(Some(&found), "port")), String::new()));
    }
    if let Some(found) = search(&REFUSED, text) {
        let host = named(Some(&found), "host").trim_matches(['[', ']']).to_owned();
        return Some((Failure::Refused, host, number(named(Some(&found), "port")), String::new()));
    }
    // TLS errors name no address, but the request does.
    let told = failure.of_tls() || text.contains("dial tcp") || text.contains("connectex");
    told.then(|| {
        let host = named(url.as_ref(), "host").trim_matches(['[', ']']).to_owned();
        (failure, host, scheme(number(named(url.as_ref(), "port"))), String::new())
    })
}

/// Texts that are no attempt: which, and what they name themselves.
fn signal(text: &str) -> Option<(Signal, String)> {
    let has = |words: &str| text.contains(words);
    if has("calico-packet") {
        let found = search(&PACKET, text)?;
        let parts = ["from", "to", "protocol", "port"].map(|part| named(Some(&found), part));
        return Some((Signal::PolicyDropped, parts.join(" ").trim().to_owned()));
    }
    if has("olicy denied") && has("DROPPED") {
        let found = search(&CILIUM, text)?;
        let parts = ["from", "to", "protocol", "port"].map(|part| named(Some(&found), part));
        return Some((Signal::PolicyDropped, parts.join(" ")));
    }
    if has("syncing proxy rules")
        || (has("iptables-restore") && (has("Failed") || has("failed") || has("rror")))
    {
        return Some((Signal::KubeProxyFailing, String::new()));
    }
    if has("conntrack: table full") {
        return Some((Signal::ConntrackFull, String::new()));
    }
    if has("calling webhook") {
        let found = search(&WEBHOOK, text);
        return Some((
            Signal::WebhookFailing,
            [named(found.as_ref(), "name"), named(found.as_ref(), "host")].join(" ").trim().to_owned(),
        ));
    }
    if has("No agent available") || has("ing backend") {
        // Agents say it themselves, of single connections and on healthy clusters.
        return (of_client(text) || has("No agent available"))
            .then(|| (Signal::TunnelFailing, String::new()));
    }
    if has("etcdserver: mvcc: database space exceeded") {
        return Some((Signal::EtcdFull, String::new()));
    }
    if has("etcdserver: request timed out") || has("etcdserver: leader changed") {
        return Some((Signal::EtcdSlow, String::new()));
    }
    if has("VMExtensionError") || has("exit status=") {
        let code = search(&CSE, text);
        let name = search(&NAMED_CSE, text);
        let own = match named(name.as_ref(), "name") {
            "" => named(name.as_ref(), "old"),
            own => own,
        };
        let code = named(code.as_ref(), "code");
        let told = !(code.is_empty() && own.is_empty());
        return (told && code != "0")
            .then(|| (Signal::ProvisioningFailed, format!("{code} {own}").trim().to_owned()));
    }
    if has("oo many requests") {
        // The client's own patience, and a budget of disruptions, are told elsewhere.
        let other =
            has("disruption budget") || has("Eviction") || has("evict") || has("client-side throttling");
        let of_azure = has("Status=429") || has("subscription") || has("HighCostGet");
        return (!other)
            .then(|| (if of_azure { Signal::ArmThrottled } else { Signal::ApiThrottled }, String::new()));
    }
    if has("network for sandbox") {
        return Some((Signal::CniFailing, String::new()));
    }
    if has("provide credentials") {
        return Some((Signal::NoCredentials, String::new()));
    }
    if has("detected for zone") && has("Loop") {
        return Some((Signal::DnsLoop, String::new()));
    }
    if has("Corefile:") && has("rror during parsing") {
        return Some((Signal::CorefileBroken, String::new()));
    }
    None
}

/// Counts a text about the network; says whether it was one.
#[allow(clippy::too_many_arguments)]
pub(super) fn read(
    shown: &str,
    line: &[u8],
    print: u64,
    around: Surroundings<'_>,
    unwrapped: &Unwrapped<'_>,
    source: &Arc<str>,
    number: u64,
    facts: &mut Facts,
) -> bool {
    let node: Box<str> =
        around.node.map(ToOwned::to_owned).or_else(|| unwrapped.host.clone()).unwrap_or_default().into();
    let (namespace, pod) =
        around.pod.map(|(namespace, name)| (namespace.into(), name.into())).unwrap_or_default();
    let stated = around.count.max(1);
    let times = [unwrapped.when, around.last];
    if let Some((signal, detail)) = signal(shown) {
        let key = SignalKey { signal, namespace, pod, node, detail: detail.into() };
        facts.signals.add(SignalSeen { key, print, stated, times, source, line: number, text: line });
        return true;
    }
    let Some((failure, host, port, resolver)) = attempt(shown) else { return false };
    // A probe of a pod is told by its event.
    let probe = shown.contains("probe failed") || shown.contains("Probe failed");
    if host.is_empty() && !of_client(shown) || probe && around.pod.is_none() {
        return false;
    }
    let host = host.parse::<IpAddr>().map_or(host, |ip| ip.to_string());
    let key = AttemptKey {
        failure,
        host: host.into(),
        port,
        resolver: resolver.into(),
        client: of_client(shown),
        node,
        pod: (namespace, pod),
        source: Arc::clone(source),
    };
    facts.attempts.add(AttemptSeen { key, print, stated, times, line: number, text: line });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wording_of_a_failed_attempt_is_known() {
        for (text, expected, host, port) in [
            (
                "Unable to connect to the server: dial tcp 20.1.2.3:443: i/o timeout",
                Failure::Timeout,
                "20.1.2.3",
                443,
            ),
            (
                "Unable to connect to the server: dial tcp 20.1.2.3:443: connectex: A connection attempt failed because the connected party did not properly respond after a period of time",
                Failure::Timeout,
                "20.1.2.3",
                443,
            ),
            (
                "dial tcp 20.1.2.3:443: connectex: Une tentative de connexion a échoué car le parti connecté n’a pas répondu convenablement",
                Failure::Timeout,
                "20.1.2.3",
                443,
            ),
            (
                "dial tcp [::1]:8080: connectex: No connection could be made because the target machine actively refused it.",
                Failure::Refused,
                "::1",
                8080,
            ),
            (
                "The connection to the server localhost:8080 was refused - did you specify the right host or port?",
                Failure::Refused,
                "localhost",
                8080,
            ),
            (
                "Unable to connect to the server: dial tcp: lookup a-1.hcp.eastus.azmk8s.io on 192.168.1.254:53: no such host",
                Failure::NameUnknown,
                "a-1.hcp.eastus.azmk8s.io",
                0,
            ),
            (
                "Get \"https://a-1.hcp.eastus.azmk8s.io:443/api?timeout=32s\": dial tcp: lookup a-1.hcp.eastus.azmk8s.io: i/o timeout",
                Failure::ResolverFailed,
                "a-1.hcp.eastus.azmk8s.io",
                443,
            ),
            (
                "Error from server: error dailing backend: dial tcp 10.2.0.5:10250 i/o timeout",
                Failure::Timeout,
                "10.2.0.5",
                10250,
            ),
            ("dial tcp 10.0.0.4:10250: connect: no route to host", Failure::NoRoute, "10.0.0.4", 10250),
            (
                "[ERROR] plugin/errors: 2 example.com. A: read udp 10.12.0.69:33077->168.63.129.16:53: i/o timeout",
                Failure::ResolverFailed,
                "example.com",
                53,
            ),
            (
                "Get \"https://x.hcp.westeurope.azmk8s.io:443/api\": tls: failed to verify certificate: x509: certificate signed by unknown authority",
                Failure::TlsUntrusted,
                "x.hcp.westeurope.azmk8s.io",
                443,
            ),
            (
                "Unable to connect to the server: dial tcp [CLUSTERIP]: i/o timeout",
                Failure::Timeout,
                "CLUSTERIP",
                0,
            ),
        ] {
            let (failure, found, number, _) = attempt(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((failure, found.as_str(), number), (expected, host, port), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_attempt_are_told_by_what_they_mean() {
        for (text, expected, detail) in [
            (
                "kernel: calico-packet: IN=cali1 OUT=eth0 SRC=10.244.1.5 DST=10.244.2.7 LEN=60 PROTO=TCP SPT=4 DPT=6379 WINDOW=1",
                Signal::PolicyDropped,
                "10.244.1.5 10.244.2.7 TCP 6379",
            ),
            (
                "Jan  1 00:00:00.000: shop/web-1:34512 (ID:123) -> shop/cart-1:6379 (ID:9) Policy denied DROPPED (TCP Flags: SYN)",
                Signal::PolicyDropped,
                "shop/web-1 shop/cart-1 TCP 6379",
            ),
            ("\"Failed to execute iptables-restore\" err=\"exit status 4\"", Signal::KubeProxyFailing, ""),
            (
                "vmssCSE … ExitCode: 51, Output: VMExtensionError_K8SAPIServerConnFail",
                Signal::ProvisioningFailed,
                "51 K8SAPIServerConnFail",
            ),
            ("command terminated with exit status=50", Signal::ProvisioningFailed, "50"),
            (
                "Internal error occurred: failed calling webhook \"v.example.io\": failed to call webhook: Post \"https://hook.sys.svc:443/v?timeout=10s\": context deadline exceeded",
                Signal::WebhookFailing,
                "v.example.io hook.sys.svc",
            ),
        ] {
            assert_eq!(signal(text), Some((expected, detail.to_owned())), "{text}");
        }
        assert_eq!(
            signal(
                "Waited for 1s due to client-side throttling, not priority and fairness: too many requests"
            ),
            None
        );
    }
}
