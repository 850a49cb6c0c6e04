//! TCP retransmits of one node that rose, in metrics over time: packets are lost on its way.

use crate::cluster::Cluster;
use crate::cluster::trend::{Change, changes};
use crate::detectors::observed::node_subject;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity, shell,
};
use crate::evidence::Evidence;
use crate::facts::{Measured, MetricSeries, Place, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "node-retransmits-rose",
    chapter: Chapter::Nodes,
    title: "TCP retransmits rose on a node (metrics)",
    needs: &[METRICS],
    explains: &["workload-latency-rose"],
    doc: Doc {
        meaning: "A node sends TCP segments again because they were not acknowledged in time: packets are lost or delayed on its network. Everything on the node answers late, and those elsewhere that call it.",
        decision: "A node whose retransmits rose to a median of at least one, over three tenths of the series, five times that of its beginning, and more than those of every other node. Likely: metrics show that it happened, not where the packets were lost.",
        action: "Check the node's network interface, its VM size's limits, and the path to it; move pods away while it lasts.",
        reference: "AKS: Troubleshoot network packet drops. Linux: TCP retransmission counters (RetransSegs).",
    },
    detect: Evaluation::Rule(detect),
};

const METRICS: Need = Need {
    what: "metrics over time of nodes (CSV)",
    why: "they show what rose, and when",
    command: "kubectl top nodes > top.txt",
    met: |cluster| !cluster.facts.nodes.series.is_empty(),
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut found = changes(cluster.facts.nodes.series.iter(), Measured::Retransmits);
    found.sort_by(|a, b| b.2.height.total_cmp(&a.2.height).then_with(|| a.1.name.cmp(&b.1.name)));
    let most =
        found.first().filter(|(.., change)| change.height >= 1.0 && change.height >= 5.0 * change.before);
    most.and_then(|(place, series, change)| finding(place, series, change)).into_iter().collect()
}

fn finding(place: &Place, series: &MetricSeries, change: &Change) -> Option<Finding> {
    let (before, height, since) = (change.before, change.height, change.since);
    let words = format!("{}: {before:.2} before, {height:.2} at its height", series.name);
    let evidence = vec![Evidence::line(&place.source, place.line, words.as_bytes())];
    let title = format!("Node {}: TCP retransmits rose from {before:.2} to {height:.2}", series.of);
    let mut finding = Finding::new(DETECTOR.id, &series.of, title, evidence)?;
    finding.severity = if change.is_over() { Severity::Medium } else { Severity::High };
    finding.confidence = Confidence::Likely;
    finding.unit = "series";
    finding.subjects = vec![node_subject(&series.of)];
    finding.first_seen = Some(time::rfc3339_text(since));
    finding.cause = format!(
        "The retransmits of node {} rose from {before:.2} to {height:.2}, from {} on, more than those of the other nodes: packets to or from it are lost or delayed.{}",
        series.of,
        time::show(since),
        change.ending()
    );
    finding.fix = Fix {
        text: "Check the node's network interface, the limits of its VM size, and the path to it (firewall, NVA). Cordoning it keeps new pods away while it lasts.".to_owned(),
        commands: vec![
            format!("kubectl describe node {}", shell(&series.of)),
            "grep ^Tcp: /proc/net/snmp   # on the node, twice: RetransSegs".to_owned(),
            "ip -s link show   # on the node: errors, dropped".to_owned(),
        ],
        manifests: Vec::new(),
    };
    finding.verify =
        vec!["grep ^Tcp: /proc/net/snmp   # on the node: RetransSegs no longer rises".to_owned()];
    Some(finding)
}
