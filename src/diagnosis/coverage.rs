//! What was read and what was not, for the report and for `inspect`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{EntryCoverage, Facts, time};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryView {
    /// Path through all archives.
    pub path: String,
    /// Name of the format; `empty`, `binary data`, `HTML page`, … for what is of no use; `text` for what
    /// was only searched for known errors.
    pub format: String,
    /// A format claimed it, or a part of it.
    pub recognised: bool,
    /// Bytes after decompression.
    pub bytes: u64,
    /// Of these, bytes of text that no format claims.
    pub unrecognised_bytes: u64,
    /// The first line that no format claims: its number and its text.
    pub first_unrecognised: Option<(u64, String)>,
    /// Objects, lines, rows or events.
    pub records: u64,
    /// What was damaged, cut or not understood.
    pub problem: Option<String>,
    /// What a reader of it must know: that its collector keeps the last 10 MiB only.
    pub note: Option<String>,
    /// Earliest time in a log.
    pub from: Option<String>,
    /// Latest time in a log.
    pub to: Option<String>,
}

/// All entries of one format or class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FormatShare {
    /// Entries.
    pub entries: u64,
    /// Objects, lines, rows or events.
    pub records: u64,
    /// Bytes after decompression.
    pub bytes: u64,
}

/// What the collector says that it could not collect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedView {
    /// What, in its words.
    pub what: String,
    /// Of which namespace; empty for all.
    pub namespace: String,
    /// Why, in its words.
    pub why: String,
    /// Where it says so.
    pub place: String,
}

/// All entries, in the order of paths.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageView {
    /// How many.
    pub entry_count: u64,
    /// Bytes after decompression.
    pub bytes: u64,
    /// Of these, bytes in a recognised format.
    pub recognised_bytes: u64,
    /// Of these, bytes of text that is of no use, and is named: HTML pages, XML, source code.
    pub no_use_bytes: u64,
    /// Of these, bytes of files that hold no text.
    pub not_text_bytes: u64,
    /// Share of the text that is in a recognised format, in percent.
    pub recognised_percent: f64,
    /// Share of the text that is in a recognised format or named as of no use, in percent.
    pub accounted_percent: f64,
    /// Entries with a problem.
    pub problem_count: u64,
    /// By format.
    pub formats: BTreeMap<String, FormatShare>,
    /// What is of no use, by class.
    pub no_use: BTreeMap<String, FormatShare>,
    /// Collections that failed: absence of these proves nothing.
    pub failed: Vec<FailedView>,
    /// Objects whose copies in the bundle do not agree.
    pub contradictions: Vec<ContradictionView>,
    /// How many objects there are of which copies do not agree.
    pub contradiction_count: u64,
    /// How many entries have times.
    pub dated_entries: u64,
    /// Each entry, in the order of paths; of very many those with problems, then those with the most unrecognised, then the
    /// largest.
    pub entries: Vec<EntryView>,
    /// How many entries are not among these.
    pub entries_left_out: u64,
}

/// An object that is told in several ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContradictionView {
    /// `Pod shop/cart`.
    pub object: String,
    /// Which of its fields.
    pub field: String,
    /// Each reading and where it stands.
    pub readings: Vec<(String, String)>,
}

/// Most contradictions shown.
const CONTRADICTIONS: usize = 50;

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 * 1000.0 / whole as f64).round() / 10.0 }
}

fn joined(problems: &BTreeMap<String, u64>) -> Option<String> {
    let each = |(problem, count): (&String, &u64)| {
        if *count > 1 { format!("{count} × {problem}") } else { problem.clone() }
    };
    (!problems.is_empty()).then(|| problems.iter().map(each).collect::<Vec<_>>().join("; "))
}

/// What the size of an entry says of its collector's limit (kubelet's
/// `containerLogMaxSize`: <https://kubernetes.io/docs/concepts/cluster-administration/logging/>).
fn limit_note(path: &str, format: &str, bytes: u64, records: u64) -> Option<String> {
    if bytes == 10 << 20 {
        Some("exactly 10 MiB: AKS's node log collector keeps the last 10 MiB of a file, what came before is missing".to_owned())
    } else if format == "log-analytics-csv" && records == 30_000 {
        Some("exactly 30,000 rows: the portal shows no more, so rows are missing".to_owned())
    } else if path.contains("/pods/logs/") && matches!(records, 10_000 | 500) {
        Some(format!("exactly {records} lines: the collector keeps the last ones only"))
    } else {
        None
    }
}

/// Most entries that are listed one by one.
const LISTED: usize = 4_000;
/// Most text of them, in bytes: names may be long.
const LISTED_TEXT: usize = 400_000;

/// An entry among all others.
struct RankedEntry<'a> {
    problem: bool,
    unrecognised: u64,
    path: &'a str,
    entry: &'a EntryCoverage,
}

impl RankedEntry<'_> {
    /// What a report has room for, in the order of paths.
    fn most_telling(mut all: Vec<Self>) -> Vec<Self> {
        let rank = |item: &Self| Reverse((item.problem, item.unrecognised, item.entry.bytes));
        all.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.path.cmp(b.path)));
        let mut text = 0;
        let fits = all.iter().take(LISTED).take_while(|item| {
            let problems: usize = item.entry.problems.keys().map(String::len).sum();
            let line = item.entry.first_unrecognised.as_ref().map_or(0, |(_, line)| line.len());
            text += item.path.len() + problems + line;
            text <= LISTED_TEXT
        });
        let fits = fits.count();
        all.truncate(fits);
        all.sort_by(|a, b| a.path.cmp(b.path));
        all
    }

    fn view(&self, anchor: Option<i64>) -> EntryView {
        let Self { entry, path, .. } = self;
        let records = entry.formats.iter().map(|(_, records)| records).sum();
        let span = entry.span.resolve(anchor);
        let formats: Vec<&str> = entry
            .formats
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !entry.recognised || *name != "text")
            .collect();
        let format = match (&entry.not_text, entry.class, formats.is_empty()) {
            (Some(why), _, true) => why.clone(),
            (None, Some(class), _) => class.to_owned(),
            (None, None, true) => "not read".to_owned(),
            _ => formats.join(" + "),
        };
        EntryView {
            path: (*path).to_owned(),
            note: limit_note(path, &format, entry.bytes, records),
            format,
            recognised: entry.recognised,
            bytes: entry.bytes,
            unrecognised_bytes: self.unrecognised,
            first_unrecognised: entry
                .first_unrecognised
                .as_ref()
                .map(|(line, text)| (*line, text.to_string())),
            records,
            problem: joined(&entry.problems),
            from: span.map(|(first, _)| time::rfc3339_text(first)),
            to: span.map(|(_, last)| time::rfc3339_text(last)),
        }
    }
}

impl CoverageView {
    /// Makes the table.
    pub(super) fn of(facts: &Facts, anchor: Option<i64>) -> Self {
        let mut view = Self::default();
        let mut all = Vec::new();
        for (path, entry) in &facts.coverage.entries {
            let records = entry.formats.iter().map(|(_, records)| records).sum();
            view.entry_count += 1;
            view.bytes += entry.bytes;
            let mut unrecognised = 0;
            if entry.not_text.is_some() {
                view.not_text_bytes += entry.bytes;
            } else if let Some(class) = entry.class {
                view.no_use_bytes += entry.bytes;
                add(&mut view.no_use, class, entry.bytes, 0);
            } else if entry.recognised {
                unrecognised = entry.unrecognised.min(entry.bytes);
                view.recognised_bytes += entry.bytes - unrecognised;
                for (name, records) in entry.formats.iter().filter(|(name, _)| *name != "text") {
                    add(&mut view.formats, name, entry.bytes, records);
                }
            } else {
                unrecognised = entry.bytes;
                add(&mut view.formats, "text", entry.bytes, records);
            }
            view.problem_count += u64::from(!entry.problems.is_empty());
            view.dated_entries += u64::from(entry.span.resolve(anchor).is_some());
            all.push(RankedEntry { problem: !entry.problems.is_empty(), unrecognised, path, entry });
        }
        view.entries = RankedEntry::most_telling(all).iter().map(|item| item.view(anchor)).collect();
        view.entries_left_out = view.entry_count - view.entries.len() as u64;
        let text = view.bytes - view.not_text_bytes;
        view.recognised_percent = percent(view.recognised_bytes, text);
        view.accounted_percent = percent(view.recognised_bytes + view.no_use_bytes, text);
        view.failed = facts
            .failed
            .iter()
            .map(|failed| FailedView {
                what: failed.what.to_string(),
                namespace: failed.namespace.to_string(),
                why: failed.why.excerpt.to_string(),
                place: failed.why.place(),
            })
            .collect();
        let contradictions = facts.objects.contradictions();
        view.contradiction_count = contradictions.len() as u64;
        for (kind, key, differences) in contradictions {
            for difference in differences {
                if view.contradictions.len() < CONTRADICTIONS {
                    view.contradictions.push(ContradictionView {
                        object: format!("{kind} {}", key.label()),
                        field: difference.field.to_owned(),
                        readings: difference
                            .readings
                            .iter()
                            .map(|reading| (reading.excerpt.to_string(), reading.place()))
                            .collect(),
                    });
                }
            }
        }
        view
    }
}

fn add(shares: &mut BTreeMap<String, FormatShare>, name: &str, bytes: u64, records: u64) {
    let share = shares.entry(name.to_owned()).or_default();
    share.entries += 1;
    share.bytes += bytes;
    share.records += records;
}
