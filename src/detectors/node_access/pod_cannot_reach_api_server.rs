//! Pods get no connection to the API server.

use super::common;
use crate::cluster::Cluster;
use crate::cluster::azure::at;
use crate::cluster::reachability::{What, Who};
use crate::detectors::needs::POD_LOGS;
use crate::detectors::told::{self, Says, Told, counted, listed};
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
    judge,
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

fn judge(cluster: &Cluster) -> Outcome {
    let told = told::attempts(cluster, |one| {
        let pod = matches!(one.who, Who::Pod(_) | Who::Unknown);
        (pod && one.what == What::ApiServer && common::no_connection(one.failure)).then_some(())
    })
    .remove(&());
    let (reached, failed) = tests(cluster);
    let Some(told) = told else {
        if reached.is_empty() || !failed.is_empty() {
            return Outcome::default();
        }
        return Outcome {
            ruled_out: Some("a test from a pod, saved in the bundle, reached the API server".to_owned()),
            ..Outcome::default()
        };
    };
    finding(cluster, told, &reached, failed).into_iter().collect::<Vec<_>>().into()
}

fn finding(
    cluster: &Cluster,
    mut told: Told,
    reached: &[Evidence],
    failed: Vec<Evidence>,
) -> Option<Finding> {
    let tested = !failed.is_empty();
    let ready = told::all_ready(cluster, &told.pods);
    let broken = !told.pods.is_empty()
        && told.pods.iter().all(|key| {
            cluster
                .facts
                .objects
                .pods
                .get(&key.namespace, &key.name)
                .is_some_and(|seen| !seen.object.is_ready())
        });
    // A pod that waits before its next start is silent, and nothing is over for it.
    let passed = !tested && !broken && (cluster.is_over(told.span) || ready || !reached.is_empty());
    told.show_first(failed);
    let node = told::common_node(cluster, &told.pods).filter(|_| told.pods.len() > 1);
    let shown: Vec<String> = told.pods.iter().map(crate::facts::Key::shown).collect();
    let names = listed(shown.iter().map(String::as_str), 3);
    let who = match told.pods.len() {
        0 => "A program in the cluster".to_owned(),
        1 => format!("Pod {names}"),
        n => counted(n, "pod"),
    };
    let (severity, confidence) = match (passed, tested || broken, told.count > 1) {
        (true, ..) => (Severity::Low, Confidence::Possible),
        (_, true, _) => (Severity::High, Confidence::Confirmed),
        (_, _, true) => (Severity::High, Confidence::Likely),
        _ => (Severity::Medium, Confidence::Possible),
    };
    let which = if told.pods.len() > 1 { format!(" ({names})") } else { String::new() };
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
    let first = told.pods.iter().next().cloned();
    let test = first.as_ref().map_or_else(
        || "kubectl run curl --image=mcr.microsoft.com/azure-cli -i --rm --restart=Never -- curl -sk https://kubernetes.default.svc/version".to_owned(),
        |pod| format!("kubectl exec {} -n {} -- sh -c 'curl -sk https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/version'", shell(&pod.name), shell(&pod.namespace)),
    );
    let says = Says {
        severity,
        confidence,
        unit: "failed attempt",
        cause: if passed {
            format!(
                "{who}{which} could not reach the API server{}{}, and could again: {why_passed}. Pods that start before the node's rules are written say such things.",
                told.reached_for_in_brackets(),
                told.when()
            )
        } else {
            format!(
                "{who}{which} can't reach the API server{}{}.{on}",
                told.reached_for_in_brackets(),
                told.when()
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
    let mut finding = told.finding(&DETECTOR, about, title, says)?;
    finding.subjects.extend(node.as_deref().map(told::node_subject));
    Some(finding)
}
