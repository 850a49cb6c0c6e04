//! An `ExternalName` service that names a service of the cluster that does not exist.

use super::common::{self, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::Fault;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell,
};

pub(super) const DETECTOR: Detector = Detector {
    id: "service-external-name-nowhere",
    chapter: Chapter::Service,
    title: "ExternalName names a Service that does not exist (NXDOMAIN)",
    needs: &[SERVICES],
    explains: &[],
    doc: Doc {
        meaning: "A Service of type ExternalName is a DNS CNAME. This one names a Service of the cluster (….svc.cluster.local) whose namespace or Service does not exist, so the name does not resolve.",
        decision: "externalName ends in .svc.cluster.local or .svc, the bundle lists namespaces or Services, and the named one is not among them. Confirmed. Names outside the cluster are not judged.",
        action: "Correct externalName, or create the Service.",
        reference: "Kubernetes: Service, type ExternalName.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, _, fault| {
        let Fault::ExternalNameNowhere { name, missing } = fault else { return None };
        let evidence = vec![common::service_at(cluster, key, &format!("externalName: {name}"))?];
        let title = format!("Service {}: ExternalName {name}, {missing} does not exist", key.label());
        let mut finding = Finding::new(DETECTOR.id, &key.label(), title, evidence)?;
        finding.severity = Severity::Medium;
        finding.confidence = Confidence::Confirmed;
        finding.unit = "service";
        finding.subjects = vec![common::subject("Service", key)];
        finding.details.service.external_name = Some(name.clone());
        finding.details.service.missing = Some(missing.clone());
        finding.cause = format!("The service is a CNAME to {name}. The bundle's lists have no {missing}, so the name does not resolve (NXDOMAIN).");
        let service = name.split('.').next().unwrap_or_default();
        let alike: Vec<String> = cluster.facts.objects.services.iter().filter(|(other, _)| *other.name == *service && *other != key).map(|(other, _)| format!("{}.{}.svc.cluster.local", other.name, other.namespace)).collect();
        let text = match alike.first() {
            Some(other) => format!("A service of that name exists as {other}: set externalName to it if it is meant. Clients follow when their DNS cache expires."),
            None => "Correct externalName, or create the service that it names.".to_owned(),
        };
        let commands = alike.first().map(|other| format!("kubectl patch service {} -p {}", common::named(key), shell(&format!("{{\"spec\":{{\"externalName\":\"{other}\"}}}}"))));
        finding.fix = Fix { text, commands: commands.into_iter().collect(), manifests: Vec::new() };
        finding.verify = vec![format!("kubectl run probe --rm -i --restart=Never -n {} --image=mcr.microsoft.com/azure-cli -- getent hosts {}   # prints an IP", shell(&key.namespace), shell(&key.name))];
        Some(finding)
    })
    .into()
}
