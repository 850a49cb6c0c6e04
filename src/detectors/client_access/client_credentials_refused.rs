//! The API server does not take the client's credentials, or the client can't get any.

use crate::cluster::Cluster;
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::{self, Observed, Wording, aks_named, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "client-credentials-refused",
    chapter: Chapter::ClientAccess,
    title: "A client's credentials are missing, expired or not taken",
    guide: &["1"],
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "The API server is reached, and does not know who asks: the certificate or token in the kubeconfig is old (clusters' certificates are rotated), local accounts were switched off, or the plugin that fetches a token (kubelogin) is missing or was refused by Entra ID.",
        decision: "The words 'You must be logged in to the server' and 'asked for the client to provide credentials' (401), or an error of the credential plugin. Confirmed for the plugin, whose error is its own; likely for a 401.",
        action: "Fetch the kubeconfig anew; install kubelogin and sign in.",
        reference: "AKS: use kubelogin; manage local accounts; certificate rotation.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let all = observed::signals(cluster, |key| {
        matches!(key.signal, Signal::NoCredentials | Signal::CredentialPlugin).then_some(key.signal)
    });
    all.into_iter()
        .filter_map(|(signal, observed)| finding(cluster, signal, observed))
        .collect::<Vec<_>>()
        .into()
}

fn finding(cluster: &Cluster, signal: Signal, mut observed: Observed) -> Option<Finding> {
    let aks = cluster.azure.cluster();
    let named = aks_named(cluster);
    let verify = vec!["kubectl auth whoami   # names you".to_owned()];
    if signal == Signal::CredentialPlugin {
        let message = listed(observed.details.iter().map(String::as_str), 2);
        let missing = message.contains("not found");
        let (fix, commands) = if missing {
            (
                "Install kubelogin where kubectl runs, and let the kubeconfig use it.",
                vec!["az aks install-cli".to_owned(), "kubelogin convert-kubeconfig -l azurecli".to_owned()],
            )
        } else {
            (
                "Sign in again; the error of Entra ID names what it refused (an account, a policy, an expired secret).",
                vec!["az login".to_owned(), "kubelogin convert-kubeconfig -l azurecli".to_owned()],
            )
        };
        let says = Wording {
            severity: Severity::High,
            confidence: Confidence::Confirmed,
            unit: "failed attempt",
            cause: format!(
                "kubectl could not get a token{}: the credential plugin failed ({message}). The API server was not asked.",
                observed.when()
            ),
            fix: fix.to_owned(),
            commands,
            verify,
        };
        let title = if missing {
            "kubectl has no credential plugin (kubelogin)"
        } else {
            "A client's credential plugin can't get a token"
        };
        return observed.finding(&DETECTOR, "plugin", title.to_owned(), says);
    }
    let local = aks.filter(|aks| aks.no_local_accounts);
    if let Some(aks) = local {
        observed.show_first(aks.evidence("disableLocalAccounts", "true"));
    }
    let why = if local.is_some() {
        "local accounts are switched off, so the certificate of an old kubeconfig is not taken"
    } else {
        "the certificate or token in the kubeconfig is expired, was rotated, or is of another cluster"
    };
    let says = Wording {
        severity: Severity::High,
        confidence: if local.is_some() { Confidence::Confirmed } else { Confidence::Likely },
        unit: "failed attempt",
        cause: format!(
            "The API server was reached{} and answered 401: it does not know who asks; {why}.",
            observed.when()
        ),
        fix: "Fetch the kubeconfig of the cluster anew, and sign in.".to_owned(),
        commands: vec![
            format!("az aks get-credentials {named} --overwrite-existing"),
            "kubelogin convert-kubeconfig -l azurecli   # clusters with Entra ID".to_owned(),
        ],
        verify,
    };
    observed.finding(
        &DETECTOR,
        "unauthorized",
        "The API server does not take a client's credentials (401)".to_owned(),
        says,
    )
}
