//! MERGE: what was read, in a form that can be added up in any order.
//!
//! Each worker folds the blocks it gets into its own [`Facts`]; at the end all are merged. Merging is
//! associative and commutative, so the report has the same bytes on one thread or on sixty-four.

mod coverage;
mod denial;
mod event;
mod lease;
mod objects;
mod request;
mod signal;
mod tally;
mod text;
pub mod time;

use std::collections::BTreeMap;

pub use coverage::{Coverage, EntryCoverage};
pub use denial::{Carrier, Class, Denial, DenialKey, Denials, Identity, Observation};
pub use event::{EventKey, EventSeen, EventTally, Events};
pub use lease::{Lease, LeaseStore, LeaseStores, StoreKey};
pub use objects::*;
pub use request::{Request, Scope, Target, from_uri, split_thing};
pub use signal::{Signal, SignalKey, SignalSeen, SignalTally, Signals};
pub use tally::{BoundedMap, BoundedSet, Sightings, fingerprint};
pub use text::Text;
use time::{Span, When};

use crate::evidence::Examples;

/// A list or dump of a kind that was in the bundle, empty or not: without one, absence proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Lists and single objects read.
    pub documents: u64,
    /// Objects read, copies included.
    pub objects: u64,
    /// A list of the kind was there: of all its objects, or of one namespace's.
    pub listed: bool,
    /// Where.
    pub examples: Examples,
}

/// What the logs of the API server told besides denials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiServerLog {
    /// Audit events read.
    pub audit_events: u64,
    /// Lines of its text log read.
    pub log_lines: u64,
    /// Access log lines with status 403.
    pub forbidden_lines: u64,
    /// Of audit events.
    pub audit_span: Span,
}

/// Everything that was read from a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Kubernetes objects.
    pub objects: Objects,
    /// Lists that were in the bundle, by kind.
    pub collected: BTreeMap<Box<str>, Collected>,
    /// Objects of kinds that are counted and not kept.
    pub other_kinds: BTreeMap<Box<str>, u64>,
    /// Events.
    pub events: Events,
    /// Denied requests.
    pub denials: Denials,
    /// Access log lines with status 403 or 401, waiting to be joined to audit events.
    pub access: Denials,
    /// Addresses reserved in IPAM stores.
    pub leases: LeaseStores,
    /// Known error texts.
    pub signals: Signals,
    /// API server logs.
    pub api_server: ApiServerLog,
    /// What was read, by entry.
    pub coverage: Coverage,
    /// All absolute times seen in recognised formats: the newest anchors those without a year.
    pub span: Span,
    /// Those seen in other text: the anchor when there is no better one, since a text may name any date.
    pub text_span: Span,
}

impl Facts {
    /// Notes a time, so that it can anchor the yearless ones.
    pub fn saw(&mut self, when: Option<When>) {
        if let Some(when @ When::At(_)) = when {
            self.span.add(when);
        }
    }

    /// Adds all of another: the order does not matter.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.objects.merge(other.objects);
        for (kind, more) in other.collected {
            let kept = self.collected.entry(kind).or_default();
            kept.documents += more.documents;
            kept.objects += more.objects;
            kept.listed |= more.listed;
            kept.examples.merge(more.examples);
        }
        for (kind, count) in other.other_kinds {
            *self.other_kinds.entry(kind).or_default() += count;
        }
        self.events.merge(other.events);
        self.denials.merge(other.denials);
        self.access.merge(other.access);
        self.leases.merge(other.leases);
        self.signals.merge(other.signals);
        self.api_server.audit_events += other.api_server.audit_events;
        self.api_server.log_lines += other.api_server.log_lines;
        self.api_server.forbidden_lines += other.api_server.forbidden_lines;
        self.api_server.audit_span.merge(other.api_server.audit_span);
        self.coverage.merge(other.coverage);
        self.span.merge(other.span);
        self.text_span.merge(other.text_span);
        self
    }
}
