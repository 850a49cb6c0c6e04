//! Findings about requests that RBAC denies, by the step at which the nearest rule fails.

use std::collections::BTreeMap;

use super::group::{DenialGroup, DeniedGroup};
use super::{decided, fix, repair};
use crate::cluster::Cluster;
use crate::cluster::rbac::{MissStep, NearMiss};
use crate::detectors::{Confidence, Detector, Finding, FindingState, Fix, Outcome, Severity};
use crate::facts::{Identity, time};

/// Everything that was denied at one of these steps, by identity and step.
fn missed<'a>(cluster: &'a Cluster, steps: &[MissStep]) -> Vec<DeniedGroup<'a>> {
    let mut found: BTreeMap<(&'a Identity, MissStep), DeniedGroup<'a>> = BTreeMap::new();
    for ((key, denial), miss) in cluster.denials.iter().zip(&cluster.misses) {
        let Some(miss) = miss.as_ref().filter(|miss| steps.contains(&miss.step)) else { continue };
        let missed = found.entry((&key.identity, miss.step)).or_insert_with(|| DeniedGroup {
            group: DenialGroup { identity: &key.identity, class: key.class, denials: Vec::new() },
            step: miss.step,
            misses: Vec::new(),
        });
        missed.group.denials.push((key, denial));
        missed.misses.push(miss);
    }
    found.into_values().collect()
}

/// The findings of a detector that is about these steps.
pub(super) fn detect(cluster: &Cluster, detector: &Detector, steps: &[MissStep]) -> Outcome {
    let findings =
        missed(cluster, steps).iter().filter_map(|missed| finding(cluster, detector, missed)).collect();
    decided(cluster, findings)
}

fn finding(cluster: &Cluster, detector: &Detector, missed: &DeniedGroup<'_>) -> Option<Finding> {
    let group = &missed.group;
    let short = short(cluster, missed);
    let tail = if short.is_empty() { String::new() } else { format!(": {short}") };
    let title = format!("{} cannot {} (forbidden){tail}", group.who(), group.refused_actions());
    let mut finding = Finding::new(detector.id, group.identity.label(), title, group.evidence())?;
    group.describe(cluster, &mut finding);
    finding.confidence = if group.sure() { Confidence::Confirmed } else { Confidence::Likely };
    // Workloads lose a function; people lose a convenience.
    finding.severity =
        if group.identity.service_account().is_some() { Severity::High } else { Severity::Medium };
    finding.cause = cause(cluster, missed);
    let verdict = match missed.step {
        MissStep::Allowed => "allows",
        MissStep::Unknown => "unknown",
        _ => "denies",
    };
    finding.details.authorization.bundle_rbac = Some(verdict.to_string());
    if let Some(miss) = missed.first() {
        let known = |name: String| Some(name).filter(|name| !name.is_empty());
        finding.details.authorization.binding = known(miss.binding_shown());
        finding.details.authorization.role = known(miss.role_shown());
        evidence(cluster, miss, &mut finding);
    }
    finding.fix = the_fix(cluster, missed);
    finding.verify = if finding
        .fix
        .commands
        .iter()
        .any(|command| command.starts_with("kubectl set serviceaccount"))
    {
        vec!["kubectl get pods -A -o custom-columns=NAMESPACE:.metadata.namespace,NAME:.metadata.name,ACCOUNT:.spec.serviceAccountName   # the workload's pods show the bound ServiceAccount".to_owned()]
    } else {
        fix::verify(group)
    };
    if missed.step == MissStep::Allowed {
        finding.severity = Severity::Low;
    }
    // Of a request that was refused once nobody knows whether it would be still.
    finding.state = FindingState::of(group.span(cluster).filter(|_| group.count().0 > 1).map(|_| false));
    if let Some(place) = group.recovered(cluster) {
        finding.state = FindingState::Ended;
        finding.severity = Severity::Low;
        finding.confidence = Confidence::Possible;
        finding.details.authorization.ended = true;
        finding.cause =
            format!("Ended: the same log says later that it works ({}). {}", place.excerpt, finding.cause);
        finding.fix.text = format!("No action needed unless it comes back. If it does: {}", finding.fix.text);
        finding.evidence.insert(0, place);
    } else if let Some(silence) = group.quiet_since(cluster) {
        // Somebody who asked once, and did not again, still lacks the right.
        let is_over = !group.by_api_server() || group.only_at_start(cluster);
        finding.state = if is_over { FindingState::Ended } else { FindingState::Unknown };
        ended(&mut finding, group, silence, group.only_at_start(cluster));
    } else if let Some(silence) = lock_not_refused_again(cluster, group) {
        finding.state = FindingState::Ended;
        finding.severity = Severity::Low;
        finding.confidence = Confidence::Possible;
        finding.details.authorization.ended = true;
        finding.cause = format!(
            "Refused once, and not again in the {} before the capture, though a lock is asked for every few seconds: it has probably ended by itself. {}",
            time::show_length(silence),
            finding.cause
        );
        finding.fix.text = format!("No action needed unless it comes back. If it does: {}", finding.fix.text);
    }
    Some(finding)
}

/// Longest time between two tries to get a lock that is refused, with room: `RetryPeriod` is seconds (client-go,
/// `tools/leaderelection`).
const LOCK_TRIES: i64 = 5 * 60 * 1_000_000;

/// How long before the capture a lock was refused, once: who is refused still is refused again within seconds, and who waits
/// for the lock of another writes nothing.
fn lock_not_refused_again(cluster: &Cluster, group: &DenialGroup<'_>) -> Option<i64> {
    let of_lock = group.evidence().iter().any(|place| place.excerpt.contains("retrieving resource lock"));
    let (_, last) = group.span(cluster).filter(|_| group.count().0 == 1 && of_lock)?;
    cluster.logs_end.map(|end| end - last).filter(|silence| *silence > LOCK_TRIES)
}

/// Components that start before their roles exist are denied at first, and the denials end by themselves.
fn ended(finding: &mut Finding, group: &DenialGroup<'_>, silence: i64, at_start: bool) {
    if group.by_api_server() && !at_start {
        finding.severity = finding.severity.min(Severity::Medium);
    } else {
        finding.severity = Severity::Low;
        finding.confidence = Confidence::Possible;
        finding.fix.text = format!("No action needed unless it comes back. If it does: {}", finding.fix.text);
    }
    finding.details.authorization.ended = true;
    finding.cause = format!(
        "Not seen in the last {} of the logs: it has probably ended by itself, as is normal while a cluster or component starts. {}",
        time::show_length(silence),
        finding.cause
    );
}

/// Shows the objects that the cause is about.
fn evidence(cluster: &Cluster, miss: &NearMiss, finding: &mut Finding) {
    let objects = &cluster.facts.objects;
    if let Some((namespace, name)) = &miss.binding {
        let key = crate::facts::Key::new(namespace.clone(), name.clone());
        let places = if namespace.is_empty() {
            let binding = objects.cluster_role_bindings.get("", name);
            binding.map(|seen| seen.evidence("ClusterRoleBinding", &key))
        } else {
            let binding = objects.role_bindings.get(namespace, name);
            binding.map(|seen| seen.evidence("RoleBinding", &key))
        };
        finding.evidence.extend(places.into_iter().flatten().take(1));
    }
    if let Some((namespace, name)) = &miss.role {
        let key = crate::facts::Key::new(namespace.clone(), name.clone());
        let places = if namespace.is_empty() {
            objects.cluster_roles.get("", name).map(|seen| seen.evidence("ClusterRole", &key))
        } else {
            objects.roles.get(namespace, name).map(|seen| seen.evidence("Role", &key))
        };
        finding.evidence.extend(places.into_iter().flatten().take(1));
    }
}

fn the_fix(cluster: &Cluster, missed: &DeniedGroup<'_>) -> Fix {
    if missed.step == MissStep::Allowed {
        return Fix {
            text: "No grant needed: the roles and bindings of this bundle already allow these requests. They were changed after the denials, or the logs are of another cluster. Check that no denial is newer than that change.".to_owned(),
            ..Fix::default()
        };
    }
    if let Some(fix) = fix::reconciled(&missed.group) {
        return fix;
    }
    if let Some(fix) = repair::repair(cluster, missed) {
        return fix;
    }
    let why = repair::why_not(cluster, missed).map(|why| format!("A new role, because {why}. "));
    let granted = fix::grant(&missed.group, word(missed.step)).map(|mut fix| {
        if let Some(why) = why {
            fix.text = format!("{why}{}", fix.text);
        }
        fix
    });
    granted.unwrap_or_else(|| Fix {
        text: "The log lines do not name the namespace of the requests, so no exact rule can be written. Get the audit log.".to_owned(),
        ..Fix::default()
    })
}

/// Ends the names of what is made for this reason.
fn word(step: MissStep) -> &'static str {
    match step {
        MissStep::NoRule => "granted-more",
        MissStep::Verb => "granted-verb",
        MissStep::ApiGroup => "granted-group",
        MissStep::Subresource => "granted-subresource",
        MissStep::ResourceSpelling | MissStep::ResourceName => "granted-resource",
        MissStep::Path => "granted-path",
        MissStep::ClusterScope => "granted-cluster-wide",
        MissStep::OtherNamespace => "granted-here",
        MissStep::RoleEmpty | MissStep::RoleMissing => "granted-instead",
        MissStep::Subject | MissStep::OtherAccount | MissStep::NotAggregated => "granted-itself",
        MissStep::Allowed | MissStep::Unknown | MissStep::NoBinding => "granted",
    }
}

/// The cause in a few words, for the title.
fn short(cluster: &Cluster, missed: &DeniedGroup<'_>) -> String {
    let Some(miss) = missed.first() else { return String::new() };
    match missed.step {
        MissStep::RoleMissing => {
            let role = miss.role_shown();
            let listed = cluster.facts.has_list(role.split(' ').next().unwrap_or_default());
            format!("its role {}", if listed { "does not exist" } else { "is not in the bundle" })
        }
        MissStep::ResourceName => "resourceNames do not match".to_owned(),
        MissStep::Verb => "its role lacks the verb".to_owned(),
        MissStep::Subresource => "its role lacks the subresource".to_owned(),
        MissStep::ApiGroup => "wrong API group in its role".to_owned(),
        MissStep::ResourceSpelling => format!("its role has resource {}", miss.has),
        MissStep::Path => "nonResourceURLs do not cover it".to_owned(),
        MissStep::NotAggregated => format!("ClusterRole {} is not aggregated into its role", miss.has),
        MissStep::RoleEmpty => "its role has no rules".to_owned(),
        MissStep::Subject => format!("binding names {}", miss.has),
        MissStep::OtherNamespace => "RoleBinding is in another namespace".to_owned(),
        MissStep::ClusterScope => "RoleBinding grants in its namespace only".to_owned(),
        MissStep::OtherAccount => format!("ServiceAccount {} is the bound one", miss.needs),
        MissStep::Allowed => "the bundle's roles allow it now".to_owned(),
        MissStep::NoBinding => "no binding grants it".to_owned(),
        MissStep::NoRule => "no rule grants it".to_owned(),
        MissStep::Unknown => String::new(),
    }
}

fn cause(cluster: &Cluster, missed: &DeniedGroup<'_>) -> String {
    let Some(miss) = missed.first() else { return String::new() };
    let (binding, role) = (miss.binding_shown(), miss.role_shown());
    let rule = miss.at.map_or(0, |at| at + 1);
    let (has, needs) = (&miss.has, &miss.needs);
    match missed.step {
        MissStep::Allowed => "The roles and bindings of this bundle allow these requests: they were changed since, or the logs are of another cluster.".to_owned(),
        MissStep::Unknown if !has.is_empty() => format!("No rule in the bundle for this identity allows the request. The bundle has no list of {has}, so what is missing or wrong there is unknown."),
        MissStep::Unknown => "The API server denied the request. The roles and bindings are not in the bundle, so which one is missing or wrong is unknown.".to_owned(),
        MissStep::RoleMissing => {
            let kind = role.split(' ').next().unwrap_or_default();
            if cluster.facts.has_list(kind) {
                format!("{binding} refers to {role}, which does not exist: it grants nothing.")
            } else {
                format!("{binding} refers to {role}, which is not in the bundle: no list of {kind} objects was collected, so whether it exists is unknown.")
            }
        }
        MissStep::ResourceName if needs.ends_with("carries no name") => format!(
            "{binding} grants {role}, but its rule {rule} has this verb and resource, limited by resourceNames to {has}. A {needs}, so the rule does not match it."
        ),
        MissStep::ResourceName => format!("{binding} grants {role}, but its rule {rule} is limited by resourceNames to {has}, which does not include {needs}."),
        MissStep::Verb => format!("{binding} grants {role}, but its rule {rule} has this resource with the verbs {has}, not {}.", verbs(missed)),
        MissStep::Subresource => format!(
            "{binding} grants {role}, but its rule {rule} has {has}, not {needs}: a resource does not cover its subresources, and their names must be exact."
        ),
        MissStep::ApiGroup => format!("{binding} grants {role}, but its rule {rule} has this verb and resource in API group {has}; the resource is in {needs}."),
        MissStep::ResourceSpelling => format!(
            "{binding} grants {role}, but its rule {rule} has resource {has}; the name in RBAC rules is {needs} (lower case, plural). Another spelling matches nothing, without a warning."
        ),
        MissStep::Path => format!("{binding} grants {role}, but its rule {rule} has nonResourceURLs {has}, which do not cover {needs}."),
        MissStep::NotAggregated => format!(
            "{binding} grants {role}, an aggregated ClusterRole. ClusterRole {has} allows the request but lacks the label {needs}, which the aggregationRule of {role} selects."
        ),
        MissStep::RoleEmpty if has == "aggregated" => format!(
            "{binding} grants {role}, an aggregated ClusterRole without rules: no ClusterRole has a label that its aggregationRule selects.{}",
            labelled(cluster, miss)
        ),
        MissStep::RoleEmpty => format!("{binding} grants {role}, which has no rules."),
        MissStep::Subject => format!("{binding} would allow it, but its subject is {has}; this identity is {}.", missed.group.who()),
        MissStep::OtherNamespace => format!(
            "{binding} grants {role}, which allows this in namespace {has}. A RoleBinding grants in its own namespace only, and the requests are in {needs}."
        ),
        MissStep::ClusterScope => format!(
            "{binding} grants {has} in its own namespace only. The requests are for {needs}: this needs a ClusterRole and a ClusterRoleBinding."
        ),
        MissStep::OtherAccount => format!(
            "Pods of the namespace use ServiceAccount {has}, which no binding names. ServiceAccount {needs} of the same namespace is allowed to do this, and no pod uses it."
        ),
        MissStep::NoRule => format!("{binding} grants {role}, which has no rule for the request."),
        MissStep::NoBinding => "No RoleBinding or ClusterRoleBinding in the bundle names this identity.".to_owned(),
    }
}

fn verbs(missed: &DeniedGroup<'_>) -> String {
    let mut verbs: Vec<&str> = missed.group.denials.iter().map(|(key, _)| &*key.request.verb).collect();
    verbs.sort_unstable();
    verbs.dedup();
    verbs.join(", ")
}

/// Roles whose labels come near to what an aggregation selects.
fn labelled(cluster: &Cluster, miss: &NearMiss) -> String {
    let Some((_, name)) = &miss.role else { return String::new() };
    let Some(role) = cluster.facts.objects.cluster_roles.get("", name) else { return String::new() };
    let selectors = role.object.aggregation_rule.as_ref().map(|rule| &rule.cluster_role_selectors);
    let wanted: Vec<(String, String)> = selectors
        .into_iter()
        .flatten()
        .flat_map(|selector| {
            selector.match_labels.iter().map(|(key, value)| (key.to_string(), value.to_string()))
        })
        .collect();
    let Some((key, value)) = wanted.first() else { return String::new() };
    let near = cluster.facts.objects.cluster_roles.iter().find_map(|(ours, seen)| {
        let label = seen.object.metadata.labels.iter().find(|(other, with)| {
            let apart = strsim::damerau_levenshtein(other, key);
            (apart > 0 && apart <= 3 || apart == 0) && (apart > 0 || ***with != **value)
        })?;
        Some(format!("{} has the label {}={}", ours.name, label.0, label.1))
    });
    let near = near.map_or_else(String::new, |near| format!("; ClusterRole {near}"));
    format!(" It selects {key}={value}{near}.")
}
