//! The summary on the terminal: the first screen, and what was read.

use std::fmt::Write;

use anstyle::Style;

use super::{Redacted, short};

/// Text with ANSI styles; the caller's stream strips them where they don't belong. `width` in columns.
pub fn summary(diagnosis: &Redacted, width: usize) -> String {
    let mut out = short::text(diagnosis, width);
    let dim = Style::new().dimmed();
    let coverage = &diagnosis.coverage;
    let _ = writeln!(
        out,
        "\n{dim}Read {} entries, {:.1} MB; {}% of the text recognised; {} with problems.{dim:#}",
        coverage.entry_count,
        coverage.bytes as f64 / 1e6,
        coverage.recognised_percent,
        coverage.problem_count
    );
    out
}
