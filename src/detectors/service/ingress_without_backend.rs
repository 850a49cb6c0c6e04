//! An ingress leads to a service that is not there, or that leads to no pod.

use std::collections::{BTreeMap, BTreeSet};

use super::common::{self, SERVICES};
use crate::cluster::Cluster;
use crate::detectors::observed::{Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Need, Outcome, Severity, shell};
use crate::facts::{Ingress, IngressBackend, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "ingress-without-backend",
    chapter: Chapter::Service,
    title: "An ingress leads to no pod (502, 503)",
    guide: &["3"],
    needs: &[INGRESSES, SERVICES],
    explains: &[],
    doc: Doc {
        meaning: "An ingress hands requests to services by host and path. Where the service does not exist, or has no ready pod, the ingress controller answers 502 or 503: mostly a symptom of what is wrong with the service.",
        decision: "Each backend of an ingress is looked for among the services of its namespace, and followed to its pods. Confirmed when the service's endpoints in the bundle are empty, or the bundle lists services of that namespace and it is not among them; likely when the endpoints are inferred.",
        action: "See what is wrong with the service; correct the name in the ingress.",
        reference: "Kubernetes: ingress. AKS: troubleshoot connection issues to an app that's hosted in an AKS cluster.",
    },
    detect,
};

const INGRESSES: Need = Need {
    what: "the ingresses",
    why: "they lead requests from outside to services",
    command: "kubectl get ingresses -A -o json > ingresses.json",
    met: |cluster| cluster.facts.has_list("Ingress") || !cluster.facts.objects.ingresses.is_empty(),
};

/// The services that an ingress leads to.
fn backends(ingress: &Ingress) -> BTreeSet<String> {
    let name = |backend: &IngressBackend| -> Option<String> {
        let name = backend.service.as_ref().map_or(&*backend.service_name, |service| &*service.name);
        (!name.is_empty()).then(|| name.to_owned())
    };
    let rules = ingress.spec.rules.iter().filter_map(|rule| rule.http.as_ref()).flat_map(|http| &http.paths);
    rules
        .filter_map(|path| name(&path.backend))
        .chain(ingress.spec.default_backend.as_ref().and_then(name))
        .collect()
}

fn detect(cluster: &Cluster) -> Outcome {
    let objects = &cluster.facts.objects;
    let known: BTreeSet<&str> = objects.services.iter().map(|(key, _)| &*key.namespace).collect();
    let mut broken: BTreeMap<Key, (Vec<Key>, bool, bool)> = BTreeMap::new();
    for (key, seen) in objects.ingresses.iter() {
        for name in backends(&seen.object) {
            let service = Key::new(&*key.namespace, name.as_str());
            let fault = match (
                objects.services.get(&service.namespace, &service.name),
                cluster.services.all.get(&service),
            ) {
                (None, _) if cluster.facts.has_list("Service") && known.contains(&*key.namespace) => {
                    Some((true, true))
                }
                (Some(found), Some(state))
                    if &*found.object.spec.r#type != "ExternalName"
                        && !found.object.spec.selector.is_empty() =>
                {
                    let published = state.published.as_ref();
                    match published {
                        Some(published) => {
                            (published.complete && published.ready.is_empty()).then_some((false, true))
                        }
                        None => {
                            (state.ready.is_empty() && state.not_judged.is_none()).then_some((false, false))
                        }
                    }
                }
                _ => None,
            };
            if let Some((missing, sure)) = fault {
                broken.entry(service).or_insert_with(|| (Vec::new(), missing, sure)).0.push(key.clone());
            }
        }
    }
    broken
        .into_iter()
        .filter_map(|(service, (ingresses, missing, sure))| {
            finding(cluster, &service, &ingresses, missing, sure)
        })
        .collect::<Vec<_>>()
        .into()
}

fn finding(
    cluster: &Cluster,
    service: &Key,
    ingresses: &[Key],
    missing: bool,
    sure: bool,
) -> Option<Finding> {
    let first = ingresses.first()?;
    let seen = cluster.facts.objects.ingresses.get(&first.namespace, &first.name)?;
    let mut given = Observed { count: ingresses.len() as u64, ..Observed::default() };
    given.show_first(common::at(
        seen.evidence("Ingress", first),
        &format!("leads to service {}", service.name),
    ));
    given.evidence.extend(common::service_at(cluster, service, "no ready endpoint"));
    let names: Vec<String> = ingresses.iter().map(Key::label).collect();
    let why = if missing { "does not exist in its namespace" } else { "has no ready pod" };
    let says = Wording {
        severity: Severity::High,
        confidence: if sure { Confidence::Confirmed } else { Confidence::Likely },
        unit: "ingress",
        cause: format!(
            "Ingress {} hands requests to service {}, which {why}: clients get 502 or 503.",
            crate::detectors::observed::listed(names.iter().map(String::as_str), 3),
            service.label()
        ),
        fix: if missing {
            "Correct the service's name in the ingress, or make the service.".to_owned()
        } else {
            "See what is wrong with the service: its own finding says why it has no pod.".to_owned()
        },
        commands: vec![
            format!("kubectl describe ingress {}", common::named(first)),
            format!(
                "kubectl get endpointslices -n {} -l kubernetes.io/service-name={}",
                shell(&service.namespace),
                shell(&service.name)
            ),
        ],
        verify: vec![format!(
            "kubectl describe ingress {}   # Backends name addresses of pods",
            common::named(first)
        )],
    };
    let mut finding = given.finding(
        &DETECTOR,
        &service.label(),
        format!("Ingress {} leads to no pod: service {} {why}", first.label(), service.label()),
        says,
    )?;
    finding.subjects.push(common::subject("Service", service));
    finding.subjects.extend(ingresses.iter().take(20).map(|key| common::subject("Ingress", key)));
    Some(finding)
}
