//! Metrics in Prometheus' text form, as `kubectl get --raw /metrics` prints them, whole or cut down by grep.
//!
//! A line is `name{label="value",…} number [milliseconds]`; comments begin with `# HELP` and `# TYPE`. Of the API
//! server's only what tells of its store is kept: its size and the number of its objects
//! (kubernetes/kubernetes `staging/src/k8s.io/apiserver/pkg/storage/etcd3/metrics`). What an etcd tells of itself is left alone: applications have etcds, too.

use memchr::memmem;

use super::{Head, InputFormat, Piece, share_of_lines};
use crate::facts::{Facts, Measure, Metric, Place};

pub(super) struct Metrics;
pub(super) const FORMAT: Metrics = Metrics;

/// Beginnings of the names that are read: most lines have none of them.
const FAMILIES: [&[u8]; 3] = [b"apiserver_storage_", b"apiserver_resource_objects", b"etcd_"];

/// What a metric measures, when it is one that is read.
fn measure(name: &[u8]) -> Option<Measure> {
    Some(match name {
        b"apiserver_storage_size_bytes"
        | b"apiserver_storage_db_total_size_in_bytes"
        | b"etcd_db_total_size_in_bytes" => Measure::StoreSize,
        b"apiserver_storage_objects" | b"apiserver_resource_objects" | b"etcd_object_counts" => {
            Measure::Objects
        }
        _ => return None,
    })
}

/// Name, labels and value of a line.
fn sample(line: &[u8]) -> Option<(&[u8], &[u8], f64)> {
    let end = line.iter().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':')))?;
    let (name, rest) = line.split_at_checked(end)?;
    // `key: 12` is something else.
    if name.first().is_none_or(u8::is_ascii_digit) || name.ends_with(b":") {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix(b"{") {
        // A label may hold a brace: the value stands after the last one.
        Some(rest) => {
            let end = memchr::memrchr(b'}', rest)?;
            (rest.get(..end)?, rest.get(end + 1..)?)
        }
        None => (&b""[..], rest),
    };
    let mut words = rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let value = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let time = words.next();
    let timed = time.is_none_or(|time| time.iter().all(u8::is_ascii_digit));
    (rest.first().is_some_and(u8::is_ascii_whitespace) && timed && words.next().is_none())
        .then_some((name, labels, value))
}

/// The value of a label.
fn label<'a>(labels: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let key = format!("{name}=\"");
    let found = memmem::find_iter(labels, key.as_bytes())
        .find(|at| *at == 0 || labels.get(at - 1).is_some_and(|before| matches!(before, b',' | b' ')))?;
    labels.get(found + key.len()..)?.split(|byte| *byte == b'"').next()
}

fn is_comment(line: &[u8]) -> bool {
    line.starts_with(b"# HELP ") || line.starts_with(b"# TYPE ") || line == b"# EOF"
}

impl InputFormat for Metrics {
    fn name(&self) -> &'static str {
        "metrics"
    }

    fn about(&self) -> &'static str {
        "Prometheus metrics: kubectl get --raw /metrics"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        // A word and a number are many things: labels, a comment or a name that is known make it a metric.
        let telling = |line: &[u8]| {
            is_comment(line)
                || sample(line).is_some_and(|(name, labels, _)| !labels.is_empty() || measure(name).is_some())
        };
        let any = share_of_lines(head.bytes, 100, telling) > 0;
        let fits = |line: &[u8]| is_comment(line) || sample(line).is_some();
        if any && share_of_lines(head.bytes, 100, fits) >= 80 { 88 } else { 0 }
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut records = 0;
        for (number, line) in (piece.first_line..).zip(piece.bytes.split(|byte| *byte == b'\n')) {
            records += u64::from(!line.is_empty() && !line.starts_with(b"#"));
            if !FAMILIES.iter().any(|family| line.starts_with(family)) {
                continue;
            }
            let Some((name, labels, value)) = sample(line.trim_ascii_end()) else { continue };
            // A count that could not be made is -1.
            let Some(measure) = measure(name).filter(|_| value.is_finite() && value >= 0.0) else { continue };
            let of = match measure {
                Measure::Objects => {
                    let plain = label(labels, "resource").unwrap_or_default();
                    let group = label(labels, "group").filter(|group| !group.is_empty());
                    let plain = String::from_utf8_lossy(plain);
                    group.map_or_else(
                        || plain.to_string(),
                        |group| format!("{plain}.{}", String::from_utf8_lossy(group)),
                    )
                }
                Measure::StoreSize | Measure::SnatFailures => String::new(),
            };
            if let Some(slot) = facts.nodes.metrics.slot(Place { source: piece.source.clone(), line: number })
            {
                *slot = Metric {
                    name: String::from_utf8_lossy(name).into(),
                    measure: Some(measure),
                    of: of.chars().take(253).collect(),
                    value: value as u64,
                };
            }
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_labels_and_a_number() {
        let read = |text: &'static str| {
            sample(text.as_bytes()).map(|(name, labels, value)| {
                (std::str::from_utf8(name).unwrap(), std::str::from_utf8(labels).unwrap(), value)
            })
        };
        assert_eq!(
            read(r#"apiserver_storage_size_bytes{cluster="etcd-0"} 2.147483648e+09"#),
            Some(("apiserver_storage_size_bytes", r#"cluster="etcd-0""#, 2_147_483_648.0))
        );
        assert_eq!(read("go_goroutines 12"), Some(("go_goroutines", "", 12.0)));
        assert_eq!(
            read(r#"a_total{path="/{id}"} 3 1700000000000"#),
            Some(("a_total", r#"path="/{id}""#, 3.0))
        );
        for other in ["NAME READY", "12 13", "key: 12", "apiserver_up{", "a 1 2 3", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_label_is_found_by_its_whole_name() {
        let labels = br#"subresource="x",resource="pods",group="""#;
        assert_eq!(label(labels, "resource"), Some(&b"pods"[..]));
        assert_eq!(label(labels, "group"), Some(&b""[..]));
        assert_eq!(label(labels, "verb"), None);
    }
}
