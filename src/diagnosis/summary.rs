//! The diagnosis in one paragraph of plain words.

use std::collections::BTreeMap;

use super::{CoverageView, Decision, Inventory, Verdict};
use crate::detectors::{Confidence, Finding, Severity};

pub(super) fn paragraph(
    findings: &[Finding],
    verdicts: &[Verdict],
    inventory: &Inventory,
    coverage: &CoverageView,
) -> String {
    let mut sentences = Vec::new();
    if inventory.objects.is_empty() && inventory.audit_events == 0 && coverage.recognised_bytes == 0 {
        sentences.push("Nothing in the input was recognised.".to_owned());
    }
    if let Some(damage) = damage(coverage) {
        sentences.push(damage);
    }
    let serious =
        |finding: &&Finding| finding.severity >= Severity::Medium && finding.confidence >= Confidence::Likely;
    let mut told = 0;
    let leaks: Vec<_> = of(findings, "pod-ip-leak").filter(serious).collect();
    if let Some(worst) = leaks.first() {
        sentences.push(format!("{}{}.", worst.title, more(leaks.len(), "node", "nodes")));
        told += leaks.len();
    }
    let (denied, past): (Vec<_>, Vec<_>) =
        findings.iter().filter(|f| is_missing_rule(f)).partition(|f| f.confidence > Confidence::Possible);
    if let Some(worst) = denied.iter().max_by_key(|finding| finding.count) {
        let requests: u64 = denied.iter().map(|finding| finding.count).sum();
        sentences.push(format!(
            "{} refused by RBAC for want of a rule ({}); most often {} ({}).",
            identities(identities_of(&denied), "is", "are"),
            counted(requests, "request", "requests"),
            worst.title,
            counted(worst.count, "time", "times")
        ));
        told += denied.len();
    }
    if !past.is_empty() {
        sentences.push(format!(
            "{} refused by RBAC for a while and no longer, as happens while components start.",
            identities(identities_of(&past), "was", "were")
        ));
        told += past.len();
    }
    let other = findings.iter().find(|f| {
        serious(f) && f.explained_by.is_empty() && f.detector != "pod-ip-leak" && !is_missing_rule(f)
    });
    if let Some(other) = other {
        let also = if told > 0 { "Also: " } else { "" };
        sentences.push(format!("{also}{}.", other.title));
        told += 1;
    }
    let refused: u64 = findings
        .iter()
        .filter(|f| f.details.get("refused_by").is_some_and(|by| by == "unattributed"))
        .map(|f| f.count)
        .sum();
    if refused > 0 {
        sentences.push(format!(
            "{refused} requests were refused (403) for reasons that only the audit log would tell."
        ));
    }
    let rest = findings.len() - told;
    let evaluated = verdicts.iter().any(|verdict| verdict.verdict != Decision::NotEvaluated);
    if findings.is_empty() && !evaluated {
        // Silence is not health: said as such, with what is lacking.
        let mut missing: Vec<&str> =
            verdicts.iter().flat_map(|verdict| &verdict.missing).map(String::as_str).collect();
        missing.sort_unstable();
        missing.dedup();
        let lacking = if missing.is_empty() { "comparable data".to_owned() } else { missing.join("; ") };
        sentences.push(format!(
            "None of the {} causes that this version knows could be checked. The bundle lacks: {lacking}.",
            verdicts.len()
        ));
        return sentences.join(" ");
    }
    if findings.is_empty() {
        sentences.push("Nothing was found among the causes that this version knows.".to_owned());
    } else if told == 0 && refused == 0 {
        sentences.push(format!("Nothing serious was found; {} below.", observations(rest)));
    } else if rest > 0 {
        sentences.push(format!("{} below.", capitalised(&observations(rest))));
    }
    sentences.extend(undecided(verdicts));
    sentences.join(" ")
}

/// RBAC denies it, whichever rule is missing or wrong.
fn is_missing_rule(finding: &Finding) -> bool {
    finding.details.contains_key("bundle_rbac")
}

/// One identity may be denied for several reasons.
fn identities_of(findings: &[&Finding]) -> usize {
    let mut all: Vec<String> =
        findings.iter().filter_map(|f| f.details.get("identity")).map(ToString::to_string).collect();
    all.sort();
    all.dedup();
    all.len()
}

/// Which causes could not be decided, by name when they are few, and for want of what when they are many.
fn undecided(verdicts: &[Verdict]) -> Option<String> {
    let unknown: Vec<&Verdict> =
        verdicts.iter().filter(|verdict| verdict.verdict == Decision::NotEvaluated).collect();
    if unknown.is_empty() {
        return None;
    }
    if unknown.len() <= 3 {
        let titles: Vec<String> =
            unknown.iter().map(|verdict| format!("\u{201c}{}\u{201d}", verdict.title)).collect();
        return Some(format!("Could not be decided from this bundle: {}.", titles.join(", ")));
    }
    let mut missing: BTreeMap<&str, usize> = BTreeMap::new();
    for what in unknown.iter().flat_map(|verdict| &verdict.missing) {
        *missing.entry(what).or_default() += 1;
    }
    // What most of them lack.
    let mut missing: Vec<(&str, usize)> = missing.into_iter().collect();
    missing.sort_by_key(|(what, causes)| (std::cmp::Reverse(*causes), *what));
    let named: Vec<&str> = missing.iter().take(3).map(|(what, _)| *what).collect();
    let more = if missing.len() > named.len() { "; and more, listed below" } else { "" };
    let lacking = if named.is_empty() {
        String::new()
    } else {
        format!(", mostly for want of: {}{more}", named.join("; "))
    };
    Some(format!(
        "{} of {} causes could not be decided from this bundle{lacking}.",
        unknown.len(),
        verdicts.len()
    ))
}

/// `1 request`, `12 requests`.
fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// What is cut or damaged in the bundle as such, by its first case.
fn damage(coverage: &CoverageView) -> Option<String> {
    let cut = |text: &str| {
        ["ends early", "damaged", "the file is cut", "the archive ends"]
            .iter()
            .any(|sign| text.contains(sign))
    };
    let mut damaged = coverage.entries.iter().filter_map(|entry| {
        entry.problem.as_deref().filter(|problem| cut(problem)).map(|problem| (entry, problem))
    });
    let (entry, problem) = damaged.next()?;
    let others = match damaged.count() {
        0 => String::new(),
        n => format!(" ({n} more entries are damaged)"),
    };
    Some(format!("The bundle is incomplete, so verdicts may change: {}: {problem}{others}.", entry.path))
}

fn identities(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 identity {one}") } else { format!("{count} identities {many}") }
}

fn observations(count: usize) -> String {
    if count == 1 { "1 more observation is".to_owned() } else { format!("{count} more observations are") }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
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
