//! An image can't be pulled, and the bundle does not say why.

use std::collections::{BTreeMap, BTreeSet};

use super::statuses;
use crate::cluster::Cluster;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{Observed, Wording, counted, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, shell};
use crate::facts::{Key, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "image-pull-failing",
    chapter: Chapter::Images,
    title: "An image can't be pulled, for a reason that the bundle does not tell",
    guide: &["3.2"],
    needs: &[PODS],
    explains: &["service-pods-not-ready"],
    doc: Doc {
        meaning: "A container waits for its image (ErrImagePull, ImagePullBackOff, InvalidImageName). Why, stands in the pod's events, which Kubernetes keeps for an hour: the registry is not reached, does not know who pulls, or has no such image.",
        decision: "Containers that wait for their image, by image, where no event or log of the bundle gives the registry's answer for it. Confirmed: that it can't be pulled; the reason is left open. Where the answer is there, its own cause is told instead.",
        action: "Read the pod's events; if they are gone, delete the pod, so that it tries anew.",
        reference: "AKS: fail to pull images from Azure Container Registry to AKS.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let told_of = |key: &crate::facts::SignalKey| {
        matches!(
            key.signal,
            Signal::ImageUnauthorised
                | Signal::ImageForbidden
                | Signal::ImageMissing
                | Signal::ImageUnreachable
        )
    };
    let answered = cluster.facts.signals.map.iter().map(|(key, _)| key).filter(|key| told_of(key));
    let (mut pods, mut images) = (BTreeSet::new(), BTreeSet::new());
    for key in answered {
        pods.insert((&*key.namespace, &*key.pod));
        images.insert(key.detail.split(' ').next().unwrap_or_default());
    }
    let mut found: BTreeMap<String, Observed> = BTreeMap::new();
    for (key, seen) in cluster.facts.objects.pods.iter() {
        for status in statuses(&seen.object) {
            let Some(waiting) = status.state.waiting.as_ref() else { continue };
            if !matches!(
                &*waiting.reason,
                "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ImageInspectError"
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
            let observed = found.entry(format!("{}/{image}", key.namespace)).or_default();
            observed.count += 1;
            observed.pods.insert(key.clone());
            observed.details.insert(image);
            observed.evidence.extend(seen.evidence("Pod", key).into_iter().take(1).map(|mut place| {
                place.excerpt = crate::evidence::excerpt(
                    format!("container {}: {} {}", status.name, waiting.reason, waiting.message).as_bytes(),
                );
                place
            }));
        }
    }
    found.into_values().filter_map(finding).collect::<Vec<_>>().into()
}

fn finding(observed: Observed) -> Option<Finding> {
    let image = observed.details.iter().next().cloned()?;
    let first = observed.pods.iter().next().cloned()?;
    let pods: Vec<String> = observed.pods.iter().map(Key::label).collect();
    let says = Wording {
        severity: Severity::Medium,
        confidence: Confidence::Confirmed,
        unit: "pod",
        cause: format!(
            "{} can't pull {image}. The registry's answer is not in the bundle: events are kept for an hour only.",
            listed(pods.iter().map(String::as_str), 3)
        ),
        fix: "Read the pod's events. If they are gone, delete the pod: the next try writes new ones."
            .to_owned(),
        commands: vec![
            format!("kubectl describe pod {} -n {}", shell(&first.name), shell(&first.namespace)),
            format!("kubectl get events -n {} --field-selector reason=Failed", shell(&first.namespace)),
        ],
        verify: vec!["kubectl get pods -A | grep -c -e ImagePull -e ErrImage   # 0".to_owned()],
    };
    let title = format!(
        "{} can't be pulled, for {}",
        if image == "its image" { "An image".to_owned() } else { format!("Image {image}") },
        if pods.len() == 1 { first.label() } else { counted(pods.len(), "pod") }
    );
    observed.finding(&DETECTOR, &format!("{} {image}", first.namespace), title, says)
}
