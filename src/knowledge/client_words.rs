//! What programs say when they could not reach something, or resolve its name.

use std::collections::BTreeSet;
use std::sync::{LazyLock, OnceLock};

use aho_corasick::AhoCorasick;
use regex::Regex;
use serde::Deserialize;

/// What the words prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proves {
    /// The name does not resolve: no such name, or no answer of the resolver.
    Unresolved,
    /// The resolver did not answer, or with an error.
    NoAnswer,
    /// The resolver answered that there is no such name.
    NoSuchName,
    /// Nothing answers at the address.
    Timeout,
    /// The host answers that nothing listens at the port.
    Refused,
    /// No route to the host.
    NoRoute,
    /// The connection was cut off.
    Reset,
    /// The proxy refused, or was not reached.
    Proxy,
    /// The TLS handshake does not come to its end.
    TlsTimeout,
    /// The certificate is of an authority that is not known.
    TlsUntrusted,
    /// The certificate is of another name.
    TlsWrongName,
    /// A certificate is over.
    TlsExpired,
    /// No version or cipher of TLS in common.
    TlsVersion,
}

/// The words of one program.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientWords {
    /// Names them.
    pub id: String,
    /// What they prove.
    pub says: Proves,
    /// Letters of them that are rare in logs.
    pub anchors: Vec<String>,
    /// Has the host, as `host` or `host2`, and the port where it is told; a client of people may tell no host.
    pub pattern: String,
    #[serde(skip)]
    built: OnceLock<Regex>,
    /// Where the program writes them.
    pub source: String,
    /// As they are seen.
    pub samples: Vec<String>,
}

#[derive(Deserialize)]
struct ClientWordsFile {
    words: Vec<ClientWords>,
}

/// All of them.
#[allow(clippy::expect_used, reason = "a test reads the file")]
static ALL: LazyLock<Vec<ClientWords>> = LazyLock::new(|| {
    toml::from_str::<ClientWordsFile>(include_str!("../../knowledge/client_words.toml"))
        .expect("knowledge/client_words.toml can be read")
        .words
});

impl ClientWords {
    /// Its expression, built when a text first needs it.
    #[allow(clippy::expect_used, reason = "a test builds each")]
    fn expression(&self) -> &Regex {
        self.built.get_or_init(|| Regex::new(&self.pattern).expect("the expression can be built"))
    }
}

/// Finds the letters of them all; which words each are of.
static ANCHORS: LazyLock<(Option<AhoCorasick>, Vec<usize>)> = LazyLock::new(|| {
    let all = ALL.iter().enumerate().flat_map(|(at, words)| words.anchors.iter().map(move |text| (text, at)));
    let (texts, owner): (Vec<&String>, Vec<usize>) = all.unzip();
    (AhoCorasick::new(texts).ok(), owner)
});

/// The letters by which they are found.
pub(super) fn anchors() -> impl Iterator<Item = &'static str> {
    ALL.iter().flat_map(|words| &words.anchors).map(String::as_str)
}

/// What could not be reached, its port when told, and what the words prove.
pub fn unreached(text: &str) -> Option<(&str, u16, Proves)> {
    let (finder, owner) = &*ANCHORS;
    let found = finder.as_ref()?.find_overlapping_iter(text);
    // Of several that fit, the first of the file counts.
    let held: BTreeSet<usize> =
        found.filter_map(|found| owner.get(found.pattern().as_usize()).copied()).collect();
    held.into_iter().filter_map(|at| ALL.get(at)).find_map(|words| {
        let found = words.expression().captures(text)?;
        let host = found.name("host").or_else(|| found.name("host2")).map_or("", |host| host.as_str());
        let port = found.name("port").and_then(|port| port.as_str().parse().ok()).unwrap_or(0);
        Some((host, port, words.says))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_found_in_every_programs_words() {
        for words in ALL.iter() {
            for sample in &words.samples {
                let (host, _, says) = unreached(sample).unwrap_or_else(|| panic!("{}: {sample}", words.id));
                assert_eq!(says, words.says, "{sample}");
                assert!(host.is_empty() || host.contains(['.', '-', ':']), "{}: {host}", words.id);
            }
        }
    }

    #[test]
    fn words_without_a_host_prove_nothing() {
        for text in ["Name or service not known", "bad address ''", "could not be resolved (3: x)"] {
            assert_eq!(unreached(text), None, "{text}");
        }
    }
}
