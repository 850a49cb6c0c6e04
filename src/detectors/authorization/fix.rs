//! The smallest roles that would have allowed what was denied, proved by evaluation.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use super::group::{DenialGroup, DeniedGroup};
use crate::cluster::rbac::{Authorizer, Decision, Review, implied_groups};
use crate::cluster::{asked_names, nameless};
use crate::detectors::{Fix, SubjectRef, shell, slug};
use crate::facts::{Denial, DenialKey, Objects, Origin, Scope, Target, fingerprint};

/// One rule, with the denials that it is for.
#[derive(Default)]
struct GrantRule {
    verbs: Vec<String>,
    resources: Vec<String>,
    group: String,
    paths: Vec<String>,
    names: Vec<String>,
    serves: Vec<String>,
}

/// Service accounts of kube-controller-manager in kube-system: each has the default ClusterRole and ClusterRoleBinding
/// `system:controller:<name>` (kubernetes/kubernetes, `bootstrappolicy/controller_policy.go`).
const CONTROLLERS: &[&str] = &[
    "attachdetach-controller",
    "certificate-controller",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "route-controller",
    "service-account-controller",
    "service-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
    "ttl-controller",
];

/// What to do for an identity of the control plane, whose rights are default roles that the API server restores: never
/// a new grant. `None` for all other identities.
pub(super) fn reconciled(group: &DenialGroup<'_>) -> Option<Fix> {
    let user = group.identity.label();
    let object = match group.identity.service_account() {
        Some(("kube-system", name)) if CONTROLLERS.contains(&name) => format!("system:controller:{name}"),
        Some(_) => return None,
        None => {
            user.strip_prefix("system:")?;
            // The one default binding that is not named after its user.
            if user == "system:kube-proxy" { "system:node-proxier".to_owned() } else { user.to_owned() }
        }
    };
    if let Some(node) = user.strip_prefix("system:node:") {
        let text = "Do not bind roles to a node: the Node authorizer grants kubelets what their own pods need. Check that the kubelet's certificate is of this node and of group system:nodes, and that the node exists.";
        return Some(Fix {
            text: text.to_owned(),
            commands: vec![format!("kubectl get node {} -o wide", shell(node)), "kubectl get csr".to_owned()],
            manifests: Vec::new(),
        });
    }
    Some(Fix {
        text: format!(
            "Do not grant {user} anything: it is an identity of the control plane, and its rights are default ClusterRoles and ClusterRoleBindings that the API server creates and restores when it starts. Denials while the API server starts end by themselves. If they go on, find what removed or changed {object}: with the annotation rbac.authorization.kubernetes.io/autoupdate \"true\" the next start of the API server restores it (on AKS open a support request)."
        ),
        commands: vec![
            format!(
                "kubectl get clusterrole,clusterrolebinding {} -o yaml   # autoupdate: \"true\"",
                shell(&object)
            ),
            "kubectl get clusterroles,clusterrolebindings -l kubernetes.io/bootstrapping=rbac-defaults"
                .to_owned(),
        ],
        manifests: Vec::new(),
    })
}

/// A warning where the account is `default`, which every pod without an account of its own uses; or nothing.
pub(super) fn shared_account(group: &DenialGroup<'_>) -> String {
    match group.identity.service_account() {
        Some((namespace, "default")) => format!(
            " Careful: every pod of namespace {namespace} without a serviceAccountName uses ServiceAccount default and gets these rights too. Prefer a ServiceAccount for this workload alone: create it, set it as serviceAccountName, and bind that one."
        ),
        _ => String::new(),
    }
}

/// Roles and bindings for everything that the group was denied; `None` when it can't be written, or when
/// the proof fails.
///
/// `word` ends the names of the objects: findings of one identity must not overwrite each other's roles.
pub(super) fn grant(group: &DenialGroup<'_>, word: &str) -> Option<Fix> {
    let subject = group.subject();
    if !matches!(&*subject.kind, "ServiceAccount" | "User") {
        return None;
    }
    // A line that names no scope can't be granted exactly.
    let known =
        |key: &DenialKey| !matches!(&key.request.target, Target::Resource { scope: Scope::Unknown, .. });
    let denials: Vec<_> = group.denials.iter().copied().filter(|(key, _)| known(key)).collect();
    let mut scopes: BTreeMap<String, Vec<(&DenialKey, &Denial)>> = BTreeMap::new();
    for (key, denial) in &denials {
        let scope = match &key.request.target {
            Target::Resource { scope: Scope::Namespace(namespace), .. } => namespace.to_string(),
            _ => String::new(),
        };
        scopes.entry(scope).or_default().push((key, denial));
    }
    // What is granted for the whole cluster needs no rule in a namespace.
    let wide: Vec<&DenialKey> = scopes.get("").into_iter().flatten().map(|(key, _)| *key).collect();
    for (scope, denials) in &mut scopes {
        if !scope.is_empty() {
            denials.retain(|(key, _)| !wide.iter().any(|wide| same_but_scope(wide, key)));
        }
    }
    scopes.retain(|_, denials| !denials.is_empty());
    if scopes.is_empty() {
        return None;
    }
    let name = object_name(&subject, word);
    let manifests: Vec<String> =
        scopes.iter().map(|(scope, denials)| manifest(&name, scope, &subject, &rules(denials))).collect();
    let proved = proof(&manifests, group, &denials)?;
    let what = match scopes.len() {
        1 if scopes.contains_key("") => "ClusterRole and its binding".to_owned(),
        1 => "Role and its binding".to_owned(),
        n => format!("{n} roles and their bindings"),
    };
    let mut text = format!(
        "Apply the {what} below: exactly what was denied, nothing wider. Proved by evaluation: with this applied, {proved} of this bundle would be allowed."
    );
    for warning in warnings(&denials) {
        text.push(' ');
        text.push_str(warning);
    }
    text.push_str(&shared_account(group));
    Some(Fix { text, commands: vec!["kubectl apply -f fix.yaml".to_owned()], manifests })
}

fn same_but_scope(a: &DenialKey, b: &DenialKey) -> bool {
    match (&a.request.target, &b.request.target) {
        (
            Target::Resource { group, resource, subresource, .. },
            Target::Resource { group: other_group, resource: other, subresource: other_sub, .. },
        ) => {
            a.request.verb == b.request.verb
                && group == other_group
                && resource == other
                && subresource == other_sub
        }
        _ => false,
    }
}

/// Whether the name survives as it is in an object's name.
fn slug_is_exact(subject: &SubjectRef) -> bool {
    slug(&subject.name) == subject.name && slug(&subject.namespace) == subject.namespace
}

/// With the namespace: accounts of one name in two namespaces must not share a ClusterRole.
fn object_name(subject: &SubjectRef, word: &str) -> String {
    let name = slug(&format!("{} {}", subject.namespace, subject.name));
    let whole = name.len() <= 52 && !name.is_empty() && slug_is_exact(subject);
    let name = name.get(..52.min(name.len())).unwrap_or_default().trim_end_matches('-');
    if whole {
        return format!("{name}-{word}");
    }
    // Cut or simplified: the full identity keeps it apart from its likes.
    let print = fingerprint((&subject.kind, &subject.namespace, &subject.name)) as u32;
    format!("{}-{print:08x}-{word}", if name.is_empty() { "user" } else { name })
}

/// Names are only worth pinning where they are few, stable and sensitive.
fn pinned(key: &DenialKey, denial: &Denial) -> bool {
    let secret = matches!(&key.request.target, Target::Resource { resource, .. } if &**resource == "secrets");
    secret && !nameless(key) && !denial.names.is_empty() && !denial.names.overflowed()
}

/// One rule per resource, or per set of resources that need the same verbs.
fn rules(denials: &[(&DenialKey, &Denial)]) -> Vec<GrantRule> {
    let mut rules: Vec<GrantRule> = Vec::new();
    for (key, denial) in denials {
        let (count, exact) = denial.count();
        let about = if exact { "" } else { "about " };
        let serves = format!("{about}{count} × {}", key.request);
        let verb = key.request.verb.to_string();
        let (group, resource, path) = match &key.request.target {
            Target::Path(path) => (String::new(), String::new(), path.to_string()),
            Target::Resource { group, resource, subresource, .. } => {
                let combined = if subresource.is_empty() {
                    resource.to_string()
                } else {
                    format!("{resource}/{subresource}")
                };
                (group.to_string(), combined, String::new())
            }
        };
        let names: Vec<String> = if pinned(key, denial) {
            denial.names.iter().map(ToString::to_string).collect()
        } else {
            Vec::new()
        };
        let same = rules.iter_mut().find(|rule| {
            rule.group == group
                && rule.names == names
                && if path.is_empty() {
                    rule.resources == [resource.clone()]
                } else {
                    rule.paths == [path.clone()]
                }
        });
        if let Some(rule) = same {
            rule.verbs.push(verb);
            rule.serves.push(serves);
        } else {
            rules.push(GrantRule {
                verbs: vec![verb],
                resources: if path.is_empty() { vec![resource] } else { vec![] },
                group,
                paths: if path.is_empty() { vec![] } else { vec![path] },
                names,
                serves: vec![serves],
            });
        }
    }
    // Rules that differ only in the resource are one rule.
    let mut joined: Vec<GrantRule> = Vec::new();
    for rule in rules {
        let same = joined.iter_mut().find(|other| {
            other.group == rule.group
                && other.verbs == rule.verbs
                && other.names.is_empty()
                && rule.names.is_empty()
                && other.paths.is_empty() == rule.paths.is_empty()
        });
        match same {
            Some(other) => {
                other.resources.extend(rule.resources);
                other.paths.extend(rule.paths);
                other.serves.extend(rule.serves);
            }
            None => joined.push(rule),
        }
    }
    joined
}

/// YAML of a role alone, with what these denials need.
pub(super) fn role_manifest(name: &str, namespace: &str, denials: &[(&DenialKey, &Denial)]) -> String {
    let kind = if namespace.is_empty() { "ClusterRole" } else { "Role" };
    let mut yaml = String::new();
    metadata(&mut yaml, kind, name, namespace);
    write_rules(&mut yaml, &rules(denials));
    yaml
}

/// Proves a role that a binding in `namespace` (empty for the cluster) already names.
pub(super) fn prove_role(manifest: &str, missed: &DeniedGroup<'_>, namespace: &str) -> Option<()> {
    let miss = missed.first()?;
    let (role_namespace, role) = miss.role.as_ref()?;
    let subject = missed.group.subject();
    let kind = if role_namespace.is_empty() { "ClusterRole" } else { "Role" };
    let mut binding = String::new();
    let binding_kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    metadata(&mut binding, binding_kind, "proof", namespace);
    write_subject(&mut binding, kind, role, &subject);
    proof(&[manifest.to_owned(), binding], &missed.group, &missed.group.denials).map(|_| ())
}

fn metadata(yaml: &mut String, kind: &str, name: &str, namespace: &str) {
    let _ = writeln!(yaml, "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:");
    let _ = writeln!(yaml, "  name: {}", quoted(name));
    if !namespace.is_empty() {
        let _ = writeln!(yaml, "  namespace: {}", quoted(namespace));
    }
}

fn write_rules(yaml: &mut String, rules: &[GrantRule]) {
    yaml.push_str("rules:\n");
    for rule in rules {
        for line in &rule.serves {
            let _ = writeln!(yaml, "  # for {}", ascii(line));
        }
        if rule.paths.is_empty() {
            let _ = writeln!(yaml, "  - apiGroups: [{}]", quoted(&rule.group));
            let _ = writeln!(yaml, "    resources: [{}]", list(&rule.resources));
            if !rule.names.is_empty() {
                let _ = writeln!(yaml, "    resourceNames: [{}]", list(&rule.names));
            }
        } else {
            let _ = writeln!(yaml, "  - nonResourceURLs: [{}]", list(&rule.paths));
        }
        let _ = writeln!(yaml, "    verbs: [{}]", list(&rule.verbs));
    }
}

fn write_subject(yaml: &mut String, role_kind: &str, role: &str, subject: &SubjectRef) {
    let _ = writeln!(
        yaml,
        "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {role_kind}\n  name: {}",
        quoted(role)
    );
    let _ = writeln!(yaml, "subjects:\n  - kind: {}\n    name: {}", subject.kind, quoted(&subject.name));
    if subject.kind == "ServiceAccount" {
        let _ = writeln!(yaml, "    namespace: {}", quoted(&subject.namespace));
    } else {
        yaml.push_str("    apiGroup: rbac.authorization.k8s.io\n");
    }
}

/// YAML of a role and its binding in one scope.
fn manifest(name: &str, scope: &str, subject: &SubjectRef, rules: &[GrantRule]) -> String {
    let (role, binding) =
        if scope.is_empty() { ("ClusterRole", "ClusterRoleBinding") } else { ("Role", "RoleBinding") };
    let mut yaml = String::new();
    metadata(&mut yaml, role, name, scope);
    write_rules(&mut yaml, rules);
    yaml.push_str("---\n");
    metadata(&mut yaml, binding, name, scope);
    write_subject(&mut yaml, role, name, subject);
    yaml
}

fn list(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ")
}

/// A YAML string that can't be anything else: JSON's form is valid YAML.
/// Beyond ASCII all is escaped: YAML 1.1 takes U+2028 for a line break.
fn quoted(word: &str) -> String {
    let json = serde_json::to_string(word).unwrap_or_else(|_| "\"\"".to_owned());
    let mut units = [0_u16; 2];
    json.chars().fold(String::new(), |mut text, c| {
        if c.is_ascii() && c != '\u{7f}' {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
        text
    })
}

/// A comment that can't end its line, whatever YAML's version takes for a line break.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() || c == '×' { c } else { '?' }).collect()
}

/// Evaluates every denied request against what the manifests grant, and nothing else: RBAC only adds.
fn proof(manifests: &[String], group: &DenialGroup<'_>, denials: &[(&DenialKey, &Denial)]) -> Option<String> {
    let objects = parse(manifests);
    let authorizer = Authorizer::new(&objects);
    let user = group.identity.label();
    let groups = implied_groups(user);
    let mut proved = 0;
    for (key, denial) in denials {
        for name in asked_names(key, denial) {
            let review =
                Review { user, groups: &groups, verb: &key.request.verb, target: &key.request.target, name };
            if !matches!(authorizer.decide(&review), Decision::Allowed { .. }) {
                return None;
            }
        }
        proved += 1;
    }
    Some(match proved {
        1 => "the denied request".to_owned(),
        2 => "both kinds of denied request".to_owned(),
        n => format!("all {n} kinds of denied request"),
    })
}

/// Reads back what was written: the proof is of the text that the user pastes.
fn parse(manifests: &[String]) -> Objects {
    let mut objects = Objects::default();
    let source = Arc::from("fix.yaml");
    for document in manifests.iter().flat_map(|manifest| manifest.split("---\n")) {
        let Ok(object) = serde_saphyr::from_str::<serde_json::Value>(document) else { continue };
        let kind = object.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default().to_owned();
        let _ = objects.parse(&kind, object.to_string().as_bytes(), &Origin::full(0, &source, 1, 0));
    }
    objects
}

/// What an administrator should think about before granting it.
pub(super) fn warnings(denials: &[(&DenialKey, &Denial)]) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    let mut warn = |text| {
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    };
    for (key, _) in denials {
        let Target::Resource { resource, subresource, .. } = &key.request.target else { continue };
        let reads = matches!(&*key.request.verb, "get" | "list" | "watch");
        match (&**resource, &**subresource) {
            ("secrets", _) if reads => {
                warn(
                    "Careful: reading Secrets exposes every credential in them; resourceNames cannot limit list.",
                );
            }
            ("pods", "exec" | "attach" | "portforward") => {
                warn(
                    "Careful: this allows a shell or tunnel into every pod of the scope, with the rights of its ServiceAccount.",
                );
            }
            ("pods", "") if &*key.request.verb == "create" => {
                warn(
                    "Careful: who can create pods can use any ServiceAccount and mount any Secret of the namespace.",
                );
            }
            ("roles" | "clusterroles" | "rolebindings" | "clusterrolebindings", _) if !reads => {
                warn("Careful: this lets the identity change permissions, including its own.");
            }
            ("nodes", "proxy") => {
                warn(
                    "Careful: nodes/proxy gives access to the kubelet API, which runs commands in any pod of the node.",
                );
            }
            _ => {}
        }
    }
    warnings
}

/// `kubectl auth can-i …` for each denied request: no before, yes after.
pub(super) fn verify(group: &DenialGroup<'_>) -> Vec<String> {
    let user = shell(group.identity.label());
    let mut commands: Vec<String> = group
        .denials
        .iter()
        .take(8)
        .map(|(key, denial)| {
            let verb = shell(&key.request.verb);
            match &key.request.target {
                Target::Path(path) => {
                    format!("kubectl auth can-i {verb} {} --as={user}   # yes", shell(path))
                }
                Target::Resource { group, resource, subresource, scope } => {
                    let thing =
                        if group.is_empty() { resource.to_string() } else { format!("{resource}.{group}") };
                    let named = pinned(key, denial).then(|| denial.names.iter().next()).flatten();
                    let thing = named.map_or_else(|| thing.clone(), |name| format!("{thing}/{name}"));
                    let sub = if subresource.is_empty() {
                        String::new()
                    } else {
                        format!(" --subresource={}", shell(subresource))
                    };
                    let place = match scope {
                        Scope::Namespace(namespace) => format!(" -n {}", shell(namespace)),
                        Scope::Cluster | Scope::Unknown => " -A".to_owned(),
                    };
                    format!("kubectl auth can-i {verb} {}{sub}{place} --as={user}   # yes", shell(&thing))
                }
            }
        })
        .collect();
    commands.dedup();
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Class, Identity, Request};

    fn key(user: &str, verb: &str, target: Target) -> DenialKey {
        DenialKey {
            class: Class::MissingRule,
            identity: Identity::User(user.into()),
            request: Request { verb: verb.into(), target },
        }
    }

    fn resource(group: &str, resource: &str, subresource: &str, scope: Scope) -> Target {
        Target::Resource {
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            scope,
        }
    }

    fn fix_for(keys: &[DenialKey], names: &[&str]) -> Fix {
        let mut denial = Denial::default();
        denial.requests.add(1, None);
        for name in names {
            denial.names.insert((*name).into());
        }
        let group = DenialGroup {
            identity: &keys[0].identity,
            class: Class::MissingRule,
            denials: keys.iter().map(|key| (key, &denial)).collect(),
        };
        grant(&group, "granted").unwrap()
    }

    #[test]
    fn one_role_per_scope_with_exactly_the_denied_verbs() {
        let user = "system:serviceaccount:ci:pipeline";
        let keys = [
            key(user, "list", resource("", "nodes", "", Scope::Cluster)),
            key(user, "list", resource("", "pods", "", Scope::Cluster)),
            key(user, "patch", resource("apps", "deployments", "scale", Scope::Namespace("ci".into()))),
            key(user, "get", Target::Path("/metrics".into())),
        ];
        let fix = fix_for(&keys, &[]);
        assert_eq!(fix.manifests.len(), 2);
        assert!(fix.manifests[0].contains("kind: ClusterRole\n"));
        assert!(fix.manifests[0].contains("resources: [\"nodes\", \"pods\"]"));
        assert!(fix.manifests[0].contains("nonResourceURLs: [\"/metrics\"]"));
        assert!(fix.manifests[1].contains("resources: [\"deployments/scale\"]"));
        assert!(!fix.manifests[1].contains('*'));
    }

    #[test]
    fn secrets_are_granted_by_name_where_the_verb_carries_one() {
        let user = "system:serviceaccount:payments:reader";
        let secrets = || resource("", "secrets", "", Scope::Namespace("payments".into()));
        let fix = fix_for(&[key(user, "get", secrets()), key(user, "list", secrets())], &["api-key"]);
        assert!(
            fix.manifests[0].contains("resourceNames: [\"api-key\"]\n    verbs: [\"get\"]"),
            "{}",
            fix.manifests[0]
        );
        assert!(fix.manifests[0].contains("verbs: [\"list\"]"));
        assert!(fix.text.contains("Careful"));
    }

    #[test]
    fn an_identity_of_the_control_plane_is_never_granted_anything() {
        let fix_of = |user: &str| {
            let key = key(user, "list", resource("", "nodes", "", Scope::Cluster));
            let denial = Denial::default();
            let group = DenialGroup {
                identity: &key.identity,
                class: Class::MissingRule,
                denials: vec![(&key, &denial)],
            };
            reconciled(&group)
        };
        let all = [
            ("system:kube-scheduler", "clusterrolebinding system:kube-scheduler -o yaml"),
            ("system:kube-controller-manager", "clusterrolebinding system:kube-controller-manager -o yaml"),
            ("system:kube-proxy", "clusterrolebinding system:node-proxier -o yaml"),
            ("system:node:aks-np1-vmss000000", "kubectl get node aks-np1-vmss000000"),
            (
                "system:serviceaccount:kube-system:job-controller",
                "clusterrolebinding system:controller:job-controller -o yaml",
            ),
        ];
        for (user, command) in all {
            let fix = fix_of(user).unwrap();
            assert!(fix.manifests.is_empty(), "{user}");
            assert!(fix.commands.iter().all(|line| line.starts_with("kubectl get ")), "{user}: {fix:?}");
            assert!(fix.commands.iter().any(|line| line.contains(command)), "{user}: {fix:?}");
        }
        let others = [
            "alice",
            "system:serviceaccount:shop:job-controller",
            "system:serviceaccount:kube-system:ingress-controller",
        ];
        for user in others {
            assert!(fix_of(user).is_none(), "{user}");
        }
    }

    #[test]
    fn a_grant_to_the_default_account_says_who_else_gets_it() {
        let pods = || resource("", "pods", "", Scope::Cluster);
        let fix = fix_for(&[key("system:serviceaccount:shop:default", "list", pods())], &[]);
        assert!(
            fix.text.contains("every pod of namespace shop without a serviceAccountName"),
            "{}",
            fix.text
        );
        let fix = fix_for(&[key("system:serviceaccount:shop:cart", "list", pods())], &[]);
        assert!(!fix.text.contains("serviceAccountName"), "{}", fix.text);
    }

    #[test]
    fn a_hostile_user_name_stays_a_string() {
        let keys = [key("x\"]\nkind: evil", "list", resource("", "pods", "", Scope::Cluster))];
        let fix = fix_for(&keys, &[]);
        assert!(!fix.manifests[0].lines().any(|line| line.starts_with("kind: evil")));
    }
}
