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

/// Whether a text holds some words. The searcher for the words is built once: a chain of such questions goes over each
/// line that may matter, and building it costs more than the search.
macro_rules! has {
    ($text:expr, $words:literal) => {{
        static WORDS: std::sync::LazyLock<memchr::memmem::Finder<'static>> =
            std::sync::LazyLock::new(|| memchr::memmem::Finder::new($words));
        WORDS.find($text.as_bytes()).is_some()
    }};
}
pub(in crate::formats) use has;

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
