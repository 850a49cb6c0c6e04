//! NXDOMAIN: the DNS server that was asked has no such name.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cluster::reachability::{What, Who};
use crate::detectors::needs::POD_LOGS;
use crate::detectors::observed::{Observed, Wording, listed, subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::facts::{Failure, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "dns-name-unknown",
    chapter: Chapter::Dns,
    title: "NXDOMAIN: a name does not exist",
    needs: &[POD_LOGS],
    explains: &["container-crash-loop", "service-pods-not-ready"],
    doc: Doc {
        meaning: "DNS answered NXDOMAIN ('no such host', 'Name or service not known', 'getaddrinfo ENOTFOUND'): there is no such name on the server that was asked. Usual reasons: a Service name that is misspelt or in another namespace; a privatelink name whose private DNS zone has no virtual network link; a name that only a custom DNS server knows.",
        decision: "NXDOMAIN answers in logs of pods, by name. Names under svc.cluster.local are compared with the Services of the bundle: confirmed when the bundle lists Services and has no such one, likely without that list. Names in privatelink zones: likely. Other names: possible. Names that the search list makes of an external name (www.example.com.shop.svc.cluster.local, ndots:5) are normal and do not count.",
        action: "Correct the name, create the Service, link the private DNS zone, or forward the zone in coredns-custom.",
        reference: "kubernetes.io: DNS for Services and Pods. learn.microsoft.com: Azure Private Endpoint private DNS zone values; Troubleshoot DNS resolution failures in AKS.",
    },
    detect: Evaluation::Rule(detect),
};

/// `name.namespace` of a name of the cluster's own zone; `None` for other names.
fn of_service(host: &str) -> Option<(String, String)> {
    let host = host.trim_end_matches('.');
    let rest = host.strip_suffix(".svc.cluster.local").or_else(|| host.strip_suffix(".svc"))?;
    let (name, namespace) = rest.rsplit_once('.')?;
    Some((name.rsplit('.').next().unwrap_or(name).to_owned(), namespace.to_owned()))
}

/// A name of outside with the cluster's own zone after it: what `ndots:5` makes of every name.
fn is_expansion(host: &str) -> bool {
    // A name of the cluster's zone with a search domain behind it.
    if host.trim_end_matches('.').rsplit_once(".cluster.local.").is_some() {
        return true;
    }
    of_service(host).is_some_and(|_| {
        let inner = host.split(".svc").next().unwrap_or_default();
        inner.matches('.').count() > 1
    })
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut by_name: BTreeMap<String, Observed> = BTreeMap::new();
    for item in &cluster.unreached {
        let pod = matches!(item.who, Who::Pod(_) | Who::Unknown);
        if !pod || item.failure != Failure::NameUnknown || item.what != What::Name {
            continue;
        }
        // `nslookup` tries the domains of the search list until one answers.
        let answered = |host: &str| {
            cluster.facts.nodes.answers.iter().any(|(_, answer)| {
                let name = answer.name.trim_end_matches('.');
                host.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
            })
        };
        for host in item.hosts.iter().filter(|host| !is_expansion(host) && !answered(host)) {
            let observed = by_name.entry(host.trim_end_matches('.').to_owned()).or_default();
            observed.add_attempt(item);
            // An attempt may be of several names: only the lines that hold this one are its evidence.
            observed.evidence.retain(|evidence| evidence.excerpt.contains(host.as_str()));
            observed.hosts = [host.clone()].into();
        }
    }
    let mut services: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, _) in cluster.facts.objects.services.iter() {
        services.entry(&key.name).or_default().push(&key.namespace);
    }
    by_name.into_iter().filter_map(|(name, observed)| finding(cluster, &services, &name, observed)).collect()
}

fn finding(
    cluster: &Cluster,
    services: &BTreeMap<&str, Vec<&str>>,
    name: &str,
    observed: Observed,
) -> Option<Finding> {
    let passed = observed.is_over(cluster);
    let objects = &cluster.facts.objects;
    let mut subjects = Vec::new();
    let private = name.contains(".privatelink.") || name.starts_with("privatelink.");
    let (severity, confidence, cause, fix, commands) = match of_service(name) {
        Some((service, namespace)) => {
            let known = cluster.facts.has_list("Service") && !objects.services.is_empty();
            if objects.services.get(&namespace, &service).is_some() {
                (
                    Severity::Low,
                    Confidence::Possible,
                    format!(
                        "DNS answered NXDOMAIN for {name}{}, and the bundle has that Service: it may be newer than the queries, or headless with no ready pod at that time.",
                        observed.when()
                    ),
                    "No action needed if the name resolves now.".to_owned(),
                    vec![format!("kubectl get service {} -n {}", shell(&service), shell(&namespace))],
                )
            } else {
                let elsewhere: Vec<&str> = services.get(service.as_str()).cloned().unwrap_or_default();
                let hint = if elsewhere.is_empty() {
                    String::new()
                } else {
                    format!(" Service {service} exists in namespace {}.", listed(elsewhere.iter().copied(), 3))
                };
                subjects.push(subject("Service", &Key::new(&*namespace, &*service)));
                let (confidence, list) = if known {
                    (Confidence::Confirmed, "the bundle has no such Service")
                } else {
                    (Confidence::Likely, "the bundle has no list of Services to compare with")
                };
                (
                    Severity::Medium,
                    confidence,
                    format!(
                        "DNS answered NXDOMAIN for Service {service} in namespace {namespace}{}; {list}.{hint}",
                        observed.when()
                    ),
                    "Correct the Service name or namespace in the application's configuration, or create the Service.".to_owned(),
                    vec![format!("kubectl get services -A | grep -w {}", shell(&service))],
                )
            }
        }
        None if private => (
            Severity::High,
            Confidence::Likely,
            format!(
                "DNS answered NXDOMAIN for the private endpoint name {name}{}. Usual reasons: its private DNS zone has no virtual network link to the cluster's VNet, or no record for it, or a custom DNS server does not forward the zone to 168.63.129.16.",
                observed.when()
            ),
            "Check the record and the virtual network links of the private DNS zone. If the link is missing, link the zone to the cluster's VNet (with custom DNS: to the VNet of the DNS servers, and forward the zone to 168.63.129.16). The link makes every name of that zone in the VNet resolve privately.".to_owned(),
            vec![
                "az network private-dns link vnet list -g GROUP -z ZONE -o table".to_owned(),
                "az network private-dns link vnet create -g GROUP -z ZONE -n aks-link -v VNET_ID -e false"
                    .to_owned(),
            ],
        ),
        None => (
            Severity::Low,
            Confidence::Possible,
            format!(
                "DNS answered NXDOMAIN for {name}{}: it is misspelled, was deleted, or is known to other DNS servers only.",
                observed.when()
            ),
            "Query another DNS server for the name. Then correct the name, or forward its zone in ConfigMap coredns-custom."
                .to_owned(),
            vec![format!(
                "kubectl run dns --image=busybox -i --rm --restart=Never -- nslookup {}",
                shell(name)
            )],
        ),
    };
    let (severity, confidence) =
        if passed { (Severity::Low, Confidence::Possible) } else { (severity, confidence) };
    let pods: Vec<String> = observed.pods.iter().map(Key::label).collect();
    let who = listed(pods.iter().map(String::as_str), 2);
    let by = if who.is_empty() { String::new() } else { format!(" Queried by: {who}.") };
    let says = Wording {
        severity,
        confidence,
        unit: "failed DNS query",
        cause: cause + &by,
        fix,
        commands,
        verify: vec![format!(
            "kubectl run dns --image=busybox -i --rm --restart=Never -- nslookup {}   # an address",
            shell(name)
        )],
    };
    let mut finding = observed.finding(&DETECTOR, name, format!("NXDOMAIN: {name} does not exist"), says)?;
    finding.subjects.extend(subjects);
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services_differ_from_what_the_search_list_makes() {
        assert_eq!(of_service("cart.shop.svc.cluster.local"), Some(("cart".into(), "shop".into())));
        assert_eq!(of_service("www.example.com"), None);
        assert!(is_expansion("www.example.com.shop.svc.cluster.local"));
        assert!(!is_expansion("cart.shop.svc.cluster.local"));
    }
}
