//! RBAC as plainly as it can be said.

use std::sync::Arc;

use kubetriage::cluster::rbac::{Authorizer, Decision, Review};
use kubetriage::facts::{Objects, Origin, Scope, Target};
use serde_json::{Value, json};

pub(crate) const VERBS: [&str; 6] = ["get", "list", "watch", "create", "deletecollection", "*"];
pub(crate) const THINGS: [(&str, &str, &str); 6] = [
    ("", "pods", ""),
    ("", "pods", "log"),
    ("", "configmaps", ""),
    ("apps", "deployments", ""),
    ("apps", "deployments", "scale"),
    ("", "nodes", ""),
];
pub(crate) const WORDS: [&str; 9] = [
    "pods",
    "pods/log",
    "pods/logs",
    "Pods",
    "configmaps",
    "deployments",
    "deployments/scale",
    "*/scale",
    "*",
];
pub(crate) const GROUPS: [&str; 4] = ["", "apps", "extensions", "*"];
pub(crate) const IDENTITIES: [&str; 4] = [
    "system:serviceaccount:a:cart",
    "system:serviceaccount:b:cart",
    "system:serviceaccount:a:default",
    "ann",
];

/// A request: identity, verb, thing, namespace (0 is the cluster's scope), with a name or not.
pub(crate) type Asked = (usize, usize, usize, usize, bool);

/// A rule of words by their places in the lists.
pub(crate) fn rule(verbs: &[usize], groups: &[usize], words: &[usize], named: bool) -> Value {
    let mut rule = json!({
        "verbs": verbs.iter().map(|at| VERBS[*at]).collect::<Vec<_>>(),
        "apiGroups": groups.iter().map(|at| GROUPS[*at]).collect::<Vec<_>>(),
        "resources": words.iter().map(|at| WORDS[*at]).collect::<Vec<_>>(),
    });
    if named {
        rule["resourceNames"] = json!(["other"]);
    }
    rule
}

/// One of six subjects.
pub(crate) fn subject(at: usize) -> Value {
    match at {
        0 => json!({"kind": "ServiceAccount", "name": "cart", "namespace": "a"}),
        1 => json!({"kind": "ServiceAccount", "name": "cart", "namespace": "b"}),
        2 => json!({"kind": "ServiceAccount", "name": "crat", "namespace": "a"}),
        3 => json!({"kind": "User", "name": "ann"}),
        4 => json!({"kind": "Group", "name": "devs"}),
        _ => json!({"kind": "ServiceAccount", "name": "cart"}),
    }
}

/// A role: where (0 is the cluster), and its rules.
pub(crate) type RoleIn = (usize, Vec<Value>);
/// A binding: where, of which role, whether that role is missing, of which subjects.
pub(crate) type BindingIn = (usize, usize, bool, Vec<Value>);

/// The objects of some roles and bindings.
pub(crate) fn world(roles: Vec<RoleIn>, bindings: Vec<BindingIn>) -> Vec<Value> {
    let namespaces = ["", "a", "b"];
    let roles_at: Vec<usize> = roles.iter().map(|(place, _)| *place).collect();
    let mut items = Vec::new();
    for (at, (place, rules)) in roles.into_iter().enumerate() {
        let mut role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": if place == 0 { "ClusterRole" } else { "Role" }, "metadata": {"name": format!("r{at}")}, "rules": rules});
        if place > 0 {
            role["metadata"]["namespace"] = json!(namespaces[place]);
        }
        items.push(role);
    }
    for (at, (place, role, missing, subjects)) in bindings.into_iter().enumerate() {
        // Most bindings name a role that is there, from where it can be named; some a role that is not.
        let home = roles_at[role % roles_at.len()];
        let place = if home > 0 { home } else { place };
        let kind = if home > 0 { "Role" } else { "ClusterRole" };
        let role = if missing { 9 } else { role % roles_at.len() };
        let mut binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": if place == 0 { "ClusterRoleBinding" } else { "RoleBinding" }, "metadata": {"name": format!("b{at}")}, "roleRef": {"kind": kind, "name": format!("r{role}")}, "subjects": subjects});
        if place > 0 {
            binding["metadata"]["namespace"] = json!(namespaces[place]);
        }
        items.push(binding);
    }
    items
}

pub(crate) fn groups(user: &str) -> Vec<String> {
    let mut groups = vec!["system:authenticated".to_owned()];
    if let Some((namespace, _)) =
        user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
    {
        groups.push("system:serviceaccounts".to_owned());
        groups.push(format!("system:serviceaccounts:{namespace}"));
    } else {
        groups.push("devs".to_owned());
    }
    groups
}

/// The rules of the API server, as plainly as they can be said.
pub(crate) fn naive(
    items: &[Value],
    user: &str,
    verb: &str,
    (group, resource, sub): (&str, &str, &str),
    namespace: &str,
    name: &str,
) -> bool {
    let has =
        |list: &Value, word: &str| list.as_array().is_some_and(|list| list.iter().any(|ours| ours == word));
    let find = |kind: &str, namespace: &str, name: &str| {
        items.iter().find(|item| {
            item["kind"] == kind
                && item["metadata"]["name"] == name
                && item["metadata"]["namespace"].as_str().unwrap_or("") == namespace
        })
    };
    items.iter().any(|binding| {
        let place = binding["metadata"]["namespace"].as_str().unwrap_or("");
        let applies = match binding["kind"].as_str().unwrap() {
            "ClusterRoleBinding" => true,
            "RoleBinding" => place == namespace && !namespace.is_empty(),
            _ => return false,
        };
        let named = binding["subjects"].as_array().unwrap().iter().any(|subject| {
            match subject["kind"].as_str().unwrap() {
                "User" => subject["name"] == user,
                "Group" => groups(user).iter().any(|group| subject["name"] == **group),
                _ => {
                    let ours = subject["namespace"].as_str().unwrap_or(place);
                    !ours.is_empty()
                        && user
                            == format!("system:serviceaccount:{ours}:{}", subject["name"].as_str().unwrap())
                }
            }
        });
        let reference = &binding["roleRef"];
        let role = match reference["kind"].as_str().unwrap() {
            "ClusterRole" => find("ClusterRole", "", reference["name"].as_str().unwrap()),
            _ if place.is_empty() => None,
            _ => find("Role", place, reference["name"].as_str().unwrap()),
        };
        applies
            && named
            && role.is_some_and(|role| {
                role["rules"].as_array().unwrap().iter().any(|rule| {
                    let whole =
                        if sub.is_empty() { resource.to_owned() } else { format!("{resource}/{sub}") };
                    (has(&rule["verbs"], verb) || has(&rule["verbs"], "*"))
                        && (has(&rule["apiGroups"], group) || has(&rule["apiGroups"], "*"))
                        && (has(&rule["resources"], &whole)
                            || has(&rule["resources"], "*")
                            || (!sub.is_empty() && has(&rule["resources"], &format!("*/{sub}"))))
                        && (rule["resourceNames"].as_array().is_none_or(Vec::is_empty)
                            || has(&rule["resourceNames"], name))
                })
            })
    })
}

/// A request to the API server.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) user: &'a str,
    pub(crate) verb: &'a str,
    pub(crate) thing: (&'a str, &'a str, &'a str),
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

pub(crate) fn question((identity, verb, thing, place, named): Asked) -> Question<'static> {
    let verb = VERBS[verb % 5];
    let thing = THINGS[thing];
    let namespace = if thing.1 == "nodes" { "" } else { ["", "a", "b"][place] };
    let nameless =
        matches!(verb, "list" | "watch" | "deletecollection") || (verb == "create" && thing.2.is_empty());
    Question {
        user: IDENTITIES[identity],
        verb,
        thing,
        namespace,
        name: if named && !nameless { "web" } else { "" },
    }
}

pub(crate) fn objects(items: &[Value]) -> Objects {
    let source: Arc<str> = Arc::from("x");
    let mut objects = Objects::default();
    for item in items {
        objects
            .parse(
                item["kind"].as_str().unwrap(),
                item.to_string().as_bytes(),
                &Origin::full(0, &source, 1, 0),
            )
            .unwrap();
    }
    objects
}

/// The engine says of every question what the naive rules say.
pub(crate) fn check(items: &[Value], asked: impl Iterator<Item = Question<'static>>) {
    let objects = objects(items);
    let authorizer = Authorizer::new(&objects);
    for question in asked {
        let (group, resource, sub) = question.thing;
        let scope = if question.namespace.is_empty() {
            Scope::Cluster
        } else {
            Scope::Namespace(question.namespace.into())
        };
        let target = Target::Resource {
            group: group.into(),
            resource: resource.into(),
            subresource: sub.into(),
            scope,
        };
        let groups = groups(question.user);
        let review = Review {
            user: question.user,
            groups: &groups,
            verb: question.verb,
            target: &target,
            name: question.name,
        };
        let decision = authorizer.decide(&review);
        let expected =
            naive(items, question.user, question.verb, question.thing, question.namespace, question.name);
        assert_eq!(matches!(decision, Decision::Allowed { .. }), expected, "{question:?} with {items:?}");
    }
}
