//! How much of a hostile or enormous bundle is read before the tool stops, and says so.

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
    /// Expansion of one compressed stream, once it has grown past [`Limits::RATIO_FLOOR`].
    pub ratio: u64,
    /// Longest line or object, in bytes; the rest of a longer one is dropped.
    pub line_bytes: usize,
    /// Largest document that must be held whole (a state file, a nested zip), in bytes.
    pub document_bytes: usize,
}

impl Limits {
    /// A stream may always grow to this size, whatever its ratio: logs that repeat one line are honest.
    pub const RATIO_FLOOR: u64 = 1 << 30;
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
