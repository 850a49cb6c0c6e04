//! KNOW: what the field knows, as data that somebody who knows AKS reviews without reading Rust, and what types it.
//!
//! `knowledge/messages/*.toml` holds the texts of errors, one block a text; `knowledge/causes/*.toml` the causes that such a text
//! names by itself; `knowledge/exit_codes` those of node provisioning; `knowledge/client_words.toml` what programs say when they could not reach something. Description is data, evaluation
//! is Rust: there is no rule language. A block that can't be read is a fault of the program, which a test finds.

mod causes;
pub mod client_words;
mod exit_codes;
mod messages;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input};

pub use causes::{CAUSES, Cause, CauseId, Ends, OneFor, Refuted};
pub use exit_codes::{CSE_LINUX, CSE_WINDOWS, CseFault, ExitCode};
pub use messages::{Found, MESSAGES, Message, Messages};

/// Bytes of each text by which it is found: the table of transitions grows with them.
const WINDOW: usize = 8;

/// Pieces of everything that is known, in one table of transitions: a text is gone over once, and at the same speed however
/// many messages there are. It is made at the first text, in some milliseconds.
static LETTERS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let pieces: BTreeSet<&[u8]> =
        MESSAGES.anchors().chain(client_words::anchors()).map(rarest_piece).collect();
    AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(pieces).ok()
});

/// The piece of a text that is least likely in another one.
fn rarest_piece(text: &str) -> &[u8] {
    let rarity = |byte: &u8| match byte {
        b' ' | b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 1_u32,
        b'd' | b'h' | b'l' | b'u' | b'c' | b'm' | b'f' | b'p' => 2,
        b'a'..=b'z' => 3,
        _ => 4,
    };
    let whole = text.as_bytes();
    // Of pieces as rare, the first.
    whole.windows(WINDOW).rev().max_by_key(|piece| piece.iter().map(rarity).sum::<u32>()).unwrap_or(whole)
}

/// Whether a text holds letters of anything that is known.
pub fn concerns(text: &[u8]) -> bool {
    first_letters(text, 0).is_some()
}

/// The first letters of anything that is known at or after `from` in a text: where they start and end.
pub fn first_letters(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let found = LETTERS.as_ref()?.find(Input::new(text).range(from.min(text.len())..))?;
    Some((found.start(), found.end()))
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_text_is_found_by_its_letters_and_their_table_is_small() {
        for anchor in MESSAGES.anchors().chain(client_words::anchors()) {
            assert!(concerns(anchor.as_bytes()), "{anchor}");
        }
        let size = LETTERS.as_ref().map_or(0, AhoCorasick::memory_usage);
        assert!((1..8 << 20).contains(&size), "{size} bytes");
    }
}
