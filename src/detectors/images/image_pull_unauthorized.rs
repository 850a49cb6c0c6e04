//! A registry does not know who pulls.

use super::{PULLS, images_and_pods, pulled_since, pulls};
use crate::cluster::Cluster;
use crate::detectors::observed::{Observed, Wording, aks_named};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "image-pull-unauthorized",
    chapter: Chapter::Images,
    title: "A registry refuses to let the cluster pull (401)",
    guide: &["4.4"],
    needs: &[PULLS],
    explains: &["service-pods-not-ready"],
    doc: Doc {
        meaning: "The registry asks who pulls, and does not take the answer: the kubelet's identity has no AcrPull role on it, its secret is expired, or the pull secret of the pod is missing or wrong. Registries also answer 401 for a repository that does not exist, so that nobody learns which do.",
        decision: "'401 Unauthorized', 'authentication required' or 'pull access denied' in failed pulls. Confirmed while pods wait; told as passing when the pods concerned run.",
        action: "Attach the registry to the cluster, or correct the pull secret; check the image's name.",
        reference: "AKS: fail to pull images from Azure Container Registry to AKS (401).",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    pulls(cluster, Signal::ImageUnauthorised)
        .into_iter()
        .filter_map(|(registry, pull)| finding(cluster, &registry, pull))
        .collect::<Vec<_>>()
        .into()
}

fn finding(cluster: &Cluster, registry: &str, observed: Observed) -> Option<Finding> {
    let passed = pulled_since(cluster, &observed);
    let of_azure = registry.contains(".azurecr.");
    let name = registry.split('.').next().unwrap_or(registry);
    let says = Wording {
        severity: if passed { Severity::Low } else { Severity::High },
        confidence: if passed { Confidence::Possible } else { Confidence::Confirmed },
        unit: "failed pull",
        cause: format!(
            "Registry {registry} answered 401 to pulls of {}{}: it does not know who pulls, or there is no such repository.",
            images_and_pods(&observed),
            observed.when()
        ),
        fix: if of_azure {
            "Check the image's name first. Then give the kubelet's identity AcrPull on the registry; with a service principal, see whether its secret is expired.".to_owned()
        } else {
            "Check the image's name first. Then make a pull secret with valid credentials in the pod's namespace, and name it in the pod or its service account.".to_owned()
        },
        commands: if of_azure {
            vec![
                format!("az aks check-acr {} --acr {registry}", aks_named(cluster)),
                format!("az aks update {} --attach-acr {name}", aks_named(cluster)),
            ]
        } else {
            vec![format!(
                "kubectl create secret docker-registry pull -n NAMESPACE --docker-server={registry} --docker-username=USER --docker-password=PASSWORD"
            )]
        },
        verify: vec!["kubectl get pods -A | grep -c ImagePull   # 0".to_owned()],
    };
    let title = if passed {
        format!("Registry {registry} refused pulls for a while (401)")
    } else {
        format!("Registry {registry} refuses to let the cluster pull (401)")
    };
    observed.finding(&DETECTOR, registry, title, says)
}
