//! kubectl has no kubeconfig, and connects to localhost:8080.

use crate::cluster::Cluster;
use crate::cluster::reachability::{Unreached, What, Who};
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::{self, Wording, aks_named};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};
use crate::facts::{Failure, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "kubeconfig-missing",
    chapter: Chapter::ClientAccess,
    title: "kubectl has no kubeconfig (localhost:8080 connection refused)",
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "Without a kubeconfig, kubectl connects to localhost:8080 ('The connection to the server localhost:8080 was refused'). Usual reasons: kubectl runs as another user than the one who has the kubeconfig (sudo, a service, a pipeline), on a new machine, or with a KUBECONFIG that names a missing file.",
        decision: "kubectl's refused connection to port 8080 of its own machine, or 'no configuration has been provided'. Confirmed: the text has no other meaning.",
        action: "Get the kubeconfig (az aks get-credentials) as the user who runs kubectl.",
        reference: "learn.microsoft.com: Config file isn't available when connecting (AKS troubleshooting).",
    },
    detect: Evaluation::Rule(detect),
};

/// kubectl's own words: a curl to the same port is somebody's test of something else.
fn of_kubectl(item: &Unreached) -> bool {
    item.evidence.iter().any(|line| line.excerpt.contains("server") || line.excerpt.contains("/api"))
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut given =
        observed::signals(cluster, |key| (key.signal == Signal::NoKubeconfig).then_some(())).remove(&());
    let refused = cluster.unreached.iter().filter(|item| {
        item.who == Who::Client
            && item.what == What::Itself
            && item.failure == Failure::Refused
            && item.port == 8080
            && of_kubectl(item)
    });
    for item in refused {
        given.get_or_insert_default().add_attempt(item);
    }
    let Some(observed) = given else { return Outcome::default() };
    let named = aks_named(cluster);
    let says = Wording {
        severity: Severity::High,
        confidence: Confidence::Confirmed,
        unit: "failed attempt",
        cause: format!(
            "kubectl{} found no kubeconfig, so it has no API server to connect to (its default is localhost:8080). This says nothing about the cluster.",
            observed.when()
        ),
        fix: "Get the kubeconfig as the user who runs kubectl; check whether KUBECONFIG names another file."
            .to_owned(),
        commands: vec![
            format!("az aks get-credentials {named}"),
            "echo \"$KUBECONFIG\"".to_owned(),
            "kubectl config get-contexts".to_owned(),
        ],
        verify: vec!["kubectl config current-context   # prints the name of the cluster".to_owned()],
    };
    observed
        .finding(
            &DETECTOR,
            "client",
            "kubectl has no kubeconfig: no API server to connect to".to_owned(),
            says,
        )
        .into_iter()
        .collect()
}
