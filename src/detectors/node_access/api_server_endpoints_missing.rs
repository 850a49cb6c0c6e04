//! Service default/kubernetes, by which pods find the API server, has no endpoints.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::observed::{Observed, Wording, subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "api-server-endpoints-missing",
    chapter: Chapter::NodeAccess,
    title: "Service default/kubernetes has no endpoints",
    needs: &[common::API_ENDPOINTS],
    explains: &["pod-cannot-reach-api-server"],
    doc: Doc {
        meaning: "The API server itself writes the endpoints of Service default/kubernetes: its own addresses. Without them no pod reaches the API server through KUBERNETES_SERVICE_HOST or kubernetes.default.svc. A Service kubernetes-internal does not exist on AKS; that is normal.",
        decision: "Confirmed when the bundle has Service default/kubernetes and lists endpoints of namespace default, and those of kubernetes are missing or have no address.",
        action: "On AKS reconcile the cluster (az aks update without options); elsewhere read the API server's log.",
        reference: "kubernetes.io: Accessing the API from a Pod. learn.microsoft.com: Troubleshoot network problems in AKS clusters.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let key = Key::new("default", "kubernetes");
    let Some(service) = cluster
        .facts
        .objects
        .services
        .get("default", "kubernetes")
        .filter(|_| common::endpoints_known(cluster))
    else {
        return Outcome::default();
    };
    let published = cluster.services.all.get(&key).and_then(|state| state.published.as_ref());
    if published.is_some_and(|published| !published.ready.is_empty() || !published.complete) {
        let addresses: Vec<String> =
            published.into_iter().flat_map(|item| &item.ready).map(ToString::to_string).collect();
        return Outcome {
            ruled_out: Some(format!(
                "default/kubernetes has the endpoint {}; a Service kubernetes-internal does not exist on AKS, and that is normal",
                addresses.join(", ")
            )),
            ..Outcome::default()
        };
    }
    let given = Observed { count: 1, evidence: service.evidence("Service", &key), ..Observed::default() };
    let says = Wording {
        severity: Severity::Critical,
        confidence: Confidence::Confirmed,
        unit: "service",
        cause: "Service default/kubernetes has no endpoint with an address: connections of pods to the API server through this Service are refused or time out.".to_owned(),
        fix: "The API server writes these endpoints itself; do not create them by hand. On AKS, reconcile the cluster (`az aks update` without options repeats its last settings), and open a support request if they do not come back. Elsewhere, the log of the API server says why it does not write them.".to_owned(),
        commands: vec![
            "kubectl get endpointslices -n default -l kubernetes.io/service-name=kubernetes -o yaml".to_owned(),
        ]
        .into_iter()
        .chain((cluster.is_aks() || cluster.facts.objects.nodes.is_empty()).then(|| {
            format!("az aks update {}   # AKS: asks first, reconciles the cluster", crate::detectors::observed::aks_named(cluster))
        }))
        .collect(),
        verify: vec!["kubectl get endpointslices -n default -l kubernetes.io/service-name=kubernetes   # ENDPOINTS has an address".to_owned()],
    };
    let finding = given
        .finding(
            &DETECTOR,
            "kubernetes",
            "Service default/kubernetes has no endpoints: pods cannot reach the API server".to_owned(),
            says,
        )
        .map(|mut finding| {
            finding.subjects.push(subject("Service", &key));
            finding
        });
    finding.into_iter().collect()
}
