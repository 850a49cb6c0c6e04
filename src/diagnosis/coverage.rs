//! What was read and what was not, for the report.

use schemars::JsonSchema;
use serde::Serialize;

use crate::facts::{Facts, time};

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EntryView {
    /// Path through all archives.
    pub path: String,
    /// Name of the format; `empty`, `binary data`, … for what holds no text; `text` for what was only
    /// searched for known errors.
    pub format: String,
    /// A format claimed it.
    pub recognised: bool,
    /// Bytes after decompression.
    pub bytes: u64,
    /// Objects, lines, rows or events.
    pub records: u64,
    /// What was damaged, cut or not understood.
    pub problem: Option<String>,
    /// Earliest time in a log.
    pub from: Option<String>,
    /// Latest time in a log.
    pub to: Option<String>,
}

/// All entries, in the order of paths.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct CoverageView {
    /// How many.
    pub entry_count: u64,
    /// Bytes after decompression.
    pub bytes: u64,
    /// Of these, bytes in a recognised format.
    pub recognised_bytes: u64,
    /// Of these, bytes of files that hold no text.
    pub not_text_bytes: u64,
    /// Share of the text that is in a recognised format, in percent.
    pub recognised_percent: f64,
    /// Entries with a problem.
    pub problem_count: u64,
    /// Each entry.
    pub entries: Vec<EntryView>,
}

impl CoverageView {
    /// Makes the table.
    pub(super) fn of(facts: &Facts, anchor: Option<i64>) -> Self {
        let mut view = Self::default();
        for (path, entry) in &facts.coverage.entries {
            let span = entry.span.resolve(anchor);
            let formats: Vec<&str> = entry.formats.keys().copied().collect();
            let format = match (&entry.not_text, formats.is_empty()) {
                (Some(why), true) => why.clone(),
                (None, true) => "not read".to_owned(),
                _ => formats.join(" + "),
            };
            let problems: Vec<String> = entry
                .problems
                .iter()
                .map(
                    |(problem, count)| {
                        if *count > 1 { format!("{count} × {problem}") } else { problem.clone() }
                    },
                )
                .collect();
            view.entry_count += 1;
            view.bytes += entry.bytes;
            if entry.not_text.is_some() {
                view.not_text_bytes += entry.bytes;
            } else if entry.recognised {
                view.recognised_bytes += entry.bytes;
            }
            view.problem_count += u64::from(!problems.is_empty());
            view.entries.push(EntryView {
                path: path.to_string(),
                format,
                recognised: entry.recognised,
                bytes: entry.bytes,
                records: entry.formats.values().sum(),
                problem: (!problems.is_empty()).then(|| problems.join("; ")),
                from: span.map(|(first, _)| time::rfc3339_text(first)),
                to: span.map(|(_, last)| time::rfc3339_text(last)),
            });
        }
        let text = view.bytes - view.not_text_bytes;
        view.recognised_percent = if text == 0 {
            0.0
        } else {
            (view.recognised_bytes as f64 * 1000.0 / text as f64).round() / 10.0
        };
        view
    }
}
