//! An identity of the cluster lacks a right in Azure, or can't sign in.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::needs::AZURE_ERRORS;
use crate::detectors::observed::{self, Observed, Wording, aks_named, aks_subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, shell};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "azure-identity-lacks-permission",
    chapter: Chapter::Nodes,
    title: "An identity lacks a right in Azure, or can't sign in",
    guide: &["4"],
    needs: &[AZURE_ERRORS],
    explains: &["load-balancer-pending", "node-not-ready", "autoscaler-refuses"],
    doc: Doc {
        meaning: "The cluster acts in Azure with an identity of its own: it joins nodes and load balancers to subnets, attaches disks and addresses. Resources that somebody else made (a subnet, a public address, a route table) need a role for it. A service principal's secret ends after a year or two, and then nothing works at all.",
        decision: "Azure's own words: AuthorizationFailed and LinkedAuthorizationFailed with action and scope, or an AADSTS code of the sign-in. Confirmed, since Azure names what it refused; possible when it ended long before the logs do.",
        action: "Grant the role on the scope that is named; renew the secret.",
        reference: "AKS: use a managed identity; update or rotate the credentials of a service principal.",
    },
    detect,
};

/// What a code of the sign-in means.
const SIGN_IN: &[(&str, &str)] = &[
    ("AADSTS7000222", "the secret of the service principal is expired"),
    ("AADSTS7000215", "the secret of the service principal is wrong"),
    ("AADSTS700016", "the application does not exist in this tenant"),
    ("AADSTS50034", "the account does not exist"),
    ("AADSTS50076", "the account must confirm with a second factor"),
];

fn detect(cluster: &Cluster) -> Outcome {
    let all: BTreeMap<String, Observed> = observed::signals(cluster, |key| {
        // One finding for an action, whatever the scopes.
        let mut words = key.detail.split(' ');
        let (code, action) = (words.next()?, words.next().unwrap_or_default());
        (key.signal == Signal::AzureRefused).then(|| format!("{code} {action}").trim().to_owned())
    });
    all.into_iter()
        .filter_map(|(what, observed)| finding(cluster, &what, observed))
        .collect::<Vec<_>>()
        .into()
}

fn finding(cluster: &Cluster, what: &str, observed: Observed) -> Option<Finding> {
    let (code, action) = what.split_once(' ').unwrap_or((what, ""));
    let passed = cluster.is_over(observed.span);
    let (severity, confidence) =
        if passed { (Severity::Low, Confidence::Possible) } else { (Severity::High, Confidence::Confirmed) };
    let scope =
        observed.details.iter().find_map(|detail| detail.split(' ').nth(2)).unwrap_or("SCOPE").to_owned();
    if code.starts_with("AADSTS") {
        let meaning = SIGN_IN
            .iter()
            .find(|(ours, _)| *ours == code)
            .map_or("Entra ID refused the sign-in", |(_, meaning)| meaning);
        let says = Wording {
            severity,
            confidence,
            unit: "error",
            cause: format!("Entra ID answered {code}{}: {meaning}.", observed.when()),
            fix: "Renew the secret of the service principal and give it to the cluster, or change the cluster to a managed identity, which has none.".to_owned(),
            commands: vec![
                "az ad app credential reset --id APP_ID".to_owned(),
                format!("az aks update-credentials {} --reset-service-principal --service-principal APP_ID --client-secret SECRET", aks_named(cluster)),
            ],
            verify: vec![format!("az aks update {}   # reconciles without this error", aks_named(cluster))],
        };
        let mut finding = observed.finding(
            &DETECTOR,
            what,
            format!("The cluster can't sign in to Azure: {meaning} ({code})"),
            says,
        )?;
        finding.subjects.extend(aks_subject(cluster));
        return Some(finding);
    }
    let does = if action.is_empty() { "an action that the line names".to_owned() } else { action.to_owned() };
    let role = if action.contains("Microsoft.Network") { "Network Contributor" } else { "ROLE" };
    let says = Wording {
        severity,
        confidence,
        unit: "error",
        cause: format!("Azure refused {does}{}: the identity has no role that allows it on {}.", observed.when(), if scope == "SCOPE" { "the resource that the line names" } else { &scope }),
        fix: "Grant the identity that the line names a role with that action, on the scope that it names: for subnets, route tables and public addresses outside the node resource group that is Network Contributor. It may take some minutes to hold.".to_owned(),
        commands: vec![format!("az role assignment create --assignee IDENTITY --role \"{role}\" --scope {}", shell(&scope))],
        verify: vec![format!("az aks update {}   # reconciles without this error", aks_named(cluster))],
    };
    let mut finding = observed.finding(
        &DETECTOR,
        what,
        format!("An identity may not do {does} in Azure ({code})"),
        says,
    )?;
    finding.subjects.extend(aks_subject(cluster));
    Some(finding)
}
