//! Refusals that no Role repairs, each with its true name.

use super::REQUEST_LOGS;
use super::group::{DenialGroup, groups};
use crate::cluster::Cluster;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Outcome, Severity};
use crate::facts::{Carrier, Class, Identity, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "forbidden-not-by-rbac",
    chapter: Chapter::Authorization,
    title: "A request is refused, and not for want of an RBAC rule",
    guide: &["4.8"],
    needs: &[REQUEST_LOGS],
    explains: &[],
    doc: Doc {
        meaning: "Many things answer 401 or 403: missing or expired credentials, the Node authorizer, Azure RBAC, Pod Security, admission webhooks and policies, quotas, a namespace that is being deleted, a service account that does not exist. No Role or RoleBinding repairs these, so they are kept apart and named.",
        decision: "By the authorizer's decision in the audit event (an admission refusal is a 403 that the authorizer allowed), by the user, and by the text of the reason.",
        action: "Each kind has its own remedy: see the finding.",
        reference: "Kubernetes documentation: Controlling access to the Kubernetes API; Pod Security Admission; Resource Quotas; Using Node Authorization. AKS: Use Azure RBAC for Kubernetes authorization.",
    },
    detect,
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
    let groups = groups(cluster, &CLASSES);
    // Events and client texts of admission name no user. Where the audit log tells of the same kind of
    // refusal, with the user, they add nothing.
    let observed = |class: Class| groups.iter().any(|group| group.class == class && by_audit(group));
    groups
        .iter()
        .filter(|group| named(group) || !observed(group.class))
        .filter_map(|group| finding(cluster, group))
        .collect::<Vec<_>>()
        .into()
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
        // The identity is the one that was refused: it is the fault itself.
        Class::Anonymous | Class::Unauthenticated | Class::Node | Class::AzureRbac | Class::Unattributed => {
            format!("{}: {} ({})", words.name, group.who(), group.refused_actions())
        }
        // The identity only carried out what somebody's workload asks for.
        Class::ServiceAccountMissing => {
            let missing = group.reasons().into_iter().find_map(|reason| {
                Some(reason.split_once("service account ")?.1.split(':').next()?.to_owned())
            });
            format!(
                "Service account {} does not exist, pods that name it can't be made",
                missing.unwrap_or_default()
            )
        }
        _ => format!("{}: {}, asked by {}", words.name, group.refused_actions(), group.who()),
    };
    let about = format!("{} {}", words.slug, group.identity.label());
    let mut finding = Finding::new(DETECTOR.id, &about, title, group.evidence())?;
    group.describe(cluster, &mut finding);
    let ended = group.quiet_since(cluster).filter(|_| !group.by_api_server());
    finding.severity = if ended.is_some() { Severity::Info } else { words.severity };
    finding.confidence = if group.class == Class::Unattributed || ended.is_some() {
        Confidence::Possible
    } else {
        Confidence::Confirmed
    };
    let ended = ended.map(|silence| {
        format!(
            " Not seen again in the {} of logs after it: probably ended by itself.",
            time::show_length(silence)
        )
    });
    let reason =
        group.reasons().into_iter().next().map(|reason| format!(" The answer: {reason}")).unwrap_or_default();
    finding.cause = format!("{}{reason}{}", words.cause, ended.unwrap_or_default());
    finding.detail("refused_by", words.slug);
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
    let repeat = "Repeat the request: it is no longer answered with 403.";
    match class {
        Class::Anonymous => Words {
            slug: "anonymous",
            name: "Request without credentials",
            severity: Severity::Low,
            cause: "No credentials were sent, or none that the API server knows: the request counted as system:anonymous.",
            fix: "Send a token or certificate: a pod needs its service account token mounted, a tool needs its kubeconfig. Probes and scanners that ask for / or /version may be ignored. Never grant roles to system:anonymous.",
            verify: "kubectl auth whoami   # with the same credentials names a user other than system:anonymous",
        },
        Class::Unauthenticated => Words {
            slug: "unauthenticated",
            name: "Credentials refused (401)",
            severity: Severity::Low,
            cause: "A token or certificate was sent and not accepted: expired, of another cluster, or revoked.",
            fix: "Renew the credentials: az aks get-credentials --overwrite-existing for people, restart the pod for service account tokens older than their lifetime, kubelogin for Entra ID.",
            verify: "kubectl auth whoami   # answers with a user",
        },
        Class::Node => Words {
            slug: "node-authorizer",
            name: "Node authorizer refuses a node",
            severity: Severity::Low,
            cause: "A node asked for an object that is not related to it, or for a label that nodes may not set. Nodes may read only what their own pods use.",
            fix: "Usually nothing: this is the protection working. If the node is healthy and its pods lack a secret or config map, check that the pod names it. Don't bind roles to system:node users.",
            verify: "kubectl get nodes   # the node is Ready",
        },
        Class::PodSecurity => Words {
            slug: "pod-security",
            name: "Pod Security refuses pods",
            severity: Severity::Medium,
            cause: "The pod violates the Pod Security level that its namespace enforces; the identity itself is allowed to create pods.",
            fix: "Change the pod's securityContext as the message says, or lower the label pod-security.kubernetes.io/enforce of the namespace if the pod must be privileged.",
            verify: "kubectl get events -A --field-selector reason=FailedCreate   # no new ones",
        },
        Class::Webhook => Words {
            slug: "admission-webhook",
            name: "Admission policy refuses requests",
            severity: Severity::Medium,
            cause: "An admission webhook or policy (on AKS often Azure Policy, through Gatekeeper) denied the object.",
            fix: "Change the object to satisfy the policy that the message names, or exempt its namespace in the policy assignment.",
            verify: repeat,
        },
        Class::Quota => Words {
            slug: "quota",
            name: "Resource quota is used up",
            severity: Severity::Medium,
            cause: "The namespace's ResourceQuota leaves no room for the object.",
            fix: "Delete what is no longer needed, or raise the quota that the message names.",
            verify: "kubectl describe resourcequota -A   # used is below hard",
        },
        Class::NamespaceTerminating => Words {
            slug: "namespace-terminating",
            name: "Namespace is being deleted",
            severity: Severity::Low,
            cause: "Nothing can be created in a namespace that is being deleted.",
            fix: "Wait until the namespace is gone, or find what holds it: kubectl get namespace <name> -o yaml shows the finalizers and conditions. Stop whatever keeps writing to it.",
            verify: "kubectl get namespaces   # none is Terminating",
        },
        Class::ServiceAccountMissing => Words {
            slug: "service-account-missing",
            name: "Pods name a service account that does not exist",
            severity: Severity::High,
            cause: "The pod template names a service account that does not exist in its namespace, so no pod can be made from it.",
            fix: "Correct serviceAccountName in the pod template, or create the service account that the message names.",
            verify: "kubectl get events -A --field-selector reason=FailedCreate   # no new ones",
        },
        Class::AzureRbac => Words {
            slug: "azure-rbac",
            name: "Azure RBAC refuses a user",
            severity: Severity::High,
            cause: "The cluster uses Azure RBAC for Kubernetes authorization, and no Azure role assignment allows this. A Kubernetes RoleBinding would not be asked.",
            fix: "Assign an Azure role on the cluster or the namespace: az role assignment create --assignee <user or group> --role 'Azure Kubernetes Service RBAC Reader' --scope <cluster resource id>[/namespaces/<namespace>]. Assignments take up to five minutes.",
            verify: "kubectl auth can-i --list   # as that user",
        },
        Class::KubeletApi => Words {
            slug: "kubelet-api",
            name: "Kubelet refuses access to its API",
            severity: Severity::Low,
            cause: "Someone called a kubelet (port 10250) without a right to nodes/proxy, nodes/metrics or the like.",
            fix: "Give the scraper's service account nodes/metrics or nodes/stats, and make it send its token.",
            verify: repeat,
        },
        Class::Unattributed => Words {
            slug: "unattributed",
            name: "403 in the access log, user not told",
            severity: Severity::Low,
            cause: "The access log shows that requests were refused. It names the program, not the user, and not whether RBAC or admission refused.",
            fix: "Ask for the audit log of the same time: it names the user and the reason.",
            verify: repeat,
        },
        _ => Words {
            slug: "admission",
            name: "Admission refuses requests",
            severity: Severity::Low,
            cause: "An admission plugin refused the request after the authorizer had allowed it.",
            fix: "The message says what is wrong with the object.",
            verify: repeat,
        },
    }
}
