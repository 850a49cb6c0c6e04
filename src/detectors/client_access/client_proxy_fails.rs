//! A client should use a proxy, and does not get past it.

use super::common;
use crate::cluster::Cluster;
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::Wording;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};
use crate::facts::Failure;

pub(super) const DETECTOR: Detector = Detector {
    id: "client-proxy-fails",
    chapter: Chapter::ClientAccess,
    title: "Client proxy fails (proxyconnect)",
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "The client's environment (HTTPS_PROXY) or kubeconfig (proxy-url) names a proxy, and kubectl cannot connect through it. No request reached the API server, so its state and its authorized IP ranges do not matter yet.",
        decision: "A client's error with 'proxyconnect', which names the address of the proxy. Confirmed: the text has no other meaning.",
        action: "Correct the proxy address, or bypass the proxy for the API server (NO_PROXY).",
        reference: "learn.microsoft.com: TCP time-outs when kubectl or other third-party tools connect to the API server. kubernetes.io: kubeconfig, proxy-url.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let Some(observed) = common::attempts(cluster, |attempt| attempt.failure == Failure::Proxy) else {
        return Outcome::default();
    };
    let says_so = |words: &[&str]| {
        observed.evidence.iter().any(|place| words.iter().any(|word| place.excerpt.contains(word)))
    };
    // What was dialled is the proxy itself; in other words the host is the one behind it.
    let of_proxy = says_so(&["proxyconnect"]);
    let refused = if says_so(&["Proxy Authentication Required", "response 407", "code 407"]) {
        "407 Proxy Authentication Required"
    } else if says_so(&["response 403", "code 403", ": Forbidden"]) {
        "403 Forbidden"
    } else if says_so(&["response 50", "code 50", "Bad Gateway", "Gateway Timeout", "Service Unavailable"]) {
        "a server error (5xx)"
    } else {
        ""
    };
    let named = if of_proxy { observed.reached_for_in_brackets() } else { String::new() };
    let behind = if of_proxy { String::new() } else { observed.reached_for_in_brackets() };
    let answer = if refused.is_empty() {
        "connecting through it failed".to_owned()
    } else {
        format!("the proxy answered {refused}")
    };
    let says = Wording {
        severity: Severity::High,
        confidence: Confidence::Confirmed,
        unit: "failed attempt",
        cause: format!(
            "The client uses a proxy{named}, and {answer}{}. No request reached the API server{behind}.",
            observed.when()
        ),
        fix: "Check which proxy the environment and the kubeconfig name, and that it runs. If the API server can be reached without it, add its FQDN to NO_PROXY.".to_owned(),
        commands: vec![
            "env | grep -i _proxy".to_owned(),
            "kubectl config view --minify | grep proxy-url".to_owned(),
            "NO_PROXY=.azmk8s.io kubectl get nodes".to_owned(),
        ],
        verify: common::verify(),
    };
    observed
        .finding(
            &DETECTOR,
            "client",
            if refused.is_empty() {
                "Client proxy fails (proxyconnect): no connection through the proxy".to_owned()
            } else {
                format!("Client proxy refuses the connection: {refused}")
            },
            says,
        )
        .into_iter()
        .collect()
}
