//! Pods get no connection to the API server.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::at;
use crate::cluster::reachability::{What, Who};
use crate::detectors::needs::POD_LOGS;
use crate::detectors::observed::{self, Observed, Wording, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, shell};
use crate::evidence::Evidence;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-cannot-reach-api-server",
    chapter: Chapter::NodeAccess,
    title: "Pods can't reach the API server",
    guide: &["4", "4.1"],
    needs: &[POD_LOGS],
    explains: &["service-pods-not-ready", "container-crash-loop"],
    doc: Doc {
        meaning: "Pods talk to the API server by the address of the service kubernetes (10.0.0.1 on most AKS clusters), which the node's rules turn into the API server's own address. Controllers, operators and add-ons stop when that fails: a network policy, the rules of kube-proxy, the network of a node, or whatever keeps the nodes themselves from the API server.",
        decision: "Failed connections to the service kubernetes or to the API server's names and addresses in logs of pods, or a saved test with curl from a pod. Confirmed when the failures go on and the pods concerned are not ready, or a saved test shows it, too; likely when they are seen several times; told as passing, with its time span, when the pods are ready again or the failures ended long before the logs do. Agents of the tunnel (konnectivity) are left out: they say such things on healthy clusters.",
        action: "Test from a pod on the same node and on another one; follow policies, kube-proxy, then the node's own way.",
        reference: "AKS: troubleshoot network problems, nodes can't reach the API server. Kubernetes: debug services.",
    },
    detect,
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
        (pod && attempt.what == What::ApiServer && common::no_connection(attempt.failure)).then_some(())
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
    finding(cluster, observed, &reached, failed).into_iter().collect::<Vec<_>>().into()
}

fn finding(
    cluster: &Cluster,
    mut given: Observed,
    reached: &[Evidence],
    failed: Vec<Evidence>,
) -> Option<Finding> {
    let tested = !failed.is_empty();
    let ready = observed::all_ready(cluster, &given.pods);
    let broken = !given.pods.is_empty()
        && given.pods.iter().all(|key| {
            cluster
                .facts
                .objects
                .pods
                .get(&key.namespace, &key.name)
                .is_some_and(|seen| !seen.object.is_ready())
        });
    // A pod that waits before its next start is silent, and nothing is over for it.
    let passed = !tested && !broken && (cluster.is_over(given.span) || ready || !reached.is_empty());
    given.show_first(failed);
    let node = observed::common_node(cluster, &given.pods).filter(|_| given.pods.len() > 1);
    let text: Vec<String> = given.pods.iter().map(crate::facts::Key::label).collect();
    let names = listed(text.iter().map(String::as_str), 3);
    let who = match given.pods.len() {
        0 => "A program in the cluster".to_owned(),
        1 => format!("Pod {names}"),
        n => counted(n, "pod"),
    };
    let (severity, confidence) = match (passed, tested || broken, given.count > 1) {
        (true, ..) => (Severity::Low, Confidence::Possible),
        (_, true, _) => (Severity::High, Confidence::Confirmed),
        (_, _, true) => (Severity::High, Confidence::Likely),
        _ => (Severity::Medium, Confidence::Possible),
    };
    let which = if given.pods.len() > 1 { format!(" ({names})") } else { String::new() };
    let on = node.as_ref().map_or_else(String::new, |node| {
        format!(" All of them are on node {node}: look at that node's network and kube-proxy first.")
    });
    let why_passed = if ready {
        "the pods are ready"
    } else if reached.is_empty() {
        "later logs show no more of it"
    } else {
        "a test that is in the bundle reached it"
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
                "{who}{which} could not reach the API server{}{}, and could again: {why_passed}. Pods that start before the node's rules are written say such things.",
                given.reached_for_in_brackets(),
                given.when()
            )
        } else {
            format!(
                "{who}{which} can't reach the API server{}{}.{on}",
                given.reached_for_in_brackets(),
                given.when()
            )
        },
        fix: if passed {
            "Nothing to mend, unless it comes back.".to_owned()
        } else {
            "Test from a pod on the same node, and from one on another node. Only on some nodes: their kube-proxy or their network. Only in some namespaces: a network policy. Everywhere: what keeps the nodes themselves from the API server.".to_owned()
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
        verify: vec![format!("{test}   # a version, or 403: both mean that it is reached")],
    };
    let title = if passed {
        format!("{who} could not reach the API server for a while")
    } else {
        format!("{who} can't reach the API server")
    };
    let about = if passed { "passing" } else { "pods" };
    let mut finding = given.finding(&DETECTOR, about, title, says)?;
    finding.subjects.extend(node.as_deref().map(observed::node_subject));
    Some(finding)
}
