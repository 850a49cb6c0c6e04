//! KNOW: what the field knows, as data that somebody who knows AKS reviews without reading Rust, and what types it.
//!
//! `knowledge/messages/*.toml` holds the texts of errors, one block a text; `knowledge/causes/*.toml` the causes that such a text
//! names by itself; `knowledge/exit_codes` those of node provisioning; `knowledge/client_words.toml` what programs say when they could not reach something. Description is data, evaluation
//! is Rust: there is no rule language. A block that can't be read is a fault of the program, which a test finds.

mod causes;
pub mod client_words;
mod exit_codes;
mod messages;

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input};

pub use causes::{CAUSES, Cause, CauseId, Ends, OneFor, Refuted};
pub use exit_codes::{CSE_LINUX, CSE_WINDOWS, CseFault, ExitCode};
pub use messages::{Found, MESSAGES, Message, Messages};

/// The letters of everything that is known, in one table of transitions: a text is gone over once, and at the same speed
/// however many messages there are. It is made at the first text, in some milliseconds.
static LETTERS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .build(MESSAGES.anchors().chain(client_words::anchors()))
        .ok()
});

/// Whether a text holds letters of anything that is known.
pub fn concerns(text: &[u8]) -> bool {
    first_letters(text, 0).is_some()
}

/// The first letters of anything that is known at or after `from` in a text: where they start and end.
pub fn first_letters(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let found = LETTERS.as_ref()?.find(Input::new(text).range(from.min(text.len())..))?;
    Some((found.start(), found.end()))
}
