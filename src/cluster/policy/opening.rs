//! The smallest policy that would let a connection pass, proved before it is shown.

use std::fmt::Write;

use super::{Answer, Direction, End, Policies, Policy, PolicyVerdict, Socket};
use crate::facts::{Key, Labels, NetworkPolicy};

/// Policies to add, one for each side that refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// YAML, for `kubectl apply`.
    pub manifests: Vec<String>,
    /// It takes more than the two pods, because they have no label of their own.
    pub wide: bool,
}

/// Labels that tell one copy of a pod from another.
const VOLATILE: &[&str] = &[
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
    "job-name",
    "batch.kubernetes.io/job-name",
];
/// Labels by which workloads are named, best first.
const NAMING: &[&str] = &["app.kubernetes.io/name", "app", "k8s-app", "name", "component"];

/// The labels by which to select a pod: the one that names its workload, or all that last.
pub(super) fn naming(labels: &Labels) -> Vec<(&str, &str)> {
    if let Some((key, value)) = NAMING.iter().find_map(|key| labels.get(key).map(|value| (*key, &**value))) {
        let mut ours = vec![(key, value)];
        ours.extend(
            labels.get("app.kubernetes.io/instance").map(|value| ("app.kubernetes.io/instance", &**value)),
        );
        return ours;
    }
    let lasting = labels.iter().filter(|(key, _)| !VOLATILE.contains(&&***key));
    lasting.map(|(key, value)| (&**key, &**value)).collect()
}

/// A selector in YAML, as a flow mapping that needs no indentation.
fn selector(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return "{}".to_owned();
    }
    let pairs: Vec<String> =
        labels.iter().map(|(key, value)| format!("{}: {}", quoted(key), quoted(value))).collect();
    format!("{{ matchLabels: {{ {} }} }}", pairs.join(", "))
}

/// A YAML string; names come from the bundle.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

impl Policies {
    /// What to add so that a connection passes; nothing when it passes already, when it can't be told, or when no
    /// policy would help.
    pub fn opening(&self, from: &End<'_>, to: &End<'_>, sockets: &[Socket]) -> Option<Opening> {
        let verdicts: Vec<PolicyVerdict> =
            sockets.iter().map(|socket| self.evaluate(from, to, *socket)).collect();
        let mut opening = Opening { manifests: Vec::new(), wide: false };
        let mut added: Vec<Policy> = Vec::new();
        for direction in [Direction::Egress, Direction::Ingress] {
            let refused = sockets.iter().zip(&verdicts);
            let refused = refused.filter(|(_, verdict)| verdict.side(direction).answer != Answer::Yes);
            let refused: Vec<Socket> = refused.map(|(socket, _)| *socket).collect();
            if refused.is_empty() {
                continue;
            }
            let (ours, peer) = match direction {
                Direction::Egress => (from, to),
                Direction::Ingress => (to, from),
            };
            let End::Pod(pod) = ours else { return None };
            let own_labels = naming(pod.labels?);
            opening.wide |= own_labels.is_empty();
            let yaml = manifest(direction, ours, &own_labels, peer, &refused, &mut opening.wide)?;
            let object: NetworkPolicy = serde_saphyr::from_str(&yaml).ok()?;
            let key = Key::new(object.metadata.namespace.clone(), object.metadata.name.clone());
            added.push(Policy::compile(&key, &object));
            opening.manifests.push(yaml);
        }
        if added.is_empty() {
            return None;
        }
        let passes = |socket: &Socket| self.evaluate_with(&added, from, to, *socket).answer() == Answer::Yes;
        sockets.iter().all(passes).then_some(opening)
    }

    /// Whether a connection would pass with further policies.
    fn evaluate_with(&self, added: &[Policy], from: &End<'_>, to: &End<'_>, socket: Socket) -> PolicyVerdict {
        let mut verdict = self.evaluate(from, to, socket);
        for direction in [Direction::Egress, Direction::Ingress] {
            let (ours, peer) = match direction {
                Direction::Egress => (from, to),
                Direction::Ingress => (to, from),
            };
            let Some(pod) = ours.selectable() else { continue };
            for policy in added.iter().filter(|policy| policy.key.namespace == pod.key.namespace) {
                let Some(spec) = &policy.spec else { continue };
                let selects =
                    pod.labels.is_some_and(|labels| crate::cluster::selector::matches(&spec.selects, labels));
                let rules = spec.rules(direction).unwrap_or_default();
                let admits =
                    rules.iter().any(|rule| self.admits(policy, rule, peer, to, socket) == Answer::Yes);
                let side = match direction {
                    Direction::Egress => &mut verdict.egress,
                    Direction::Ingress => &mut verdict.ingress,
                };
                if selects && admits && side.answer == Answer::No {
                    side.answer = Answer::Yes;
                    side.allowed_by = Some((policy.key.clone(), 0));
                }
            }
        }
        verdict
    }
}

/// The policy that lets one side pass.
fn manifest(
    direction: Direction,
    current: &End<'_>,
    labels: &[(&str, &str)],
    peer: &End<'_>,
    sockets: &[Socket],
    wide: &mut bool,
) -> Option<String> {
    let End::Pod(pod) = current else { return None };
    let word = match direction {
        Direction::Egress => "to",
        Direction::Ingress => "from",
    };
    let other = match peer {
        End::Pod(other) if !other.host_network => {
            let pods = naming(other.labels?);
            *wide |= pods.is_empty();
            let namespace = if other.key.namespace == pod.key.namespace {
                String::new()
            } else {
                let ours = [("kubernetes.io/metadata.name", &*other.key.namespace)];
                format!("namespaceSelector: {}\n          ", selector(&ours))
            };
            format!("{namespace}podSelector: {}", selector(&pods))
        }
        // A pod of the host's network, or an address: only a range means it.
        _ => {
            let ip = peer.addresses().first()?;
            format!(
                "ipBlock: {{ cidr: {} }}",
                quoted(&format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 }))
            )
        }
    };
    let whose = labels.first().map_or("all-pods", |(_, value)| *value);
    let whom = match peer {
        End::Pod(other) if !other.host_network => other
            .labels
            .map(naming)
            .and_then(|all| all.first().map(|(_, value)| (*value).to_owned()))
            .unwrap_or_else(|| other.key.namespace.to_string()),
        _ => peer.addresses().first()?.to_string(),
    };
    let name = dns_name(&format!("{whose}-{word}-{whom}-{}", sockets.first()?.port));
    let mut yaml = String::new();
    let kind = match direction {
        Direction::Egress => "Egress",
        Direction::Ingress => "Ingress",
    };
    let _ = writeln!(yaml, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:");
    let _ = writeln!(yaml, "  name: {}\n  namespace: {}", quoted(&name), quoted(&pod.key.namespace));
    let _ = writeln!(yaml, "spec:\n  podSelector: {}\n  policyTypes: [{kind}]", selector(labels));
    let _ = writeln!(yaml, "  {}:\n    - {word}:\n        - {other}", direction.name());
    let _ = writeln!(yaml, "      ports:");
    for socket in sockets {
        let _ = writeln!(
            yaml,
            "        - protocol: {}
          port: {}",
            socket.protocol.name(),
            socket.port
        );
    }
    Some(yaml)
}

/// A name that the API takes: at most 63 lower-case letters, digits and hyphens.
fn dns_name(text: &str) -> String {
    let mut name = format!("allow-{}", crate::facts::text::slug(text));
    name.truncate(63);
    name.trim_end_matches('-').to_owned()
}
