//! The texts in which programs say that they could not reach something, and what else is said about the network (golang/go `src/net`,
//! kubernetes/kubernetes `staging/src/k8s.io/apiserver`, Azure/AgentBaker).

use std::net::IpAddr;
use std::sync::Arc;

use super::attempts::{attempt, of_api, of_client, speaker};
use super::log_line::LogLine;
use super::prefilter::{ModuleSignatures, Prefilter};
use super::{address_signals, operation_signals};
use crate::bytes::pattern::{has, named, pattern, search};
use crate::facts::{AttemptKey, AttemptSeen, Facts, Signal, SignalKey, SignalSeen};

/// A text that holds none of these says nothing about the network. Part of the prefilter of all lines. Some leave out the
/// first letter of a word: it is a capital in one version or at the start of a message, and small elsewhere.
pub(super) const SIGNATURES: &[&str] = &[
    "dial tcp",
    "read udp",
    "x509: ",
    "TLS handshake timeout",
    ": context deadline exceeded",
    "request canceled while waiting",
    "client connection lost",
    "closed network connection",
    "timeout awaiting response",
    "connectex",
    "was refused - did",
    "only unsupported versions",
    "provide credentials",
    "network for sandbox",
    "network for pod \"",
    "calico-packet",
    "olicy denied",
    "acket dropped (policy_den",
    "cilium.sock",
    "iptables-restore",
    "syncing proxy rules",
    "hcnCreateLoadBalancer",
    "conntrack: table full",
    "ing backend",
    "agent available",
    "calling webhook",
    "etcdserver: ",
    "oo many requests",
    "VMExtensionError",
    "exit status=",
    "connection check code: ",
    "ExitCode",
    "non-zero exit code of",
    "unexpected status",
    "detected for zone",
    "loop detected",
    "acl_log",
    "K8sNetworkPolicy",
    "AntreaNetworkPolicy",
    "AntreaClusterNetworkPolicy",
    "Corefile:",
    "Unable to connect to the",
    "reach the api server",
    "name resolution",
    "getaddrinfo E",
    "ould not resolve host",
    "proxy error from",
    "tunnel-uds",
    "Request log error: ",
    ":10250/",
];

static HERE: ModuleSignatures = ModuleSignatures::new(|| Prefilter::of(SIGNATURES));

pattern!(
    CSE,
    r#"(?:exit status=|connection check code: |non-zero exit code of: '?|\\?"?ExitCode\\?"?: ?(?:\\?"|\|)?)(?P<code>\d{1,3})\b"#
);
// Windows: other numbers, and a name that is spelt out.
pattern!(WINDOWS_CSE, r"(?P<name>WINDOWS_CSE_ERROR_[A-Z0-9_]+)");
// What the script did last, as its trace tells it: the end of an output is what it waited for.
pattern!(
    STEP,
    r#"(?P<step>nslookup [A-Za-z0-9_.-]+|curl [^|;&]*?https?://[A-Za-z0-9_.-]+|(?:crictl|ctr|docker|nerdctl)[a-z0-9 .-]* pull [A-Za-z0-9_./:@-]+|oras (?:pull|discover|repo)[a-z ]* [A-Za-z0-9_./:@-]+|nc -vz (?:-w \d+ )?[A-Za-z0-9_.-]+ \d+|apt-get (?:update|install)[a-z0-9 .-]*|tdnf [a-z]+[a-z0-9 .-]*|systemctl (?:start|restart|enable) [A-Za-z0-9_.@-]+)"#
);
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

// Events of Cilium's agent, of reason PacketDrop (cilium/cilium `pkg/hubble/dropeventemitter`): the pod that it is about is
// the other end.
pattern!(
    DROP_EVENT,
    r"(?P<way>Incoming|Outgoing) packet dropped \(policy_den\w*\) (?:from|to) (?P<end>\S+)(?: \((?P<ip>[0-9a-fA-F.:]+)\))?(?: (?P<protocol>[A-Z]+\w*)(?:/(?P<port>\d+))?)?"
);

// OVN's ACL log (openvswitch `controller/pinctrl.c`): `verdict=drop, severity=info, direction=to-lport: tcp,…,nw_src=…,tp_dst=8080`.
pattern!(
    OVN,
    r"verdict=drop\b.*?(?P<protocol>tcp|udp|sctp|icmp)6?,.*?(?:nw|ipv6)_src=(?P<from>[0-9a-fA-F.:]+),(?:nw|ipv6)_dst=(?P<to>[0-9a-fA-F.:]+)(?:.*?tp_dst=(?P<port>\d+))?"
);
// Antrea's audit log (antrea-io/antrea `pkg/agent/controller/networkpolicy/audit_logging.go`): source, its port, destination, its
// port, protocol, length.
pattern!(
    ANTREA,
    r"NetworkPolicy\S* .*?(?:Drop|Reject) .*? (?P<from>[0-9a-fA-F.:]+) \d+ (?P<to>[0-9a-fA-F.:]+) (?P<port>\d+) (?P<protocol>TCP|UDP|SCTP)"
);

/// Texts that are no attempt: which, and what they name themselves.
fn signal(text: &str) -> Option<(Signal, String)> {
    if HERE.concerns(text) {
        return classify(text);
    }
    debug_assert!(classify(text).is_none(), "no signature of this module stands in: {text}");
    None
}

/// The questions, one after the other.
fn classify(text: &str) -> Option<(Signal, String)> {
    if has!(text, "calico-packet") {
        let found = search(&PACKET, text)?;
        let parts = ["from", "to", "protocol", "port"].map(|part| named(Some(&found), part));
        return Some((Signal::PolicyDropped, parts.join(" ").trim().to_owned()));
    }
    if has!(text, "olicy denied") && has!(text, "DROPPED") {
        let found = search(&CILIUM, text)?;
        let parts = ["from", "to", "protocol", "port"].map(|part| named(Some(&found), part));
        return Some((Signal::PolicyDropped, parts.join(" ")));
    }
    if has!(text, "acket dropped (policy_den") {
        let found = search(&DROP_EVENT, text)?;
        let part = |name| named(Some(&found), name);
        let (from, to) = if part("way") == "Incoming" { (part("end"), "") } else { ("", part("end")) };
        return Some((Signal::PolicyDropped, format!("{from} {to} {} {}", part("protocol"), part("port"))));
    }
    if has!(text, "acl_log") && has!(text, "verdict=drop") {
        let found = search(&OVN, text)?;
        let parts = ["from", "to", "protocol", "port"].map(|part| named(Some(&found), part));
        return Some((Signal::PolicyDropped, parts.join(" ").trim().to_owned()));
    }
    if has!(text, "NetworkPolicy") && has!(text, " Drop ")
        || has!(text, "NetworkPolicy") && has!(text, " Reject ")
    {
        let found = search(&ANTREA, text)?;
        let parts = ["from", "to", "protocol", "port"].map(|part| named(Some(&found), part));
        return Some((Signal::PolicyDropped, parts.join(" ").trim().to_owned()));
    }
    // The sandbox that failed for it is told as such.
    if has!(text, "cilium.sock") && has!(text, "dial unix") && !has!(text, "network for sandbox") {
        return Some((Signal::CiliumUnreachable, String::new()));
    }
    // On Windows the rules are load balancers of the Host Network Service (microsoft/hcsshim `hcn`).
    if has!(text, "hcnCreateLoadBalancer") && has!(text, "failed") {
        return Some((Signal::KubeProxyFailing, String::new()));
    }
    if has!(text, "syncing proxy rules")
        || (has!(text, "iptables-restore")
            && (has!(text, "Failed") || has!(text, "failed") || has!(text, "rror")))
    {
        return Some((Signal::KubeProxyFailing, String::new()));
    }
    if has!(text, "conntrack: table full") {
        return Some((Signal::ConntrackFull, String::new()));
    }
    if has!(text, "calling webhook") {
        let found = search(&WEBHOOK, text);
        return Some((
            Signal::WebhookFailing,
            [named(found.as_ref(), "name"), named(found.as_ref(), "host")].join(" ").trim().to_owned(),
        ));
    }
    // A log that could not be had: of a container that waits or is gone, the kubelet says so itself.
    let unread = has!(text, "Request log error: ")
        && has!(text, "has prevented the request from succeeding")
        && !has!(text, "waiting to start");
    let tunnel = unread
        || has!(text, "No agent available")
        || (has!(text, "proxy error from") && has!(text, "while dialing"))
        || (has!(text, "tunnel-uds") && has!(text, "broken pipe"));
    if tunnel || has!(text, "ing backend") {
        // Agents say it themselves, of single connections and on healthy clusters.
        let node = attempt(text).map(|(_, host, ..)| host).unwrap_or_default();
        return (of_client(text) || tunnel).then_some((Signal::TunnelFailing, node));
    }
    if has!(text, "etcdserver: mvcc: database space exceeded") {
        return Some((Signal::EtcdFull, String::new()));
    }
    if has!(text, "etcdserver: request timed out") || has!(text, "etcdserver: leader changed") {
        return Some((Signal::EtcdSlow, String::new()));
    }
    if has!(text, "VMExtensionError")
        || has!(text, "exit status=")
        || has!(text, "ExitCode")
        || has!(text, "non-zero exit code of")
    {
        return provisioning(text).map(|detail| (Signal::ProvisioningFailed, detail));
    }
    if has!(text, "oo many requests") {
        // The client's own patience, and a budget of disruptions, are told elsewhere.
        let other = has!(text, "disruption budget")
            || has!(text, "Eviction")
            || has!(text, "evict")
            || has!(text, "client-side throttling");
        let of_azure =
            has!(text, "Status=429") || has!(text, "this subscription") || has!(text, "HighCostGet");
        // `(TooManyRequests)` is the reason of the API server's own status.
        let of_server = has!(text, "asked us to try again later")
            || has!(text, "(TooManyRequests)")
            || has!(text, "server has received too many requests") && (of_client(text) || has!(text, "kube"));
        let signal = if of_azure { Signal::ArmThrottled } else { Signal::ApiThrottled };
        return (!other && (of_azure || of_server)).then(|| (signal, String::new()));
    }
    if has!(text, "network for sandbox") || has!(text, "network for pod \"") {
        return Some((Signal::CniFailing, sandbox_error(text)));
    }
    // A program of the cluster has a token of its own: that is another cause.
    let of_program = has!(text, "reflector.go") || has!(text, "leaderelection.go");
    // `( pods/log NAME)` behind it tells that the kubelet refuses the API server.
    if has!(text, "provide credentials") && !of_program && !has!(text, "credentials ( pods/") {
        return Some((Signal::NoCredentials, String::new()));
    }
    if has!(text, "detected for zone") && has!(text, "Loop")
        || has!(text, "loop detected") && has!(text, "plugin/loop")
    {
        return Some((Signal::DnsLoop, String::new()));
    }
    if has!(text, "Corefile:") && has!(text, "rror during parsing") {
        return Some((Signal::CorefileBroken, String::new()));
    }
    None
}

/// What a provisioning script did last, by the trace in its output.
pub(in crate::formats) fn last_step(output: &str) -> String {
    let step = STEP.captures_iter(output).last();
    named(step.as_ref(), "step").chars().take(120).collect()
}

/// How the provisioning of a node ended: `code|name|step`, of which each may be empty. The name of a code of Windows begins with
/// `WINDOWS`.
fn provisioning(text: &str) -> Option<String> {
    let named_windows = search(&WINDOWS_CSE, text);
    let windows = named_windows.is_some()
        || has!(text, "CustomScriptExtension'")
        || has!(text, "CSEWindowsTroubleshoot");
    let name = search(&NAMED_CSE, text);
    let name = match (windows, named(name.as_ref(), "name")) {
        (true, _) if named_windows.is_some() => named(named_windows.as_ref(), "name"),
        (true, _) => "WINDOWS",
        (false, "") => named(name.as_ref(), "old"),
        (false, ours) => ours,
    };
    // The extension's own code (1) stands before that of the script.
    let code = CSE.captures_iter(text).last();
    let code = named(code.as_ref(), "code");
    if code == "0" || (code.is_empty() && name.is_empty()) || (code.is_empty() && name == "WINDOWS") {
        return None;
    }
    let step = last_step(text);
    Some(format!("{code}|{name}|{step}"))
}

/// The error in a text about a sandbox, without the words of the runtime, the plugin and the kubelet around it.
fn sandbox_error(text: &str) -> String {
    const MOST: usize = 160;
    let begins = [
        "failed (add): ",
        "failed (delete): ",
        "failed to set up pod ",
        "network for pod ",
        "network for sandbox ",
        ": ",
    ];
    let error = begins.iter().fold(text, |rest, words| rest.split_once(words).map_or(rest, |(_, end)| end));
    // What follows the quoted error is the kubelet's: `" pod="shop/web-1"`.
    error.split('"').find(|part| part.len() > 10).unwrap_or(error).trim().chars().take(MOST).collect()
}

/// No message is this long, in bytes.
const LONG: usize = 16 << 10;

/// Counts a text about the network; says whether it was one.
pub(super) fn read(line: &LogLine<'_>, facts: &mut Facts) -> bool {
    let node: Box<str> = line
        .around
        .node
        .map(ToOwned::to_owned)
        .or_else(|| line.unwrapped.host.clone())
        .unwrap_or_default()
        .into();
    let (namespace, pod) =
        line.around.pod.map(|(namespace, name)| (namespace.into(), name.into())).unwrap_or_default();
    let log = line.log();
    let stated = line.around.count.max(1);
    let times = [line.unwrapped.when, line.around.last];
    // A document on one line holds the words of many things: together they say nothing.
    let operation = || {
        operation_signals::signal(line.text).filter(|(signal, _)| {
            line.text.len() < LONG && operation_signals::counts(*signal, &log, line.unwrapped.host.is_some())
        })
    };
    if let Some((signal, detail)) = signal(line.text).or_else(operation) {
        let (namespace, pod) = match address_signals::about(line).filter(|_| signal == Signal::CniFailing) {
            Some((namespace, pod)) => (namespace.into(), pod.into()),
            None => (namespace, pod),
        };
        let key = SignalKey { signal, namespace, pod, node, detail: detail.into() };
        facts.signalled(SignalSeen {
            key,
            print: line.print,
            stated,
            times,
            source: line.source,
            line: line.number,
            text: line.raw,
        });
        return true;
    }
    let Some((failure, host, port, resolver)) = attempt(line.text) else { return false };
    // A probe of a pod is told by its event.
    let probe =
        has!(line.text, "robe failed") || has!(line.text, "robe error") || has!(line.text, "prober.go");
    if host.is_empty() && !of_client(line.text) && !failure.of_dns() || probe && line.around.pod.is_none() {
        return false;
    }
    let host = host.parse::<IpAddr>().map_or(host, |ip| ip.to_string());
    let key = AttemptKey {
        failure,
        host: host.into(),
        port,
        resolver: resolver.into(),
        speaker: speaker(line.text, &log, line.unwrapped.host.is_some(), line.unwrapped.timed),
        of_api: of_api(line.text),
        node,
        // Of a pod's own log, it speaks of itself.
        pod: match line.around.log_of {
            Some((namespace, name)) if pod.is_empty() => (namespace.into(), name.into()),
            _ => (namespace, pod),
        },
        source: Arc::clone(line.source),
    };
    facts.attempted(AttemptSeen { key, print: line.print, stated, times, line: line.number, text: line.raw });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (
                "proxier.go:1100] \"Policy creation failed\" err=\"hcnCreateLoadBalancer failed in Win32: The provided policy configuration is invalid. (0x803b000d)\"",
                Signal::KubeProxyFailing,
                "",
            ),
            (
                "Outgoing packet dropped (policy_denied) to till/ledger-0 (10.244.3.20) TCP/5432",
                Signal::PolicyDropped,
                " till/ledger-0 TCP 5432",
            ),
            (
                "Incoming packet dropped (policy_denied) from till/desk-1 (10.244.7.61) TCP/5432",
                Signal::PolicyDropped,
                "till/desk-1  TCP 5432",
            ),
            (
                "unable to connect to Cilium agent: Get \"http:///var/run/cilium/cilium.sock/v1/config\": dial unix /var/run/cilium/cilium.sock: connect: no such file or directory",
                Signal::CiliumUnreachable,
                "",
            ),
            ("\"Failed to execute iptables-restore\" err=\"exit status 4\"", Signal::KubeProxyFailing, ""),
            (
                "vmssCSE … ExitCode: 51, Output: VMExtensionError_K8SAPIServerConnFail",
                Signal::ProvisioningFailed,
                "51|K8SAPIServerConnFail|",
            ),
            ("command terminated with exit status=50", Signal::ProvisioningFailed, "50||"),
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
