//! Requests that the API server refuses.

mod fix;
mod group;

super::detectors![
    rbac_missing_permission,
    rbac_escalation_denied,
    rbac_impersonation_denied,
    forbidden_not_by_rbac,
];

use super::Need;

/// Logs that would tell of a refusal.
const REQUEST_LOGS: Need = Need {
    what: "audit events or an access log of the API server",
    why: "refused requests show there, with the identity that was refused",
    command: "az monitor log-analytics query -w <workspace> --analytics-query \"AKSAudit | where ResponseStatus.code in (401, 403)\" -o json > denied.json   # or AzureDiagnostics | where Category == 'kube-audit'",
    met: |cluster| cluster.facts.api_server.audit_events > 0 || cluster.facts.api_server.log_lines > 0,
};
