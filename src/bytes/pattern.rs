//! Regular expressions that are built once, and their parts by name.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A static with an expression in one or more parts, and a test that it can be built: one that can't is a fault of the
/// program, and must not pass for one that matches nothing. `bytes NAME` looks at bytes.
macro_rules! pattern {
    (bytes $name:ident, $($part:literal)+) => {
        $crate::bytes::pattern::pattern!(@ regex::bytes::Regex, $name, $($part)+);
    };
    ($name:ident, $($part:literal)+) => {
        $crate::bytes::pattern::pattern!(@ regex::Regex, $name, $($part)+);
    };
    (@ $regex:ty, $name:ident, $($part:literal)+) => {
        #[allow(clippy::expect_used, reason = "a test of its own builds each expression")]
        static $name: std::sync::LazyLock<$regex> =
            std::sync::LazyLock::new(|| <$regex>::new(concat!($($part),+)).expect("the expression can be built"));

        #[cfg(test)]
        #[allow(non_snake_case)]
        mod $name {
            #[test]
            fn can_be_built() {
                std::sync::LazyLock::force(&super::$name);
            }
        }
    };
}
pub(crate) use pattern;

/// Whether a text holds some words. The searcher for the words is built once: a chain of such questions goes over each
/// line that may matter, and building it costs more than the search.
macro_rules! has {
    ($text:expr, $words:literal) => {{
        static WORDS: std::sync::LazyLock<memchr::memmem::Finder<'static>> =
            std::sync::LazyLock::new(|| memchr::memmem::Finder::new($words));
        WORDS.find($text.as_bytes()).is_some()
    }};
}
pub(crate) use has;

/// The first match.
pub(crate) fn search<'a>(pattern: &LazyLock<Regex>, text: &'a str) -> Option<Captures<'a>> {
    pattern.captures(text)
}

/// A part of a match, or nothing.
pub(crate) fn named<'a>(found: Option<&Captures<'a>>, name: &str) -> &'a str {
    found.and_then(|found| found.name(name)).map_or("", |found| found.as_str())
}
