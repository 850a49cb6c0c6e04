//! Whether a series of measurements rose, and when: by medians of three tenths of it, so that single peaks do not count.

use crate::facts::{Measured, MetricSeries, MetricTable, Place};

/// A rise of a series over its beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Median of the first three tenths.
    pub before: f64,
    /// The greatest median of three tenths in a row.
    pub height: f64,
    /// Median of the last three tenths.
    pub last: f64,
    /// When it first passed the middle between beginning and height and stayed mostly above, in microseconds since 1970.
    pub since: i64,
    /// Median deviation of the first three tenths from their median.
    pub spread: f64,
}

impl Change {
    /// Whether it fell again, to below the middle.
    pub fn is_over(&self) -> bool {
        self.last < f64::midpoint(self.before, self.height)
    }

    /// ` It is back at 4.8.`, or nothing.
    pub fn ending(&self) -> String {
        if self.is_over() { format!(" At the end it is back at {:.1}.", self.last) } else { String::new() }
    }
}

/// Fewest measurements by which a change is judged.
const FEWEST: usize = 12;

fn median(mut values: Vec<f64>) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The change of a series; `None` where there are too few measurements.
pub fn change(table: &MetricTable, series: &MetricSeries) -> Option<Change> {
    let points: Vec<(i64, f64)> = table
        .times
        .iter()
        .zip(&series.values)
        .filter_map(|(when, value)| Some((*when, value.as_ref().map(|value| *value as f64 / 1000.0)?)))
        .collect();
    if points.len() < FEWEST {
        return None;
    }
    let part = points.len() * 3 / 10;
    let of = |points: &[(i64, f64)]| points.iter().map(|(_, value)| *value).collect::<Vec<_>>();
    let first = of(points.get(..part)?);
    let before = median(first.clone())?;
    let spread = median(first.iter().map(|value| (value - before).abs()).collect())?;
    let last = median(of(points.get(points.len() - part..)?))?;
    let height = points.windows(part).filter_map(|window| median(of(window))).max_by(f64::total_cmp)?;
    let middle = f64::midpoint(before, height);
    let since = points.windows(part).find(|window| {
        let above = window.iter().filter(|(_, value)| *value > middle).count();
        window.first().is_some_and(|(_, value)| *value > middle) && above * 2 > part
    });
    let since = since.and_then(|window| window.first()).map(|(when, _)| *when)?;
    Some(Change { before, height, last, since, spread })
}

/// All changes of one kind, with whose they are.
pub fn changes<'a>(
    tables: impl Iterator<Item = (&'a Place, &'a MetricTable)>,
    measured: Measured,
) -> Vec<(&'a Place, &'a MetricSeries, Change)> {
    let mut found = Vec::new();
    for (place, table) in tables {
        for series in table.series.iter().filter(|series| series.measured == measured) {
            if let Some(change) = change(table, series) {
                found.push((place, series, change));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_is_told_from_a_peak() {
        let table = |values: [i64; 20]| MetricTable {
            times: (0..20).map(|at| at * 1_000_000).collect(),
            series: vec![MetricSeries {
                of: "cart".into(),
                name: "cart-cpu".into(),
                measured: Measured::Cpu,
                values: values.into_iter().map(Some).collect(),
            }],
        };
        let of = |values| {
            let table = table(values);
            change(&table, &table.series[0])
        };
        let mut rise = [1000; 20];
        rise[10..].fill(9000);
        let found = of(rise).unwrap();
        assert_eq!((found.before, found.height, found.since), (1.0, 9.0, 10_000_000));
        assert!(!found.is_over());
        let mut peak = [1000; 20];
        peak[10] = 90_000;
        assert_eq!(of(peak), None);
    }
}
