//! Workloads whose CPU was throttled at their limit, in metrics over time.

use super::of_metric;
use crate::cluster::Cluster;
use crate::cluster::trend::{Change, changes};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity, shell,
};
use crate::evidence::Evidence;
use crate::facts::{Measured, MetricSeries, Place, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "workload-cpu-throttled",
    chapter: Chapter::Workloads,
    title: "CPU throttled at the limit (metrics)",
    needs: &[METRICS],
    explains: &["workload-latency-rose"],
    doc: Doc {
        meaning: "The containers of a workload want more CPU than their limit allows, and the kernel makes them wait (CFS throttling). They answer late, and so do those that call them.",
        decision: "A series of throttled time whose greatest median of three tenths is at least 0.1 and four times that of its beginning. Likely: metrics show that it happened, not why.",
        action: "Find what takes the CPU; raise or remove the CPU limit, or run more replicas.",
        reference: "Kubernetes: Resource Management for Pods and Containers. Linux: CFS Bandwidth Control.",
    },
    detect: Evaluation::Rule(detect),
};

/// Metrics over time.
pub(super) const METRICS: Need = Need {
    what: "metrics over time of workloads and nodes (CSV)",
    why: "they show what rose, and when",
    command: "kubectl top pods -A --containers > top.txt",
    met: |cluster| !cluster.facts.nodes.series.is_empty(),
};

/// Whether throttling rose to where it matters.
fn rose(change: &Change) -> bool {
    change.height >= 0.1 && change.height >= 4.0 * change.before + 0.05
}

fn detect(cluster: &Cluster) -> Outcome {
    let found = changes(cluster.facts.nodes.series.iter(), Measured::CpuThrottled);
    found
        .into_iter()
        .filter(|(.., change)| rose(change))
        .filter_map(|(place, series, change)| finding(cluster, place, series, &change))
        .collect()
}

fn finding(cluster: &Cluster, place: &Place, series: &MetricSeries, change: &Change) -> Option<Finding> {
    let words = format!("{}: {:.2} before, {:.2} at its height", series.name, change.before, change.height);
    let evidence = vec![Evidence::line(&place.source, place.line, words.as_bytes())];
    let subjects = of_metric(cluster, &series.of);
    let name = subjects.first().map_or_else(
        || series.of.to_string(),
        |subject| {
            if subject.namespace.is_empty() {
                subject.name.clone()
            } else {
                format!("{}/{}", subject.namespace, subject.name)
            }
        },
    );
    let title = format!("{name}: CPU throttled since {}", time::show(change.since));
    let mut finding = Finding::new(DETECTOR.id, &name, title, evidence)?;
    finding.severity = if change.is_over() { Severity::Medium } else { Severity::High };
    finding.confidence = Confidence::Likely;
    finding.unit = "series";
    finding.first_seen = Some(time::rfc3339_text(change.since));
    finding.cause = format!(
        "The throttled CPU time of {name} rose from {:.2} to {:.2} (median of the first 30% of the series, and of its highest 30%), from {} on: it needs more CPU than its limit allows.{}",
        change.before,
        change.height,
        time::show(change.since),
        change.ending()
    );
    let namespace = subjects.first().map_or("NAMESPACE", |subject| subject.namespace.as_str());
    finding.fix = Fix {
        text: "Find what takes the CPU in its containers; raise or remove the CPU limit, or run more replicas. A changed limit restarts the pods.".to_owned(),
        commands: vec![
            format!("kubectl top pods -n {} --containers", shell(namespace)),
            format!("kubectl get pods -n {} -o jsonpath='{{.items[*].spec.containers[*].resources}}'", shell(namespace)),
        ],
        manifests: Vec::new(),
    };
    finding.verify =
        vec![format!("kubectl top pods -n {} --containers   # CPU below the limit", shell(namespace))];
    finding.subjects = subjects;
    Some(finding)
}
