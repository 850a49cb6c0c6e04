//! Corrections of what is nearly right: one change to an existing role or binding, proved by evaluation.
//!
//! A role that others share, or that Kubernetes or an aggregation maintains, is never widened: then the
//! denied requests get a role of their own (see [`super::fix`]).

use std::fmt::Write;

use serde_json::{Value, json};

use super::fix;
use super::group::DeniedGroup;
use crate::cluster::rbac::{Authorizer, Decision, MissStep, NearMiss, Review, all_bindings, implied_groups};
use crate::cluster::{Cluster, asked_names};
use crate::detectors::{Fix, shell};
use crate::facts::{Binding, DenialKey, Objects, PolicyRule, Role, Scope, Subject, Target, Text};

/// The smallest change that would have allowed what was denied; `None` when there is none to an existing object, or
/// when the proof fails.
pub(super) fn repair(cluster: &Cluster, missed: &DeniedGroup<'_>) -> Option<Fix> {
    match missed.step {
        MissStep::Verb
        | MissStep::ApiGroup
        | MissStep::Subresource
        | MissStep::ResourceSpelling
        | MissStep::ResourceName
        | MissStep::Path => role(cluster, missed),
        MissStep::Subject => subject(cluster, missed),
        MissStep::RoleMissing => missing_role(missed),
        MissStep::OtherAccount => account(cluster, missed),
        MissStep::NotAggregated => aggregated(missed),
        _ => None,
    }
}

/// The role and the binding of a miss.
fn objects_of<'a>(cluster: &'a Cluster, miss: &NearMiss) -> Option<(&'a Binding, &'a Role)> {
    let objects = &cluster.facts.objects;
    let (binding_namespace, binding) = miss.binding.as_ref()?;
    let (role_namespace, role) = miss.role.as_ref()?;
    let binding = if binding_namespace.is_empty() {
        &objects.cluster_role_bindings.get("", binding)?.object
    } else {
        &objects.role_bindings.get(binding_namespace, binding)?.object
    };
    let role = if role_namespace.is_empty() {
        &objects.cluster_roles.get("", role)?.object
    } else {
        &objects.roles.get(role_namespace, role)?.object
    };
    Some((binding, role))
}

/// Why a role must not be changed for one identity.
fn shared(cluster: &Cluster, miss: &NearMiss, role: &Role) -> Option<&'static str> {
    let (namespace, name) = miss.role.as_ref()?;
    let default = name.starts_with("system:")
        || matches!(&**name, "admin" | "edit" | "view" | "cluster-admin")
        || role.metadata.labels.get("kubernetes.io/bootstrapping").is_some();
    if default {
        return Some("is a default role, which Kubernetes restores");
    }
    if role.aggregation_rule.is_some() {
        return Some("is aggregated: its controller would undo a change");
    }
    let subjects: usize = all_bindings(&cluster.facts.objects)
        .filter(|(at, binding)| {
            binding.role_ref.name == *name
                && if namespace.is_empty() {
                    &*binding.role_ref.kind == "ClusterRole"
                } else {
                    &*binding.role_ref.kind == "Role" && **at == **namespace
                }
        })
        .map(|(_, binding)| binding.subjects.len())
        .sum();
    (subjects > 1).then_some("has other subjects, who would get the new rule too")
}

/// Why the nearest role can't be the one that is repaired, for the text of the fix.
pub(super) fn why_not(cluster: &Cluster, missed: &DeniedGroup<'_>) -> Option<String> {
    let miss = missed.first()?;
    let (_, role) = objects_of(cluster, miss)?;
    shared(cluster, miss, role).map(|why| format!("{} {why}", miss.role_shown()))
}

/// A change of one rule.
struct Edit {
    /// Of `kubectl patch --type=json`.
    operation: Value,
    /// Before and after, for people.
    words: String,
}

/// Several words added to one list are one change: its first state becomes its last.
fn edits_text(edits: &[Edit]) -> String {
    let mut words: Vec<String> = Vec::new();
    for edit in edits {
        let (list, change) = edit.words.split_once(": ").unwrap_or(("", &edit.words));
        let after = change.split_once(" becomes ").map(|(_, after)| after);
        let same = words.last_mut().filter(|last| !list.is_empty() && last.starts_with(list));
        match (same, after) {
            (Some(last), Some(after)) if last.contains(" becomes ") => {
                let start = last.split(" becomes ").next().unwrap_or_default().to_owned();
                *last = format!("{start} becomes {after}");
            }
            _ => words.push(edit.words.clone()),
        }
    }
    words.join("; ")
}

fn role(cluster: &Cluster, missed: &DeniedGroup<'_>) -> Option<Fix> {
    let first = missed.first()?;
    // One role must cover all of it.
    if missed.misses.iter().any(|miss| miss.role != first.role || miss.binding != first.binding) {
        return None;
    }
    let (binding, role) = objects_of(cluster, first)?;
    if shared(cluster, first, role).is_some() {
        return None;
    }
    let mut changed = role.clone();
    let mut edits: Vec<Edit> = Vec::new();
    for ((key, denial), miss) in missed.group.denials.iter().zip(&missed.misses) {
        for name in asked_names(key, denial) {
            match edit(&mut changed, key, name, miss) {
                EditOutcome::Made(edit) => edits.push(edit),
                EditOutcome::Already => {}
                EditOutcome::Impossible => return None,
            }
        }
    }
    prove(missed, &changed, binding)?;
    let (kind, namespace, name) = match first.role.as_ref()? {
        (namespace, name) if namespace.is_empty() => ("clusterrole", String::new(), name),
        (namespace, name) => ("role", format!(" -n {}", shell(namespace)), name),
    };
    let operations: Vec<&Value> = edits.iter().map(|edit| &edit.operation).collect();
    let patch = serde_json::to_string(&operations).ok()?;
    let mut text = format!("Correct {}: ", first.role_shown());
    text.push_str(&edits_text(&edits));
    text.push_str(
        ". Proved by evaluation: with this change all denied requests of this finding would be allowed.",
    );
    let more = beyond(role, &changed, missed);
    if more.is_empty() {
        text.push_str(" It allows nothing else.");
    } else {
        let label = more.get(..more.len().min(6)).unwrap_or_default().join(", ");
        let rest = more.len().saturating_sub(6);
        let _ = write!(text, " It also allows, because the rule combines them: {label}");
        let _ = if rest > 0 { write!(text, " and {rest} more.") } else { write!(text, ".") };
    }
    for warning in fix::warnings(&missed.group.denials) {
        text.push(' ');
        text.push_str(warning);
    }
    text.push_str(&fix::shared_account(&missed.group));
    let command = format!("kubectl patch {kind} {}{namespace} --type=json -p {}", shell(name), shell(&patch));
    Some(Fix { text, commands: vec![command], manifests: Vec::new() })
}

fn pushed(list: &[Text], word: &str) -> Box<[Text]> {
    list.iter().cloned().chain([Text::from(word)]).collect()
}

fn quoted_list(list: &[Text]) -> String {
    format!(
        "[{}]",
        list.iter()
            .map(|word| if word.is_empty() { "\"\"".to_owned() } else { word.to_string() })
            .collect::<Vec<_>>()
            .join(", ")
    )
}

/// What became of a change.
enum EditOutcome {
    Made(Edit),
    /// An earlier change did it.
    Already,
    Impossible,
}

impl From<Option<Edit>> for EditOutcome {
    fn from(edit: Option<Edit>) -> Self {
        edit.map_or(Self::Already, Self::Made)
    }
}

/// Changes a rule so that it covers a request.
fn edit(role: &mut Role, key: &DenialKey, name: &str, miss: &NearMiss) -> EditOutcome {
    let Some((at, rule)) = miss.at.and_then(|at| Some((at, role.rules.get_mut(at)?))) else {
        return EditOutcome::Impossible;
    };
    let number = at + 1;
    let (group, combined) = match &key.request.target {
        Target::Path(path) => (String::new(), path.to_string()),
        Target::Resource { group, resource, subresource, .. } => (
            group.to_string(),
            if subresource.is_empty() { resource.to_string() } else { format!("{resource}/{subresource}") },
        ),
    };
    let verb = &*key.request.verb;
    let add = |list: &mut Box<[Text]>, field: &str, word: &str| -> Option<Edit> {
        if list.iter().any(|ours| **ours == *word) {
            return None;
        }
        let after = pushed(list, word);
        let words = format!("rule {number}, {field}: {} becomes {}", quoted_list(list), quoted_list(&after));
        *list = after;
        Some(Edit {
            operation: json!({ "op": "add", "path": format!("/rules/{at}/{field}/-"), "value": word }),
            words,
        })
    };
    let edit = match miss.step {
        MissStep::Verb => {
            // Names that such a request can't carry would keep it denied.
            if !rule.resource_names.is_empty() && crate::cluster::nameless(key) {
                return appended(role, verb, &group, &combined).into();
            }
            add(&mut rule.verbs, "verbs", verb)
        }
        MissStep::ApiGroup => add(&mut rule.api_groups, "apiGroups", &group),
        MissStep::Subresource => add(&mut rule.resources, "resources", &combined),
        MissStep::Path => add(&mut rule.non_resource_urls, "nonResourceURLs", &combined),
        MissStep::ResourceName if name.is_empty() => appended(role, verb, &group, &combined),
        MissStep::ResourceName => add(&mut rule.resource_names, "resourceNames", name),
        MissStep::ResourceSpelling => {
            let Some(place) = rule.resources.iter().position(|resource| **resource == *miss.has) else {
                return EditOutcome::Impossible;
            };
            let before = quoted_list(&rule.resources);
            if let Some(slot) = rule.resources.get_mut(place) {
                *slot = Text::from(combined.as_str());
            }
            let words =
                format!("rule {number}, resources: {before} becomes {}", quoted_list(&rule.resources));
            Some(Edit {
                operation: json!({ "op": "replace", "path": format!("/rules/{at}/resources/{place}"), "value": combined }),
                words,
            })
        }
        _ => return EditOutcome::Impossible,
    };
    edit.into()
}

/// A rule of its own for what can't be limited by name.
fn appended(role: &mut Role, verb: &str, group: &str, resource: &str) -> Option<Edit> {
    let same = |rule: &PolicyRule| {
        rule.resource_names.is_empty()
            && *rule.resources == [Text::from(resource)]
            && *rule.api_groups == [Text::from(group)]
    };
    if let Some((at, rule)) = role.rules.iter_mut().enumerate().find(|(_, rule)| same(rule)) {
        if rule.verbs.iter().any(|ours| **ours == *verb) {
            return None;
        }
        rule.verbs = pushed(&rule.verbs, verb);
        let operation = json!({ "op": "add", "path": format!("/rules/{at}/verbs/-"), "value": verb });
        return Some(Edit { operation, words: format!("and {verb} in the same rule") });
    }
    let rule = PolicyRule {
        verbs: [Text::from(verb)].into(),
        api_groups: [Text::from(group)].into(),
        resources: [Text::from(resource)].into(),
        ..PolicyRule::default()
    };
    role.rules = role.rules.iter().cloned().chain([rule]).collect();
    let value = json!({ "verbs": [verb], "apiGroups": [group], "resources": [resource] });
    let words =
        format!("add a separate rule for {verb} {resource} without resourceNames (they cannot limit {verb})");
    Some(Edit { operation: json!({ "op": "add", "path": "/rules/-", "value": value }), words })
}

/// Evaluates every denied request again with this role and this binding alone: RBAC only adds.
fn prove(missed: &DeniedGroup<'_>, role: &Role, binding: &Binding) -> Option<()> {
    let mut objects = Objects::default();
    let source: std::sync::Arc<str> = std::sync::Arc::from("repair");
    let origin = crate::facts::Origin::full(0, &source, 1, 0);
    if role.metadata.namespace.is_empty() {
        objects.cluster_roles.add(role.clone(), &origin);
    } else {
        objects.roles.add(role.clone(), &origin);
    }
    if binding.metadata.namespace.is_empty() {
        objects.cluster_role_bindings.add(binding.clone(), &origin);
    } else {
        objects.role_bindings.add(binding.clone(), &origin);
    }
    let authorizer = Authorizer::new(&objects);
    let user = missed.group.identity.label();
    let mut groups = implied_groups(user);
    groups.extend(missed.group.user_groups());
    for (key, denial) in &missed.group.denials {
        for name in asked_names(key, denial) {
            let review =
                Review { user, groups: &groups, verb: &key.request.verb, target: &key.request.target, name };
            if !matches!(authorizer.decide(&review), Decision::Allowed { .. }) {
                return None;
            }
        }
    }
    Some(())
}

/// What the changed rules allow beyond the old ones and beyond what was denied: verb and resource.
fn beyond(before: &Role, after: &Role, missed: &DeniedGroup<'_>) -> Vec<String> {
    let combinations = |role: &Role| -> std::collections::BTreeSet<(String, String, String)> {
        let mut all = std::collections::BTreeSet::new();
        for rule in role.rules.iter().take(200) {
            let things = rule.resources.iter().chain(rule.non_resource_urls.iter());
            for thing in things.take(100) {
                let groups: Vec<&str> = if rule.api_groups.is_empty() {
                    vec![""]
                } else {
                    rule.api_groups.iter().map(|group| &**group).collect()
                };
                for group in groups.into_iter().take(20) {
                    for verb in rule.verbs.iter().take(20) {
                        all.insert((verb.to_string(), thing.to_string(), group.to_owned()));
                    }
                }
            }
        }
        all
    };
    let question: std::collections::BTreeSet<(String, String, String)> = missed
        .group
        .denials
        .iter()
        .map(|(key, _)| match &key.request.target {
            Target::Path(path) => (key.request.verb.to_string(), path.to_string(), String::new()),
            Target::Resource { group, resource, subresource, .. } => {
                let thing = if subresource.is_empty() {
                    resource.to_string()
                } else {
                    format!("{resource}/{subresource}")
                };
                (key.request.verb.to_string(), thing, group.to_string())
            }
        })
        .collect();
    let old = combinations(before);
    combinations(after)
        .difference(&old)
        .filter(|combination| !question.contains(*combination))
        .map(
            |(verb, thing, group)| {
                if group.is_empty() { format!("{verb} {thing}") } else { format!("{verb} {thing}.{group}") }
            },
        )
        .collect()
}

/// The subject of a binding is replaced by the identity that was meant; one that exists keeps its place.
fn subject(cluster: &Cluster, missed: &DeniedGroup<'_>) -> Option<Fix> {
    let first = missed.first()?;
    if missed.misses.iter().any(|miss| miss.binding != first.binding) {
        return None;
    }
    let (binding, role) = objects_of(cluster, first)?;
    let at = first.at?;
    let old = binding.subjects.get(at)?;
    let right = match (missed.group.identity.service_account(), &*old.kind) {
        (Some((namespace, name)), _) => {
            Subject { kind: "ServiceAccount".into(), name: name.into(), namespace: namespace.into() }
        }
        (None, "Group") => {
            let groups = missed.group.user_groups();
            let near = groups
                .iter()
                .filter(|group| !group.starts_with("system:"))
                .min_by_key(|group| strsim::damerau_levenshtein(group, &old.name))?;
            Subject { kind: "Group".into(), name: near.as_str().into(), ..Subject::default() }
        }
        (None, _) => {
            Subject { kind: "User".into(), name: missed.group.identity.label().into(), ..Subject::default() }
        }
    };
    let ours = if old.namespace.is_empty() { &binding.metadata.namespace } else { &old.namespace };
    let exists = &*old.kind == "ServiceAccount"
        && cluster.facts.objects.service_accounts.get(ours, &old.name).is_some();
    let mut changed = binding.clone();
    let mut subjects: Vec<Subject> = changed.subjects.to_vec();
    let place = if exists {
        subjects.push(right.clone());
        "-".to_owned()
    } else {
        *subjects.get_mut(at)? = right.clone();
        at.to_string()
    };
    changed.subjects = subjects.into();
    prove(missed, role, &changed)?;
    let value = if right.namespace.is_empty() {
        json!({ "kind": &*right.kind, "name": &*right.name, "apiGroup": "rbac.authorization.k8s.io" })
    } else {
        json!({ "kind": &*right.kind, "name": &*right.name, "namespace": &*right.namespace })
    };
    let patch = json!([{ "op": if exists { "add" } else { "replace" }, "path": format!("/subjects/{place}"), "value": value }]).to_string();
    let (kind, namespace) = if binding.metadata.namespace.is_empty() {
        ("clusterrolebinding", String::new())
    } else {
        ("rolebinding", format!(" -n {}", shell(&binding.metadata.namespace)))
    };
    let words = |subject: &Subject| {
        if subject.namespace.is_empty() {
            format!("{} {}", subject.kind, subject.name)
        } else {
            format!("{} {}/{}", subject.kind, subject.namespace, subject.name)
        }
    };
    let change = if exists {
        format!("add {} beside {}, which exists", words(&right), words(old))
    } else {
        format!("its subject {} becomes {}", words(old), words(&right))
    };
    let rules = role.rules.len();
    let mut text = format!(
        "Correct {}: {change}. Proved by evaluation: with this change all denied requests of this finding would be allowed. It grants the identity everything in {} ({rules} {}): check it with `kubectl describe {} {}{}`.",
        first.binding_shown(),
        first.role_shown(),
        if rules == 1 { "rule" } else { "rules" },
        if role.metadata.namespace.is_empty() { "clusterrole" } else { "role" },
        shell(&role.metadata.name),
        if role.metadata.namespace.is_empty() {
            String::new()
        } else {
            format!(" -n {}", shell(&role.metadata.namespace))
        },
    );
    text.push_str(&fix::shared_account(&missed.group));
    let command = format!(
        "kubectl patch {kind} {}{namespace} --type=json -p {}",
        shell(&binding.metadata.name),
        shell(&patch)
    );
    Some(Fix { text, commands: vec![command], manifests: Vec::new() })
}

/// The role that a binding names is made, with what was denied.
fn missing_role(missed: &DeniedGroup<'_>) -> Option<Fix> {
    let first = missed.first()?;
    let (namespace, name) = first.role.as_ref()?;
    let (binding_namespace, _) = first.binding.as_ref()?;
    let same = missed.misses.iter().all(|miss| miss.role == first.role && miss.binding == first.binding);
    // What was asked outside the binding's reach needs another one.
    let within = |key: &DenialKey| match &key.request.target {
        Target::Resource { scope: Scope::Namespace(question), .. } => {
            binding_namespace.is_empty() || **question == **binding_namespace
        }
        Target::Resource { scope: Scope::Cluster, .. } | Target::Path(_) => binding_namespace.is_empty(),
        Target::Resource { scope: Scope::Unknown, .. } => false,
    };
    if !same || !missed.group.denials.iter().all(|(key, _)| within(key)) {
        return None;
    }
    let manifest = fix::role_manifest(name, namespace, &missed.group.denials);
    let mut text = format!(
        "Create the {} that {} refers to, with exactly what was denied; the binding exists already. If another role was intended, recreate the binding instead: roleRef is immutable. Proved by evaluation: with this applied, all denied requests of this finding would be allowed.",
        first.role_shown(),
        first.binding_shown()
    );
    text.push_str(&fix::shared_account(&missed.group));
    fix::prove_role(&manifest, missed, binding_namespace)?;
    Some(Fix { text, commands: vec!["kubectl apply -f fix.yaml".to_owned()], manifests: vec![manifest] })
}

/// The pods should run under the account that is bound.
/// The label that makes the role that would do a part of the one that is bound.
fn aggregated(missed: &DeniedGroup<'_>) -> Option<Fix> {
    let miss = missed.first()?;
    let role = miss.role_shown();
    Some(Fix {
        text: format!(
            "Label ClusterRole {}: its rules then become part of {role} for everyone who is bound to it. If that is too much, bind ClusterRole {} to this identity instead.",
            miss.has, miss.has
        ),
        commands: vec![format!("kubectl label clusterrole {} {}", shell(&miss.has), shell(&miss.needs))],
        manifests: Vec::new(),
    })
}

fn account(cluster: &Cluster, missed: &DeniedGroup<'_>) -> Option<Fix> {
    let first = missed.first()?;
    let (namespace, name) = missed.group.identity.service_account()?;
    let pods = cluster.facts.objects.pods.of_namespace(namespace).filter(|(_, seen)| {
        let ours = &*seen.object.spec.service_account_name;
        ours == name || ours.is_empty() && name == "default"
    });
    let mut owners: Vec<(String, String)> = pods
        .filter_map(|(_, seen)| {
            let owner = seen.object.metadata.owner_references.first()?;
            Some(match &*owner.kind {
                // A ReplicaSet is named after its Deployment and a hash.
                "ReplicaSet" => (
                    "deployment".to_owned(),
                    owner.name.rsplit_once('-').map_or(&*owner.name, |(deployment, _)| deployment).to_owned(),
                ),
                kind => (kind.to_lowercase(), owner.name.to_string()),
            })
        })
        .collect();
    if owners.is_empty() {
        let objects = &cluster.facts.objects;
        let stores = [
            ("deployment", &objects.deployments),
            ("statefulset", &objects.stateful_sets),
            ("daemonset", &objects.daemon_sets),
        ];
        for (kind, store) in stores {
            let here =
                store.iter().filter(|(key, _)| &*key.namespace == namespace || key.namespace.is_empty());
            let ours = here.filter(|(_, seen)| {
                let account = &*seen.object.spec.template.spec.service_account_name;
                account == name || account.is_empty() && name == "default"
            });
            owners.extend(ours.map(|(key, _)| (kind.to_owned(), key.name.to_string())));
        }
    }
    owners.sort();
    owners.dedup();
    if owners.is_empty() {
        return None;
    }
    let commands = owners
        .iter()
        .take(8)
        .map(|(kind, owner)| {
            format!(
                "kubectl set serviceaccount {kind} {} {} -n {}",
                shell(owner),
                shell(&first.needs),
                shell(namespace)
            )
        })
        .collect();
    let text = format!(
        "Set the workload's serviceAccountName to {}, which has these rights already, instead of {name} (namespace {namespace}); only for those of the workloads below that make these requests. The command restarts their pods (rollout). A grant to {name} would apply to every pod that uses it. Proved by evaluation: {} is allowed what was denied.",
        first.needs, first.needs
    );
    Some(Fix { text, commands, manifests: Vec::new() })
}
