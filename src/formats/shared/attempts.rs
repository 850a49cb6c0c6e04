//! Failed attempts to reach something, as their lines tell them: what was to be reached, how it failed, who says so (golang/go
//! `src/net`, `src/crypto/x509`).

use crate::bytes::pattern::{has, named, pattern, search};
use crate::facts::{API_SERVER_DOMAINS, Failure, Speaker};
use crate::knowledge::client_words::{self, Proves};

// `dial tcp 10.0.0.1:443: i/o timeout`; some lines lack the second colon, and addresses may be masked.
pattern!(
    DIALLED,
    r"dial tcp (?:\S+->)?(?P<host>\[[0-9a-fA-F.:]+\]|[A-Za-z0-9_.*-]+|\[[A-Z_]+\])(?::(?P<port>\d{1,5}))?:? (?:connect(?:ex)?: |i/o|connection|no route|operation|network|A connection|connectex)"
);
pattern!(
    LOOKED_UP,
    r#"lookup (?P<host>[A-Za-z0-9_.*-]+)(?: on (?P<resolver>\[?[0-9a-fA-F.:]+\]?:\d+))?: (?P<why>no such host|server misbehaving|i/o timeout|read udp|Temporary failure|dial udp|getaddrinfow|Try again|connection refused|No such host)"#
);
// What curl and Node.js say.
pattern!(
    RESOLVED,
    r"(?:[Cc]ould not resolve host: |getaddrinfo (?:EAI_AGAIN|ENOTFOUND) )(?P<host>[A-Za-z0-9_.*-]+)"
);
pattern!(
    RESOLVER,
    r"(?:read (?:udp|tcp) \S+?->|plugin/errors: .*?: dial (?:tcp|udp) )(?P<resolver>\[?[0-9a-fA-F.:]+\]?:53): "
);
pattern!(ASKED, r#"(?:https?|wss?)://(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>\d{1,5}))?"#);
pattern!(
    REFUSED,
    r"The connection to the server (?P<host>\[?[A-Za-z0-9_.:-]+?\]?)(?::(?P<port>\d{1,5}))? was refused"
);
pattern!(UPSTREAM, r"plugin/errors: \d+ (?P<name>\S+) (?P<type>[A-Z0-9]+): ");

/// How it failed, by the words of Go, of Windows and of curl.
/// A connection to a kubelet ended before its answer: in other places the same word is the end of a stream.
fn cut_off_by_kubelet(text: &str) -> bool {
    has!(text, ":10250/") && (text.trim_end().ends_with(": EOF") || has!(text, "unexpected EOF"))
}

fn failure(text: &str) -> Option<Failure> {
    Some(if has!(text, "x509: certificate signed by unknown authority") || has!(text, "x509: \u{201c}") {
        Failure::TlsUntrusted
    } else if has!(text, "x509: certificate is valid for")
        || has!(text, "doesn't contain any IP SANs")
        || has!(text, "x509: certificate is not valid for any names")
    {
        Failure::TlsWrongName
    } else if has!(text, "x509: certificate has expired") {
        Failure::TlsExpired
    } else if has!(text, "only unsupported versions") || has!(text, "protocol version not supported") {
        Failure::TlsVersion
    } else if has!(text, "TLS handshake timeout") {
        Failure::TlsTimeout
    } else if has!(text, "no such host") || has!(text, "No such host") {
        Failure::NameUnknown
    } else if has!(text, "server misbehaving")
        || has!(text, "Temporary failure in name resolution")
        || (has!(text, "lookup ") && (has!(text, "i/o timeout") || has!(text, "Try again")))
    {
        Failure::ResolverFailed
    } else if has!(text, "i/o timeout")
        || has!(text, "connection timed out")
        || has!(text, "did not properly respond")
        || has!(text, "n'a pas répondu")
        || has!(text, "n\u{2019}a pas répondu")
    {
        Failure::Timeout
    } else if has!(text, "connection refused")
        || has!(text, "actively refused")
        || has!(text, "was refused - did")
        || has!(text, "l'a expressément refusée")
    {
        Failure::Refused
    } else if has!(text, "no route to host") || has!(text, "network is unreachable") {
        Failure::NoRoute
    } else if has!(text, "connection reset by peer") || cut_off_by_kubelet(text) {
        Failure::Reset
    } else if has!(text, "connectex: ") {
        // Windows answers in its own language: a message of `connectex` that is not a refusal is mostly a timeout.
        Failure::Timeout
    } else if has!(text, "Could not resolve host")
        || has!(text, "could not resolve host")
        || has!(text, "getaddrinfo ENOTFOUND")
    {
        Failure::NameUnknown
    } else if has!(text, "getaddrinfo EAI_AGAIN") {
        Failure::ResolverFailed
    } else if let Some(failure) = of_request(text) {
        failure
    } else if !of_client(text) {
        // What only a person's client says with these words; programs say them of anything.
        return None;
    } else if has!(text, "request canceled while waiting for connection")
        || has!(text, "Client.Timeout exceeded")
        || has!(text, "context deadline exceeded")
        || has!(text, "Unable to reach the api server")
    {
        Failure::Timeout
    } else if has!(text, ": EOF") || has!(text, "unexpected EOF") || has!(text, "client connection lost") {
        Failure::Reset
    } else {
        return None;
    })
}

// The end of a request of Go's HTTP client (golang/go `net/url.Error`): `Put "https://…": context deadline exceeded`.
pattern!(
    REQUEST,
    r#"\b(?:Get|Put|Post|Patch|Delete|Head|Options) \\*"?https?://[^\s"\\]{1,2000}\\*"?: (?P<why>[^"\\]{1,300})"#
);

/// How a request failed, by words that mean nothing elsewhere: a deadline may be of anything, and so may the end of a stream.
fn of_request(text: &str) -> Option<Failure> {
    let found = search(&REQUEST, text)?;
    let why = named(Some(&found), "why");
    let has = |words: &str| why.contains(words);
    if has("context deadline exceeded")
        || has("Client.Timeout exceeded")
        || has("request canceled while waiting for connection")
        || has("timeout awaiting response")
    {
        return Some(Failure::Timeout);
    }
    let cut = has("client connection lost")
        || has("use of closed network connection")
        || has("unexpected EOF")
        || why.trim_end() == "EOF"
        || why.starts_with("EOF ");
    cut.then_some(Failure::Reset)
}

/// The words that kubectl, helm, terraform and the like put before an error that they show to people.
pub(super) fn of_client(text: &str) -> bool {
    has!(text, "Unable to connect to the server")
        || has!(text, "Error from server")
        || has!(text, "The connection to the server")
        || has!(text, "couldn't get current server API group list")
        || has!(text, "Unable to reach the api server")
        || has!(text, "Kubernetes cluster unreachable")
        || has!(text, "error: You must be logged in")
        || has!(text, "couldn't get resource list for")
        || text.trim_start().starts_with("error: x509: ")
        || text.trim_start().starts_with("error: tls: failed to verify")
}

/// What CoreDNS asks without anybody's wish: names that the search list of the node made. Its own check for loops (HINFO of a
/// random name) is a question that an upstream server answers.
fn is_search_noise(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.ends_with("internal.cloudapp.net") || name.ends_with("reddog.microsoft.com")
}

/// How an attempt failed, by what the words of a program prove.
fn failure_of(proves: Proves) -> Failure {
    match proves {
        Proves::Unresolved => Failure::Unresolved,
        Proves::NoAnswer => Failure::ResolverFailed,
        Proves::NoSuchName => Failure::NameUnknown,
        Proves::Timeout => Failure::Timeout,
        Proves::Refused => Failure::Refused,
        Proves::NoRoute => Failure::NoRoute,
        Proves::Reset => Failure::Reset,
        Proves::Proxy => Failure::Proxy,
        Proves::TlsTimeout => Failure::TlsTimeout,
        Proves::TlsUntrusted => Failure::TlsUntrusted,
        Proves::TlsWrongName => Failure::TlsWrongName,
        Proves::TlsExpired => Failure::TlsExpired,
        Proves::TlsVersion => Failure::TlsVersion,
    }
}

/// How it failed, what was to be reached (name or address, port), and over which resolver.
pub(super) fn attempt(text: &str) -> Option<(Failure, String, u16, String)> {
    if let Some((host, port, proves)) = client_words::unreached(text) {
        return Some((failure_of(proves), host.trim_matches(['[', ']']).to_owned(), port, String::new()));
    }
    let failure = failure(text)?;
    // What was not reached then is the proxy, whatever the words say of it.
    let failure = if has!(text, "proxyconnect") { Failure::Proxy } else { failure };
    let number = |text: &str| text.parse::<u16>().unwrap_or(0);
    let url = search(&ASKED, text);
    let scheme = |port: u16| if port == 0 && has!(text, "https://") { 443 } else { port };
    if let Some(found) = search(&LOOKED_UP, text) {
        let port = scheme(number(named(url.as_ref(), "port")));
        let failure = match failure {
            Failure::NameUnknown | Failure::Proxy => failure,
            _ => Failure::ResolverFailed,
        };
        return Some((
            failure,
            named(Some(&found), "host").to_owned(),
            port,
            named(Some(&found), "resolver").to_owned(),
        ));
    }
    if let Some(found) = search(&RESOLVED, text) {
        let host = named(Some(&found), "host").to_owned();
        return Some((failure, host, scheme(number(named(url.as_ref(), "port"))), String::new()));
    }
    if let Some(found) = search(&RESOLVER, text)
        && failure != Failure::NameUnknown
    {
        let name = search(&UPSTREAM, text);
        if is_search_noise(named(name.as_ref(), "name")) {
            return None;
        }
        let loop_check = named(name.as_ref(), "type") == "HINFO";
        let host = if loop_check { "" } else { named(name.as_ref(), "name").trim_end_matches('.') };
        let host = host.to_owned();
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
    // TLS errors name no address, but the request does; so do a client's own words.
    let given = failure.of_tls()
        || failure.of_dns()
        || has!(text, "dial tcp")
        || has!(text, "connectex")
        || of_client(text)
        || of_request(text).is_some();
    given.then(|| {
        let host = named(url.as_ref(), "host").trim_matches(['[', ']']).to_owned();
        (failure, host, scheme(number(named(url.as_ref(), "port"))), String::new())
    })
}

/// Paths of logs that programs write: who is heard there is no person, whatever the words.
const LOGS: [&str; 6] = ["/pods/", "/containers/", "/logs.txt", "/logs/", "journal", "host_service_logs"];
/// Programs of the control plane, by their names in paths.
const CONTROL_PLANE: [&str; 5] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "cloud-controller-manager",
    "cluster-autoscaler",
];
/// Agents of the tunnel between the API server and the nodes.
const TUNNEL: [&str; 3] = ["konnectivity", "tunnelfront", "aks-link"];
/// What speaks on a node, by words of the line or of the path.
const NODE: [&str; 5] = ["kubelet", "cluster-provision", "containerd", "crio", "journal"];

/// Whether an entry is a log that a program wrote.
pub(super) fn of_log(path: &str) -> bool {
    LOGS.iter().any(|word| path.contains(word))
}

/// Whether a line is nothing but a request that failed, for the public name of an AKS API server: what Terraform, Rancher and the like
/// show to people. A log would tell when.
fn is_bare_request(text: &str) -> bool {
    let request = text.trim_start_matches(['│', '|', ' ']).trim_start_matches("Error: ");
    let begins = ["Get \"https://", "Get https://", "Post \"https://", "Post https://"];
    begins.iter().any(|begin| request.starts_with(begin))
        && API_SERVER_DOMAINS.iter().any(|name| request.contains(name))
}

/// Who says it, by the words of the line, by the path of its entry, and by whether the line names a host.
pub(super) fn speaker(text: &str, path: &str, host: bool, timed: bool) -> Speaker {
    let of = |words: &[&str]| words.iter().any(|word| path.contains(word));
    // The API server answered: what it could not reach is its own affair.
    if has!(text, "Error from server") && (has!(text, "dial tcp") || has!(text, ":10250/")) {
        return Speaker::ControlPlane;
    }
    if !of_log(path) && (of_client(text) || !timed && !host && is_bare_request(text)) {
        return Speaker::Person;
    }
    if of(&TUNNEL) {
        return Speaker::Tunnel;
    }
    if has!(text, "plugin/errors") || has!(text, "unreachable backend: ") {
        return Speaker::Dns;
    }
    if of(&CONTROL_PLANE) {
        return Speaker::ControlPlane;
    }
    if host || of(&NODE) || has!(text, "kubelet") || has!(text, "register node with API server") {
        return Speaker::Node;
    }
    Speaker::Unknown
}

// Paths that only the Kubernetes API has: many a program has an `/api/v1` of its own.
pattern!(
    API_PATH,
    r"/api/v1/(?:namespaces|nodes|pods|(?:services|endpoints|events)\?(?:limit|resourceVersion|allowWatch|labelSelector|fieldSelector|timeout|watch)|configmaps|secrets|persistentvolume|replicationcontrollers|serviceaccounts|limitranges|resourcequotas)|/apis/[a-z0-9.-]+/v\d|/api\?timeout|:6443/|:6444/|https://(?:\d{1,3}\.){3}1:443/(?:version|apis?|healthz|readyz|livez|openapi)\b|(?:with|contact|reach) (?:the )?(?:API|api) server"
);

/// Whether the request that failed was one to the Kubernetes API: its path says so.
pub(super) fn of_api(text: &str) -> bool {
    search(&API_PATH, text).is_some()
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
    fn who_speaks_is_told_by_words_and_paths() {
        let timeout = "Get \"https://10.0.0.1:443/api\": dial tcp 10.0.0.1:443: i/o timeout";
        for (text, path, expected) in [
            (
                "Unable to connect to the server: dial tcp 20.1.2.3:443: i/o timeout",
                "ticket.txt",
                Speaker::Person,
            ),
            (timeout, "case/kubelet.log", Speaker::Node),
            (timeout, "kube-system/konnectivity-agent-1/logs.txt", Speaker::Tunnel),
            (timeout, "shop/cart-1/logs.txt", Speaker::Unknown),
            (
                "couldn't get resource list for x: dial tcp 10.0.0.1:443: i/o timeout",
                "ns/pods/a/logs/current.log",
                Speaker::Unknown,
            ),
            (
                "[ERROR] plugin/errors: 2 a. A: read udp 1.1.1.1:5->2.2.2.2:53: i/o timeout",
                "coredns.log",
                Speaker::Dns,
            ),
        ] {
            assert_eq!(speaker(text, path, false, true), expected, "{text} in {path}");
        }
    }
}
