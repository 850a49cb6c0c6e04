//! What objects say of themselves goes the way of every message: conditions of kinds that are not kept, what containers wait for.

use super::line;
use super::log_line::Surroundings;
use crate::facts::{ConditionedObject, Facts, Pod, conditions_of, means_harm};
use crate::formats::Piece;

/// Looks for known errors in what the containers of a pod wait for. The kubelet repeats the registry's answer there (since 1.31
/// behind `Back-off pulling image`, `kuberuntime/images`), where it outlives the events.
pub(in crate::formats) fn waiting(pod: &Pod, piece: &Piece<'_>, line: u64, facts: &mut Facts) {
    let statuses = pod.status.container_statuses.iter().chain(pod.status.init_container_statuses.iter());
    for waiting in statuses.filter_map(|container| container.state.waiting.as_ref()) {
        let around = Surroundings {
            node: Some(&*pod.spec.node_name).filter(|node| !node.is_empty()),
            pod: Some((&pod.metadata.namespace, &pod.metadata.name)),
            ..Surroundings::default()
        };
        line::consider(waiting.message.as_bytes(), around, piece.source, line, facts);
    }
}

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
