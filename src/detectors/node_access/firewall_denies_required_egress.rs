//! The firewall denies outbound traffic that AKS requires.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::cluster::Cluster;
use crate::cluster::azure::required::{self, Requirement, fits};
use crate::cluster::azure::{at, range};
use crate::detectors::details::texts;
use crate::detectors::needs::FIREWALL;
use crate::detectors::observed::{Observed, Wording, aks_subject, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::facts::{FlowFilter, FlowKey, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "firewall-denies-required-egress",
    chapter: Chapter::NodeAccess,
    title: "Firewall denies AKS required outbound FQDNs or addresses",
    needs: &[FIREWALL],
    explains: &[
        "node-outbound-blocked",
        "node-cannot-reach-api-server",
        "pod-cannot-reach-api-server",
        "registry-unreachable",
        "node-provisioning-failed",
        "tunnel-down",
        "node-not-ready",
        "coredns-upstream-failing",
    ],
    doc: Doc {
        meaning: "Where egress goes through a firewall (outboundType userDefinedRouting), its rules must allow the outbound FQDNs and ports that AKS requires; they depend on the cloud, the region and the enabled features. A missing rule shows as a Deny record in the firewall log.",
        decision: "Each Deny record is compared with the required FQDNs and ports of the cluster's cloud and configuration, with the API server's addresses (TCP 443), and with the DNS servers of its virtual network (port 53). Denied requirements are confirmed, in one finding; other denials (application updates, telemetry, md-*.blob.storage.azure.net) are ignored, as are records of sources outside the cluster's networks where these are known. Firewall rules alone, without records, are possible when they name hosts and lack a required one.",
        action: "Add the missing rules; Azure Firewall has the FQDN tag AzureKubernetesService for them.",
        reference: "learn.microsoft.com: Outbound network and FQDN rules for AKS clusters; Use Azure Firewall to protect AKS clusters.",
    },
    detect: Evaluation::Rule(detect),
};

/// A requirement, or what stands for one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Missing {
    /// `mcr.microsoft.com`, `API server address 20.1.2.3`.
    target: String,
    port: u16,
    purpose: &'static str,
    vital: bool,
}

/// Networks of the cluster, when they are known: records of other sources are nobody's concern here.
pub(super) fn own_networks(cluster: &Cluster) -> Vec<IpNet> {
    let azure = &cluster.azure;
    let mut found: Vec<IpNet> = azure
        .subnets
        .iter()
        .filter(|subnet| subnet.of_nodes)
        .flat_map(|subnet| subnet.ranges.clone())
        .collect();
    if found.is_empty() {
        found = azure
            .networks
            .iter()
            .filter(|network| network.of_nodes)
            .flat_map(|network| network.ranges.clone())
            .collect();
    }
    let objects = &cluster.facts.objects;
    for (_, seen) in objects.nodes.iter() {
        found.extend(seen.object.status.addresses.iter().filter_map(|address| range(&address.address)));
        found.extend(range(&seen.object.spec.pod_cidr));
    }
    found
}

fn violated(cluster: &Cluster, list: &[Requirement], key: &FlowKey) -> Option<Missing> {
    // `host:443` in some records, `https://host/path` in others.
    let target = key.target.split("://").last().unwrap_or(&key.target);
    let target = target.split('/').next().unwrap_or(target);
    let (host, inline) =
        target.rsplit_once(':').map_or((target, None), |(host, port)| (host, port.parse::<u16>().ok()));
    let host = if inline.is_some() { host } else { target };
    let port = if key.port == 0 { inline.unwrap_or(0) } else { key.port };
    if let Some(found) = list.iter().find(|item| item.matches(host) && (port == item.port || port == 0)) {
        return Some(Missing {
            target: found.name.clone(),
            port: found.port,
            purpose: found.purpose,
            vital: required::vital(found),
        });
    }
    let ip: std::net::IpAddr = host.parse().ok()?;
    let udp = key.protocol.eq_ignore_ascii_case("udp");
    let custom =
        cluster.azure.networks.iter().flat_map(|network| &network.dns).any(|network| network == host);
    if port == 53 && custom {
        return Some(Missing {
            target: format!("DNS server {ip}"),
            port: 53,
            purpose: "DNS names resolve",
            vital: true,
        });
    }
    let api = cluster
        .services
        .all
        .get(&crate::facts::Key::new("default", "kubernetes"))
        .and_then(|state| state.published.as_ref());
    if port == 443 && !udp && api.is_some_and(|api| api.ready.contains(&ip)) {
        return Some(Missing {
            target: format!("API server address {ip}"),
            port: 443,
            purpose: "nodes and pods reach the API server",
            vital: true,
        });
    }
    None
}

fn detect(cluster: &Cluster) -> Outcome {
    let list = required::required(cluster.azure.cluster());
    let current = own_networks(cluster);
    let mut found: BTreeMap<Missing, DeniedFlows> = BTreeMap::new();
    for (key, tally) in cluster
        .facts
        .flows
        .map
        .iter()
        .filter(|(key, _)| !key.allowed && key.filter == FlowFilter::Firewall && &*key.protocol != "DNS")
    {
        let source = key.source.parse().ok();
        let ours = current.is_empty()
            || source.is_none_or(|ip: std::net::IpAddr| current.iter().any(|range| range.contains(&ip)));
        let Some(missing) = violated(cluster, &list, key).filter(|_| ours) else { continue };
        let DeniedFlows { observed, targets } = found.entry(missing).or_default();
        targets.insert(key.target.clone());
        observed.count += tally.sightings.count().0;
        observed.span = time::joined(observed.span, tally.span.resolve(cluster.anchor));
        observed.evidence.extend(tally.examples.as_slice().iter().take(2).cloned());
        observed.details.insert(key.rule.to_string());
        observed.hosts.insert(key.source.to_string());
    }
    let mut findings: Vec<Finding> = denied(cluster, found).into_iter().collect();
    if findings.is_empty() {
        findings.extend(left_out(cluster, &list));
    }
    findings.into()
}

/// Refused connections of one kind.
#[derive(Default)]
struct DeniedFlows {
    observed: Observed,
    /// As the records name them.
    targets: BTreeSet<Box<str>>,
}

impl DeniedFlows {
    /// Whether it is over: the records go on without, or all that was refused was let through later.
    fn is_over(&self, cluster: &Cluster) -> bool {
        let Some((_, last)) = self.observed.span else { return false };
        let flows = &cluster.facts.flows.map;
        let later = |target: &str| {
            flows.iter().any(|(key, tally)| {
                key.allowed
                    && *key.target == *target
                    && tally.span.resolve(cluster.anchor).is_some_and(|(_, end)| end > last)
            })
        };
        self.observed.is_over(cluster) || self.targets.iter().all(|target| later(target))
    }
}

fn denied(cluster: &Cluster, found: BTreeMap<Missing, DeniedFlows>) -> Option<Finding> {
    let vital = found.keys().any(|item| item.vital);
    let over = found.values().all(|item| item.is_over(cluster));
    let mut all = Observed::default();
    let mut rows: Vec<(u64, &Missing)> = Vec::new();
    for (missing, DeniedFlows { observed, .. }) in &found {
        all.count += observed.count;
        all.span = time::joined(all.span, observed.span);
        all.evidence.extend(observed.evidence.iter().take(2).cloned());
        all.details.extend(observed.details.iter().cloned());
        rows.push((observed.count, missing));
    }
    rows.sort_by_key(|(count, missing)| (std::cmp::Reverse(missing.vital), std::cmp::Reverse(*count)));
    let names: Vec<String> =
        rows.iter().map(|(_, missing)| format!("{} port {}", missing.target, missing.port)).collect();
    let observed: Vec<String> = rows
        .iter()
        .take(8)
        .map(|(count, missing)| {
            format!(
                "{} port {} ({count} denied; needed so that {})",
                missing.target, missing.port, missing.purpose
            )
        })
        .collect();
    let why: Vec<&str> = all.details.iter().map(String::as_str).filter(|rule| !rule.is_empty()).collect();
    let by = if why.is_empty() {
        String::new()
    } else {
        format!(" Firewall log: {}.", listed(why.into_iter(), 2))
    };
    let inspected = all.details.iter().any(|rule| rule.contains("SNI TLS extension"));
    let sni = if inspected {
        " 'SNI TLS extension was missing' means that the client sent no host name: an application rule (FQDN) cannot match it, a network rule (IP address) can."
    } else {
        ""
    };
    let says = Wording {
        severity: match (over, vital) {
            (true, _) => Severity::Low,
            (_, true) => Severity::Critical,
            _ => Severity::Medium,
        },
        confidence: if over { Confidence::Possible } else { Confidence::Confirmed },
        unit: "denied connection",
        cause: format!("The firewall denied outbound connections that AKS requires{}: {}.{by}{sni}", all.when(), observed.join("; ")),
        fix: "Add the missing rules. With Azure Firewall, the FQDN tag AzureKubernetesService covers the required FQDNs; with another appliance, add the denied ones. Connections to IP addresses (DNS servers, the API server for pods) need network rules. Allow ALPN, and exclude the API server from TLS inspection. The command adds an allow rule for the node subnet only.".to_owned(),
        commands: vec![
            "az network firewall application-rule create -g GROUP -f FIREWALL --collection-name aks --name aks-required --priority 100 --action Allow --source-addresses NODE_SUBNET --protocols http=80 https=443 --fqdn-tags AzureKubernetesService".to_owned(),
        ],
        verify: vec!["nc -vz -w 5 mcr.microsoft.com 443   # on a node: succeeded".to_owned()],
    };
    let text = listed(names.iter().map(String::as_str), 1);
    all.hosts.clear();
    let mut finding = all.finding(
        &DETECTOR,
        "denied",
        format!("Firewall {} AKS required egress: {text}", if over { "denied (ended)" } else { "denies" }),
        says,
    )?;
    finding.subjects.extend(aks_subject(cluster));
    finding.details.platform.denied = texts(names);
    Some(finding)
}

/// Rules that name hosts, and lack a required one: a risk, when egress goes through a firewall.
fn left_out(cluster: &Cluster, list: &[Requirement]) -> Option<Finding> {
    let aks =
        cluster.azure.cluster().filter(|aks| aks.outbound.eq_ignore_ascii_case("userDefinedRouting"))?;
    let firewalls: Vec<_> = cluster.azure.firewalls.iter().filter(|firewall| firewall.has_rules).collect();
    let first = firewalls.first()?;
    let allowed: Vec<&String> = firewalls.iter().flat_map(|firewall| &firewall.names).collect();
    let tagged = allowed.iter().any(|name| name.eq_ignore_ascii_case("AzureKubernetesService"));
    let covered = |item: &Requirement| {
        // A required pattern is covered by itself or by a wider one.
        let sample = item.name.replace('*', "x");
        allowed.iter().any(|name| fits(name, &sample) || **name == item.name || *name == "0.0.0.0/0")
    };
    let missing: Vec<&Requirement> = list
        .iter()
        .filter(|item| required::vital(item) && !covered(item) && !item.purpose.contains("packages"))
        .collect();
    if tagged || missing.is_empty() {
        return None;
    }
    let names: Vec<&str> = missing.iter().map(|item| item.name.as_str()).collect();
    let observed = Observed {
        count: missing.len() as u64,
        evidence: vec![at(
            first.place.as_ref()?,
            &format!("firewall {}", first.name),
            &format!("no rule for {}", listed(names.iter().copied(), 4)),
        )],
        ..Observed::default()
    };
    let says = Wording {
        severity: Severity::Medium,
        confidence: Confidence::Possible,
        unit: "missing rule",
        cause: format!(
            "{} has outboundType userDefinedRouting, and the rules of firewall {} in the bundle do not allow {}. No denied connection is in the bundle: other rules may allow them.",
            crate::detectors::observed::capitalised(&aks.label()),
            first.name,
            names.join(", ")
        ),
        fix: "Allow these FQDNs, or the FQDN tag AzureKubernetesService.".to_owned(),
        commands: vec![
            "az network firewall policy rule-collection-group list -g GROUP --policy-name POLICY -o json"
                .to_owned(),
        ],
        verify: vec!["nc -vz -w 5 mcr.microsoft.com 443   # on a node".to_owned()],
    };
    observed.finding(
        &DETECTOR,
        "rules",
        format!(
            "Firewall {} has no rule for AKS required FQDNs: {}",
            first.name,
            listed(names.into_iter(), 1)
        ),
        says,
    )
}
