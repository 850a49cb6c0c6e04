//! The same refusals, told by one kind of log alone: each gives the same denials, as far as it carries them,
//! and what it can't carry is said.

use crate::common;
use std::fmt::Write;

use kubetriage::report::Redacted;

/// Identity, verb, resource, group, subresource, namespace.
const DENIED: [(&str, &str, &str, &str, &str, &str); 4] = [
    ("system:serviceaccount:shop:cart", "list", "configmaps", "", "", "shop"),
    ("system:serviceaccount:ci:scaler", "patch", "deployments", "apps", "scale", "ci"),
    ("system:serviceaccount:shop:reader", "get", "pods", "", "log", "shop"),
    ("ann", "list", "nodes", "", "", ""),
];

fn told(name: &str, text: &str) -> (Vec<String>, Redacted) {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join(name), text).unwrap();
    let found = common::diagnosis(temp.path());
    let mut all: Vec<String> = found
        .findings
        .iter()
        .filter(|finding| finding.details.authorization.bundle_rbac.is_some())
        .flat_map(|finding| {
            let details = &finding.details.authorization;
            let identity = details.identity.as_ref().unwrap();
            details.permissions.iter().map(move |permission| format!("{identity} {}", permission.text))
        })
        .collect();
    all.sort();
    (all, found)
}

fn expected() -> Vec<String> {
    let mut all: Vec<String> = DENIED
        .iter()
        .map(|(user, verb, resource, group, sub, namespace)| {
            let group = if group.is_empty() { String::new() } else { format!(".{group}") };
            let sub = if sub.is_empty() { String::new() } else { format!("/{sub}") };
            let place = if namespace.is_empty() {
                "cluster-wide".to_owned()
            } else {
                format!("in namespace {namespace}")
            };
            format!("{user} {verb} {resource}{group}{sub} {place}")
        })
        .collect();
    all.sort();
    all
}

fn message((user, verb, resource, group, sub, namespace): &(&str, &str, &str, &str, &str, &str)) -> String {
    let thing = if sub.is_empty() { (*resource).to_owned() } else { format!("{resource}/{sub}") };
    let about = if group.is_empty() { (*resource).to_owned() } else { format!("{resource}.{group}") };
    let place = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{namespace}\"")
    };
    format!(
        "{about} is forbidden: User \"{user}\" cannot {verb} resource \"{thing}\" in API group \"{group}\" {place}"
    )
}

#[test]
fn audit_alone_tells_all() {
    let mut log = String::new();
    for (at, denied) in DENIED.iter().enumerate() {
        let (user, verb, resource, group, sub, namespace) = denied;
        let mut reference = serde_json::json!({"resource": resource, "apiVersion": "v1"});
        for (key, value) in [("apiGroup", group), ("subresource", sub), ("namespace", namespace)] {
            if !value.is_empty() {
                reference[key] = serde_json::json!(value);
            }
        }
        let event = serde_json::json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": at.to_string(), "stage": "ResponseComplete", "requestURI": "/x", "verb": verb,
            "user": {"username": user, "groups": ["system:authenticated"]}, "objectRef": reference, "responseStatus": {"code": 403, "reason": "Forbidden"},
            "requestReceivedTimestamp": "2026-11-23T10:00:00.000000Z", "annotations": {"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": ""},
        });
        let _ = writeln!(log, "{event}");
    }
    assert_eq!(told("a", &log).0, expected());
}

#[test]
fn the_authorizers_own_lines_tell_all() {
    let mut log = String::new();
    for (user, verb, resource, group, sub, namespace) in DENIED {
        let group = if group.is_empty() { String::new() } else { format!(".{group}") };
        let sub = if sub.is_empty() { String::new() } else { format!("/{sub}") };
        let place = if namespace.is_empty() {
            "cluster-wide".to_owned()
        } else {
            format!("in namespace \"{namespace}\"")
        };
        let _ = writeln!(
            log,
            "I1123 10:00:00.000000       1 rbac.go:118] RBAC: no rules authorize user \"{user}\" with groups [\"system:authenticated\"] to \"{verb}\" resource \"{resource}{group}{sub}\" {place}"
        );
    }
    assert_eq!(told("a", &log).0, expected());
}

#[test]
fn the_errors_of_clients_tell_all() {
    let log: String = DENIED.iter().fold(String::new(), |mut log, denied| {
        let _ = writeln!(
            log,
            "E1123 10:00:00.000000       1 reflector.go:138] pkg/x.go:167: Failed to watch: {}",
            message(denied)
        );
        log
    });
    assert_eq!(told("a", &log).0, expected());
}

#[test]
fn container_insights_rows_tell_all() {
    let mut csv = "TimeGenerated [UTC],PodName,PodNamespace,LogMessage\n".to_owned();
    for denied in &DENIED {
        let _ =
            writeln!(csv, "\"11/23/2026, 10:00:00.000 AM\",p,n,\"{}\"", message(denied).replace('"', "\"\""));
    }
    assert_eq!(told("a.csv", &csv).0, expected());
}

#[test]
fn the_access_log_tells_what_and_says_that_it_does_not_tell_who() {
    let mut log = String::new();
    for (at, (_, verb, resource, group, sub, namespace)) in DENIED.iter().enumerate() {
        let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
        let place = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
        let rest = if sub.is_empty() { String::new() } else { format!("/x/{sub}") };
        let _ = writeln!(
            log,
            "I1123 10:00:00.000000       1 httplog.go:134] \"HTTP\" verb=\"{}\" URI=\"{root}{place}/{resource}{rest}\" latency=\"1ms\" userAgent=\"app{at}/v1\" audit-ID=\"{at}\" srcIP=\"10.0.0.1:1\" resp=403",
            verb.to_uppercase()
        );
    }
    let (missing, found) = told("a", &log);
    assert!(missing.is_empty(), "nobody may be accused: {missing:?}");
    let text: Vec<String> = found
        .findings
        .iter()
        .flat_map(|finding| &finding.details.authorization.permissions)
        .map(|permission| permission.text.clone())
        .collect();
    for (_, verb, resource, ..) in DENIED {
        assert!(
            text.iter().any(|item| item.starts_with(&format!("{verb} {resource}"))),
            "{verb} {resource} is not among {text:?}"
        );
    }
    assert!(found.summary.contains("only the audit log would show"), "{}", found.summary);
}
