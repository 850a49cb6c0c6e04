//! The Cilium agent does not answer on its node.

use super::common::{self, node_word, on_node};
use crate::cluster::Cluster;
use crate::detectors::observed::{self, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "cilium-agent-unreachable",
    chapter: Chapter::IpAllocation,
    title: "Cilium agent not answering (cilium.sock)",
    needs: &[common::REFUSALS],
    explains: &["sandbox-failed-otherwise", "cni-not-ready", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "The CNI plugin and all cilium commands talk to the Cilium agent of the node through the socket /var/run/cilium/cilium.sock. While the agent does not run or is still starting, no pod starts on the node; running pods keep their connections.",
        decision: "'dial unix /var/run/cilium/cilium.sock' with an error, in the output of commands (cilium-bugtool, kubectl exec) or in logs. Likely in the output of a command, and in logs when it lasts more than five minutes; a short burst is what every node shows at its start: possible and low.",
        action: "Check the cilium pod of the node: its events, its previous log, its restarts.",
        reference: "Cilium: Troubleshooting, https://docs.cilium.io/en/stable/operations/troubleshooting/. AKS: Azure CNI Powered by Cilium.",
    },
    detect: Evaluation::Rule(detect),
};

/// A node that starts shows this for a while.
const START_MINUTES: i64 = 5;

fn detect(cluster: &Cluster) -> Outcome {
    let all = observed::signals(cluster, |key| {
        (key.signal == Signal::CiliumUnreachable).then(|| key.node.to_string())
    });
    let found = all.into_iter().filter_map(|(node, observed)| {
        let lasted = observed.span.map(|(first, last)| (last - first) / 60_000_000);
        let passed = lasted.is_some_and(|minutes| minutes <= START_MINUTES);
        if cluster.is_over(observed.span) {
            return None;
        }
        let name = node_word(&node);
        let says = Wording {
            severity: if passed { Severity::Low } else { Severity::High },
            confidence: if passed { Confidence::Possible } else { Confidence::Likely },
            unit: "failed connection",
            cause: format!(
                "Nothing answers at the socket of the Cilium agent (/var/run/cilium/cilium.sock){}: the agent does not run, or has not finished its start.{}",
                observed.when(),
                if passed { " Every node shows this while it starts, and the bundle has no sign that it lasted." } else { " New pods get no network on the node until it does." }
            ),
            fix: if passed {
                "No action needed unless it recurs.".to_owned()
            } else {
                "Find out why the agent does not run: events and previous log of the cilium pod of the node. Running pods keep their connections meanwhile; new pods do not start.".to_owned()
            },
            commands: vec![
                format!("kubectl get pods -n kube-system -l k8s-app=cilium -o wide --field-selector spec.nodeName={name}"),
                "kubectl logs -n kube-system POD -c cilium-agent --previous --tail=100   # the cilium pod of the node".to_owned(),
            ],
            verify: vec!["kubectl exec -n kube-system POD -c cilium-agent -- cilium-dbg status --brief   # OK".to_owned()],
        };
        let title = format!(
            "{}: Cilium agent {}",
            on_node(&node),
            if passed { "did not answer for a short time" } else { "not answering (cilium.sock)" }
        );
        observed.finding(&DETECTOR, &node, title, says)
    });
    found.collect::<Vec<_>>().into()
}
