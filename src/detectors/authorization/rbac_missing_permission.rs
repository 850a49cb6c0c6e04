//! A request was denied because no RBAC rule allows it.

use super::group::{Group, groups};
use super::{REQUEST_LOGS, decided, fix};
use crate::cluster::Cluster;
use crate::cluster::rbac::{Authorizer, Decision, Review, binding_shown, implied_groups, role_shown};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity};
use crate::facts::{Binding, Class, Scope, Target, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "rbac-missing-permission",
    chapter: Chapter::Authorization,
    title: "RBAC denies an identity what it asks for",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS],
    explains: &[],
    doc: Doc {
        meaning: "A user or service account asked the API server for something that no Role or ClusterRole bound to it allows. The API server answered 403 Forbidden. Controllers repeat such requests for ever, so a single missing rule can fill a log.",
        decision: "Audit events with code 403 whose authorizer said no, access log lines with resp=403, the authorizer's own lines, and the error text that clients log. The same request in several logs counts once: audit and access log are joined by audit id. Refusals by admission, quota, Pod Security, the Node authorizer, Azure RBAC, and of anonymous or unauthenticated requests are not counted here; they have their own names. A denial that stopped, while the log that told of it goes on for a quarter of an hour and more, is told as ended. The rules of the bundle are evaluated as the API server would, to say what is bound and what is not.",
        action: "Apply the Role or ClusterRole and the binding that the finding shows: they hold exactly what was denied. If a binding exists already in another namespace, or names the account wrongly, repair that one instead.",
        reference: "Kubernetes documentation: Using RBAC Authorization. AKS: Troubleshoot network problems in AKS clusters (403 Forbidden).",
    },
    judge,
};

fn judge(cluster: &Cluster) -> Outcome {
    let authorizer = Authorizer::new(&cluster.facts.objects);
    let groups = groups(cluster, &[Class::MissingRule]);
    let findings = groups.iter().filter_map(|group| finding(cluster, &authorizer, group)).collect();
    decided(cluster, findings)
}

fn finding(cluster: &Cluster, authorizer: &Authorizer<'_>, group: &Group<'_>) -> Option<Finding> {
    let title = format!("{} may not {}", group.who(), group.asked());
    let mut finding = Finding::new(DETECTOR.id, group.identity.shown(), title, group.evidence())?;
    group.describe(cluster, &mut finding);
    finding.confidence = if group.sure() { Confidence::Confirmed } else { Confidence::Likely };
    finding.severity = severity(group);
    let why = explain(cluster, authorizer, group);
    finding.cause = why.text;
    let mut ended = false;
    if let Some(silence) = group.quiet_since(cluster) {
        // Components that start before their roles are there complain, and stop by themselves.
        if group.by_api_server() {
            finding.severity = finding.severity.min(Severity::Medium);
        } else {
            finding.severity = Severity::Low;
            finding.confidence = Confidence::Possible;
        }
        finding.detail("ended", true);
        ended = true;
        finding.cause = format!(
            "Not seen again in the {} of logs after it: it has probably ended by itself, as happens while a cluster or a component starts. {}",
            time::show_length(silence),
            finding.cause
        );
    }
    finding.detail("bundle_rbac", why.verdict);
    finding.fix = fix::grant(group).unwrap_or_else(|| Fix {
        text: "The log lines do not say in which namespace the requests were made, so no exact rule can be written. Ask for the audit log.".to_owned(),
        ..Fix::default()
    });
    if ended && !group.by_api_server() {
        finding.fix.text = format!("Nothing to do unless it comes back. If it does: {}", finding.fix.text);
    }
    if why.verdict == "allows" {
        finding.fix = Fix {
            text: "Nothing to grant: the roles and bindings of this bundle already allow these requests. They were repaired after the denials, or the logs are of another cluster. Check that no denial is newer than the repair.".to_owned(),
            ..Fix::default()
        };
        finding.severity = Severity::Low;
    }
    finding.verify = fix::verify(group);
    Some(finding)
}

/// Workloads lose a function; people lose a convenience.
fn severity(group: &Group<'_>) -> Severity {
    if group.identity.service_account().is_some() { Severity::High } else { Severity::Medium }
}

struct Why {
    /// `allows`, `denies`, `unknown`.
    verdict: &'static str,
    text: String,
}

/// What the roles and bindings of the bundle say to the denied requests.
fn explain(cluster: &Cluster, authorizer: &Authorizer<'_>, group: &Group<'_>) -> Why {
    let objects = &cluster.facts.objects;
    if objects.cluster_roles.is_empty() && objects.roles.is_empty() {
        return Why {
            verdict: "unknown",
            text: "No rule that applies to this identity allows the request. The roles and bindings are not in the bundle, so which one is missing or wrong can't be told.".to_owned(),
        };
    }
    let user = group.identity.shown();
    let mut user_groups = implied_groups(user);
    user_groups.extend(group.user_groups());
    user_groups.sort();
    user_groups.dedup();
    let mut missing_roles = Vec::new();
    let (mut allowed, mut asked) = (0, 0);
    for (key, denial) in &group.denials {
        asked += 1;
        // One name that is still denied is enough to say so.
        let decisions: Vec<Decision> = fix::asked_names(key, denial)
            .into_iter()
            .map(|name| {
                let (verb, target) = (&key.request.verb, &key.request.target);
                authorizer.decide(&Review { user, groups: &user_groups, verb, target, name })
            })
            .collect();
        let mut all = true;
        for decision in decisions {
            if let Decision::Denied { missing_roles: more, .. } = decision {
                all = false;
                missing_roles.extend(more);
            }
        }
        allowed += usize::from(all);
    }
    if allowed == asked {
        let text = "The roles and bindings of this bundle allow these requests now: repaired since, or another cluster's logs.";
        return Why { verdict: "allows", text: text.to_owned() };
    }
    Why { verdict: "denies", text: near_misses(cluster, authorizer, group, &user_groups, missing_roles) }
}

/// What is bound to the identity, and why it is not enough.
fn near_misses(
    cluster: &Cluster,
    authorizer: &Authorizer<'_>,
    group: &Group<'_>,
    user_groups: &[String],
    mut missing_roles: Vec<String>,
) -> String {
    let user = group.identity.shown();
    missing_roles.sort();
    missing_roles.dedup();
    if let [role, ..] = missing_roles.as_slice() {
        let kind = role.split(' ').next().unwrap_or_default();
        if !cluster.facts.collected.get(kind).is_some_and(|roles| roles.listed) {
            return format!("A binding gives this identity the {role}, which is not in the bundle: no list of {kind} objects was collected, so whether it exists can't be told.");
        }
        return format!("A binding gives this identity the {role}, which does not exist: it grants nothing.");
    }
    let namespaces: Vec<&str> = group
        .denials
        .iter()
        .map(|(key, _)| match &key.request.target {
            Target::Resource { scope: Scope::Namespace(namespace), .. } => &**namespace,
            _ => "",
        })
        .collect();
    let personal = |binding: &Binding| names_it(binding, group);
    let mut bound: Vec<String> = Vec::new();
    for namespace in &namespaces {
        for one in authorizer.bindings_of(user, user_groups, namespace) {
            if personal(one.binding) {
                let rules = authorizer.role(one.namespace, one.binding).map_or(0, |role| role.rules.len());
                let empty = if rules == 0 { ", which has no rules" } else { "" };
                bound.push(format!("{} ({}{empty})", one.shown(), role_shown(one.namespace, one.binding)));
            }
        }
    }
    bound.sort();
    bound.dedup();
    if !bound.is_empty() {
        return format!("It is bound by {}; no rule there covers the request.", join(&bound));
    }
    let elsewhere: Vec<String> = cluster
        .facts
        .objects
        .role_bindings
        .iter()
        .filter(|(key, seen)| names_it(&seen.object, group) && !namespaces.contains(&&*key.namespace))
        .map(|(key, seen)| binding_shown(&key.namespace, &seen.object))
        .collect();
    if !elsewhere.is_empty() {
        return format!(
            "{} names this identity, but counts only in its own namespace; nothing applies where the request was made.",
            join(&elsewhere)
        );
    }
    "No RoleBinding or ClusterRoleBinding of the bundle names this identity.".to_owned()
}

fn names_it(binding: &Binding, group: &Group<'_>) -> bool {
    let account = group.identity.service_account();
    binding.subjects.iter().any(|subject| match (&*subject.kind, account) {
        ("ServiceAccount", Some((namespace, name))) => {
            let own = if subject.namespace.is_empty() { &binding.metadata.namespace } else { &subject.namespace };
            &*subject.name == name && &**own == namespace
        }
        ("User", _) => &*subject.name == group.identity.shown(),
        _ => false,
    })
}

fn join(words: &[String]) -> String {
    let shown = words.get(..3.min(words.len())).unwrap_or_default().join(", ");
    if words.len() > 3 { format!("{shown} and {} more", words.len() - 3) } else { shown }
}
