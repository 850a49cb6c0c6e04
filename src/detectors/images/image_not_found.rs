//! The registry has no such image, or none for the node's platform.

use super::PULLS;
use crate::cluster::Cluster;
use crate::detectors::observed::{self, Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::facts::{Key, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "image-not-found",
    chapter: Chapter::Images,
    title: "Image not found in the registry",
    needs: &[PULLS],
    explains: &["connection-failing", "service-pods-not-ready"],
    doc: Doc {
        meaning: "The registry answers that it has no such repository or tag, or that the image has no manifest for the node's platform (a Windows image on a Linux node, amd64 only on an arm64 node). The pod stays in ErrImagePull or ImagePullBackOff.",
        decision: "`: not found`, `manifest unknown`, `name unknown` or `no match for platform in manifest` in failed pulls, by image. Confirmed, medium. Possible and low when the pods concerned are ready, or the logs go on without it.",
        action: "Correct the image name or tag, or push the image; give the pod a nodeSelector that matches the image's platform.",
        reference: "AKS: Failed to pull an image from Azure Container Registry to AKS. Kubernetes: Images.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let all = observed::signals(cluster, |key| {
        (key.signal == Signal::ImageMissing).then(|| key.detail.to_string())
    });
    all.into_iter().filter_map(|(detail, observed)| finding(cluster, &detail, observed)).collect()
}

fn finding(cluster: &Cluster, detail: &str, observed: Observed) -> Option<Finding> {
    let (image, platform) = detail.split_once(' ').map_or((detail, false), |(image, _)| (image, true));
    let passed = super::pulled_since(cluster, &observed);
    let pods: Vec<String> = observed.pods.iter().map(Key::label).collect();
    let who = listed(pods.iter().map(String::as_str), 3);
    let wanted = if who.is_empty() { String::new() } else { format!(" Pods that need it: {who}.") };
    let typo = if super::registry(image).ends_with(".azureacr.io") {
        " The registry's name is misspelled: Azure's end in azurecr.io."
    } else {
        ""
    };
    let says = Wording {
        severity: match passed {
            true => Severity::Low,
            false if observed::breaks_a_service(cluster, &observed.pods) => Severity::High,
            false => Severity::Medium,
        },
        confidence: if passed { Confidence::Possible } else { Confidence::Confirmed },
        unit: "failed pull",
        cause: if platform {
            format!(
                "Image {image} has no manifest for the node's platform (seen{}).{wanted}",
                observed.when()
            )
        } else {
            format!(
                "The registry answered 'not found' for {image}{}: the repository or tag is misspelled, was deleted, or was never pushed.{typo}{wanted}",
                observed.when()
            )
        },
        fix: if platform {
            "Give the pod a nodeSelector (kubernetes.io/os, kubernetes.io/arch) that matches the image, or build the image for the node's platform.".to_owned()
        } else {
            "Correct the image name or tag in the workload, or push the image. A changed image rolls out new pods.".to_owned()
        },
        commands: vec![lookup(image)],
        verify: vec!["kubectl get pods -A | grep -c ImagePull   # 0".to_owned()],
    };
    let title = if platform {
        format!("Image {image}: no match for platform in manifest")
    } else {
        format!("Image {image}: not found in the registry (ErrImagePull)")
    };
    observed.finding(&DETECTOR, image, title, says)
}

/// Lists the tags in the registry where there is a command for that; otherwise the pods that use the image.
fn lookup(image: &str) -> String {
    if !super::registry(image).ends_with(".azurecr.io") {
        let columns = "NAMESPACE:.metadata.namespace,POD:.metadata.name,IMAGE:.spec.containers[*].image";
        return format!(
            "kubectl get pods -A -o custom-columns={columns} | grep {}   # the pods that use it",
            shell(image)
        );
    }
    let (registry, path) = image.split_once('/').unwrap_or(("REGISTRY", image));
    let name = registry.split('.').next().unwrap_or("REGISTRY");
    let repository = path.split([':', '@']).next().unwrap_or("REPOSITORY");
    format!("az acr repository show-tags -n {} --repository {} -o table", shell(name), shell(repository))
}
