//! KNOW: what the field knows, as data that somebody who knows AKS reviews without reading Rust, and what types it.
//!
//! `knowledge/messages/*.toml` holds the texts of errors, one block a text; `knowledge/resolver_words.toml` what programs say when
//! a name does not resolve. Description is data, evaluation is Rust: there is no rule language. A block that can't be read is a
//! fault of the program, which a test finds.

mod messages;
pub mod resolver_words;

pub use messages::{MESSAGES, Message, Messages};
