//! DNS queries of pods time out.

use crate::cluster::Cluster;
use crate::cluster::reachability::{What, Who, is_api_name};
use crate::detectors::needs::POD_LOGS;
use crate::detectors::observed::{self, Observed, Wording, counted, listed, node_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::facts::{Failure, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "pods-cannot-reach-dns",
    chapter: Chapter::Dns,
    title: "DNS queries of pods fail (timeout, EAI_AGAIN, SERVFAIL)",
    needs: &[POD_LOGS],
    explains: &["container-crash-loop", "service-pods-not-ready"],
    doc: Doc {
        meaning: "Pods send DNS queries to the Service kube-dns. Without an answer ('i/o timeout', 'Temporary failure in name resolution', EAI_AGAIN, SERVFAIL) they cannot connect to anything by name. Usual reasons: CoreDNS is not ready; a NetworkPolicy, or an NSG between the subnets of node pools, blocks port 53; service rules of one node are missing (kube-proxy).",
        decision: "DNS queries in logs of pods that failed without an address and without NXDOMAIN. Confirmed when there are five or more and none of the pods is ready; likely when there are several; reported as low when the pods are ready or the errors ended long before the logs do. NXDOMAIN ('no such host') is an answer: see dns-name-unknown.",
        action: "Find out which pods fail: all (CoreDNS), those of one node (kube-proxy, CNI), of one node pool (NSG), or of one namespace (NetworkPolicy).",
        reference: "learn.microsoft.com: Troubleshoot DNS resolution failures in AKS; Traffic between node pools is blocked by a custom network security group. kubernetes.io: Debugging DNS Resolution.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let given = observed::attempts(cluster, |attempt| {
        let pod = matches!(attempt.who, Who::Pod(_) | Who::Unknown);
        // NXDOMAIN answers, and queries for the API server's public name, belong to other causes; its service's name is asked of the
        // cluster's DNS. A pod that asks itself (kube-dns' sidecar) says nothing of the others.
        let public = attempt.what == What::ApiServer && attempt.hosts.iter().any(|host| is_api_name(host));
        let itself =
            attempt.resolvers.iter().any(|server| server.starts_with("127.") || server.starts_with("[::1]"));
        (pod && attempt.failure == Failure::ResolverFailed && !public && !itself).then_some(())
    })
    .remove(&());
    // Words that leave open whether there is no such name or no answer, by name.
    let open = observed::attempts(cluster, |attempt| {
        let pod = matches!(attempt.who, Who::Pod(_) | Who::Unknown);
        (pod && attempt.failure == Failure::Unresolved)
            .then(|| attempt.hosts.first().cloned().unwrap_or_default())
    });
    let given = given.and_then(|observed| finding(cluster, observed));
    given
        .into_iter()
        .chain(open.into_iter().filter_map(|(name, observed)| unresolved(cluster, &name, observed)))
        .collect()
}

/// A name that does not resolve, and nobody tells why.
fn unresolved(cluster: &Cluster, name: &str, given: Observed) -> Option<Finding> {
    let passed = observed::all_ready(cluster, &given.pods) || given.is_over(cluster);
    let who = given.pods.iter().next().map_or_else(|| "a client in the cluster".to_owned(), Key::label);
    let look_up =
        format!("kubectl run dns --image=busybox -i --rm --restart=Never -- nslookup {}", shell(name));
    let says = Wording {
        severity: if passed { Severity::Low } else { Severity::Medium },
        confidence: Confidence::Possible,
        unit: "failed look-up",
        cause: format!(
            "{who} could not resolve {name}{}: either there is no such name, or DNS gave no answer; the program's error message does not say which.",
            given.when()
        ),
        fix: "Look the name up in the cluster: NXDOMAIN means that the name is wrong (Service, namespace, or spelling), a timeout or SERVFAIL that DNS does not answer.".to_owned(),
        commands: vec![look_up.clone(), "kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide".to_owned()],
        verify: vec![format!("{look_up}   # an address")],
    };
    let title = format!("{name} does not resolve{}", if passed { ", ended" } else { "" });
    given.finding(&DETECTOR, &format!("unresolved {name}"), title, says)
}

fn finding(cluster: &Cluster, given: Observed) -> Option<Finding> {
    let ready = observed::all_ready(cluster, &given.pods);
    let broken = observed::none_ready(cluster, &given.pods);
    let passed = ready || (given.is_over(cluster) && !broken);
    let node = observed::common_node(cluster, &given.pods).filter(|_| given.pods.len() > 1);
    let names: Vec<String> = given.pods.iter().map(Key::label).collect();
    let who = match given.pods.len() {
        0 => "unidentified client".to_owned(),
        1 => format!("pod {}", names.first()?),
        n => counted(n, "pod"),
    };
    let client = if given.pods.len() > 1 { "Clients" } else { "Client" };
    let (severity, confidence) = match (passed, given.count >= 5 && broken, given.count > 1) {
        (true, ..) => (Severity::Low, Confidence::Possible),
        (_, true, _) => (Severity::High, Confidence::Confirmed),
        (_, _, true) => (Severity::High, Confidence::Likely),
        _ => (Severity::Medium, Confidence::Possible),
    };
    let question = listed(given.resolvers.iter().map(String::as_str), 2);
    let of = if question.is_empty() { String::new() } else { format!(" to {question}") };
    let on = node.as_ref().map_or_else(String::new, |node| {
        format!(" All these pods are on node {node}: check kube-proxy and the network of that node first.")
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
        unit: "failed DNS query",
        cause: if passed {
            format!(
                "DNS queries{of} failed{}{}. {client}: {who}{which}. Since then {}.",
                given.reached_for_in_brackets(),
                given.when(),
                if ready { "these pods are ready" } else { "the logs show no more of these errors" }
            )
        } else {
            format!(
                "DNS queries{of} fail{}{}. {client}: {who}{which}.{on}",
                given.reached_for_in_brackets(),
                given.when()
            )
        },
        fix: if passed {
            "No action needed unless it comes back.".to_owned()
        } else {
            "Check first that CoreDNS is ready and the Service kube-dns has endpoints. If only some pods fail, find what they share: one node pool (an NSG may block port 53 between subnets), one namespace (a NetworkPolicy may block DNS egress), one node (its kube-proxy or CNI).".to_owned()
        },
        commands: if passed {
            Vec::new()
        } else {
            vec![
                sample.clone(),
                "kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide".to_owned(),
                "kubectl get endpointslices -n kube-system -l kubernetes.io/service-name=kube-dns".to_owned(),
            ]
        },
        verify: vec![format!("{sample}   # an address")],
    };
    let title = if passed {
        format!("DNS queries failed (timeout or SERVFAIL), ended: {who}")
    } else {
        format!("DNS queries fail (timeout or SERVFAIL): {who}")
    };
    let mut finding = given.finding(&DETECTOR, if passed { "passing" } else { "pods" }, title, says)?;
    finding.subjects.extend(node.as_deref().map(node_subject));
    if !passed {
        finding.subjects.push(observed::subject("Service", &Key::new("kube-system", "kube-dns")));
    }
    Some(finding)
}
