//! The unit localdns.service failed on a node.

use crate::cluster::Cluster;
use crate::detectors::needs::NODE_LOGS;
use crate::detectors::observed::{self, Observed, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};
use crate::facts::{Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "localdns-failed",
    chapter: Chapter::Dns,
    title: "LocalDNS failed on a node (localdns.service)",
    needs: &[NODE_LOGS],
    explains: &["pods-cannot-reach-dns", "node-cannot-resolve-api-server", "node-not-ready"],
    doc: Doc {
        meaning: "With LocalDNS, each node runs a DNS cache on 169.254.10.10 (for the node and pods with dnsPolicy Default) and 169.254.10.11 (for pods with dnsPolicy ClusterFirst). While localdns.service is down, DNS queries on that node time out; a new node fails provisioning (CSE exit codes 216 to 219).",
        decision: "The node's journal says that localdns.service failed, or provisioning (CSE) ended with exit code 216, 217, 218 or 219. Confirmed with such a code or when seen more than once; likely when seen once.",
        action: "Read the journal of localdns.service; correct the LocalDNS configuration of the node pool (that change reimages its nodes).",
        reference: "learn.microsoft.com: Configure LocalDNS in AKS. Azure/AgentBaker: cse_helpers.sh (exit codes).",
    },
    detect: Evaluation::Rule(detect),
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
        let code = key.detail.split('|').next().unwrap_or_default();
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
    if given.count == 0 || (!coded && given.is_over(cluster)) {
        return Outcome::default();
    }
    let nodes = listed(given.nodes.iter().map(String::as_str), 3);
    let whose = if nodes.is_empty() {
        "a node".to_owned()
    } else {
        format!("{} {nodes}", if given.nodes.len() == 1 { "node" } else { "nodes" })
    };
    let says = Wording {
        severity: Severity::High,
        confidence: if coded || given.count > 1 { Confidence::Confirmed } else { Confidence::Likely },
        unit: "line",
        cause: format!(
            "localdns.service failed on {whose}{}. While it is down, DNS queries to 169.254.10.10 and 169.254.10.11 on that node get no answer.{}",
            given.when(),
            if coded { " Provisioning (CSE) ended with an exit code of LocalDNS (216 to 219)." } else { "" }
        ),
        fix: "Read the unit's journal on the node. If it names an error in the configuration, correct the LocalDNS settings of the node pool: that change reimages its nodes one after another. Otherwise restart the unit; DNS on that node pauses for seconds.".to_owned(),
        commands: vec![
            "journalctl -u localdns --no-pager | tail -n 50   # on the node".to_owned(),
            "cat /opt/azure/containers/localdns/localdns.corefile   # on the node".to_owned(),
            "systemctl restart localdns   # on the node".to_owned(),
        ],
        verify: vec!["dig kubernetes.default.svc.cluster.local @169.254.10.11   # on the node: an address".to_owned()],
    };
    given
        .finding(&DETECTOR, "nodes", format!("localdns.service failed on {whose}"), says)
        .into_iter()
        .collect()
}
