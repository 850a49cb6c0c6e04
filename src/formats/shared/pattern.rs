//! Regular expressions that are built once, and their parts by name.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A named static with an expression in one or more parts. One that can't be built matches nothing; a test of its
/// user would fail.
macro_rules! pattern {
    ($name:ident, $($part:literal)+) => {
        static $name: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(concat!($($part),+)).ok());
    };
}
pub(in crate::formats) use pattern;

/// The first match.
pub(in crate::formats) fn search<'a>(
    pattern: &LazyLock<Option<Regex>>,
    text: &'a str,
) -> Option<Captures<'a>> {
    pattern.as_ref()?.captures(text)
}

/// A part of a match, or nothing.
pub(in crate::formats) fn named<'a>(found: Option<&Captures<'a>>, name: &str) -> &'a str {
    found.and_then(|found| found.name(name)).map_or("", |found| found.as_str())
}
