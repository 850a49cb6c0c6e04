//! Times in the forms of logs, against `jiff`.

use arbitrary::Unstructured;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use kubetriage::facts::time::{self, Span, When};

/// Any text is read without harm, and as `jiff` reads it where both do; any time is read back from every form of it.
pub fn time(data: &[u8]) {
    any_text(data);
    let mut more = Unstructured::new(data);
    if let (Ok(micros), Ok(minutes)) = (more.arbitrary(), more.int_in_range(-14 * 60..=14 * 60)) {
        any_time(micros, minutes);
    }
}

fn any_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut found = vec![
        time::klog(data),
        time::syslog(data),
        time::go_log(data),
        time::unix_date(data),
        time::rfc1123(&text),
        text.trim().parse().ok().and_then(time::epoch),
    ];
    if let Some((when, length)) = time::rfc3339(data) {
        found.push(Some(when));
        let read = std::str::from_utf8(&data[..length]).expect("digits and signs");
        // A leap second is the one before it there, and the one after it here.
        if let Ok(theirs) = read.parse::<Timestamp>()
            && !read.contains(":60")
        {
            let ours =
                Timestamp::from_microsecond(when.resolve(None).expect("with its year")).expect("of jiff");
            assert!(theirs.duration_since(ours).as_micros().abs() <= 1, "{read}: {ours}");
        }
    }
    let anchors = [None, Some(0), Some(1_795_428_000_000_000), Some(i64::MIN), Some(i64::MAX)];
    for (when, anchor) in found.iter().flatten().flat_map(|when| anchors.map(|anchor| (*when, anchor))) {
        let mut span = Span::default();
        span.add(when);
        span.add(When::At(0));
        let _ = span.resolve(anchor);
        let near = anchor.and_then(|anchor| when.nearest(anchor));
        for at in [when.resolve(anchor), near].into_iter().flatten() {
            let _ = (time::show(at), time::rfc3339_text(at), time::show_length(at));
        }
    }
}

fn any_time(micros: i64, minutes: i32) {
    // Years of four digits.
    let Some(at) = Timestamp::from_microsecond(micros % 250_000_000_000_000_000).ok() else { return };
    let at = Offset::UTC.to_datetime(at);
    if at.year() < 1 {
        return;
    }
    let micros = |at: DateTime| Offset::UTC.to_timestamp(at).expect("within range").as_microsecond();
    let seconds = micros(at).div_euclid(1_000_000) * 1_000_000;
    let written = |form: &str| strtime::format(form, at).expect("a form of jiff");
    let is = |text: &str, when: Option<When>, expected: i64| {
        assert_eq!(when.and_then(|when| when.resolve(None)), Some(expected), "{text}");
    };
    let rfc3339 = |text: &str| time::rfc3339(text.as_bytes()).map(|(when, _)| when);
    for form in ["%Y-%m-%dT%H:%M:%S.%6fZ", "%Y-%m-%d %H:%M:%S,%6f", "%Y-%m-%dT%H:%M:%S.%9fZ"] {
        let text = written(form);
        is(&text, rfc3339(&text), micros(at));
    }
    if let Ok(utc) = at.checked_sub(minutes.minutes()) {
        let sign = if minutes < 0 { '-' } else { '+' };
        let (hour, minute) = (minutes.abs() / 60, minutes.abs() % 60);
        for colon in ["", ":"] {
            let text = written("%Y-%m-%dT%H:%M:%S.%6f") + &format!("{sign}{hour:02}{colon}{minute:02}");
            is(&text, rfc3339(&text), micros(utc));
        }
    }
    let text = written("%Y/%m/%d %H:%M:%S");
    is(&text, time::go_log(text.as_bytes()), seconds);
    let text = written("%a %b %e %H:%M:%S UTC %Y");
    is(&text, time::unix_date(text.as_bytes()), seconds);
    let text = written("%a %b %e %H:%M:%S %Y");
    is(&text, time::unix_date(text.as_bytes()), seconds);
    let text = written("%a, %d %b %Y %H:%M:%S +0000");
    is(&text, time::rfc1123(&text), seconds);
    // Without a year it is the one of the anchor, or the year before.
    let yearless = |text: &str, when: Option<When>, expected: i64| {
        assert_eq!(when.and_then(|when| when.resolve(Some(micros(at)))), Some(expected), "{text}");
        assert_eq!(when.and_then(|when| when.nearest(micros(at))), Some(expected), "{text}");
    };
    let text = written("%m%d %H:%M:%S.%6f");
    yearless(&text, time::klog(text.as_bytes()), micros(at));
    let text = written("%b %e %H:%M:%S");
    yearless(&text, time::syslog(text.as_bytes()), seconds);
}
