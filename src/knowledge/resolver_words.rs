//! What programs say when a name does not resolve.

use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

/// What the words prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// No such name, or no answer.
    Open,
    /// No answer, or an error of the resolver.
    NoAnswer,
    /// The resolver answered that there is no such name.
    NoSuchName,
}

/// The words of one program.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolverWords {
    /// Names them.
    pub id: String,
    /// What they prove.
    pub says: Resolution,
    /// Letters of them that are rare in logs.
    pub anchors: Vec<String>,
    /// Has the host, as `host` or `host2`, and the port where it is told.
    pub pattern: String,
    /// Where the program writes them.
    pub source: String,
    /// As they are seen.
    pub samples: Vec<String>,
}

#[derive(Deserialize)]
struct ResolverWordsFile {
    words: Vec<ResolverWords>,
}

/// All of them.
#[allow(clippy::expect_used, reason = "a test reads the file")]
static ALL: LazyLock<Vec<(ResolverWords, Regex)>> = LazyLock::new(|| {
    let file: ResolverWordsFile = toml::from_str(include_str!("../../knowledge/resolver_words.toml"))
        .expect("knowledge/resolver_words.toml can be read");
    let compiled = file.words.into_iter().map(|words| {
        let pattern = Regex::new(&words.pattern).expect("the expression can be built");
        (words, pattern)
    });
    compiled.collect()
});

/// Letters of them all.
pub fn anchors() -> impl Iterator<Item = &'static str> {
    ALL.iter().flat_map(|(words, _)| &words.anchors).map(String::as_str)
}

/// The name that did not resolve, its port when told, and what the words prove.
pub fn unresolved(text: &str) -> Option<(&str, u16, Resolution)> {
    ALL.iter()
        .filter(|(words, _)| words.anchors.iter().any(|anchor| text.contains(anchor.as_str())))
        .find_map(|(words, pattern)| {
            let found = pattern.captures(text)?;
            let host = found.name("host").or_else(|| found.name("host2"))?.as_str();
            let port = found.name("port").and_then(|port| port.as_str().parse().ok()).unwrap_or(0);
            Some((host, port, words.says))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_found_in_every_programs_words() {
        for (words, _) in ALL.iter() {
            for sample in &words.samples {
                let (host, _, says) = unresolved(sample).unwrap_or_else(|| panic!("{}: {sample}", words.id));
                assert_eq!(says, words.says, "{sample}");
                assert!(sample.contains(host) && host.contains(['.', '-']), "{}: {host}", words.id);
            }
        }
    }

    #[test]
    fn words_without_a_host_prove_nothing() {
        for text in ["Name or service not known", "bad address ''", "could not be resolved (3: x)"] {
            assert_eq!(unresolved(text), None, "{text}");
        }
    }
}
