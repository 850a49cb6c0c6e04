//! Azure's load balancer probes a path that the backend does not answer with 200, and takes all nodes out.

use super::common::{self, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::azure::{BalancerProbe, at};
use crate::detectors::observed::{self, Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Need, Outcome, Severity};
use crate::facts::{AzureKind, Failure, Form, Key, Seen, Service, ServicePort};

pub(super) const DETECTOR: Detector = Detector {
    id: "load-balancer-probe-path",
    chapter: Chapter::Service,
    title: "Load balancer health probe asks for a path that answers no 200",
    needs: &[SERVICES, BALANCER],
    explains: &["connection-failing", "client-connection-cut"],
    doc: Doc {
        meaning: "A port of a Service with `appProtocol: http` or `https` gets an HTTP health probe on path `/` from Azure's cloud provider (since Kubernetes 1.24). Anything but status 200 counts as down: ingress-nginx answers `/` of an unknown host with 404, so the load balancer takes every node out, and connections from outside time out, while all pods are Ready.",
        decision: "The probe of the load balancer is HTTP or HTTPS on a path and node port of the Service, or the Service has appProtocol http and no annotation for the path of the probe; and connections to its external address time out. Likely for ingress-nginx, possible for other backends; without a time-out possible and low.",
        action: "Set annotation service.beta.kubernetes.io/azure-load-balancer-health-probe-request-path to a path that answers 200 (/healthz for ingress-nginx).",
        reference: "learn.microsoft.com: Use a public Standard Load Balancer in AKS (customizations by annotations). github.com/Azure/AKS issue 3210. cloud-provider-azure: Custom load balancer health probe.",
    },
    detect: Evaluation::Rule(detect),
};

const BALANCER: Need = Need {
    what: "the load balancer in the node resource group",
    why: "its probes tell protocol, port and path",
    command: "az network lb list -g NODE_RESOURCE_GROUP -o json > load-balancers.json",
    met: |cluster| cluster.facts.azure.of(AzureKind::LoadBalancer).next().is_some(),
};

/// Annotation that sets the path, of the Service or of a port (`port_80_health-probe_request-path`).
const PATH: [&str; 2] = ["azure-load-balancer-health-probe-request-path", "health-probe_request-path"];

fn detect(cluster: &Cluster) -> Outcome {
    let services = cluster.facts.objects.services.iter();
    services
        .filter(|(_, seen)| &*seen.object.spec.r#type == "LoadBalancer")
        .filter_map(|(key, seen)| finding(cluster, key, seen))
        .collect()
}

/// Whether HTTP is spoken on a port, so that the cloud provider probes with it.
fn of_http(port: &ServicePort) -> bool {
    port.app_protocol.eq_ignore_ascii_case("http") || port.app_protocol.eq_ignore_ascii_case("https")
}

fn finding(cluster: &Cluster, key: &Key, seen: &Seen<Service>) -> Option<Finding> {
    let service = &seen.object;
    let ports = &service.spec.ports;
    let annotated = PATH.iter().find_map(|end| service.metadata.annotations.ending(end));
    let probe: Option<&BalancerProbe> = cluster.azure.probes.iter().find(|probe| {
        let http =
            probe.protocol.eq_ignore_ascii_case("http") || probe.protocol.eq_ignore_ascii_case("https");
        http && ports.iter().any(|port| port.node_port == probe.port && probe.port > 0)
    });
    let on_azure = !cluster.azure.clusters.is_empty() || !cluster.azure.probes.is_empty();
    let by_default = on_azure
        && cluster.azure.probes.is_empty()
        && seen.form != Form::Table
        && annotated.is_none()
        && ports.iter().any(of_http);
    let path = match probe {
        Some(probe) => probe.path.as_str(),
        None if by_default => "/",
        None => return None,
    };
    if path != "/" {
        return None;
    }
    let named = [("app.kubernetes.io/name", "ingress-nginx"), ("app", "ingress-nginx")];
    let of_nginx = named.iter().any(|(label, value)| {
        [&service.spec.selector, &service.metadata.labels]
            .iter()
            .any(|all| all.get(label).is_some_and(|is| **is == **value))
    });
    let ip = service
        .status
        .load_balancer
        .ingress
        .iter()
        .map(|item| item.ip.to_string())
        .find(|ip| !ip.is_empty())?;
    let failing = observed::attempts(cluster, |attempt| {
        (attempt.failure == Failure::Timeout && attempt.hosts.contains(&ip) && !attempt.ended).then_some(())
    })
    .remove(&());
    let fails = failing.is_some();
    let mut observed = failing.unwrap_or_else(|| Observed { count: 1, ..Observed::default() });
    let of_probe = probe.and_then(|probe| {
        let words = format!("{} {}, port {}", probe.protocol, probe.path, probe.port);
        Some(at(
            probe.place.as_ref()?,
            &format!("load balancer {}, probe {}", probe.balancer, probe.name),
            &words,
        ))
    });
    let words = if ports.iter().any(of_http) {
        "appProtocol http, no annotation for the path of the probe"
    } else {
        "LoadBalancer"
    };
    observed.show_first([of_probe, common::service_at(cluster, key, words)].into_iter().flatten());
    let (severity, confidence) = match (fails, of_nginx) {
        (true, true) => (Severity::High, Confidence::Likely),
        (true, false) => (Severity::Medium, Confidence::Possible),
        (false, true) => (Severity::Low, Confidence::Possible),
        (false, false) => return None,
    };
    let answer = if of_nginx {
        "ingress-nginx answers that with 404 unless an Ingress without a host serves it"
    } else {
        "what the application answers there is not known from the bundle"
    };
    let failures =
        if fails { format!(" Connections to {ip} time out{}.", observed.when()) } else { String::new() };
    let says = Wording {
        severity,
        confidence,
        unit: if fails { "failed attempt" } else { "service" },
        cause: format!("The load balancer's health probe sends GET {path} to the node port of {}, and any status but 200 counts as down; {answer}. With all nodes down the load balancer drops the packets.{failures}", key.label()),
        fix: "Set the probe to a path that answers 200 (ingress-nginx: /healthz); the cloud provider changes the load balancer within a minute. In a Helm release set the annotation in controller.service.annotations, or the next upgrade removes it.".to_owned(),
        commands: vec![format!(
            "kubectl annotate service {} service.beta.kubernetes.io/azure-load-balancer-health-probe-request-path=/healthz",
            common::named(key)
        )],
        verify: vec![format!("curl -sv --connect-timeout 5 http://{ip}/   # from outside: connects")],
    };
    let title = format!(
        "Load balancer probe of {} asks for \"{path}\"{}",
        key.label(),
        if of_nginx { ", ingress-nginx answers 404" } else { "" }
    );
    let mut finding = observed.finding(&DETECTOR, &key.label(), title, says)?;
    finding.subjects.push(common::subject("Service", key));
    Some(finding)
}
