//! Refusals that no Role repairs, each with its true name.

use std::collections::BTreeSet;

use super::REQUEST_LOGS;
use super::group::{DenialGroup, groups};
use crate::cluster::Cluster;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, FindingState, Fix, Outcome, Severity,
};
use crate::facts::{Carrier, Class, Identity, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "forbidden-not-by-rbac",
    chapter: Chapter::Authorization,
    title: "403 or 401, not RBAC: quota, Pod Security, admission, Node authorizer, anonymous",
    needs: &[REQUEST_LOGS],
    explains: &[],
    doc: Doc {
        meaning: "401 and 403 have reasons other than a missing RBAC rule: missing or expired credentials (system:anonymous), the Node authorizer, Azure RBAC, Pod Security Admission, admission webhooks and policies, ResourceQuota ('exceeded quota'), a namespace that is terminating, a ServiceAccount that does not exist. A Role or RoleBinding does not fix these, so each is a finding of its own.",
        decision: "By the authorization decision in the audit event (a 403 of admission has decision allow), by the user, and by the text of the message. Confirmed, except for access log lines that name no user (possible), and for denials that have ended.",
        action: "Each kind has its own fix: see the finding.",
        reference: "kubernetes.io: Controlling Access to the Kubernetes API; Pod Security Admission; Resource Quotas; Using Node Authorization. learn.microsoft.com: Use Azure RBAC for Kubernetes Authorization in AKS.",
    },
    detect: Evaluation::Rule(detect),
};

const CLASSES: [Class; 12] = [
    Class::Anonymous,
    Class::Unauthenticated,
    Class::Node,
    Class::PodSecurity,
    Class::Webhook,
    Class::Quota,
    Class::NamespaceTerminating,
    Class::ServiceAccountMissing,
    Class::AzureRbac,
    Class::KubeletApi,
    Class::Admission,
    Class::Unattributed,
];

fn detect(cluster: &Cluster) -> Outcome {
    let mut groups = groups(cluster, &CLASSES);
    // Pods that a controller could not create are a cause of their own: pod-not-created.
    let refused_pods = failed_creates(cluster);
    groups.retain(|group| {
        let evidence = group.evidence();
        evidence.is_empty()
            || evidence.iter().any(|place| !refused_pods.contains(&(&*place.source, place.line)))
    });
    // Events and client texts of admission name no user. Where the audit log has the same kind of denial,
    // with the user, they add nothing.
    let observed = |class: Class| groups.iter().any(|group| group.class == class && by_audit(group));
    groups
        .iter()
        .filter(|group| named(group) || !observed(group.class))
        .filter_map(|group| finding(cluster, group))
        .collect()
}

/// Where events stand that tell of pods which could not be created.
fn failed_creates(cluster: &Cluster) -> BTreeSet<(&str, u64)> {
    let events = cluster.facts.events.of_reason("FailedCreate");
    let places = events.flat_map(|(_, tally)| tally.examples.as_slice());
    places.map(|place| (&*place.source, place.line)).collect()
}

fn by_audit(group: &DenialGroup<'_>) -> bool {
    group.denials.iter().any(|(_, denial)| denial.reported.contains_key(&Carrier::Audit))
}

fn named(group: &DenialGroup<'_>) -> bool {
    !matches!(group.identity, Identity::Client(name) if &**name == "an unnamed client")
}

fn finding(cluster: &Cluster, group: &DenialGroup<'_>) -> Option<Finding> {
    let words = words(group.class);
    let title = match group.class {
        // The identity is the one that was denied: it is the fault itself.
        Class::Unauthenticated => format!("{}: {}", words.name, group.refused_actions()),
        Class::Anonymous | Class::Node | Class::AzureRbac | Class::Unattributed => {
            format!("{}: {} ({})", words.name, group.who(), group.refused_actions())
        }
        // The identity only carried out what somebody's workload asks for.
        Class::ServiceAccountMissing => {
            let missing = group.reasons().into_iter().find_map(|reason| {
                Some(reason.split_once("service account ")?.1.split(':').next()?.to_owned())
            });
            format!(
                "ServiceAccount {} not found: pods that use it cannot be created",
                missing.unwrap_or_default()
            )
        }
        _ => format!("{}: {} by {}", words.name, group.refused_actions(), group.who()),
    };
    let about = format!("{} {}", words.slug, group.identity.label());
    let mut finding = Finding::new(DETECTOR.id, &about, title, group.evidence())?;
    group.describe(cluster, &mut finding);
    let quiet = group.quiet_since(cluster);
    let ended = quiet.filter(|_| !group.by_api_server());
    // Of a request that was refused once nobody knows whether it would be still.
    let known = ended.is_some() || quiet.is_none() && group.count().0 > 1;
    finding.state = FindingState::of(group.span(cluster).filter(|_| known).map(|_| ended.is_some()));
    finding.severity = if ended.is_some() { Severity::Info } else { words.severity };
    finding.confidence = if group.class == Class::Unattributed || ended.is_some() {
        Confidence::Possible
    } else {
        Confidence::Confirmed
    };
    let ended = ended.map(|silence| {
        format!(
            " Not seen in the last {} of the logs: it has probably ended by itself.",
            time::show_length(silence)
        )
    });
    let reason =
        group.reasons().into_iter().next().map(|reason| format!(" Message: {reason}")).unwrap_or_default();
    finding.cause = format!("{}{reason}{}", words.cause, ended.unwrap_or_default());
    finding.details.authorization.refused_by = Some(words.slug.to_string());
    finding.fix = Fix { text: words.fix.to_owned(), ..Fix::default() };
    finding.verify = vec![words.verify.to_owned()];
    Some(finding)
}

struct Words {
    slug: &'static str,
    name: &'static str,
    severity: Severity,
    cause: &'static str,
    fix: &'static str,
    verify: &'static str,
}

fn words(class: Class) -> Words {
    let repeat =
        "kubectl get --raw /metrics | grep 'apiserver_request_total.*code=\"403\"'   # no longer rises";
    match class {
        Class::Anonymous => Words {
            slug: "anonymous",
            name: "Request without credentials (403)",
            severity: Severity::Low,
            cause: "The request carried no credentials, so the API server treated it as system:anonymous.",
            fix: "Send a token or certificate: a pod needs its ServiceAccount token mounted, a client its kubeconfig. Probes and scanners that get / or /version can be ignored. Never grant roles to system:anonymous: that opens them to everyone who reaches the API server.",
            verify: "kubectl auth whoami   # with the same credentials: a user other than system:anonymous",
        },
        Class::Unauthenticated => Words {
            slug: "unauthenticated",
            name: "401 Unauthorized, credentials not accepted",
            severity: Severity::Low,
            cause: "The API server did not accept the token or certificate. Usual reasons: it has expired, is of another cluster, or was revoked.",
            fix: "Renew the credentials: users get a new kubeconfig or token (AKS: `az aks get-credentials --overwrite-existing`, kubelogin with Microsoft Entra ID); a pod with an expired ServiceAccount token with `kubectl rollout restart` of its workload.",
            verify: "kubectl auth whoami   # prints the user",
        },
        Class::Node => Words {
            slug: "node-authorizer",
            name: "Node authorizer denied a request",
            severity: Severity::Low,
            cause: "A kubelet requested an object that is not related to its node, or a label that nodes cannot set. The Node authorizer allows a kubelet only what its own pods use.",
            fix: "Usually no action needed: this protection is intended. If a pod of the node lacks a Secret or ConfigMap, check that its spec names it. Do not bind roles to system:node users.",
            verify: "kubectl get nodes   # the node is Ready",
        },
        Class::PodSecurity => Words {
            slug: "pod-security",
            name: "Pod Security Admission rejects pods",
            severity: Severity::Medium,
            cause: "The pod violates the Pod Security Standard that its namespace enforces; the identity itself is allowed to create pods.",
            fix: "Change the securityContext of the pod as the message says. If the pod must be privileged, lower the label pod-security.kubernetes.io/enforce of the namespace: that lowers the protection for every pod in it.",
            verify: "kubectl get events -A --field-selector reason=FailedCreate   # no new ones",
        },
        Class::Webhook => Words {
            slug: "admission-webhook",
            name: "Admission webhook or policy denied the request",
            severity: Severity::Medium,
            cause: "An admission webhook or policy denied the object (on AKS often Azure Policy with Gatekeeper).",
            fix: "Change the object to comply with the policy that the message names, or exclude its namespace in the policy assignment.",
            verify: repeat,
        },
        Class::Quota => Words {
            slug: "quota",
            name: "ResourceQuota exceeded",
            severity: Severity::Medium,
            cause: "The object exceeds the ResourceQuota of its namespace.",
            fix: "Delete objects that are no longer needed, or raise the quota that the message names.",
            verify: "kubectl describe resourcequota -A   # Used is below Hard",
        },
        Class::NamespaceTerminating => Words {
            slug: "namespace-terminating",
            name: "Namespace is terminating",
            severity: Severity::Low,
            cause: "Objects cannot be created in a namespace that is terminating.",
            fix: "Wait until the namespace is gone, or find what blocks its deletion: `kubectl get namespace NAME -o yaml` shows finalizers and conditions. Stop whatever still creates objects in it.",
            verify: "kubectl get namespaces   # none is Terminating",
        },
        Class::ServiceAccountMissing => Words {
            slug: "service-account-missing",
            name: "ServiceAccount of a pod template not found",
            severity: Severity::High,
            cause: "serviceAccountName of the pod template names a ServiceAccount that does not exist in the namespace, so its pods cannot be created (FailedCreate).",
            fix: "Correct serviceAccountName in the pod template, or create the ServiceAccount that the message names.",
            verify: "kubectl get events -A --field-selector reason=FailedCreate   # no new ones",
        },
        Class::AzureRbac => Words {
            slug: "azure-rbac",
            name: "Azure RBAC denies access",
            severity: Severity::High,
            cause: "The cluster uses Azure RBAC for Kubernetes authorization, and no Azure role assignment allows the request.",
            fix: "Assign an Azure role with `az role assignment create`: Azure Kubernetes Service RBAC Reader or RBAC Writer on CLUSTER_ID/namespaces/NAMESPACE for a namespace; cluster-scoped resources need a custom role, or RBAC Cluster Admin on CLUSTER_ID, which allows everything. Role assignments take up to five minutes.",
            verify: "kubectl auth can-i --list   # as that user: lists the request",
        },
        Class::KubeletApi => Words {
            slug: "kubelet-api",
            name: "Kubelet API access forbidden (nodes/proxy, nodes/metrics)",
            severity: Severity::Low,
            cause: "A client called the kubelet API (port 10250) without rights to nodes/metrics, nodes/stats, nodes/proxy or the like.",
            fix: "Grant the client's ServiceAccount get on nodes/metrics or nodes/stats, and let it send its token. Avoid nodes/proxy: it allows commands in any pod of the node.",
            verify: repeat,
        },
        Class::Unattributed => Words {
            slug: "unattributed",
            name: "403 in the access log, user unknown",
            severity: Severity::Low,
            cause: "The access log has 403 responses. It names the client program, not the user, and not whether RBAC or admission denied the request.",
            fix: "Get the audit log of the same time: it has the user and the reason.",
            verify: repeat,
        },
        _ => Words {
            slug: "admission",
            name: "Admission plugin denied the request",
            severity: Severity::Low,
            cause: "An admission plugin denied the request after the authorizer had allowed it.",
            fix: "Change the object as the message says.",
            verify: repeat,
        },
    }
}
