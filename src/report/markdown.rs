//! Markdown for a ticket: renders in GitHub, GitLab and Azure DevOps, and reads well as plain text.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};

use super::escape::{code_block, code_span, markdown};
use super::{Redacted, RenderError, board};
use crate::diagnosis::{Diagnosis, NodeAddresses};

/// Largest report: trackers cut longer texts.
const BYTES: usize = 60_000;

/// Renders the text, with fewer findings in full until it fits.
pub(super) fn render(diagnosis: &Redacted) -> Result<String, RenderError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template("report.md", include_str!("../../templates/report.md"))?;
    environment.add_filter("at", |text: String| super::short::moment(&text));
    environment.add_filter("counted", |count: u64, unit: String| super::html::counted(count, &unit));
    environment.add_filter("md", |text: String| markdown(&text));
    environment.add_filter("code", |text: String| code_span(&text));
    environment.add_filter("block", |text: String, language: String| code_block(&text, &language));
    environment.add_filter("cut", |text: String, length: usize| cut(&text, length));
    let template = environment.get_template("report.md")?;
    let mut text = String::new();
    for (in_full, rows, excerpt) in
        [(40, 60, 240), (25, 40, 200), (15, 25, 160), (8, 15, 120), (4, 10, 100), (1, 5, 80)]
    {
        text = template.render(context! {
            report => Serde(&**diagnosis),
            findings => Serde(diagnosis.findings.iter().take(in_full).collect::<Vec<_>>()),
            findings_cut => diagnosis.findings.len().saturating_sub(in_full),
            causes => Serde(diagnosis.causes.iter().take(rows).collect::<Vec<_>>()),
            causes_cut => diagnosis.causes.len().saturating_sub(rows),
            questions => Serde(diagnosis.ask_for.iter().filter(|ask| ask.decides).collect::<Vec<_>>()),
            over => Serde(diagnosis.seen_and_over.iter().take(rows).collect::<Vec<_>>()),
            over_cut => diagnosis.seen_and_over.len().saturating_sub(rows),
            addresses => Serde(worst_first(diagnosis)),
            rows,
            excerpt,
            problems => Serde(problems(diagnosis, rows)),
            unread => Serde(unread(diagnosis, rows)),
            chapters => Serde(board::board(diagnosis)),
        })?;
        if text.len() <= BYTES {
            return Ok(tidy(&text));
        }
    }
    // One finding with monstrous details: cut at a line, and say so.
    let end = text.char_indices().take_while(|(at, _)| *at < BYTES - 200).last().map_or(0, |(at, _)| at);
    let kept = text.get(..end).and_then(|kept| kept.rsplit_once('\n')).map_or("", |(kept, _)| kept);
    Ok(tidy(&format!("{kept}\n\n*Cut here: the HTML and JSON reports have the rest.*\n")))
}

/// The nodes with the most addresses that nobody holds first.
fn worst_first(diagnosis: &Diagnosis) -> Vec<&NodeAddresses> {
    let mut nodes: Vec<_> = diagnosis.inventory.addresses.iter().collect();
    nodes.sort_by_key(|node| {
        (std::cmp::Reverse(node.orphans.unwrap_or(0)), std::cmp::Reverse(node.allocated), &node.node)
    });
    nodes
}

fn problems(diagnosis: &Diagnosis, rows: usize) -> Vec<&crate::diagnosis::EntryView> {
    diagnosis.coverage.entries.iter().filter(|entry| entry.problem.is_some()).take(rows).collect()
}

/// The largest entries that no format recognised.
fn unread(diagnosis: &Diagnosis, rows: usize) -> Vec<&crate::diagnosis::EntryView> {
    let mut unread: Vec<_> = diagnosis
        .coverage
        .entries
        .iter()
        .filter(|entry| !entry.recognised && entry.bytes > 0 && entry.format == "text")
        .collect();
    unread.sort_by_key(|entry| (std::cmp::Reverse(entry.bytes), &entry.path));
    unread.truncate(rows.min(10));
    unread
}

fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut text: String = text.chars().take(length).collect();
    text.push('…');
    text
}

/// At most one empty line in a row.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines() {
        let line = line.trim_end();
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            tidy.push_str(line);
            tidy.push('\n');
        }
    }
    tidy
}
