//! Denials of one identity, put together for one finding.

use crate::detectors::{Bucket, Permission};

use crate::cluster::Cluster;
use crate::cluster::rbac::{MissStep, NearMiss};
use crate::detectors::{Finding, SubjectRef};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{Carrier, Class, Denial, DenialKey, Identity, Recovery, Scope, Target, time, time::Span};

/// Silence after which a denial has ended by itself.
/// So many refusals are no loop that would go on.
const HANDFUL: u64 = 3;
/// A start is over after so long, in microseconds.
const START: i64 = 60 * 1_000_000;
const QUIET: i64 = 15 * 60 * 1_000_000;
/// How many parts the chart of denials over time has.
const BUCKETS: usize = 48;

/// What one identity was denied for one reason.
pub(super) struct DeniedGroup<'a> {
    pub(super) group: DenialGroup<'a>,
    pub(super) step: MissStep,
    /// For each denial of the group.
    pub(super) misses: Vec<&'a NearMiss>,
}

impl<'a> DeniedGroup<'a> {
    /// The first, which speaks for all.
    pub(super) fn first(&self) -> Option<&'a NearMiss> {
        self.misses.first().copied()
    }
}

/// Everything that one identity was denied in one way.
pub(super) struct DenialGroup<'a> {
    pub(super) identity: &'a Identity,
    pub(super) class: Class,
    pub(super) denials: Vec<(&'a DenialKey, &'a Denial)>,
}

/// Groups the denials of some classes by class and identity, in that order.
pub(super) fn groups<'a>(cluster: &'a Cluster, wanted: &[Class]) -> Vec<DenialGroup<'a>> {
    let mut groups: Vec<DenialGroup<'a>> = Vec::new();
    // Sorted by class, identity, request.
    for (key, denial) in cluster.denials.iter().filter(|(key, _)| wanted.contains(&key.class)) {
        match groups.last_mut() {
            Some(last) if last.class == key.class && *last.identity == key.identity => {
                last.denials.push((key, denial));
            }
            _ => {
                groups.push(DenialGroup {
                    identity: &key.identity,
                    class: key.class,
                    denials: vec![(key, denial)],
                });
            }
        }
    }
    groups
}

impl DenialGroup<'_> {
    /// How many requests, and whether that is exact.
    pub(super) fn count(&self) -> (u64, bool) {
        self.denials.iter().map(|(_, denial)| denial.count()).fold((0, true), |a, b| (a.0 + b.0, a.1 && b.1))
    }

    /// First and last time, in microseconds.
    pub(super) fn span(&self, cluster: &Cluster) -> Option<(i64, i64)> {
        self.denials
            .iter()
            .filter_map(|(_, denial)| denial.span.resolve(cluster.anchor))
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The line of the log that tells of the denials which says, later, that what was denied works: caches are synced, a lease was
    /// acquired. Components that start before their roles exist are denied at first.
    pub(super) fn recovered(&self, cluster: &Cluster) -> Option<Evidence> {
        let span = self.raw_span();
        let places = self.denials.iter().flat_map(|(_, denial)| denial.examples.as_slice());
        let recoveries =
            places.filter_map(|place| cluster.facts.recoveries.of(Recovery::ApiServer, &place.source));
        recoveries
            .filter(|tally| span.until_end_of(&tally.span).is_some_and(|after| after >= 0))
            .find_map(|tally| tally.examples.as_slice().last().cloned())
    }

    fn raw_span(&self) -> Span {
        let mut span = Span::default();
        self.denials.iter().for_each(|(_, denial)| span.merge(denial.span));
        span
    }

    /// How long the logs go on after the last denial without another one, when that is long enough to say
    /// that it has ended by itself. The log that told of it must go on: silence of a log that stops is
    /// no sign of health. In microseconds.
    pub(super) fn quiet_since(&self, cluster: &Cluster) -> Option<i64> {
        let span = self.raw_span();
        let places = self.denials.iter().flat_map(|(_, denial)| denial.examples.as_slice());
        let entries = &cluster.facts.coverage.entries;
        let logs: Vec<_> =
            places.filter_map(|place| Some((&place.source, entries.get(&place.source)?))).collect();
        let silence = |log: &Span| {
            let silence = span.until_end_of(log)?;
            // What comes after the time that is asked for says nothing of what went on in it.
            let end = log.resolve(cluster.anchor).map(|(_, end)| end);
            let beyond = end.zip(cluster.facts.window.until).map_or(0, |(end, until)| (end - until).max(0));
            Some(silence - beyond)
        };
        let ours = logs.iter().filter_map(|(_, log)| silence(&log.span)).max();
        // A previous log of a container ends with it, and events have none: then the bundle's end counts, after a longer
        // silence; a handful of refusals is no loop that would go on.
        let previous = logs.iter().all(|(source, _)| source.contains("previous"));
        let whole = || {
            let enough = if self.count().0 <= HANDFUL { QUIET } else { QUIET * 4 };
            let (_, last) = self.span(cluster)?;
            cluster.logs_end.map(|end| end - last).filter(|silence| *silence >= enough)
        };
        let silence = match ours {
            Some(silence) if silence >= QUIET || (silence >= START && self.at_the_start(&logs)) => silence,
            Some(_) if !previous && self.count().0 > HANDFUL => return None,
            _ => whole()?,
        };
        (silence >= span.length() * 2).then_some(silence)
    }

    /// Whether an identity of the control plane was refused in the first seconds of the logs that tell of it, and no more: the API
    /// server makes the default roles when it starts.
    fn at_the_start(&self, logs: &[(&std::sync::Arc<str>, &crate::facts::EntryCoverage)]) -> bool {
        let label = self.identity.label();
        let account = label.strip_prefix("system:serviceaccount:");
        let of_control_plane =
            label.starts_with("system:") && account.is_none_or(|rest| rest.starts_with("kube-system:"));
        let span = self.raw_span();
        let soon = |log: &Span| span.end_after_start_of(log).is_some_and(|after| after < START / 2);
        of_control_plane && !logs.is_empty() && logs.iter().all(|(_, log)| soon(&log.span))
    }

    /// Whether it was refused while the control plane started, and not after.
    pub(super) fn only_at_start(&self, cluster: &Cluster) -> bool {
        let entries = &cluster.facts.coverage.entries;
        let places = self.denials.iter().flat_map(|(_, denial)| denial.examples.as_slice());
        let logs: Vec<_> =
            places.filter_map(|place| Some((&place.source, entries.get(&place.source)?))).collect();
        self.at_the_start(&logs)
    }

    /// The API server itself recorded it, so that its end is no guess.
    pub(super) fn by_api_server(&self) -> bool {
        let api = [Carrier::Audit, Carrier::AccessLog];
        self.denials.iter().any(|(_, denial)| api.iter().any(|carrier| denial.reported.contains_key(carrier)))
    }

    /// A record says who refused; otherwise an authorizer is only the likeliest.
    pub(super) fn sure(&self) -> bool {
        self.denials.iter().any(|(_, denial)| denial.sure)
    }

    /// The identity as a subject.
    pub(super) fn subject(&self) -> SubjectRef {
        if let Some((namespace, name)) = self.identity.service_account() {
            return SubjectRef {
                kind: "ServiceAccount".to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            };
        }
        let kind = match self.identity {
            Identity::User(name) if name.starts_with("system:node:") => "Node",
            Identity::User(_) => "User",
            Identity::Client(_) => "Client",
            Identity::Unauthenticated => "Unauthenticated",
        };
        let text = self.identity.label();
        let name = text.strip_prefix("system:node:").unwrap_or(text);
        SubjectRef { kind: kind.to_owned(), namespace: String::new(), name: name.to_owned() }
    }

    /// The identity as people say it: `ServiceAccount shop/cart`, `user alice`.
    pub(super) fn who(&self) -> String {
        let subject = self.subject();
        match &*subject.kind {
            "ServiceAccount" => format!("ServiceAccount {}/{}", subject.namespace, subject.name),
            "Node" => format!("node {}", subject.name),
            "User" if !subject.name.starts_with("system:") => format!("user {}", subject.name),
            _ => subject.name,
        }
    }

    /// Groups of the user, as the logs tell them.
    pub(super) fn user_groups(&self) -> Vec<String> {
        self.collect(|denial| denial.groups.iter().map(ToString::to_string).collect())
    }

    /// Reasons given.
    pub(super) fn reasons(&self) -> Vec<String> {
        self.collect(|denial| denial.reasons.iter().map(ToString::to_string).collect())
    }

    fn collect(&self, get: impl Fn(&Denial) -> Vec<String>) -> Vec<String> {
        let mut all: Vec<String> = self.denials.iter().flat_map(|(_, denial)| get(denial)).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Up to a handful of places, spread over the permissions.
    pub(super) fn evidence(&self) -> Vec<Evidence> {
        let mut picked: Vec<Evidence> = Vec::new();
        for round in 0..EXAMPLES {
            for (_, denial) in &self.denials {
                picked.extend(denial.examples.as_slice().get(round).cloned());
            }
            if picked.len() >= EXAMPLES {
                break;
            }
        }
        picked.truncate(EXAMPLES.max(self.denials.len().min(12)));
        picked.sort();
        picked.dedup();
        picked
    }

    /// `list deployments.apps in namespace legacy and 1 more`.
    pub(super) fn refused_actions(&self) -> String {
        let mut places: Vec<(String, Vec<String>, Vec<String>)> = Vec::new();
        for (key, _) in &self.denials {
            let (place, thing) = (key.request.target.place(), key.request.target.thing());
            let verb = key.request.verb.to_string();
            match places.iter_mut().find(|(at, _, things)| *at == place && *things == [thing.clone()]) {
                Some((_, verbs, _)) => verbs.push(verb),
                None => {
                    match places.iter_mut().find(|(at, verbs, _)| *at == place && *verbs == [verb.clone()]) {
                        Some((_, _, things)) => things.push(thing),
                        None => places.push((place, vec![verb], vec![thing])),
                    }
                }
            }
        }
        let total = places.len();
        let text: Vec<String> = places
            .into_iter()
            .take(2)
            .map(|(place, verbs, things)| {
                let things = if things.len() > 4 {
                    format!(
                        "{} and {} more",
                        things.get(..3).unwrap_or_default().join(", "),
                        things.len() - 3
                    )
                } else {
                    things.join(", ")
                };
                format!("{} {things} {place}", verbs.join(", ")).trim_end().to_owned()
            })
            .collect();
        let more = total.saturating_sub(text.len());
        let list = text.join("; ");
        if more == 0 { list } else { format!("{list}; and {more} more") }
    }

    /// Fills in what all findings about refusals have in common.
    pub(super) fn describe(&self, cluster: &Cluster, finding: &mut Finding) {
        let (count, exact) = self.count();
        let span = self.span(cluster);
        finding.count = count;
        finding.seen(span);
        finding.subjects = vec![self.subject()];
        finding.details.authorization.identity = Some(self.identity.label().to_owned());
        finding.unit = "request";
        finding.details.authorization.count_is_exact = exact;
        finding.details.authorization.permissions = self.permissions(cluster);
        let carriers = &mut finding.details.authorization.reported_by;
        for carrier in [Carrier::Audit, Carrier::AccessLog, Carrier::AuthorizerLog, Carrier::ClientText] {
            let lines: u64 =
                self.denials.iter().filter_map(|(_, denial)| denial.reported.get(&carrier)).sum();
            if lines > 0 {
                carriers.insert(carrier.label().to_owned(), lines);
            }
        }
        let details = &mut finding.details.authorization;
        details.groups = self.user_groups();
        details.reasons = self.reasons();
        details.clients = self.collect(|denial| denial.agents.iter().map(ToString::to_string).collect());
        details.addresses = self.collect(|denial| denial.addresses.iter().map(ToString::to_string).collect());
        details.impersonated_by =
            self.collect(|denial| denial.impersonators.iter().map(ToString::to_string).collect());
        if let Some((first, last)) = span {
            let minutes = (last - first) as f64 / 60e6;
            if count > 1 && minutes > 0.0 {
                let rate = (count as f64 / minutes.max(1.0 / 60.0) * 10.0).round() / 10.0;
                finding.details.authorization.per_minute = Some(rate);
                finding.details.authorization.lasted = Some(time::show_length(last - first));
                finding.details.authorization.over_time = self.over_time(cluster, first, last);
            }
        }
    }

    fn permissions(&self, cluster: &Cluster) -> Vec<Permission> {
        self.denials
            .iter()
            .map(|(key, denial)| {
                let (count, exact) = denial.count();
                let span = denial.span.resolve(cluster.anchor);
                let mut text = Permission {
                    verb: key.request.verb.to_string(),
                    api_group: String::new(),
                    resource: String::new(),
                    subresource: String::new(),
                    namespace: None,
                    path: None,
                    text: key.request.to_string(),
                    names: denial.names.iter().map(ToString::to_string).collect(),
                    more_names: denial.names.overflowed(),
                    count,
                    count_is_exact: exact,
                    first_seen: span.map(|(first, _)| time::rfc3339_text(first)),
                    last_seen: span.map(|(_, last)| time::rfc3339_text(last)),
                };
                match &key.request.target {
                    Target::Path(path) => text.path = Some(path.to_string()),
                    Target::Resource { group, resource, subresource, scope } => {
                        text.api_group = group.to_string();
                        text.resource = resource.to_string();
                        text.subresource = subresource.to_string();
                        if let Scope::Namespace(namespace) = scope {
                            text.namespace = Some(namespace.to_string());
                        }
                    }
                }
                text
            })
            .collect()
    }

    fn over_time(&self, cluster: &Cluster, first: i64, last: i64) -> Vec<Bucket> {
        let width = ((last - first) / BUCKETS as i64 + 1).max(1);
        let mut counts = vec![0_u64; ((last - first) / width + 1) as usize];
        for (_, denial) in &self.denials {
            for at in denial.times().into_iter().filter_map(|when| when.resolve(cluster.anchor)) {
                if let Some(slot) = counts.get_mut(((at - first).max(0) / width) as usize) {
                    *slot += 1;
                }
            }
        }
        (0..)
            .zip(counts)
            .map(|(at, count)| Bucket { start: time::rfc3339_text(first + at * width), count })
            .collect()
    }
}
