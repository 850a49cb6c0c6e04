//! What several rooms need to look at text fast: bytes by the block, brackets and values of JSON.

pub(crate) mod blocks;
pub(crate) mod brackets;
/// Seen from outside by the fuzz targets alone, which compare it with `serde_json`.
#[doc(hidden)]
pub mod json;
pub(crate) mod pattern;
