//! `JUnit` XML for pipelines: a suite for each chapter, a test for each cause. A cause that is confirmed or likely fails
//! its test; one that could not be decided is skipped.

use std::fmt::Write;

use super::Redacted;
use super::escape::visible;
use crate::detectors::{Chapter, Confidence, Finding, Severity};
use crate::diagnosis::{Verdict, VerdictKind};

/// Text as XML: control characters are made visible, since XML 1.0 has none.
fn xml(text: &str) -> String {
    let mut label = String::with_capacity(text.len() + 16);
    for c in visible(text).chars() {
        match c {
            '&' => label.push_str("&amp;"),
            '<' => label.push_str("&lt;"),
            '>' => label.push_str("&gt;"),
            '"' => label.push_str("&quot;"),
            '\'' => label.push_str("&#39;"),
            // The only code points that XML 1.0 forbids and that are left.
            '\u{fffe}' | '\u{ffff}' => label.push('\u{fffd}'),
            _ => label.push(c),
        }
    }
    label
}

/// Whether a finding fails its test.
fn fails(finding: &Finding) -> bool {
    finding.confidence >= Confidence::Likely && finding.severity > Severity::Info
}

fn case(out: &mut String, verdict: &Verdict, findings: &[&Finding]) {
    let _ = write!(
        out,
        "    <testcase classname=\"{}\" name=\"{}\"",
        xml(verdict.chapter.title()),
        xml(verdict.id)
    );
    let failing: Vec<&&Finding> = findings.iter().filter(|finding| fails(finding)).collect();
    match failing.first() {
        Some(worst) => {
            let _ = write!(
                out,
                ">\n      <failure type=\"{}\" message=\"{}\">",
                worst.severity.name(),
                xml(&worst.title)
            );
            for finding in &failing {
                let first =
                    finding.evidence.first().map(crate::evidence::Evidence::place).unwrap_or_default();
                let text = format!(
                    "{}\n{}\nFix: {}\nSeen: {first}\n\n",
                    finding.title, finding.cause, finding.fix.text
                );
                out.push_str(&xml(&text));
            }
            out.push_str("</failure>\n    </testcase>\n");
        }
        None if verdict.verdict == VerdictKind::NotEvaluated => {
            let _ =
                write!(out, ">\n      <skipped message=\"{}\"/>\n    </testcase>\n", xml(&verdict.reason));
        }
        None => out.push_str("/>\n"),
    }
}

/// Renders the document.
pub(super) fn render(diagnosis: &Redacted) -> String {
    let of = |verdict: &Verdict| -> Vec<&Finding> {
        diagnosis.findings.iter().filter(|finding| finding.detector == verdict.id).collect()
    };
    let mut chapters: Vec<Chapter> = diagnosis.verdicts.iter().map(|verdict| verdict.chapter).collect();
    chapters.sort_unstable();
    chapters.dedup();
    let mut out =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"kubetriage\">\n");
    if let Some(notice) = &diagnosis.notice {
        let _ =
            writeln!(out, "  <properties><property name=\"notice\" value=\"{}\"/></properties>", xml(notice));
    }
    for chapter in chapters {
        let ours: Vec<&Verdict> =
            diagnosis.verdicts.iter().filter(|verdict| verdict.chapter == chapter).collect();
        let failures = ours.iter().filter(|verdict| of(verdict).iter().any(|finding| fails(finding))).count();
        let failed = |verdict: &Verdict| of(verdict).iter().any(|finding| fails(finding));
        let skipped = ours
            .iter()
            .filter(|verdict| verdict.verdict == VerdictKind::NotEvaluated && !failed(verdict))
            .count();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\">",
            xml(chapter.title()),
            ours.len()
        );
        for verdict in ours {
            case(&mut out, verdict, &of(verdict));
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}
