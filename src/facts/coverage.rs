//! What was read, entry by entry, and what was not.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::time::Span;

/// One entry of the bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryCoverage {
    /// Records read, by the name of the format that read them.
    pub formats: FormatTally,
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

/// Records by the name of the format that read them, in the order of names. Nearly every entry has one format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormatTally(Vec<(&'static str, u64)>);

impl FormatTally {
    /// Counts records.
    pub fn add(&mut self, format: &'static str, records: u64) {
        match self.0.binary_search_by_key(&format, |(name, _)| name) {
            Ok(at) => self.0.iter_mut().skip(at).take(1).for_each(|(_, count)| *count += records),
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (format, records));
            }
        }
    }

    /// Whether no format read anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of these formats read something.
    pub fn has_any(&self, formats: &[&str]) -> bool {
        self.0.iter().any(|(name, _)| formats.contains(name))
    }

    /// Each format and its records.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().copied()
    }
}

impl IntoIterator for FormatTally {
    type Item = (&'static str, u64);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
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
                kept.formats.add(format, records);
            }
            for (problem, count) in more.problems {
                *kept.problems.entry(problem).or_default() += count;
            }
        }
    }
}
