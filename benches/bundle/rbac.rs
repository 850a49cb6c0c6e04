//! Roles and bindings that fit the refusals: for each refused account the fault that explains them, for each
//! account of the platform a cluster role of its own, and the roles every cluster has.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::act::Act;
use crate::cluster::{Account, Fault, World};
use crate::dumps::metadata;

const API: &str = "rbac.authorization.k8s.io";

#[derive(Default)]
pub(crate) struct Rbac {
    pub(crate) roles: Vec<Value>,
    pub(crate) bindings: Vec<Value>,
    pub(crate) cluster_roles: Vec<Value>,
    pub(crate) cluster_bindings: Vec<Value>,
}

impl Rbac {
    pub(crate) fn of(world: &World) -> Self {
        let mut rbac = Self::default();
        let (groups, read) = (["", "apps", "batch"], ["get", "list", "watch"]);
        let kinds = ["configmaps", "deployments", "jobs", "pods", "services"];
        let all = ["create", "delete", "get", "list", "patch", "update", "watch"];
        let edit = ["create", "get", "list", "update", "watch"];
        #[rustfmt::skip]
        let public = [
            "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz",
            "/version", "/version/",
        ];
        for (name, rules) in [
            ("admin", json!([rule(&groups, &["*"], &all)])),
            (
                "cluster-admin",
                json!([rule(&["*"], &["*"], &["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}]),
            ),
            ("edit", json!([rule(&groups, &kinds, &edit)])),
            ("system:discovery", json!([{"nonResourceURLs": public, "verbs": ["get"]}])),
            (
                "system:node",
                json!([rule(&[""], &["configmaps", "nodes", "pods", "secrets", "services"], &read)]),
            ),
            ("view", json!([rule(&groups, &kinds, &read)])),
        ] {
            rbac.cluster_roles.push(role(world, "ClusterRole", "", name, rules));
        }
        for (role, group) in
            [("cluster-admin", "system:masters"), ("system:discovery", "system:authenticated")]
        {
            let subject = json!({"apiGroup": API, "kind": "Group", "name": group});
            rbac.cluster_bindings.push(binding(world, "", role, ("ClusterRole", role), subject));
        }
        for account in world.accounts.iter().filter(|account| account.name != "default") {
            rbac.add(world, account);
        }
        // A role of its own for many an app, as charts bring them.
        for app in world.apps.iter().take(world.more_rbac as usize / 2) {
            let name = format!("{}-own", app.name);
            let subject = json!({"kind": "ServiceAccount", "name": "default", "namespace": app.namespace});
            let rules = json!([rule(&[""], &["configmaps"], &["get", "list", "watch"])]);
            rbac.roles.push(role(world, "Role", app.namespace, &name, rules));
            rbac.bindings.push(binding(world, app.namespace, &name, ("Role", &name), subject));
        }
        rbac
    }

    fn add(&mut self, world: &World, account: &Account) {
        let (namespace, name, refused) = (account.namespace, account.name.as_str(), &account.refused);
        let subject = |name: &str| json!({"kind": "ServiceAccount", "name": name, "namespace": namespace});
        if account.fault == Fault::None {
            let rules = json!([rule(&["*"], &["*"], &["create", "get", "list", "patch", "update", "watch"])]);
            self.cluster_roles.push(role(world, "ClusterRole", "", name, rules));
            self.cluster_bindings.push(binding(world, "", name, ("ClusterRole", name), subject(name)));
            return;
        }
        let harmless =
            rule(&["coordination.k8s.io"], &["leases"], &["create", "get", "list", "update", "watch"]);
        let rules = match account.fault {
            Fault::WrongVerbs => {
                let verbs = ["get", "list", "watch", "create", "update", "patch", "delete"];
                let free = verbs.into_iter().find(|verb| refused.iter().all(|act| act.verb != *verb));
                let groups = sorted(refused.iter().map(|act| act.group));
                let resources = sorted(refused.iter().map(|act| act.resource));
                json!([harmless, rule(&groups, &resources, &[free.unwrap_or("proxy")])])
            }
            // What these roles allow is what the account is refused: the role is right, its binding isn't.
            Fault::WrongNamespace | Fault::MisspeltSubject => {
                let rule_of = |act: &Act| rule(&[act.group], &[&act.rbac_resource()], &[act.verb]);
                refused.iter().map(rule_of).collect()
            }
            _ => json!([harmless]),
        };
        let role_name = format!("{name}-role");
        let bound_in = if account.fault == Fault::WrongNamespace { "default" } else { namespace };
        let bound =
            if account.fault == Fault::MisspeltSubject { name.get(1..).unwrap_or(name) } else { name };
        let kind = if account.fault == Fault::DanglingRole { "ClusterRole" } else { "Role" };
        if account.fault != Fault::DanglingRole {
            self.roles.push(role(world, "Role", bound_in, &role_name, rules));
        }
        if account.fault != Fault::NoBinding {
            self.bindings.push(binding(world, bound_in, name, (kind, &role_name), subject(bound)));
        }
    }
}

fn sorted<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    words.collect::<BTreeSet<_>>().into_iter().collect()
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

fn role(world: &World, kind: &str, namespace: &str, name: &str, rules: Value) -> Value {
    let metadata = metadata(world, kind, namespace, name, Value::Null);
    json!({"apiVersion": format!("{API}/v1"), "kind": kind, "metadata": metadata, "rules": rules})
}

/// Cluster-wide when there is no namespace.
fn binding(world: &World, namespace: &str, name: &str, role: (&str, &str), subject: Value) -> Value {
    let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    json!({
        "apiVersion": format!("{API}/v1"),
        "kind": kind,
        "metadata": metadata(world, kind, namespace, name, Value::Null),
        "roleRef": {"apiGroup": API, "kind": role.0, "name": role.1},
        "subjects": [subject],
    })
}
