//! Requests that the API server denies: 403 Forbidden and 401 Unauthorized.

mod fix;
mod forbidden_not_by_rbac;
mod group;
mod near_miss;
mod rbac_api_group_wrong;
mod rbac_binding_in_another_namespace;
mod rbac_bound_in_namespace_only;
mod rbac_escalation_denied;
mod rbac_impersonation_denied;
mod rbac_missing_permission;
mod rbac_path_not_covered;
mod rbac_pod_uses_another_account;
mod rbac_resource_misspelt;
mod rbac_resource_names_cannot_match;
mod rbac_role_does_not_exist;
mod rbac_role_is_empty;
mod rbac_role_not_aggregated;
mod rbac_subject_does_not_match;
mod rbac_subresource_missing;
mod rbac_verb_missing;
mod repair;

super::detectors![
    rbac_binding_in_another_namespace,
    rbac_subject_does_not_match,
    rbac_pod_uses_another_account,
    rbac_verb_missing,
    rbac_api_group_wrong,
    rbac_subresource_missing,
    rbac_resource_misspelt,
    rbac_resource_names_cannot_match,
    rbac_bound_in_namespace_only,
    rbac_role_does_not_exist,
    rbac_role_is_empty,
    rbac_role_not_aggregated,
    rbac_path_not_covered,
    rbac_missing_permission,
    rbac_escalation_denied,
    rbac_impersonation_denied,
    forbidden_not_by_rbac,
];

use super::{Need, Outcome};
use crate::cluster::Cluster;
use crate::facts::Class;

/// Denied requests of unknown user and reason: no cause can be ruled out with them.
fn decided(cluster: &Cluster, outcome: Outcome) -> Outcome {
    let observed = |(key, denial): &&(crate::facts::DenialKey, crate::facts::Denial)| {
        (key.class == Class::Unattributed).then(|| denial.count().0)
    };
    let unexplained: u64 = cluster.denials.iter().filter_map(|denial| observed(&denial)).sum();
    let undecided = (outcome.findings.is_empty() && unexplained > 0).then(|| {
        format!(
            "{} got 403, and only the audit log would show the user and the reason",
            if unexplained == 1 { "1 request".to_owned() } else { format!("{unexplained} requests") }
        )
    });
    Outcome { undecided, ..outcome }
}

/// How the near misses are decided.
const NEAREST: &str = "For each denied request the roles and bindings of the bundle are evaluated as the API server does. When none allows it, the nearest one is reported with what is wrong in it: a role that does not exist, a rule that lacks one thing, a subject that is nearly the identity, a binding in another namespace or of too small a scope. A request counts for one such cause only. Bindings of groups that begin with system: (everyone has them) do not count as near.";

/// Roles and bindings, to say why.
const RBAC_OBJECTS: Need = Need {
    what: "roles and bindings of all namespaces",
    why: "only they show why a request was denied",
    command: "kubectl get clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts -A -o json > rbac.json",
    met: |cluster| cluster.facts.rbac_not_listed(true).is_empty(),
};

/// Pods, and the service accounts that they could use.
const PODS_AND_ACCOUNTS: Need = Need {
    what: "the pods and ServiceAccounts of all namespaces",
    why: "the spec of a pod shows its ServiceAccount",
    command: "kubectl get pods,serviceaccounts -A -o json > pods-and-accounts.json",
    met: |cluster| cluster.facts.has_list("Pod") && cluster.facts.has_list("ServiceAccount"),
};

/// Logs that would hold a denied request.
const REQUEST_LOGS: Need = Need {
    what: "audit events or an access log of the API server",
    why: "denied requests show there, with the identity",
    command: "az monitor log-analytics query -w WORKSPACE_ID --analytics-query \"AKSAudit | where tostring(ResponseStatus.code) in ('401', '403')\" -o json > denied.json\naz monitor log-analytics query -w WORKSPACE_ID --analytics-query \"AzureDiagnostics | where Category startswith 'kube-audit' and log_s has '\\\"code\\\":403'\" -o json > denied.json   # where the first table does not exist",
    met: |cluster| cluster.facts.api_server.audit_events > 0 || cluster.facts.api_server.log_lines > 0,
};
