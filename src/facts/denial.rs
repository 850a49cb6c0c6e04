//! Denied requests: who was refused what, by whom, and how often.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::request::Request;
use super::tally::{BoundedMap, BoundedSet, Sightings};
use super::time::{Span, When};
use crate::evidence::{Evidence, Examples};

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A user name: `system:serviceaccount:shop:cart`, `alice`, an object id.
    User(Box<str>),
    /// The access log names only the program.
    Client(Box<str>),
    /// Nobody: the credentials were refused (401).
    Unauthenticated,
}

impl Identity {
    /// The name shown.
    pub fn label(&self) -> &str {
        match self {
            Self::User(name) => name,
            Self::Client(agent) => agent,
            Self::Unauthenticated => "(not authenticated)",
        }
    }

    /// Namespace and name, when it is a service account.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        let Self::User(name) = self else { return None };
        name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

/// Who refused, and therefore what kind of remedy there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// No RBAC rule allows it: the only class that a Role or a binding repairs.
    MissingRule,
    /// RBAC's escalation check: granting what one does not hold.
    Escalation,
    /// RBAC's impersonation check.
    Impersonation,
    /// No credentials were sent, or they were not understood.
    Anonymous,
    /// 401.
    Unauthenticated,
    /// The Node authorizer or `NodeRestriction`: nodes may read only what is theirs.
    Node,
    /// Pod Security admission.
    PodSecurity,
    /// An admission webhook or policy, such as Gatekeeper.
    Webhook,
    /// A resource quota.
    Quota,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// The pod names a service account that does not exist.
    ServiceAccountMissing,
    /// Azure RBAC: a role assignment in Azure is missing.
    AzureRbac,
    /// The kubelet's own API.
    KubeletApi,
    /// Another admission plugin.
    Admission,
    /// A 403 of an access log that no audit event explains.
    Unattributed,
}

/// Which kind of log carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// An audit event.
    Audit,
    /// The API server's access log (`"HTTP" verb=… resp=403`).
    AccessLog,
    /// The authorizer's own lines (`RBAC: no rules authorize …`).
    AuthorizerLog,
    /// The client's error text, wherever it was logged.
    ClientText,
}

impl Carrier {
    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Audit => "audit events",
            Self::AccessLog => "access log lines",
            Self::AuthorizerLog => "authorizer log lines",
            Self::ClientText => "client error lines",
        }
    }
}

/// What makes two denials the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DenialKey {
    /// What kind of refusal.
    pub class: Class,
    /// Who asked.
    pub identity: Identity,
    /// For what.
    pub request: Request,
}

/// Everything seen of one kind of denial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denial {
    /// Requests, each by its audit id.
    pub requests: Sightings,
    /// Lines that carry no audit id, by carrier: each is some request, we can't tell which.
    pub lines: BTreeMap<Carrier, Sightings>,
    /// Lines and events read, copies included.
    pub reported: BTreeMap<Carrier, u64>,
    /// First and last time.
    pub span: Span,
    /// At least one record says who refused.
    pub sure: bool,
    /// At least one request came from the identity itself, not from another user in its name.
    pub asked_itself: bool,
    /// Names of objects asked for.
    pub names: BoundedSet<Box<str>, 20>,
    /// Programs that asked.
    pub agents: BoundedSet<Box<str>, 5>,
    /// Addresses that asked.
    pub addresses: BoundedSet<Box<str>, 5>,
    /// Groups of the user.
    pub groups: BoundedSet<Box<str>, 20>,
    /// Reasons given.
    pub reasons: BoundedSet<Box<str>, 5>,
    /// Users who asked in this identity's name (`kubectl --as`).
    pub impersonators: BoundedSet<Box<str>, 5>,
    /// Where it was seen.
    pub examples: Examples,
}

impl Denial {
    /// How many requests were denied, and whether that is exact. The same requests appear in several
    /// carriers, so the largest count is taken, never their sum.
    pub fn count(&self) -> (u64, bool) {
        let others = self.lines.values().map(Sightings::count);
        std::iter::once(self.requests.count()).chain(others).max().unwrap_or((0, true))
    }

    /// As it is once everything is read: see [`Sightings::settle`].
    #[must_use]
    pub fn settled(&self) -> Self {
        let mut settled = self.clone();
        settled.requests.settle();
        settled.lines.values_mut().for_each(Sightings::settle);
        settled
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        self.requests.merge(other.requests);
        for (carrier, sightings) in other.lines {
            self.lines.entry(carrier).or_default().merge(sightings);
        }
        for (carrier, count) in other.reported {
            *self.reported.entry(carrier).or_default() += count;
        }
        self.span.merge(other.span);
        self.sure |= other.sure;
        self.asked_itself |= other.asked_itself;
        self.names.merge(other.names);
        self.agents.merge(other.agents);
        self.addresses.merge(other.addresses);
        self.groups.merge(other.groups);
        self.reasons.merge(other.reasons);
        self.impersonators.merge(other.impersonators);
        self.examples.merge(other.examples);
    }

    /// Times of the requests that carry one, or else of the lines.
    pub fn times(&self) -> Vec<When> {
        let requests: Vec<_> = self.requests.times().collect();
        if !requests.is_empty() {
            return requests;
        }
        self.lines
            .values()
            .map(|lines| lines.times().collect::<Vec<_>>())
            .max_by_key(Vec::len)
            .unwrap_or_default()
    }
}

/// One denial as a log line or event tells it.
pub struct Observation<'a> {
    /// What, who, for what.
    pub key: DenialKey,
    /// Told by.
    pub carrier: Carrier,
    /// The fingerprint of the audit id, when there is one; else of the line.
    pub print: u64,
    /// Whether `print` is of an audit id.
    pub by_audit_id: bool,
    /// When.
    pub when: Option<When>,
    /// When last, where an event tells of several.
    pub last: Option<When>,
    /// The record says who refused; otherwise an authorizer is only the likeliest.
    pub sure: bool,
    /// Object name.
    pub name: Option<&'a str>,
    /// User agent.
    pub agent: Option<&'a str>,
    /// Client address.
    pub address: Option<&'a str>,
    /// Groups of the user.
    pub groups: &'a [String],
    /// Reason given by the authorizer or admission.
    pub reason: Option<&'a str>,
    /// The user behind an impersonation.
    pub impersonator: Option<&'a str>,
    /// Entry.
    pub source: &'a Arc<str>,
    /// Line.
    pub line: u64,
    /// The line itself.
    pub text: &'a [u8],
}

/// All denials, by what makes them the same. At most 20,000 kinds are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denials {
    /// By kind.
    pub map: BoundedMap<DenialKey, Denial, 20_000>,
}

impl Denials {
    /// Counts one.
    pub fn add(&mut self, seen: Observation<'_>) {
        let Some(denial) = self.map.slot(seen.key) else { return };
        *denial.reported.entry(seen.carrier).or_default() += 1;
        if seen.by_audit_id {
            denial.requests.add(seen.print, seen.when);
        } else {
            denial.lines.entry(seen.carrier).or_default().add(seen.print, seen.when);
        }
        denial.sure |= seen.sure;
        denial.asked_itself |= seen.impersonator.is_none();
        [seen.when, seen.last].into_iter().flatten().for_each(|when| denial.span.add(when));
        let keep = |text: &str| -> Option<Box<str>> {
            (!text.is_empty()).then(|| text.chars().take(300).collect::<String>().into_boxed_str())
        };
        for (set, value) in [
            (&mut denial.agents, seen.agent),
            (&mut denial.addresses, seen.address),
            (&mut denial.reasons, seen.reason),
            (&mut denial.impersonators, seen.impersonator),
        ] {
            if let Some(value) = value.and_then(keep) {
                set.insert(value);
            }
        }
        if let Some(name) = seen.name.and_then(keep) {
            denial.names.insert(name);
        }
        for group in seen.groups {
            if let Some(group) = keep(group) {
                denial.groups.insert(group);
            }
        }
        if denial.examples.wants(seen.source, seen.line) {
            denial.examples.add(Evidence::line(seen.source, seen.line, seen.text));
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        self.map.merge(other.map, Denial::merge);
    }
}
