//! The kubelet or the container runtime of a node has failed, by the service manager's own words.

use crate::cluster::Cluster;
use crate::detectors::needs::NODE_LOGS;
use crate::detectors::observed::{self, Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "node-service-failed",
    chapter: Chapter::Nodes,
    title: "Node service failed (kubelet, containerd)",
    needs: &[NODE_LOGS],
    explains: &["node-not-ready"],
    doc: Doc {
        meaning: "kubelet and containerd are services of the node: systemd on Linux, the service control manager on Windows. While one of them is failed or dead, the node becomes NotReady and its pods are not managed.",
        decision: "`systemctl status` or `list-units` shows the unit as failed, inactive (dead) or restarting; `sc queryex` shows it as STOPPED; the Windows event log says that it terminated. Confirmed for failed units; likely otherwise, since a service can have been stopped for maintenance; possible when the event log is all there is, since it may have been started again. Low when the node is Ready in the bundle.",
        action: "Read the log of the unit around its end, and start it again when its reason is removed.",
        reference: "systemd: systemctl(1). learn.microsoft.com: Troubleshoot Node Not Ready failures.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let all = observed::signals(cluster, |key| {
        let service = key.detail.split(' ').next()?.to_owned();
        (key.signal == Signal::UnitFailed).then(|| (key.node.to_string(), service))
    });
    let found = all.into_iter().filter_map(|((node, service), observed)| {
        if cluster.is_over(observed.span) {
            return None;
        }
        let ready = !node.is_empty() && observed::recovered(cluster, &observed.nodes);
        let states: Vec<&str> =
            observed.details.iter().filter_map(|detail| Some(detail.split_once(' ')?.1)).collect();
        let failed = states.iter().any(|state| state.starts_with("failed"));
        // It may have been started again since.
        let ended = states.iter().all(|state| state.starts_with("terminated"));
        let state = listed(states.into_iter(), 2);
        let whose = if node.is_empty() { "A node".to_owned() } else { format!("Node {node}") };
        let says = Wording {
            severity: match (ready, ended) {
                (true, _) => Severity::Low,
                (false, true) => Severity::Medium,
                (false, false) => Severity::High,
            },
            confidence: match (failed && !ready, ended) {
                (true, _) => Confidence::Confirmed,
                (false, true) => Confidence::Possible,
                (false, false) => Confidence::Likely,
            },
            unit: "report",
            cause: format!(
                "The service manager of the node reports {service} as {state}{}.{}",
                observed.when(),
                if ready { " The node is Ready in the bundle: it has recovered, or the report is older." } else { "" }
            ),
            fix: format!("Read the end of the log of {service}: it says why it ended. Remove that reason, then start the service; starting it changes nothing for pods that still run."),
            commands: vec![
                format!("journalctl -u {service} -n 100 --no-pager   # on the node"),
                format!("systemctl start {service}   # on the node, after its reason is removed"),
            ],
            verify: vec![format!("systemctl is-active {service}   # active")],
        };
        observed.finding(&DETECTOR, &format!("{node} {service}"), format!("{whose}: {service} {state}"), says)
    });
    found.collect::<Vec<_>>().into()
}
