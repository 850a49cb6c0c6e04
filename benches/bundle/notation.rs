//! How values are written: times as klog, the audit log and the portal show them, Go's durations and JSON
//! strings, CSV cells.

use jiff::Timestamp;
use serde_json::Value;

/// 2026-11-23T08:00:00Z in seconds: when the logs begin. Everything older in the bundle counts back from here.
pub(crate) const START: u64 = 1_795_420_800;

/// A moment in microseconds since 1970, in UTC.
#[derive(Clone, Copy)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    pub(crate) fn seconds_before_start(seconds: u64) -> Self {
        Self((START - seconds) * 1_000_000)
    }

    /// In strftime's notation.
    pub(crate) fn label(self, format: &str) -> String {
        Timestamp::from_microsecond(self.0 as i64).unwrap_or_default().strftime(format).to_string()
    }

    /// `metav1.Time`: whole seconds.
    pub(crate) fn plain(self) -> String {
        self.label("%Y-%m-%dT%H:%M:%SZ")
    }

    /// `metav1.MicroTime`, as in the audit log: six decimals.
    pub(crate) fn micro(self) -> String {
        self.label("%Y-%m-%dT%H:%M:%S.%6fZ")
    }

    /// The beginning of a klog line, after its letter (klog: `Lmmdd hh:mm:ss.uuuuuu threadid file:line] msg`).
    pub(crate) fn klog(self) -> String {
        self.label("%m%d %H:%M:%S.%6f   16403")
    }

    /// As the portal exports a time from an en-US browser (Microsoft's articles on AKS show it): quoted for
    /// its comma.
    pub(crate) fn portal(self) -> String {
        self.label("\"%-m/%-d/%Y, %-I:%M:%S.%3f %p\"")
    }
}

/// Nanoseconds as Go prints a `time.Duration` below an hour: `243.573µs`, `1.18ms`, `9m51.2s`.
pub(crate) fn go_duration(nanoseconds: u64) -> String {
    let (unit, digits, name) = match nanoseconds {
        ..1_000_000 => (1_000, 3, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, 6, "ms"),
        _ => (1_000_000_000, 9, "s"),
    };
    let whole = match nanoseconds / unit {
        seconds if name == "s" && seconds >= 60 => format!("{}m{}", seconds / 60, seconds % 60),
        whole => whole.to_string(),
    };
    let fraction = format!(".{:0digits$}", nanoseconds % unit);
    format!("{whole}{}{name}", fraction.trim_end_matches('0').trim_end_matches('.'))
}

/// A JSON string as Go's `encoding/json` writes it: with `&`, `<` and `>` escaped.
pub(crate) fn go_json(text: &str) -> String {
    Value::from(text).to_string().replace('&', r"\u0026").replace('<', r"\u003c").replace('>', r"\u003e")
}

/// A CSV cell (RFC 4180): quoted only when it has to be, quotes doubled.
pub(crate) fn cell(text: &str) -> String {
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
