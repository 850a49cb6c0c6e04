//! May U do V? The RBAC authorizer's semantics (`plugin/pkg/auth/authorizer/rbac`, Kubernetes 1.36).
//!
//! All cluster role bindings first, then those of the request's namespace. Purely additive: a request is
//! allowed as soon as one rule covers it.

mod nearest;

pub use nearest::{MissStep, NearMiss, nearest};

use foldhash::{HashMap, HashMapExt};

use crate::facts::{Binding, Objects, PolicyRule, Role, Scope, Subject, Target};

/// A question to the authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review<'a> {
    /// User name.
    pub user: &'a str,
    /// All groups, `system:authenticated` included.
    pub groups: &'a [String],
    /// Verb.
    pub verb: &'a str,
    /// Resource or path.
    pub target: &'a Target,
    /// Object name, empty for none.
    pub name: &'a str,
}

/// The authorizer's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// By this binding and role.
    Allowed {
        /// `ClusterRoleBinding x` or `RoleBinding ns/x`; the group for `system:masters`.
        binding: String,
        /// `ClusterRole x` or `Role ns/x`; empty for `system:masters`.
        role: String,
        /// In the words of the API server; empty for `system:masters`, which is allowed before RBAC is asked.
        reason: String,
    },
    /// No rule covers it.
    Denied {
        /// Roles that bindings of this user name and that do not exist.
        missing_roles: Vec<String>,
        /// In the words of the API server; empty but for missing roles.
        reason: String,
    },
}

/// The group that is allowed everything before RBAC is asked.
pub const MASTERS: &str = "system:masters";

/// Bindings and roles, indexed by subject.
pub struct Authorizer<'a> {
    /// By namespace and name: cluster roles under the empty namespace.
    roles: HashMap<(&'a str, &'a str), &'a Role>,
    /// By subject: cluster-wide bindings under the empty namespace.
    bindings: HashMap<(&'a str, SubjectName<'a>), Vec<Bound<'a>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum SubjectName<'a> {
    User(&'a str),
    Group(&'a str),
    ServiceAccount(&'a str, &'a str),
}

/// A binding that applies to an identity.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// Empty for cluster role bindings.
    pub namespace: &'a str,
    /// The binding.
    pub binding: &'a Binding,
    /// Which of its subjects is meant.
    pub subject: &'a Subject,
}

impl<'a> Authorizer<'a> {
    /// Indexes the RBAC objects of a bundle.
    pub fn new(objects: &'a Objects) -> Self {
        let mut bindings: HashMap<_, Vec<Bound<'a>>> = HashMap::new();
        for (namespace, binding) in all_bindings(objects) {
            for subject in &binding.subjects {
                if let Some(name) = subject_name(subject, namespace) {
                    bindings.entry((namespace, name)).or_default().push(Bound {
                        namespace,
                        binding,
                        subject,
                    });
                }
            }
        }
        let cluster = objects.cluster_roles.iter().map(|(key, seen)| (("", &*key.name), &seen.object));
        let namespaced =
            objects.roles.iter().map(|(key, seen)| ((&*key.namespace, &*key.name), &seen.object));
        Self { roles: cluster.chain(namespaced).collect(), bindings }
    }

    /// Bindings that apply to a user: cluster-wide ones, then those of `namespace`.
    pub fn bindings_of(&self, user: &str, groups: &[String], namespace: &str) -> Vec<Bound<'a>> {
        let mut found: Vec<Bound<'a>> = Vec::new();
        let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        let namespaces: &[&str] = if namespace.is_empty() { &[""] } else { &["", namespace] };
        for at in namespaces {
            let named = std::iter::once(SubjectName::User(user));
            let grouped = groups.iter().map(|group| SubjectName::Group(group));
            let ours = account.map(|(namespace, name)| SubjectName::ServiceAccount(namespace, name));
            for name in named.chain(grouped).chain(ours) {
                found.extend(self.bindings.get(&(*at, name)).into_iter().flatten());
            }
        }
        found
    }

    /// The role that a binding names; `None` when it does not exist.
    pub fn role(&self, namespace: &str, binding: &Binding) -> Option<&'a Role> {
        let reference = &binding.role_ref;
        match (&*reference.kind, namespace) {
            ("ClusterRole", _) => self.roles.get(&("", &*reference.name)).copied(),
            ("Role", namespace) if !namespace.is_empty() => {
                self.roles.get(&(namespace, &*reference.name)).copied()
            }
            _ => None,
        }
    }

    /// Decides a request.
    pub fn decide(&self, review: &Review<'_>) -> Decision {
        if review.groups.iter().any(|group| group == MASTERS) {
            let binding = format!("group {MASTERS}");
            return Decision::Allowed { binding, role: String::new(), reason: String::new() };
        }
        let mut missing: Vec<Bound<'a>> = Vec::new();
        for bound in self.bindings_of(review.user, review.groups, review.namespace()) {
            match self.role(bound.namespace, bound.binding) {
                Some(role) if role.rules.iter().any(|rule| covers(rule, review)) => {
                    return Decision::Allowed {
                        binding: bound.label(),
                        role: role_shown(bound.namespace, bound.binding),
                        reason: bound.reason(),
                    };
                }
                Some(_) => {}
                None => missing.push(bound),
            }
        }
        let mut missing_roles: Vec<String> =
            missing.iter().map(|bound| role_shown(bound.namespace, bound.binding)).collect();
        missing_roles.sort();
        missing_roles.dedup();
        Decision::Denied { missing_roles, reason: missing_reason(&missing) }
    }

    /// All identities that some binding lets do it: each subject with its binding.
    pub fn who_can(&self, objects: &'a Objects, verb: &str, target: &Target, name: &str) -> Vec<Bound<'a>> {
        let review = Review { user: "", groups: &[], verb, target, name };
        let question = review.namespace();
        let mut found = Vec::new();
        for (namespace, binding) in all_bindings(objects) {
            if !namespace.is_empty() && namespace != question {
                continue;
            }
            let Some(role) = self.role(namespace, binding) else { continue };
            if role.rules.iter().any(|rule| covers(rule, &review)) {
                found.extend(binding.subjects.iter().map(|subject| Bound { namespace, binding, subject }));
            }
        }
        found
    }

    /// The rules that apply to an identity, with the binding that brings them.
    pub fn rules_of(
        &self,
        user: &str,
        groups: &[String],
        namespace: &str,
    ) -> Vec<(Bound<'a>, &'a PolicyRule)> {
        let bound = self.bindings_of(user, groups, namespace).into_iter();
        bound
            .flat_map(|bound| {
                self.role(bound.namespace, bound.binding)
                    .into_iter()
                    .flat_map(move |role| role.rules.iter().map(move |rule| (bound, rule)))
            })
            .collect()
    }
}

/// Cluster role bindings under the empty namespace, then role bindings under theirs.
pub fn all_bindings(objects: &Objects) -> impl Iterator<Item = (&str, &Binding)> {
    let cluster = objects.cluster_role_bindings.iter().map(|(_, seen)| ("", &seen.object));
    cluster.chain(objects.role_bindings.iter().map(|(key, seen)| (&*key.namespace, &seen.object)))
}

impl Review<'_> {
    /// The namespace asked about, empty for the cluster's scope and for paths.
    pub fn namespace(&self) -> &str {
        match self.target {
            Target::Resource { scope: Scope::Namespace(namespace), .. } => namespace,
            _ => "",
        }
    }
}

impl Bound<'_> {
    /// `RoleBinding ns/name` or `ClusterRoleBinding name`.
    pub fn label(&self) -> String {
        binding_shown(self.namespace, self.binding)
    }

    /// `ServiceAccount ns/name`, `Group name`.
    pub fn subject_shown(&self) -> String {
        let subject = self.subject;
        if &*subject.kind == "ServiceAccount" {
            let ours = if subject.namespace.is_empty() { self.namespace } else { &subject.namespace };
            format!("ServiceAccount {ours}/{}", subject.name)
        } else {
            format!("{} {}", subject.kind, subject.name)
        }
    }

    /// The API server's own words: names before namespaces.
    fn reason(&self) -> String {
        let (binding, subject) = (self.binding, self.subject);
        let name = &binding.metadata.name;
        let bound = if self.namespace.is_empty() {
            format!("ClusterRoleBinding \"{name}\"")
        } else {
            format!("RoleBinding \"{name}/{}\"", self.namespace)
        };
        let to = if &*subject.kind == "ServiceAccount" {
            format!("ServiceAccount \"{}/{}\"", subject.name, subject.namespace)
        } else {
            format!("{} \"{}\"", subject.kind, subject.name)
        };
        format!("RBAC: allowed by {bound} of {} \"{}\" to {to}", binding.role_ref.kind, binding.role_ref.name)
    }
}

/// `RBAC: role.rbac.authorization.k8s.io "x" not found`, several in brackets.
fn missing_reason(missing: &[Bound<'_>]) -> String {
    let mut words: Vec<String> = Vec::new();
    for bound in missing {
        let reference = &bound.binding.role_ref;
        let kind = reference.kind.to_lowercase();
        let word = format!("{kind}.rbac.authorization.k8s.io \"{}\" not found", reference.name);
        if !words.contains(&word) {
            words.push(word);
        }
    }
    match words.as_slice() {
        [] => String::new(),
        [item] => format!("RBAC: {item}"),
        several => format!("RBAC: [{}]", several.join(", ")),
    }
}

/// `RoleBinding ns/name` or `ClusterRoleBinding name`.
pub fn binding_shown(namespace: &str, binding: &Binding) -> String {
    let name = &binding.metadata.name;
    if namespace.is_empty() {
        format!("ClusterRoleBinding {name}")
    } else {
        format!("RoleBinding {namespace}/{name}")
    }
}

/// `Role ns/name` or `ClusterRole name`, as a binding in `namespace` names it.
pub fn role_shown(namespace: &str, binding: &Binding) -> String {
    let reference = &binding.role_ref;
    if &*reference.kind == "Role" {
        format!("Role {namespace}/{}", reference.name)
    } else {
        format!("{} {}", reference.kind, reference.name)
    }
}

/// A service account without a namespace is one of the binding's namespace; in a cluster role binding it
/// is nobody.
fn subject_name<'a>(subject: &'a Subject, namespace: &'a str) -> Option<SubjectName<'a>> {
    match &*subject.kind {
        "User" => Some(SubjectName::User(&subject.name)),
        "Group" => Some(SubjectName::Group(&subject.name)),
        "ServiceAccount" => {
            let ours = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
            (!ours.is_empty()).then_some(SubjectName::ServiceAccount(ours, &subject.name))
        }
        _ => None,
    }
}

/// Whether a subject of a binding in `namespace` is the identity itself.
fn subject_name_is(subject: &Subject, namespace: &str, review: &Review<'_>) -> bool {
    match subject_name(subject, namespace) {
        Some(SubjectName::User(user)) => user == review.user,
        Some(SubjectName::ServiceAccount(ours, name)) => {
            review.user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
                == Some((ours, name))
        }
        Some(SubjectName::Group(group)) => {
            !group.starts_with("system:") && review.groups.iter().any(|ours| ours == group)
        }
        None => false,
    }
}

/// Whether a request of this verb carries no object name. Creating a subresource (`pods/exec`) does.
pub fn nameless(verb: &str, subresource: &str) -> bool {
    matches!(verb, "list" | "watch" | "deletecollection") || (verb == "create" && subresource.is_empty())
}

/// Whether a rule covers a request (`RuleAllows` in `rbac.go`).
pub fn covers(rule: &PolicyRule, review: &Review<'_>) -> bool {
    if !rule.verbs.iter().any(|verb| &**verb == "*" || &**verb == review.verb) {
        return false;
    }
    match review.target {
        Target::Path(path) => rule.non_resource_urls.iter().any(|url| {
            let url: &str = url;
            url == "*"
                || url == &**path
                // All stars at the end go: `/debug**` is `/debug*`.
                || url.ends_with('*') && path.starts_with(url.trim_end_matches('*'))
        }),
        Target::Resource { group, resource, subresource, .. } => {
            let group_covered =
                rule.api_groups.iter().any(|api_group| &**api_group == "*" || **api_group == **group);
            let combined = if subresource.is_empty() {
                resource.to_string()
            } else {
                format!("{resource}/{subresource}")
            };
            let resource_covered = rule.resources.iter().any(|resource| {
                let ours: &str = resource;
                ours == "*"
                    || ours == combined
                    || (!subresource.is_empty() && ours.strip_prefix("*/") == Some(&**subresource))
            });
            let name_covered = rule.resource_names.is_empty()
                || rule.resource_names.iter().any(|resource_name| &**resource_name == review.name);
            group_covered && resource_covered && name_covered
        }
    }
}

/// The groups that every request of a service account carries; for other users only the one that is sure.
pub fn implied_groups(user: &str) -> Vec<String> {
    let mut groups = vec!["system:authenticated".to_owned()];
    if let Some((namespace, _)) =
        user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
    {
        groups.push("system:serviceaccounts".to_owned());
        groups.push(format!("system:serviceaccounts:{namespace}"));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: &str) -> PolicyRule {
        serde_json::from_str(json).unwrap()
    }

    fn allows(rule: &PolicyRule, verb: &str, group: &str, thing: &str, name: &str) -> bool {
        let (resource, subresource) = thing.split_once('/').unwrap_or((thing, ""));
        let target = Target::Resource {
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            scope: Scope::Cluster,
        };
        covers(rule, &Review { user: "u", groups: &[], verb, target: &target, name })
    }

    #[test]
    fn pods_do_not_cover_pods_log_and_pods_star_is_no_wildcard() {
        let pods = rule(r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods","pods/*"]}"#);
        assert!(allows(&pods, "get", "", "pods", "x"));
        assert!(!allows(&pods, "get", "", "pods/log", "x"));
        let logs = rule(r#"{"verbs":["get"],"apiGroups":[""],"resources":["*/log"]}"#);
        assert!(allows(&logs, "get", "", "pods/log", "x"));
        assert!(!allows(&logs, "get", "", "pods", "x"));
    }

    #[test]
    fn names_never_match_a_list_without_one() {
        let named =
            rule(r#"{"verbs":["*"],"apiGroups":["*"],"resources":["secrets"],"resourceNames":["db"]}"#);
        assert!(allows(&named, "get", "", "secrets", "db"));
        assert!(!allows(&named, "list", "", "secrets", ""));
    }

    #[test]
    fn paths_match_exactly_or_by_prefix() {
        let urls = rule(r#"{"verbs":["get"],"nonResourceURLs":["/healthz","/debug/*"]}"#);
        let question = |path: &str| {
            let target = Target::Path(path.into());
            covers(&urls, &Review { user: "u", groups: &[], verb: "get", target: &target, name: "" })
        };
        assert!(question("/healthz") && question("/debug/pprof"));
        assert!(!question("/metrics") && !question("/healthz/etcd"));
    }

    #[test]
    fn a_service_account_in_a_cluster_binding_needs_its_namespace() {
        let mut objects = Objects::default();
        let source: std::sync::Arc<str> = std::sync::Arc::from("x");
        let mut add = |kind: &str, json: &str| {
            objects.parse(kind, json.as_bytes(), &crate::facts::Origin::full(0, &source, 1, 0)).unwrap()
        };
        add(
            "ClusterRole",
            r#"{"metadata":{"name":"r"},"rules":[{"verbs":["list"],"apiGroups":[""],"resources":["pods"]}]}"#,
        );
        add(
            "ClusterRoleBinding",
            r#"{"metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"r"},"subjects":[{"kind":"ServiceAccount","name":"s"}]}"#,
        );
        add(
            "RoleBinding",
            r#"{"metadata":{"name":"b","namespace":"n"},"roleRef":{"kind":"ClusterRole","name":"r"},"subjects":[{"kind":"ServiceAccount","name":"s"}]}"#,
        );
        let authorizer = Authorizer::new(&objects);
        let decide = |scope: Scope| {
            let target =
                Target::Resource { group: "".into(), resource: "pods".into(), subresource: "".into(), scope };
            authorizer.decide(&Review {
                user: "system:serviceaccount:n:s",
                groups: &[],
                verb: "list",
                target: &target,
                name: "",
            })
        };
        assert_eq!(decide(Scope::Cluster), Decision::Denied { missing_roles: vec![], reason: String::new() });
        assert_eq!(
            decide(Scope::Namespace("n".into())),
            Decision::Allowed {
                binding: "RoleBinding n/b".into(),
                role: "ClusterRole r".into(),
                reason: "RBAC: allowed by RoleBinding \"b/n\" of ClusterRole \"r\" to ServiceAccount \"s/\""
                    .into(),
            }
        );
    }
}
