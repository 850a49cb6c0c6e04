//! Many literals, searched at once: which lines may matter at all.

use std::sync::LazyLock;

use aho_corasick::packed::{Config, MatchKind as PackedMatchKind, Searcher};
use aho_corasick::{AhoCorasick, MatchKind};

/// Finds the next signature. The literals are in groups, each small enough for the searcher that uses vector
/// instructions: two of its passes are much faster than one of an automaton.
pub(super) struct Prefilter(Vec<LiteralGroup>);

enum LiteralGroup {
    Packed(Searcher),
    Automaton(Option<AhoCorasick>),
}

/// Most literals of one group: more, and `aho-corasick` gives no packed searcher.
const GROUP: usize = 64;

/// The signatures of one module: a text that holds none of them is none of its affair, and its questions need not be
/// asked.
pub(super) struct ModuleSignatures(LazyLock<Prefilter>);

impl ModuleSignatures {
    pub(super) const fn new(make: fn() -> Prefilter) -> Self {
        Self(LazyLock::new(make))
    }

    pub(super) fn concerns(&self, text: &str) -> bool {
        self.0.find(text.as_bytes(), 0).is_some()
    }
}

impl LiteralGroup {
    fn new(literals: &[&str]) -> Self {
        let packed =
            Config::new().match_kind(PackedMatchKind::LeftmostFirst).builder().extend(literals).build();
        let automaton = || AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(literals).ok();
        packed.map_or_else(|| Self::Automaton(automaton()), Self::Packed)
    }

    /// The next signature of the group at or after `from`: where it starts and ends.
    fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        match self {
            Self::Packed(searcher) => {
                searcher.find_in(text, (from..text.len()).into()).map(|found| (found.start(), found.end()))
            }
            Self::Automaton(automaton) => {
                let input = aho_corasick::Input::new(text).range(from..);
                automaton.as_ref()?.find(input).map(|found| (found.start(), found.end()))
            }
        }
    }
}

impl Prefilter {
    /// Of any literals, in as many groups as they need, all about as large.
    pub(super) fn of(literals: &[&str]) -> Self {
        let groups = literals.len().div_ceil(GROUP).max(1);
        Self(literals.chunks(literals.len().div_ceil(groups).max(1)).map(LiteralGroup::new).collect())
    }

    /// The next signature at or after `from`: where it starts and ends.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        self.0.iter().filter_map(|group| group.find(text, from)).min()
    }

    /// All signatures of a text, in order, none twice: each group goes over the text once.
    pub(super) fn hits<'a>(&'a self, text: &'a [u8]) -> Hits<'a> {
        let next = self.0.iter().map(|group| group.find(text, 0)).collect();
        Hits { groups: &self.0, text, next }
    }
}

/// The signatures of a text, in order.
pub(super) struct Hits<'a> {
    groups: &'a [LiteralGroup],
    text: &'a [u8],
    /// The next one of each group.
    next: Vec<Option<(usize, usize)>>,
}

impl Hits<'_> {
    /// The first one at or after `from`.
    pub(super) fn at(&mut self, from: usize) -> Option<(usize, usize)> {
        for (group, next) in self.groups.iter().zip(&mut self.next) {
            if next.is_some_and(|(start, _)| start < from) {
                *next = group.find(self.text, from);
            }
        }
        self.next.iter().flatten().min().copied()
    }
}
