//! An image cannot be pulled, and the registry's error is not in the bundle, or in words that are not known.

use std::collections::{BTreeMap, BTreeSet};

use super::{pulled_since, statuses};
use crate::cluster::Cluster;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{self, Observed, Wording, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::evidence::shortened;
use crate::facts::{Key, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "image-pull-failing",
    chapter: Chapter::Images,
    title: "ImagePullBackOff, registry error not in the bundle or not known",
    needs: &[PODS],
    explains: &["connection-failing", "service-pods-not-ready"],
    doc: Doc {
        meaning: "A container waits for its image (ErrImagePull, ImagePullBackOff, InvalidImageName, ImageInspectError). The pod's events hold the registry's error, and the API server keeps them for one hour by default: registry unreachable, 401, 403, or image not found.",
        decision: "Containers waiting for their image, by image, where no event or log of the bundle holds an error of that pull. Confirmed that the image cannot be pulled; the reason stays open. Where the error is in the bundle, its own cause (401, 403, not found, unreachable) is reported instead; an error in words that are not known is quoted: likely.",
        action: "Read the pod's events (kubectl describe pod): each retry writes a new one.",
        reference: "Kubernetes: Images, ImagePullBackOff. AKS: Failed to pull an image from Azure Container Registry to AKS.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let told_of = |key: &crate::facts::SignalKey| {
        matches!(
            key.signal,
            Signal::ImageUnauthorised
                | Signal::ImageForbidden
                | Signal::ImageMissing
                | Signal::ImageUnreachable
                | Signal::ImageFailed
        )
    };
    let answered = cluster.facts.signals.map.iter().map(|(key, _)| key).filter(|key| told_of(key));
    let (mut pods, mut images) = (BTreeSet::new(), BTreeSet::new());
    for key in answered {
        pods.insert((&*key.namespace, &*key.pod));
        images.insert(key.detail.split(' ').next().unwrap_or_default());
    }
    let mut found: BTreeMap<String, (Observed, String)> = BTreeMap::new();
    for (key, seen) in cluster.facts.objects.pods.iter() {
        for status in statuses(&seen.object) {
            let Some(waiting) = status.state.waiting.as_ref() else { continue };
            let state = waiting.reason.strip_prefix("Init:").unwrap_or(&waiting.reason);
            if !matches!(
                state,
                "ErrImagePull"
                    | "ImagePullBackOff"
                    | "InvalidImageName"
                    | "ImageInspectError"
                    | "ErrImageNeverPull"
                    | "RegistryUnavailable"
            ) {
                continue;
            }
            let image =
                if status.image.is_empty() { "its image".to_owned() } else { status.image.to_string() };
            let explained = pods.contains(&(&*key.namespace, &*key.name))
                || images.contains(&*status.image) && !status.image.is_empty();
            if explained {
                continue;
            }
            let (observed, reason) = found.entry(format!("{}/{image}", key.namespace)).or_default();
            if reason.is_empty() {
                *reason = state.to_owned();
            }
            observed.count += 1;
            observed.pods.insert(key.clone());
            observed.details.insert(image);
            observed.evidence.extend(seen.evidence("Pod", key).into_iter().take(1).map(|mut place| {
                place.excerpt = crate::evidence::excerpt(
                    format!("{}{} {}", super::of_container(&status.name), waiting.reason, waiting.message)
                        .as_bytes(),
                );
                place
            }));
        }
    }
    let quoted =
        observed::signals(cluster, |key| (key.signal == Signal::ImageFailed).then(|| key.detail.to_string()));
    let quoted = quoted.into_iter().filter(|(_, given)| !pulled_since(cluster, given));
    let quoted: Vec<Finding> = quoted.filter_map(|(image, given)| with_error(&image, given)).collect();
    let silent = found.into_values().filter_map(|(observed, reason)| finding(observed, &reason));
    silent.chain(quoted).collect()
}

/// What the error of a failed pull says, without the words of those that pass it on.
fn error_of(line: &str, image: &str) -> String {
    let after = |text: &str, mark: &str| text.rsplit_once(mark).map(|(_, rest)| rest.to_owned());
    let error = after(line, "desc = ")
        .or_else(|| after(line, &format!("{image}\\\": ")))
        .or_else(|| after(line, &format!("{image}\": ")));
    let error = error.unwrap_or_else(|| line.to_owned());
    let error = error.split("\" image=").next().unwrap_or_default();
    error.trim_end_matches(['"', '\\']).trim().to_owned()
}

/// A pull whose error is in the bundle, in words that are not known.
fn with_error(image: &str, observed: Observed) -> Option<Finding> {
    let error = error_of(&observed.evidence.first()?.excerpt, image);
    let says = Wording {
        severity: Severity::High,
        confidence: Confidence::Likely,
        unit: "failed pull",
        cause: format!("Pulls of {image} fail{}: {error}.", observed.when()),
        fix: "Act on the quoted error, and pull the image by hand on a node to see it whole.".to_owned(),
        commands: vec![format!("crictl pull {}   # on a node", shell(image))],
        verify: vec!["kubectl get pods -A | grep -c -e ImagePull -e ErrImage   # 0".to_owned()],
    };
    let title = format!("Image {image}: pull fails: {}", shortened(&error, 70));
    observed.finding(&DETECTOR, &format!("error {image}"), title, says)
}

fn finding(observed: Observed, reason: &str) -> Option<Finding> {
    let image = observed.details.iter().next().cloned()?;
    let first = observed.pods.iter().next().cloned()?;
    let pods: Vec<String> = observed.pods.iter().map(Key::label).collect();
    let says = Wording {
        severity: Severity::Medium,
        confidence: Confidence::Confirmed,
        unit: "pod",
        cause: format!(
            "{} cannot pull {}. The error of the pull is not in the bundle: the API server keeps events for one hour by default.",
            listed(pods.iter().map(String::as_str), 3),
            if image == "its image" && pods.len() > 1 { "their images" } else { &image }
        ),
        fix: "Read the pod's events: the kubelet retries at least every five minutes, and each failed pull writes a new event with the registry's error.".to_owned(),
        commands: vec![
            format!("kubectl describe pod {} -n {}", shell(&first.name), shell(&first.namespace)),
            format!("kubectl get events -n {} --field-selector reason=Failed", shell(&first.namespace)),
        ],
        verify: vec!["kubectl get pods -A | grep -c -e ImagePull -e ErrImage   # 0".to_owned()],
    };
    let title = format!(
        "{}: {}, registry error not in the bundle",
        if image == "its image" {
            if pods.len() == 1 { first.label() } else { counted(pods.len(), "pod") }
        } else {
            format!("Image {image}")
        },
        reason
    );
    observed.finding(&DETECTOR, &format!("{} {image}", first.namespace), title, says)
}
