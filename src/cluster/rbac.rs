//! May U do V? The RBAC authorizer's semantics (`plugin/pkg/auth/authorizer/rbac`, Kubernetes 1.36).
//!
//! All cluster role bindings first, then those of the request's namespace. Purely additive: a request is
//! allowed as soon as one rule covers it.

use std::collections::HashMap;

use crate::facts::{Binding, Objects, PolicyRule, Role, Scope, Store, Subject, Target};

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
        /// `ClusterRoleBinding x` or `RoleBinding ns/x`.
        binding: String,
        /// `ClusterRole x` or `Role ns/x`.
        role: String,
    },
    /// No rule covers it.
    Denied {
        /// Roles that bindings of this user name and that do not exist.
        missing_roles: Vec<String>,
    },
}

/// Bindings and roles, indexed by subject.
pub struct Authorizer<'a> {
    roles: &'a Store<Role>,
    cluster_roles: &'a Store<Role>,
    /// By subject: cluster-wide bindings under the empty namespace.
    bindings: HashMap<(&'a str, SubjectName<'a>), Vec<&'a Binding>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum SubjectName<'a> {
    User(&'a str),
    Group(&'a str),
    ServiceAccount(&'a str, &'a str),
}

impl<'a> Authorizer<'a> {
    /// Indexes the RBAC objects of a bundle.
    pub fn new(objects: &'a Objects) -> Self {
        let mut bindings: HashMap<_, Vec<&Binding>> = HashMap::new();
        let cluster = objects.cluster_role_bindings.iter().map(|(_, seen)| ("", &seen.object));
        let namespaced = objects.role_bindings.iter().map(|(key, seen)| (&*key.namespace, &seen.object));
        for (namespace, binding) in cluster.chain(namespaced) {
            for subject in &binding.subjects {
                if let Some(name) = subject_name(subject, namespace) {
                    bindings.entry((namespace, name)).or_default().push(binding);
                }
            }
        }
        Self { roles: &objects.roles, cluster_roles: &objects.cluster_roles, bindings }
    }

    /// Bindings that apply to a user: cluster-wide ones, then those of `namespace`.
    pub fn bindings_of<'b>(
        &'b self,
        user: &'b str,
        groups: &'b [String],
        namespace: &'b str,
    ) -> Vec<(&'b str, &'b Binding)> {
        let mut found: Vec<(&'b str, &'b Binding)> = Vec::new();
        let account = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        let namespaces: &[&str] = if namespace.is_empty() { &[""] } else { &["", namespace] };
        for at in namespaces {
            let mut names = vec![SubjectName::User(user)];
            names.extend(groups.iter().map(|group| SubjectName::Group(group)));
            names.extend(account.map(|(namespace, name)| SubjectName::ServiceAccount(namespace, name)));
            for name in names {
                let Some((key, bound)) = self.bindings.get_key_value(&(*at, name)) else { continue };
                found.extend(bound.iter().map(|binding| (key.0, *binding)));
            }
        }
        found
    }

    /// The rules of the role that a binding names; `None` when it does not exist.
    pub fn rules(&self, namespace: &str, binding: &Binding) -> Option<&'a [PolicyRule]> {
        let reference = &binding.role_ref;
        let role = match (&*reference.kind, namespace) {
            ("ClusterRole", _) => self.cluster_roles.get("", &reference.name),
            ("Role", "") => None,
            ("Role", namespace) => self.roles.get(namespace, &reference.name),
            _ => None,
        }?;
        Some(&role.object.rules)
    }

    /// Decides a request.
    pub fn decide(&self, review: &Review<'_>) -> Decision {
        let namespace = match review.target {
            Target::Resource { scope: Scope::Namespace(namespace), .. } => namespace,
            _ => "",
        };
        let mut missing_roles = Vec::new();
        for (at, binding) in self.bindings_of(review.user, review.groups, namespace) {
            let role = role_shown(at, binding);
            match self.rules(at, binding) {
                Some(rules) if rules.iter().any(|rule| covers(rule, review)) => {
                    return Decision::Allowed { binding: binding_shown(at, binding), role };
                }
                Some(_) => {}
                None => missing_roles.push(role),
            }
        }
        missing_roles.sort();
        missing_roles.dedup();
        Decision::Denied { missing_roles }
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
            let own = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
            (!own.is_empty()).then_some(SubjectName::ServiceAccount(own, &subject.name))
        }
        _ => None,
    }
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
                || url.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
        }),
        Target::Resource { group, resource, subresource, .. } => {
            let group_covered = rule.api_groups.iter().any(|own| &**own == "*" || **own == **group);
            let combined = if subresource.is_empty() {
                resource.to_string()
            } else {
                format!("{resource}/{subresource}")
            };
            let resource_covered = rule.resources.iter().any(|own| {
                let own: &str = own;
                own == "*"
                    || own == combined
                    || (!subresource.is_empty() && own.strip_prefix("*/") == Some(&**subresource))
            });
            let name_covered =
                rule.resource_names.is_empty() || rule.resource_names.iter().any(|own| &**own == review.name);
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
        let asked = |path: &str| {
            let target = Target::Path(path.into());
            covers(&urls, &Review { user: "u", groups: &[], verb: "get", target: &target, name: "" })
        };
        assert!(asked("/healthz") && asked("/debug/pprof"));
        assert!(!asked("/metrics") && !asked("/healthz/etcd"));
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
        assert_eq!(decide(Scope::Cluster), Decision::Denied { missing_roles: vec![] });
        assert_eq!(
            decide(Scope::Namespace("n".into())),
            Decision::Allowed { binding: "RoleBinding n/b".into(), role: "ClusterRole r".into() }
        );
    }
}
