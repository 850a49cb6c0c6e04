//! A controller says of its own object that it is not ready: gateways, certificates, Flux and Karpenter objects, whatever they are.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::observed::{Observed, Wording, counted, listed, subject};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Need, Outcome, Severity, shell,
};
use crate::facts::{ConditionKey, ConditionSeen, Key, is_on_its_way};

pub(super) const DETECTOR: Detector = Detector {
    id: "resource-not-ready",
    chapter: Chapter::ControlPlane,
    title: "Condition of a custom resource False (Ready, Accepted, Programmed, Available …)",
    needs: &[CONDITIONS],
    explains: &[],
    doc: Doc {
        meaning: "Controllers write into status.conditions of their objects what they could not do: a Gateway that is not Programmed, a Certificate or an ExternalSecret that is not Ready, a Kustomization that is Stalled. The message of the condition is the controller's own reason.",
        decision: "A condition whose name says that True is well (Ready, Accepted, Programmed, ResolvedRefs, Available, Synced …) is False or Unknown, or one that names a fault (Degraded, Stalled, Failed …) is True. Likely, since the bundle holds the state and not its history; low while the reason says that it is on its way (Progressing, Pending, Issuing …). Of conditions with other names nothing is concluded.",
        action: "Read the condition's message: it names what the controller lacks. Then its log.",
        reference: "kubernetes.io: API conventions, typical status properties (https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md).",
    },
    detect: Evaluation::Rule(detect),
};

const CONDITIONS: Need = Need {
    what: "custom resources with their conditions",
    why: "their controllers write there what they could not do",
    command: "kubectl get gateways,httproutes,certificates,kustomizations,helmreleases -A -o yaml > resources.yaml",
    met: |cluster| !cluster.facts.conditions.is_empty(),
};

type Harm<'a> = (&'a ConditionKey, &'a ConditionSeen);

fn detect(cluster: &Cluster) -> Outcome {
    // One finding for all objects of a kind that lack the same for the same reason.
    let mut groups: BTreeMap<(&str, &str, &str), Vec<Harm<'_>>> = BTreeMap::new();
    for (key, seen) in cluster.facts.conditions.harmful() {
        groups.entry((&key.kind, &key.condition, &seen.reason)).or_default().push((key, seen));
    }
    groups.into_values().filter_map(|group| finding(&group)).collect()
}

fn finding(group: &[Harm<'_>]) -> Option<Finding> {
    let (key, seen) = group.first()?;
    let (kind, condition) = (&*key.kind, &*key.condition);
    let names: Vec<String> =
        group.iter().map(|(key, _)| Key::new(&*key.namespace, &*key.name).label()).collect();
    let on_its_way = group.iter().all(|(_, seen)| is_on_its_way(&seen.reason));
    let object = if group.len() == 1 {
        format!("{kind} {}", names.first()?)
    } else {
        format!("{} of kind {kind}", counted(group.len(), "object"))
    };
    let reason = if seen.reason.is_empty() { String::new() } else { format!(" ({})", seen.reason) };
    let state = match (&*seen.status, condition) {
        ("True", _) => condition.to_owned(),
        ("Unknown", _) => format!("{condition} Unknown"),
        _ => format!("not {condition}"),
    };
    let observed = Observed {
        count: group.len() as u64,
        span: group.iter().filter_map(|(_, seen)| seen.since).min().map(|since| (since, since)),
        evidence: group.iter().take(3).map(|(_, seen)| seen.place.clone()).collect(),
        ..Observed::default()
    };
    let message = crate::evidence::excerpt(seen.message.as_bytes());
    let words = if message.is_empty() { String::new() } else { format!(": {message}") };
    let of_namespace =
        if key.namespace.is_empty() { String::new() } else { format!(" -n {}", shell(&key.namespace)) };
    let resource = shell(&kind.to_ascii_lowercase());
    let says = Wording {
        severity: if on_its_way { Severity::Low } else { Severity::Medium },
        confidence: if on_its_way { Confidence::Possible } else { Confidence::Likely },
        unit: "object",
        cause: format!(
            "The controller reports {condition}={}{reason} of {kind} {}{words}",
            seen.status,
            listed(names.iter().map(String::as_str), 3)
        ),
        fix: "Correct what the message names; the controller retries by itself.".to_owned(),
        commands: vec![format!(
            "kubectl describe {resource} {}{of_namespace}   # Conditions, Events",
            shell(&key.name)
        )],
        verify: vec![format!(
            "kubectl get {resource} {}{of_namespace} -o jsonpath='{{.status.conditions}}'   # type {condition} has status {}",
            shell(&key.name),
            if &*seen.status == "True" { "False" } else { "True" }
        )],
    };
    let about = [kind, condition, &*seen.reason].join(" ");
    let mut finding = observed.finding(&DETECTOR, &about, format!("{object}: {state}{reason}"), says)?;
    finding
        .subjects
        .extend(group.iter().take(50).map(|(key, _)| subject(kind, &Key::new(&*key.namespace, &*key.name))));
    Some(finding)
}
