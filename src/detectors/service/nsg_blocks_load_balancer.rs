//! The NSG of the nodes' subnet denies traffic to a load balancer.

use super::common::{self, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::azure::{Far, Filtered, at, is_private};
use crate::detectors::needs::SECURITY_GROUPS;
use crate::detectors::observed::{self, Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::facts::{Failure, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "nsg-blocks-load-balancer",
    chapter: Chapter::Service,
    title: "NSG denies load balancer traffic",
    needs: &[SECURITY_GROUPS, SERVICES],
    explains: &[],
    doc: Doc {
        meaning: "For a Service of type LoadBalancer, AKS opens the port in the NSG that it manages in the node resource group. A custom NSG on the nodes' subnet is not changed by AKS: without an allow rule there, connections from the Internet time out, while those from within the virtual network work.",
        decision: "The rules of NSGs on the nodes' subnet are evaluated for the Service's public IP and ports, with the Internet as source. Reported when none allows it. Confirmed when a connection to that IP timed out in the bundle; otherwise likely. Services with loadBalancerSourceRanges and internal load balancers are not judged.",
        action: "Allow the port in the subnet's NSG.",
        reference: "AKS: A custom network security group blocks traffic. Azure Load Balancer and NSG: Filter network traffic.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let groups: Vec<_> = cluster.azure.groups.iter().filter(|group| group.of_subnet).collect();
    let mut findings = Vec::new();
    for (key, seen) in cluster.facts.objects.services.iter() {
        let spec = &seen.object.spec;
        let address = seen
            .object
            .status
            .load_balancer
            .ingress
            .iter()
            .find_map(|item| item.ip.parse::<std::net::IpAddr>().ok());
        let Some(ip) = address.filter(|ip| {
            &*spec.r#type == "LoadBalancer" && !is_private(*ip) && spec.load_balancer_source_ranges.is_empty()
        }) else {
            continue;
        };
        for group in &groups {
            let protocol = |name: &str| if name.eq_ignore_ascii_case("udp") { "udp" } else { "tcp" };
            let blocked = spec
                .ports
                .iter()
                .filter_map(|port| Some((u16::try_from(port.port).ok()?, protocol(&port.protocol))));
            let blocked: Vec<(u16, &str, Option<String>)> = blocked
                .filter_map(|(port, protocol)| match group.filter(true, Far::Internet, protocol, port) {
                    Filtered::Denied(rule) => Some((port, protocol, Some(rule.name.clone()))),
                    Filtered::DeniedByDefault => Some((port, protocol, None)),
                    _ => None,
                })
                .collect();
            if let (Some((port, protocol, rule)), Some(place)) = (blocked.first(), &group.place) {
                let why = match rule {
                    Some(rule) => format!("its rule {rule} denies it"),
                    None => "no rule allows it".to_owned(),
                };
                let evidence = at(
                    place,
                    &format!("NSG {}", group.name),
                    &format!("{protocol} {port} from the Internet: {why}"),
                );
                findings.extend(finding(cluster, key, ip, *port, protocol, &group.name, &why, evidence));
            }
        }
    }
    findings.into()
}

#[allow(clippy::too_many_arguments)]
fn finding(
    cluster: &Cluster,
    key: &Key,
    ip: std::net::IpAddr,
    port: u16,
    protocol: &str,
    group: &str,
    why: &str,
    evidence: crate::evidence::Evidence,
) -> Option<Finding> {
    let host = ip.to_string();
    let failing = observed::attempts(cluster, |attempt| {
        (attempt.failure == Failure::Timeout && attempt.hosts.contains(&host)).then_some(())
    })
    .remove(&());
    let confirmed = failing.is_some();
    let mut observed = failing.unwrap_or_else(|| Observed { count: 1, ..Observed::default() });
    observed.show_first(
        [Some(evidence), common::service_at(cluster, key, &format!("load balancer {ip}"))]
            .into_iter()
            .flatten(),
    );
    let failures =
        if confirmed { format!(" Connections to it timed out{}.", observed.when()) } else { String::new() };
    let says = Wording {
        severity: Severity::High,
        confidence: if confirmed { Confidence::Confirmed } else { Confidence::Likely },
        unit: if confirmed { "failed attempt" } else { "service" },
        cause: format!("Traffic from the Internet to {} ({ip} port {port}) is filtered by NSG {group} on the nodes' subnet, and {why}. AKS manages only the NSG in the node resource group, not this one.{failures}", key.label()),
        fix: "Allow the port in the subnet's NSG, at a free priority below the denying rule. The command opens the port to the Internet; use the clients' ranges as source to open less.".to_owned(),
        commands: vec![format!("az network nsg rule create -g RESOURCE_GROUP --nsg-name {} -n allow-{port} --priority 200 --direction Inbound --access Allow --protocol {} --source-address-prefixes Internet --destination-address-prefixes {ip} --destination-port-ranges {port}", crate::detectors::shell(group), if protocol == "udp" { "Udp" } else { "Tcp" })],
        verify: vec![format!("curl -v --connect-timeout 5 http://{ip}:{port}/   # from a client: connects")],
    };
    let mut finding = observed.finding(
        &DETECTOR,
        &key.label(),
        format!("NSG {group} denies load balancer traffic to service {} ({ip} port {port})", key.label()),
        says,
    )?;
    finding.subjects.push(common::subject("Service", key));
    Some(finding)
}
