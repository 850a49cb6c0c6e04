//! Requests that the API server refuses.

mod fix;
mod group;

super::detectors![
    rbac_missing_permission,
    rbac_escalation_denied,
    rbac_impersonation_denied,
    forbidden_not_by_rbac,
];

use super::{Finding, Need, Outcome};
use crate::cluster::Cluster;
use crate::facts::Class;

/// Refused requests whose user and reason nobody told can't rule a cause out.
fn decided(cluster: &Cluster, findings: Vec<Finding>) -> Outcome {
    let told = |(key, denial): &&(crate::facts::DenialKey, crate::facts::Denial)| {
        (key.class == Class::Unattributed).then(|| denial.count().0)
    };
    let unexplained: u64 = cluster.denials.iter().filter_map(|denial| told(&denial)).sum();
    let undecided = (findings.is_empty() && unexplained > 0).then(|| {
        format!(
            "{unexplained} requests were refused with 403, and only the audit log would tell whose and why"
        )
    });
    Outcome { findings, undecided }
}

/// Logs that would tell of a refusal.
const REQUEST_LOGS: Need = Need {
    what: "audit events or an access log of the API server",
    why: "refused requests show there, with the identity that was refused",
    command: "az monitor log-analytics query -w WORKSPACE_ID --analytics-query \"AKSAudit | where tostring(ResponseStatus.code) in ('401', '403')\" -o json > denied.json\naz monitor log-analytics query -w WORKSPACE_ID --analytics-query \"AzureDiagnostics | where Category startswith 'kube-audit' and log_s has '\\\"code\\\":403'\" -o json > denied.json   # where the first table does not exist",
    met: |cluster| cluster.facts.api_server.audit_events > 0 || cluster.facts.api_server.log_lines > 0,
};
