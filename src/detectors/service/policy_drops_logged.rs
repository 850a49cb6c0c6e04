//! Calico or Cilium logged packets that a policy dropped.

use std::collections::BTreeMap;

use super::common;
use super::policies;
use crate::cluster::Cluster;
use crate::cluster::policy::{Answer, End, PolicyVerdict, Protocol, Socket};
use crate::cluster::reach::{Destination, Resolver};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Need, Outcome, Severity};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{Key, Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "policy-drops-logged",
    chapter: Chapter::Service,
    title: "The network policy engine logged packets that it dropped",
    guide: &["3.8"],
    needs: &[LOGS],
    explains: &[],
    doc: Doc {
        meaning: "Calico writes 'calico-packet' lines to the kernel's log for packets that a Log rule meets, Cilium's monitor and Hubble write 'Policy denied DROPPED'. Each names source, destination and port of traffic that a policy dropped.",
        decision: "The addresses are looked up among the pods, and the connection is evaluated by the network policies of the bundle. Confirmed when the evaluation denies it, too: then the policy is named. Likely otherwise: a Calico or Cilium policy that is not of networking.k8s.io, or one that has changed, dropped it.",
        action: "If the traffic is meant to pass, add the policy below; otherwise stop the client.",
        reference: "Calico: log and trace policy. AKS: secure traffic between pods.",
    },
    detect,
};

const LOGS: Need = Need {
    what: "kernel logs of nodes (Calico), or output of cilium monitor or hubble observe",
    why: "the engine writes there what it drops",
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
        let item =
            all.entry(((*from).to_owned(), (*to).to_owned(), (*protocol).to_owned(), port)).or_default();
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

/// What an end is part of, so that copies are told together.
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
    let title =
        format!("Dropped by policy: {source} to {target} on {protocol} {port}, {} times", dropped.count);
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
    finding.detail("from", from);
    finding.detail("to", to);
    finding.detail("port", port);
    finding.cause = if denied {
        format!(
            "{} isolates, and no rule of it allows {source} to reach {target} on {protocol} {port}; the engine's log shows the packets that it dropped.",
            policies::names(&by)
        )
    } else {
        let why = if ends.0.is_none() || ends.1.is_none() {
            "not all of its ends are pods of the bundle"
        } else {
            "the network policies of the bundle do not deny it"
        };
        format!(
            "The engine's log shows the dropped packets. Which policy it was can't be told: {why}. A Calico or Cilium policy of the cluster, or a policy that was changed since, may be it."
        )
    };
    let opening = match (&ends.0, &ends.1, socket) {
        (Some(a), Some(b), Some(socket)) if denied => cluster.policies.opening(a, b, &[socket]),
        _ => None,
    };
    finding.fix = Fix {
        text: if opening.is_some() {
            "If this traffic is meant to pass, add the policy below; it was evaluated against the bundle."
                .to_owned()
        } else {
            "Find the policy that drops it: list those of all kinds that select the two ends.".to_owned()
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
