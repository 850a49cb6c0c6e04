//! Conditions of objects of kinds that are not kept: what they say goes the way of every message.

use super::line;
use super::log_line::Surroundings;
use crate::facts::{ConditionedObject, Facts, conditions_of, means_harm};
use crate::formats::Piece;

/// Notes the conditions of an object, and looks for known errors in those that tell of a fault.
pub(in crate::formats) fn note(
    kind: &str,
    object: &ConditionedObject,
    piece: &Piece<'_>,
    line: u64,
    facts: &mut Facts,
) {
    for (key, seen) in conditions_of(kind, object, piece.source, line) {
        if means_harm(&key.condition, &seen.status) {
            line::consider(seen.message.as_bytes(), Surroundings::default(), piece.source, line, facts);
        }
        facts.conditions.add(key, seen);
    }
}
