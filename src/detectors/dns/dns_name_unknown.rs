//! A name does not exist where it is asked.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cluster::reachability::{What, Who};
use crate::detectors::needs::POD_LOGS;
use crate::detectors::observed::{Observed, Wording, listed, subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, shell};
use crate::facts::{Failure, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "dns-name-unknown",
    chapter: Chapter::Dns,
    title: "A name that a program asks for does not exist",
    guide: &["4.5", "3"],
    needs: &[POD_LOGS],
    explains: &["container-crash-loop", "service-pods-not-ready"],
    doc: Doc {
        meaning: "DNS answers, and says that there is no such name: a service is misspelt or in another namespace, a private endpoint's zone is not linked to the cluster's network, or the name is gone.",
        decision: "'No such host' in logs of pods, by name. Names of services of the cluster are compared with the services of the bundle: confirmed when there is no such service, or one of that name in another namespace. Names of privatelink zones: likely, since the zone's link is missing. Other names: possible. Expansions that the search list makes of a name (x.default.svc.cluster.local for an outside name) are harmless and left out.",
        action: "Correct the name, or link the zone.",
        reference: "Kubernetes: DNS for services and pods. AKS: private endpoints and private DNS zones.",
    },
    detect,
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
        for host in item.hosts.iter().filter(|host| !is_expansion(host)) {
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
    by_name
        .into_iter()
        .filter_map(|(name, observed)| finding(cluster, &services, &name, observed))
        .collect::<Vec<_>>()
        .into()
}

fn finding(
    cluster: &Cluster,
    services: &BTreeMap<&str, Vec<&str>>,
    name: &str,
    observed: Observed,
) -> Option<Finding> {
    let passed = cluster.is_over(observed.span);
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
                        "DNS said that {name} does not exist{}, and the bundle has that service: it was made later, or the name is of a pod that was not ready (headless services).",
                        observed.when()
                    ),
                    "Nothing to mend if it works by now.".to_owned(),
                    vec![format!("kubectl get service {} -n {}", shell(&service), shell(&namespace))],
                )
            } else {
                let elsewhere: Vec<&str> = services.get(service.as_str()).cloned().unwrap_or_default();
                let hint = if elsewhere.is_empty() {
                    String::new()
                } else {
                    format!(" There is a service {service} in namespace {}.", elsewhere.join(", "))
                };
                subjects.push(subject("Service", &Key::new(&*namespace, &*service)));
                let confidence = if known { Confidence::Confirmed } else { Confidence::Likely };
                (
                    Severity::Medium,
                    confidence,
                    format!(
                        "Programs ask for the service {service} in namespace {namespace}{}, and there is none.{hint}",
                        observed.when()
                    ),
                    "Correct the name in the program's configuration, or make the service.".to_owned(),
                    vec![format!("kubectl get services -A | grep -w {}", shell(&service))],
                )
            }
        }
        None if private => (
            Severity::High,
            Confidence::Likely,
            format!(
                "Programs ask for {name}{}, a name of a private endpoint, and it does not exist where they ask: its private DNS zone is not linked to the cluster's network, or the DNS servers of the network don't forward to 168.63.129.16.",
                observed.when()
            ),
            "Link the private zone to the cluster's network (or to that of its DNS servers).".to_owned(),
            vec![
                "az network private-dns link vnet create -g GROUP -z ZONE -n aks-link -v VNET_ID -e false"
                    .to_owned(),
            ],
        ),
        None => (
            Severity::Low,
            Confidence::Possible,
            format!(
                "Programs ask for {name}{}, and DNS says that there is no such name: it is misspelt or gone, or only other DNS servers know it.",
                observed.when()
            ),
            "Ask another DNS server for the name; correct it, or forward its zone in coredns-custom."
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
    let by = if who.is_empty() { String::new() } else { format!(", asked for by {who}") };
    let says = Wording {
        severity,
        confidence,
        unit: "failed look-up",
        cause,
        fix,
        commands,
        verify: vec![format!(
            "kubectl run dns --image=busybox -i --rm --restart=Never -- nslookup {}   # an address",
            shell(name)
        )],
    };
    let mut finding =
        observed.finding(&DETECTOR, name, format!("The name {name} does not exist{by}"), says)?;
    finding.subjects.extend(subjects);
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services_are_told_from_what_the_search_list_makes() {
        assert_eq!(of_service("cart.shop.svc.cluster.local"), Some(("cart".into(), "shop".into())));
        assert_eq!(of_service("www.example.com"), None);
        assert!(is_expansion("www.example.com.shop.svc.cluster.local"));
        assert!(!is_expansion("cart.shop.svc.cluster.local"));
    }
}
