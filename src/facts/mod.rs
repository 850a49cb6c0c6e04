//! MERGE: what was read, in a form that can be added up in any order.
//!
//! Each worker folds the blocks it gets into its own [`Facts`]; at the end all are merged. Merging is
//! associative and commutative, so the report has the same bytes on one thread or on sixty-four.

mod address_book;
mod attempt;
mod azure;
mod condition;
mod coverage;
mod denial;
mod event;
mod flow;
mod host;
mod last_words;
mod lease;
mod namespaces;
mod node;
mod objects;
mod recovery;
mod request;
mod signal;
mod tally;
pub mod text;
pub mod time;
mod window;

use std::sync::Arc;

pub use address_book::{AddressBook, AddressBooks, Held, Holding, Records};
pub use attempt::{AttemptKey, AttemptSeen, Attempts, Failure, Speaker};
pub use azure::{API_SERVER_DOMAINS, AzureFacts, AzureKind, AzureResource};
pub use condition::{
    ConditionKey, ConditionSeen, Conditions, RUNTIME, conditions_of, is_on_its_way, means_harm,
};
pub use coverage::{Coverage, EntryCoverage};
pub use denial::{Carrier, Class, Denial, DenialKey, Denials, Identity, Observation};
pub use event::{EventKey, EventSeen, EventTally, Events};
pub use flow::{FlowFilter, FlowKey, FlowSeen, FlowTally, Flows};
pub use host::Hosts;
pub use last_words::{LastWords, LogEnds};
pub use lease::{Lease, LeaseStore, LeaseStores, StoreKey};
pub use node::*;
pub use objects::*;
pub use recovery::{Recoveries, Recovery, RecoveryTally};
pub use request::{Request, Scope, Target, from_uri, split_thing};
pub use signal::{Signal, SignalKey, SignalSeen, Signals};
pub use tally::{BoundedMap, BoundedSet, LineTally, Sightings, fingerprint};
pub use text::Text;
use time::{Span, When};
pub use window::Window;

use crate::evidence::{Evidence, Examples};

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

fn note_place(collected: &mut Collected, source: &Arc<str>, line: u64) {
    if collected.examples.wants(source, line) {
        collected.examples.add(Evidence::line(source, line, b""));
    }
}

/// What a collector says that it could not collect: absence of it proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailedCollection {
    /// What, in the collector's words: `pod-disruption-budgets`.
    pub what: Box<str>,
    /// Of which namespace, when told.
    pub namespace: Box<str>,
    /// Why, as it said.
    pub why: Evidence,
}

/// What the logs of the API server told besides denials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiServerLog {
    /// Audit events read.
    pub audit_events: u64,
    /// Lines of its text log read that only it writes: of requests.
    pub log_lines: u64,
    /// Of audit events.
    pub audit_span: Span,
}

/// Everything that was read from a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Kubernetes objects.
    pub objects: Objects,
    /// Lists that were in the bundle, by kind.
    pub collected: BoundedMap<Box<str>, Collected, 5_000>,
    /// Objects of kinds that are counted and not kept.
    pub other_kinds: BoundedMap<Box<str>, u64, 5_000>,
    /// Events.
    pub events: Events,
    /// Denied requests.
    pub denials: Denials,
    /// Access log lines with status 403 or 401, waiting to be joined to audit events.
    pub access: Denials,
    /// Addresses reserved in IPAM stores.
    pub leases: LeaseStores,
    /// Addresses in the records of a CNI.
    pub address_books: AddressBooks,
    /// Known error texts.
    pub signals: Signals,
    /// Attempts to reach something that failed.
    pub attempts: Attempts,
    /// What says that something works.
    pub recoveries: Recoveries,
    /// Conditions of objects of kinds that are not kept.
    pub conditions: Conditions,
    /// What nodes say.
    pub nodes: NodeFacts,
    /// Azure resources.
    pub azure: AzureFacts,
    /// Connections that a firewall saw.
    pub flows: Flows,
    /// Collections that failed.
    pub failed: BoundedSet<FailedCollection, 2_000>,
    /// API server logs.
    pub api_server: ApiServerLog,
    /// How logs end.
    pub log_ends: LogEnds,
    /// What was read, by entry.
    pub coverage: Coverage,
    /// All absolute times seen in recognised formats: the newest anchors those without a year.
    pub span: Span,
    /// The time that is asked for, and how many records of another were left out.
    pub window: Window,
    /// Machines whose folders or archives lie in the bundle; known when all is in.
    pub hosts: Hosts,
    /// What the customer wrote beside the data.
    pub notes: Examples,
    /// See [`Facts::window`].
    pub left_out: u64,
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

    /// Notes that a list of a kind was there.
    pub fn listed(&mut self, kind: &str, source: &Arc<str>, line: u64) {
        if let Some(collected) = self.collected.slot(kind.into()) {
            collected.listed = true;
            collected.documents += 1;
            note_place(collected, source, line);
        }
    }

    /// Notes that an object of a kind was there, alone or as an item of a list.
    pub fn met(&mut self, kind: &str, of_list: bool, source: &Arc<str>, line: u64) {
        if let Some(collected) = self.collected.slot(kind.into()) {
            collected.objects += 1;
            // A list that names no kind is known by its items.
            collected.listed |= of_list;
            note_place(collected, source, line);
        }
    }

    /// Whether a list of a kind was there: without one, absence proves nothing.
    pub fn has_list(&self, kind: &str) -> bool {
        self.collected.get(kind).is_some_and(|collected| collected.listed)
    }

    /// Kinds of RBAC objects that could allow a request, in a namespace or for the cluster, and of which no
    /// list was there.
    pub fn rbac_not_listed(&self, namespaced: bool) -> Vec<&'static str> {
        const KINDS: [&str; 4] = ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
        let kinds = KINDS.into_iter().take(if namespaced { 4 } else { 2 });
        kinds.filter(|kind| !self.has_list(kind)).collect()
    }

    /// Counts an object of a kind that is not kept.
    pub fn not_kept(&mut self, kind: &str) {
        if let Some(count) = self.other_kinds.slot(kind.into()) {
            *count += 1;
        }
    }

    /// Notes what was damaged or not understood in an entry.
    pub fn problem(&mut self, source: &Arc<str>, what: &str) {
        *self.coverage.entry(source).problems.entry(what.to_owned()).or_default() += 1;
    }

    /// Puts everything in order: what follows asks and adds nothing.
    pub fn settle(&mut self) {
        self.attribute_to_hosts();
        self.complete_namespaces();
        let (objects, events) = (&mut self.objects, &mut self.events);
        let (signals, attempts) = (&mut self.signals, &mut self.attempts);
        rayon::scope(|scope| {
            scope.spawn(|_| objects.settle());
            scope.spawn(|_| signals.map.settle());
            scope.spawn(|_| attempts.map.settle());
            events.map.settle();
        });
        self.denials.map.settle();
        self.access.map.settle();
        self.flows.map.settle();
        self.conditions.settle();
        self.recoveries.settle();
        self.collected.settle();
        self.other_kinds.settle();
        self.address_books.books.settle();
        self.azure.resources.settle();
        self.nodes.settle();
        self.log_ends.map.settle();
    }

    /// Adds all of another: the order does not matter.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        // The large ones side by side.
        let (objects, events) = (&mut self.objects, &mut self.events);
        let (signals, attempts) = (&mut self.signals, &mut self.attempts);
        let (denials, access) = (&mut self.denials, &mut self.access);
        rayon::scope(|scope| {
            scope.spawn(|_| objects.merge(other.objects));
            scope.spawn(|_| signals.merge(other.signals));
            scope.spawn(|_| attempts.merge(other.attempts));
            scope.spawn(|_| denials.merge(other.denials));
            scope.spawn(|_| access.merge(other.access));
            events.merge(other.events);
        });
        self.collected.merge(other.collected, |kept, more| {
            kept.documents += more.documents;
            kept.objects += more.objects;
            kept.listed |= more.listed;
            kept.examples.merge(more.examples);
        });
        self.conditions.merge(other.conditions);
        self.recoveries.merge(other.recoveries);
        self.other_kinds.merge(other.other_kinds, |kept, more| *kept += more);
        self.leases.merge(other.leases);
        self.address_books.merge(other.address_books);
        self.nodes.merge(other.nodes);
        self.log_ends.merge(other.log_ends);
        self.azure.merge(other.azure);
        self.flows.merge(other.flows);
        self.failed.merge(other.failed);
        self.api_server.audit_events += other.api_server.audit_events;
        self.api_server.log_lines += other.api_server.log_lines;
        self.api_server.audit_span.merge(other.api_server.audit_span);
        self.coverage.merge(other.coverage);
        self.span.merge(other.span);
        self.left_out += other.left_out;
        self.notes.merge(other.notes);
        self.text_span.merge(other.text_span);
        self
    }
}
