//! The texts that say that addresses ran out, in the wordings of all versions (containernetworking/plugins, Azure/azure-container-networking,
//! projectcalico/calico, k8snetworkplumbingwg/whereabouts).

use super::log_line::LogLine;
use super::prefilter::{ModuleSignatures, Prefilter};
use crate::bytes::pattern::{has, named, pattern, search};
use crate::facts::{Facts, Signal, SignalKey, SignalSeen};

/// A text that holds none of these says nothing about addresses. Part of the prefilter of all lines, so each
/// begins with letters that are rare in logs. Some leave out the
/// first letter of a word: it is a capital in one version or at the start of a message, and small elsewhere.
pub(super) const SIGNATURES: &[&str] = &[
    "no IP addresses available in",
    "o available address",
    "IPs available",
    "waiting on Azure CNS",
    "NCUpdateSubnetFull",
    "NCUpdateUnauthorized",
    ":10090",
    "IPAM allocated only",
    "Could not allocate IP in range",
    "CIDRNotAvailable",
    "NetworkPluginNotReady",
    "networks found in /etc/cni",
    "find plugin \"",
    "SubnetIs",
    "enough capacity for",
    "Pre-allocated IPs",
    "delegated subnet",
    "CidrOverlapExisting",
    "CIDROverlapVNET",
    "IPOutOfServiceCIDR",
];

static HERE: ModuleSignatures = ModuleSignatures::new(|| Prefilter::of(SIGNATURES));

pattern!(CONTAINER, r"available(?: of type \w+)? for (?P<nc>[0-9a-f-]{36})");
pattern!(STATUS, r"NC Status: ?(?P<status>\w+)");
pattern!(RANGE, r"no IP addresses available in (?:range set|network): ?(?P<range>[0-9a-fA-F.:-]*)");
pattern!(WHEREABOUTS, r"Could not allocate IP in range: ip: (?P<range>[0-9a-fA-F.:/]*)");
pattern!(
    POD,
    r#"(?:set up pod|SetUpSucceeded|for pod) "(?P<name>[a-z0-9.-]+)_(?P<ns>[a-z0-9-]+)(?:\([^)]*\))?""#
    r#"|['"]PodName['"]: ?['"](?P<name2>[a-z0-9._-]+)['"], ?['"]PodNamespace['"]: ?['"](?P<ns2>[a-z0-9_-]+)['"]"#
    r#"|pod="(?P<ns3>[a-z0-9-]+)/(?P<name3>[a-z0-9.-]+)""#
    r"|K8S_POD_NAMESPACE=(?P<ns4>[a-z0-9-]+);K8S_POD_NAME=(?P<name4>[a-z0-9.-]+)"
    r"|Multus: \[(?P<ns5>[a-z0-9-]+)/(?P<name5>[a-z0-9.-]+)[\]/]"
);
pattern!(NODE, r"[Nn]ode (?P<node>[a-z0-9][a-z0-9.-]*[a-z0-9]) status is now");
pattern!(
    CAPACITY,
    r#"[Ss]ubnet ['"]?(?P<name>[\w./-]+?)['"]?(?: with address prefix ['"]?(?P<range>[0-9a-fA-F.:/]+)['"]?)?"#
    r"(?: does not| doesn't|  ?is full and does not) have enough capacity for(?: (?P<count>\d+))? IP addresses"
);
pattern!(
    PREALLOCATED,
    r"Pre-allocated IPs (?P<need>\d+) exceeds IPs available (?:(?P<have>\d+) in Subnet(?: Cidr (?P<range>[0-9a-fA-F.:/]+)(?:, Subnet Name (?P<name>[\w.-]+?)(?:\.? |\.?$))?)?|in Subnet (?P<old>\d+))"
);
pattern!(
    OVERLAP,
    r"(?:specified service CIDR|service CIDR|pod CIDR) ['`]?(?P<own>[0-9a-fA-F.:/]+)['`]? is conflicted with an existing subnet CIDR ['`]?(?P<other>[0-9a-fA-F.:/]+)"
);

// A pasted row of `kubectl describe`'s events.
pattern!(ROW, r"\(x(?P<count>\d+) over \w+\)\s+kubelet(?:, (?P<node>[a-z0-9][a-z0-9.-]*))?\s+Failed");

/// Which text it is, and what it names itself.
fn signal(text: &str) -> Option<(Signal, String)> {
    if HERE.concerns(text) {
        return classify(text);
    }
    debug_assert!(classify(text).is_none(), "no signature of this module stands in: {text}");
    None
}

/// The questions, one after the other.
fn classify(text: &str) -> Option<(Signal, String)> {
    // Objects carry the status of a network container, too: those are read as objects.
    let of_an_object = has!(text, "\"status\"") && has!(text, "\"networkContainers\"");
    if has!(text, "waiting on Azure CNS") {
        let status = search(&STATUS, text);
        let given = match named(status.as_ref(), "status") {
            status if status.starts_with("NCUpdateSubnetFull") => Signal::SubnetFull,
            status if status.starts_with("NCUpdateUnauthorized") => Signal::CnsUnauthorised,
            _ => Signal::CnsWaiting,
        };
        return Some((given, named(search(&CONTAINER, text).as_ref(), "nc").to_owned()));
    }
    if let Some(found) = search(&RANGE, text) {
        return Some((Signal::RangeSetFull, named(Some(&found), "range").to_owned()));
    }
    if has!(text, "o available address") {
        return Some((Signal::NoAvailableAddresses, String::new()));
    }
    if has!(text, "IPs available in pool") || has!(text, "IPAM allocated only") {
        return Some((Signal::CalicoFull, String::new()));
    }
    if has!(text, "Could not allocate IP in range") {
        return Some((
            Signal::WhereaboutsFull,
            named(search(&WHEREABOUTS, text).as_ref(), "range").to_owned(),
        ));
    }
    if has!(text, "NCUpdateSubnetFull") && !of_an_object && !has!(text, "\"status\"") {
        return Some((Signal::SubnetFull, String::new()));
    }
    if has!(text, "NCUpdateUnauthorized") && !of_an_object && !has!(text, "\"status\"") {
        return Some((Signal::CnsUnauthorised, String::new()));
    }
    if has!(text, "127.0.0.1:10090") || has!(text, "localhost:10090") {
        let refused = has!(text, "connection refused")
            || has!(text, "i/o timeout")
            || has!(text, "deadline exceeded")
            || has!(text, "EOF");
        return refused.then(|| (Signal::CnsUnreachable, String::new()));
    }
    if has!(text, "CIDRNotAvailable") {
        return Some((Signal::CidrNotAvailable, String::new()));
    }
    if has!(text, "Pre-allocated IPs") {
        let found = search(&PREALLOCATED, text)?;
        let have = if named(Some(&found), "have").is_empty() { "old" } else { "have" };
        let parts = ["need", have, "range", "name"].map(|part| named(Some(&found), part));
        return Some((Signal::InsufficientSubnetSize, parts.join(" ")));
    }
    if has!(text, "SubnetIsFull") || (has!(text, "enough capacity for") && has!(text, "IP addresses")) {
        let found = search(&CAPACITY, text);
        let parts = ["name", "range", "count"].map(|part| named(found.as_ref(), part));
        return Some((Signal::NodeSubnetFull, parts.join(" ").trim().to_owned()));
    }
    if has!(text, "SubnetIsDelegated") || (has!(text, "delegated subnet") && has!(text, "cannot be used")) {
        return Some((Signal::SubnetDelegated, String::new()));
    }
    if has!(text, "CidrOverlapExisting") || has!(text, "CIDROverlapVNET") || has!(text, "IPOutOfServiceCIDR")
    {
        let found = search(&OVERLAP, text);
        let parts = ["own", "other"].map(|part| named(found.as_ref(), part));
        return Some((Signal::CidrOverlap, parts.join(" ").trim().to_owned()));
    }
    if has!(text, "networks found in /etc/cni") || has!(text, "NetworkPluginNotReady") {
        return Some((Signal::CniNotReady, String::new()));
    }
    // Any binary may be missing: only one of a CNI is looked for in its folder.
    if has!(text, "find plugin \"") && has!(text, "in path [") {
        return Some((Signal::CniNotReady, String::new()));
    }
    None
}

/// Whether a text is about addresses.
pub(super) fn is_known_refusal(text: &str) -> bool {
    SIGNATURES.iter().any(|words| text.contains(words)) && signal(text).is_some()
}

/// Namespace and name of the pod that a text names.
fn pod(text: &str) -> Option<(String, String)> {
    let found = search(&POD, text)?;
    let get = |names: [&str; 5]| {
        names.iter().find_map(|name| found.name(name)).map(|found| found.as_str().to_owned())
    };
    Some((get(["ns", "ns2", "ns3", "ns4", "ns5"])?, get(["name", "name2", "name3", "name4", "name5"])?))
}

/// The pod that a line is about: the object of its event, or what the line names.
pub(super) fn about(line: &LogLine<'_>) -> Option<(String, String)> {
    let about = line.around.pod.map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
    about.or_else(|| pod(line.text))
}

/// The node that a line is about or from; empty when it does not tell.
pub(super) fn node_named(line: &LogLine<'_>) -> String {
    let given = search(&NODE, line.text);
    let row = search(&ROW, line.text);
    line.around
        .node
        .filter(|_| given.is_none())
        .map(ToOwned::to_owned)
        .or_else(|| given.map(|found| named(Some(&found), "node").to_owned()))
        .or_else(|| line.unwrapped.host.clone())
        .unwrap_or_else(|| named(row.as_ref(), "node").to_owned())
}

/// Notes what a line means, of the pod and the node that it is about; `stated` is the count that its own words state.
pub(super) fn note(line: &LogLine<'_>, signal: Signal, detail: String, stated: u64, facts: &mut Facts) {
    // kube-proxy speaks of its own node; most others speak of the pods that they serve.
    let of_itself = || {
        let (namespace, name) = line.around.log_of.filter(|_| signal == Signal::KubeProxyFailing)?;
        Some((namespace.to_owned(), name.to_owned()))
    };
    let (namespace, pod) = about(line).or_else(of_itself).unwrap_or_default();
    facts.signalled(SignalSeen {
        key: SignalKey {
            signal,
            namespace: namespace.into(),
            pod: pod.into(),
            node: node_named(line).into(),
            detail: detail.into(),
        },
        print: line.print,
        stated: line.around.count.max(stated),
        times: [line.unwrapped.when, line.around.last],
        source: line.source,
        line: line.number,
        text: line.raw,
    });
}

/// Counts a text about addresses; says whether it was one.
pub(super) fn read(line: &LogLine<'_>, facts: &mut Facts) -> bool {
    let Some((signal, detail)) = signal(line.text) else { return false };
    let stated = named(search(&ROW, line.text).as_ref(), "count").parse().unwrap_or(1);
    note(line, signal, detail, stated, facts);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_of_the_wording_is_known() {
        for (text, expected) in [
            (
                "No more free IP's available, waiting on Azure CNS to allocated more IP's...",
                Signal::CnsWaiting,
            ),
            ("no more free IPs available, waiting on Azure CNS to allocated more", Signal::CnsWaiting),
            ("no IPs available, waiting on Azure CNS to allocate more", Signal::CnsWaiting),
            ("not enough IPs available, waiting on Azure CNS to allocate more", Signal::CnsWaiting),
            (
                "not enough IPs available for 9c6a7f37-dd43-4f7c-a01f-1ff41653609c, waiting on Azure CNS to allocate more with NC Status: , IP config request is [IPConfigRequest: DesiredIPAddress ",
                Signal::CnsWaiting,
            ),
            (
                "not enough IPs available of type ipv4 for 9c6a7f37-dd43-4f7c-a01f-1ff41653609c, waiting on Azure CNS to allocate more with NC Status: NCUpdateSubnetFullError, x",
                Signal::SubnetFull,
            ),
            (
                "not enough IPs available for 9c6a7f37-dd43-4f7c-a01f-1ff41653609c, waiting on Azure CNS to allocate more with NC Status: NCUpdateUnauthorizedError",
                Signal::CnsUnauthorised,
            ),
            ("Failed to allocate address: No available addresses", Signal::NoAvailableAddresses),
            (
                "Failed to allocate pool: Failed to delegate: Failed to allocate pool: No available address pools",
                Signal::NoAvailableAddresses,
            ),
            (
                "failed to allocate for range 0: no IP addresses available in range set: 10.42.0.1-10.42.0.254",
                Signal::RangeSetFull,
            ),
            ("failed to request 1 IPv4 addresses. IPAM allocated only 0", Signal::CalicoFull),
            (
                "failed to request IPv4 addresses: No IPs available in pools: [10.244.0.0/16]",
                Signal::CalicoFull,
            ),
            (
                "http request failed: Post \"http://localhost:10090/network/requestipconfigs\": dial tcp 127.0.0.1:10090: connect: connection refused",
                Signal::CnsUnreachable,
            ),
            (
                "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
                Signal::CniNotReady,
            ),
            ("failed to find plugin \"azure-vnet\" in path [/opt/cni/bin]", Signal::CniNotReady),
            ("Node aks-np1-vmss000001 status is now: CIDRNotAvailable", Signal::CidrNotAvailable),
        ] {
            assert_eq!(signal(text).map(|(signal, _)| signal), Some(expected), "{text}");
        }
    }

    #[test]
    fn look_alikes_are_left_alone() {
        for text in [
            "curl localhost:10090/debug/ipaddresses -d '{}'",
            "node has enough capacity for the pods",
            "failed to find plugin \"foo\" in registry",
            "Warning  Failed  pull image",
        ] {
            assert_eq!(signal(text), None, "{text}");
        }
    }

    #[test]
    fn the_numbers_of_a_range_that_is_too_small() {
        let text = "Pre-allocated IPs 1280 exceeds IPs available 1024 in Subnet Cidr 10.240.100.0/22, Subnet Name networkProfile.podCIDR. If Autoscaler is enabled, the max-count";
        assert_eq!(signal(text).unwrap().1, "1280 1024 10.240.100.0/22 networkProfile.podCIDR");
        let text = "Code=\"SubnetIsFull\" Message=\"Subnet aks-subnet with address prefix 10.1.0.0/24 does not have enough capacity for 31 IP addresses.\"";
        assert_eq!(signal(text).unwrap().1, "aks-subnet 10.1.0.0/24 31");
    }

    #[test]
    fn the_pod_is_found_in_every_wording() {
        for text in [
            "failed to set up pod \"web-1_shop\" network",
            "CreatePodSandbox for pod \"web-1_shop(a3d09f02-844e)\" failed",
            "'PodName':'web-1','PodNamespace':'shop'}]",
            "\"Error syncing pod\" pod=\"shop/web-1\" podUID=1",
            "Args:IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;K8S_POD_INFRA",
        ] {
            assert_eq!(pod(text), Some(("shop".into(), "web-1".into())), "{text}");
        }
    }
}
