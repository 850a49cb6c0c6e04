//! Findings about requests that RBAC denies, told apart by the step at which the nearest rule fails.

use std::collections::BTreeMap;

use super::group::{DenialGroup, DeniedGroup};
use super::{decided, fix, repair};
use crate::cluster::Cluster;
use crate::cluster::rbac::{MissStep, NearMiss};
use crate::detectors::{Confidence, Detector, Finding, Fix, Outcome, Severity};
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
    let short = short(missed);
    let tail = if short.is_empty() { String::new() } else { format!(": {short}") };
    let title = format!("{} may not {}{tail}", group.who(), group.refused_actions());
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
    finding.detail("bundle_rbac", verdict);
    if let Some(miss) = missed.first() {
        for (name, value) in [("binding", miss.binding_shown()), ("role", miss.role_shown())] {
            if !value.is_empty() {
                finding.detail(name, value);
            }
        }
        evidence(cluster, miss, &mut finding);
    }
    finding.fix = the_fix(cluster, missed);
    finding.verify = fix::verify(group);
    if missed.step == MissStep::Allowed {
        finding.severity = Severity::Low;
    }
    if let Some(silence) = group.quiet_since(cluster) {
        ended(&mut finding, group, silence);
    }
    Some(finding)
}

/// Components that start before their roles are there complain, and stop by themselves.
fn ended(finding: &mut Finding, group: &DenialGroup<'_>, silence: i64) {
    if group.by_api_server() {
        finding.severity = finding.severity.min(Severity::Medium);
    } else {
        finding.severity = Severity::Low;
        finding.confidence = Confidence::Possible;
        finding.fix.text = format!("Nothing to do unless it comes back. If it does: {}", finding.fix.text);
    }
    finding.detail("ended", true);
    finding.cause = format!(
        "Not seen again in the {} of logs after it: it has probably ended by itself, as happens while a cluster or a component starts. {}",
        time::show_length(silence),
        finding.cause
    );
}

/// Shows the objects that the cause is about.
fn evidence(cluster: &Cluster, miss: &NearMiss, finding: &mut Finding) {
    let objects = &cluster.facts.objects;
    if let Some((namespace, name)) = &miss.binding {
        let key = crate::facts::Key::new(namespace.clone(), name.clone());
        let (kind, places) = if namespace.is_empty() {
            (
                "ClusterRoleBinding",
                objects
                    .cluster_role_bindings
                    .get("", name)
                    .map(|seen| seen.evidence("ClusterRoleBinding", &key)),
            )
        } else {
            (
                "RoleBinding",
                objects.role_bindings.get(namespace, name).map(|seen| seen.evidence("RoleBinding", &key)),
            )
        };
        let _ = kind;
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
            text: "Nothing to grant: the roles and bindings of this bundle already allow these requests. They were repaired after the denials, or the logs are of another cluster. Check that no denial is newer than the repair.".to_owned(),
            ..Fix::default()
        };
    }
    if let Some(fix) = repair::repair(cluster, missed) {
        return fix;
    }
    let why = repair::why_not(cluster, missed).map(|why| format!("A role of its own, since {why}. "));
    let granted = fix::grant(&missed.group, word(missed.step)).map(|mut fix| {
        if let Some(why) = why {
            fix.text = format!("{why}{}", fix.text);
        }
        fix
    });
    granted.unwrap_or_else(|| Fix {
        text: "The log lines do not say in which namespace the requests were made, so no exact rule can be written. Ask for the audit log.".to_owned(),
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
        MissStep::Subject | MissStep::OtherAccount => "granted-itself",
        MissStep::Allowed | MissStep::Unknown | MissStep::NoBinding => "granted",
    }
}

/// The cause in a few words, for the title.
fn short(missed: &DeniedGroup<'_>) -> String {
    let Some(miss) = missed.first() else { return String::new() };
    match missed.step {
        MissStep::RoleMissing => format!("{} does not exist", miss.role_shown()),
        MissStep::ResourceName => format!("{} is limited to other names", miss.role_shown()),
        MissStep::Verb => format!("{} lacks the verb", miss.role_shown()),
        MissStep::Subresource => format!("{} lacks the subresource", miss.role_shown()),
        MissStep::ApiGroup => format!("{} has the wrong API group", miss.role_shown()),
        MissStep::ResourceSpelling => format!("{} spells it {}", miss.role_shown(), miss.has),
        MissStep::Path => format!("{} has other paths", miss.role_shown()),
        MissStep::RoleEmpty => format!("{} has no rules", miss.role_shown()),
        MissStep::Subject => format!("{} names {}", miss.binding_shown(), miss.has),
        MissStep::OtherNamespace => format!("{} is in another namespace", miss.binding_shown()),
        MissStep::ClusterScope => format!("{} counts in its namespace only", miss.binding_shown()),
        MissStep::OtherAccount => format!("ServiceAccount {} is the one that is bound", miss.needs),
        MissStep::Allowed => "allowed by the roles of the bundle".to_owned(),
        MissStep::Unknown | MissStep::NoRule | MissStep::NoBinding => String::new(),
    }
}

fn cause(cluster: &Cluster, missed: &DeniedGroup<'_>) -> String {
    let Some(miss) = missed.first() else { return String::new() };
    let (binding, role) = (miss.binding_shown(), miss.role_shown());
    let rule = miss.at.map_or(0, |at| at + 1);
    let (has, needs) = (&miss.has, &miss.needs);
    match missed.step {
        MissStep::Allowed => "The roles and bindings of this bundle allow these requests now: repaired since, or another cluster's logs.".to_owned(),
        MissStep::Unknown if !has.is_empty() => format!("No rule of the bundle that applies to this identity allows the request. The bundle has no list of {has}, so whether one of these does, and which is missing or wrong, can't be told."),
        MissStep::Unknown => "No rule that applies to this identity allows the request. The roles and bindings are not in the bundle, so which one is missing or wrong can't be told.".to_owned(),
        MissStep::RoleMissing => {
            let kind = role.split(' ').next().unwrap_or_default();
            if cluster.facts.has_list(kind) {
                format!("{binding} gives this identity the {role}, which does not exist: it grants nothing.")
            } else {
                format!("{binding} gives this identity the {role}, which is not in the bundle: no list of {kind} objects was collected, so whether it exists can't be told.")
            }
        }
        MissStep::ResourceName if needs.ends_with("carries no name") => format!(
            "{binding} gives it {role}, whose rule {rule} is for this verb and resource, but only for objects named {has}. A {needs}, so such a rule never matches it."
        ),
        MissStep::ResourceName => format!("{binding} gives it {role}, whose rule {rule} is limited to objects named {has}; {needs} is another one."),
        MissStep::Verb => format!("{binding} gives it {role}, whose rule {rule} is for this resource and has the verbs {has}, but not {}.", verbs(missed)),
        MissStep::Subresource => format!(
            "{binding} gives it {role}, whose rule {rule} has {has}, but not {needs}: a subresource is never covered by its resource, and its name must be exact."
        ),
        MissStep::ApiGroup => format!("{binding} gives it {role}, whose rule {rule} is for this verb and resource, but in the API group {has}; the resource is in {needs}."),
        MissStep::ResourceSpelling => format!(
            "{binding} gives it {role}, whose rule {rule} says {has}. Resources are written in lower case and in the plural: {needs}. A rule with another spelling matches nothing, and nobody complains."
        ),
        MissStep::Path => format!("{binding} gives it {role}, whose rule {rule} is for the paths {has}; {needs} is none of them."),
        MissStep::RoleEmpty if has == "aggregated" => format!(
            "{binding} gives it {role}, which has no rules: it is put together from other roles by their labels, and no role has a label that it selects.{}",
            labelled(cluster, miss)
        ),
        MissStep::RoleEmpty => format!("{binding} gives it {role}, which has no rules: it grants nothing."),
        MissStep::Subject => format!("{binding} would allow it, but names {has}, and this identity is {}.", missed.group.who()),
        MissStep::OtherNamespace => format!(
            "{binding} gives it {role}, which would allow this in namespace {has}. A RoleBinding counts in its own namespace only, and the requests were made in {needs}."
        ),
        MissStep::ClusterScope => format!(
            "{binding} gives it {has}, but in one namespace only. The requests are for {needs}, which takes a ClusterRole and a ClusterRoleBinding."
        ),
        MissStep::OtherAccount => format!(
            "Pods of the namespace run under ServiceAccount {has}, which no binding names. ServiceAccount {needs} of the same namespace may do this, and no pod runs under it."
        ),
        MissStep::NoRule => format!("It is bound by {binding} ({role}); no rule there comes near the request."),
        MissStep::NoBinding => "No RoleBinding or ClusterRoleBinding of the bundle names this identity.".to_owned(),
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
