//! KNOW: what the field knows, as data that somebody who knows AKS reviews without reading Rust, and what types it.
//!
//! `knowledge/messages/*.toml` holds the texts of errors, one block a text; `knowledge/causes/*.toml` the causes that such a text
//! names by itself; `knowledge/exit_codes` those of node provisioning; `knowledge/client_words.toml` what programs say when they could not reach something. Description is data, evaluation
//! is Rust: there is no rule language. A block that can't be read is a fault of the program, which a test finds.

mod causes;
pub mod client_words;
mod exit_codes;
mod messages;

pub use causes::{CAUSES, Cause, CauseId, Ends, OneFor, Refuted};
/// Whether a text holds letters of anything that is known.
pub fn concerns(text: &[u8]) -> bool {
    MESSAGES.concern(text) || client_words::concern(text)
}

/// The first letters of anything that is known in a text: where they start and end.
pub fn first_letters(text: &[u8]) -> Option<(usize, usize)> {
    [MESSAGES.first(text), client_words::first(text)].into_iter().flatten().min()
}

pub use exit_codes::{CSE_LINUX, CSE_WINDOWS, CseFault, ExitCode};
pub use messages::{FAILURE_WORDS, Found, MESSAGES, Message, Messages};
