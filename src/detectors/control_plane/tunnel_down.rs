//! The konnectivity tunnel from the API server to the nodes is down: logs and exec fail, get works.

use super::{FLAPPING, requests_to_kubelets, restarts, tunnel_agents};
use crate::cluster::Cluster;
use crate::cluster::pods::why_not_ready;
use crate::detectors::needs::{CLIENT_ERRORS, PODS};
use crate::detectors::observed::{Observed, Wording, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::evidence::excerpt;
use crate::facts::{Key, Pod, Seen};

pub(super) const DETECTOR: Detector = Detector {
    id: "tunnel-down",
    chapter: Chapter::ControlPlane,
    title: "konnectivity tunnel down: logs and exec fail (error dialing backend)",
    needs: &[CLIENT_ERRORS, PODS],
    explains: &["metrics-api-unavailable", "admission-webhook-failing"],
    doc: Doc {
        meaning: "On AKS the API server runs outside the node network. konnectivity-agent pods (tunnelfront or aks-link on old clusters) keep a connection open to it; through this tunnel the API server reaches kubelets (logs, exec, port-forward, top), webhooks and aggregated APIs. Without it these fail with 'error dialing backend' or 'No agent available', while kubectl get works.",
        decision: "Such errors of clients or of the API server, or agents of which none is ready. Confirmed when there are errors and no agent is ready; likely when there are errors and some agents are not ready, restart again and again (ten times or more), or none is in the bundle, or when no agent is ready and there are no errors. Where all agents are ready and stay so, see kubelet-port-blocked. Log lines of the agents themselves do not count: healthy clusters have them too.",
        action: "Bring the konnectivity-agent pods back: their nodes, and outbound TCP 443 from them to the API server.",
        reference: "learn.microsoft.com: Tunnel connectivity issues; Troubleshoot 'error dialing backend: dial tcp' in AKS.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let given = requests_to_kubelets(cluster);
    let agents: Vec<_> = tunnel_agents(cluster).filter(|(_, seen)| !seen.object.ended()).collect();
    let mut down: Vec<Down<'_>> = agents
        .iter()
        .filter_map(|(key, seen)| {
            let why = why_not_ready(&cluster.facts, key, &seen.object)?;
            Some(Down { key, seen, why: why.label(), flaps: false })
        })
        .collect();
    let all_down = !agents.is_empty() && down.len() == agents.len();
    // Where requests fail, an agent that is ready between its restarts is none that carries them.
    if given.is_some() {
        for (key, seen) in &agents {
            let times = restarts(&seen.object);
            if times >= FLAPPING && down.iter().all(|other| other.key != *key) {
                down.push(Down { key, seen, why: format!("ready between {times} restarts"), flaps: true });
            }
        }
    }
    let finding = match given {
        // Agents are there and ready: it is not the tunnel.
        Some(_) if !agents.is_empty() && down.is_empty() => None,
        Some(observed) => broken(cluster, observed, agents.len(), &down),
        None if all_down => broken(cluster, Observed::default(), agents.len(), &down),
        None => None,
    };
    finding.into_iter().collect()
}

/// An agent that carries no requests.
struct Down<'a> {
    key: &'a Key,
    seen: &'a Seen<Pod>,
    why: String,
    /// It is ready between its restarts.
    flaps: bool,
}

fn broken(cluster: &Cluster, mut observed: Observed, agents: usize, down: &[Down<'_>]) -> Option<Finding> {
    let failing = observed.count > 0;
    let over = failing && observed.is_over(cluster) && down.is_empty();
    let places: Vec<_> = down
        .iter()
        .take(2)
        .filter_map(|item| {
            let mut place = item.seen.evidence("Pod", item.key).into_iter().next()?;
            place.excerpt = excerpt(item.why.as_bytes());
            Some(place)
        })
        .collect();
    observed.show_first(places);
    observed.pods.extend(down.iter().map(|item| item.key.clone()));
    let all_down = agents > 0 && down.len() == agents;
    let flaps = down.iter().any(|item| item.flaps);
    let (severity, confidence) = match (failing, all_down, over) {
        (_, _, true) => (Severity::Low, Confidence::Possible),
        (true, true, _) if !flaps => (Severity::High, Confidence::Confirmed),
        _ => (Severity::High, Confidence::Likely),
    };
    let prefix = down.first().map_or("", |item| &*item.key.name);
    let agent = ["tunnelfront", "aks-link"]
        .into_iter()
        .find(|name| prefix.starts_with(name))
        .unwrap_or("konnectivity-agent");
    let of_agents = match (agents, down.first()) {
        (0, _) => " The konnectivity-agent pods are not in the bundle.".to_owned(),
        (n, Some(item)) if item.flaps => {
            format!(" {agent} ({}): {}: {}.", counted(n, "pod"), item.key.name, item.why)
        }
        (n, Some(item)) => {
            format!(" {agent} has {} of {n} pods ready; {}: {}.", n - down.len(), item.key.name, item.why)
        }
        (n, None) => format!(
            " {} ready.",
            if n == 1 { "The agent pod is".to_owned() } else { format!("All {n} agent pods are") }
        ),
    };
    let nodes = listed(observed.details.iter().chain(&observed.hosts).map(String::as_str), 3);
    let to = if nodes.is_empty() { String::new() } else { format!(" (to {nodes})") };
    let says = Wording {
        severity,
        confidence,
        unit: if failing { "failed request" } else { "agent" },
        cause: if failing {
            format!("Requests from the API server to kubelets{to} failed{} (logs, exec, port-forward or top; kubectl get does not use this path). They go through the tunnel that the agents open from the nodes to the API server on TCP 443.{of_agents}", observed.when())
        } else {
            format!("No agent of the tunnel is ready: without one, logs, exec and port-forward fail.{of_agents}")
        },
        fix: "Check the agent pods and their nodes; then restart them (a rolling restart; logs and exec pause meanwhile). If they run and cannot connect, check their egress path: TCP 443 to the API server, ALPN included, through NSG, route table and firewall. Old clusters with tunnelfront or aks-link need TCP 9000 or UDP 1194 as well.".to_owned(),
        commands: vec![
            "kubectl get pods -n kube-system -l app=konnectivity-agent -o wide   # READY, NODE".to_owned(),
            "kubectl rollout restart deployment konnectivity-agent -n kube-system".to_owned(),
        ],
        verify: vec!["kubectl logs -n kube-system -l k8s-app=kube-dns --tail=1   # a log line, no error".to_owned()],
    };
    let title = if failing {
        if agents == 0 || down.is_empty() {
            format!(
                "API server tunnel: logs/exec to kubelets fail ({})",
                counted(observed.count as usize, "request")
            )
        } else if let Some(item) = down.iter().find(|item| item.flaps) {
            format!("API server tunnel: {agent} {}: logs/exec to kubelets fail", item.why)
        } else {
            format!("{agent} {}/{agents} ready: logs/exec to kubelets fail", agents - down.len())
        }
    } else {
        format!("{agent} 0/{agents} ready")
    };
    observed.details.clear();
    observed.finding(&DETECTOR, "tunnel", title, says)
}
