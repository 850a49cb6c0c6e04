//! Counts that do not depend on the order in which blocks are read.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::Arc;

use either::Either;
use foldhash::fast::{FixedState, RandomState};
use indexmap::map::Entry;
use indexmap::{Equivalent, IndexMap};

use super::time::{Span, When};
use crate::evidence::{Evidence, Examples};

/// How many different sightings are counted exactly; above it the count is an estimate (within about 1 %).
const EXACT: usize = 65_536;

/// A hash that is the same in every run, for identities of log records.
pub fn fingerprint(value: impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

/// Different sightings of one thing, each by its fingerprint: a request that four logs report is one.
///
/// Up to 65,536 fingerprints are kept. Past that the smallest are: they are the same whatever the
/// order, and how dense they lie tells how many there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sightings {
    seen: HashMap<u64, Option<When>, FixedState>,
    /// Fingerprints at or above this were dropped; `None` while all are kept.
    bound: Option<u64>,
}

impl Sightings {
    /// Counts a sighting once, however often it is reported; its earliest time is kept.
    pub fn add(&mut self, fingerprint: u64, when: Option<When>) {
        if self.bound.is_some_and(|bound| fingerprint >= bound) {
            return;
        }
        let kept = self.seen.entry(fingerprint).or_insert(when);
        *kept = match (*kept, when) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if self.seen.len() > EXACT * 2 {
            self.shrink();
        }
    }

    /// Drops what lies above the exact count, so that what is kept does not depend on the order.
    pub fn settle(&mut self) {
        self.shrink();
    }

    fn shrink(&mut self) {
        if self.seen.len() <= EXACT {
            return;
        }
        let mut prints: Vec<u64> = self.seen.keys().copied().collect();
        let (_, bound, _) = prints.select_nth_unstable(EXACT);
        let bound = *bound;
        self.bound = Some(bound);
        self.seen.retain(|print, _| *print < bound);
    }

    /// Adds all of another count.
    pub fn merge(&mut self, other: Self) {
        if let Some(theirs) = other.bound {
            let bound = self.bound.map_or(theirs, |ours| ours.min(theirs));
            self.bound = Some(bound);
            self.seen.retain(|print, _| *print < bound);
        }
        for (print, when) in other.seen {
            self.add(print, when);
        }
    }

    /// How many, and whether that is exact.
    pub fn count(&self) -> (u64, bool) {
        let mut settled;
        let this = if self.seen.len() > EXACT {
            settled = self.clone();
            settled.shrink();
            &settled
        } else {
            self
        };
        let kept = this.seen.len() as u64;
        match this.bound {
            None => (kept, true),
            Some(bound) => {
                let share = bound as f64 / u64::MAX as f64;
                ((kept as f64 / share).round() as u64, false)
            }
        }
    }

    /// Whether a sighting is among those kept.
    pub fn contains(&self, fingerprint: u64) -> bool {
        self.seen.contains_key(&fingerprint)
    }

    /// The times of the kept sightings, in no order.
    pub fn times(&self) -> impl Iterator<Item = When> {
        self.seen.values().copied().flatten()
    }

    /// The kept fingerprints, in no order.
    pub fn prints(&self) -> impl Iterator<Item = u64> {
        self.seen.keys().copied()
    }
}

/// A map that keeps its smallest keys: what is kept, and with what value, does not depend on order.
///
/// It is filled by hash and put in order once, when all is in: most records are one more of what was seen before.
#[derive(Clone, Debug)]
pub struct BoundedMap<K, V, const N: usize> {
    map: IndexMap<K, V, RandomState>,
    /// The keys stand in order, and there are no more than `N`.
    settled: bool,
    /// Larger keys were dropped or refused.
    largest: Option<K>,
}

/// Above this part of its bound a map is cut back to it.
const SLACK: usize = 4;

impl<K, V, const N: usize> Default for BoundedMap<K, V, N> {
    fn default() -> Self {
        Self { map: IndexMap::default(), settled: true, largest: None }
    }
}

// Of maps that are settled, or have room: one that is to be cut may have more than another.
impl<K: Hash + Ord, V: PartialEq, const N: usize> PartialEq for BoundedMap<K, V, N> {
    fn eq(&self, other: &Self) -> bool {
        self.map == other.map && self.overflowed() == other.overflowed()
    }
}

impl<K: Hash + Ord, V: Eq, const N: usize> Eq for BoundedMap<K, V, N> {}

impl<K: Clone + Hash + Ord, V: Default, const N: usize> BoundedMap<K, V, N> {
    /// The value of a key, made when missing; `None` when the map is full of smaller keys.
    pub fn slot(&mut self, key: K) -> Option<&mut V> {
        if self.largest.as_ref().is_some_and(|largest| key > *largest) {
            return None;
        }
        if self.map.len() >= N + (N / SLACK).max(1) && !self.map.contains_key(&key) {
            self.shrink();
            return self.slot(key);
        }
        Some(match self.map.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(slot) => {
                self.settled = false;
                slot.insert(V::default())
            }
        })
    }

    /// Adds all of another map, joining the values of equal keys.
    ///
    /// `join` must not care which of two values comes first. Values of keys that only one map has are moved as they are.
    pub fn merge(&mut self, mut other: Self, mut join: impl FnMut(&mut V, V)) {
        if other.map.len() > self.map.len() {
            std::mem::swap(self, &mut other);
        }
        if other.largest.is_some()
            && self.largest.as_ref().is_none_or(|ours| other.largest.as_ref() < Some(ours))
        {
            self.largest = other.largest;
            let largest = self.largest.as_ref();
            self.map.retain(|key, _| Some(key) <= largest);
        }
        self.settled &= other.map.is_empty();
        for (key, value) in other.map {
            if self.largest.as_ref().is_some_and(|largest| key > *largest) {
                continue;
            }
            match self.map.entry(key) {
                Entry::Occupied(mut kept) => join(kept.get_mut(), value),
                Entry::Vacant(slot) => drop(slot.insert(value)),
            }
        }
        self.shrink();
    }

    /// Gives some of the keys another form; a value whose new key is there already is joined with what is there.
    pub fn relabel(&mut self, mut label: impl FnMut(&K, &V) -> Option<K>, mut join: impl FnMut(&mut V, V)) {
        let all = std::mem::take(&mut self.map);
        self.settled = false;
        let mut moved = Vec::new();
        for (key, value) in all {
            match label(&key, &value) {
                Some(new) => moved.push((new, value)),
                None => drop(self.map.insert(key, value)),
            }
        }
        for (key, value) in moved {
            match self.map.entry(key) {
                Entry::Occupied(mut kept) => join(kept.get_mut(), value),
                Entry::Vacant(slot) => drop(slot.insert(value)),
            }
        }
    }

    /// Gives each value to a function that may change it.
    pub fn each(&mut self, change: impl FnMut((&K, &mut V))) {
        self.map.iter_mut().for_each(change);
    }

    /// Puts the keys in order: what comes next are questions.
    pub fn settle(&mut self) {
        if !self.settled {
            self.shrink();
            self.map.sort_unstable_keys();
            self.settled = true;
        }
    }

    /// Drops the largest keys beyond the bound.
    fn shrink(&mut self) {
        if self.map.len() <= N {
            return;
        }
        let mut keys: Vec<&K> = self.map.keys().collect();
        let (_, largest, _) = keys.select_nth_unstable(N.saturating_sub(1));
        let largest = largest.clone();
        self.map.retain(|key, _| *key <= largest);
        self.largest = Some(largest);
    }
}

impl<K: Hash + Ord, V, const N: usize> BoundedMap<K, V, N> {
    /// In the order of keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> {
        if self.settled {
            return Either::Left(self.map.iter());
        }
        let mut all: Vec<_> = self.map.iter().collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all.truncate(N);
        Either::Right(all.into_iter())
    }

    /// The keys of which `order` says that they are equal to what is looked for. It must follow the order of keys.
    pub fn equal(&self, order: impl Fn(&K) -> Ordering) -> impl Iterator<Item = (&K, &V)> {
        if !self.settled {
            return Either::Left(self.iter().filter(move |(key, _)| order(key) == Ordering::Equal));
        }
        let from = self.map.partition_point(|key, _| order(key) == Ordering::Less);
        let to = self.map.partition_point(|key, _| order(key) != Ordering::Greater);
        Either::Right(self.map.get_range(from..to).into_iter().flatten())
    }

    /// The value of a key.
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.map.get(key)
    }

    /// Whether more keys came than are kept.
    pub fn overflowed(&self) -> bool {
        self.largest.is_some() || self.map.len() > N
    }

    /// How many keys are kept.
    pub fn len(&self) -> usize {
        self.map.len().min(N)
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

/// A set that keeps its smallest members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundedSet<T, const N: usize> {
    set: BTreeSet<T>,
    overflow: bool,
}

impl<T: Ord, const N: usize> Default for BoundedSet<T, N> {
    fn default() -> Self {
        Self { set: BTreeSet::new(), overflow: false }
    }
}

impl<T: Ord, const N: usize> BoundedSet<T, N> {
    /// Adds a member.
    pub fn insert(&mut self, value: T) {
        self.set.insert(value);
        if self.set.len() > N {
            self.set.pop_last();
            self.overflow = true;
        }
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: Self) {
        self.overflow |= other.overflow;
        for value in other.set {
            self.insert(value);
        }
    }

    /// In order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.set.iter()
    }

    /// Whether more members came than are kept.
    pub fn overflowed(&self) -> bool {
        self.overflow
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

/// Everything seen of one kind of line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineTally {
    /// Lines, each once.
    pub sightings: Sightings,
    /// Largest count that an event states.
    pub stated: u64,
    /// First and last.
    pub span: Span,
    /// Where.
    pub examples: Examples,
}

impl LineTally {
    /// How often, at least.
    pub fn count(&self) -> u64 {
        self.sightings.count().0.max(self.stated)
    }

    /// Counts a line, by its fingerprint; `stated` is the count of the event that it is of.
    pub fn add(
        &mut self,
        print: u64,
        stated: u64,
        times: [Option<When>; 2],
        source: &Arc<str>,
        line: u64,
        text: &[u8],
    ) {
        let [first, last] = times;
        self.sightings.add(print, first.or(last));
        self.stated = self.stated.max(stated);
        times.into_iter().flatten().for_each(|when| self.span.add(when));
        if self.examples.wants(source, line) {
            self.examples.add(Evidence::line(source, line, text));
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, more: Self) {
        self.sightings.merge(more.sightings);
        self.stated = self.stated.max(more.stated);
        self.span.merge(more.span);
        self.examples.merge(more.examples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_in_four_logs_is_counted_once() {
        let mut sightings = Sightings::default();
        for _ in 0..4 {
            sightings.add(fingerprint("audit-id-1"), None);
        }
        assert_eq!(sightings.count(), (1, true));
    }

    #[test]
    fn a_flood_is_estimated_the_same_in_any_order() {
        let prints: Vec<u64> = (0..300_000_u64).map(fingerprint).collect();
        let mut forward = Sightings::default();
        for print in &prints {
            forward.add(*print, None);
        }
        let mut halves = (Sightings::default(), Sightings::default());
        for (at, print) in prints.iter().rev().enumerate() {
            if at % 3 == 0 { halves.0.add(*print, None) } else { halves.1.add(*print, None) }
        }
        halves.0.merge(halves.1);
        assert_eq!(forward.count(), halves.0.count());
        let (count, exact) = forward.count();
        assert!(!exact);
        assert!((count as i64 - 300_000).abs() < 6_000, "{count}");
    }

    #[test]
    fn a_bounded_map_keeps_the_same_keys_in_any_order() {
        let mut a = BoundedMap::<u32, u64, 10>::default();
        let mut b = BoundedMap::<u32, u64, 10>::default();
        for key in 0..100 {
            if let Some(slot) = a.slot(key % 50) {
                *slot += 1;
            }
            if let Some(slot) = b.slot((99 - key) % 50) {
                *slot += 1;
            }
        }
        assert_eq!(a.iter().collect::<Vec<_>>(), b.iter().collect::<Vec<_>>());
        assert_eq!(a.iter().map(|(_, n)| *n).sum::<u64>(), 20);
        let tens = |key: &u32| (key / 5).cmp(&1);
        let unsettled: Vec<u32> = a.equal(tens).map(|(key, _)| *key).collect();
        a.settle();
        assert_eq!(a.equal(tens).map(|(key, _)| *key).collect::<Vec<_>>(), unsettled);
        assert_eq!(unsettled, [5, 6, 7, 8, 9]);
    }
}
