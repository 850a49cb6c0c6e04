//! `kubetriage can-i` and `kubetriage who-can`: the RBAC engine, asked directly.

use std::fmt::Write;

use clap::Args;
use serde::Deserialize;

use super::{Exit, bundle, output, questions};
use crate::cluster::Cluster;
use crate::cluster::rbac::{Authorizer, Decision, MASTERS, Review, implied_groups, role_shown};
use crate::facts::{Scope, Target};
use crate::report::visible;

/// May an identity do something, by the roles and bindings of the bundle?
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubetriage can-i bundle.tgz list pods -n shop --as system:serviceaccount:shop:cart
  kubetriage can-i bundle.tgz get secrets/db -n shop --as ann --as-group devs
  kubetriage can-i bundle.tgz create pods --subresource exec -n shop --as shop:cart
  kubetriage can-i bundle.tgz get /metrics --as shop:cart
  kubetriage can-i bundle.tgz --list -n shop --as shop:cart
  kubetriage can-i rbac/ --reviews reviews.jsonl       SubjectAccessReview specs, one a line

A service account may be named NAMESPACE:NAME. The groups of service accounts are added.
The answer is `yes`, `no` or `unknown`: a no that rests on objects missing from the bundle is unknown.")]
pub(super) struct CanI {
    #[command(flatten)]
    bundle: bundle::One,

    /// Verb: get, list, watch, create, update, patch, delete, deletecollection, …
    #[arg(value_name = "VERB", required_unless_present_any = ["list", "reviews"])]
    verb: Option<String>,

    /// RESOURCE[.GROUP][/NAME], or a path such as /metrics
    #[arg(value_name = "RESOURCE", required_unless_present_any = ["list", "reviews"])]
    resource: Option<String>,

    /// Namespace; without it the question is about the whole cluster
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// Who asks
    #[arg(long = "as", value_name = "USER", required_unless_present = "reviews")]
    user: Option<String>,

    /// Further groups of who asks
    #[arg(long = "as-group", value_name = "GROUP")]
    groups: Vec<String>,

    /// Subresource: log, exec, scale, status, …
    #[arg(long, value_name = "NAME", default_value = "")]
    subresource: String,

    /// All that the identity may do
    #[arg(long)]
    list: bool,

    /// Answer `SubjectAccessReview` specs, one JSON object a line, from a file or `-`
    #[arg(long, value_name = "FILE")]
    reviews: Option<String>,
}

/// Who may do something, by the roles and bindings of the bundle?
#[derive(Args)]
#[command(after_help = "\
Examples:
  kubetriage who-can bundle.tgz get secrets -n payments
  kubetriage who-can bundle.tgz create pods --subresource exec")]
pub(super) struct WhoCan {
    #[command(flatten)]
    bundle: bundle::One,

    /// Verb
    #[arg(value_name = "VERB")]
    verb: String,

    /// RESOURCE[.GROUP][/NAME], or a path such as /metrics
    #[arg(value_name = "RESOURCE")]
    resource: String,

    /// Namespace; without it the question is about the whole cluster
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// Subresource
    #[arg(long, value_name = "NAME", default_value = "")]
    subresource: String,
}

/// A question in kubectl's words: target and object name.
fn requested_target(resource: &str, subresource: &str, namespace: Option<&str>) -> (Target, String) {
    if resource.starts_with('/') {
        return (Target::Path(resource.into()), String::new());
    }
    let (thing, name) = resource.split_once('/').unwrap_or((resource, ""));
    let (plural, group) = thing.split_once('.').unwrap_or((thing, ""));
    // kubectl knows the groups from the server; those of the common kinds are known here.
    let group = if group.is_empty() { usual_group(plural) } else { group };
    let scope = namespace.map_or(Scope::Cluster, |namespace| Scope::Namespace(namespace.into()));
    let target = Target::Resource {
        group: group.into(),
        resource: plural.into(),
        subresource: subresource.into(),
        scope,
    };
    (target, name.to_owned())
}

fn usual_group(plural: &str) -> &'static str {
    match plural {
        "deployments" | "replicasets" | "daemonsets" | "statefulsets" | "controllerrevisions" => "apps",
        "jobs" | "cronjobs" => "batch",
        "ingresses" | "networkpolicies" | "ingressclasses" => "networking.k8s.io",
        "roles" | "rolebindings" | "clusterroles" | "clusterrolebindings" => "rbac.authorization.k8s.io",
        "endpointslices" => "discovery.k8s.io",
        "leases" => "coordination.k8s.io",
        "horizontalpodautoscalers" => "autoscaling",
        "poddisruptionbudgets" => "policy",
        "storageclasses" | "volumeattachments" | "csidrivers" | "csinodes" => "storage.k8s.io",
        "customresourcedefinitions" => "apiextensions.k8s.io",
        "nodenetworkconfigs" => "acn.azure.com",
        _ => "",
    }
}

/// `shop:cart` is the service account cart of namespace shop.
fn user_name(given: &str) -> String {
    match given.split_once(':') {
        Some((namespace, name)) if namespace != "system" && !name.contains(':') && !name.contains('/') => {
            format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => given.to_owned(),
    }
}

impl CanI {
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let cluster = self.bundle.read()?;
        let authorizer = Authorizer::new(&cluster.facts.objects);
        if let Some(file) = &self.reviews {
            return reviews(&cluster, &authorizer, file);
        }
        let user = user_name(self.user.as_deref().unwrap_or_default());
        let mut groups = implied_groups(&user);
        groups.extend(self.groups.iter().cloned());
        if self.list {
            output::styled(&listing(&authorizer, &user, &groups, self.namespace.as_deref()))?;
            return Ok(Exit::Done);
        }
        let resource = self.resource.as_deref().unwrap_or_default();
        let (target, name) = requested_target(resource, &self.subresource, self.namespace.as_deref());
        let verb = self.verb.as_deref().unwrap_or_default();
        let review = Review { user: &user, groups: &groups, verb, target: &target, name: &name };
        let text = match authorizer.decide(&review) {
            Decision::Allowed { binding, role, .. } if role.is_empty() => format!("yes, by {binding}\n"),
            Decision::Allowed { binding, role, .. } => format!("yes, by {binding} of {role}\n"),
            Decision::Denied { missing_roles, .. } => {
                let missing = cluster.facts.rbac_not_listed(self.namespace.is_some());
                let mut text = if missing.is_empty() {
                    "no\n".to_owned()
                } else {
                    format!("unknown: the bundle has no list of {}\n", missing.join(", "))
                };
                for role in missing_roles {
                    let _ = writeln!(text, "  a binding names {role}, which is not there");
                }
                for bound in authorizer.bindings_of(&user, &groups, review.namespace()) {
                    if bound.subject_shown().contains("system:authenticated") {
                        continue;
                    }
                    let role = role_shown(bound.namespace, bound.binding);
                    let _ = writeln!(
                        text,
                        "  {} of {role} applies to {}, and no rule of it covers this",
                        bound.label(),
                        bound.subject_shown()
                    );
                }
                text
            }
        };
        output::to_stdout(visible(&text).as_bytes())?;
        Ok(Exit::Done)
    }
}

/// All rules that apply to an identity, as a table.
fn listing(authorizer: &Authorizer<'_>, user: &str, groups: &[String], namespace: Option<&str>) -> String {
    if groups.iter().any(|group| group == MASTERS) {
        return format!("everything: {MASTERS} is allowed before RBAC is asked\n");
    }
    let mut lines: Vec<String> = authorizer
        .rules_of(user, groups, namespace.unwrap_or_default())
        .into_iter()
        .map(|(bound, rule)| {
            let words =
                |list: &[crate::facts::Text]| list.iter().map(|word| &**word).collect::<Vec<_>>().join(",");
            let verbs = words(&rule.verbs);
            let by = format!("by {} of {}", bound.label(), role_shown(bound.namespace, bound.binding));
            if rule.resources.is_empty() {
                return format!("{verbs}  {}  ({by})", words(&rule.non_resource_urls));
            }
            let groups: Vec<String> = rule
                .api_groups
                .iter()
                .map(|group| if group.is_empty() { "core".to_owned() } else { group.to_string() })
                .collect();
            let names = if rule.resource_names.is_empty() {
                String::new()
            } else {
                format!(" named {}", words(&rule.resource_names))
            };
            format!("{verbs}  {} in {}{names}  ({by})", words(&rule.resources), groups.join(","))
        })
        .collect();
    lines.sort();
    lines.dedup();
    if lines.is_empty() {
        "nothing: no binding of the bundle applies\n".to_owned()
    } else {
        visible(&lines.join("\n")).into_owned() + "\n"
    }
}

impl WhoCan {
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        let cluster = self.bundle.read()?;
        let objects = &cluster.facts.objects;
        let authorizer = Authorizer::new(objects);
        let (target, name) = requested_target(&self.resource, &self.subresource, self.namespace.as_deref());
        let mut lines: Vec<String> = authorizer
            .who_can(objects, &self.verb, &target, &name)
            .into_iter()
            .map(|bound| {
                format!(
                    "{}  (by {} of {})",
                    bound.subject_shown(),
                    bound.label(),
                    role_shown(bound.namespace, bound.binding)
                )
            })
            .collect();
        lines.push(format!("Group {MASTERS}  (before RBAC is asked)"));
        lines.sort();
        lines.dedup();
        let missing = cluster.facts.rbac_not_listed(self.namespace.is_some());
        if !missing.is_empty() {
            output::complain(&format!("incomplete: the bundle has no list of {}", missing.join(", ")));
        }
        output::to_stdout((visible(&lines.join("\n")).into_owned() + "\n").as_bytes())?;
        Ok(Exit::Done)
    }
}

/// A `SubjectAccessReview`'s spec, alone or in its object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewSpec {
    #[serde(default, rename = "spec")]
    inner: Option<Box<ReviewSpec>>,
    #[serde(default)]
    user: String,
    #[serde(default)]
    groups: Option<Vec<String>>,
    #[serde(default)]
    resource_attributes: Option<ResourceAttributes>,
    #[serde(default)]
    non_resource_attributes: Option<PathAttributes>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct ResourceAttributes {
    namespace: String,
    verb: String,
    group: String,
    resource: String,
    subresource: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PathAttributes {
    path: String,
    verb: String,
}

fn reviews(cluster: &Cluster, authorizer: &Authorizer<'_>, file: &str) -> anyhow::Result<Exit> {
    let (all, cluster_wide) = (cluster.facts.rbac_not_listed(true), cluster.facts.rbac_not_listed(false));
    questions::answer_each(file, |line| match serde_json::from_slice::<ReviewSpec>(line) {
        Ok(ReviewSpec { inner: Some(inner), .. }) => answer(authorizer, &inner, &all, &cluster_wide),
        Ok(spec) => answer(authorizer, &spec, &all, &cluster_wide),
        Err(error) => {
            serde_json::json!({ "allowed": false, "decision": "unknown", "reason": "", "error": format!("not a review: {error}") })
        }
    })
}

fn answer(
    authorizer: &Authorizer<'_>,
    spec: &ReviewSpec,
    all: &[&str],
    cluster_wide: &[&str],
) -> serde_json::Value {
    let groups = spec.groups.clone().unwrap_or_default();
    let (verb, name, target) = match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(request), _) => {
            let scope = if request.namespace.is_empty() {
                Scope::Cluster
            } else {
                Scope::Namespace(request.namespace.as_str().into())
            };
            let target = Target::Resource {
                group: request.group.as_str().into(),
                resource: request.resource.as_str().into(),
                subresource: request.subresource.as_str().into(),
                scope,
            };
            (request.verb.as_str(), request.name.as_str(), target)
        }
        (None, Some(request)) => (request.verb.as_str(), "", Target::Path(request.path.as_str().into())),
        (None, None) => {
            let error = "neither resourceAttributes nor nonResourceAttributes";
            return serde_json::json!({ "allowed": false, "decision": "unknown", "reason": "", "error": error });
        }
    };
    let review = Review { user: &spec.user, groups: &groups, verb, target: &target, name };
    match authorizer.decide(&review) {
        Decision::Allowed { binding, role, reason } => serde_json::json!({
            "allowed": true, "decision": "allowed", "reason": reason, "binding": binding, "role": role, "error": null,
        }),
        Decision::Denied { missing_roles, reason } => {
            let missing = if review.namespace().is_empty() { cluster_wide } else { all };
            let unknown = !missing.is_empty();
            let error = unknown.then(|| format!("the bundle has no list of {}", missing.join(", ")));
            serde_json::json!({
                "allowed": false,
                "decision": if unknown { "unknown" } else { "denied" },
                "reason": reason,
                "binding": null,
                "role": missing_roles.first(),
                "error": error,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_as_kubectl_reads_them() {
        let (target, name) = requested_target("deployments/web", "scale", Some("shop"));
        assert_eq!((target.thing().as_str(), name.as_str()), ("deployments.apps/scale", "web"));
        assert_eq!(requested_target("/metrics", "", None).0, Target::Path("/metrics".into()));
        assert_eq!(user_name("shop:cart"), "system:serviceaccount:shop:cart");
        assert_eq!(user_name("system:anonymous"), "system:anonymous");
        assert_eq!(user_name("https://issuer.example#carol"), "https://issuer.example#carol");
    }
}
