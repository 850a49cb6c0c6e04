//! A registry answers image pulls with 401 Unauthorized.

use std::collections::BTreeSet;

use super::{PULLS, images_and_pods, pulled_since, pulls};
use crate::cluster::Cluster;
use crate::detectors::observed::{Observed, Wording, aks_named, host_word, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::facts::{Key, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "image-pull-unauthorized",
    chapter: Chapter::Images,
    title: "Image pulls fail with 401 Unauthorized",
    needs: &[PULLS],
    explains: &["connection-failing", "service-pods-not-ready"],
    doc: Doc {
        meaning: "The registry does not accept the credentials: the kubelet identity has no AcrPull role on it, its secret has expired, or the pod's pull secret is missing or wrong. Registries also answer 401 for a repository that does not exist. The pods stay in ErrImagePull or ImagePullBackOff.",
        decision: "`401 Unauthorized`, `authentication required` or `pull access denied` in failed pulls, by registry. Confirmed, high. Possible and low when the pods concerned are ready, or the logs go on without it.",
        action: "Check the image name; attach the registry to the cluster (az aks update --attach-acr), or correct the pull secret.",
        reference: "AKS: Failed to pull an image from Azure Container Registry to AKS (401 Unauthorized). Kubernetes: Pull an Image from a Private Registry.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    pulls(cluster, Signal::ImageUnauthorised)
        .into_iter()
        .filter_map(|(registry, pull)| finding(cluster, &registry, pull))
        .collect()
}

fn finding(cluster: &Cluster, registry: &str, observed: Observed) -> Option<Finding> {
    let passed = pulled_since(cluster, &observed);
    let of_azure = registry.contains(".azurecr.");
    let host = host_word(registry, "REGISTRY");
    let name = host.split('.').next().unwrap_or(&host);
    let secrets = missing_secrets(cluster, &observed);
    let lacking = match secrets.first() {
        Some((namespace, _)) => {
            let names: Vec<&str> = secrets.iter().map(|(_, name)| name.as_str()).collect();
            let namespace =
                if namespace.is_empty() { String::new() } else { format!(" in namespace {namespace}") };
            format!(
                " The pull secret {} that the pod names was not found{namespace} (FailedToRetrieveImagePullSecret).",
                listed(names.iter().copied(), 3)
            )
        }
        None => String::new(),
    };
    let says = Wording {
        severity: if passed { Severity::Low } else { Severity::High },
        confidence: if passed { Confidence::Possible } else { Confidence::Confirmed },
        unit: "failed pull",
        cause: format!(
            "Registry {registry} answered 401 Unauthorized to image pulls{}: {}. The credentials are missing, wrong or expired, or there is no such repository.{lacking}",
            observed.when(),
            images_and_pods(&observed)
        ),
        fix: if of_azure && cluster.is_elsewhere() {
            "Check the image name first. Then grant the identity that pulls (node identity or pull secret) AcrPull on the registry, and check whether its secret has expired.".to_owned()
        } else if of_azure {
            "Check the image name first. Then grant the kubelet identity AcrPull on the registry (attach-acr does; it needs role assignment rights there). With a service principal, check whether its secret has expired.".to_owned()
        } else {
            "Check the image name first. Then create a pull secret with valid credentials in the pod's namespace, and name it in imagePullSecrets of the pod or its service account.".to_owned()
        },
        commands: if of_azure && cluster.is_elsewhere() {
            vec![format!(
                "az role assignment list --scope $(az acr show -n {name} --query id -o tsv) -o table   # who has AcrPull"
            )]
        } else if of_azure {
            vec![
                format!("az aks check-acr {} --acr {host}", aks_named(cluster)),
                format!("az aks update {} --attach-acr {name}", aks_named(cluster)),
            ]
        } else {
            vec![format!(
                "kubectl create secret docker-registry {} -n {} --docker-server={host} --docker-username=USER --docker-password=PASSWORD",
                secrets.first().map_or_else(|| "pull-secret".to_owned(), |(_, name)| shell(name)),
                secrets
                    .first()
                    .filter(|(namespace, _)| !namespace.is_empty())
                    .map_or_else(|| "NAMESPACE".to_owned(), |(namespace, _)| shell(namespace)),
            )]
        },
        verify: vec!["kubectl get pods -A | grep -c ImagePull   # 0".to_owned()],
    };
    let title = if passed {
        format!("Registry {registry}: earlier image pulls failed with 401 Unauthorized")
    } else {
        format!("Registry {registry}: image pulls fail with 401 Unauthorized")
    };
    observed.finding(&DETECTOR, registry, title, says)
}

/// Namespaces and names of the pull secrets that the kubelet did not find for these pods (kubernetes/kubernetes
/// `pkg/kubelet/kubelet_pods.go`: `Unable to retrieve some image pull secrets (%s)`).
fn missing_secrets(cluster: &Cluster, observed: &Observed) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (key, tally) in cluster.facts.events.of_reason("FailedToRetrieveImagePullSecret") {
        if !observed.pods.contains(&Key::new(&*key.namespace, &*key.name)) {
            continue;
        }
        for example in tally.examples.as_slice() {
            let names =
                example.excerpt.split_once("pull secrets (").and_then(|(_, rest)| rest.split_once(')'));
            for name in
                names.iter().flat_map(|(names, _)| names.split([',', ' '])).filter(|name| !name.is_empty())
            {
                found.insert((key.namespace.to_string(), name.to_owned()));
            }
        }
    }
    found
}
