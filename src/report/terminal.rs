//! The summary on the terminal: the diagnosis, the causes, what to do next.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::{AnsiColor, Color, Style};

use super::Redacted;
use super::escape::visible;
use crate::detectors::{Confidence, Severity};
use crate::diagnosis::{Verdict, VerdictKind};

/// Up to so many causes that could not be decided are named, and kinds of missing data.
const FEW: usize = 6;
/// Causes shown.
const CAUSES: usize = 15;
/// What is over and named.
const OVER: usize = 3;

/// Text with ANSI styles; the caller's stream strips them where they don't belong. `width` in columns.
pub fn summary(diagnosis: &Redacted, width: usize) -> String {
    let width = width.clamp(40, 120);
    let mut out = String::new();
    let bold = Style::new().bold();
    let dim = Style::new().dimmed();
    if let Some(notice) = &diagnosis.notice {
        for line in wrap(notice, width) {
            let _ = writeln!(out, "{line}");
        }
        out.push('\n');
    }
    let _ = writeln!(out, "{bold}Diagnosis{bold:#}");
    for line in wrap(&diagnosis.summary, width - 2) {
        let _ = writeln!(out, "  {line}");
    }
    if !diagnosis.root_causes.is_empty() {
        let _ = writeln!(out, "\n{bold}Causes, worst first{bold:#}");
    }
    for root in diagnosis.root_causes.iter().take(CAUSES) {
        let style = style(root.severity);
        let sure = match root.confidence {
            Confidence::Confirmed => String::new(),
            less => format!(" ({})", less.name()),
        };
        let mut lines = wrap(&format!("{}{sure}", root.title), width - 12).into_iter();
        let first = lines.next().unwrap_or_default();
        let _ = writeln!(out, "  {style}{:<8}{style:#}  {first}", root.severity.name());
        for line in lines {
            let _ = writeln!(out, "            {line}");
        }
    }
    let more = diagnosis.root_causes.len().saturating_sub(CAUSES);
    if more > 0 {
        let _ = writeln!(out, "            {dim}and {more} more in the report{dim:#}");
    }
    if !diagnosis.seen_and_over.is_empty() {
        let _ = writeln!(out, "\n{bold}Seen and over{bold:#}");
    }
    for root in diagnosis.seen_and_over.iter().take(OVER) {
        for (at, line) in wrap(&root.title, width - 4).iter().enumerate() {
            let _ = writeln!(out, "{}{line}", if at == 0 { "  " } else { "    " });
        }
    }
    let more = diagnosis.seen_and_over.len().saturating_sub(OVER);
    if more > 0 {
        let _ = writeln!(out, "  {dim}and {more} more in the report{dim:#}");
    }
    let unknown: Vec<_> =
        diagnosis.verdicts.iter().filter(|v| v.verdict == VerdictKind::NotEvaluated).collect();
    if !unknown.is_empty() {
        let hint = if diagnosis.ask_for.is_empty() { "" } else { " (the report lists what to ask for)" };
        let _ = writeln!(out, "\n{bold}Not evaluated{bold:#}{dim}{hint}{dim:#}");
        for line in unevaluated(&unknown) {
            for (at, line) in wrap(&line, width - 4).iter().enumerate() {
                let _ = writeln!(out, "{}{line}", if at == 0 { "  " } else { "    " });
            }
        }
    }
    let coverage = &diagnosis.coverage;
    let _ = writeln!(
        out,
        "\n{dim}Read {} entries, {:.1} MB; {}% of the text recognised; {} with problems.{dim:#}",
        coverage.entry_count,
        coverage.bytes as f64 / 1e6,
        coverage.recognised_percent,
        coverage.problem_count
    );
    for error in &diagnosis.internal_errors {
        let _ = writeln!(out, "{}", visible(error));
    }
    out
}

/// What could not be decided: by cause when they are few, else by what is missing for most of them.
fn unevaluated(unknown: &[&Verdict]) -> Vec<String> {
    if unknown.len() <= FEW {
        return unknown.iter().map(|verdict| format!("{} ({})", verdict.title, verdict.reason)).collect();
    }
    let mut lacking: BTreeMap<&str, usize> = BTreeMap::new();
    for verdict in unknown {
        for what in &verdict.missing {
            *lacking.entry(what).or_default() += 1;
        }
    }
    let mut lacking: Vec<(&str, usize)> = lacking.into_iter().collect();
    lacking.sort_by_key(|(what, causes)| (std::cmp::Reverse(*causes), *what));
    let mut lines = vec![format!("{} causes could not be decided, most for want of:", unknown.len())];
    lines.extend(lacking.iter().take(FEW).map(|(what, causes)| format!("- {what} ({causes})")));
    lines
}

fn style(severity: Severity) -> Style {
    let colour = match severity {
        Severity::Critical | Severity::High => AnsiColor::Red,
        Severity::Medium => AnsiColor::Yellow,
        Severity::Low => AnsiColor::Blue,
        Severity::Info => AnsiColor::White,
    };
    let style = Style::new().fg_color(Some(Color::Ansi(colour)));
    if severity == Severity::Critical { style.bold() } else { style }
}

/// Breaks text into lines of at most `width` characters; longer words stand alone.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in visible(text).split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
