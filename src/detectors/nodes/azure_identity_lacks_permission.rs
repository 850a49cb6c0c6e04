//! An identity lacks a permission in Azure, or cannot sign in to Microsoft Entra ID.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::AZURE_ERRORS;
use crate::detectors::observed::{self, Observed, Wording, aks_named, aks_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "azure-identity-lacks-permission",
    chapter: Chapter::Nodes,
    title: "Identity lacks an Azure permission (AuthorizationFailed), or cannot sign in",
    needs: &[AZURE_ERRORS],
    explains: &["load-balancer-pending", "node-not-ready", "autoscaler-refuses"],
    doc: Doc {
        meaning: "The cluster calls Azure with its identity: it joins nodes and load balancers to subnets, attaches disks and public IPs. Resources outside the node resource group (subnet, public IP, route table) need a role assignment; without one Azure answers 403 AuthorizationFailed or LinkedAuthorizationFailed. A service principal's secret expires (AADSTS7000222), and then all calls fail.",
        decision: "Azure's own answer: AuthorizationFailed or LinkedAuthorizationFailed with the action, or an AADSTS sign-in code. Confirmed; possible and low when it ended well before the logs do.",
        action: "Assign the role on the scope in the error; renew an expired secret.",
        reference: "AKS: Use a managed identity in AKS; Update or rotate the credentials for an AKS cluster. Azure RBAC: Troubleshoot Azure RBAC.",
    },
    detect: Evaluation::Rule(detect),
};

/// What a code of the sign-in means.
const SIGN_IN: &[(&str, &str)] = &[
    ("AADSTS7000222", "client secret expired"),
    ("AADSTS7000215", "invalid client secret"),
    ("AADSTS700016", "application not found in this tenant"),
    ("AADSTS50034", "account does not exist"),
    ("AADSTS50076", "multifactor authentication required"),
];

fn detect(cluster: &Cluster) -> Outcome {
    let all: BTreeMap<String, Observed> = observed::signals(cluster, |key| {
        // One finding for an action, whatever the scopes.
        let mut words = key.detail.split(' ');
        let (code, action) = (words.next()?, words.next().unwrap_or_default());
        (key.signal == Signal::AzureRefused).then(|| format!("{code} {action}").trim().to_owned())
    });
    all.into_iter().filter_map(|(what, observed)| finding(cluster, &what, observed)).collect()
}

/// The check that AKS can act in Azure again.
fn reconciled(cluster: &Cluster) -> Vec<String> {
    if cluster.is_elsewhere() {
        return Vec::new();
    }
    vec![format!("az aks update {}   # reconciles without this error", aks_named(cluster))]
}

/// Words of kubelogin (Azure/kubelogin `pkg/internal/token`): what it signs in with is the client's, and nothing of the cluster.
fn is_of_client(text: &str) -> bool {
    ["kubelogin", "failed to get token: ", "failed to create service principal token"]
        .iter()
        .any(|words| text.contains(words))
}

/// The service principal with which a client or a pipeline signs in.
fn of_client(
    observed: Observed,
    what: &str,
    code: &str,
    meaning: &str,
    (severity, confidence): (Severity, Confidence),
) -> Option<Finding> {
    let says = Wording {
        severity: severity.min(Severity::Medium),
        confidence,
        unit: "error",
        cause: format!(
            "Microsoft Entra ID answered {code} to the client's kubelogin{}: {meaning}. It is the service principal of the client or pipeline (AAD_SERVICE_PRINCIPAL_CLIENT_ID, AAD_SERVICE_PRINCIPAL_CLIENT_SECRET).",
            observed.when()
        ),
        fix: "Create a new secret for that service principal, and store it where the client or pipeline reads it.".to_owned(),
        commands: vec!["az ad app credential reset --id APP_ID --append".to_owned()],
        verify: vec!["kubectl get --raw /readyz   # from the client: ok".to_owned()],
    };
    let title = format!(
        "Client's sign-in to Microsoft Entra ID (kubelogin) failed: {meaning} of its credential ({code})"
    );
    observed.finding(&DETECTOR, what, title, says)
}

fn finding(cluster: &Cluster, what: &str, observed: Observed) -> Option<Finding> {
    let (code, action) = what.split_once(' ').unwrap_or((what, ""));
    let passed = observed.is_over(cluster);
    let (severity, confidence) =
        if passed { (Severity::Low, Confidence::Possible) } else { (Severity::High, Confidence::Confirmed) };
    let part = |at: usize| {
        let parts = observed.details.iter().filter_map(|detail| detail.split(' ').nth(at));
        parts.filter(|part| !part.is_empty()).map(ToOwned::to_owned).next()
    };
    let scope = part(2).unwrap_or_else(|| "SCOPE".to_owned());
    let identity = part(3);
    if code.starts_with("AADSTS") {
        let meaning =
            SIGN_IN.iter().find(|(ours, _)| *ours == code).map_or("sign-in refused", |(_, meaning)| meaning);
        if observed.evidence.iter().any(|place| is_of_client(&place.excerpt)) {
            return of_client(observed, what, code, meaning, (severity, confidence));
        }
        let says = Wording {
            severity,
            confidence,
            unit: "error",
            cause: format!("Microsoft Entra ID answered {code}{}: {meaning}.", observed.when()),
            fix: "Create a new secret for the service principal and update the cluster with it, or switch the cluster to a managed identity, which has no secret. Both update every node pool and take time; --append keeps the old secret valid.".to_owned(),
            commands: if cluster.is_elsewhere() {
                vec!["az ad app credential reset --id APP_ID --append".to_owned()]
            } else { vec![
                "az ad app credential reset --id APP_ID --append".to_owned(),
                format!("az aks update-credentials {} --reset-service-principal --service-principal APP_ID --client-secret SECRET", aks_named(cluster)),
            ] },
            verify: reconciled(cluster),
        };
        let mut finding = observed.finding(
            &DETECTOR,
            what,
            format!("Sign-in to Microsoft Entra ID failed: {meaning} ({code})"),
            says,
        )?;
        finding.subjects.extend(aks_subject(cluster));
        return Some(finding);
    }
    let does = if action.is_empty() { "an action".to_owned() } else { action.to_owned() };
    let role = if action.contains("Microsoft.Network") { "Network Contributor" } else { "ROLE" };
    let who = identity
        .as_ref()
        .map_or_else(|| "the identity".to_owned(), |identity| format!("identity {identity}"));
    let linked = if scope == "SCOPE" { "a linked scope" } else { &scope };
    let says = Wording {
        severity,
        confidence,
        unit: "error",
        cause: if code.starts_with("Linked") {
            format!("Azure denied a request{} with {code}: {who} lacks {does} on {linked}, which the request links to.", observed.when())
        } else {
            format!("Azure denied {does}{} with {code}: {who} has no role assignment that allows it on {}.", observed.when(), if scope == "SCOPE" { "the scope in the quoted error" } else { &scope })
        },
        fix: "Assign the identity in the quoted error a role with that action on that scope: Network Contributor for subnets, route tables and public IPs outside the node resource group. A role assignment takes some minutes to apply.".to_owned(),
        commands: vec![format!("az role assignment create --assignee {} --role \"{role}\" --scope {}", identity.as_deref().map_or_else(|| "IDENTITY".to_owned(), shell), shell(&scope))],
        verify: reconciled(cluster),
    };
    let mut finding = observed.finding(
        &DETECTOR,
        what,
        if action.is_empty() {
            format!("Azure denied a request: permission missing ({code})")
        } else {
            format!("Azure denied {action} ({code})")
        },
        says,
    )?;
    finding.subjects.extend(aks_subject(cluster));
    Some(finding)
}
