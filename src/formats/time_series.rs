//! Metrics over time as CSV: a time in the first column, then one column a series, named `<workload or node>-<metric>` as
//! Grafana's panels and monitoring scripts export them (`cart-cpu`, `cart-p95latency`, `aks-1-tcp_retrans`).

use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::facts::text::lossy;
use crate::facts::{Facts, Measured, MetricSeries, MetricTable, Place, time};

pub(super) struct TimeSeries;
pub(super) const FORMAT: TimeSeries = TimeSeries;

/// Most rows that are read of a table.
const ROWS: usize = 20_000;

impl InputFormat for TimeSeries {
    fn name(&self) -> &'static str {
        "time-series"
    }

    fn about(&self) -> &'static str {
        "metrics over time as CSV, one column a series"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let mut lines = head.bytes.split(|byte| *byte == b'\n');
        let columns = lines.next().map(|line| columns(&lossy(line))).unwrap_or_default();
        let known = columns.iter().flatten().count();
        let first_row = lines.next().is_some_and(|line| row(&lossy(line)).is_some());
        if known > 0 && first_row { 90 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut lines = piece.bytes.split(|byte| *byte == b'\n');
        let Some(header) = lines.next() else { return 0 };
        let mut table = MetricTable::default();
        let columns = columns(&lossy(header));
        table.series = columns
            .iter()
            .flatten()
            .map(|(of, measured, name)| MetricSeries {
                of: of.as_str().into(),
                name: name.as_str().into(),
                measured: *measured,
                values: Vec::new(),
            })
            .collect();
        for line in lines.take(ROWS) {
            let line = lossy(line);
            let Some((when, cells)) = row(&line) else { continue };
            facts.saw(Some(time::When::At(when)));
            table.times.push(when);
            let kept =
                columns.iter().zip(cells.chain(std::iter::repeat(""))).filter(|(column, _)| column.is_some());
            for ((_, cell), series) in kept.zip(&mut table.series) {
                let number = cell.trim().trim_matches('"').parse::<f64>().ok();
                let number = number.filter(|number| number.is_finite() && number.abs() < 1e15);
                series.values.push(number.map(|number| (number * 1000.0).round() as i64));
            }
        }
        let rows = table.times.len() as u64;
        let place = Place { source: piece.source.clone(), line: piece.first_line };
        if let Some(slot) = facts.nodes.series.slot(place) {
            *slot = table;
        }
        rows
    }
}

/// The columns behind the time: whose, what it measures, its name; `None` for those that are not read. Empty when the
/// first column is no time.
fn columns(header: &str) -> Vec<Option<(String, Measured, String)>> {
    let mut cells =
        header.trim_start_matches('\u{feff}').trim().split(',').map(|cell| cell.trim().trim_matches('"'));
    let first = cells.next().unwrap_or_default().to_ascii_lowercase();
    if !matches!(first.as_str(), "time" | "timestamp" | "date" | "datetime") {
        return Vec::new();
    }
    cells
        .map(|name| {
            let (of, metric) = name.rsplit_once('-')?;
            Some((of.to_owned(), measured(metric)?, name.to_owned()))
        })
        .collect()
}

/// What a metric measures, by its name.
fn measured(metric: &str) -> Option<Measured> {
    let metric = metric.to_ascii_lowercase();
    Some(match metric.as_str() {
        "cpu_cfs" | "cpu_throttled" | "cpu_throttling" | "throttled" | "cfs_throttled" => {
            Measured::CpuThrottled
        }
        "cpu" | "cpu_usage" => Measured::Cpu,
        "mem" | "memory" | "memory_usage" => Measured::Memory,
        "success_rate" => Measured::SuccessRate,
        "rps" | "qps" => Measured::Requests,
        "tcp_retrans" | "tcp_retans" | "retransmits" | "tcp_retransmits" => Measured::Retransmits,
        // The upper percentiles show a delay first.
        name if name.contains("latency") && ["p90", "p95", "p99"].iter().any(|part| name.contains(part)) => {
            Measured::Latency
        }
        _ => return None,
    })
}

/// The time of a row, in microseconds since 1970, and its other cells.
fn row(line: &str) -> Option<(i64, impl Iterator<Item = &str>)> {
    let mut cells = line.trim().split(',');
    let first = cells.next()?.trim().trim_matches('"');
    let stamp = match first.split_once(' ') {
        // Without a zone: as UTC, since only differences count.
        Some((date, clock)) => format!("{date}T{}Z", clock.trim_end_matches('Z')),
        None => first.to_owned(),
    };
    let when =
        time::rfc3339(stamp.as_bytes()).map(|(when, _)| when).or_else(|| time::epoch(first.parse().ok()?));
    Some((when?.resolve(None)?, cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_known_by_their_last_part() {
        let found =
            columns("time,redis-cart-cpu_cfs,cart-p95latency,worker-01-tcp_retrans,cart-network_receive");
        let read: Vec<_> =
            found.into_iter().map(|column| column.map(|(of, measured, _)| (of, measured))).collect();
        assert_eq!(
            read,
            [
                Some(("redis-cart".to_owned(), Measured::CpuThrottled)),
                Some(("cart".to_owned(), Measured::Latency)),
                Some(("worker-01".to_owned(), Measured::Retransmits)),
                None
            ]
        );
        assert!(columns("name,cart-cpu").is_empty());
        assert!(row("2026-11-23 08:00:00,0.1").is_some());
        assert!(row("cart,0.1").is_none());
    }
}
