//! The diagnosis in one paragraph of plain words.

use std::collections::{BTreeMap, BTreeSet};

use super::causes::is_missing_rule;
use super::{CoverageView, Inventory, RootCause, Verdict, VerdictKind};
use crate::detectors::{Confidence, Finding, Severity};
use crate::facts::text::{capitalised, counted};

/// What broke, since when, why, what now, and how sure; then what else, and what could not be decided.
pub(super) fn paragraph(
    findings: &[Finding],
    roots: &[RootCause],
    verdicts: &[Verdict],
    inventory: &Inventory,
    coverage: &CoverageView,
) -> (String, String) {
    let mut sentences = Vec::new();
    let whole = |head: usize, sentences: &[String]| {
        let headline = sentences.get(..head.clamp(1, sentences.len().max(1))).unwrap_or_default().join(" ");
        (headline, sentences.join(" "))
    };
    if inventory.objects.is_empty() && inventory.audit_events == 0 && coverage.recognised_bytes == 0 {
        sentences.push("Nothing in the input was recognised.".to_owned());
    }
    sentences.extend(damage(coverage));
    let find = |id: &str| findings.iter().find(|finding| finding.id == id);
    let serious =
        |root: &&RootCause| root.severity >= Severity::Medium && root.confidence >= Confidence::Likely;
    let mut given: BTreeSet<&str> = BTreeSet::new();
    // The identities that RBAC denies are one sentence: each alone would hide how many they are.
    let of_rbac = |root: &RootCause| find(&root.id).is_some_and(is_missing_rule);
    let mut worst = roots.iter().filter(serious).filter(|root| !of_rbac(root));
    if let Some(root) = worst.next() {
        sentences.push(headline(root, find(&root.id)));
        given.extend(root.findings.iter().map(String::as_str));
    }
    let head = sentences.len();
    let also: Vec<&RootCause> = worst.take_while(|root| root.severity >= Severity::High).collect();
    if !also.is_empty() {
        let named: Vec<&str> = also.iter().take(2).map(|root| root.title.as_str()).collect();
        let more = also.len().saturating_sub(named.len());
        let more =
            if more > 0 { format!("; and {more} more of severity high or critical") } else { String::new() };
        sentences.push(format!("Also: {}{more}.", named.join("; ")));
        given.extend(also.iter().flat_map(|root| &root.findings).map(String::as_str));
    }
    let (denied, past): (Vec<_>, Vec<_>) =
        findings.iter().filter(|f| is_missing_rule(f)).partition(|f| f.confidence > Confidence::Possible);
    if let Some(most) = denied.iter().max_by_key(|finding| finding.count) {
        let requests: u64 = denied.iter().map(|finding| finding.count).sum();
        sentences.push(format!(
            "{} denied by RBAC, 403 Forbidden ({}); most often {} ({}).",
            identities(identities_of(&denied), "is", "are"),
            counted(requests, "request"),
            most.title,
            counted(most.count, "time")
        ));
    }
    if !past.is_empty() {
        sentences.push(format!(
            "{} denied by RBAC for a while and no longer, as is normal while components start.",
            identities(identities_of(&past), "was", "were")
        ));
    }
    given.extend(denied.iter().chain(&past).map(|finding| finding.id.as_str()));
    let refused: u64 = findings
        .iter()
        .filter(|f| f.details.authorization.refused_by.as_deref() == Some("unattributed"))
        .map(|f| f.count)
        .sum();
    if refused > 0 {
        sentences.push(format!(
            "{} got 403 for a reason that only the audit log would show.",
            counted(refused, "request")
        ));
    }
    let rest = findings.len() - findings.iter().filter(|finding| given.contains(finding.id.as_str())).count();
    let evaluated = verdicts.iter().any(|verdict| verdict.verdict != VerdictKind::NotEvaluated);
    if findings.is_empty() && !evaluated {
        // Silence is not health: said as such, with what is lacking.
        sentences.push(format!(
            "None of the {} known causes could be checked. Missing data: {}.",
            verdicts.len(),
            lacking(verdicts)
        ));
        return whole(head, &sentences);
    }
    if findings.is_empty() {
        sentences.push("None of the known causes was found.".to_owned());
    } else if given.is_empty() && refused == 0 {
        sentences.push(format!("Nothing serious was found; {} below.", further(rest)));
    } else if rest > 0 {
        sentences.push(format!("{} below.", capitalised(&further(rest))));
    }
    sentences.extend(undecided(verdicts));
    whole(head, &sentences)
}

/// The worst cause: what, since when, how sure, what follows from it, what to do first.
fn headline(root: &RootCause, finding: Option<&Finding>) -> String {
    let since = finding.and_then(|finding| finding.first_seen.as_deref()).map_or_else(String::new, |at| {
        format!(" since {}", at.split('.').next().unwrap_or(at).trim_end_matches('Z').replace('T', " "))
    });
    let sure = match root.confidence {
        Confidence::Confirmed => " (confirmed)",
        _ => " (likely: the bundle does not prove it)",
    };
    let symptoms = root.findings.len().saturating_sub(1);
    let follows = match symptoms {
        0 => String::new(),
        1 => " 1 other finding follows from it.".to_owned(),
        n => format!(" {n} other findings follow from it."),
    };
    format!(
        "{}{}{sure}.{follows} First: {}",
        root.title,
        if since.is_empty() { String::new() } else { format!(",{since}Z") },
        root.first_step
    )
}

/// Everything that is missing for some cause.
fn lacking(verdicts: &[Verdict]) -> String {
    let mut missing: Vec<&str> =
        verdicts.iter().flat_map(|verdict| &verdict.missing).map(String::as_str).collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() { "comparable data".to_owned() } else { missing.join("; ") }
}

/// One identity may be denied for several reasons.
fn identities_of(findings: &[&Finding]) -> usize {
    let mut all: Vec<String> =
        findings.iter().filter_map(|f| f.details.authorization.identity.clone()).collect();
    all.sort();
    all.dedup();
    all.len()
}

/// Which causes could not be decided, by name when they are few, and by the missing data when they are many.
fn undecided(verdicts: &[Verdict]) -> Option<String> {
    let unknown: Vec<&Verdict> =
        verdicts.iter().filter(|verdict| verdict.verdict == VerdictKind::NotEvaluated).collect();
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
    let lacking =
        if named.is_empty() { String::new() } else { format!(" (missing data: {}{more})", named.join("; ")) };
    Some(format!(
        "{} of {} causes could not be decided from this bundle{lacking}.",
        unknown.len(),
        verdicts.len()
    ))
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
        n => format!(" (damaged entries besides it: {n})"),
    };
    Some(format!("The bundle is incomplete, so verdicts may change: {}: {problem}{others}.", entry.path))
}

fn identities(count: usize, singular: &str, many: &str) -> String {
    format!("{} {}", counted(count, "identity"), if count == 1 { singular } else { many })
}

fn further(count: usize) -> String {
    if count == 1 { "1 more finding is".to_owned() } else { format!("{count} more findings are") }
}
