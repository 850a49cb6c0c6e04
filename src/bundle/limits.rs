//! How much of a hostile or enormous bundle is read before the tool stops, and says so.

use std::sync::atomic::{AtomicU64, Ordering};

use super::progress::Progress;

/// Bounds on what a bundle may cost. Each is settable on the command line; each that bites is a line in
/// the report.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Entries read, over all inputs and archives.
    pub entries: u64,
    /// Archives within archives; a tar.gz counts as two.
    pub depth: u8,
    /// Bytes after decompression, over everything.
    pub total_bytes: u64,
    /// Expansion of a compressed stream; streams that have grown beyond it may have [`Limits::FORGIVEN`] bytes in all.
    pub ratio: u64,
    /// Longest line or object, in bytes; the rest of a longer one is dropped.
    pub line_bytes: usize,
    /// Largest document that must be held whole (a state file, a nested zip), in bytes.
    pub document_bytes: usize,
}

impl Limits {
    /// Bytes of all streams of a bundle that have grown beyond their ratio: logs that repeat one line are honest.
    pub const FORGIVEN: u64 = 1 << 30;
    /// Bytes of the names of all entries: a name is held for as long as the report is made.
    pub const NAMES: u64 = 64 << 20;
    /// Longest path of an entry, in bytes; a longer one loses its middle.
    pub const PATH: usize = 1 << 10;
}

/// The sums at which the reading stops: those of the limits, or less within an archive in an archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    /// Whether it is a part of what the whole bundle may take.
    pub(super) nested: bool,
}

impl Allowance {
    pub(super) fn of(limits: &Limits) -> Self {
        Self { entries: limits.entries, bytes: limits.total_bytes, nested: false }
    }

    /// For an archive beside others: at most half of what is left, so that what lies beside it is read, too.
    pub(super) fn half(self, progress: &Progress) -> Self {
        let half = |most: u64, taken: &AtomicU64| {
            let taken = taken.load(Ordering::Relaxed);
            taken + most.saturating_sub(taken) / 2
        };
        Self {
            entries: half(self.entries, &progress.entries),
            bytes: half(self.bytes, &progress.unpacked),
            nested: true,
        }
    }

    /// The line of the report when the bytes are too many.
    pub(super) fn too_many_bytes(self) -> String {
        let Self { bytes, nested, .. } = self;
        if nested {
            "an archive beside others takes half of the bytes that are left of --max-bytes: the rest of it is not read"
                .to_owned()
        } else {
            format!("more than {bytes} bytes in all, the rest is not read; raise --max-bytes")
        }
    }

    /// The line of the report when the entries, or the bytes of their names, are too many.
    pub(super) fn too_many_entries(self, progress: &Progress) -> String {
        let Self { entries, nested, .. } = self;
        if progress.names.load(Ordering::Relaxed) > Limits::NAMES {
            format!("more than {} bytes of names, the rest is not read", Limits::NAMES)
        } else if nested {
            "an archive beside others takes half of the entries that are left of --max-entries: the rest of it is not read".to_owned()
        } else {
            format!("more than {entries} entries, the rest is not read; raise --max-entries")
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 200_000,
            depth: 12,
            total_bytes: 256 << 30,
            ratio: 200,
            line_bytes: 8 << 20,
            document_bytes: 128 << 20,
        }
    }
}
