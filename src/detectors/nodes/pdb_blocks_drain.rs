//! A disruption budget lets no pod go, so nodes can't be drained.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::observed::{self, Observed, Wording, subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Need, Outcome, Severity, shell};
use crate::facts::{IntOrString, Key, PodDisruptionBudget, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "pdb-blocks-drain",
    chapter: Chapter::Nodes,
    title: "A disruption budget lets no pod go",
    guide: &["4"],
    needs: &[BUDGETS],
    explains: &[],
    doc: Doc {
        meaning: "Before a node is upgraded or removed its pods are evicted, as far as disruption budgets allow. A budget that never allows one (minAvailable as many as there are replicas, maxUnavailable 0), or that does not now because pods are not ready, answers 429 to every eviction, and the upgrade fails after a while.",
        decision: "Refused evictions in texts of kubectl, Azure or events: confirmed together with a budget that allows none, likely without the budgets. A budget that can never allow an eviction is told as low and likely without a failure; one that allows none for the moment, because its pods are not ready, is not accused by itself.",
        action: "Run one replica more, or relax the budget.",
        reference: "AKS: UnsatisfiablePDB; cluster upgrade fails with Too Many Requests. Kubernetes: specifying a disruption budget.",
    },
    detect,
};

const BUDGETS: Need = Need {
    what: "the disruption budgets",
    why: "they say how many pods may be missing",
    command: "kubectl get poddisruptionbudgets -A -o json > pdbs.json",
    met: |cluster| {
        cluster.facts.has_list("PodDisruptionBudget") || !cluster.facts.objects.disruption_budgets.is_empty()
    },
};

/// Whether the budget can never allow an eviction, and why.
fn never(budget: &PodDisruptionBudget) -> Option<String> {
    let whole = |limit: &Option<IntOrString>| match limit {
        Some(IntOrString::Int(number)) => u32::try_from(*number).ok(),
        _ => None,
    };
    let text = |limit: &Option<IntOrString>| match limit {
        Some(IntOrString::Name(name)) => name.to_string(),
        _ => String::new(),
    };
    if whole(&budget.spec.max_unavailable) == Some(0) || text(&budget.spec.max_unavailable) == "0%" {
        return Some("maxUnavailable is 0".to_owned());
    }
    if text(&budget.spec.min_available) == "100%" {
        return Some("minAvailable is 100%".to_owned());
    }
    let expected = budget.status.expected_pods.filter(|pods| *pods > 0)?;
    let least = whole(&budget.spec.min_available)?;
    (least >= expected).then(|| format!("minAvailable is {least}, and it counts {expected} pods"))
}

fn detect(cluster: &Cluster) -> Outcome {
    let refused: BTreeMap<(), Observed> =
        observed::signals(cluster, |key| (key.signal == Signal::DrainBlocked).then_some(()));
    let refused = refused.into_values().next();
    let none: Vec<(&Key, &crate::facts::Seen<PodDisruptionBudget>)> = cluster
        .facts
        .objects
        .disruption_budgets
        .iter()
        .filter(|(_, seen)| {
            seen.object.status.disruptions_allowed == Some(0) && seen.object.status.expected_pods != Some(0)
        })
        .collect();
    let mut findings: Vec<Finding> = Vec::new();
    if let Some(observed) = refused {
        findings.extend(drain(cluster, observed, &none));
    } else {
        findings.extend(none.iter().filter_map(|(key, seen)| risk(key, seen, &never(&seen.object)?)));
    }
    findings.into()
}

fn drain(
    cluster: &Cluster,
    mut given: Observed,
    none: &[(&Key, &crate::facts::Seen<PodDisruptionBudget>)],
) -> Option<Finding> {
    let passed = cluster.is_over(given.span) && none.is_empty();
    let named: Vec<String> = none.iter().map(|(key, _)| key.label()).collect();
    let places: Vec<_> = none
        .iter()
        .take(2)
        .filter_map(|(key, seen)| seen.evidence("PodDisruptionBudget", key).into_iter().next())
        .collect();
    given.evidence.extend(places);
    let pods = observed::listed(given.details.iter().map(String::as_str), 3);
    let of = if pods.is_empty() { String::new() } else { format!(" of {pods}") };
    let by = if named.is_empty() {
        " The budgets are not in the bundle, or allow evictions by now.".to_owned()
    } else {
        format!(" Budgets that allow none now: {}.", observed::listed(named.iter().map(String::as_str), 4))
    };
    let first = none.first().map(|(key, _)| (*key).clone());
    let target = first.as_ref().map_or_else(
        || "BUDGET -n NAMESPACE".to_owned(),
        |key| format!("{} -n {}", shell(&key.name), shell(&key.namespace)),
    );
    let says = Wording {
        severity: if passed { Severity::Low } else { Severity::High },
        confidence: if passed { Confidence::Possible } else if none.is_empty() { Confidence::Likely } else { Confidence::Confirmed },
        unit: "refused eviction",
        cause: format!("Evictions{of} were refused{}, because a disruption budget would be broken: the node can't be drained, and an upgrade or a scale-down waits or fails.{by}", given.when()),
        fix: "Let the workload run one replica more than the budget asks for, or mend its pods that are not ready; else relax the budget for the time of the upgrade, and keep a copy.".to_owned(),
        commands: vec![
            "kubectl get poddisruptionbudgets -A".to_owned(),
            format!("kubectl get pdb {target} -o yaml > pdb.yaml   # keep it"),
            format!("kubectl patch pdb {target} --type merge -p '{{\"spec\":{{\"minAvailable\":null,\"maxUnavailable\":1}}}}'"),
        ],
        verify: vec!["kubectl get poddisruptionbudgets -A   # ALLOWED DISRUPTIONS is not 0".to_owned()],
    };
    let title = if passed {
        "Evictions were refused by a disruption budget for a while".to_owned()
    } else {
        format!(
            "A disruption budget lets no pod go{}",
            if named.is_empty() {
                String::new()
            } else {
                format!(": {}", observed::listed(named.iter().map(String::as_str), 2))
            }
        )
    };
    let mut finding = given.finding(&DETECTOR, "evictions", title, says)?;
    finding.subjects.extend(none.iter().take(20).map(|(key, _)| subject("PodDisruptionBudget", key)));
    Some(finding)
}

fn risk(key: &Key, seen: &crate::facts::Seen<PodDisruptionBudget>, why: &str) -> Option<Finding> {
    let observed =
        Observed { count: 1, evidence: seen.evidence("PodDisruptionBudget", key), ..Observed::default() };
    let target = format!("{} -n {}", shell(&key.name), shell(&key.namespace));
    let says = Wording {
        severity: Severity::Low,
        confidence: Confidence::Likely,
        unit: "budget",
        cause: format!(
            "The budget {} can never allow an eviction: {why}. The next upgrade of its nodes will wait for it and fail. No refused eviction is in the bundle.",
            key.label()
        ),
        fix: "Run one replica more than the budget asks for, or let it allow one pod to be missing."
            .to_owned(),
        commands: vec![format!(
            "kubectl patch pdb {target} --type merge -p '{{\"spec\":{{\"minAvailable\":null,\"maxUnavailable\":1}}}}'"
        )],
        verify: vec![format!("kubectl get pdb {target}   # ALLOWED DISRUPTIONS is not 0")],
    };
    let mut finding = observed.finding(
        &DETECTOR,
        &key.label(),
        format!("Disruption budget {} can never let a pod go: {why}", key.label()),
        says,
    )?;
    finding.subjects.push(subject("PodDisruptionBudget", key));
    Some(finding)
}
