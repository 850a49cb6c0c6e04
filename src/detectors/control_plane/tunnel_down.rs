//! The API server has no way to the kubelets: logs and exec fail, get works.

use super::{requests_to_kubelets, tunnel_agents};
use crate::cluster::Cluster;
use crate::cluster::service::why_not_ready;
use crate::detectors::needs::{CLIENT_ERRORS, PODS};
use crate::detectors::observed::{Observed, Wording, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "tunnel-down",
    chapter: Chapter::ControlPlane,
    title: "The tunnel from the API server to the nodes is down",
    guide: &["4"],
    needs: &[CLIENT_ERRORS, PODS],
    explains: &["metrics-api-unavailable", "admission-webhook-failing"],
    doc: Doc {
        meaning: "On AKS the API server stands outside the nodes' network. Agents on the nodes (konnectivity; before it tunnelfront or aks-link) keep a connection open to it, and by that connection it asks kubelets for logs, exec, port-forward and metrics, and webhooks for their word. Without it those fail with 'error dialing backend' or 'No agent available', while kubectl get works.",
        decision: "Such errors of clients or of the API server, or agents that are not ready. Confirmed when the errors are there and no agent is ready; likely when the errors are there and the agents are not in the bundle, or some are down. Where the agents are all ready the cause is nearer to the kubelet, and told as its port being blocked. What agents say in their own logs is not counted: they say it on healthy clusters.",
        action: "Bring the agents back: their pods, their nodes, and their way out on TCP 443.",
        reference: "AKS: tunnel connectivity issues; Error from server: error dialing backend: dial tcp.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let given = requests_to_kubelets(cluster);
    let agents: Vec<_> = tunnel_agents(cluster).filter(|(_, seen)| !seen.object.ended()).collect();
    let down: Vec<_> = agents
        .iter()
        .filter_map(|(key, seen)| Some((*key, *seen, why_not_ready(&cluster.facts, key, &seen.object)?)))
        .collect();
    let all_down = !agents.is_empty() && down.len() == agents.len();
    let finding = match given {
        // Agents are there and ready: it is not the tunnel.
        Some(_) if !agents.is_empty() && down.is_empty() => None,
        Some(observed) => broken(cluster, observed, agents.len(), &down),
        None if all_down => broken(cluster, Observed::default(), agents.len(), &down),
        None => None,
    };
    finding.into_iter().collect::<Vec<_>>().into()
}

type Down<'a> =
    (&'a crate::facts::Key, &'a crate::facts::Seen<crate::facts::Pod>, crate::cluster::service::Why);

fn broken(cluster: &Cluster, mut observed: Observed, agents: usize, down: &[Down<'_>]) -> Option<Finding> {
    let failing = observed.count > 0;
    let over = failing && cluster.is_over(observed.span) && down.is_empty();
    let places: Vec<_> = down
        .iter()
        .take(2)
        .filter_map(|(key, seen, _)| seen.evidence("Pod", key).into_iter().next())
        .collect();
    observed.show_first(places);
    observed.pods.extend(down.iter().map(|(key, ..)| (*key).clone()));
    let all_down = agents > 0 && down.len() == agents;
    let (severity, confidence) = match (failing, all_down, over) {
        (_, _, true) => (Severity::Low, Confidence::Possible),
        (true, true, _) => (Severity::High, Confidence::Confirmed),
        _ => (Severity::High, Confidence::Likely),
    };
    let of_agents = match (agents, down.first()) {
        (0, _) => " The agents' pods are not in the bundle.".to_owned(),
        (n, Some((key, _, why))) => {
            format!(" {} of {n} agents not ready; {}: {}.", down.len(), key.name, why.label())
        }
        (n, None) => format!(
            " The {} of the tunnel ready.",
            if n == 1 { "agent is".to_owned() } else { format!("{n} agents are") }
        ),
    };
    let nodes = listed(observed.details.iter().chain(&observed.hosts).map(String::as_str), 3);
    let to = if nodes.is_empty() { String::new() } else { format!(" (to {nodes})") };
    let says = Wording {
        severity,
        confidence,
        unit: if failing { "failed request" } else { "agent" },
        cause: if failing {
            format!("Requests that the API server hands on to kubelets{to} failed{}: logs, exec and port-forward do, get works. The tunnel's agents keep the connection on which they go, from the nodes to the API server on TCP 443.{of_agents}", observed.when())
        } else {
            format!("No agent of the tunnel is ready, so logs, exec and port-forward can't work.{of_agents}")
        },
        fix: "See whether the agents run and on which nodes; restart them. If they run and can't connect, their way out is blocked: TCP 443 to the API server with ALPN, by security group, route or firewall (a rule that denies the Internet to the nodes' subnet does this). Old clusters with tunnelfront or aks-link need TCP 9000 or UDP 1194, too.".to_owned(),
        commands: vec![
            "kubectl get pods -n kube-system -l app=konnectivity-agent -o wide".to_owned(),
            "kubectl rollout restart deployment konnectivity-agent -n kube-system".to_owned(),
        ],
        verify: vec!["kubectl logs -n kube-system -l k8s-app=kube-dns --tail=1   # lines, no error".to_owned()],
    };
    let title = if failing {
        format!(
            "The API server can't reach kubelets: {} of logs, exec or the like failed",
            counted(observed.count as usize, "request")
        )
    } else {
        format!("No agent of the API server's tunnel is ready ({agents})")
    };
    observed.details.clear();
    observed.finding(&DETECTOR, "tunnel", title, says)
}
