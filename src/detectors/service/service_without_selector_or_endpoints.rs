//! A service without a selector and without an `EndpointSlice`.

use super::common::{self, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::Fault;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity, shell,
};

pub(super) const DETECTOR: Detector = Detector {
    id: "service-without-selector-or-endpoints",
    chapter: Chapter::Service,
    title: "Service without selector has no EndpointSlice",
    needs: &[SERVICES, ENDPOINTS],
    explains: &["connection-failing", "ingress-without-backend"],
    doc: Doc {
        meaning: "A Service without a selector gets no endpoints automatically: someone, or a controller, must create an EndpointSlice for it. Without one, connections to it fail.",
        decision: "The Service has no selector and is not ExternalName, the bundle has the endpoints of its namespace, and none for it. Confirmed. Services with manually created endpoints are healthy.",
        action: "Create the EndpointSlice, or give the Service a selector.",
        reference: "Kubernetes: Service, services without selectors.",
    },
    detect: Evaluation::Rule(detect),
};

const ENDPOINTS: Need = Need {
    what: "the endpoints of services",
    why: "those of a service without a selector cannot be inferred",
    command: "kubectl get endpoints,endpointslices -A -o json > endpoints.json",
    met: |cluster| cluster.facts.has_list("Endpoints") || cluster.facts.has_list("EndpointSlice"),
};

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, _, fault| {
        let Fault::NoSelectorNoEndpoints = fault else { return None };
        let evidence = vec![common::service_at(cluster, key, "no selector")?];
        let title = format!("Service {} has no endpoints: no selector and no EndpointSlice", key.label());
        let mut finding = Finding::new(DETECTOR.id, &key.label(), title, evidence)?;
        finding.severity = Severity::Medium;
        finding.confidence = Confidence::Confirmed;
        finding.unit = "service";
        finding.subjects = vec![common::subject("Service", key)];
        finding.cause = "Kubernetes creates no endpoints for a service without a selector; the bundle has the endpoints of this namespace, and none for this service.".to_owned();
        let seen = cluster.facts.objects.services.get(&key.namespace, &key.name)?;
        let port = seen.object.spec.ports.first();
        let (name, number) = port.map_or_else(|| (String::new(), 80), |port| (port.name.to_string(), port.port));
        let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let manifest = format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {}\n  namespace: {}\n  labels:\n    kubernetes.io/service-name: {}\naddressType: IPv4\nports:\n  - name: {}\n    port: {number}   # the port of the target\nendpoints:\n  - addresses: [\"ADDRESS\"]   # of the target\n",
            quoted(&format!("{}-1", key.name)), quoted(&key.namespace), quoted(&key.name), quoted(&name)
        );
        finding.fix = Fix {
            text: "If the target is outside the cluster, create an EndpointSlice with its address; if the targets are pods, give the service a selector.".to_owned(),
            commands: vec![format!("kubectl get pods -n {} --show-labels", shell(&key.namespace))],
            manifests: vec![manifest],
        };
        finding.verify = common::verify(key);
        Some(finding)
    })
    .into()
}
