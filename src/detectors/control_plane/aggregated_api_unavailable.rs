//! An aggregated API does not answer: KEDA's external metrics, custom metrics, any other but that of metrics-server.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::observed::{self, Observed, Wording, subject};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Need, Outcome, Severity, shell,
};
use crate::facts::{Key, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "aggregated-api-unavailable",
    chapter: Chapter::ControlPlane,
    title: "Aggregated API unavailable (APIService Available=False)",
    needs: &[API_SERVICES],
    explains: &[],
    doc: Doc {
        meaning: "An APIService hands a part of the API over to a service in the cluster: custom.metrics.k8s.io, external.metrics.k8s.io (KEDA), and others. While that service does not answer the API server, requests for its kinds fail, kubectl's discovery prints errors, and namespaces that are deleted stay Terminating.",
        decision: "The APIService has condition Available=False: confirmed. Without that object, the errors of discovery (FailedDiscoveryCheck, 'the server is currently unable to handle the request') that name the API: likely; low when they ended long before the log does. metrics.k8s.io is a cause of its own (metrics-api-unavailable).",
        action: "Make the service that the APIService names answer: its pods, its endpoints, and what lies between the API server and them.",
        reference: "kubernetes.io: Kubernetes API aggregation layer; Set up an extension API server.",
    },
    detect: Evaluation::Rule(detect),
};

const API_SERVICES: Need = Need {
    what: "the APIServices",
    why: "they show which aggregated APIs are available",
    command: "kubectl get apiservices -o json > apiservices.json",
    met: |cluster| !cluster.facts.objects.api_services.is_empty(),
};

fn is_of_metrics_server(name: &str) -> bool {
    name.ends_with(".metrics.k8s.io") && !name.contains("custom.") && !name.contains("external.")
}

fn detect(cluster: &Cluster) -> Outcome {
    // `external.metrics.k8s.io/v1beta1` is APIService `v1beta1.external.metrics.k8s.io`.
    let mut reported: BTreeMap<String, Observed> = observed::signals(cluster, |key| {
        let name = key
            .detail
            .split_once('/')
            .map_or_else(|| key.detail.to_string(), |(group, version)| format!("{version}.{group}"));
        (key.signal == Signal::AggregatedApiFailed).then_some(name)
    });
    let mut findings = Vec::new();
    for (key, seen) in cluster.facts.objects.api_services.iter() {
        let errors = reported.remove(&*key.name);
        let available =
            seen.object.status.conditions.iter().find(|condition| &*condition.r#type == "Available");
        let Some(available) = available.filter(|item| &*item.status == "False") else { continue };
        if is_of_metrics_server(&key.name) {
            continue;
        }
        let mut observed = errors.unwrap_or_default();
        observed.show_first(seen.evidence("APIService", key).into_iter().take(1));
        let why = if available.message.is_empty() {
            available.reason.to_string()
        } else {
            format!("{}: {}", available.reason, available.message)
        };
        let service =
            seen.object.spec.service.as_ref().map(|service| Key::new(&*service.namespace, &*service.name));
        findings.extend(finding(&key.name, &why, service, observed, Some(Confidence::Confirmed)));
    }
    for (name, observed) in reported {
        let sure = (!observed.is_over(cluster)).then_some(Confidence::Likely);
        findings.extend(finding(
            &name,
            "the server is currently unable to handle the request",
            None,
            observed,
            sure,
        ));
    }
    findings.into()
}

/// `sure` is not given when it has ended.
fn finding(
    name: &str,
    why: &str,
    service: Option<Key>,
    observed: Observed,
    sure: Option<Confidence>,
) -> Option<Finding> {
    let behind =
        service.as_ref().map_or_else(String::new, |service| format!(", service {}", service.label()));
    let over = if sure.is_none() { ", ended" } else { "" };
    let says = Wording {
        severity: if sure.is_some() { Severity::Medium } else { Severity::Low },
        confidence: sure.unwrap_or(Confidence::Possible),
        unit: "sign",
        cause: format!("APIService {name}{behind} is not available: {why}. Requests for its kinds fail, and so does kubectl's discovery of them."),
        fix: "Look at the pods and endpoints of the service that the APIService names, and at network policies between the API server (on AKS: the konnectivity-agent pods) and them. If what served this API was removed from the cluster, its APIService is left over and can be removed too.".to_owned(),
        commands: vec![
            format!("kubectl describe apiservice {}", shell(name)),
            service.as_ref().map_or_else(
                || "kubectl get svc,endpoints,pods -n NAMESPACE".to_owned(),
                |service| format!("kubectl get svc,endpoints,pods -n {}", shell(&service.namespace)),
            ),
        ],
        verify: vec![format!("kubectl get apiservice {}   # AVAILABLE True", shell(name))],
    };
    let mut finding =
        observed.finding(&DETECTOR, name, format!("APIService {name} unavailable{over}: {why}"), says)?;
    finding.count = finding.count.max(1);
    finding.subjects.extend(service.iter().map(|service| subject("Service", service)));
    Some(finding)
}
