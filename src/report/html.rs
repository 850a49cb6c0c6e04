//! One HTML page: no external reference, no script, readable from a mail attachment.

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use super::escape::visible;
use super::{RenderError, board};
use crate::detectors::Severity;
use crate::diagnosis::{Decision, Diagnosis, EntryView, NodeAddresses, SubnetUse};

/// Rows of the coverage table; the JSON output has all.
const ENTRIES: usize = 400;
/// Findings in full; the JSON output has all.
const FINDINGS: usize = 150;
/// Nodes in the table of addresses, the worst first.
const NODES: usize = 100;

#[derive(Serialize)]
struct Bar {
    x: f64,
    width: f64,
    height: f64,
    y: f64,
    label: String,
}

#[derive(Serialize)]
struct AddressRow<'a> {
    node: &'a NodeAddresses,
    live: f64,
    orphan: f64,
    other: f64,
    scale: u64,
}

/// Renders the page.
pub(super) fn render(diagnosis: &Diagnosis) -> Result<String, RenderError> {
    let mut environment = Environment::new();
    environment.add_template("report.html", include_str!("../../templates/report.html"))?;
    environment.add_template("finding.html", include_str!("../../templates/finding.html"))?;
    environment.add_filter("visible", |text: String| visible(&text).into_owned());
    environment.add_filter("bytes", shown_bytes);
    environment.add_filter("number", shown_number);
    environment.add_filter("at", shown_time);
    environment.add_filter("counted", |count: u64, unit: String| counted(count, &unit));
    environment.add_function("bars", |over_time: Value| Value::from(Serde(bars(&over_time))));
    let count = |decision: Decision| diagnosis.verdicts.iter().filter(|v| v.verdict == decision).count();
    let severities: Vec<_> =
        [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info]
            .into_iter()
            .map(|severity| (severity, diagnosis.findings.iter().filter(|f| f.severity == severity).count()))
            .filter(|(_, count)| *count > 0)
            .map(|(severity, count)| context! { name => severity.name(), count })
            .collect();
    let mut nodes: Vec<&NodeAddresses> = diagnosis.inventory.addresses.iter().collect();
    nodes.sort_by_key(|node| {
        (std::cmp::Reverse(node.orphans.unwrap_or(0)), std::cmp::Reverse(node.allocated), &node.node)
    });
    let rows: Vec<AddressRow<'_>> = nodes.iter().take(NODES).map(|node| address_row(node)).collect();
    let page = environment.get_template("report.html")?.render(context! {
        report => Serde(diagnosis),
        style => include_str!("../../templates/style.css"),
        severities,
        chapters => Serde(board::board(diagnosis)),
        confirmed => count(Decision::Confirmed),
        suspected => count(Decision::Suspected),
        ruled_out => count(Decision::RuledOut),
        not_evaluated => count(Decision::NotEvaluated),
        findings => Serde(diagnosis.findings.iter().take(FINDINGS).collect::<Vec<_>>()),
        findings_cut => diagnosis.findings.len().saturating_sub(FINDINGS),
        entries => Serde(shown_entries(diagnosis)),
        entries_cut => diagnosis.coverage.entries.len().saturating_sub(ENTRIES),
        address_rows => Serde(rows),
        all_orphans => nodes.iter().filter_map(|node| node.orphans).sum::<u64>(),
        subnet_rows => Serde(diagnosis.inventory.subnets.iter().map(subnet_row).collect::<Vec<_>>()),
        nodes_cut => nodes.len().saturating_sub(NODES),
    })?;
    Ok(page)
}

/// Entries with problems first, then unrecognised ones, then by size.
fn shown_entries(diagnosis: &Diagnosis) -> Vec<&EntryView> {
    let mut entries: Vec<&EntryView> = diagnosis.coverage.entries.iter().collect();
    entries.sort_by_key(|entry| {
        (entry.problem.is_none(), entry.recognised, std::cmp::Reverse(entry.bytes), &entry.path)
    });
    entries.truncate(ENTRIES);
    entries
}

/// Shares of the bar: held by live pods, orphans, the rest of what is reserved; of the capacity.
fn address_row(node: &NodeAddresses) -> AddressRow<'_> {
    let scale = node.capacity.unwrap_or(0).max(node.allocated).max(1);
    let percent = |count: u64| (count as f64 * 1000.0 / scale as f64).round() / 10.0;
    let live = node.in_use.unwrap_or(0).min(node.allocated);
    let orphan = node.orphans.unwrap_or(0).min(node.allocated - live);
    AddressRow {
        node,
        live: percent(live),
        orphan: percent(orphan),
        other: percent(node.allocated - live - orphan),
        scale,
    }
}

/// A range in the map.
#[derive(Serialize)]
struct SubnetRow<'a> {
    subnet: &'a SubnetUse,
    /// There is something to draw.
    bar: bool,
    /// Percent in use or needed now.
    now: f64,
    /// Percent more at most.
    more: f64,
    /// Percent at most.
    most: f64,
}

fn subnet_row(subnet: &SubnetUse) -> SubnetRow<'_> {
    let percent = |count: u64| (count as f64 * 1000.0 / subnet.usable.max(1) as f64).round() / 10.0;
    let now = percent(subnet.used.max(subnet.needed_now).unwrap_or(0)).min(100.0);
    let most = percent(subnet.needed_at_most.unwrap_or(0)).max(now);
    let bar = subnet.used.is_some() || subnet.needed_now.is_some();
    SubnetRow { subnet, bar, now, more: most.min(100.0) - now, most }
}

/// `1 request`, `17 addresses`.
pub(super) fn counted(count: u64, unit: &str) -> String {
    let plural = match unit {
        _ if count == 1 => unit.to_owned(),
        _ if unit.ends_with('s') => format!("{unit}es"),
        _ => format!("{unit}s"),
    };
    format!("{} {plural}", shown_number(count))
}

/// Bars of a chart 480 wide and 60 high.
fn bars(over_time: &Value) -> Vec<Bar> {
    let points: Vec<(String, u64)> = over_time
        .try_iter()
        .into_iter()
        .flatten()
        .map(|point| {
            let start = point.get_attr("start").ok().and_then(|start| start.as_str().map(ToOwned::to_owned));
            let count = point.get_attr("count").ok().and_then(|count| u64::try_from(count).ok());
            (start.unwrap_or_default(), count.unwrap_or(0))
        })
        .collect();
    let most = points.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1) as f64;
    let width = 480.0 / points.len().max(1) as f64;
    let round = |value: f64| (value * 10.0).round() / 10.0;
    points
        .into_iter()
        .enumerate()
        .filter(|(_, (_, count))| *count > 0)
        .map(|(at, (start, count))| {
            let height = (count as f64 * 60.0 / most).max(1.5);
            Bar {
                x: round(at as f64 * width),
                width: round((width - 1.0).max(1.0)),
                height: round(height),
                y: round(60.0 - height),
                label: format!("{}: {count}", shown_time(start)),
            }
        })
        .collect()
}

/// `2026-11-23T20:52:03.1Z` as `2026-11-23 20:52:03Z`.
fn shown_time(text: String) -> String {
    match text.split_once('T') {
        Some((day, clock)) => {
            let clock = clock.trim_end_matches('Z').split('.').next().unwrap_or_default();
            format!("{day} {clock}Z")
        }
        None => text,
    }
}

fn shown_bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// Thousands apart: `12 345`.
fn shown_number(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_made_for_people() {
        assert_eq!(shown_number(1_283), "1\u{202f}283");
        assert_eq!(shown_number(12), "12");
        assert_eq!(shown_bytes(1_234_567), "1.2 MB");
        assert_eq!(shown_time("2026-11-23T20:52:03.1Z".into()), "2026-11-23 20:52:03Z");
    }
}
