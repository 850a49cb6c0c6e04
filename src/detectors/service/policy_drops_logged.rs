//! Calico or Cilium logged packets that a network policy dropped.

use std::collections::BTreeMap;

use super::common;
use super::policies;
use crate::cluster::Cluster;
use crate::cluster::policy::{Answer, End, PolicyVerdict, Protocol, Socket};
use crate::cluster::reach::{Destination, Resolver};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity,
};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{Key, Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "policy-drops-logged",
    chapter: Chapter::Service,
    title: "Packets dropped by network policy (Calico, Cilium)",
    needs: &[LOGS],
    explains: &["connection-failing"],
    doc: Doc {
        meaning: "Calico writes `calico-packet` lines to the kernel log for packets that match a Log rule; Cilium's monitor and Hubble print `Policy denied DROPPED`, and its agent writes events of reason PacketDrop. Each has source, destination and port of dropped traffic.",
        decision: "The addresses are looked up among the pods, and the connection is evaluated against the NetworkPolicies in the bundle. Confirmed when the evaluation denies it too: then the policy is named. Otherwise likely: a Calico or Cilium policy, or one that has changed since, dropped it.",
        action: "If the traffic should be allowed, apply the policy in the finding; otherwise stop the client.",
        reference: "Calico: Policy rules, Log action. Cilium: Hubble observe, policy verdicts. AKS: Secure traffic between pods by using network policies.",
    },
    detect: Evaluation::Rule(detect),
};

const LOGS: Need = Need {
    what: "kernel logs of nodes (Calico), or output of cilium monitor or hubble observe",
    why: "the engine logs dropped packets there",
    command: "kubectl debug node/NODE -it --image=mcr.microsoft.com/azure-cli -- chroot /host journalctl -k --since -1h | grep calico-packet > calico-packet.log",
    met: |cluster| cluster.facts.signals.map.iter().any(|(key, _)| key.signal == Signal::PolicyDropped),
};

#[derive(Default)]
struct Dropped {
    count: u64,
    span: Option<(i64, i64)>,
    evidence: Vec<Evidence>,
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut all: BTreeMap<(String, String, String, u16), Dropped> = BTreeMap::new();
    for (key, tally) in
        cluster.facts.signals.map.iter().filter(|(key, _)| key.signal == Signal::PolicyDropped)
    {
        let words: Vec<&str> = key.detail.split(' ').collect();
        let [from, to, protocol, rest @ ..] = words.as_slice() else { continue };
        let port = rest.first().and_then(|port| port.parse().ok()).unwrap_or(0);
        // An event names the pod that it is about, and in its words the other end.
        let pod = if key.pod.is_empty() { String::new() } else { format!("{}/{}", key.namespace, key.pod) };
        let whole = |end: &str| if end.is_empty() { pod.clone() } else { end.to_owned() };
        let (from, to) = (whole(from), whole(to));
        if from.is_empty() || to.is_empty() {
            continue;
        }
        let item = all.entry((from, to, (*protocol).to_owned(), port)).or_default();
        item.count += tally.count();
        item.span = time::joined(item.span, tally.span.resolve(cluster.anchor));
        item.evidence.extend(tally.examples.as_slice().iter().cloned());
    }
    let resolver = Resolver::new(cluster);
    let mut findings: Vec<Finding> = Vec::new();
    for ((from, to, protocol, port), dropped) in all {
        let socket = Protocol::named(&protocol).map(|protocol| Socket { protocol, port });
        let ends = (end(&resolver, &from), end(&resolver, &to));
        if let Some(finding) = finding(cluster, (&from, &to), &protocol, socket, ends, dropped, port) {
            // Copies of a pod on one side make one finding of many addresses.
            match findings.iter_mut().find(|ours| ours.id == finding.id) {
                Some(ours) => {
                    ours.count += finding.count;
                    if ours.evidence.len() < EXAMPLES {
                        ours.evidence.extend(finding.evidence);
                    }
                }
                None => findings.push(finding),
            }
        }
    }
    findings.into()
}

fn end<'a>(resolver: &Resolver<'a>, text: &str) -> Option<End<'a>> {
    match resolver.find(text).ok()? {
        Destination::End(end) => Some(end),
        Destination::Service(_) => None,
    }
}

/// What an end is part of, so that replicas are reported together.
fn owner(cluster: &Cluster, end: Option<&End<'_>>, text: &str) -> String {
    let Some(End::Pod(pod)) = end else { return text.to_owned() };
    let seen = cluster.facts.objects.pods.get(&pod.key.namespace, &pod.key.name);
    let owner = seen
        .and_then(|seen| seen.object.metadata.owner_references.first().map(|owner| owner.name.to_string()));
    format!("{}/{}", pod.key.namespace, owner.unwrap_or_else(|| pod.key.name.to_string()))
}

fn finding(
    cluster: &Cluster,
    (from, to): (&str, &str),
    protocol: &str,
    socket: Option<Socket>,
    ends: (Option<End<'_>>, Option<End<'_>>),
    mut dropped: Dropped,
    port: u16,
) -> Option<Finding> {
    let (source, target) = (owner(cluster, ends.0.as_ref(), from), owner(cluster, ends.1.as_ref(), to));
    let verdict: Option<PolicyVerdict> = match (&ends.0, &ends.1, socket) {
        (Some(a), Some(b), Some(socket)) => Some(cluster.policies.evaluate(a, b, socket)),
        _ => None,
    };
    let denied = verdict.as_ref().is_some_and(|verdict| verdict.answer() == Answer::No);
    let by: Vec<Key> = verdict
        .iter()
        .filter(|_| denied)
        .flat_map(|verdict| {
            let sides =
                [&verdict.egress, &verdict.ingress].into_iter().filter(|side| side.answer == Answer::No);
            sides.flat_map(|side| side.isolated_by.clone()).collect::<Vec<_>>()
        })
        .collect();
    dropped.evidence.truncate(EXAMPLES);
    dropped.evidence.extend(
        by.iter().take(2).filter_map(|key| policies::policy_at(cluster, key, "no rule of it allows this")),
    );
    let title = format!("Packets dropped by network policy: {source} to {target}, {protocol} {port}");
    let mut finding =
        Finding::new(DETECTOR.id, &format!("{source} {target} {protocol} {port}"), title, dropped.evidence)?;
    finding.severity = Severity::High;
    finding.confidence = if denied { Confidence::Confirmed } else { Confidence::Likely };
    finding.count = dropped.count;
    finding.unit = "dropped packet";
    finding.seen(dropped.span);
    finding.subjects = by.iter().map(|key| common::subject("NetworkPolicy", key)).collect();
    for end in [&ends.0, &ends.1].into_iter().flatten() {
        if let End::Pod(pod) = end {
            finding.subjects.push(common::subject("Pod", &pod.key));
        }
    }
    finding.details.service.from = Some(from.to_string());
    finding.details.service.to = Some(to.to_string());
    finding.details.service.port = Some(port.to_string());
    finding.cause = if denied {
        format!(
            "{}: no rule allows {source} to reach {target} on {protocol} {port}, and the network policy engine logged the dropped packets.",
            policies::titled(&by)
        )
    } else {
        let why = if ends.0.is_none() || ends.1.is_none() {
            "not both ends are pods in the bundle"
        } else {
            "the NetworkPolicies in the bundle do not deny it"
        };
        format!(
            "The network policy engine logged the dropped packets. Which policy dropped them is unknown: {why}. It can be a Calico or Cilium policy, or one that has changed since."
        )
    };
    let opening = match (&ends.0, &ends.1, socket) {
        (Some(a), Some(b), Some(socket)) if denied => cluster.policies.opening(a, b, &[socket]),
        _ => None,
    };
    finding.fix = Fix {
        text: if opening.is_some() {
            "If this traffic should be allowed, apply the policy below; it was evaluated against the bundle."
                .to_owned()
        } else {
            "Find the policy: list NetworkPolicies and the Calico policies (Cilium: ciliumnetworkpolicies) that select the two ends.".to_owned()
        },
        commands: if opening.is_some() {
            Vec::new()
        } else {
            vec!["kubectl get networkpolicies,globalnetworkpolicies.crd.projectcalico.org,networkpolicies.crd.projectcalico.org -A".to_owned()]
        },
        manifests: opening.map(|opening| opening.manifests).unwrap_or_default(),
    };
    finding.verify = vec![
        "journalctl -k --since -10m | grep calico-packet   # on the node: no new lines for these addresses"
            .to_owned(),
    ];
    Some(finding)
}
