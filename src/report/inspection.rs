//! What `inspect` shows: what is in the bundle, what is wrong with it, what is missing. One screen.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::Style;

use super::Redacted;
use super::escape::visible;
use super::short::wrap;
use crate::diagnosis::{Diagnosis, EntryView};

/// Lines of the tree on one screen.
const TREE_LINES: usize = 14;
/// Lines of each list on one screen.
const LIST_LINES: usize = 6;
/// Data to ask for that is shown unless all is wanted.
const ASKED: usize = 8;

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes as f64 {
        b if b < 1e3 => format!("{bytes} B"),
        b if b < 1e6 => format!("{:.1} kB", b / 1e3),
        b if b < 1e9 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.2} GB", b / 1e9),
    }
}

struct Page {
    out: String,
    width: usize,
    all: bool,
}

impl Page {
    fn head(&mut self, text: &str) {
        let bold = Style::new().bold();
        let _ = writeln!(self.out, "\n{bold}{text}{bold:#}");
    }

    /// A labelled line; what is too long goes on below.
    fn fact(&mut self, label: &str, text: &str) {
        let bold = Style::new().bold();
        for (at, line) in wrap(text, self.width.saturating_sub(11)).iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            let _ = writeln!(self.out, "{bold}{label:<9}{bold:#}  {line}");
        }
    }

    /// The end of a path, so that what is said of it stays in sight.
    fn short(&self, path: &str) -> String {
        let length = path.chars().count();
        if self.all || length <= 36 {
            return path.to_owned();
        }
        std::iter::once('…').chain(path.chars().skip(length - 35)).collect()
    }

    /// A list, cut to its first lines.
    fn list(&mut self, lines: &[String]) {
        let text = if self.all { lines.len() } else { LIST_LINES };
        for line in lines.iter().take(text) {
            let line = visible(line);
            let cut: String = if line.chars().count() > self.width - 2 && !self.all {
                line.chars().take(self.width - 3).chain(['…']).collect()
            } else {
                line.into()
            };
            let _ = writeln!(self.out, "  {cut}");
        }
        if lines.len() > text {
            let dim = Style::new().dimmed();
            let _ = writeln!(self.out, "  {dim}and {} more (--all){dim:#}", lines.len() - text);
        }
    }
}

/// Text with ANSI styles. `all` shows every entry and every list whole.
pub fn inspection(diagnosis: &Redacted, width: usize, all: bool) -> String {
    let mut page = Page { out: String::new(), width: width.clamp(60, 160), all };
    if let Some(notice) = &diagnosis.notice {
        for line in wrap(notice, page.width) {
            page.out.push_str(&line);
            page.out.push('\n');
        }
    }
    facts(&mut page, diagnosis);
    tree(&mut page, &diagnosis.coverage.entries);
    lacks(&mut page, diagnosis);
    page.out
}

fn facts(page: &mut Page, diagnosis: &Diagnosis) {
    let (inventory, coverage) = (&diagnosis.inventory, &diagnosis.coverage);
    let made = if inventory.layouts.is_empty() {
        "ad-hoc collection".to_owned()
    } else {
        inventory.layouts.join(" + ")
    };
    let taken = match (&inventory.captured, &inventory.newest) {
        (Some(at), _) => format!("; captured {at} (from its name)"),
        (None, Some(newest)) => format!("; newest time in it {newest}"),
        (None, None) => "; no absolute time in it".to_owned(),
    };
    page.fact("Bundle", &format!("{}: {made}{taken}", diagnosis.inputs.join(", ")));
    let mut cluster = Vec::new();
    if inventory.nodes.count > 0 {
        let cordoned = if inventory.nodes.cordoned > 0 {
            format!(", {} cordoned", inventory.nodes.cordoned)
        } else {
            String::new()
        };
        cluster.push(format!("{} nodes ({} ready{cordoned})", inventory.nodes.count, inventory.nodes.ready));
    }
    if !inventory.versions.is_empty() {
        let versions: Vec<&str> = inventory.versions.keys().map(String::as_str).collect();
        cluster.push(format!("Kubernetes {}", versions.join(", ")));
    }
    cluster.extend(inventory.provider.as_ref().map(|item| item.what.clone()));
    cluster.push(inventory.network.as_ref().map_or_else(
        || "network plugin unknown".to_owned(),
        |item| format!("{} ({})", item.what, item.from),
    ));
    cluster.push(inventory.policy_engine.as_ref().map_or_else(
        || "network policy engine unknown".to_owned(),
        |item| format!("network policies: {}", item.what),
    ));
    page.fact("Cluster", &cluster.join("; "));
    let counted = |map: &BTreeMap<String, u64>| {
        map.iter().map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>()
    };
    let mut holds = counted(&inventory.objects);
    if inventory.events > 0 {
        holds.push(format!("{} events", inventory.events));
    }
    holds.extend(counted(&inventory.azure));
    holds.extend(counted(&inventory.node_facts));
    let others: u64 = inventory.other_objects.values().sum();
    if others > 0 {
        holds.push(format!("{others} objects of {} other kinds", inventory.other_objects.len()));
    }
    page.fact("Objects", &if holds.is_empty() { "none".to_owned() } else { holds.join(", ") });
    let span =
        inventory.log_span.as_ref().map_or_else(String::new, |(first, last)| format!(", {first} to {last}"));
    let mut given = vec![format!("{} files with times{span}", coverage.dated_entries)];
    if inventory.audit_events > 0 {
        given.push(format!("{} audit events", inventory.audit_events));
    }
    if inventory.api_server_lines > 0 {
        given.push(format!("{} API server log lines", inventory.api_server_lines));
    }
    if inventory.firewall != (0, 0) {
        given.push(format!(
            "firewall log: {} denied, {} allowed connections",
            inventory.firewall.0, inventory.firewall.1
        ));
    }
    page.fact("Logs", &given.join("; "));
    if let Some(window) = &diagnosis.window {
        page.fact("Time", &window.words());
    }
    let text = coverage.bytes - coverage.not_text_bytes;
    let left = text.saturating_sub(coverage.recognised_bytes + coverage.no_use_bytes);
    page.fact(
        "Read",
        &format!(
            "{} entries, {}: {} recognised ({} % of the text), {} of no use, {} not text, {} not recognised",
            coverage.entry_count,
            size(coverage.bytes),
            size(coverage.recognised_bytes),
            coverage.recognised_percent,
            size(coverage.no_use_bytes),
            size(coverage.not_text_bytes),
            size(left)
        ),
    );
    let mut formats: Vec<_> = coverage.formats.iter().collect();
    formats.sort_by_key(|(name, share)| (std::cmp::Reverse(share.bytes), (*name).clone()));
    let shares: Vec<String> = formats
        .iter()
        .map(|(name, share)| format!("{name} {} in {}", size(share.bytes), files(share.entries)))
        .collect();
    if !shares.is_empty() {
        page.fact("Formats", &shares.join(", "));
    }
    let no_use: Vec<String> = coverage
        .no_use
        .iter()
        .map(|(name, share)| format!("{name} {} in {}", size(share.bytes), files(share.entries)))
        .collect();
    if !no_use.is_empty() {
        page.fact("No use", &no_use.join(", "));
    }
}

fn files(count: u64) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

fn lacks(page: &mut Page, diagnosis: &Diagnosis) {
    let coverage = &diagnosis.coverage;
    let mut unknown: Vec<&EntryView> =
        coverage.entries.iter().filter(|entry| entry.unrecognised_bytes > 0).collect();
    unknown.sort_by_key(|entry| (std::cmp::Reverse(entry.unrecognised_bytes), entry.path.clone()));
    if !unknown.is_empty() {
        page.head("Not recognised, largest first (searched for known errors too)");
        let lines: Vec<String> = unknown
            .iter()
            .map(|entry| {
                let first = entry
                    .first_unrecognised
                    .as_ref()
                    .map_or_else(String::new, |(line, text)| format!(", line {line}: {text}"));
                format!("{:>9}  {}{first}", size(entry.unrecognised_bytes), page.short(&entry.path))
            })
            .collect();
        page.list(&lines);
    }
    let damaged: Vec<String> = coverage
        .entries
        .iter()
        .filter_map(|entry| {
            let given: Vec<&str> =
                [entry.problem.as_deref(), entry.note.as_deref()].into_iter().flatten().collect();
            (!given.is_empty()).then(|| format!("{}: {}", page.short(&entry.path), given.join("; ")))
        })
        .collect();
    if !damaged.is_empty() {
        page.head("Damaged, truncated or limited");
        page.list(&damaged);
    }
    if !coverage.failed.is_empty() {
        page.head("Not collected, says the collector's own log");
        let lines: Vec<String> = coverage
            .failed
            .iter()
            .map(|failed| {
                let namespace = if failed.namespace.is_empty() {
                    String::new()
                } else {
                    format!(" of namespace {}", failed.namespace)
                };
                format!("{}{namespace}: {}", failed.what, failed.why)
            })
            .collect();
        page.list(&lines);
    }
    if !coverage.contradictions.is_empty() {
        let count = coverage.contradiction_count;
        let what = if count == 1 {
            "1 object differs between files".to_owned()
        } else {
            format!("{count} objects differ between files")
        };
        page.head(&format!("{what}: collected at different times, or from two clusters"));
        let lines: Vec<String> = coverage
            .contradictions
            .iter()
            .map(|contradiction| {
                let readings: Vec<String> = contradiction
                    .readings
                    .iter()
                    .map(|(value, place)| format!("{value} ({place})"))
                    .collect();
                format!("{}, {}: {}", contradiction.object, contradiction.field, readings.join(" / "))
            })
            .collect();
        page.list(&lines);
    }
    if !diagnosis.ask_for.is_empty() {
        page.head("Missing data, to ask for");
        // What most causes need comes first; the report has all of it.
        let most = if page.all { usize::MAX } else { ASKED };
        let mut lines: Vec<String> = diagnosis
            .ask_for
            .iter()
            .take(most)
            .flat_map(|ask| {
                let command = ask.command.lines().map(|line| format!("    {line}"));
                std::iter::once(ask.what.clone()).chain(command).collect::<Vec<_>>()
            })
            .collect();
        if let Some(more) = diagnosis.ask_for.len().checked_sub(most).filter(|more| *more > 0) {
            lines.push(format!("and {more} more, for fewer causes: --all or the report lists them"));
        }
        let text = page.all;
        page.all = true;
        page.list(&lines);
        page.all = text;
    }
}

/// A folder or archive and what lies in it.
#[derive(Default)]
struct Folder<'a> {
    folders: BTreeMap<&'a str, Folder<'a>>,
    entries: Vec<(&'a str, &'a EntryView)>,
    bytes: u64,
    count: u64,
}

impl<'a> Folder<'a> {
    fn add(&mut self, path: &'a str, entry: &'a EntryView) {
        self.bytes += entry.bytes;
        self.count += 1;
        match path.find(['/', '!']) {
            Some(at) => {
                let (name, rest) = path.split_at(at + 1);
                self.folders.entry(name).or_default().add(rest, entry);
            }
            None => self.entries.push((path, entry)),
        }
    }
}

/// A line of the tree.
struct Branch<'a> {
    name: String,
    folder: Option<&'a Folder<'a>>,
    entry: Option<&'a EntryView>,
}

impl<'a> Branch<'a> {
    fn bytes(&self) -> u64 {
        self.folder.map_or_else(|| self.entry.map_or(0, |entry| entry.bytes), |folder| folder.bytes)
    }

    /// A folder with a single folder in it is one line with it.
    fn of(name: &str, folder: &'a Folder<'a>) -> Self {
        let (mut name, mut folder) = (name.to_owned(), folder);
        while let (true, Some((inner, next))) =
            (folder.entries.is_empty() && folder.folders.len() == 1, folder.folders.iter().next())
        {
            name.push_str(inner);
            folder = next;
        }
        Self { name, folder: Some(folder), entry: None }
    }

    fn within(&self) -> Vec<Branch<'a>> {
        let Some(folder) = self.folder else { return Vec::new() };
        let folders = folder.folders.iter().map(|(name, folder)| Branch::of(name, folder));
        let entries = folder.entries.iter().map(|(name, entry)| Branch {
            name: (*name).to_owned(),
            folder: None,
            entry: Some(entry),
        });
        folders.chain(entries).collect()
    }
}

fn tree(page: &mut Page, entries: &[EntryView]) {
    let mut root = Folder::default();
    for entry in entries {
        root.add(&entry.path, entry);
    }
    page.head("Entries");
    // The largest folders are opened, as long as they fit.
    let mut lines: Vec<(usize, Branch<'_>)> =
        Branch::of("", &root).within().into_iter().map(|branch| (0, branch)).collect();
    let top = Branch::of("", &root).name;
    if !top.is_empty() {
        let _ = writeln!(page.out, "  {}", visible(&top));
    }
    loop {
        let largest = lines
            .iter()
            .enumerate()
            .filter(|(_, (_, branch))| {
                branch.folder.is_some_and(|folder| folder.count > 1) && !branch.name.ends_with('\n')
            })
            .max_by_key(|(at, (_, branch))| (branch.bytes(), std::cmp::Reverse(*at)));
        let Some((at, (depth, branch))) = largest else { break };
        let within = branch.within();
        if !page.all && lines.len() + within.len() > TREE_LINES {
            break;
        }
        let depth = *depth;
        // A line that is opened is marked, so that it is opened once.
        if let Some((_, branch)) = lines.get_mut(at) {
            branch.name.push('\n');
        }
        for (next, branch) in within.into_iter().enumerate() {
            lines.insert(at + 1 + next, (depth + 1, branch));
        }
    }
    let text = if page.all { lines.len() } else { TREE_LINES };
    let more = lines.len().saturating_sub(text);
    if more > 0 {
        // On one screen the largest matter.
        lines.sort_by_key(|(_, branch)| std::cmp::Reverse(branch.bytes()));
    }
    for (depth, branch) in lines.iter().take(text) {
        let name = format!("{}{}", "  ".repeat(*depth), visible(branch.name.trim_end()));
        let space = page.width.saturating_sub(44);
        let length = name.chars().count();
        let name: String = if length > space && !page.all {
            std::iter::once('…').chain(name.chars().skip(length - space + 1)).collect()
        } else {
            name
        };
        let what = match (branch.folder, branch.entry) {
            (Some(folder), _) => files(folder.count),
            (None, Some(entry)) if entry.records > 0 => {
                format!("{}, {} records", entry.format, entry.records)
            }
            (None, Some(entry)) => entry.format.clone(),
            (None, None) => String::new(),
        };
        let span = branch
            .entry
            .filter(|_| page.all)
            .and_then(|entry| Some(format!(", {} to {}", entry.from.as_ref()?, entry.to.as_ref()?)));
        let what = what + &span.unwrap_or_default();
        let _ = writeln!(page.out, "  {name:<space$} {:>9}  {}", size(branch.bytes()), visible(&what));
    }
    if more > 0 {
        let dim = Style::new().dimmed();
        let _ = writeln!(page.out, "  {dim}and {more} more (--all){dim:#}");
    }
}
