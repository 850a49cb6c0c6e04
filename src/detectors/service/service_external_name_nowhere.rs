//! An `ExternalName` service that leads to something of the cluster that is not there.

use super::common::{self, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::Fault;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity, shell};

pub(super) const DETECTOR: Detector = Detector {
    id: "service-external-name-nowhere",
    chapter: Chapter::Service,
    title: "An ExternalName service names something that does not exist in the cluster",
    guide: &["3.1"],
    needs: &[SERVICES],
    explains: &[],
    doc: Doc {
        meaning: "A service of type ExternalName is an alias in DNS. This one names a service of the cluster (….svc.cluster.local) whose namespace or service does not exist, so the name does not resolve.",
        decision: "The name ends in .svc.cluster.local or .svc, the bundle lists namespaces or services, and the one that is named is not among them. Names outside the cluster can't be judged offline, and are not told.",
        action: "Correct the name, or create what it names.",
        reference: "Kubernetes: services, ExternalName.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, _, fault| {
        let Fault::ExternalNameNowhere { name, missing } = fault else { return None };
        let evidence = vec![common::service_at(cluster, key, &format!("externalName: {name}"))?];
        let title = format!("Service {} is an alias of {name}, and {missing} does not exist", key.label());
        let mut finding = Finding::new(DETECTOR.id, &key.label(), title, evidence)?;
        finding.severity = Severity::Medium;
        finding.confidence = Confidence::Confirmed;
        finding.unit = "service";
        finding.subjects = vec![common::subject("Service", key)];
        finding.detail("external_name", name);
        finding.detail("missing", missing);
        finding.cause = format!("The alias leads to {name}; the bundle's lists have no {missing}, so the name does not resolve.");
        let service = name.split('.').next().unwrap_or_default();
        let alike: Vec<String> = cluster.facts.objects.services.iter().filter(|(other, _)| *other.name == *service && *other != key).map(|(other, _)| format!("{}.{}.svc.cluster.local", other.name, other.namespace)).collect();
        let text = match alike.first() {
            Some(other) => format!("A service of that name exists as {other}: point the alias there if it is meant."),
            None => "Correct the name, or create what it names.".to_owned(),
        };
        let commands = alike.first().map(|other| format!("kubectl patch service {} -p {}", common::named(key), shell(&format!("{{\"spec\":{{\"externalName\":\"{other}\"}}}}"))));
        finding.fix = Fix { text, commands: commands.into_iter().collect(), manifests: Vec::new() };
        finding.verify = vec![format!("kubectl run probe --rm -i --restart=Never -n {} --image=mcr.microsoft.com/azure-cli -- getent hosts {}", shell(&key.namespace), shell(&key.name))];
        Some(finding)
    })
    .into()
}
