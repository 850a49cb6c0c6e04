//! Requests to the API server, as the authorizer sees them: verb, group, resource, scope, or a path.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// Where a request for a resource applies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// In one namespace.
    Namespace(Box<str>),
    /// All namespaces, or a resource that has none.
    Cluster,
    /// The log line does not say.
    Unknown,
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// An API resource.
    Resource {
        /// API group, empty for the core group.
        group: Box<str>,
        /// Plural, lower-case: `pods`.
        resource: Box<str>,
        /// Such as `log`; empty for none.
        subresource: Box<str>,
        /// Namespace or cluster.
        scope: Scope,
    },
    /// A URL that is no resource: `/metrics`.
    Path(Box<str>),
}

/// A verb on a target. Names of objects are kept beside it, since one missing rule denies many names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct Request {
    /// In RBAC's words: `get`, `list`, `deletecollection`.
    pub verb: Box<str>,
    /// What it is applied to.
    pub target: Target,
}

impl Target {
    /// `deployments.apps/scale` or the path.
    pub fn thing(&self) -> String {
        match self {
            Self::Path(path) => path.to_string(),
            Self::Resource { group, resource, subresource, .. } => {
                let mut text = resource.to_string();
                if !group.is_empty() {
                    text.push('.');
                    text.push_str(group);
                }
                if !subresource.is_empty() {
                    text.push('/');
                    text.push_str(subresource);
                }
                text
            }
        }
    }

    /// `in namespace shop`, `cluster-wide`, or nothing for a path.
    pub fn place(&self) -> String {
        match self {
            Self::Path(_) => String::new(),
            Self::Resource { scope, .. } => match scope {
                Scope::Namespace(namespace) => format!("in namespace {namespace}"),
                Scope::Cluster => "cluster-wide".to_owned(),
                Scope::Unknown => String::new(),
            },
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.verb, self.target.thing())?;
        let place = self.target.place();
        if place.is_empty() { Ok(()) } else { write!(out, " {place}") }
    }
}

/// What the API server makes of a method and a URI (`RequestInfoFactory` in its source): paths of fewer
/// than three parts, and `/apis/<group>/<version>`, are no resources.
///
/// Gives the request and the object's name. `method` may already be a verb such as `LIST`.
pub fn from_uri(method: &str, uri: &str) -> (Request, Option<Box<str>>) {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let lower = method.to_ascii_lowercase();
    let path_request = || Request { verb: path_verb(&lower).into(), target: Target::Path(path.into()) };
    let (group, rest) = match parts.as_slice() {
        ["api", _version, rest @ ..] if !rest.is_empty() => ("", rest),
        ["apis", group, _version, rest @ ..] if !rest.is_empty() => (*group, rest),
        _ => return (path_request(), None),
    };
    let (watch_prefix, rest) = match rest {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        rest => (false, rest),
    };
    // A namespace itself is asked for within itself: its own RoleBindings count.
    let (scope, rest) = match rest {
        ["namespaces", namespace] | ["namespaces", namespace, "status" | "finalize"] => {
            (Scope::Namespace((*namespace).into()), rest)
        }
        ["namespaces", namespace, rest @ ..] => (Scope::Namespace((*namespace).into()), rest),
        rest => (Scope::Cluster, rest),
    };
    let (resource, name, subresource) = match rest {
        [resource] => (*resource, None, ""),
        [resource, name] => (*resource, Some(*name), ""),
        [resource, name, subresource, ..] => (*resource, Some(*name), *subresource),
        [] => return (path_request(), None),
    };
    let watching =
        watch_prefix || query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1" | "watch"));
    let verb = match lower.as_str() {
        "put" => "update",
        "apply" => "patch",
        "get" | "head" if watching => "watch",
        "get" | "head" if name.is_none() => "list",
        "head" => "get",
        "delete" if name.is_none() => "deletecollection",
        "connect" if subresource == "log" => "get",
        "post" | "connect" => "create",
        other => other,
    };
    let target = Target::Resource {
        group: group.into(),
        resource: resource.into(),
        subresource: subresource.into(),
        scope,
    };
    (Request { verb: verb.into(), target }, name.map(Into::into))
}

fn path_verb(method: &str) -> &str {
    match method {
        "head" => "get",
        other => other,
    }
}

/// Splits `deployments.apps/scale` as the authorizer's log prints it: resource, group, subresource.
pub fn split_thing(thing: &str) -> (Box<str>, Box<str>, Box<str>) {
    let (named, subresource) = thing.split_once('/').unwrap_or((thing, ""));
    let (resource, group) = named.split_once('.').unwrap_or((named, ""));
    // Some versions write the subresource before the group: `deployments/scale.apps`.
    let (subresource, late_group) = subresource.split_once('.').unwrap_or((subresource, ""));
    let group = if group.is_empty() { late_group } else { group };
    (resource.into(), group.into(), subresource.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http_line(method: &str, uri: &str) -> String {
        from_uri(method, uri).0.to_string()
    }

    #[test]
    fn uris_are_read_as_the_api_server_reads_them() {
        assert_eq!(
            http_line("GET", "/api/v1/namespaces/shop/configmaps"),
            "list configmaps in namespace shop"
        );
        assert_eq!(http_line("LIST", "/api/v1/pods"), "list pods cluster-wide");
        assert_eq!(http_line("GET", "/api/v1/pods?watch=true"), "watch pods cluster-wide");
        assert_eq!(
            http_line("PATCH", "/apis/apps/v1/namespaces/ci/deployments/web/scale"),
            "patch deployments.apps/scale in namespace ci"
        );
        assert_eq!(
            http_line("DELETE", "/api/v1/namespaces/ci/pods"),
            "deletecollection pods in namespace ci"
        );
        assert_eq!(http_line("GET", "/apis/apps/v1"), "get /apis/apps/v1");
        assert_eq!(http_line("GET", "/metrics"), "get /metrics");
        assert_eq!(http_line("GET", "/api/v1/namespaces/shop"), "get namespaces in namespace shop");
        assert_eq!(
            http_line("PUT", "/api/v1/namespaces/shop/finalize"),
            "update namespaces/finalize in namespace shop"
        );
    }

    #[test]
    fn things_of_authorizer_lines_are_split() {
        let (resource, group, sub) = split_thing("systemnetworkpolicies.alpha.projectcalico.org");
        assert_eq!((&*resource, &*group, &*sub), ("systemnetworkpolicies", "alpha.projectcalico.org", ""));
        let (resource, group, sub) = split_thing("pods/log");
        assert_eq!((&*resource, &*group, &*sub), ("pods", "", "log"));
    }
}
