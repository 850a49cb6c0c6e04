//! A rule of a network policy selects pods or namespaces that do not exist.

use super::common::{self, PODS};
use super::policies::{self, Dead, POLICIES};
use crate::cluster::Cluster;
use crate::cluster::policy::{Direction, Policy};
use crate::cluster::selector;
use crate::detectors::details::texts;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell,
};
use crate::facts::{LabelSelector, Labels, Text};

pub(super) const DETECTOR: Detector = Detector {
    id: "policy-peer-matches-nothing",
    chapter: Chapter::Service,
    title: "NetworkPolicy peer selector matches no pods or namespaces",
    needs: &[POLICIES, PODS],
    explains: &["policy-isolates-service", "policy-blocks-dns", "policy-blocks-api-server"],
    doc: Doc {
        meaning: "A rule should allow a peer, and its selector matches nothing: a label is misspelled, or a namespace is selected by a label that it does not have (name=… instead of kubernetes.io/metadata.name=…). The policy isolates its pods, and the rule allows nothing.",
        decision: "Every peer of the rule matches no pod or no namespace of the bundle's complete lists, and the policy selects pods. Likely and high when something similar exists: a pod whose label is spelled almost the same, or a namespace of that name. Otherwise possible and low: the peer is perhaps not deployed yet.",
        action: "Correct the selector.",
        reference: "Kubernetes: Network Policies, targeting a Namespace by its name. Popeye: code 1201.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings = Vec::new();
    for policy in cluster.policies.iter() {
        let Some(spec) = &policy.spec else { continue };
        if cluster.groups.selected(&policy.key.namespace, &spec.selects).next().is_none() {
            continue;
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            for (at, rule) in spec.rules(direction).unwrap_or_default().iter().enumerate() {
                let dead: Vec<Dead> =
                    rule.peers.iter().filter_map(|peer| policies::dead(cluster, policy, peer)).collect();
                if !rule.peers.is_empty() && dead.len() == rule.peers.len() {
                    findings.extend(finding(cluster, policy, direction, at, &dead));
                }
            }
        }
    }
    findings.into()
}

/// What was probably meant: in words, and the label to write.
fn meant(cluster: &Cluster, dead: &Dead) -> Option<(String, String)> {
    match dead {
        Dead::Namespaces(selector) => {
            let (key, value) = selector.match_labels.iter().next()?;
            if cluster.facts.objects.namespaces.get("", value).is_some() {
                return Some((
                    format!("namespace {value} exists, but without the label {key}={value}"),
                    format!("kubernetes.io/metadata.name: {value}"),
                ));
            }
            let alike = cluster
                .policies
                .known_namespaces()
                .find_map(|(name, labels)| near(selector, labels).map(|label| (name, label)));
            alike.map(|(name, (key, value))| {
                (format!("namespace {name} has {key}={value}"), format!("{key}: {value}"))
            })
        }
        Dead::Pods(selector, namespaces) => {
            let groups = namespaces.iter().flat_map(|namespace| cluster.groups.in_namespace(namespace));
            let mut alike = groups
                .filter_map(|group| Some((group.pods.first()?, near(selector, group.labels.as_ref()?)?)));
            alike.next().map(|(pod, (key, value))| {
                (format!("pods such as {} have {key}={value}", pod.label()), format!("{key}: {value}"))
            })
        }
    }
}

/// A label that is spelt nearly as one of the selector's.
fn near(selector: &LabelSelector, labels: &Labels) -> Option<(Text, Text)> {
    selector.match_labels.iter().find_map(|(key, wanted)| {
        let ours = labels.get(key)?;
        let plain = |text: &str| text.replace(['-', '_', '.'], "").to_ascii_lowercase();
        let alike =
            ours != wanted && (strsim::levenshtein(ours, wanted) <= 2 || plain(ours) == plain(wanted));
        alike.then(|| (key.clone(), ours.clone()))
    })
}

fn finding(
    cluster: &Cluster,
    policy: &Policy,
    direction: Direction,
    at: usize,
    dead: &[Dead],
) -> Option<Finding> {
    let rendered = |item: &Dead| match item {
        Dead::Namespaces(selector) => {
            format!("namespaceSelector {} matches no namespace", selector::selector_text(selector))
        }
        Dead::Pods(selector, _) => {
            format!("podSelector {} matches no pod", selector::selector_text(selector))
        }
    };
    let words: Vec<String> = dead.iter().map(rendered).collect();
    let brief = |item: &Dead| match item {
        Dead::Namespaces(selector) => format!("no namespaces ({})", selector::selector_text(selector)),
        Dead::Pods(selector, _) => format!("no pods ({})", selector::selector_text(selector)),
    };
    let key = &policy.key;
    let mut evidence = vec![policies::policy_at(
        cluster,
        key,
        &format!("{} rule {}: {}", direction.name(), at + 1, words.join("; ")),
    )?];
    let meant = dead.iter().find_map(|item| meant(cluster, item));
    let spec = policy.spec.as_ref()?;
    let pods: Vec<_> =
        cluster.groups.selected(&key.namespace, &spec.selects).flat_map(|group| &group.pods).collect();
    evidence.extend(pods.first().and_then(|pod| common::pod_at(cluster, pod, "selected by the policy")));
    let title = format!(
        "NetworkPolicy {} {} rule {} matches {}",
        key.label(),
        direction.name(),
        at + 1,
        dead.iter().map(brief).collect::<Vec<_>>().join(", ")
    );
    let mut finding = Finding::new(
        DETECTOR.id,
        &format!("{} {} {}", key.label(), direction.name(), at + 1),
        title,
        evidence,
    )?;
    (finding.severity, finding.confidence) = if meant.is_some() {
        (Severity::High, Confidence::Likely)
    } else {
        (Severity::Low, Confidence::Possible)
    };
    finding.count = pods.len() as u64;
    finding.unit = "isolated pod";
    finding.subjects = vec![common::subject("NetworkPolicy", key)];
    finding.subjects.extend(pods.iter().take(50).map(|pod| common::subject("Pod", pod)));
    finding.details.service.selectors = texts(&words);
    let instead = meant.as_ref().map_or_else(
        || "Nothing similar exists: what it selects is perhaps not deployed.".to_owned(),
        |(words, _)| format!("Probably meant: {words}."),
    );
    finding.cause = format!(
        "The policy isolates {} for {}, and this rule allows no peer: {}. {instead}",
        crate::detectors::observed::counted(pods.len(), "pod"),
        direction.name(),
        words.join("; ")
    );
    let edit = format!("kubectl edit networkpolicy {} -n {}", shell(&key.name), shell(&key.namespace));
    finding.fix = Fix {
        text: match &meant {
            Some((_, label)) => {
                format!(
                    "In {} rule {}, use the existing label: {label}. The rule then allows the peers that have it.",
                    direction.name(),
                    at + 1
                )
            }
            None => "Correct the selector, or deploy what it selects.".to_owned(),
        },
        commands: vec![edit, "kubectl get namespaces --show-labels".to_owned()],
        manifests: Vec::new(),
    };
    finding.verify = vec![
        "kubetriage reach NEW_BUNDLE --from NAMESPACE/CLIENT --to NAMESPACE/POD:PORT   # allowed".to_owned(),
    ];
    Some(finding)
}
