//! Pods get no answer from the cluster's DNS.

use crate::cluster::Cluster;
use crate::cluster::reachability::{What, Who};
use crate::detectors::needs::POD_LOGS;
use crate::detectors::observed::{self, Observed, Wording, counted, listed, node_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, shell};
use crate::facts::{Failure, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "pods-cannot-reach-dns",
    chapter: Chapter::Dns,
    title: "Pods get no answer from the cluster's DNS",
    guide: &["4.5"],
    needs: &[POD_LOGS],
    explains: &["container-crash-loop", "service-pods-not-ready"],
    doc: Doc {
        meaning: "A pod asks the service kube-dns for every name. Without an answer ('i/o timeout', 'Temporary failure in name resolution', EAI_AGAIN) it can't reach anything by name. CoreDNS may be down, a network policy or a security group between node pools may drop port 53, or the rules of one node may be broken.",
        decision: "Look-ups of pods that ended without an answer. Confirmed when they are seen five times and more, go on to the end of the logs, and no pod concerned is ready; likely when several; told as passing when the pods are ready or the look-ups ended. 'No such host' is an answer, and told elsewhere.",
        action: "See whether it is all pods, those of a node or those of a namespace; then CoreDNS, the node, or the policies.",
        reference: "AKS: troubleshoot DNS resolution problems; traffic between node pools is blocked by a custom network security group.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let given = observed::attempts(cluster, |attempt| {
        let pod = matches!(attempt.who, Who::Pod(_) | Who::Unknown);
        // Names that end with an answer of the wrong kind, and look-ups of the API server, are told elsewhere.
        (pod && attempt.failure == Failure::ResolverFailed && attempt.what != What::ApiServer).then_some(())
    })
    .remove(&());
    given.and_then(|observed| finding(cluster, observed)).into_iter().collect::<Vec<_>>().into()
}

fn finding(cluster: &Cluster, given: Observed) -> Option<Finding> {
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
    let passed = ready || (cluster.is_over(given.span) && !broken);
    let node = observed::common_node(cluster, &given.pods).filter(|_| given.pods.len() > 1);
    let names: Vec<String> = given.pods.iter().map(Key::label).collect();
    let who = match given.pods.len() {
        0 => "Programs in the cluster".to_owned(),
        1 => format!("Pod {}", names.first()?),
        n => counted(n, "pod"),
    };
    let (severity, confidence) = match (passed, given.count >= 5 && broken, given.count > 1) {
        (true, ..) => (Severity::Low, Confidence::Possible),
        (_, true, _) => (Severity::High, Confidence::Confirmed),
        (_, _, true) => (Severity::High, Confidence::Likely),
        _ => (Severity::Medium, Confidence::Possible),
    };
    let question = listed(given.resolvers.iter().map(String::as_str), 2);
    let of = if question.is_empty() { String::new() } else { format!(" of {question}") };
    let on = node.as_ref().map_or_else(String::new, |node| {
        format!(" All of them are on node {node}: look at its kube-proxy and its network first.")
    });
    let which = if given.pods.len() > 1 {
        format!(" ({})", listed(names.iter().map(String::as_str), 3))
    } else {
        String::new()
    };
    let sample = given.pods.iter().next().map_or_else(
        || {
            "kubectl run dns --image=busybox -i --rm --restart=Never -- nslookup kubernetes.default"
                .to_owned()
        },
        |pod| {
            format!(
                "kubectl exec {} -n {} -- nslookup kubernetes.default",
                shell(&pod.name),
                shell(&pod.namespace)
            )
        },
    );
    let says = Wording {
        severity,
        confidence,
        unit: "failed look-up",
        cause: if passed {
            format!(
                "{who}{which} got no answer{of} to look-ups{}{}, and did again: {}.",
                given.reached_for_in_brackets(),
                given.when(),
                if ready { "the pods are ready" } else { "later logs show no more of it" }
            )
        } else {
            format!(
                "{who}{which} get no answer{of} to look-ups{}{}.{on}",
                given.reached_for_in_brackets(),
                given.when()
            )
        },
        fix: if passed {
            "Nothing to mend, unless it comes back.".to_owned()
        } else {
            "See first whether CoreDNS is ready and the service kube-dns has endpoints. If only some pods fail: those of one node pool, a security group drops port 53 between subnets; those of one namespace, a network policy does; those of one node, its rules are broken.".to_owned()
        },
        commands: if passed {
            Vec::new()
        } else {
            vec![sample.clone(), "kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide; kubectl get endpoints kube-dns -n kube-system".to_owned()]
        },
        verify: vec![format!("{sample}   # an address")],
    };
    let title = if passed {
        format!("{who} got no answer from DNS for a while")
    } else {
        format!("{who} get no answer from DNS")
    };
    let mut finding = given.finding(&DETECTOR, if passed { "passing" } else { "pods" }, title, says)?;
    finding.subjects.extend(node.as_deref().map(node_subject));
    if !passed {
        finding.subjects.push(observed::subject("Service", &Key::new("kube-system", "kube-dns")));
    }
    Some(finding)
}
