//! The sentences in which a refusal is told, of every version, and what kind of refusal they mean.
//!
//! Sources: `k8s.io/apiserver` `responsewriters/errors.go` (the API message), `rbac.go` (the authorizer's
//! lines), the kubelet's `server.go`, and the admission plugins' own texts.

use std::borrow::Cow;

use crate::bytes::pattern::{has, pattern};

use crate::facts::text::lossy;
use crate::facts::{Class, Request, Scope, Target, from_uri, split_thing};

pattern!(THING, r#"(?P<thing>[a-z0-9.]+) "(?P<name>[^"]*)" is forbidden: "#);

// `… is forbidden: User "u" cannot verb resource "r" in API group "g" in the namespace "n": reason`,
// 1.12 and newer.
pattern!(
    API,
    r#"(?:(?P<kind>[a-z0-9.\-]+) (?:"(?P<name>[^"]*)" )?is )?forbidden: User "(?P<user>[^"]*)" cannot "#
    r#"(?P<verb>[^\s"]+) (?:resource "(?P<resource>[^"]*)"(?: in API group "(?P<group>[^"]*)")?"#
    r#"(?: in the namespace "(?P<namespace>[^"]*)"| (?P<cluster>at the cluster scope))?"#
    r#"|path "(?P<path>[^"]*)")(?:: (?P<reason>[^"]*))?"#
);

// Before 1.12: `User "u" cannot list pods in the namespace "n"`, `… statefulsets.apps at the cluster scope`.
pattern!(
    OLD_API,
    r#"(?:"(?P<name>[^"]*)" is forbidden: )?User "(?P<user>[^"]*)" cannot "?(?P<verb>[a-z]+)"? "#
    r#"(?:path "(?P<path>[^"]*)"|(?P<thing>[a-z0-9./\-]+)"#
    r#"(?: in the namespace "(?P<namespace>[^"]*)"| (?P<cluster>at the cluster scope)))"#
    r#"(?:[:.]? ?(?P<reason>RBAC: [^"]*))?"#
);

// The same where a shell took the quotes away.
pattern!(
    UNQUOTED,
    r"forbidden: User (?P<user>[A-Za-z0-9:@._-]+) cannot (?P<verb>[a-z]+) resource (?P<resource>[a-z0-9./-]+) in API group (?P<group>[a-z0-9.-]*) ?(?:in the namespace (?P<namespace>[a-z0-9-]+)|(?P<cluster>at the cluster scope))"
);

// `RBAC: no rules authorize user …` (1.8 and newer) and `RBAC DENY: user …` (older).
pattern!(
    AUTHORIZER,
    r#"RBAC(?: DENY)?: (?:no rules authorize )?user "(?P<user>[^"]*)"(?: with)? groups (?P<groups>\[[^\]]*\])"#
    r#"(?: cannot| to) "(?P<verb>[^"]*)" (?:resource "(?P<thing>[^"]*)"(?: named "(?P<name>[^"]*)")?"#
    r#"(?: in namespace "(?P<namespace>[^"]*)"| (?P<cluster>cluster-wide))?"#
    r#"|nonResourceURL "(?P<path>[^"]*)")"#
);

// The kubelet's API: `Forbidden (user=u, verb=get, resource=nodes, subresource=proxy)`; newer versions
// write `subresource(s)=[proxy]`.
pattern!(
    KUBELET,
    r"Forbidden \(user=(?P<user>[^,]*), verb=(?P<verb>[^,]*), resource=(?P<thing>[^,]*), subresource(?:\(s\))?=\[?(?P<sub>[^\])]*)"
);

/// A refusal as a sentence tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::formats) struct Denied {
    pub(in crate::formats) user: Box<str>,
    pub(in crate::formats) groups: Vec<String>,
    pub(in crate::formats) request: Request,
    pub(in crate::formats) name: Option<Box<str>>,
    pub(in crate::formats) reason: Option<Box<str>>,
    pub(in crate::formats) class: Class,
    /// Told by the authorizer itself, not by the API's answer.
    pub(in crate::formats) by_authorizer: bool,
}

// A quote in the ways that JSON, logfmt and HTML escape it.
pattern!(QUOTE, r#"\\+"|\\+u0022|&#34;|&quot;"#);

/// Text without the escapes of the JSON, logfmt or HTML around it.
pub(in crate::formats) fn plain(text: &[u8]) -> Cow<'_, str> {
    let text = lossy(text);
    if !text.contains(['\\', '&']) {
        return text;
    }
    let mut text = QUOTE.replace_all(&text, "\"").into_owned();
    for (escaped, meant) in [
        ("\\u003c", "<"),
        ("\\u003e", ">"),
        ("\\u0026", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        if text.contains(escaped) {
            text = text.replace(escaped, meant);
        }
    }
    Cow::Owned(text)
}

/// Finds a refusal in a line. `text` has no escapes (see [`plain`]).
pub(in crate::formats) fn denied(text: &str) -> Option<Denied> {
    // A guide's `<user>` is nobody.
    refused(text).filter(|given| !(given.user.starts_with('<') && given.user.ends_with('>')))
}

fn refused(text: &str) -> Option<Denied> {
    if has!(text, "RBAC")
        && let Some(found) = AUTHORIZER.captures(text)
    {
        let get = |name: &str| found.name(name).map(|m| m.as_str());
        let target = match (get("path"), get("thing")) {
            (Some(path), _) => Target::Path(path.into()),
            (None, thing) => {
                let (resource, group, subresource) = split_thing(thing?);
                let scope = scope(get("namespace"), get("cluster").is_some());
                Target::Resource { group, resource, subresource, scope }
            }
        };
        let groups = get("groups")?.split('"').skip(1).step_by(2).map(ToOwned::to_owned).collect();
        let user: Box<str> = get("user")?.into();
        let request = Request { verb: get("verb")?.into(), target };
        let class = authorizer_class(&user, &request.verb, None);
        let name = get("name").filter(|name| !name.is_empty()).map(Into::into);
        return Some(Denied { user, groups, request, name, reason: None, class, by_authorizer: true });
    }
    if has!(text, "Forbidden (user=") {
        let found = KUBELET.captures(text)?;
        let get = |name: &str| found.name(name).map_or("", |m| m.as_str().trim_matches('"'));
        let target = Target::Resource {
            group: "".into(),
            resource: get("thing").into(),
            subresource: get("sub").into(),
            scope: Scope::Cluster,
        };
        let request = Request { verb: get("verb").into(), target };
        let class = Class::KubeletApi;
        let user = get("user").into();
        return Some(Denied {
            user,
            groups: vec![],
            request,
            name: None,
            reason: None,
            class,
            by_authorizer: false,
        });
    }
    // Every age of the API says so; the expressions are looked for only where they can match.
    if has!(text, " cannot ") { newer(text).or_else(|| older(text)).or_else(|| unquoted(text)) } else { None }
}

fn unquoted(text: &str) -> Option<Denied> {
    let found = UNQUOTED.captures(text)?;
    let get = |name: &str| found.name(name).map(|m| m.as_str());
    let (resource, subresource) = get("resource")?.split_once('/').unwrap_or((get("resource")?, ""));
    let target = Target::Resource {
        group: get("group").unwrap_or_default().into(),
        resource: resource.into(),
        subresource: subresource.into(),
        scope: scope(get("namespace"), get("cluster").is_some()),
    };
    Some(finish(get("user")?, get("verb")?, target, None, None))
}

// Before 1.8, without the user: `the server does not allow access to the requested resource (get pods)`; and clients that tell the
// address which was answered 403.
pattern!(
    NOT_ALLOWED,
    r"does not allow access to the requested resource \((?P<verb>[a-z]+) (?P<thing>[a-z0-9./-]+)"
);
pattern!(
    HTTP_403,
    r#"(?P<verb>GET|POST|PUT|PATCH|DELETE) (?:at: |")?https?://[^/\s"]+(?P<uri>/apis?/[^\s"]+?)"?(?:\. |[:,]? ).{0,200}?(?:\b403 Forbidden|status code:? 403|'403 )"#
);

/// A refused request of which nobody says whose it was.
pub(in crate::formats) fn refused_somebody(text: &str) -> Option<Request> {
    if let Some(found) = NOT_ALLOWED.captures(text) {
        let (resource, group, subresource) = split_thing(found.name("thing")?.as_str());
        let verb = if has!(text, "ailed to list") { "list" } else { found.name("verb")?.as_str() };
        let target = Target::Resource { group, resource, subresource, scope: Scope::Unknown };
        return Some(Request { verb: verb.into(), target });
    }
    let found = HTTP_403.captures(text)?;
    Some(from_uri(found.name("verb")?.as_str(), found.name("uri")?.as_str()).0)
}

fn newer(text: &str) -> Option<Denied> {
    let found = API.captures(text)?;
    let get = |name: &str| found.name(name).map(|m| m.as_str());
    let target = if let Some(path) = get("path") {
        Target::Path(path.into())
    } else {
        let (resource, subresource) = get("resource")?.split_once('/').unwrap_or((get("resource")?, ""));
        Target::Resource {
            group: get("group").unwrap_or_default().into(),
            resource: resource.into(),
            subresource: subresource.into(),
            scope: scope(get("namespace"), get("cluster").is_some()),
        }
    };
    Some(finish(get("user")?, get("verb")?, target, get("name"), get("reason")))
}

fn older(text: &str) -> Option<Denied> {
    let found = OLD_API.captures(text)?;
    let get = |name: &str| found.name(name).map(|m| m.as_str());
    let target = if let Some(path) = get("path") {
        Target::Path(path.into())
    } else {
        let (resource, group, subresource) = split_thing(get("thing")?);
        let scope = scope(get("namespace"), get("cluster").is_some());
        Target::Resource { group, resource, subresource, scope }
    };
    Some(finish(get("user")?, get("verb")?, target, get("name"), get("reason")))
}

fn finish(user: &str, verb: &str, target: Target, name: Option<&str>, reason: Option<&str>) -> Denied {
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    let class = authorizer_class(user, verb, reason);
    Denied {
        user: user.into(),
        groups: Vec::new(),
        request: Request { verb: verb.into(), target },
        name: name.filter(|name| !name.is_empty()).map(Into::into),
        reason: reason.map(Into::into),
        class,
        by_authorizer: false,
    }
}

fn scope(namespace: Option<&str>, cluster: bool) -> Scope {
    match namespace {
        Some(namespace) if !namespace.is_empty() => Scope::Namespace(namespace.into()),
        _ if cluster => Scope::Cluster,
        _ => Scope::Unknown,
    }
}

/// Texts of the Node authorizer (`plugin/pkg/auth/authorizer/node`).
const NODE_REASONS: [&str; 8] = [
    "no relationship found between node",
    "unknown node for user",
    "can only list/watch pods with spec.nodeName",
    "only its own Node object",
    "can only access node lease",
    "can only read namespaced object of this type",
    "node user cannot",
    "can only create tokens for",
];

/// Texts of AKS's Azure RBAC authorizer (guard) that deny; `does not have opinion` does not.
const AZURE_REASONS: [&str; 4] = [
    "have access to the resource in Azure",
    "Access denied for action",
    "Access denied by Azure RBAC",
    "Access denied due to Azure RBAC check failure",
];

/// What kind of refusal it is when an authorizer said no.
pub(in crate::formats) fn authorizer_class(user: &str, verb: &str, reason: Option<&str>) -> Class {
    let says = |texts: &[&str]| reason.is_some_and(|reason| texts.iter().any(|text| reason.contains(text)));
    if verb.starts_with("impersonate") {
        Class::Impersonation
    } else if user == "system:anonymous" {
        Class::Anonymous
    } else if user.starts_with("system:node:") || says(&NODE_REASONS) {
        Class::Node
    } else if says(&AZURE_REASONS) {
        Class::AzureRbac
    } else {
        Class::MissingRule
    }
}

/// What kind of refusal it is when the authorizer said yes and the answer was 403 all the same.
pub(in crate::formats) fn admission_class(message: &str) -> Class {
    if has!(message, "attempting to grant RBAC permissions not currently held")
        // Before 1.12.
        || has!(message, "attempt to grant extra privileges")
    {
        Class::Escalation
    } else if has!(message, "violates PodSecurity") {
        Class::PodSecurity
    } else if has!(message, "exceeded quota") || has!(message, "failed quota") {
        Class::Quota
    } else if has!(message, "because it is being terminated") {
        Class::NamespaceTerminating
    } else if has!(message, "admission webhook") || has!(message, "ValidatingAdmissionPolicy") {
        Class::Webhook
    } else if has!(message, "error looking up service account") {
        Class::ServiceAccountMissing
    } else if has!(message, "is not allowed to modify")
        || has!(message, "is not allowed to") && has!(message, "node")
    {
        Class::Node
    } else {
        Class::Admission
    }
}

/// Admission refusals as a client logs them, without a user: only those whose text is unmistakable.
pub(in crate::formats) fn admission_text(text: &str) -> Option<Class> {
    let class = admission_class(text);
    (class != Class::Admission && has!(text, "forbidden: ")
        || class == Class::Webhook && has!(text, "denied the request"))
    .then_some(class)
    .filter(|class| *class != Class::Admission)
}

/// `pods "x" is forbidden: …`: the thing and the name of an admission message.
pub(in crate::formats) fn forbidden_thing(text: &str) -> Option<(Target, Option<Box<str>>)> {
    let found = THING.captures(text)?;
    let (resource, group, subresource) = split_thing(found.name("thing")?.as_str());
    let name = found.name("name").map(|m| m.as_str()).filter(|name| !name.is_empty());
    Some((Target::Resource { group, resource, subresource, scope: Scope::Unknown }, name.map(Into::into)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(text: &str) -> (String, String, Class) {
        let found = denied(&plain(text.as_bytes())).unwrap();
        (found.user.to_string(), found.request.to_string(), found.class)
    }

    #[test]
    fn the_api_message_of_today() {
        let text = r#"E1123 reflector.go:1] pods "web-1" is forbidden: User "system:serviceaccount:shop:log-reader" cannot get resource "pods/log" in API group "" in the namespace "shop""#;
        assert_eq!(
            classified(text),
            (
                "system:serviceaccount:shop:log-reader".into(),
                "get pods/log in namespace shop".into(),
                Class::MissingRule
            )
        );
    }

    #[test]
    fn the_message_before_1_12_and_before_is_forbidden_was_written() {
        let old = r#"pods is forbidden: User "bob" cannot list pods in the namespace "default""#;
        assert_eq!(classified(old).1, "list pods in namespace default");
        let older = r#"Failed to list *v1.Endpoints: User "system:serviceaccount:kube-system:default" cannot list endpoints at the cluster scope. (get endpoints)"#;
        assert_eq!(classified(older).1, "list endpoints cluster-wide");
        let grouped =
            r#"statefulsets.apps is forbidden: User "u" cannot list statefulsets.apps at the cluster scope"#;
        assert_eq!(classified(grouped).1, "list statefulsets.apps cluster-wide");
    }

    #[test]
    fn quotes_may_be_escaped_by_json_logfmt_or_html() {
        for text in [
            r#"msg="endpoints is forbidden: User \"system:serviceaccount:b:prometheus\" cannot list resource \"endpoints\" in API group \"\" at the cluster scope""#,
            r#"{"log":"endpoints is forbidden: User \\\"system:serviceaccount:b:prometheus\\\" cannot list resource \\\"endpoints\\\" in API group \\\"\\\" at the cluster scope"}"#,
            r"endpoints is forbidden: User &#34;system:serviceaccount:b:prometheus&#34; cannot list resource &#34;endpoints&#34; in API group &#34;&#34; at the cluster scope",
        ] {
            assert_eq!(classified(text).1, "list endpoints cluster-wide", "{text}");
        }
    }

    #[test]
    fn the_authorizers_own_lines_of_both_ages() {
        let new = r#"RBAC: no rules authorize user "system:serviceaccount:m:agg" with groups ["system:serviceaccounts" "system:authenticated"] to "list" resource "endpoints" cluster-wide"#;
        let found = denied(new).unwrap();
        assert_eq!(found.groups, ["system:serviceaccounts", "system:authenticated"]);
        assert_eq!(found.request.to_string(), "list endpoints cluster-wide");
        let old = r#"RBAC DENY: user "u" groups ["g"] cannot "list" resource "systemnetworkpolicies.alpha.projectcalico.org" in namespace "kube-system""#;
        assert_eq!(
            denied(old).unwrap().request.to_string(),
            "list systemnetworkpolicies.alpha.projectcalico.org in namespace kube-system"
        );
        let url = r#"RBAC: no rules authorize user "u" with groups ["g"] to "get" nonResourceURL "/metrics""#;
        assert_eq!(denied(url).unwrap().request.to_string(), "get /metrics");
    }

    #[test]
    fn azure_node_anonymous_and_impersonation_refusals_are_no_missing_rule() {
        let azure = r#"nodes is forbidden: User "x" cannot list resource "nodes" in API group "" at the cluster scope: User does not have access to the resource in Azure. Update role assignment to allow access."#;
        assert_eq!(classified(azure).2, Class::AzureRbac);
        let no_opinion = r#"pods is forbidden: User "system:serviceaccount:a:b" cannot list resource "pods" in API group "" at the cluster scope: Azure does not have opinion for this user."#;
        assert_eq!(classified(no_opinion).2, Class::MissingRule);
        let node = r#"configmaps "s" is forbidden: User "system:node:n1" cannot get resource "configmaps" in API group "" in the namespace "shop": no relationship found between node 'n1' and this object"#;
        assert_eq!(classified(node).2, Class::Node);
        let anonymous = r#"forbidden: User "system:anonymous" cannot get path "/metrics""#;
        assert_eq!(classified(anonymous).2, Class::Anonymous);
        let as_other = r#"pods is forbidden: User "bob" cannot impersonate-on:user-info:list resource "pods" in API group "" in the namespace "default""#;
        assert_eq!(classified(as_other).2, Class::Impersonation);
    }

    #[test]
    fn a_dangling_role_is_the_reason_given() {
        let text = r#"cronjobs.batch is forbidden: User "u" cannot list resource "cronjobs" in API group "batch" in the namespace "legacy": RBAC: clusterrole.rbac.authorization.k8s.io "report-viewer" not found"#;
        let found = denied(text).unwrap();
        assert_eq!(found.class, Class::MissingRule);
        assert!(found.reason.unwrap().starts_with("RBAC: clusterrole"));
    }

    #[test]
    fn the_kubelets_refusal_is_its_own() {
        let text = "Forbidden (user=system:anonymous, verb=get, resource=nodes, subresource=proxy)";
        assert_eq!(classified(text).2, Class::KubeletApi);
    }

    #[test]
    fn admission_is_told_apart_by_its_text() {
        assert_eq!(
            admission_class(r#"pods "x" is forbidden: violates PodSecurity "restricted:latest": …"#),
            Class::PodSecurity
        );
        assert_eq!(admission_class("exceeded quota: cm-quota, requested: configmaps=1"), Class::Quota);
        assert_eq!(
            admission_class("unable to create new content in namespace dying because it is being terminated"),
            Class::NamespaceTerminating
        );
        assert_eq!(admission_text("nothing of the kind"), None);
    }
}
