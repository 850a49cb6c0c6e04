//! Pods that were refused an address, by node.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::account::Context;
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{Signal, SignalKey, time};

/// The refusals of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRefusals {
    /// How often, at least.
    pub count: u64,
    /// By text.
    pub signals: BTreeMap<Signal, u64>,
    /// The pods, `namespace/name`.
    pub pods: BTreeSet<String>,
    /// Some name no pod.
    pub nameless: bool,
    /// First and last, in microseconds since 1970.
    pub span: Option<(i64, i64)>,
    /// Where.
    pub evidence: Vec<Evidence>,
    /// Ranges that the texts name.
    pub ranges: BTreeSet<String>,
}

/// Most pods named for a node.
const PODS: usize = 200;

pub(super) fn by_node(context: &Context<'_>) -> BTreeMap<String, AddressRefusals> {
    let mut all: BTreeMap<String, AddressRefusals> = BTreeMap::new();
    // The same pod's refusals are told with and without the node, by event and log: the largest is taken.
    let mut most: BTreeMap<(String, Signal, &str, &str), u64> = BTreeMap::new();
    for (key, tally) in context.facts.signals.map.iter().filter(|(key, _)| key.signal.refuses_a_pod()) {
        let node = node_of(context, key);
        let refused = all.entry(node.clone()).or_default();
        if !key.pod.is_empty() && refused.pods.len() < PODS {
            refused.pods.insert(format!("{}/{}", key.namespace, key.pod));
        }
        refused.nameless |= key.pod.is_empty();
        if !key.detail.is_empty() && key.signal == Signal::RangeSetFull {
            refused.ranges.insert(key.detail.to_string());
        }
        let span = tally.span.resolve(context.anchor);
        refused.span = time::joined(refused.span, span);
        refused.evidence.extend(tally.examples.as_slice().iter().take(2).cloned());
        if refused.evidence.len() > EXAMPLES * 8 {
            tidy(&mut refused.evidence);
        }
        let count = most.entry((node, key.signal, &key.namespace, &key.pod)).or_default();
        *count = tally.count().max(*count);
    }
    for ((node, signal, ..), count) in most {
        if let Some(refused) = all.get_mut(&node) {
            refused.count = refused.count.saturating_add(count);
            let of_signal = refused.signals.entry(signal).or_default();
            *of_signal = of_signal.saturating_add(count);
        }
    }
    for refused in all.values_mut() {
        tidy(&mut refused.evidence);
    }
    all
}

fn tidy(evidence: &mut Vec<Evidence>) {
    evidence.sort();
    evidence.dedup();
    evidence.truncate(EXAMPLES);
}

/// The node of a refusal: as told, where its pod runs, whose range or network container the text names.
fn node_of(context: &Context<'_>, key: &SignalKey) -> String {
    let pod = || {
        let pod = context.facts.objects.pods.get(&key.namespace, &key.pod)?;
        Some(&*pod.object.spec.node_name).filter(|node| !node.is_empty())
    };
    let by_range = || {
        let first = key.detail.split('-').next()?;
        let range: Option<IpNet> = first.parse().ok();
        context.nodes.of_address(range.map_or_else(|| first.parse().ok(), |range| Some(range.addr()))?)
    };
    let given = (!key.node.is_empty()).then_some(&*key.node);
    // Logs are collected from hosts whose names differ in case.
    let known = given.filter(|node| context.nodes.contains(node)).or_else(pod);
    let node = known.or_else(|| context.nodes.of_container(&key.detail)).or_else(by_range).or(given);
    node.map_or_else(|| unknown_node(&key.detail), ToOwned::to_owned)
}

/// Nodes that are not named are told apart by the range that is full, as their stores are.
fn unknown_node(range: &str) -> String {
    match range.split('-').next().and_then(|first| first.parse().ok()) {
        Some(first) => super::stores::unknown_node(&[first]),
        None => String::new(),
    }
}
