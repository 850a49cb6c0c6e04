//! Pods cannot connect to the API server.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::at;
use crate::cluster::reachability::{What, Who};
use crate::detectors::needs::POD_LOGS;
use crate::detectors::observed::{self, Observed, Wording, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::evidence::Evidence;
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-cannot-reach-api-server",
    chapter: Chapter::NodeAccess,
    title: "Pods cannot reach the API server (kubernetes.default, 443)",
    needs: &[POD_LOGS],
    explains: &["service-pods-not-ready", "container-crash-loop"],
    doc: Doc {
        meaning: "Pods connect to the API server through Service default/kubernetes (10.0.0.1 on most AKS clusters), which kube-proxy translates to the API server's address. Controllers, operators and add-ons fail without it ('dial tcp 10.0.0.1:443: i/o timeout', connection refused). Usual reasons: a NetworkPolicy, missing kube-proxy rules, the network of one node, or whatever blocks the nodes themselves.",
        decision: "Failed connections to Service default/kubernetes or to the API server's FQDN and addresses in logs of pods, or of a client that the log does not identify. Confirmed when none of the pods is ready, or when a saved connection test of a pod failed as well; likely when seen several times; reported as low when the pods are ready again, a saved test reached the API server, or the errors ended long before the logs do. Logs of konnectivity agents do not count: healthy clusters have such lines.",
        action: "Test from a pod on the same node and from one on another node; then check NetworkPolicies, kube-proxy, and the node's own connection.",
        reference: "learn.microsoft.com: Troubleshoot network problems in AKS clusters. kubernetes.io: Debug Services; Accessing the API from a Pod.",
    },
    detect: Evaluation::Rule(detect),
};

/// Tests that somebody made in the cluster: those that reached the API server, and those that did not.
fn tests(cluster: &Cluster) -> (Vec<Evidence>, Vec<Evidence>) {
    let api = |target: &str| {
        target.starts_with("kubernetes.default")
            || crate::cluster::reachability::is_api_name(target)
            || cluster
                .facts
                .objects
                .services
                .get("default", "kubernetes")
                .is_some_and(|seen| *seen.object.spec.cluster_ip == *target)
    };
    let mut found = (Vec::new(), Vec::new());
    for (place, probe) in cluster.facts.nodes.probes.iter() {
        if probe.in_cluster && probe.node.is_none() && api(&probe.target) {
            let evidence = at(place, &format!("connection test to {}", probe.target), &probe.message);
            if probe.reached { found.0.push(evidence) } else { found.1.push(evidence) }
        }
    }
    found
}

fn detect(cluster: &Cluster) -> Outcome {
    let given = observed::attempts(cluster, |attempt| {
        let pod = matches!(attempt.who, Who::Pod(_) | Who::Unknown);
        // A certificate that somebody does not trust is a client's affair, unless it is a pod's.
        let of_tls = attempt.failure.of_tls() && attempt.failure != Failure::TlsTimeout;
        let known = matches!(attempt.who, Who::Pod(_)) || !of_tls;
        (pod && known && attempt.what == What::ApiServer && common::no_connection(attempt.failure))
            .then_some(())
    })
    .remove(&());
    let (reached, failed) = tests(cluster);
    let Some(observed) = given else {
        if reached.is_empty() || !failed.is_empty() {
            return Outcome::default();
        }
        return Outcome {
            ruled_out: Some("a test from a pod, saved in the bundle, reached the API server".to_owned()),
            ..Outcome::default()
        };
    };
    finding(cluster, observed, &reached, failed).into_iter().collect()
}

fn finding(
    cluster: &Cluster,
    mut given: Observed,
    reached: &[Evidence],
    failed: Vec<Evidence>,
) -> Option<Finding> {
    let tested = !failed.is_empty();
    let ready = observed::all_ready(cluster, &given.pods);
    let broken = observed::none_ready(cluster, &given.pods);
    // A pod that waits before its next start is silent, and nothing is over for it.
    let passed = !tested && !broken && (given.is_over(cluster) || ready || !reached.is_empty());
    given.show_first(failed);
    let node = observed::common_node(cluster, &given.pods).filter(|_| given.pods.len() > 1);
    let text: Vec<String> = given.pods.iter().map(crate::facts::Key::label).collect();
    let names = listed(text.iter().map(String::as_str), 3);
    let who = match given.pods.len() {
        0 => "unidentified client".to_owned(),
        1 => format!("pod {names}"),
        n => counted(n, "pod"),
    };
    let client = if given.pods.len() > 1 { "Clients" } else { "Client" };
    let (severity, confidence) = match (passed, tested || broken, given.count > 1) {
        (true, ..) => (Severity::Low, Confidence::Possible),
        (_, true, _) => (Severity::High, Confidence::Confirmed),
        (_, _, true) => (Severity::High, Confidence::Likely),
        _ => (Severity::Medium, Confidence::Possible),
    };
    let which = if given.pods.len() > 1 { format!(" ({names})") } else { String::new() };
    let on = node.as_ref().map_or_else(String::new, |node| {
        format!(" All these pods are on node {node}: check kube-proxy and the network of that node first.")
    });
    let why_passed = if ready {
        "these pods are ready"
    } else if reached.is_empty() {
        "the logs show no more of these errors"
    } else {
        "a connection test in the bundle reached it"
    };
    let first = given.pods.iter().next().cloned();
    let test = first.as_ref().map_or_else(
        || "kubectl run curl --image=mcr.microsoft.com/azure-cli -i --rm --restart=Never -- curl -sk https://kubernetes.default.svc/version".to_owned(),
        |pod| format!("kubectl exec {} -n {} -- sh -c 'curl -sk https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/version'", shell(&pod.name), shell(&pod.namespace)),
    );
    let says = Wording {
        severity,
        confidence,
        unit: "failed attempt",
        cause: if passed {
            format!(
                "Connections to the API server{} failed{}. {client}: {who}{which}. Since then {why_passed}. Pods that start before kube-proxy has written its rules log such errors.",
                given.reached_for_in_brackets(),
                given.when()
            )
        } else {
            format!(
                "Connections to the API server{} fail{}. {client}: {who}{which}.{on}",
                given.reached_for_in_brackets(),
                given.when()
            )
        },
        fix: if passed {
            "No action needed unless it comes back.".to_owned()
        } else {
            "Test from a pod on the same node and from one on another node. If it fails only on some nodes, check their kube-proxy and CNI; only in some namespaces, their NetworkPolicies; everywhere, the connection of the nodes themselves to the API server.".to_owned()
        },
        commands: if passed {
            Vec::new()
        } else {
            vec![
                test.clone(),
                "kubectl get endpointslices -n default -l kubernetes.io/service-name=kubernetes".to_owned(),
                "kubectl get pods -n kube-system -l component=kube-proxy -o wide".to_owned(),
            ]
        },
        verify: vec![format!("{test}   # a version, or 401 or 403: all mean that it is reached")],
    };
    let title = if passed {
        format!("{} could not reach the API server, ended", observed::capitalised(&who))
    } else {
        format!("{} cannot reach the API server", observed::capitalised(&who))
    };
    let about = if passed { "passing" } else { "pods" };
    let mut finding = given.finding(&DETECTOR, about, title, says)?;
    finding.subjects.extend(node.as_deref().map(observed::node_subject));
    Some(finding)
}
