//! Pods that are not created, not placed, or not ready.

mod claim_not_bound;
mod lifecycle_hook_failing;
mod pod_log_errors;
mod pod_not_created;
mod pod_not_running;
mod pod_unschedulable;
mod probe_failing;
mod quota_blocks_service;
mod workload_cpu_throttled;
mod workload_latency_rose;

super::detectors![
    pod_not_created,
    quota_blocks_service,
    claim_not_bound,
    pod_unschedulable,
    probe_failing,
    workload_cpu_throttled,
    workload_latency_rose,
    pod_not_running,
    pod_log_errors,
    lifecycle_hook_failing,
];

use super::SubjectRef;
use super::observed::{counted, listed, subject};
use crate::cluster::Cluster;
use crate::facts::Key;

/// `Pod shop/cart-1`, `3 pods of shop/cart (…)`, `4 pods`: whom a title is about.
fn pods_in_title(pods: &[(Key, String)]) -> String {
    let mut workloads: Vec<String> = pods
        .iter()
        .map(|(key, workload)| Key::new(key.namespace.clone(), workload.as_str()).label())
        .collect();
    workloads.sort();
    workloads.dedup();
    match (pods, workloads.as_slice()) {
        ([(key, _)], _) => format!("Pod {}", key.label()),
        (_, [workload]) => format!("{} of {workload}", counted(pods.len(), "pod")),
        _ => format!("{} of {}", counted(pods.len(), "pod"), listed(workloads.iter().map(String::as_str), 2)),
    }
}

/// What a metric is of, as objects: the workload of that name, with the pods that it made. Metrics carry no namespace: where
/// several have the name, none is meant.
fn of_metric(cluster: &Cluster, name: &str) -> Vec<SubjectRef> {
    let objects = &cluster.facts.objects;
    let stores = [
        ("Deployment", &objects.deployments),
        ("StatefulSet", &objects.stateful_sets),
        ("DaemonSet", &objects.daemon_sets),
    ];
    let mut found: Vec<(&str, &Key)> = Vec::new();
    for (kind, store) in stores {
        found.extend(store.iter().map(|(key, _)| (kind, key)).filter(|(_, key)| &*key.name == name));
    }
    let [(kind, key)] = found.as_slice() else {
        return vec![SubjectRef {
            kind: "Workload".to_owned(),
            namespace: String::new(),
            name: name.to_owned(),
        }];
    };
    let pods = objects.pods.of_namespace(&key.namespace).filter(|(pod, _)| {
        pod.name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('-') && rest.matches('-').count() <= 2)
    });
    let pods = pods.map(|(pod, _)| subject("Pod", pod)).take(20);
    std::iter::once(subject(kind, key)).chain(pods).collect()
}
