//! Network policies block DNS.

use super::common;
use super::common::PODS;
use super::policies::{self, Blocked, POLICIES};
use crate::cluster::Cluster;
use crate::cluster::policy::{End, Protocol, Socket};
use crate::cluster::reach::Resolver;
use crate::detectors::details::texts;
use crate::detectors::observed::counted;
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{Key, Labels, PodSpec};

pub(super) const DETECTOR: Detector = Detector {
    id: "policy-blocks-dns",
    chapter: Chapter::Service,
    title: "NetworkPolicy blocks DNS egress (port 53)",
    needs: &[POLICIES, PODS],
    explains: &["coredns-upstream-failing", "pods-cannot-reach-dns"],
    doc: Doc {
        meaning: "A policy isolates the pods, and no rule lets them reach the DNS pods on port 53. Every DNS query times out, so whatever they call by name seems to be down. Usually a default-deny egress policy without a rule for DNS.",
        decision: "For each set of pods with the same labels, a connection on UDP 53 to each DNS pod of the cluster (or, where the bundle has none, to a pod with the labels k8s-app=kube-dns in kube-system) is evaluated; reported when none is allowed. Confirmed when failed DNS queries of these pods are in the bundle; otherwise likely. Not reported where no network policy engine runs.",
        action: "Allow egress to the DNS pods on UDP and TCP 53: the policy in the finding was evaluated against the bundle.",
        reference: "Kubernetes: Network Policies. AKS: Secure traffic between pods by using network policies.",
    },
    detect: Evaluation::Rule(detect),
};

/// The DNS pods, and what stands for them where they are not in the bundle.
pub(super) fn dns<'a>(cluster: &'a Cluster, stand_in: &'a (Key, Labels, PodSpec)) -> Vec<End<'a>> {
    let resolver = Resolver::new(cluster);
    for service in [Key::new("kube-system", "kube-dns"), Key::new("openshift-dns", "dns-default")] {
        let state = cluster.services.all.get(&service);
        let pods =
            state.iter().flat_map(|state| if state.ready.is_empty() { &state.pods } else { &state.ready });
        let ends: Vec<End<'_>> = pods.filter_map(|key| resolver.pod(&key.namespace, &key.name)).collect();
        if !ends.is_empty() {
            return ends;
        }
    }
    vec![End::template(&stand_in.0, &stand_in.1, &stand_in.2)]
}

/// A DNS pod as every AKS cluster has it.
pub(super) fn stand_in() -> (Key, Labels, PodSpec) {
    let labels = [("k8s-app".into(), "kube-dns".into())].into_iter().collect();
    (Key::new("kube-system", "coredns"), labels, PodSpec::default())
}

fn detect(cluster: &Cluster) -> Outcome {
    let usual = stand_in();
    let ends = dns(cluster, &usual);
    let port = match ends.first() {
        Some(End::Pod(pod)) if &*pod.key.namespace == "openshift-dns" => 5353,
        _ => 53,
    };
    let udp = Socket { protocol: Protocol::Udp, port };
    let to: Vec<_> = ends.iter().map(|end| (end.clone(), udp)).collect();
    let blocked = policies::blocked(cluster, &to);
    blocked.iter().filter_map(|item| finding(cluster, item, ends.first()?, port)).collect()
}

/// DNS queries of these pods that failed.
fn failing(cluster: &Cluster, blocked: &Blocked<'_>) -> Vec<Evidence> {
    let speakers = cluster.facts.attempts.map.iter().filter(|(key, _)| key.failure.of_dns());
    let mut found = Vec::new();
    for (key, tally) in speakers {
        let of_them = blocked.keys().any(|pod| {
            (*key.pod.0 == *pod.namespace && *key.pod.1 == *pod.name)
                || crate::cluster::speaker::is_of_pod(&key.source, pod)
        });
        if of_them {
            found.extend(tally.examples.as_slice().first().cloned());
        }
    }
    found.truncate(EXAMPLES);
    found
}

fn finding(cluster: &Cluster, blocked: &Blocked<'_>, dns: &End<'_>, port: u16) -> Option<Finding> {
    let policies = policies::names(&blocked.policies);
    let mut evidence: Vec<Evidence> = blocked
        .policies
        .iter()
        .take(3)
        .filter_map(|key| {
            policies::policy_at(cluster, key, &format!("no rule allows port {port} to {}", dns.label()))
        })
        .collect();
    let failing = failing(cluster, blocked);
    evidence.extend(failing.iter().cloned());
    let first = blocked.keys().next()?;
    evidence.extend(common::pod_at(cluster, first, "isolated"));
    let pods = blocked.pods();
    let title = format!(
        "{}: DNS (port {port}) blocked by {}",
        counted(pods, "pod"),
        policies::titled(&blocked.policies)
    );
    let mut finding = Finding::new(DETECTOR.id, &policies, title, evidence)?;
    finding.severity = Severity::High;
    finding.confidence = if failing.is_empty() { Confidence::Likely } else { Confidence::Confirmed };
    finding.count = pods as u64;
    finding.unit = "pod";
    finding.subjects = blocked.policies.iter().map(|key| common::subject("NetworkPolicy", key)).collect();
    finding.subjects.extend(blocked.keys().take(50).map(|key| common::subject("Pod", key)));
    finding.details.service.policies = texts(blocked.policies.iter().map(Key::label));
    finding.details.common.pods = texts(blocked.keys().take(50).map(Key::label));
    finding.cause = format!(
        "{}: no rule lets these pods reach the DNS pods on port {port}; a connection to {} was evaluated and is denied. {}{}",
        policies::titled(&blocked.policies),
        dns.label(),
        if failing.is_empty() {
            "DNS queries time out where the policies are enforced."
        } else {
            "DNS queries of these pods fail in the bundle."
        },
        policies::sure(cluster)
    );
    let from = blocked.groups.first().and_then(|group| policies::one_of(cluster, group))?;
    let sockets = [Socket { protocol: Protocol::Udp, port }, Socket { protocol: Protocol::Tcp, port }];
    let opening = cluster.policies.opening(&from, dns, &sockets);
    let more = blocked.groups.len().saturating_sub(1);
    let rest = if more > 0 {
        format!(
            " It is for one of {} sets of pods: an empty podSelector selects all pods of the namespace.",
            more + 1
        )
    } else {
        String::new()
    };
    finding.fix = Fix {
        text: match &opening {
            Some(_) => {
                format!("Apply the policy below; by evaluation it lets {} reach DNS.{rest}", from.label())
            }
            None => "Add an egress rule that allows UDP and TCP 53 to the DNS pods.".to_owned(),
        },
        commands: Vec::new(),
        manifests: opening.map(|opening| opening.manifests).unwrap_or_default(),
    };
    finding.verify = vec![format!(
        "kubectl exec {} -- nslookup kubernetes.default   # prints the Service IP",
        common::named(first)
    )];
    Some(finding)
}
