//! Why a request was denied: the rule or binding that comes nearest, and at which step it fails.
//!
//! The steps are those of the authorizer, read backwards: a binding that names the identity, in the right
//! namespace, to a role that exists, with a rule for the verb, the group, the resource and the name.

use std::collections::BTreeSet;

use super::{
    Authorizer, Bound, Decision, Review, all_bindings, binding_shown, covers, role_shown, subject_name_is,
};
use crate::facts::{Key, Objects, PodSpec, PolicyRule, Role, Scope, Store, Target, Text};

/// The step at which the nearest candidate fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MissStep {
    /// The bundle's roles and bindings allow it: repaired since, or another cluster's logs.
    Allowed,
    /// Roles and bindings are not in the bundle.
    Unknown,
    /// A binding names a role that does not exist.
    RoleMissing,
    /// A rule is limited to other names, or to names where the request has none.
    ResourceName,
    /// A rule has other verbs.
    Verb,
    /// A rule has the resource without its subresource, or another spelling of it.
    Subresource,
    /// A rule has another API group.
    ApiGroup,
    /// A rule spells the resource wrongly: upper case, singular.
    ResourceSpelling,
    /// A rule has other paths.
    Path,
    /// A role would do, and lacks the label by which it is aggregated into the one that is bound.
    NotAggregated,
    /// The role has no rules, as an aggregated role whose parts do not match.
    RoleEmpty,
    /// A binding that would do names somebody nearly like this identity.
    Subject,
    /// A binding that would do is in another namespace.
    OtherNamespace,
    /// The identity is bound in a namespace, and asks for the whole cluster.
    ClusterScope,
    /// Another account of the namespace may do it, and the pod does not use it.
    OtherAccount,
    /// It is bound, and nothing there comes near.
    NoRule,
    /// No binding names it.
    NoBinding,
}

/// What comes nearest to allowing a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// Where it fails.
    pub step: MissStep,
    /// Namespace and name of the binding; the namespace is empty for a cluster role binding.
    pub binding: Option<(Text, Text)>,
    /// Namespace and name of the role; the namespace is empty for a cluster role.
    pub role: Option<(Text, Text)>,
    /// Which rule of the role, and which subject of the binding.
    pub at: Option<usize>,
    /// What stands there instead of what was needed.
    pub has: String,
    /// What was needed.
    pub needs: String,
}

impl NearMiss {
    fn plain(step: MissStep) -> Self {
        Self { step, binding: None, role: None, at: None, has: String::new(), needs: String::new() }
    }

    fn of(step: MissStep, bound: &Bound<'_>) -> Self {
        let binding = bound.binding;
        let role_namespace: Text =
            if &*binding.role_ref.kind == "Role" { bound.namespace.into() } else { "".into() };
        Self {
            binding: Some((bound.namespace.into(), binding.metadata.name.clone())),
            role: Some((role_namespace, binding.role_ref.name.clone())),
            ..Self::plain(step)
        }
    }

    fn with(mut self, at: usize, has: impl Into<String>, needs: impl Into<String>) -> Self {
        self.at = Some(at);
        self.has = has.into();
        self.needs = needs.into();
        self
    }

    /// Nothing can be said without roles and bindings.
    pub fn unknown() -> Self {
        Self::plain(MissStep::Unknown)
    }

    /// Nothing can be said for want of these kinds.
    pub fn unknown_for(kinds: &str) -> Self {
        Self { has: kinds.to_owned(), ..Self::plain(MissStep::Unknown) }
    }

    /// `RoleBinding ns/name`.
    pub fn binding_shown(&self) -> String {
        self.binding.as_ref().map_or_else(String::new, |(namespace, name)| {
            if namespace.is_empty() {
                format!("ClusterRoleBinding {name}")
            } else {
                format!("RoleBinding {namespace}/{name}")
            }
        })
    }

    /// `Role ns/name`.
    pub fn role_shown(&self) -> String {
        self.role.as_ref().map_or_else(String::new, |(namespace, name)| {
            if namespace.is_empty() {
                format!("ClusterRole {name}")
            } else {
                format!("Role {namespace}/{name}")
            }
        })
    }
}

/// Finds what comes nearest to allowing a request that is denied.
pub fn nearest(objects: &Objects, authorizer: &Authorizer<'_>, review: &Review<'_>) -> NearMiss {
    if let Decision::Allowed { .. } = authorizer.decide(review) {
        return NearMiss::plain(MissStep::Allowed);
    }
    let bound: Vec<Bound<'_>> = authorizer
        .bindings_of(review.user, review.groups, review.namespace())
        .into_iter()
        .filter(|bound| is_personal(bound))
        .collect();
    if let Some(missing) =
        bound.iter().find(|bound| authorizer.role(bound.namespace, bound.binding).is_none())
    {
        return NearMiss::of(MissStep::RoleMissing, missing);
    }
    let roles: Vec<(&Bound<'_>, &Role)> = bound
        .iter()
        .filter_map(|bound| Some((bound, authorizer.role(bound.namespace, bound.binding)?)))
        .collect();
    let rules = roles
        .iter()
        .flat_map(|(bound, role)| role.rules.iter().enumerate().map(move |(at, rule)| (*bound, at, rule)));
    if let Some(miss) =
        rules.filter_map(|(bound, at, rule)| almost(bound, at, rule, review)).min_by_key(|miss| miss.step)
    {
        return miss;
    }
    if let Some((bound, role)) = roles.iter().find(|(_, role)| role.rules.is_empty()) {
        let aggregated = if role.aggregation_rule.is_some() { "aggregated" } else { "" };
        return NearMiss::of(MissStep::RoleEmpty, bound).with(0, aggregated, "");
    }
    not_aggregated(objects, &roles, review)
        .or_else(|| other_subject(objects, authorizer, review))
        .or_else(|| other_namespace(objects, authorizer, review))
        .or_else(|| cluster_scope(objects, authorizer, review))
        .or_else(|| other_account(objects, authorizer, review))
        .unwrap_or_else(|| match bound.first() {
            Some(first) => NearMiss::of(MissStep::NoRule, first),
            None => NearMiss::plain(MissStep::NoBinding),
        })
}

/// A cluster role whose rules would do and that has not the label which a bound, aggregated role selects.
fn not_aggregated(objects: &Objects, roles: &[(&Bound<'_>, &Role)], review: &Review<'_>) -> Option<NearMiss> {
    roles.iter().find_map(|(bound, role)| {
        let selectors = &role.aggregation_rule.as_ref()?.cluster_role_selectors;
        let (key, _) = objects.cluster_roles.iter().find(|(_, seen)| {
            let taken = |name: &Text, value: &Text| seen.object.metadata.labels.get(name) == Some(value);
            let selected = selectors.iter().any(|selector| {
                !selector.match_labels.is_empty()
                    && selector.match_labels.iter().all(|(name, value)| taken(name, value))
            });
            !selected && seen.object.rules.iter().any(|rule| covers(rule, review))
        })?;
        let (label, value) = selectors.iter().find_map(|selector| selector.match_labels.iter().next())?;
        Some(NearMiss::of(MissStep::NotAggregated, bound).with(0, &*key.name, format!("{label}={value}")))
    })
}

/// Bindings that everybody has say nothing of an identity.
fn is_personal(bound: &Bound<'_>) -> bool {
    !(&*bound.subject.kind == "Group" && bound.subject.name.starts_with("system:"))
}

/// The one thing that a rule lacks; `None` when it lacks more, or has nothing to do with the request.
fn almost(bound: &Bound<'_>, at: usize, rule: &PolicyRule, review: &Review<'_>) -> Option<NearMiss> {
    let list = |words: &[Text]| words.iter().map(|word| &**word).collect::<Vec<_>>().join(", ");
    let verb = rule.verbs.iter().any(|verb| &**verb == "*" || &**verb == review.verb);
    let miss = |step| NearMiss::of(step, bound);
    let (group, resource, subresource) = match review.target {
        Target::Path(path) => {
            if rule.non_resource_urls.is_empty() {
                return None;
            }
            let covered = rule.non_resource_urls.iter().any(|url| {
                **url == **path || url.ends_with('*') && path.starts_with(url.trim_end_matches('*'))
            });
            return match (verb, covered) {
                (true, false) => Some(miss(MissStep::Path).with(at, list(&rule.non_resource_urls), &**path)),
                (false, true) => Some(miss(MissStep::Verb).with(at, list(&rule.verbs), review.verb)),
                _ => None,
            };
        }
        Target::Resource { group, resource, subresource, .. } => (&**group, &**resource, &**subresource),
    };
    if rule.resources.is_empty() {
        return None;
    }
    let combined =
        if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
    let in_group = rule.api_groups.iter().any(|api_group| &**api_group == "*" || **api_group == *group);
    let exact = rule.resources.iter().any(|resource| {
        let ours: &str = resource;
        ours == "*"
            || ours == combined
            || (!subresource.is_empty() && ours.strip_prefix("*/") == Some(subresource))
    });
    let nameless = super::nameless(review.verb, subresource);
    let named = rule.resource_names.is_empty()
        || rule.resource_names.iter().any(|resource_name| &**resource_name == review.name);
    match (verb, in_group, exact, named) {
        (true, true, true, false) => {
            let needs =
                if nameless { format!("{} carries no name", review.verb) } else { review.name.to_owned() };
            Some(miss(MissStep::ResourceName).with(at, list(&rule.resource_names), needs))
        }
        (false, true, true, _) => Some(miss(MissStep::Verb).with(at, list(&rule.verbs), review.verb)),
        (true, false, true, true) if !rule.resources.iter().any(|resource| &**resource == "*") => {
            let groups: Vec<&str> = rule
                .api_groups
                .iter()
                .map(|api_group| if api_group.is_empty() { "\"\" (core)" } else { &**api_group })
                .collect();
            Some(miss(MissStep::ApiGroup).with(
                at,
                groups.join(", "),
                if group.is_empty() { "\"\" (core)" } else { group },
            ))
        }
        (true, true, false, true) => {
            let near = rule
                .resources
                .iter()
                .find_map(|ours| spelling(ours, resource, subresource).map(|step| (step, ours)));
            let (step, ours) = near?;
            Some(miss(step).with(at, ours.to_string(), combined))
        }
        _ => None,
    }
}

/// How an entry of `resources` comes near to what was asked.
fn spelling(ours: &str, resource: &str, subresource: &str) -> Option<MissStep> {
    let (main, sub) = ours.split_once('/').unwrap_or((ours, ""));
    if !subresource.is_empty() {
        // `pods` for `pods/log`, `pods/logs` for `pods/log`.
        let without = main == resource && sub.is_empty();
        let misspelt = main == resource && !sub.is_empty() && close(sub, subresource);
        return (without || misspelt).then_some(MissStep::Subresource);
    }
    if !sub.is_empty() {
        return (main == resource && sub == "*").then_some(MissStep::ResourceSpelling);
    }
    let lower = main.to_lowercase();
    let plural = format!("{lower}s") == resource || format!("{lower}es") == resource;
    (plural || lower == resource || (resource.len() > 4 && close(&lower, resource)))
        .then_some(MissStep::ResourceSpelling)
}

/// One or two letters apart, and not simply two short words.
fn close(a: &str, b: &str) -> bool {
    let distance = strsim::damerau_levenshtein(a, b);
    distance > 0 && distance <= if a.len().min(b.len()) <= 3 { 1 } else { 2 }
}

/// Bindings in the scope of the request whose role would do, and whose subject is nearly this identity.
fn other_subject(objects: &Objects, authorizer: &Authorizer<'_>, review: &Review<'_>) -> Option<NearMiss> {
    let account = review.user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    for (namespace, binding) in all_bindings(objects) {
        if !namespace.is_empty() && namespace != review.namespace() {
            continue;
        }
        let near = binding.subjects.iter().enumerate().find_map(|(at, subject)| {
            let ours = if subject.namespace.is_empty() { namespace } else { &*subject.namespace };
            // An account of that name that is known to be there is another one, rightly bound.
            let is_another = |namespace: &str| {
                objects.service_accounts.get(namespace, &subject.name).is_some()
                    || objects
                        .pods
                        .of_namespace(namespace)
                        .any(|(_, seen)| seen.object.spec.service_account_name == subject.name)
            };
            let like = match (&*subject.kind, account) {
                ("ServiceAccount", Some((of, name))) => {
                    let same_name = *subject.name == *name;
                    (same_name && ours != of && name != "default" && !is_another(ours))
                        || (ours == of && close(&subject.name, name))
                }
                // The account's name written as a user's.
                ("User" | "Group", Some((of, name))) => {
                    *subject.name == *name || *subject.name == format!("{of}:{name}")
                }
                ("User", None) => {
                    close(&subject.name, review.user)
                        || subject.name.eq_ignore_ascii_case(review.user) && *subject.name != *review.user
                }
                ("ServiceAccount", None) => *subject.name == *review.user,
                ("Group", None) => review.groups.iter().any(|group| {
                    !group.starts_with("system:")
                        && **group != *subject.name
                        && (close(group, &subject.name) || group.eq_ignore_ascii_case(&subject.name))
                }),
                _ => false,
            };
            like.then_some((at, subject))
        });
        let Some((at, subject)) = near else { continue };
        let Some(role) = authorizer.role(namespace, binding) else { continue };
        if role.rules.iter().any(|rule| covers(rule, review)) {
            let bound = Bound { namespace, binding, subject };
            return Some(NearMiss::of(MissStep::Subject, &bound).with(
                at,
                bound.subject_shown(),
                review.user,
            ));
        }
    }
    None
}

/// Bindings of this very identity in other namespaces whose role would do.
fn other_namespace(objects: &Objects, authorizer: &Authorizer<'_>, review: &Review<'_>) -> Option<NearMiss> {
    let question = review.namespace();
    if question.is_empty() {
        return None;
    }
    let elsewhere = objects.role_bindings.iter().filter(|(key, _)| &*key.namespace != question);
    for (key, seen) in elsewhere {
        let Some(subject) =
            seen.object.subjects.iter().find(|subject| subject_name_is(subject, &key.namespace, review))
        else {
            continue;
        };
        let bound = Bound { namespace: &key.namespace, binding: &seen.object, subject };
        let role = authorizer.role(bound.namespace, bound.binding);
        if role.is_some_and(|role| role.rules.iter().any(|rule| covers(rule, review))) {
            return Some(NearMiss::of(MissStep::OtherNamespace, &bound).with(
                0,
                key.namespace.to_string(),
                question,
            ));
        }
    }
    None
}

/// Bound in a namespace, asking for the whole cluster.
fn cluster_scope(objects: &Objects, authorizer: &Authorizer<'_>, review: &Review<'_>) -> Option<NearMiss> {
    let Target::Resource { scope: Scope::Cluster, resource, .. } = review.target else { return None };
    let mut found = objects.role_bindings.iter().filter_map(|(key, seen)| {
        let subject =
            seen.object.subjects.iter().find(|subject| subject_name_is(subject, &key.namespace, review))?;
        Some(Bound { namespace: &key.namespace, binding: &seen.object, subject })
    });
    // A role that would not allow it anywhere comes not near.
    let bound = found.find(|bound| {
        let role = authorizer.role(bound.namespace, bound.binding);
        role.is_some_and(|role| role.rules.iter().any(|rule| covers(rule, review)))
    })?;
    let role = role_shown(bound.namespace, bound.binding);
    let what =
        if CLUSTER_SCOPED.contains(&&**resource) { "a resource of the cluster" } else { "all namespaces" };
    Some(NearMiss::of(MissStep::ClusterScope, &bound).with(0, role, what))
}

/// Resources that are in no namespace, as far as they matter here.
const CLUSTER_SCOPED: [&str; 14] = [
    "nodes",
    "namespaces",
    "persistentvolumes",
    "clusterroles",
    "clusterrolebindings",
    "storageclasses",
    "customresourcedefinitions",
    "ingressclasses",
    "priorityclasses",
    "apiservices",
    "csidrivers",
    "csinodes",
    "volumeattachments",
    "componentstatuses",
];

/// An account of the same namespace that may do it, while this one has no binding of its own and no pod uses the
/// other.
fn other_account(objects: &Objects, authorizer: &Authorizer<'_>, review: &Review<'_>) -> Option<NearMiss> {
    let (namespace, name) = review.user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    // A manifest may leave the namespace to the command that applies it.
    let here = |key: &Key| &*key.namespace == namespace || key.namespace.is_empty();
    let account = |spec: &'_ PodSpec| match &*spec.service_account_name {
        "" => "default".to_owned(),
        ours => ours.to_owned(),
    };
    let mut used: BTreeSet<String> = objects
        .pods
        .iter()
        .filter(|(key, _)| here(key))
        .map(|(_, seen)| account(&seen.object.spec))
        .collect();
    if used.is_empty() {
        let stores = [&objects.deployments, &objects.stateful_sets, &objects.daemon_sets, &objects.jobs];
        let made = stores.into_iter().flat_map(Store::iter).filter(|(key, _)| here(key));
        let specs =
            made.map(|(_, seen)| &seen.object.spec.template.spec).filter(|spec| !spec.containers.is_empty());
        used.extend(specs.map(account));
    }
    if used.is_empty() || !used.contains(name) {
        return None;
    }
    let others = objects.service_accounts.iter().filter(|(key, _)| here(key) && &*key.name != name);
    for (key, _) in others.filter(|(key, _)| !used.contains(&*key.name)) {
        let user = format!("system:serviceaccount:{namespace}:{}", key.name);
        let groups = super::implied_groups(&user);
        if let Decision::Allowed { .. } =
            authorizer.decide(&Review { user: &user, groups: &groups, ..review.clone() })
        {
            return Some(NearMiss::plain(MissStep::OtherAccount).with(0, name, &*key.name));
        }
    }
    None
}

impl Bound<'_> {
    /// Binding and role in words.
    pub fn described(&self) -> String {
        format!(
            "{} ({})",
            binding_shown(self.namespace, self.binding),
            role_shown(self.namespace, self.binding)
        )
    }
}
