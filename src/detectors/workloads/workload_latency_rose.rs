//! A workload whose latency rose, and with it that of its callers, in metrics over time.

use super::of_metric;
use super::workload_cpu_throttled::METRICS;
use crate::cluster::Cluster;
use crate::cluster::trend::{Change, changes};
use crate::detectors::observed::listed;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell,
};
use crate::evidence::Evidence;
use crate::facts::{Measured, MetricSeries, Place, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "workload-latency-rose",
    chapter: Chapter::Workloads,
    title: "Latency rose (metrics)",
    needs: &[METRICS],
    explains: &[],
    doc: Doc {
        meaning: "Requests to a workload take far longer than before: its network, its node, or what it waits for. Those that call it are slower, too, since they wait for it.",
        decision: "MetricSeries of an upper percentile of latency whose greatest median of three tenths is at least five times that of its beginning and far outside its spread, of one file. Callers wait for what they call, so of several the one that rose most, in absolute and in relative terms together, is named. Workloads whose CPU was throttled are left out. Likely.",
        action: "Compare the time of the rise with changes; look at the network of its pods and its node, and at what it waits for.",
        reference: "Kubernetes: Tools for Monitoring Resources; Debug Services.",
    },
    detect: Evaluation::Rule(detect),
};

/// Whether latency rose to where it matters.
fn rose(change: &Change) -> bool {
    change.height >= 5.0 * change.before.max(1.0) && change.height - change.before > 10.0 * change.spread
}

/// How much it rose, in absolute and in relative terms together: a caller's latency holds that of what it calls, so the
/// caller has the larger numbers, and what it calls has risen more times.
fn weight(change: &Change) -> f64 {
    (change.height - change.before) * (change.height / change.before.max(0.001))
}

fn detect(cluster: &Cluster) -> Outcome {
    let throttled = changes(cluster.facts.nodes.series.iter(), Measured::CpuThrottled);
    let throttled: Vec<&str> = throttled
        .iter()
        .filter(|(.., change)| change.height >= 0.1 && change.height > 2.0 * change.before)
        .map(|(_, series, _)| &*series.of)
        .collect();
    let mut found = changes(cluster.facts.nodes.series.iter(), Measured::Latency);
    found.retain(|(_, series, change)| rose(change) && !throttled.contains(&&*series.of));
    found.sort_by(|a, b| weight(&b.2).total_cmp(&weight(&a.2)).then_with(|| a.1.name.cmp(&b.1.name)));
    finding(cluster, &found).into_iter().collect()
}

fn finding(cluster: &Cluster, all: &[(&Place, &MetricSeries, Change)]) -> Option<Finding> {
    let (place, series, change) = all.first()?;
    let others: Vec<&str> = all.iter().skip(1).map(|(_, series, _)| &*series.of).collect();
    let words = format!("{}: {:.1} before, {:.1} at its height", series.name, change.before, change.height);
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
    let title = format!(
        "{name}: latency rose from {:.1} to {:.0} since {}",
        change.before,
        change.height,
        time::show(change.since)
    );
    let mut finding = Finding::new(DETECTOR.id, &name, title, evidence)?;
    finding.severity = if change.is_over() { Severity::Medium } else { Severity::High };
    finding.confidence = Confidence::Likely;
    finding.unit = "series";
    finding.count = all.len() as u64;
    finding.first_seen = Some(time::rfc3339_text(change.since));
    let others = if others.is_empty() {
        String::new()
    } else {
        format!(" Also slower, but less: {}; callers wait for what they call.", listed(others.into_iter(), 5))
    };
    finding.cause = format!(
        "{} rose from {:.1} to {:.1} (median of the first 30% of the series, and of its highest 30%, in the series' own unit), from {} on, and its CPU was not throttled.{}{others}",
        series.name,
        change.before,
        change.height,
        time::show(change.since),
        change.ending()
    );
    let namespace = subjects.first().map_or("NAMESPACE", |subject| subject.namespace.as_str());
    finding.fix = Fix {
        text: "Compare the time of the rise with changes. Look at the network of its pods (delay, packet loss, a policy or a sidecar), at its node, and at what it waits for.".to_owned(),
        commands: vec![
            format!("kubectl get pods -n {} -o wide", shell(namespace)),
            format!("kubectl get events -n {} --sort-by=.lastTimestamp", shell(namespace)),
        ],
        manifests: Vec::new(),
    };
    finding.verify =
        vec![format!("kubectl top pods -n {}   # and the latency is as before", shell(namespace))];
    finding.subjects = subjects;
    Some(finding)
}
