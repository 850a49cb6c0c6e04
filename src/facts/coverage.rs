//! What was read, entry by entry, and what was not.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::time::Span;

/// One entry of the bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryCoverage {
    /// Records read, by the name of the format that read them.
    pub formats: BTreeMap<&'static str, u64>,
    /// Bytes after decompression.
    pub bytes: u64,
    /// Why it holds nothing to read: empty, a picture, a link.
    pub not_text: Option<String>,
    /// What was damaged, cut or not understood.
    pub problems: BTreeMap<String, u64>,
    /// Times of its log lines, sampled at the ends of blocks.
    pub span: Span,
    /// A format recognised it, or a part of it.
    pub recognised: bool,
    /// What it is, when it is of no use: `HTML page`.
    pub class: Option<&'static str>,
    /// Bytes that no format claims.
    pub unrecognised: u64,
    /// The first line that no format claims, and its number.
    pub first_unrecognised: Option<(u64, Box<str>)>,
}

/// All entries by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// By path.
    pub entries: BTreeMap<Arc<str>, EntryCoverage>,
}

impl Coverage {
    /// The line of an entry.
    pub fn entry(&mut self, path: &Arc<str>) -> &mut EntryCoverage {
        if !self.entries.contains_key(path) {
            self.entries.insert(Arc::clone(path), EntryCoverage::default());
        }
        // The key was inserted above; `or_default` keeps this free of a panic.
        self.entries.entry(Arc::clone(path)).or_default()
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        for (path, more) in other.entries {
            let kept = self.entries.entry(path).or_default();
            kept.bytes += more.bytes;
            kept.not_text = kept.not_text.take().max(more.not_text);
            kept.span.merge(more.span);
            kept.recognised |= more.recognised;
            kept.class = kept.class.max(more.class);
            kept.unrecognised += more.unrecognised;
            kept.first_unrecognised = match (kept.first_unrecognised.take(), more.first_unrecognised) {
                (Some(item), Some(other)) => Some(item.min(other)),
                (item, other) => item.or(other),
            };
            for (format, records) in more.formats {
                *kept.formats.entry(format).or_default() += records;
            }
            for (problem, count) in more.problems {
                *kept.problems.entry(problem).or_default() += count;
            }
        }
    }
}
