//! Connections that a firewall let pass or not.

use std::sync::Arc;

use super::tally::{BoundedMap, Sightings};
use super::time::{Span, When};
use crate::evidence::{Evidence, Examples};

/// What let a connection pass or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowFilter {
    /// Azure Firewall.
    #[default]
    Firewall,
    /// A network security group, or a security admin rule of a virtual network.
    SecurityGroup,
}

/// What makes two records of a firewall the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// It was let pass. Refused ones sort first, so that they are kept when there are too many.
    pub allowed: bool,
    /// Who decided.
    pub filter: FlowFilter,
    /// It came in from outside of what is filtered; records of a firewall are of what goes out.
    pub inbound: bool,
    /// Host name or address.
    pub target: Box<str>,
    /// Port, 0 when not told.
    pub port: u16,
    /// `TCP`, `UDP`, `HTTPS`, …
    pub protocol: Box<str>,
    /// Source address.
    pub source: Box<str>,
    /// Rule, or why none applied.
    pub rule: Box<str>,
}

/// How often and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowTally {
    /// Records, each once.
    pub sightings: Sightings,
    /// First and last.
    pub span: Span,
    /// Where.
    pub examples: Examples,
}

/// One record of a firewall.
pub struct FlowSeen<'a> {
    /// Which flow.
    pub key: FlowKey,
    /// Fingerprint of the record.
    pub print: u64,
    /// When.
    pub when: Option<When>,
    /// Entry.
    pub source: &'a Arc<str>,
    /// Line.
    pub line: u64,
    /// The record in words.
    pub text: &'a [u8],
}

/// All flows, 50,000 kinds at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    /// By kind.
    pub map: BoundedMap<FlowKey, FlowTally, 50_000>,
    /// Records of firewalls read, those of another time than is asked for included.
    pub read: u64,
}

impl Flows {
    /// Counts one.
    pub fn add(&mut self, seen: FlowSeen<'_>) {
        let Some(tally) = self.map.slot(seen.key) else { return };
        tally.sightings.add(seen.print, seen.when);
        if let Some(when) = seen.when {
            tally.span.add(when);
        }
        if tally.examples.wants(seen.source, seen.line) {
            tally.examples.add(Evidence::line(seen.source, seen.line, seen.text));
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        self.read += other.read;
        self.map.merge(other.map, |kept, more| {
            kept.sightings.merge(more.sightings);
            kept.span.merge(more.span);
            kept.examples.merge(more.examples);
        });
    }
}
