//! The selector of a service matches no pods.

use super::common::{self, PODS, SERVICES};
use crate::cluster::Cluster;
use crate::cluster::service::{Fault, Nearest, State};
use crate::detectors::details::texts;
use crate::detectors::observed;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell,
};
use crate::facts::Key;

pub(super) const DETECTOR: Detector = Detector {
    id: "service-selector-matches-nothing",
    chapter: Chapter::Service,
    title: "Service has no endpoints: selector matches no pods",
    needs: &[SERVICES, PODS],
    explains: &["connection-failing", "ingress-without-backend", "admission-webhook-failing"],
    doc: Doc {
        meaning: "A Service sends traffic to the pods of its own namespace that have every label of its selector. None has, so the Service has no endpoints, and connections to it fail.",
        decision: "The selector is compared with the labels of all pods of the namespace in the bundle. Confirmed when the bundle's endpoints are empty too; likely when it has none. The finding names the nearest pods, pods of other namespaces, and workloads that have the labels themselves but not in their pod template. Scaled to 0 replicas is its own cause.",
        action: "Make the selector and the pod template's labels match. The change in the finding was evaluated against the bundle's pods.",
        reference: "Kubernetes: Debug Services. Popeye: code 1100.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    common::each(cluster, |key, state, fault| match fault {
        Fault::NothingSelected(nearest) => finding(cluster, key, state, nearest),
        _ => None,
    })
    .into()
}

fn finding(cluster: &Cluster, key: &Key, state: &State, nearest: &Nearest) -> Option<Finding> {
    let selector = common::selector(cluster, key);
    let mut evidence = vec![common::service_at(cluster, key, &format!("selector: {selector}"))?];
    evidence.extend(common::endpoints_at(cluster, state, "no address"));
    let near = nearest.near.as_ref();
    evidence.extend(near.and_then(|near| near.pods.first()).and_then(|pod| {
        let group = cluster.groups.of(pod)?;
        let labels = crate::cluster::selector::pairs(group.labels.as_ref()?);
        common::pod_at(cluster, pod, &format!("labels: {labels}"))
    }));
    let title = format!("Service {} has no endpoints: selector matches no pods ({selector})", key.label());
    let mut finding = Finding::new(DETECTOR.id, &key.label(), title, evidence)?;
    finding.severity = Severity::High;
    finding.confidence =
        if common::endpoints_empty(state) { Confidence::Confirmed } else { Confidence::Likely };
    finding.unit = "service";
    finding.subjects = vec![common::subject("Service", key)];
    finding.details.service.selector = Some(selector.clone());
    let (why, fix, commands) = reason(cluster, key, nearest);
    finding.cause = format!(
        "No pod in namespace {} has all labels of the selector ({selector}), so the service has no endpoints{}. {why}",
        key.namespace,
        if common::endpoints_empty(state) { " (confirmed by the bundle's endpoints)" } else { "" }
    );
    if let Some(near) = near {
        let differs = near.differs.iter().cloned();
        let differs =
            differs.map(|(label, wanted, found)| crate::detectors::LabelDifference { label, wanted, found });
        finding.details.service.differs = differs.collect();
        finding.details.service.nearest_pods = texts(near.pods.iter().map(Key::label));
        finding.subjects.extend(near.pods.iter().map(|pod| common::subject("Pod", pod)));
    }
    finding.fix = Fix { text: fix, commands, manifests: Vec::new() };
    finding.verify = common::verify(key);
    Some(finding)
}

/// Why it matches nothing, what to do, and how.
fn reason(cluster: &Cluster, key: &Key, nearest: &Nearest) -> (String, String, Vec<String>) {
    if let Some(workload) = &nearest.no_pods_of {
        let why = format!("The pod template of {workload} has these labels, but it has no pods.");
        let fix = format!(
            "The selector is right. Find out why {workload} has no pods: its events show quota, admission or service account errors (FailedCreate)."
        );
        return (
            why,
            fix,
            vec![format!("kubectl describe {} -n {}", workload_words(workload), shell(&key.namespace))],
        );
    }
    if let Some(workload) = &nearest.on_workload {
        let why = format!(
            "{workload} itself has the labels, but its pod template does not: selectors match pods only."
        );
        let fix = format!(
            "Add the labels to the pod template of {workload} (spec.template.metadata.labels; rolls out new pods), or remove them from the selector."
        );
        let labels = missing(nearest);
        let pairs: Vec<String> =
            labels.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        let patch =
            format!("{{\"spec\":{{\"template\":{{\"metadata\":{{\"labels\":{{{}}}}}}}}}}}", pairs.join(","));
        let command = format!(
            "kubectl patch {} -n {} -p {}",
            workload_words(workload),
            shell(&key.namespace),
            shell(&patch)
        );
        return (why, fix, if labels.is_empty() { Vec::new() } else { vec![command] });
    }
    if let Some((namespace, count)) = nearest.elsewhere.first() {
        let pods = if *count == 1 { "1 pod has".to_owned() } else { format!("{count} pods have") };
        let why = format!(
            "In namespace {namespace}, {pods} them: a service selects pods of its own namespace only."
        );
        let fix = format!(
            "Create the service in namespace {namespace}, where the pods are, and let clients use {}.{namespace}.svc; or deploy the pods in the service's namespace.",
            key.name
        );
        let command = format!(
            "kubectl get service {} -o yaml > service.yaml   # then set metadata.namespace to {}, and apply it",
            common::named(key),
            shell(namespace)
        );
        return (why, fix, vec![command]);
    }
    let Some(near) = &nearest.near else {
        return (
            "No pod in the namespace has similar labels: perhaps the workload was never created.".to_owned(),
            "Create the workload, or remove the service if it is a leftover.".to_owned(),
            common::look(key),
        );
    };
    let differs: Vec<String> = near
        .differs
        .iter()
        .map(|(name, wanted, found)| match found {
            Some(found) => format!("label {name} is {found}, the selector has {wanted}"),
            None => format!("no label {name}, the selector has {name}={wanted}"),
        })
        .collect();
    let pods = near.pods.first().map_or_else(String::new, Key::label);
    let why = format!(
        "Nearest match: {} {pods}: {}.",
        if near.count == 1 { "pod".to_owned() } else { format!("{} pods such as", near.count) },
        differs.join("; ")
    );
    let changed: Vec<String> = near
        .differs
        .iter()
        .map(|(name, _, found)| match found {
            Some(found) => format!("\"{name}\":\"{found}\""),
            None => format!("\"{name}\":null"),
        })
        .collect();
    let patch = format!("{{\"spec\":{{\"selector\":{{{}}}}}}}", changed.join(","));
    let proved = takes_after(cluster, key, near);
    let fix = if proved > 0 {
        format!(
            "If these pods are meant, correct the selector: by evaluation it then matches {} of the bundle. Traffic goes to them at once.",
            observed::counted(proved, "pod")
        )
    } else {
        "Make the selector and the labels of the pod template agree.".to_owned()
    };
    (why, fix, vec![format!("kubectl patch service {} -p {}", common::named(key), shell(&patch))])
}

/// Labels that the workload's pods lack.
fn missing(nearest: &Nearest) -> Vec<(String, String)> {
    let differs = nearest.near.iter().flat_map(|near| &near.differs);
    differs.map(|(name, wanted, _)| (name.clone(), wanted.clone())).collect()
}

/// How many pods the selector matches once it is changed.
fn takes_after(cluster: &Cluster, key: &Key, near: &crate::cluster::service::Near) -> usize {
    let Some(seen) = cluster.facts.objects.services.get(&key.namespace, &key.name) else { return 0 };
    let changed = seen.object.spec.selector.iter().filter_map(|(name, value)| {
        match near.differs.iter().find(|(differ, ..)| **differ == **name) {
            Some((.., None)) => None,
            Some((.., Some(found))) => Some((name.clone(), found.as_str().into())),
            None => Some((name.clone(), value.clone())),
        }
    });
    let labels: crate::facts::Labels = changed.collect();
    if labels.is_empty() {
        0
    } else {
        cluster.groups.having(&key.namespace, &labels).map(|group| group.pods.len()).sum()
    }
}

/// `Deployment shop/cart` as kubectl takes it.
fn workload_words(workload: &str) -> String {
    let (kind, name) = workload.split_once(' ').unwrap_or(("", workload));
    let name = name.split_once('/').map_or(name, |(_, name)| name);
    format!("{} {}", kind.to_ascii_lowercase(), shell(name))
}
