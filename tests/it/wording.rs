//! What the report says of each cause, word for word: `samples/detectors/<id>/expected.md` has it, for that cause
//! alone. `just golden` writes them anew: read the difference before accepting it.

use std::fmt::Write;

use crate::common;
use kubetriage::detectors::{self, Finding};
use kubetriage::diagnosis::Diagnosis;

fn block(out: &mut String, heading: &str, language: &str, text: &str) {
    let _ = writeln!(out, "{heading}\n\n```{language}\n{}\n```\n", text.trim_end());
}

/// Everything that a finding says, as a page.
fn page(finding: &Finding, diagnosis: &Diagnosis) -> String {
    let mut out = format!("# {}\n\n", finding.title);
    let _ = writeln!(
        out,
        "{}, {}, {}; {} × {}",
        finding.severity.name(),
        finding.confidence.name(),
        finding.state.name(),
        finding.count,
        finding.unit
    );
    let when = [&finding.first_seen, &finding.last_seen].map(|time| time.as_deref().unwrap_or("?"));
    let _ = writeln!(out, "Seen: {} to {}", when[0], when[1]);
    for subject in &finding.subjects {
        let namespace =
            if subject.namespace.is_empty() { String::new() } else { format!("{}/", subject.namespace) };
        let _ = writeln!(out, "About: {} {namespace}{}", subject.kind, subject.name);
    }
    let _ = writeln!(out, "\n**Cause.** {}\n\n**Fix.** {}\n", finding.cause, finding.fix.text);
    if !finding.fix.commands.is_empty() {
        block(&mut out, "Commands:", "sh", &finding.fix.commands.join("\n"));
    }
    for manifest in &finding.fix.manifests {
        block(&mut out, "Manifest:", "yaml", manifest);
    }
    if !finding.verify.is_empty() {
        block(&mut out, "**Check.**", "sh", &finding.verify.join("\n"));
    }
    out.push_str("**Evidence.**\n\n");
    for evidence in &finding.evidence {
        let line = if evidence.line == 0 { String::new() } else { format!(":{}", evidence.line) };
        let pointer = evidence.pointer.as_ref().map_or_else(String::new, |pointer| format!(" {pointer}"));
        let _ = writeln!(out, "- {}{line}{pointer}: {}", evidence.source, evidence.excerpt);
    }
    let title = |id: &str| {
        let other = diagnosis.findings.iter().find(|other| other.id == id);
        other.map_or_else(|| format!("no finding of the id {id}"), |other| other.title.clone())
    };
    for explanation in &finding.explained_by {
        let _ = writeln!(out, "\nFollows from: {} ({})", title(&explanation.by), explanation.because);
    }
    for other in &diagnosis.findings {
        if other.explained_by.iter().any(|explanation| explanation.by == finding.id) {
            let _ = writeln!(out, "\nExplains: {}", other.title);
        }
    }
    out
}

#[test]
fn each_cause_says_what_was_accepted() {
    let mut differ = Vec::new();
    for detector in detectors::all() {
        let folder = common::sample("detectors").join(detector.id);
        let found = common::diagnosis(&folder.join("hit"));
        assert_eq!(found.internal_errors, Vec::<String>::new(), "{}", detector.id);
        let pages: Vec<String> = found
            .findings
            .iter()
            .filter(|finding| finding.detector == detector.id)
            .map(|finding| page(finding, &found))
            .collect();
        assert!(!pages.is_empty(), "{} does not see its own hit", detector.id);
        let text = pages.join("\n---\n\n");
        let file = folder.join("expected.md");
        if std::env::var_os("KUBETRIAGE_GOLDEN").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        if std::fs::read_to_string(&file).unwrap_or_default() != text {
            differ.push(detector.id);
        }
    }
    assert!(
        differ.is_empty(),
        "the report says something else than was accepted: read it, then `just golden`: {differ:?}"
    );
}
