//! 401 Unauthorized: the API server does not accept the client's credentials, or the client cannot get any.

use crate::cluster::Cluster;
use crate::detectors::needs::CLIENT_ERRORS;
use crate::detectors::observed::{self, Observed, Wording, aks_named, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "client-credentials-refused",
    chapter: Chapter::ClientAccess,
    title: "401 Unauthorized: client credentials missing, expired or not accepted",
    needs: &[CLIENT_ERRORS],
    explains: &[],
    doc: Doc {
        meaning: "The API server was reached and answered 401 Unauthorized: it does not accept the certificate or token. Usual reasons: it has expired, the cluster's certificates were rotated, or local accounts were disabled. Or the credential plugin (kubelogin) is not installed or was refused by Microsoft Entra ID, so kubectl sends no request at all.",
        decision: "'You must be logged in to the server (Unauthorized)', 'the server has asked for the client to provide credentials' (401), or an error of the credential plugin ('getting credentials: exec'). Confirmed for a plugin error, and for a 401 of a cluster with local accounts disabled; otherwise likely.",
        action: "Get the kubeconfig again (az aks get-credentials); install kubelogin and sign in.",
        reference: "learn.microsoft.com: Use kubelogin to authenticate users in AKS; Manage local accounts with AKS-managed Microsoft Entra integration; Certificate rotation in AKS.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let all = observed::signals(cluster, |key| {
        matches!(key.signal, Signal::NoCredentials | Signal::CredentialPlugin).then_some(key.signal)
    });
    all.into_iter().filter_map(|(signal, observed)| finding(cluster, signal, observed)).collect()
}

fn finding(cluster: &Cluster, signal: Signal, mut observed: Observed) -> Option<Finding> {
    let aks = cluster.azure.cluster();
    let named = aks_named(cluster);
    let verify = vec!["kubectl auth whoami   # prints your user name".to_owned()];
    if signal == Signal::CredentialPlugin {
        let message = listed(observed.details.iter().map(String::as_str), 2);
        let missing = message.contains("not found");
        // `exec: executable gke-gcloud-auth-plugin not found`
        let plugin = message.split_once("executable ").and_then(|(_, rest)| rest.split([' ', ',']).next());
        let plugin = plugin.unwrap_or("kubelogin");
        let (fix, commands) = if missing && plugin != "kubelogin" {
            (
                "Install the credential plugin that the message names where kubectl runs, and put its directory into PATH.",
                Vec::new(),
            )
        } else if missing {
            (
                "Install kubelogin where kubectl runs, and convert the kubeconfig to use it. The commands change this machine's kubectl, kubelogin and kubeconfig, nothing in the cluster.",
                vec!["az aks install-cli".to_owned(), "kubelogin convert-kubeconfig -l azurecli".to_owned()],
            )
        } else {
            (
                "Sign in again. The error of Microsoft Entra ID names what it refused (an account, a Conditional Access policy, an expired secret).",
                vec!["az login".to_owned(), "kubelogin convert-kubeconfig -l azurecli".to_owned()],
            )
        };
        let says = Wording {
            severity: Severity::High,
            confidence: Confidence::Confirmed,
            unit: "failed attempt",
            cause: format!(
                "kubectl could not get a token{}: the credential plugin failed ({message}). No request reached the API server.",
                observed.when()
            ),
            fix: fix.to_owned(),
            commands,
            verify,
        };
        let title = if missing {
            format!("kubectl credential plugin not found ({plugin})")
        } else {
            "kubectl credential plugin failed: no token".to_owned()
        };
        return observed.finding(&DETECTOR, "plugin", title, says);
    }
    let local = aks.filter(|aks| aks.no_local_accounts);
    if let Some(aks) = local {
        observed.show_first(aks.evidence("disableLocalAccounts", "true"));
    }
    let why = if local.is_some() {
        "local accounts are disabled, so a client certificate of an older kubeconfig is not accepted"
    } else {
        "usual reasons are an expired certificate or token, rotated cluster certificates, or a kubeconfig of another cluster"
    };
    let says = Wording {
        severity: Severity::High,
        confidence: if local.is_some() { Confidence::Confirmed } else { Confidence::Likely },
        unit: "failed attempt",
        cause: format!(
            "The API server was reached{} and answered 401 Unauthorized: {why}.",
            observed.when()
        ),
        fix: "Get the kubeconfig of the cluster again, and sign in. --overwrite-existing replaces the entry of this cluster in the local kubeconfig.".to_owned(),
        commands: vec![
            format!("az aks get-credentials {named} --overwrite-existing"),
            "kubelogin convert-kubeconfig -l azurecli   # clusters with Microsoft Entra ID".to_owned(),
        ],
        verify,
    };
    observed.finding(
        &DETECTOR,
        "unauthorized",
        "401 Unauthorized: API server does not accept the client's credentials".to_owned(),
        says,
    )
}
