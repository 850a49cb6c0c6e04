//! The service kubernetes, by which pods find the API server, leads nowhere.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::observed::{Observed, Wording, subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "api-server-endpoints-missing",
    chapter: Chapter::NodeAccess,
    title: "The service kubernetes has no endpoints",
    guide: &["4.1"],
    needs: &[common::API_ENDPOINTS],
    explains: &["pod-cannot-reach-api-server"],
    doc: Doc {
        meaning: "The API server itself keeps the endpoints of the service kubernetes in namespace default: its own addresses. Without them no pod finds the API server. The service is called kubernetes; older texts name kubernetes-internal, which does not exist on AKS, and that is no fault.",
        decision: "Confirmed when the bundle has the service default/kubernetes, lists endpoints of namespace default, and those of kubernetes are missing or without an address.",
        action: "On AKS let the cluster be reconciled; elsewhere look at the API server's own logs.",
        reference: "AKS: troubleshoot network problems. Kubernetes: the kubernetes service in the default namespace.",
    },
    detect,
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
                "default/kubernetes leads to {}; a service kubernetes-internal does not exist on AKS, and that is no fault",
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
        cause: "The service default/kubernetes has no endpoint with an address: pods that ask it for the API server are refused or wait in vain.".to_owned(),
        fix: "The API server writes these endpoints itself. On AKS let the cluster be reconciled, and open a ticket if that does not bring them back; elsewhere look why the API server does not write them.".to_owned(),
        commands: vec![
            "kubectl get endpointslices -n default -l kubernetes.io/service-name=kubernetes -o yaml".to_owned(),
            format!("az aks update {}", crate::detectors::observed::aks_named(cluster)),
        ],
        verify: vec!["kubectl get endpoints kubernetes -n default   # an address".to_owned()],
    };
    let finding = given
        .finding(
            &DETECTOR,
            "kubernetes",
            "The service default/kubernetes leads to no API server".to_owned(),
            says,
        )
        .map(|mut finding| {
            finding.subjects.push(subject("Service", &key));
            finding
        });
    finding.into_iter().collect::<Vec<_>>().into()
}
