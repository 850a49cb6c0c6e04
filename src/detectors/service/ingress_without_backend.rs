//! The backend of an ingress is a service that does not exist, or that has no endpoints.

use std::collections::{BTreeMap, BTreeSet};

use super::common::{self, SERVICES};
use crate::cluster::Cluster;
use crate::detectors::observed::{Observed, Wording};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Need, Outcome, Severity, shell,
};
use crate::facts::{Ingress, IngressBackend, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "ingress-without-backend",
    chapter: Chapter::Service,
    title: "Ingress backend has no endpoints (502/503)",
    needs: &[INGRESSES, SERVICES],
    explains: &[],
    doc: Doc {
        meaning: "An ingress routes requests to Services by host and path. When the Service does not exist or has no ready endpoints, the ingress controller answers 502 or 503: mostly a symptom of what is wrong with the Service.",
        decision: "Each backend of an ingress is looked up among the Services of its namespace, and their endpoints. Confirmed when the bundle's endpoints are empty, or the bundle lists Services of that namespace and the backend is not among them; likely when the endpoints are inferred from pods.",
        action: "Repair the Service, or correct its name in the ingress.",
        reference: "Kubernetes: Ingress. AKS: Troubleshoot connection issues to an app hosted in an AKS cluster.",
    },
    detect: Evaluation::Rule(detect),
};

const INGRESSES: Need = Need {
    what: "the ingresses",
    why: "they name the backend services",
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
        .collect()
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
        &format!("backend: service {}", service.name),
    ));
    given.evidence.extend(common::service_at(cluster, service, "no ready endpoint"));
    let names: Vec<String> = ingresses.iter().map(Key::label).collect();
    let why = if missing { "does not exist" } else { "has no ready endpoints" };
    let says = Wording {
        severity: Severity::High,
        confidence: if sure { Confidence::Confirmed } else { Confidence::Likely },
        unit: "ingress",
        cause: format!(
            "The backend of ingress {} is service {}, which {why}: the ingress controller usually answers 502 or 503.",
            crate::detectors::observed::listed(names.iter().map(String::as_str), 3),
            service.label()
        ),
        fix: if missing {
            "Correct the service name in the ingress, or create the service.".to_owned()
        } else {
            "Repair the service: its own finding, if there is one, has the reason.".to_owned()
        },
        commands: vec![
            format!("kubectl describe ingress {}", common::named(first)),
            format!(
                "kubectl get endpointslices -n {} -l kubernetes.io/service-name={}",
                shell(&service.namespace),
                shell(&service.name)
            ),
        ],
        verify: vec![format!("kubectl describe ingress {}   # Backends lists pod IPs", common::named(first))],
    };
    let mut finding = given.finding(
        &DETECTOR,
        &service.label(),
        if missing {
            format!("Ingress {} backend not found: service {} does not exist", first.label(), service.label())
        } else {
            format!("Ingress {} backend has no endpoints: service {}", first.label(), service.label())
        },
        says,
    )?;
    finding.subjects.push(common::subject("Service", service));
    finding.subjects.extend(ingresses.iter().take(20).map(|key| common::subject("Ingress", key)));
    Some(finding)
}
