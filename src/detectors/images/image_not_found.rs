//! There is no such image, or none for the node's platform.

use super::PULLS;
use crate::cluster::Cluster;
use crate::detectors::observed::{self, Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, shell};
use crate::facts::{Key, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "image-not-found",
    chapter: Chapter::Images,
    title: "An image does not exist",
    guide: &["3.2"],
    needs: &[PULLS],
    explains: &["service-pods-not-ready"],
    doc: Doc {
        meaning: "The registry answers that it has no such repository or tag, or that the image has no variant for the node's platform (Windows images on Linux nodes, or arm64).",
        decision: "': not found', 'manifest unknown' or 'no match for platform in manifest' in failed pulls, by image. Confirmed while pods wait: the registry says so itself; told as low when the pods concerned run.",
        action: "Correct the image's name or tag, or push the image; give the pod a node selector for its platform.",
        reference: "AKS: fail to pull images from Azure Container Registry to AKS.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let all = observed::signals(cluster, |key| {
        (key.signal == Signal::ImageMissing).then(|| key.detail.to_string())
    });
    all.into_iter()
        .filter_map(|(detail, observed)| finding(cluster, &detail, observed))
        .collect::<Vec<_>>()
        .into()
}

fn finding(cluster: &Cluster, detail: &str, observed: Observed) -> Option<Finding> {
    let (image, platform) = detail.split_once(' ').map_or((detail, false), |(image, _)| (image, true));
    let passed = super::pulled_since(cluster, &observed);
    let pods: Vec<String> = observed.pods.iter().map(Key::label).collect();
    let who = listed(pods.iter().map(String::as_str), 3);
    let wanted = if who.is_empty() { String::new() } else { format!(" {who} waits for it.") };
    let typo = if super::registry(image).ends_with(".azureacr.io") {
        " The registry's name is misspelt: Azure's end in azurecr.io."
    } else {
        ""
    };
    let says = Wording {
        severity: if passed { Severity::Low } else { Severity::Medium },
        confidence: if passed { Confidence::Possible } else { Confidence::Confirmed },
        unit: "failed pull",
        cause: if platform {
            format!(
                "The image {image} has no variant for the platform of the node{}.{wanted}",
                observed.when()
            )
        } else {
            format!(
                "The registry has no image {image}{}: the repository or the tag is misspelt, was deleted, or was never pushed.{typo}{wanted}",
                observed.when()
            )
        },
        fix: if platform {
            "Give the pod a node selector (kubernetes.io/os, kubernetes.io/arch) for nodes of its platform, or build the image for this one.".to_owned()
        } else {
            "Correct the image's name or tag in the workload, or push the image.".to_owned()
        },
        commands: vec![lookup(image)],
        verify: vec!["kubectl get pods -A | grep -c ImagePull   # 0".to_owned()],
    };
    let title = if platform {
        format!("Image {image} is not for the nodes' platform")
    } else {
        format!("Image {image} does not exist")
    };
    observed.finding(&DETECTOR, image, title, says)
}

/// Asks the registry for the tags of the image, where there is a command for that; otherwise who wants the image.
fn lookup(image: &str) -> String {
    if !super::registry(image).ends_with(".azurecr.io") {
        let columns = "NAMESPACE:.metadata.namespace,POD:.metadata.name,IMAGE:.spec.containers[*].image";
        return format!(
            "kubectl get pods -A -o custom-columns={columns} | grep {}   # who asks for it",
            shell(image)
        );
    }
    let (registry, path) = image.split_once('/').unwrap_or(("REGISTRY", image));
    let name = registry.split('.').next().unwrap_or("REGISTRY");
    let repository = path.split([':', '@']).next().unwrap_or("REPOSITORY");
    format!("az acr repository show-tags -n {} --repository {} -o table", shell(name), shell(repository))
}
