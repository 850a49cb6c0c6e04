//! Claims that have no volume, and why.

use crate::cluster::Cluster;
use crate::cluster::selector;
use crate::detectors::observed::{Observed, Wording, listed, subject};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Need, Outcome, Severity, shell,
};
use crate::evidence::{Evidence, excerpt, shortened};
use crate::facts::{Key, PersistentVolume, PersistentVolumeClaim, Seen, amount};

pub(super) const DETECTOR: Detector = Detector {
    id: "claim-not-bound",
    chapter: Chapter::Workloads,
    title: "PersistentVolumeClaim Pending",
    needs: &[CLAIMS],
    explains: &["pod-unschedulable", "service-pods-not-ready", "pod-not-running"],
    doc: Doc {
        meaning: "A claim has no volume, so the pods that use it stay Pending (unbound immediate PersistentVolumeClaims). Its StorageClass does not exist, its provisioner fails or does not run, or it wants an existing volume and none fits: another class, a smaller capacity, another access mode, other labels than its selector asks for.",
        decision: "Claims whose phase is Pending, with the reason of their events (ProvisioningFailed, FailedBinding) and a comparison with the volumes of the bundle that are Available. Confirmed with such an event, otherwise likely. A claim that waits for its first pod (WaitForFirstConsumer) is left out.",
        action: "Correct the claim's class, size, access mode or selector, or create what it asks for.",
        reference: "Kubernetes: Persistent Volumes, Binding; Storage Classes. AKS: Storage options for applications.",
    },
    detect: Evaluation::Rule(detect),
};

const CLAIMS: Need = Need {
    what: "the persistent volume claims with their events",
    why: "they show which claims are not bound, and why",
    command: "kubectl describe pvc -A > claims.txt; kubectl get pv -o json > volumes.json",
    met: |cluster| !cluster.facts.objects.claims.is_empty(),
};

fn detect(cluster: &Cluster) -> Outcome {
    let claims = cluster.facts.objects.claims.iter();
    claims
        .filter(|(_, seen)| matches!(&*seen.object.status.phase, "Pending" | "Lost"))
        .filter_map(|(key, seen)| finding(cluster, key, seen))
        .collect()
}

/// Why it has none: a word, the title's words, what to do.
struct Lack {
    word: &'static str,
    words: String,
    fix: &'static str,
    evidence: Vec<Evidence>,
    sure: bool,
}

/// Events of a claim with a reason, with the newest words.
fn events<'a>(cluster: &'a Cluster, key: &Key, reason: &'a str) -> Option<(&'a Evidence, u64)> {
    let all = cluster.facts.events.of_reason(reason);
    let mut ours = all.filter(|(event, _)| {
        &*event.kind == "PersistentVolumeClaim"
            && *event.namespace == *key.namespace
            && *event.name == *key.name
    });
    ours.find_map(|(_, tally)| Some((tally.examples.as_slice().last()?, tally.count)))
}

fn lack(cluster: &Cluster, key: &Key, claim: &PersistentVolumeClaim) -> Option<Lack> {
    if &*claim.status.phase == "Lost" {
        return Some(Lack {
            word: "volume-lost",
            words: format!("Lost: its volume {} no longer exists", claim.spec.volume_name),
            fix: "Restore the volume's data from a backup into a new claim: the PersistentVolume that it was bound to is gone.",
            evidence: Vec::new(),
            sure: true,
        });
    }
    if let Some((words, _)) = events(cluster, key, "ProvisioningFailed") {
        let text = &*words.excerpt;
        let class = text.split('"').nth(1).unwrap_or_default();
        let no_class = text.contains("storageclass.storage.k8s.io") && text.contains("not found");
        return Some(Lack {
            word: if no_class { "storage-class" } else { "provisioning" },
            words: if no_class {
                format!("StorageClass {class} not found")
            } else {
                format!("ProvisioningFailed, {}", shortened(text, 60))
            },
            fix: if no_class {
                "Correct storageClassName, or create the StorageClass. The class of a claim cannot be changed: delete the claim and create it again (it holds no data yet)."
            } else {
                "Act on the provisioner's message."
            },
            evidence: vec![words.clone()],
            sure: true,
        });
    }
    // The class waits for a pod, and that is how it should be.
    if events(cluster, key, "WaitForFirstConsumer").is_some()
        || events(cluster, key, "WaitForPodScheduled").is_some()
    {
        return None;
    }
    if let Some((words, count)) = events(cluster, key, "FailedBinding") {
        let mut lack = compared(cluster, claim).unwrap_or_else(|| Lack {
            word: "volume",
            words: "no PersistentVolume fits, and no StorageClass is set".to_owned(),
            fix: "Set a storageClassName that provisions volumes, or create a PersistentVolume that fits the claim.",
            evidence: Vec::new(),
            sure: true,
        });
        lack.evidence.insert(0, words.clone());
        lack.sure = count > 0;
        return Some(lack);
    }
    if let Some((words, count)) = events(cluster, key, "ExternalProvisioning").filter(|(_, count)| *count > 5)
    {
        return Some(Lack {
            word: "provisioner",
            words: "its provisioner creates no volume".to_owned(),
            fix: "Check that the CSI driver's controller runs (kubectl get pods -n kube-system | grep csi) and read its log.",
            evidence: vec![words.clone()],
            sure: count > 20,
        });
    }
    compared(cluster, claim)
}

/// What keeps the volumes that are free from fitting (kubernetes, `pkg/controller/volume/persistentvolume`): the one that
/// misses least is named.
fn compared(cluster: &Cluster, claim: &PersistentVolumeClaim) -> Option<Lack> {
    let volumes = cluster.facts.objects.volumes.iter();
    let free = volumes.filter(|(_, seen)| {
        &*seen.object.status.phase == "Available" && seen.object.spec.claim_ref.is_none()
    });
    let mut nearest: Option<(Vec<Miss>, &Key, &Seen<PersistentVolume>)> = None;
    for (key, seen) in free {
        let misses = misses(claim, &seen.object);
        if !misses.is_empty() && nearest.as_ref().is_none_or(|(known, ..)| misses.len() < known.len()) {
            nearest = Some((misses, key, seen));
        }
    }
    let (misses, key, seen) = nearest?;
    let (word, words) = misses.first().cloned()?;
    let mut evidence: Vec<Evidence> = seen.evidence("PersistentVolume", key).into_iter().take(1).collect();
    if let Some(place) = evidence.first_mut() {
        place.excerpt = words.as_str().into();
    }
    Some(Lack {
        word,
        words: format!("PV {} does not fit: {words}", key.name),
        fix: match word {
            "selector" => {
                "Correct the claim's selector, or label the volume. The selector of a claim cannot be changed: delete the claim and create it again (it holds no data yet)."
            }
            "capacity" => {
                "Ask for less, or create a larger volume. The claim can be deleted and created again: it holds no data yet."
            }
            "access-mode" => "Use an access mode that the volume has, or create one that has the mode.",
            _ => "Give the claim the volume's storageClassName, or the volume the claim's.",
        },
        evidence,
        sure: false,
    })
}

/// In what a volume does not fit a claim: a word, and words.
type Miss = (&'static str, String);

/// All in which a volume does not fit a claim.
fn misses(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Vec<Miss> {
    let mut found = Vec::new();
    if let Some(class) = &claim.spec.storage_class_name
        && **class != *volume.spec.storage_class_name
    {
        let name = |class: &str| if class.is_empty() { "none".to_owned() } else { class.to_owned() };
        found.push((
            "class",
            format!("storageClassName {} instead of {}", name(&volume.spec.storage_class_name), name(class)),
        ));
    }
    if let Some(selector) = &claim.spec.selector
        && !selector::matches(selector, &volume.metadata.labels)
    {
        let has = selector::pairs(&volume.metadata.labels);
        let has = if has.is_empty() { "no labels".to_owned() } else { format!("labels {has}") };
        found.push((
            "selector",
            format!("{has}, the claim's selector wants {}", selector::selector_text(selector)),
        ));
    }
    let asks = claim.spec.resources.as_ref().and_then(|resources| resources.requests.text("storage"));
    if let Some((asks, has)) = asks.zip(volume.spec.capacity.text("storage"))
        && amount(asks).zip(amount(has)).is_some_and(|(asks, has)| asks > has)
    {
        found.push(("capacity", format!("capacity {has}, the claim asks for {asks}")));
    }
    let lacking = |mode: &&crate::facts::Text| {
        let short = match &***mode {
            "ReadWriteOnce" => "RWO",
            "ReadOnlyMany" => "ROX",
            "ReadWriteMany" => "RWX",
            "ReadWriteOncePod" => "RWOP",
            other => other,
        };
        !volume.spec.access_modes.iter().any(|ours| **ours == ***mode || **ours == *short)
    };
    if !volume.spec.access_modes.is_empty()
        && let Some(mode) = claim.spec.access_modes.iter().find(lacking)
    {
        found.push(("access-mode", format!("it has no access mode {mode}")));
    }
    found
}

/// Pods that use a claim: by their volumes, or by the name that a `StatefulSet` gives to the claims of its pods.
fn users(cluster: &Cluster, key: &Key) -> Vec<Key> {
    let pods = cluster.facts.objects.pods.of_namespace(&key.namespace);
    pods.filter(|(pod, seen)| {
        let by_volume = seen.object.spec.volumes.iter().any(|volume| {
            volume.persistent_volume_claim.as_ref().is_some_and(|claim| *claim.claim_name == *key.name)
        });
        by_volume || key.name.strip_suffix(&*pod.name).is_some_and(|rest| rest.ends_with('-'))
    })
    .map(|(pod, _)| pod.clone())
    .collect()
}

fn finding(cluster: &Cluster, key: &Key, seen: &Seen<PersistentVolumeClaim>) -> Option<Finding> {
    let claim = &seen.object;
    let lack = lack(cluster, key, claim)?;
    let users = users(cluster, key);
    let pods: Vec<String> = users.iter().map(Key::label).collect();
    let mut observed = Observed { count: 1, pods: users.into_iter().collect(), ..Observed::default() };
    observed.evidence = lack.evidence;
    observed.evidence.extend(seen.evidence("PersistentVolumeClaim", key).into_iter().take(1).map(
        |mut place| {
            place.excerpt = excerpt(format!("phase {}", claim.status.phase).as_bytes());
            place
        },
    ));
    let wait = if pods.is_empty() {
        String::new()
    } else {
        format!(" Pods that use it: {}.", listed(pods.iter().map(String::as_str), 3))
    };
    let namespace = shell(&key.namespace);
    let says = Wording {
        severity: if pods.is_empty() { Severity::Medium } else { Severity::High },
        confidence: if lack.sure { Confidence::Confirmed } else { Confidence::Likely },
        unit: "claim",
        cause: format!(
            "PersistentVolumeClaim {} is {}: {}.{wait}",
            key.label(),
            claim.status.phase,
            lack.words
        ),
        fix: lack.fix.to_owned(),
        commands: vec![
            format!("kubectl describe pvc {} -n {namespace}", shell(&key.name)),
            "kubectl get pv,storageclass".to_owned(),
        ],
        verify: vec![format!("kubectl get pvc {} -n {namespace}   # STATUS Bound", shell(&key.name))],
    };
    let title = if &*claim.status.phase == "Lost" {
        format!("PersistentVolumeClaim {} {}", key.label(), lack.words)
    } else {
        format!("PVC {} Pending: {}", key.label(), lack.words)
    };
    let mut finding = observed.finding(&DETECTOR, &key.label(), title, says)?;
    finding.details.workload.lacks = Some(lack.word.to_owned());
    finding.subjects.insert(0, subject("PersistentVolumeClaim", key));
    Some(finding)
}
