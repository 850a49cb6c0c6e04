//! A `PodDisruptionBudget` allows no eviction, so nodes cannot be drained.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::observed::{self, Observed, Wording, subject};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Need, Outcome, Severity, shell,
};
use crate::facts::{IntOrString, Key, PodDisruptionBudget, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "pdb-blocks-drain",
    chapter: Chapter::Nodes,
    title: "PodDisruptionBudget blocks drain: 0 disruptions allowed",
    needs: &[BUDGETS],
    explains: &[],
    doc: Doc {
        meaning: "A node is drained before it is upgraded or removed, and evictions respect PodDisruptionBudgets. A budget that never allows one (minAvailable equal to the replicas, maxUnavailable 0), or none now because pods are not ready, answers every eviction with 429 Too Many Requests, and the upgrade fails (UnsatisfiablePDB, PodDrainFailure).",
        decision: "Refused evictions in the output of kubectl or Azure, in logs or events: confirmed together with a budget that has 0 allowed disruptions, likely without one, possible and low when they ended. A budget that can never allow an eviction is low and likely without a failure; one that allows none only because pods are not ready is not reported by itself.",
        action: "Run one more replica, or relax the budget during the upgrade.",
        reference: "AKS: UnsatisfiablePDB error; Upgrade fails because of PodDrainFailure. Kubernetes: Specifying a Disruption Budget for your Application.",
    },
    detect: Evaluation::Rule(detect),
};

const BUDGETS: Need = Need {
    what: "the PodDisruptionBudgets",
    why: "they limit how many pods may be evicted",
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
        return Some("maxUnavailable: 0".to_owned());
    }
    if text(&budget.spec.min_available) == "100%" {
        return Some("minAvailable: 100%".to_owned());
    }
    let expected = budget.status.expected_pods.filter(|pods| *pods > 0)?;
    let least = whole(&budget.spec.min_available)?;
    (least >= expected).then(|| {
        format!(
            "minAvailable: {least} of {}",
            if expected == 1 { "1 pod".to_owned() } else { format!("{expected} pods") }
        )
    })
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
    let passed = given.is_over(cluster) && none.is_empty();
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
        " No PodDisruptionBudget in the bundle has 0 allowed disruptions now.".to_owned()
    } else {
        format!(
            " PodDisruptionBudgets with 0 allowed disruptions at capture: {}.",
            observed::listed(named.iter().map(String::as_str), 4)
        )
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
        cause: format!("Evictions{of} were refused{} (429 Too Many Requests): they would violate a PodDisruptionBudget. The node cannot be drained, so an upgrade or scale-down waits or fails.{by}", given.when()),
        fix: "Run one replica more than the budget requires, or repair its pods that are not ready. Otherwise relax the budget during the upgrade: while relaxed, one pod at a time may be evicted. Restore it from the saved copy afterwards.".to_owned(),
        commands: vec![
            "kubectl get poddisruptionbudgets -A".to_owned(),
            format!("kubectl get pdb {target} -o yaml > pdb.yaml   # keep it to restore the budget"),
            format!("kubectl patch pdb {target} --type merge -p '{{\"spec\":{{\"minAvailable\":null,\"maxUnavailable\":1}}}}'"),
        ],
        verify: vec!["kubectl get poddisruptionbudgets -A   # ALLOWED DISRUPTIONS is not 0".to_owned()],
    };
    let title = if passed {
        "PodDisruptionBudget refused evictions earlier".to_owned()
    } else {
        format!(
            "PodDisruptionBudget{} blocks drain: {}",
            if named.is_empty() {
                String::new()
            } else {
                format!(" {}", observed::listed(named.iter().map(String::as_str), 2))
            },
            if named.is_empty() { "evictions refused" } else { "0 disruptions allowed" }
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
            "PodDisruptionBudget {} allows no eviction even when all its pods are ready ({why}). A node upgrade or drain waits for it and can fail (UnsatisfiablePDB). No refused eviction is in the bundle.",
            key.label()
        ),
        fix: "Run one replica more than the budget requires, or let it allow one unavailable pod: then one pod at a time may be evicted."
            .to_owned(),
        commands: vec![format!(
            "kubectl patch pdb {target} --type merge -p '{{\"spec\":{{\"minAvailable\":null,\"maxUnavailable\":1}}}}'"
        )],
        verify: vec![format!("kubectl get pdb {target}   # ALLOWED DISRUPTIONS is not 0")],
    };
    let mut finding = observed.finding(
        &DETECTOR,
        &key.label(),
        format!("PodDisruptionBudget {}: 0 disruptions allowed ({why})", key.label()),
        says,
    )?;
    finding.subjects.push(subject("PodDisruptionBudget", key));
    Some(finding)
}
