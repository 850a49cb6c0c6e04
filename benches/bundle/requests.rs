//! Requests to the API server, as both logs know them: who asked, what became of it. One in 200 is refused.
//!
//! What a refusal looks like is read off kube-apiserver 1.36 (the project's lab dump): an authorizer's denial
//! has the decision `forbid` and an empty reason, unless a binding's role doesn't exist; admission's has
//! `allow`, for RBAC had no objection.

use std::net::Ipv4Addr;

use crate::act::{Act, act};
use crate::cluster::{Account, Fault, Node, REFUSED_ACCOUNTS, World, replica_suffix};
use crate::notation::{Moment, START};
use crate::random::{Purpose, Rng, Uuid, mix, nth, number_of};
use crate::words::Word;

/// Requests per second: a busy cluster, and what turns a number of requests into a span of time.
pub(crate) const RATE: u64 = 150;
/// Refused requests in 100 000, and how many of these are allowed by RBAC and turned away by admission.
pub(crate) const REFUSED: u64 = 500;
const TURNED_AWAY: u64 = 15;

/// The control plane's address, and its build.
const CONTROL_PLANE: Ipv4Addr = Ipv4Addr::new(10, 224, 255, 4);
pub(crate) const BUILD: &str = "v1.36.2 (linux/amd64) kubernetes/98b3519";

/// Who asks.
pub(crate) struct Caller {
    pub(crate) user: String,
    pub(crate) uid: Option<Uuid>,
    /// A JSON list.
    pub(crate) groups: String,
    /// How the caller proved who it is: the inside of the audit event's `extra`.
    pub(crate) extra: String,
    pub(crate) agent: String,
    pub(crate) ip: Ipv4Addr,
    /// How the apiserver's flow control ranks the caller: priority level, flow schema.
    pub(crate) flow: (Word, Word),
    /// Why RBAC allows what the caller asks for.
    pub(crate) reason: String,
}

pub(crate) struct Request {
    pub(crate) id: Uuid,
    pub(crate) done: Moment,
    pub(crate) took_ns: u64,
    pub(crate) executed_ns: u64,
    pub(crate) port: u64,
    pub(crate) caller: Caller,
    pub(crate) act: Act,
    pub(crate) code: u16,
    /// The message of a 403.
    pub(crate) refusal: Option<String>,
    /// RBAC's answer, which an admission refusal still has as `allow`.
    pub(crate) allowed: bool,
    /// Whether the audit policy keeps it.
    pub(crate) audited: bool,
}

impl World {
    pub(crate) fn request(&self, k: u64) -> Request {
        let mut rng = Rng::new(self.seed, Purpose::Request, k);
        let lot = rng.below(100_000);
        let audited = rng.draw() >> 32 < self.audited || lot < REFUSED;
        let mut refusal = None;
        let (caller, act) = match lot {
            ..TURNED_AWAY => {
                let app = rng.pick(&self.apps);
                let name = format!("{}-{}", app.owner, rng.suffix(5));
                refusal = Some(pod_security_message(&name, &app.name));
                (self.controller("replicaset-controller"), act("create", "v1", "pods", app.namespace, ""))
            }
            TURNED_AWAY..REFUSED => {
                let account = nth(&self.accounts, rng.below(REFUSED_ACCOUNTS));
                let act = rng.pick(&account.refused).clone();
                let mut caller = Caller { reason: String::new(), ..self.account_caller(account, k) };
                let mut message = act.forbidden(&caller.user);
                if account.fault == Fault::DanglingRole && act.namespace == account.namespace {
                    let role = format!("{}-role", account.name);
                    caller.reason =
                        format!("RBAC: clusterrole.rbac.authorization.k8s.io \"{role}\" not found");
                    message = format!("{message}: {}", caller.reason);
                }
                refusal = Some(message);
                (caller, act)
            }
            _ => self.ordinary(k, &mut rng),
        };
        let code = match (act.verb, rng.below(1000)) {
            _ if refusal.is_some() => 403,
            ("update" | "patch", 0..12) => 409,
            ("create", 0..8) if act.sub.is_empty() => 409,
            ("get", 0..45) | ("delete", 0..60) if act.named() => 404,
            ("create", _) => 201,
            _ => 200,
        };
        let id = rng.uuid();
        let took_ns = match act.verb {
            "watch" if code == 200 => act.open_s * 1_000_000_000 + rng.below(9_000_000),
            _ => rng.latency(),
        };
        Request {
            id,
            done: Moment(START * 1_000_000 + (k * 1_000_000 + rng.below(1_000_000)) / RATE),
            took_ns,
            executed_ns: match act.open_s {
                0 => took_ns - took_ns / 3 + rng.below(took_ns / 4),
                _ => rng.latency(),
            },
            // The processes on a node keep their connections open for a while.
            port: 32_768 + mix(u64::from(caller.ip.to_bits()) ^ (k / 40_000) << 40 ^ rng.below(24)) % 28_000,
            caller,
            act,
            code,
            refusal,
            allowed: !(TURNED_AWAY..REFUSED).contains(&lot),
            audited,
        }
    }

    /// A service account's caller; the token's id changes every hour, as mounted tokens do.
    pub(crate) fn account_caller(&self, account: &Account, k: u64) -> Caller {
        // Each account is used by three pods; the apiserver knows by the token which one it hears.
        let ours = u64::from(account.uid.0 as u32) ^ ((mix(k) % 3) << 33);
        let mut pod = Rng::new(self.seed, Purpose::Session, ours);
        let session = Rng::new(self.seed, Purpose::Session, ours ^ (k / RATE / 3600) << 36).uuid();
        let (namespace, name, node) = (account.namespace, &account.name, pod.pick(&self.nodes));
        let extra = [
            extra("credential-id", &format!("JTI={session}")),
            extra("node-name", &node.name),
            extra("node-uid", &node.uid.to_string()),
            extra("pod-name", &format!("{name}-{}-{}", replica_suffix(ours, 9), replica_suffix(ours, 4))),
            extra("pod-uid", &pod.uuid().to_string()),
        ];
        Caller {
            user: account.user(),
            uid: Some(account.uid),
            groups: service_account_groups(namespace),
            extra: extra.join(","),
            agent: account.agent.clone(),
            ip: node.ip,
            flow: ("workload-low", "service-accounts"),
            reason: allowed(name, &format!("ServiceAccount \"{name}/{namespace}\"")),
        }
    }

    /// A loop of kube-controller-manager, which acts under an account of its own.
    pub(crate) fn controller(&self, name: &str) -> Caller {
        let mut ours = Rng::new(self.seed, Purpose::Session, number_of(&[name]));
        let user = format!("system:serviceaccount:kube-system:{name}");
        let role = format!("system:controller:{name}");
        Caller {
            uid: Some(ours.uuid()),
            groups: service_account_groups("kube-system"),
            extra: extra("credential-id", &format!("JTI={}", ours.uuid())),
            agent: format!("kube-controller-manager/{BUILD}/{user}"),
            ip: CONTROL_PLANE,
            flow: ("workload-high", "kube-system-service-accounts"),
            reason: allowed(&role, &format!("ServiceAccount \"{name}/kube-system\"")),
            user,
        }
    }

    /// A component or a person, who shows a client certificate.
    pub(crate) fn user_caller(&self, user: &str, group: &str, agent: &str, flow: (Word, Word)) -> Caller {
        let mut ours = Rng::new(self.seed, Purpose::Session, number_of(&[user]));
        let group_too = if group.is_empty() { String::new() } else { format!("\"{group}\",") };
        Caller {
            user: user.to_owned(),
            uid: None,
            groups: format!("[{group_too}\"system:authenticated\"]"),
            extra: extra("credential-id", &format!("X509SHA256={}", ours.digest())),
            agent: agent.to_owned(),
            ip: Ipv4Addr::from_bits(CONTROL_PLANE.to_bits() + ours.below(3) as u32),
            flow,
            reason: match group {
                // Never asked: the apiserver lets this group do anything.
                "system:masters" => String::new(),
                _ => allowed(user, &format!("User \"{user}\"")),
            },
        }
    }
}

/// The kubelet of a node.
pub(crate) fn node_caller(node: &Node) -> Caller {
    Caller {
        user: format!("system:node:{}", node.name),
        uid: None,
        groups: "[\"system:nodes\",\"system:authenticated\"]".to_owned(),
        extra: extra("credential-id", &format!("X509SHA256={}", node.certificate)),
        agent: format!("kubelet/{BUILD}"),
        ip: node.ip,
        flow: ("system", "system-nodes"),
        reason: String::new(),
    }
}

/// RBAC's reason for an allowed request; bindings are called like their role here.
pub(crate) fn allowed(role: &str, subject: &str) -> String {
    format!("RBAC: allowed by ClusterRoleBinding \"{role}\" of ClusterRole \"{role}\" to {subject}")
}

fn service_account_groups(namespace: &str) -> String {
    format!(r#"["system:serviceaccounts","system:serviceaccounts:{namespace}","system:authenticated"]"#)
}

/// One entry of what the apiserver knows of a credential.
fn extra(key: &str, value: &str) -> String {
    format!(r#""authentication.kubernetes.io/{key}":["{value}"]"#)
}

fn pod_security_message(pod: &str, container: &str) -> String {
    let of = format!("(container \"{container}\" must set securityContext.");
    let or = format!("(pod or container \"{container}\" must set securityContext.");
    format!(
        "pods \"{pod}\" is forbidden: violates PodSecurity \"restricted:latest\": \
         allowPrivilegeEscalation != false {of}allowPrivilegeEscalation=false), \
         unrestricted capabilities {of}capabilities.drop=[\"ALL\"]), \
         runAsNonRoot != true {or}runAsNonRoot=true), \
         seccompProfile {or}seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    )
}
