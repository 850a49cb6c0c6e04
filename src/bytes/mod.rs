//! What several rooms need to look at text fast: bytes by the block, brackets and values of JSON.

pub(crate) mod blocks;
pub(crate) mod brackets;
pub(crate) mod json;
pub(crate) mod pattern;
