//! The path from the API server to the nodes, admission webhooks, throttling, etcd; and Azure's own limits on requests.

mod admission_webhook_failing;
mod aggregated_api_unavailable;
mod api_server_throttles;
mod azure_throttles;
mod etcd_full;
mod kubelet_port_blocked;
mod metrics_api_unavailable;
mod resource_not_ready;
mod tunnel_down;

super::detectors![
    tunnel_down,
    kubelet_port_blocked,
    admission_webhook_failing,
    etcd_full,
    api_server_throttles,
    metrics_api_unavailable,
    aggregated_api_unavailable,
    azure_throttles,
    resource_not_ready,
];

use crate::cluster::Cluster;
use crate::cluster::reachability::{What, Who};
use crate::facts::{Key, Pod, Seen, Signal};

use super::observed::{self, Observed};

/// Pods of the tunnel between the API server and the nodes: konnectivity, or what came before it.
fn tunnel_agents(cluster: &Cluster) -> impl Iterator<Item = (&Key, &Seen<Pod>)> {
    cluster.facts.objects.pods.of_namespace("kube-system").filter(|(key, _)| {
        let agent = ["konnectivity-agent-", "tunnelfront-", "aks-link-"]
            .iter()
            .any(|name| key.name.starts_with(name));
        agent && !key.name.starts_with("konnectivity-agent-autoscaler")
    })
}

/// Restarts from which on an agent of the tunnel carries nothing for long.
const FLAPPING: u32 = 10;

/// Restarts of the container of a pod that restarted most.
fn restarts(pod: &Pod) -> u32 {
    pod.status.container_statuses.iter().map(|status| status.restart_count).max().unwrap_or(0)
}

/// Requests that the API server hands on to kubelets (logs, exec, port-forward, top) and that did not get there.
fn requests_to_kubelets(cluster: &Cluster) -> Option<Observed> {
    let mut observed =
        observed::signals(cluster, |key| (key.signal == Signal::TunnelFailing).then_some(())).remove(&());
    for item in &cluster.unreached {
        // A certificate that is not accepted is its own cause.
        if item.failure.of_tls() {
            continue;
        }
        let speaks = matches!(item.who, Who::Client | Who::ControlPlane);
        if speaks && item.what == What::Kubelet {
            observed.get_or_insert_default().add_attempt(item);
        }
    }
    observed
}
