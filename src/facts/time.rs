//! Times as logs write them. Everything is microseconds since 1970, UTC.
//!
//! klog and syslog write no year. Such a time stays [`When::Yearless`] until the whole bundle is read;
//! then the newest absolute time of the bundle says which year is meant.

use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use jiff::tz::Offset;

/// A leap year, so that 29 February parses; yearless times are kept as microseconds within it.
const LEAP_YEAR: i16 = 2000;
/// Microseconds of a second.
pub const MICROS: i64 = 1_000_000;
/// A node's clock and ours may differ, and the newest line may be newer than the newest absolute time.
const SLACK: i64 = 2 * 86_400 * MICROS;

/// One time, with or without its year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum When {
    /// Microseconds since 1970.
    At(i64),
    /// Microseconds since 1970 if the year were 2000.
    Yearless(i64),
    /// Microseconds before its text was made, as a negative number: the `2m31s` of `kubectl get events`. When that was, is not
    /// told; two of such times can be compared.
    Before(i64),
}

impl When {
    /// The absolute time, given the newest absolute time of the bundle.
    pub fn resolve(self, anchor: Option<i64>) -> Option<i64> {
        match self {
            Self::At(at) => Some(at),
            Self::Yearless(at) => {
                let anchor = anchor?;
                let year = Offset::UTC.to_datetime(Timestamp::from_microsecond(anchor).ok()?).year();
                let moved = with_year(at, year)?;
                if moved > anchor + SLACK { with_year(at, year - 1) } else { Some(moved) }
            }
            Self::Before(_) => None,
        }
    }
}

impl When {
    /// The time itself, or without its year that of the year in which it lies nearest to another, in microseconds.
    pub fn nearest(self, to: i64) -> Option<i64> {
        match self {
            Self::At(at) => Some(at),
            Self::Yearless(at) => {
                let year = Offset::UTC.to_datetime(Timestamp::from_microsecond(to).ok()?).year();
                let years = [year - 1, year, year + 1].into_iter();
                years.filter_map(|year| with_year(at, year)).min_by_key(|moved| moved.abs_diff(to))
            }
            Self::Before(_) => None,
        }
    }
}

fn with_year(yearless: i64, year: i16) -> Option<i64> {
    let at = Offset::UTC.to_datetime(Timestamp::from_microsecond(yearless).ok()?);
    let moved = at.with().year(year).build().ok()?;
    Some(Offset::UTC.to_timestamp(moved).ok()?.as_microsecond())
}

/// First and last of many times, in both kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    at: Option<(i64, i64)>,
    yearless: Option<(i64, i64)>,
    before: Option<(i64, i64)>,
}

impl Span {
    /// Widens to hold one more time.
    pub fn add(&mut self, when: When) {
        let (slot, value) = match when {
            When::At(value) => (&mut self.at, value),
            When::Yearless(value) => (&mut self.yearless, value),
            When::Before(value) => (&mut self.before, value),
        };
        *slot = Some(slot.map_or((value, value), |(first, last)| (first.min(value), last.max(value))));
    }

    /// Widens to hold another span.
    pub fn merge(&mut self, other: Self) {
        if let Some((first, last)) = other.at {
            self.add(When::At(first));
            self.add(When::At(last));
        }
        if let Some((first, last)) = other.yearless {
            self.add(When::Yearless(first));
            self.add(When::Yearless(last));
        }
        if let Some((first, last)) = other.before {
            self.add(When::Before(first));
            self.add(When::Before(last));
        }
    }

    /// First and last as absolute times, given the newest absolute time of the bundle.
    pub fn resolve(&self, anchor: Option<i64>) -> Option<(i64, i64)> {
        let moved = self.yearless.and_then(|(first, last)| {
            // A span that runs over New Year has its earliest day at the end of the calendar.
            let (a, b) = (When::Yearless(first).resolve(anchor)?, When::Yearless(last).resolve(anchor)?);
            Some((a.min(b), a.max(b)))
        });
        match (self.at, moved) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (item, other) => item.or(other),
        }
    }

    /// How long another span goes on after this one ends, in microseconds, of times of one kind: two of one log can be compared
    /// without knowing the year. Negative when it ends before.
    pub fn until_end_of(&self, other: &Self) -> Option<i64> {
        let of = |ours: Option<(i64, i64)>, theirs: Option<(i64, i64)>| Some(theirs?.1 - ours?.1);
        let dated = of(self.at, other.at);
        let yearless = of(self.yearless, other.yearless).filter(|_| self.at.is_none());
        let told_as_age =
            of(self.before, other.before).filter(|_| self.at.is_none() && self.yearless.is_none());
        dated.or(yearless).or(told_as_age)
    }

    /// How long before its text was made the last one was, in microseconds, where ages alone tell.
    pub fn age_of_end(&self) -> Option<i64> {
        self.before.filter(|_| self.at.is_none() && self.yearless.is_none()).map(|(_, last)| -last)
    }

    /// How long after the beginning of another span this one ends, in microseconds; nothing when the two have no times of one kind.
    pub fn end_after_start_of(&self, other: &Self) -> Option<i64> {
        let of = |ours: Option<(i64, i64)>, theirs: Option<(i64, i64)>| Some(ours?.1 - theirs?.0);
        of(self.at, other.at).or_else(|| of(self.yearless, other.yearless))
    }

    /// From the first to the last, in microseconds.
    pub fn length(&self) -> i64 {
        let of = |span: Option<(i64, i64)>| span.map_or(0, |(first, last)| last - first);
        of(self.at).max(of(self.yearless))
    }

    /// The newest absolute time, which anchors the yearless ones.
    pub fn newest(&self) -> Option<i64> {
        self.at.map(|(_, last)| last)
    }
}

/// RFC 3339 at the start of `text`: `T` or a space, any fraction, `Z` or an offset with or without colon.
/// Gives the time and how many bytes it took.
pub fn rfc3339(text: &[u8]) -> Option<(When, usize)> {
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    let byte = |at: usize| text.get(at).copied();
    if byte(4)? != b'-' || byte(7)? != b'-' || !matches!(byte(10)?, b'T' | b' ') {
        return None;
    }
    if byte(13)? != b':' || byte(16)? != b':' {
        return None;
    }
    let (seconds, days) = (
        number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?,
        days_from_civil(number(0, 4)?, number(5, 7)?, number(8, 10)?)?,
    );
    let mut at = 19;
    let mut micros = 0;
    if matches!(byte(at), Some(b'.' | b',')) {
        let start = at + 1;
        at = start;
        while byte(at).is_some_and(|b| b.is_ascii_digit()) {
            at += 1;
        }
        let fraction = text.get(start..at.min(start + 6))?;
        micros = digits(fraction)? * 10_i64.pow(6 - fraction.len().min(6) as u32);
    }
    let mut offset = 0;
    match byte(at) {
        Some(b'Z') => at += 1,
        Some(sign @ (b'+' | b'-')) if byte(at + 1).is_some_and(|b| b.is_ascii_digit()) => {
            let hours = number(at + 1, at + 3)?;
            let colon = usize::from(byte(at + 3) == Some(b':'));
            let minutes = number(at + 3 + colon, at + 5 + colon)?;
            offset = (hours * 3600 + minutes * 60) * if sign == b'-' { -1 } else { 1 };
            at += 5 + colon;
        }
        // `2021-08-03 12:14:13.63 +0200 CEST m=+138.2`, as Go prints a time, and `… +02:00`.
        Some(b' ') => {
            if let Some((seconds, length)) = spaced_offset(text.get(at + 1..).unwrap_or_default()) {
                offset = seconds;
                at += 1 + length;
            }
        }
        _ => {}
    }
    Some((When::At((days * 86_400 + seconds - offset) * MICROS + micros), at))
}

/// An offset after a blank, with the zone's name and Go's monotonic clock where they follow: seconds, and the bytes that it takes.
fn spaced_offset(text: &[u8]) -> Option<(i64, usize)> {
    let sign = match text.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let colon = usize::from(text.get(3) == Some(&b':'));
    let (hours, minutes) = (digits(text.get(1..3)?)?, digits(text.get(3 + colon..5 + colon)?)?);
    let mut length = 5 + colon;
    if hours > 14
        || minutes > 59
        || text.get(length).is_some_and(|byte| !byte.is_ascii_whitespace() && *byte != b']')
    {
        return None;
    }
    // The zone by name, or the offset once more; then `m=+138.2`.
    for _ in 0..2 {
        let rest = text.get(length..).unwrap_or_default();
        let Some(word) = rest.strip_prefix(b" ") else { break };
        let end = word.iter().position(u8::is_ascii_whitespace).unwrap_or(word.len());
        let word = word.get(..end).unwrap_or_default();
        let zone = (3..=5).contains(&word.len()) && word.iter().all(u8::is_ascii_uppercase);
        let again =
            word.len() == 5 && word.first() == text.first() && word.iter().skip(1).all(u8::is_ascii_digit);
        if !(zone || again || word.starts_with(b"m=")) {
            break;
        }
        length += 1 + end;
    }
    Some((sign * (hours * 3600 + minutes * 60), length))
}

/// `03/Aug/2021:12:11:56 +0200` at the start of a text, as web servers log it. Gives the time and how many bytes it took.
pub fn web_log(text: &[u8]) -> Option<(When, usize)> {
    if text.get(2) != Some(&b'/') || text.get(6) != Some(&b'/') || text.get(11) != Some(&b':') {
        return None;
    }
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    let seconds = number(12, 14)? * 3600 + number(15, 17)? * 60 + number(18, 20)?;
    let (offset, length) = text
        .get(20..)
        .and_then(|rest| spaced_offset(rest.strip_prefix(b" ")?))
        .map_or((0, 20), |(offset, length)| (offset, 21 + length));
    let when = civil(number(7, 11)?, month(text.get(3..6)?)?, number(0, 2)?, seconds - offset, 0)?;
    Some((when, length))
}

/// A time in any of the ways in which programs write one into a field of its own.
pub fn of_field(text: &str) -> Option<When> {
    let bytes = text.trim().as_bytes();
    rfc3339(bytes)
        .or_else(|| web_log(bytes))
        .map(|(when, _)| when)
        .or_else(|| go_log(bytes))
        .or_else(|| rfc1123(text))
        .or_else(|| unix_date(bytes))
        .or_else(|| epoch(text.trim().parse().ok()?))
}

/// The time of a klog header, `I1123 20:52:03.889309`, given the text after the letter.
pub fn klog(text: &[u8]) -> Option<When> {
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    let byte = |at: usize| text.get(at).copied();
    if byte(4)? != b' ' || byte(7)? != b':' || byte(10)? != b':' || byte(13)? != b'.' {
        return None;
    }
    let days = days_from_civil(i64::from(LEAP_YEAR), number(0, 2)?, number(2, 4)?)?;
    let seconds = number(5, 7)? * 3600 + number(8, 10)? * 60 + number(11, 13)?;
    Some(When::Yearless((days * 86_400 + seconds) * MICROS + number(14, 20)?))
}

/// `Nov 23 20:05:01` or `Nov  3 20:05:01` at the start of `text`.
pub fn syslog(text: &[u8]) -> Option<When> {
    let byte = |at: usize| text.get(at).copied();
    let month = month(text.get(..3)?)?;
    if byte(3)? != b' ' || byte(6)? != b' ' || byte(9)? != b':' || byte(12)? != b':' {
        return None;
    }
    let day = digits(text.get(4..6)?.trim_ascii_start())?;
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    let days = days_from_civil(i64::from(LEAP_YEAR), month, day)?;
    Some(When::Yearless(
        (days * 86_400 + number(7, 9)? * 3600 + number(10, 12)? * 60 + number(13, 15)?) * MICROS,
    ))
}

/// `Mon, 23 Nov 2026 20:52:05 +0000`, as `kubectl describe` prints times, in the zone of who ran it.
pub fn rfc1123(text: &str) -> Option<When> {
    let (_day, rest) = text.trim().split_once(", ")?;
    let mut words = rest.split_whitespace();
    let (day, month_name, year) = (words.next()?, words.next()?, words.next()?);
    let (clock, zone) = (words.next()?, words.next().unwrap_or("+0000"));
    let month = month(month_name.as_bytes())?;
    let stamp = format!(
        "{:0>4}-{month:02}-{:0>2}T{clock}{}",
        year,
        day,
        zone.replace("GMT", "Z").replace("UTC", "Z")
    );
    rfc3339(stamp.as_bytes()).map(|(when, _)| when)
}

/// `2023/01/02 03:04:05`, with any fraction, as Go's log package writes it (local zone, taken as UTC).
pub fn go_log(text: &[u8]) -> Option<When> {
    if text.get(4) != Some(&b'/') || text.get(7) != Some(&b'/') || text.get(10) != Some(&b' ') {
        return None;
    }
    let mut stamp: Vec<u8> = text.get(..text.len().min(26))?.to_vec();
    *stamp.get_mut(4)? = b'-';
    *stamp.get_mut(7)? = b'-';
    rfc3339(&stamp).map(|(when, _)| when)
}

/// `Fri Oct 15 10:06:00 UTC 2021` and `Mon Nov 23 20:05:01 2026`, as `date` and C programs write it.
pub fn unix_date(text: &[u8]) -> Option<When> {
    let head = text.get(..text.len().min(32))?;
    // A space after the day's name is cheaper to look for than words.
    if head.get(3) != Some(&b' ') || !head.first()?.is_ascii_uppercase() {
        return None;
    }
    let mut words = std::str::from_utf8(head).ok()?.split_whitespace();
    let (_day, month_name, day, clock) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = month(month_name.as_bytes())?;
    // A zone by name is taken as UTC.
    let year = match words.next()? {
        year if year.parse::<u16>().is_ok() => year,
        _zone => words.next()?.get(..4)?,
    };
    rfc3339(format!("{year:0>4}-{month:02}-{day:0>2}T{clock}Z").as_bytes()).map(|(when, _)| when)
}

/// An English month by its first three letters, from 1.
pub fn month(name: &[u8]) -> Option<i64> {
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    MONTHS.iter().position(|month| *month == name).map(|at| at as i64 + 1)
}

/// A calendar date and a time of day, without an offset, as UTC.
pub fn civil(year: i64, month: i64, day: i64, seconds: i64, micros: i64) -> Option<When> {
    Some(When::At((days_from_civil(year, month, day)? * 86_400 + seconds) * MICROS + micros))
}

/// Month, day and time of day without a year.
pub fn civil_yearless(month: i64, day: i64, seconds: i64) -> Option<When> {
    Some(When::Yearless((days_from_civil(i64::from(LEAP_YEAR), month, day)? * 86_400 + seconds) * MICROS))
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size.
pub fn epoch(number: f64) -> Option<When> {
    let micros = match number.abs() {
        n if n < 1e8 => return None,
        n if n < 1e11 => number * 1e6,
        n if n < 1e14 => number * 1e3,
        n if n < 1e17 => number,
        n if n < 1e20 => number / 1e3,
        _ => return None,
    };
    Some(When::At(micros as i64))
}

fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let (year, month, day) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let since = DateTime::from_parts(jiff::civil::Date::new(year, month, day).ok()?, jiff::civil::Time::MIN);
    let epoch = date(1970, 1, 1).at(0, 0, 0, 0);
    Some(i64::from((since.date() - epoch.date()).get_days()))
}

/// `2026-11-23 20:52:03Z`, for people.
pub fn show(micros: i64) -> String {
    Timestamp::from_microsecond(micros)
        .map_or_else(|_| "an impossible time".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// Seconds of an age as kubectl prints it (apimachinery, `duration.HumanDuration`): `59m`, `6d3h`, `2y41d`.
pub fn age_seconds(text: &str) -> Option<i64> {
    let mut seconds = 0_i64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0)?;
        let number: i64 = rest.get(..digits)?.parse().ok()?;
        let unit = match rest.get(digits..=digits)? {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            "y" => 365 * 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = rest.get(digits + 1..)?;
    }
    Some(seconds)
}

/// RFC 3339, for machines.
pub fn rfc3339_text(micros: i64) -> String {
    Timestamp::from_microsecond(micros).map_or_else(|_| String::new(), |at| at.to_string())
}

/// `3 h 5 min`, `42 s`: the two largest units of a length of time.
pub fn show_length(micros: i64) -> String {
    let seconds = micros / MICROS;
    let (days, hours, minutes) = (seconds / 86_400, seconds % 86_400 / 3600, seconds % 3600 / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, m) if seconds % 60 == 0 => format!("{m} min"),
        (0, 0, m) => format!("{m} min {} s", seconds % 60),
        (0, h, 0) => format!("{h} h"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, 0, _) => format!("{d} d"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

/// The span that covers two, in microseconds since 1970.
pub fn joined(a: Option<(i64, i64)>, b: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (a, b) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> String {
        let (when, _) = rfc3339(text.as_bytes()).unwrap();
        rfc3339_text(when.resolve(None).unwrap())
    }

    #[test]
    fn every_fraction_and_offset_is_read() {
        assert_eq!(rendered("2026-01-02T03:04:05Z"), "2026-01-02T03:04:05Z");
        assert_eq!(rendered("2020-11-09T10:57:31.0000000Z"), "2020-11-09T10:57:31Z");
        assert_eq!(rendered("2026-11-23T20:05:01.123456789Z"), "2026-11-23T20:05:01.123456Z");
        assert_eq!(rendered("2026-11-23T20:05:01.5+0200"), "2026-11-23T18:05:01.5Z");
        assert_eq!(rendered("2026-11-23 20:05:01.5-05:30"), "2026-11-24T01:35:01.5Z");
        assert_eq!(rendered("2026-11-23 20:05:01.63 +0200 CEST m=+138.2 x"), "2026-11-23T18:05:01.63Z");
        assert_eq!(rfc3339(b"2026-11-23 20:05:01 +0200 CEST m=+138.2 x").unwrap().1, 39);
        assert_eq!(rfc3339(b"2026-11-23 20:05:01 -1 items").unwrap().1, 19);
        assert!(rfc3339(b"2026-13-02T03:04:05Z").is_none());
        assert!(rfc3339(b"2026-1").is_none());
    }

    #[test]
    fn a_klog_line_of_december_in_a_january_bundle_is_of_last_year() {
        let (anchor, _) = rfc3339(b"2026-01-03T00:00:00Z").unwrap();
        let anchor = anchor.resolve(None);
        let december = klog(b"1231 23:59:59.000001").unwrap().resolve(anchor).unwrap();
        assert_eq!(rfc3339_text(december), "2025-12-31T23:59:59.000001Z");
        let january = klog(b"0102 00:00:00.000000").unwrap().resolve(anchor).unwrap();
        assert_eq!(rfc3339_text(january), "2026-01-02T00:00:00Z");
    }

    #[test]
    fn dates_of_go_and_c_programs_are_read() {
        let resolved = |when: Option<When>| rfc3339_text(when.unwrap().resolve(None).unwrap());
        assert_eq!(resolved(go_log(b"2023/01/02 03:04:05 [1234] text")), "2023-01-02T03:04:05Z");
        assert_eq!(resolved(go_log(b"2023/01/02 03:04:05.123456 text")), "2023-01-02T03:04:05.123456Z");
        assert_eq!(resolved(unix_date(b"Fri Oct 15 10:06:00 UTC 2021")), "2021-10-15T10:06:00Z");
        assert_eq!(resolved(unix_date(b"Mon Nov  3 20:05:01 2026")), "2026-11-03T20:05:01Z");
        assert!(unix_date(b"Mon is not a date at all, no").is_none());
    }

    #[test]
    fn a_field_may_hold_a_time_in_any_way() {
        for text in [
            "2026-11-23T20:05:01Z",
            "23/Nov/2026:22:05:01 +0200",
            "2026/11/23 20:05:01",
            "Mon, 23 Nov 2026 20:05:01 GMT",
            "Mon Nov 23 20:05:01 UTC 2026",
            "1795464301",
            "1795464301000",
            "1795464301000000000",
        ] {
            let when = of_field(text).and_then(|when| when.resolve(None)).map(rfc3339_text);
            assert_eq!(when.as_deref(), Some("2026-11-23T20:05:01Z"), "{text}");
        }
        assert_eq!(of_field("yesterday"), None);
    }

    #[test]
    fn describes_times_are_read_with_their_zone() {
        let when = rfc1123("Thu, 08 Oct 2026 00:37:41 +0530").unwrap().resolve(None).unwrap();
        assert_eq!(rfc3339_text(when), "2026-10-07T19:07:41Z");
        assert!(rfc1123("yesterday, at noon").is_none());
    }

    #[test]
    fn a_yearless_time_without_any_anchor_stays_unknown() {
        assert_eq!(klog(b"1123 20:52:03.889309").unwrap().resolve(None), None);
    }

    #[test]
    fn spans_merge_in_any_order() {
        let times = [When::At(5), When::Yearless(9), When::At(1), When::Yearless(2)];
        let mut a = Span::default();
        for time in times {
            a.add(time);
        }
        let mut b = Span::default();
        let mut c = Span::default();
        times.iter().rev().take(2).for_each(|t| b.add(*t));
        times.iter().rev().skip(2).for_each(|t| c.add(*t));
        c.merge(b);
        assert_eq!(a, c);
    }

    #[test]
    fn ages_as_kubectl_prints_them() {
        for (text, seconds) in [("59m", 3540), ("6d3h", 529_200), ("2m5s", 125), ("0s", 0)] {
            assert_eq!(age_seconds(text), Some(seconds), "{text}");
        }
        for text in ["", "<unknown>", "5", "m", "9999999999999999999d", "é"] {
            assert_eq!(age_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn epochs_are_told_apart_by_size() {
        assert_eq!(epoch(1_795_467_693_661.0), Some(When::At(1_795_467_693_661_000)));
        assert_eq!(epoch(1_795_467_693.0), Some(When::At(1_795_467_693_000_000)));
        assert_eq!(epoch(42.0), None);
    }
}
