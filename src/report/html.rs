//! One HTML page: no external reference, readable from a mail attachment and without its script, which copies and
//! filters and is the only one that the page's policy allows.

use std::collections::BTreeMap;

use base64::Engine;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context, escape_formatter};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::escape::visible;
use super::{Redacted, RenderError, board};
use crate::detectors::{self, Chapter, Finding, Severity, SubjectRef};
use crate::diagnosis::{Diagnosis, EntryView, NodeAddresses, SubnetUse, Timeline, VerdictKind};
use crate::facts::text::plural;
use crate::facts::time;

/// Rows of the coverage table; the JSON output has all.
const ENTRIES: usize = 400;
/// Findings in full; the JSON output has all.
const FINDINGS: usize = 150;
/// Objects in their table, the worst first.
const OBJECTS: usize = 300;
/// Findings named for one object.
const OF_OBJECT: usize = 8;
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

/// The page's only script: its hash is what the page's policy allows.
const SCRIPT: &str = include_str!("../../templates/script.js");

/// As a Content Security Policy names it.
fn script_hash() -> String {
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(SCRIPT)))
}

/// A finding of an object.
#[derive(Serialize)]
struct OfObject<'a> {
    id: &'a str,
    title: &'a str,
    severity: Severity,
}

/// An object and what was found of it.
#[derive(Serialize)]
struct ObjectRow<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    findings: Vec<OfObject<'a>>,
}

/// All objects that findings are about, the worst first.
fn objects(diagnosis: &Diagnosis) -> Vec<ObjectRow<'_>> {
    let mut by_subject: BTreeMap<&SubjectRef, Vec<OfObject<'_>>> = BTreeMap::new();
    for finding in diagnosis.findings.iter().take(FINDINGS) {
        for subject in &finding.subjects {
            let ours = by_subject.entry(subject).or_default();
            if ours.len() < OF_OBJECT && ours.iter().all(|item| item.id != finding.id) {
                ours.push(OfObject { id: &finding.id, title: &finding.title, severity: finding.severity });
            }
        }
    }
    let mut all: Vec<ObjectRow<'_>> = by_subject
        .into_iter()
        .map(|(subject, findings)| ObjectRow {
            kind: &subject.kind,
            namespace: &subject.namespace,
            name: &subject.name,
            findings,
        })
        .collect();
    all.sort_by_key(|object| {
        let worst = object.findings.iter().map(|finding| finding.severity).max();
        (std::cmp::Reverse((worst, object.findings.len())), object.kind, object.namespace, object.name)
    });
    all
}

/// A lane of the timeline, as shapes.
#[derive(Serialize)]
struct DrawnLane<'a> {
    what: &'a str,
    total: u64,
    /// When there was most.
    peak: String,
    bars: Vec<Bar>,
}

/// An onset, as a line.
#[derive(Serialize)]
struct Mark<'a> {
    x: f64,
    at: &'a str,
    id: &'a str,
    title: &'a str,
}

/// A stretch without logs, as a box.
#[derive(Serialize)]
struct DrawnGap<'a> {
    x: f64,
    width: f64,
    from: &'a str,
    to: &'a str,
}

/// The timeline, as shapes of a picture 960 wide, each lane 40 high.
#[derive(Serialize)]
struct Drawn<'a> {
    column: String,
    lanes: Vec<DrawnLane<'a>>,
    marks: Vec<Mark<'a>>,
    gaps: Vec<DrawnGap<'a>>,
}

fn drawn(timeline: &Timeline) -> Drawn<'_> {
    let columns = timeline.lanes.first().map_or(1, |lane| lane.counts.len().max(1));
    let width = 960.0 / columns as f64;
    let start = time::rfc3339(timeline.from.as_bytes()).and_then(|(when, _)| when.resolve(None)).unwrap_or(0);
    let time_of =
        |column: usize| time::show(start + column as i64 * timeline.column_seconds as i64 * 1_000_000);
    let lanes = timeline.lanes.iter().map(|lane| {
        let most = lane.counts.iter().copied().max().unwrap_or(1).max(1);
        let bars = lane.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(column, count)| {
            // A single one must be seen beside a thousand.
            let height = (38.0 * *count as f64 / most as f64).max(3.0);
            Bar {
                x: rounded(column as f64 * width),
                width: rounded(width * 0.86),
                height: rounded(height),
                y: rounded(40.0 - height),
                label: format!("{}: {count}", time_of(column)),
            }
        });
        let peak = lane.counts.iter().enumerate().max_by_key(|(at, count)| (**count, std::cmp::Reverse(*at)));
        DrawnLane {
            what: lane.what,
            total: lane.total,
            peak: peak.map_or_else(String::new, |(at, _)| time_of(at)),
            bars: bars.collect(),
        }
    });
    let x = |column: usize| rounded((column as f64 + 0.43) * width);
    Drawn {
        column: time::show_length(timeline.column_seconds as i64 * 1_000_000),
        lanes: lanes.collect(),
        marks: timeline
            .onsets
            .iter()
            .map(|onset| Mark { x: x(onset.column), at: &onset.at, id: &onset.id, title: &onset.title })
            .collect(),
        gaps: timeline
            .gaps
            .iter()
            .map(|gap| DrawnGap {
                x: rounded(gap.first as f64 * width),
                width: rounded((gap.last + 1 - gap.first) as f64 * width),
                from: &gap.from,
                to: &gap.to,
            })
            .collect(),
    }
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Renders the page.
pub(super) fn render(diagnosis: &Redacted) -> Result<String, RenderError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.add_template("report.html", include_str!("../../templates/report.html"))?;
    environment.add_template("finding.html", include_str!("../../templates/finding.html"))?;
    // Whatever a template shows, no character of it acts without being seen.
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => escape_formatter(out, state, &visible(text).into_owned().into()),
        _ => escape_formatter(out, state, value),
    });
    environment.add_filter("bytes", human_bytes);
    environment.add_filter("number", human_number);
    environment.add_filter("at", human_time);
    environment.add_filter("counted", |count: u64, unit: String| counted(count, &unit));
    environment.add_function("bars", |over_time: Value| Value::from(Serde(bars(&over_time))));
    let count = |decision: VerdictKind| diagnosis.verdicts.iter().filter(|v| v.verdict == decision).count();
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
    let chapter_of: BTreeMap<&str, Chapter> =
        detectors::all().map(|detector| (detector.id, detector.chapter)).collect();
    let mut found_chapters: Vec<Chapter> =
        diagnosis.findings.iter().filter_map(|finding| chapter_of.get(finding.detector).copied()).collect();
    found_chapters.sort_unstable();
    found_chapters.dedup();
    let found_chapters: Vec<(Chapter, &str)> =
        found_chapters.into_iter().map(|found_chapter| (found_chapter, found_chapter.title())).collect();
    let all_objects = objects(diagnosis);
    let page = environment.get_template("report.html")?.render(context! {
        script => SCRIPT,
        script_hash => script_hash(),
        timeline => diagnosis.timeline.as_ref().map(|item| Value::from(Serde(drawn(item)))),
        chapter_of => Serde(&chapter_of),
        found_chapters => Serde(found_chapters),
        objects => Serde(all_objects.iter().take(OBJECTS).collect::<Vec<_>>()),
        objects_cut => all_objects.len().saturating_sub(OBJECTS),
        report => Serde(&**diagnosis),
        questions => Serde(diagnosis.ask_for.iter().filter(|ask| ask.decides).collect::<Vec<_>>()),
        denied => Serde(denied(diagnosis)),
        denied_yaml => Serde(denied_yaml(diagnosis)),
        style => include_str!("../../templates/style.css"),
        severities,
        chapters => Serde(board::board(diagnosis)),
        confirmed => count(VerdictKind::Confirmed),
        suspected => count(VerdictKind::Suspected),
        ruled_out => count(VerdictKind::RuledOut),
        no_sign => count(VerdictKind::NoSign),
        not_evaluated => count(VerdictKind::NotEvaluated),
        findings => Serde(diagnosis.findings.iter().take(FINDINGS).collect::<Vec<_>>()),
        findings_cut => diagnosis.findings.len().saturating_sub(FINDINGS),
        entries => Serde(listed_entries(diagnosis)),
        entries_cut => diagnosis.coverage.entry_count.saturating_sub(ENTRIES as u64),
        address_rows => Serde(rows),
        all_orphans => nodes.iter().filter_map(|node| node.orphans).sum::<u64>(),
        subnet_rows => Serde(diagnosis.inventory.subnets.iter().map(subnet_row).collect::<Vec<_>>()),
        nodes_cut => nodes.len().saturating_sub(NODES),
    })?;
    Ok(page)
}

/// An identity that RBAC denies something.
#[derive(Serialize)]
struct DeniedRow<'a> {
    id: &'a str,
    identity: &'a str,
    requests: Vec<&'a str>,
    count: u64,
    repair: &'a str,
}

/// What RBAC denies and goes on, when it is more than one identity.
fn denied_findings(diagnosis: &Diagnosis) -> Vec<&Finding> {
    let rows = diagnosis.causes.iter().flat_map(|row| &row.findings);
    let found: Vec<&Finding> = rows
        .filter_map(|id| diagnosis.findings.iter().find(|finding| finding.id == *id))
        .filter(|finding| finding.details.authorization.bundle_rbac.is_some())
        .collect();
    if found.len() > 1 { found } else { Vec::new() }
}

fn denied(diagnosis: &Diagnosis) -> Vec<DeniedRow<'_>> {
    denied_findings(diagnosis).into_iter().map(DeniedRow::of).collect()
}

impl<'a> DeniedRow<'a> {
    fn of(finding: &'a Finding) -> Self {
        let authorization = &finding.details.authorization;
        Self {
            id: &finding.id,
            identity: authorization.identity.as_deref().unwrap_or_default(),
            requests: authorization.permissions.iter().map(|denied| denied.text.as_str()).collect(),
            count: finding.count,
            repair: finding.fix.text.split_inclusive(". ").next().unwrap_or_default().trim(),
        }
    }
}

fn denied_yaml(diagnosis: &Diagnosis) -> Vec<&str> {
    denied_findings(diagnosis).iter().flat_map(|finding| &finding.fix.manifests).map(String::as_str).collect()
}

/// Entries with problems first, then unrecognised ones, then by size.
fn listed_entries(diagnosis: &Diagnosis) -> Vec<&EntryView> {
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
    format!("{} {}", human_number(count), plural(count, unit))
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
                label: format!("{}: {count}", human_time(start)),
            }
        })
        .collect()
}

/// `2026-11-23T20:52:03.1Z` as `2026-11-23 20:52:03Z`.
fn human_time(text: String) -> String {
    match text.split_once('T') {
        Some((day, clock)) => {
            let clock = clock.trim_end_matches('Z').split('.').next().unwrap_or_default();
            format!("{day} {clock}Z")
        }
        None => text,
    }
}

fn human_bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// Thousands apart: `12 345`.
fn human_number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_made_for_people() {
        assert_eq!(human_number(1_283), "1\u{202f}283");
        assert_eq!(human_number(12), "12");
        assert_eq!(human_bytes(1_234_567), "1.2 MB");
        assert_eq!(human_time("2026-11-23T20:52:03.1Z".into()), "2026-11-23 20:52:03Z");
    }
}
