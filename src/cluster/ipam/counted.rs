//! Numbers that someone counted by hand, as the guide tells: addresses in a store, pods that run.
//!
//! A number has no names, so what it shows is at most likely.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

use super::account::{Context, of_node};
use super::{Counts, Ipam, NodeIpam};
use crate::evidence::Evidence;
use crate::facts::{Count, Counted, Place};

/// Entries of a folder that are no address: total, `.`, `..`, the lock and the last address given.
const NO_ADDRESSES: u64 = 5;

/// Most numbers between two that belong together.
const NEAR: usize = 200;

/// Numbers that belong together: of one node, or one after the other in one text.
#[derive(Default)]
struct Pair<'a> {
    node: Option<&'a str>,
    reserved: Option<u64>,
    capacity: Option<u64>,
    pods: Option<u64>,
    pool: bool,
    places: Vec<Evidence>,
}

pub(super) fn compare(context: &Context<'_>, books: &mut Vec<NodeIpam>) {
    let mut by_node: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, book) in books.iter().enumerate() {
        by_node.entry(book.node.clone()).or_default().push(at);
    }
    let leases: Vec<usize> =
        books.iter().enumerate().filter(|(_, books)| books.lease.is_some()).map(|(at, _)| at).collect();
    for pair in pairs(context) {
        let node = pair.node.or(context.nodes.only().filter(|_| context.nodes.listed));
        let ours: Vec<usize> = node.and_then(|node| by_node.get(node)).cloned().unwrap_or_default();
        // Of a single config, the count of pods is of its node.
        let given = match (node, leases.as_slice()) {
            (None, [only]) if pair.reserved.is_none() => Some(*only),
            _ => ours.iter().copied().find(|at| books.get(*at).is_some_and(|books| books.lease.is_some())),
        };
        if let (Some(pods), Some(given)) = (pair.pods, given.and_then(|at| books.get_mut(at)))
            && !given.pods_known
        {
            given.pods = pods as usize;
            given.running = given.pods;
            given.pods_known = true;
            given.counted = true;
            given.v4.live = pods;
            given.v4.allocated = pods;
            given.evidence.extend(pair.places.iter().cloned());
        }
        let Some(reserved) = pair.reserved else { continue };
        // A listing with names says more than a number.
        let ipam = if pair.pool { Ipam::AzureVnetIpam } else { Ipam::HostLocal };
        if ours.iter().any(|at| books.get(*at).is_some_and(|books| books.ipam == ipam)) {
            continue;
        }
        let mut new = of_node(context, node.unwrap_or("(unknown node)").to_owned(), None, &BTreeSet::new());
        new.node_known_by = if pair.node.is_some() { "the command" } else { "nothing" };
        new.ipam = ipam;
        new.counted = true;
        if let Some(pods) = pair.pods {
            new.pods = pods as usize;
            new.running = new.pods;
            new.pods_known = true;
        }
        let range =
            new.ranges.iter().filter_map(|range| range.parse().ok()).map(super::account::usable).max();
        new.v4 = Counts {
            capacity: pair.capacity.or(range),
            allocated: reserved,
            live: if new.pods_known { reserved.min(new.pods as u64) } else { 0 },
            unknown: if new.pods_known { 0 } else { reserved },
            ..Counts::default()
        };
        new.v4.orphans = if new.pods_known { reserved.saturating_sub(new.pods as u64) } else { 0 };
        new.sandboxes = reserved as usize;
        new.place = pair.places.first().map(Evidence::place).unwrap_or_default();
        new.evidence = pair.places;
        books.push(new);
    }
}

fn pairs<'a>(context: &Context<'a>) -> Vec<Pair<'a>> {
    let mut by_source: BTreeMap<&Arc<str>, Vec<(&Place, &Count, Counted)>> = BTreeMap::new();
    for (place, count) in context.facts.nodes.counts.iter() {
        if let Some(what) = count.what {
            by_source.entry(&place.source).or_default().push((place, count, what));
        }
    }
    let mut found: Vec<Pair<'_>> = Vec::new();
    for counts in by_source.into_values() {
        let first = found.len();
        for (place, count, what) in counts {
            let node = count.node.as_deref();
            let words = format!("{} → {}", count.command, count.value);
            let evidence = Evidence::line(&place.source, place.line, words.as_bytes());
            let fits = |pair: &Pair<'_>| node.is_none() || pair.node.is_none() || pair.node == node;
            // What belongs together stands together.
            let first = first.max(found.len().saturating_sub(NEAR));
            let open = found.iter().skip(first).rposition(|pair| {
                fits(pair)
                    && match what {
                        Counted::PodAddresses | Counted::Sandboxes => pair.pods.is_none() && !pair.pool,
                        Counted::InUse | Counted::NotInUse => {
                            pair.pool
                                && pair.node == node
                                && (pair.capacity.is_none() || pair.reserved.is_none())
                        }
                        Counted::Leases | Counted::LeaseLines => false,
                    }
            });
            let at = open.map_or(found.len(), |open| first + open);
            if at == found.len() {
                found.push(Pair::default());
            }
            let Some(pair) = found.get_mut(at) else { continue };
            pair.node = pair.node.or(node);
            pair.places.push(evidence);
            match what {
                Counted::Leases => pair.reserved = Some(count.value),
                Counted::LeaseLines => pair.reserved = Some(count.value.saturating_sub(NO_ADDRESSES)),
                Counted::PodAddresses | Counted::Sandboxes => pair.pods = Some(count.value),
                Counted::InUse | Counted::NotInUse => {
                    pair.pool = true;
                    // The first of the two waits in `capacity` for the other.
                    let other = pair.capacity.take().unwrap_or(0);
                    pair.capacity = Some(other + count.value);
                    if what == Counted::InUse {
                        pair.reserved = Some(count.value);
                    }
                }
            }
        }
    }
    found
}
