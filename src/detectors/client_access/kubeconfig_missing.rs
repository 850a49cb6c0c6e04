//! kubectl has no kubeconfig, and asks the machine that it runs on.

use crate::cluster::Cluster;
use crate::cluster::reachability::{Unreached, What, Who};
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::{self, Wording, aks_named};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::{Failure, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "kubeconfig-missing",
    chapter: Chapter::ClientAccess,
    title: "kubectl has no configuration of the cluster",
    guide: &["1"],
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "Without a kubeconfig, kubectl asks localhost:8080, where nothing listens. That happens to another user than the one who fetched it (sudo, a service, a pipeline), on a new machine, or when the variable KUBECONFIG names a file that is not there.",
        decision: "A client's refused connection to port 8080 of its own machine, or the words 'no configuration has been provided'. The text means nothing else.",
        action: "Fetch the kubeconfig as the user who runs kubectl.",
        reference: "AKS: config file isn't available when connecting.",
    },
    detect,
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
            "kubectl{} found no kubeconfig and asked its own machine on port 8080, where no API server is. This says nothing of the cluster.",
            observed.when()
        ),
        fix: "Fetch the kubeconfig as the user who runs kubectl; look whether KUBECONFIG names another file."
            .to_owned(),
        commands: vec![
            format!("az aks get-credentials {named}"),
            "echo $KUBECONFIG; kubectl config get-contexts".to_owned(),
        ],
        verify: vec!["kubectl config current-context   # names the cluster".to_owned()],
    };
    observed
        .finding(&DETECTOR, "client", "kubectl runs without a kubeconfig".to_owned(), says)
        .into_iter()
        .collect::<Vec<_>>()
        .into()
}
