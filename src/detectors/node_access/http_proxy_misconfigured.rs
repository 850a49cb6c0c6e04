//! The HTTP proxy configuration of the cluster: unsupported settings, and what must not go through the proxy.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::cluster::Cluster;
use crate::cluster::azure::{AksCluster, HttpProxy, range};
use crate::cluster::reachability::{Unreached, Who};
use crate::detectors::needs::AKS;
use crate::detectors::observed::{Observed, Wording, aks_named, aks_subject, attempts, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "http-proxy-misconfigured",
    chapter: Chapter::NodeAccess,
    title: "The cluster's HTTP proxy is misconfigured",
    needs: &[AKS],
    explains: &[
        "node-outbound-blocked",
        "node-cannot-reach-api-server",
        "pod-cannot-reach-api-server",
        "image-pull-failing",
        "registry-unreachable",
        "node-provisioning-failed",
    ],
    doc: Doc {
        meaning: "A cluster with an HTTP proxy configuration sends HTTP and HTTPS of nodes and pods through that proxy, except for noProxy. Traffic within the network must bypass it: the API server, pods, Services, 168.63.129.16 (Azure DNS) and 169.254.169.254 (IMDS). AKS adds these to effectiveNoProxy itself; it does not correct a proxy URL or a noProxy entry that does not work.",
        decision: "From httpProxyConfig of the cluster. Confirmed: an httpProxy URL that is not http://, a URL with user and password, a noProxy entry such as *.corp.example (a star before a domain is not supported), node pools of Windows or of availability sets (not supported), and connections of nodes that failed at the proxy itself. Likely: connections of pods that failed at a proxy, which may be one of their own; effectiveNoProxy lacks the API server, a pod or Service CIDR, 169.254.169.254 or 168.63.129.16. Possible: no noProxy entry for names of Services (.svc, .cluster.local), which AKS does not add. A disabled configuration is not judged.",
        action: "Correct the configuration and update the cluster (az aks update --http-proxy-config): this reimages the nodes.",
        reference: "learn.microsoft.com: HTTP proxy support in AKS. Azure/AKS issues 205 and 3174 (names of Services).",
    },
    detect: Evaluation::Rule(detect),
};

/// The address of the machine's own identity and metadata.
const METADATA: &str = "169.254.169.254";

/// Host and port of a URL, and whether it names a user.
fn host_of(url: &str) -> (&str, bool) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    // A password may hold any sign: what stands before the last `@` is never shown.
    let (host, with_user) = rest.rsplit_once('@').map_or((rest, false), |(_, host)| (host, true));
    (host.split(['/', '?', '#']).next().unwrap_or_default(), with_user)
}

/// Whether a list of exceptions takes out a name: by itself, or by a domain that it is in.
fn covers_name(list: &[String], name: &str) -> bool {
    list.iter().any(|entry| {
        let entry = entry.trim().trim_end_matches('.');
        let domain = entry.trim_start_matches('.');
        let below = || {
            let at = name.len().checked_sub(domain.len())?;
            Some(name.get(at..)?.eq_ignore_ascii_case(domain) && name.get(..at)?.ends_with('.'))
        };
        !domain.is_empty() && (name.eq_ignore_ascii_case(entry) || below() == Some(true))
    })
}

/// Whether a list of exceptions takes out a whole range.
fn covers_range(list: &[String], wanted: IpNet) -> bool {
    list.iter().filter_map(|entry| range(entry)).any(|entry| entry.contains(&wanted))
}

/// What must not go to the proxy and does.
fn missing(aks: &AksCluster, proxy: &HttpProxy) -> Vec<String> {
    // Nodes of a private cluster know the private name alone.
    let name = if aks.private_fqdn.is_empty() { &aks.fqdn } else { &aks.private_fqdn };
    let mut all: Vec<String> = [name]
        .into_iter()
        .filter(|name| !name.is_empty() && !covers_name(&proxy.effective, name))
        .cloned()
        .collect();
    let ours = [METADATA, crate::cluster::azure::AZURE_DNS].map(str::to_owned);
    let ranges = aks.service_ranges.iter().chain(&aks.pod_ranges).chain(&ours);
    all.extend(
        ranges
            .filter(|text| range(text).is_some_and(|wanted| !covers_range(&proxy.effective, wanted)))
            .cloned(),
    );
    all
}

/// One thing that is wrong.
struct Wrong {
    about: &'static str,
    title: String,
    severity: Severity,
    confidence: Confidence,
    field: &'static str,
    words: String,
    cause: String,
    fix: &'static str,
}

fn wrongs(aks: &AksCluster, proxy: &HttpProxy) -> Vec<Wrong> {
    let mut all = Vec::new();
    for (field, url) in &proxy.urls {
        let (host, with_user) = host_of(url);
        if with_user {
            all.push(Wrong {
                about: "user",
                title: "HTTP proxy URL has user and password: not supported by AKS".to_owned(),
                severity: Severity::High,
                confidence: Confidence::Confirmed,
                field,
                words: format!("{host}, with a user and a password"),
                cause: format!("{field} is {host} with user and password in its URL. AKS does not support proxy authentication with user and password."),
                fix: "Let the proxy accept the node subnet without authentication, and remove user and password from the URL.",
            });
        }
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        if *field == "httpProxy" && !scheme.eq_ignore_ascii_case("http") {
            all.push(Wrong {
                about: "scheme",
                title: "httpProxy URL does not start with http://".to_owned(),
                severity: Severity::High,
                confidence: Confidence::Confirmed,
                field,
                words: if scheme.is_empty() { format!("{host}, without a scheme") } else { format!("{scheme}://{host}") },
                cause: format!("The URL of httpProxy ({host}) does not start with http://, the only scheme that AKS accepts for it: nodes cannot use it as it is."),
                fix: "Set the URL to http://HOST:PORT.",
            });
        }
    }
    let stars: Vec<&str> = proxy
        .exceptions
        .iter()
        .map(|exception| exception.trim())
        .filter(|exception| exception.starts_with('*') && exception.len() > 1)
        .collect();
    if !stars.is_empty() {
        all.push(Wrong {
            about: "star",
            title: format!("noProxy entry with a wildcard has no effect: {}", listed(stars.iter().copied(), 3)),
            severity: Severity::Medium,
            confidence: Confidence::Confirmed,
            field: "noProxy",
            words: stars.join(", "),
            cause: format!("noProxy has {}: a star before a domain is not supported, so requests to these hosts go through the proxy.", listed(stars.iter().copied(), 5)),
            fix: "Write the domain with a leading dot and without the star (.corp.example instead of *.corp.example).",
        });
    }
    let missing = if proxy.effective.is_empty() { Vec::new() } else { missing(aks, proxy) };
    if !missing.is_empty() {
        let names = listed(missing.iter().map(String::as_str), 6);
        all.push(Wrong {
            about: "exceptions",
            title: format!("noProxy lacks addresses that must bypass the HTTP proxy: {names}"),
            severity: Severity::High,
            confidence: Confidence::Likely,
            field: "effectiveNoProxy",
            words: proxy.effective.join(", "),
            cause: format!("effectiveNoProxy lacks {names}. Requests to these go to the proxy, which usually cannot reach addresses inside the network."),
            fix: "Add the missing entries to noProxy.",
        });
    }
    let lists: Vec<String> = proxy.exceptions.iter().chain(&proxy.effective).cloned().collect();
    let inside = ["web.shop.svc", "web.shop.svc.cluster.local"]
        .into_iter()
        .filter(|name| !covers_name(&lists, name))
        .count();
    if inside > 0 {
        all.push(Wrong {
            about: "services",
            title: "noProxy has no .svc or .cluster.local: requests to Services use the proxy".to_owned(),
            severity: Severity::Low,
            confidence: Confidence::Possible,
            field: "noProxy",
            words: if lists.is_empty() { "no exceptions".to_owned() } else { lists.join(", ") },
            cause: "No noProxy entry covers names such as web.shop.svc and web.shop.svc.cluster.local. Pods get the proxy in their environment, so requests to a Service by name go to the proxy, which usually cannot resolve the name. AKS adds CIDRs to effectiveNoProxy, and they do not match names.".to_owned(),
            fix: "Add .svc and .cluster.local to noProxy, and short Service names that applications use; or keep the proxy variables out of a pod with the annotation kubernetes.azure.com/no-http-proxy-vars: \"true\".",
        });
    }
    if !aks.pools_without_proxy.is_empty() {
        let pools = listed(aks.pools_without_proxy.iter().map(String::as_str), 5);
        all.push(Wrong {
            about: "pools",
            title: format!("Node pools without HTTP proxy support: {pools}"),
            severity: Severity::Medium,
            confidence: Confidence::Confirmed,
            field: "agentPoolProfiles",
            words: pools.clone(),
            cause: format!("The cluster has an HTTP proxy configuration, and {pools} are Windows or availability set node pools: AKS does not support it there, and their nodes do not use the proxy."),
            fix: "Give these node pools their own outbound path (firewall, NAT gateway), or move their pods to Linux node pools.",
        });
    }
    all
}

/// Connections of nodes or pods that failed at the proxy.
fn not_passed(cluster: &Cluster, aks: &AksCluster, proxy: &HttpProxy) -> Option<Finding> {
    let hosts: Vec<&str> = proxy.urls.iter().map(|(_, url)| host_of(url).0).collect();
    let bare: Vec<&str> =
        hosts.iter().map(|host| host.rsplit_once(':').map_or(*host, |(host, _)| host)).collect();
    let by_address = bare.iter().all(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok());
    // A failure names the address that was dialled: one of another proxy is not this one's.
    let is_own = |host: &String| bare.iter().any(|ours| ours.eq_ignore_ascii_case(host));
    let fits =
        |item: &Unreached| item.failure == Failure::Proxy && (item.hosts.iter().any(is_own) || !by_address);
    let tried = |nodes: bool| {
        attempts(cluster, |attempt| {
            let who =
                if nodes { matches!(attempt.who, Who::Node(_)) } else { matches!(attempt.who, Who::Pod(_)) };
            (who && fits(attempt)).then_some(())
        })
        .remove(&())
    };
    // Pods may have a proxy of their own in their environment; nodes have this one.
    let (mut observed, of_nodes) = match (tried(true), tried(false)) {
        (Some(observed), _) => (observed, true),
        (None, observed) => (observed?, false),
    };
    let passed = observed.is_over(cluster);
    let sure = of_nodes || observed.hosts.iter().any(is_own);
    observed.show_first(
        proxy
            .urls
            .first()
            .and_then(|(field, url)| aks.evidence(&format!("httpProxyConfig.{field}"), host_of(url).0)),
    );
    let who = if of_nodes { "nodes" } else { "pods" };
    let says = Wording {
        severity: if passed { Severity::Medium } else { Severity::Critical },
        confidence: if passed || !sure { Confidence::Likely } else { Confidence::Confirmed },
        unit: "failed attempt",
        cause: format!("Connections of {who} through the HTTP proxy {} failed at the proxy{}{}.", listed(hosts.into_iter(), 2), observed.reached_for_in_brackets(), observed.when()),
        fix: "Check that the proxy runs, that its port is reachable from the node subnet, and that its name resolves with the DNS servers of the virtual network.".to_owned(),
        commands: vec!["nc -vz -w 5 PROXY_HOST PROXY_PORT   # on a node".to_owned()],
        verify: vec!["curl -sI -x http://PROXY_HOST:PROXY_PORT https://mcr.microsoft.com/v2/ | head -n 1   # on a node: 200".to_owned()],
    };
    observed.finding(
        &DETECTOR,
        "not-passed",
        format!("HTTP proxy of the cluster: connections of {who} fail at the proxy"),
        says,
    )
}

fn detect(cluster: &Cluster) -> Outcome {
    let Some(aks) = cluster.azure.cluster() else { return Outcome::default() };
    let Some(proxy) = aks.proxy.as_ref() else {
        return Outcome {
            ruled_out: aks.whole.then(|| "the cluster has no HTTP proxy".to_owned()),
            ..Outcome::default()
        };
    };
    let mut findings: Vec<Finding> = wrongs(aks, proxy)
        .into_iter()
        .filter_map(|wrong| {
            let observed = Observed {
                count: 1,
                evidence: vec![aks.evidence(&format!("httpProxyConfig.{}", wrong.field), &wrong.words)?],
                ..Observed::default()
            };
            let says = Wording {
                severity: wrong.severity,
                confidence: wrong.confidence,
                unit: "setting",
                cause: wrong.cause,
                fix: if wrong.about == "pools" {
                    wrong.fix.to_owned()
                } else {
                    format!(
                        "{} Updating the HTTP proxy configuration reimages the nodes of the Linux node pools.",
                        wrong.fix
                    )
                },
                commands: vec![
                    format!(
                        "az aks show {} --query httpProxyConfig -o json > proxy.json   # edit it, remove effectiveNoProxy",
                        aks_named(cluster)
                    ),
                    format!("az aks update {} --http-proxy-config proxy.json", aks_named(cluster)),
                ],
                verify: vec![format!("az aks show {} --query httpProxyConfig   # has the corrected values", aks_named(cluster))],
            };
            observed.finding(&DETECTOR, wrong.about, wrong.title, says)
        })
        .collect();
    findings.extend(not_passed(cluster, aks, proxy));
    for finding in &mut findings {
        finding.subjects.extend(aks_subject(cluster));
    }
    let authority = if proxy.has_authority { "with a trusted CA" } else { "without a trusted CA" };
    Outcome {
        ruled_out: findings.is_empty().then(|| {
            format!(
                "the HTTP proxy URLs are valid, {authority}, and noProxy covers what must bypass the proxy"
            )
        }),
        findings,
        ..Outcome::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_covers_itself_and_its_domain() {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        assert!(covers_name(&list(".svc,a.example"), "web.shop.svc"));
        assert!(covers_name(&list("svc"), "web.shop.svc"));
        assert!(covers_name(&list("prod.hcp.westeurope.azmk8s.io"), "prod.hcp.westeurope.azmk8s.io"));
        assert!(!covers_name(&list("vc,op.svc,"), "web.shop.svc"));
        assert!(covers_range(&list("10.0.0.0/8"), range("10.0.0.0/16").unwrap()));
        assert!(!covers_range(&list("10.0.0.0/24"), range("10.0.0.0/16").unwrap()));
        assert_eq!(host_of("http://ada:secret@proxy.example:3128/"), ("proxy.example:3128", true));
        assert_eq!(host_of("https://ada:S3cr3t#1/@proxy.example:3128/x"), ("proxy.example:3128", true));
    }
}
