//! The node-local resolver of AKS does not run on a node.

use crate::cluster::Cluster;
use crate::detectors::needs::NODE_LOGS;
use crate::detectors::observed::{self, Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::{Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "localdns-failed",
    chapter: Chapter::Dns,
    title: "The node-local resolver (LocalDNS) does not run",
    guide: &["4.5"],
    needs: &[NODE_LOGS],
    explains: &["pods-cannot-reach-dns", "node-cannot-resolve-api-server", "node-not-ready"],
    doc: Doc {
        meaning: "With LocalDNS, every node has a resolver of its own (169.254.10.10 and .11), which pods and the node ask first. When its unit fails, look-ups on that node fail; a new node is not provisioned (exit codes 216 to 219).",
        decision: "The unit localdns says in the node's journal that it failed, or provisioning ended with its codes. Confirmed with a code or when seen more than once; likely when seen once.",
        action: "Correct the pool's LocalDNS configuration; the change reimages its nodes.",
        reference: "AKS: troubleshoot issues with LocalDNS.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut given: Observed =
        observed::signals(cluster, |key| (key.signal == Signal::LocalDnsFailed).then_some(()))
            .remove(&())
            .unwrap_or_default();
    let mut coded = false;
    for (place, provision) in cluster.facts.nodes.provisions.iter() {
        if matches!(&*provision.exit_code, "216" | "217" | "218" | "219") {
            coded = true;
            given.count += 1;
            given.evidence.push(crate::cluster::azure::at(
                place,
                &format!("ExitCode {}", provision.exit_code),
                &provision.message,
            ));
        }
    }
    let texts = observed::signals(cluster, |key| {
        let code = key.detail.split(' ').next().unwrap_or_default();
        (key.signal == Signal::ProvisioningFailed && matches!(code, "216" | "217" | "218" | "219"))
            .then_some(())
    });
    for more in texts.into_values() {
        coded = true;
        given.count += more.count;
        given.span = time::joined(given.span, more.span);
        given.evidence.extend(more.evidence);
        given.nodes.extend(more.nodes);
    }
    if given.count == 0 || (!coded && cluster.is_over(given.span)) {
        return Outcome::default();
    }
    let nodes = listed(given.nodes.iter().map(String::as_str), 3);
    let whose = if nodes.is_empty() { "a node".to_owned() } else { format!("node {nodes}") };
    let says = Wording {
        severity: Severity::High,
        confidence: if coded || given.count > 1 { Confidence::Confirmed } else { Confidence::Likely },
        unit: "line",
        cause: format!("The unit localdns fails on {whose}{}: pods and programs there ask 169.254.10.10 and get no answer.", given.when()),
        fix: "Read the unit's journal. If its configuration is at fault, correct the pool's LocalDNS settings (the change reimages the nodes); otherwise reimage the node.".to_owned(),
        commands: vec![
            "journalctl -u localdns --no-pager | tail -n 50   # on the node".to_owned(),
            "cat /opt/azure/containers/localdns/localdns.corefile   # on the node".to_owned(),
        ],
        verify: vec!["dig kubernetes.default.svc.cluster.local @169.254.10.11   # on the node: an address".to_owned()],
    };
    given
        .finding(&DETECTOR, "nodes", format!("LocalDNS does not run on {whose}"), says)
        .into_iter()
        .collect::<Vec<_>>()
        .into()
}
