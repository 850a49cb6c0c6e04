//! Kubernetes events and the log lines that tell the same: one tally per kind of message and object.

use std::sync::Arc;

use super::tally::BoundedMap;
use super::text::Text;
use super::time::{Span, When};
use crate::evidence::{Evidence, Examples};

/// What makes two events the same. Warnings sort first, so that they are the ones kept when there are
/// too many.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// `type: Normal`.
    pub normal: bool,
    /// One word: `FailedCreatePodSandBox`.
    pub reason: Text,
    /// Kind of the object it is about.
    pub kind: Text,
    /// Its namespace.
    pub namespace: Text,
    /// Its name.
    pub name: Box<str>,
}

/// Everything seen of one kind of event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventTally {
    /// Largest count that an event object states; an event that is updated repeats its count.
    pub count: u64,
    /// First and last.
    pub span: Span,
    /// The node that reported it, when it did.
    pub node: Option<Text>,
    /// The messages.
    pub examples: Examples,
}

/// One event.
pub struct EventSeen<'a> {
    /// `type: Normal`.
    pub normal: bool,
    /// One word: `FailedCreatePodSandBox`.
    pub reason: &'a str,
    /// Kind of the object it is about.
    pub kind: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its own count, 1 when it states none.
    pub count: u64,
    /// First and last.
    pub times: [Option<When>; 2],
    /// Reporting node.
    pub node: Option<&'a str>,
    /// The message.
    pub message: &'a str,
    /// Entry.
    pub source: &'a Arc<str>,
    /// Line.
    pub line: u64,
}

/// All events, 100,000 kinds at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// By kind.
    pub map: BoundedMap<EventKey, EventTally, 100_000>,
    /// Event objects and rows read, those of another time than is asked for included.
    pub read: u64,
    /// First and last time that any of these tells.
    pub seen: Span,
}

impl Events {
    /// Counts one.
    pub fn add(&mut self, seen: EventSeen<'_>) {
        let key = EventKey {
            normal: seen.normal,
            reason: seen.reason.into(),
            kind: seen.kind.into(),
            namespace: seen.namespace.into(),
            name: seen.name.into(),
        };
        let Some(tally) = self.map.slot(key) else { return };
        tally.count = tally.count.max(seen.count);
        seen.times.into_iter().flatten().for_each(|when| tally.span.add(when));
        // The largest name, whatever the order.
        let node = seen.node.filter(|node| !node.is_empty());
        if node > tally.node.as_deref() {
            tally.node = node.map(Into::into);
        }
        if tally.examples.wants(seen.source, seen.line) {
            let pointer = ["Event ", seen.kind, " ", seen.namespace, "/", seen.name].concat();
            tally.examples.add(Evidence::field(seen.source, seen.line, pointer, seen.message));
        }
    }

    /// Those of a reason, warnings first.
    pub fn of_reason<'a>(&'a self, reason: &'a str) -> impl Iterator<Item = (&'a EventKey, &'a EventTally)> {
        let of = move |normal| self.map.equal(move |key| (key.normal, &*key.reason).cmp(&(normal, reason)));
        [false, true].into_iter().flat_map(of)
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        self.read += other.read;
        self.seen.merge(other.seen);
        self.map.merge(other.map, EventTally::merge);
    }
}

impl EventTally {
    /// Adds what another copy of the same event tells.
    pub(super) fn merge(&mut self, more: Self) {
        self.count = self.count.max(more.count);
        self.span.merge(more.span);
        self.node = self.node.take().max(more.node);
        self.examples.merge(more.examples);
    }
}
