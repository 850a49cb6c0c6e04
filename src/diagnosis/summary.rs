//! The diagnosis in one paragraph of plain words.

use super::{CoverageView, Decision, Inventory, Verdict};
use crate::detectors::{Confidence, Finding, Severity};

pub(super) fn paragraph(
    findings: &[Finding],
    verdicts: &[Verdict],
    inventory: &Inventory,
    coverage: &CoverageView,
) -> String {
    let mut sentences = Vec::new();
    let serious =
        |finding: &&Finding| finding.severity >= Severity::Medium && finding.confidence >= Confidence::Likely;
    let leaks: Vec<_> = of(findings, "pod-ip-leak").filter(serious).collect();
    if let Some(worst) = leaks.first() {
        let others = more(leaks.len(), "node", "nodes");
        sentences.push(format!("{}{others}.", worst.title));
    }
    let denied: Vec<_> = of(findings, "rbac-missing-permission").collect();
    if let Some(worst) = denied.iter().max_by_key(|finding| finding.count) {
        let requests: u64 = denied.iter().map(|finding| finding.count).sum();
        let who = if denied.len() == 1 {
            "1 identity is".to_owned()
        } else {
            format!("{} identities are", denied.len())
        };
        sentences.push(format!(
            "{who} refused by RBAC for want of a rule ({requests} requests); most often {} ({} times).",
            worst.title, worst.count
        ));
    }
    let others = findings
        .iter()
        .filter(|f| serious(f) && f.detector != "pod-ip-leak" && f.detector != "rbac-missing-permission");
    let others: Vec<_> = others.collect();
    if let Some(first) = others.first() {
        sentences.push(format!("Also: {}{}.", first.title, more(others.len(), "finding", "findings")));
    }
    if sentences.is_empty() {
        sentences.push(if findings.is_empty() {
            "Nothing was found among the causes that this version knows.".to_owned()
        } else {
            format!("Nothing serious was found; {} minor observations are below.", findings.len())
        });
    }
    let unknown: Vec<_> = verdicts
        .iter()
        .filter(|verdict| verdict.verdict == Decision::NotEvaluated)
        .map(|verdict| verdict.title)
        .collect();
    if !unknown.is_empty() {
        let list =
            unknown.iter().map(|title| format!("\u{201c}{title}\u{201d}")).collect::<Vec<_>>().join(", ");
        sentences.push(format!("Could not be decided from this bundle: {list}."));
    }
    if inventory.objects.is_empty() && inventory.audit_events == 0 && coverage.recognised_bytes == 0 {
        sentences.push("No input was recognised.".to_owned());
    }
    sentences.join(" ")
}

fn of<'a>(findings: &'a [Finding], detector: &'static str) -> impl Iterator<Item = &'a Finding> {
    findings.iter().filter(move |finding| finding.detector == detector)
}

fn more(count: usize, one: &str, many: &str) -> String {
    match count {
        0 | 1 => String::new(),
        2 => format!(", and 1 more {one}"),
        n => format!(", and {} more {many}", n - 1),
    }
}
