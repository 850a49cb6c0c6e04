//! What a request wants, and how the logs word it: klog's HTTP method and URI, RBAC's refusal.

use crate::words::{CLUSTER_WIDE, Refusal, Scope, Word};

/// A verb on an object, or on a path that is none.
#[derive(Clone, Default)]
pub(crate) struct Act {
    /// As RBAC and the audit log call it; klog prints the HTTP method instead of some.
    pub(crate) verb: Word,
    pub(crate) group: Word,
    pub(crate) version: Word,
    pub(crate) resource: Word,
    pub(crate) sub: Word,
    pub(crate) namespace: String,
    pub(crate) name: String,
    query: String,
    /// How long a watch stays open, in seconds.
    pub(crate) open_s: u64,
    /// Of a request that is for no resource, such as `/healthz`.
    pub(crate) path: Word,
}

/// `api` is the group and version as manifests have it (`v1`, `apps/v1`), `resource` names a subresource as
/// RBAC does (`pods/log`).
pub(crate) fn act(verb: Word, api: Word, resource: Word, namespace: &str, name: impl Into<String>) -> Act {
    let (group, version) = api.split_once('/').unwrap_or(("", api));
    let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
    let namespace = if CLUSTER_WIDE.contains(&resource) { "" } else { namespace }.to_owned();
    Act { verb, group, version, resource, sub, namespace, name: name.into(), ..Act::default() }
}

impl Act {
    pub(crate) fn path(path: Word) -> Self {
        Self { verb: "get", path, ..Self::default() }
    }

    pub(crate) fn query(self, query: impl Into<String>) -> Self {
        Self { query: query.into(), ..self }
    }

    /// A watch as an informer opens it: from a revision on, for five to ten minutes.
    pub(crate) fn watching(self, open_s: u64, revision: u64) -> Self {
        let (minutes, seconds, selector) = (open_s / 60, open_s % 60, &self.query);
        let query = format!(
            "allowWatchBookmarks=true{selector}&resourceVersion={revision}&timeout={minutes}m{seconds}s&timeoutSeconds={open_s}&watch=true"
        );
        Self { query, open_s, ..self }
    }

    /// The act that an account of this namespace is refused.
    pub(crate) fn refused(&(verb, api, resource, scope): &Refusal, namespace: &str, account: &str) -> Self {
        let thing = account.split('-').next().unwrap_or_default();
        let (namespace, name) = match (scope, resource.split('/').next()) {
            (Scope::Cluster, _) => ("", String::new()),
            (Scope::Namespace, _) => (namespace, String::new()),
            (Scope::Object, Some("pods")) => (namespace, format!("{thing}-api-7c9f6d5b84-x2k8w")),
            (Scope::Object, Some("secrets")) => (namespace, format!("{thing}-credentials")),
            (Scope::Object, Some("configmaps")) => (namespace, format!("{thing}-settings")),
            (Scope::Object, _) => (namespace, format!("{thing}-api")),
        };
        act(verb, api, resource, namespace, name).query(match (verb, resource) {
            ("list", _) => "limit=500",
            ("watch", _) => "allowWatchBookmarks=true&timeoutSeconds=300&watch=true",
            (_, "pods/exec") => "command=sh&stdin=true&stdout=true&tty=true",
            (_, "pods/log") => "tailLines=200",
            _ => "",
        })
    }

    /// Whether the path names one object; RBAC and its messages go by that.
    pub(crate) fn named(&self) -> bool {
        !self.name.is_empty() && (self.verb != "create" || !self.sub.is_empty())
    }

    /// As klog's access log has it: the HTTP method, but `LIST`, `WATCH` and `CONNECT` by their verb.
    pub(crate) fn method(&self) -> Word {
        match self.verb {
            "list" => "LIST",
            "watch" => "WATCH",
            "create" if self.sub == "exec" => "CONNECT",
            "create" => "POST",
            "update" => "PUT",
            "patch" => "PATCH",
            "delete" | "deletecollection" => "DELETE",
            _ => "GET",
        }
    }

    pub(crate) fn uri(&self) -> String {
        let mut uri = self.path.to_owned();
        if self.path.is_empty() {
            let root = if self.group.is_empty() { "/api" } else { "/apis" };
            let namespaces = if self.namespace.is_empty() { "" } else { "namespaces" };
            let name = if self.named() { &self.name } else { "" };
            let (group, version, resource, sub) = (self.group, self.version, self.resource, self.sub);
            uri = joined(&[root, group, version, namespaces, &self.namespace, resource, name, sub], "/");
        }
        if !self.query.is_empty() {
            uri = uri + "?" + &self.query;
        }
        uri
    }

    /// `deployments.apps`, as messages call a resource.
    pub(crate) fn qualified(&self) -> String {
        joined(&[self.resource, self.group], ".")
    }

    /// `pods/log`, as RBAC calls a resource.
    pub(crate) fn rbac_resource(&self) -> String {
        joined(&[self.resource, self.sub], "/")
    }

    /// The message of RBAC's refusal, word by word as kube-apiserver 1.36 gave it in the lab.
    pub(crate) fn forbidden(&self, user: &str) -> String {
        let name = if self.named() { format!(" \"{}\"", self.name) } else { String::new() };
        let place = match self.namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let (what, verb, resource, group) = (self.qualified(), self.verb, self.rbac_resource(), self.group);
        format!(
            "{what}{name} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}"
        )
    }
}

/// The parts that aren't empty.
fn joined(parts: &[&str], by: &str) -> String {
    parts.iter().copied().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(by)
}
