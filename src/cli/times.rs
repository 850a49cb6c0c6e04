//! Times as people write them: `2026-11-23`, `2026-11-23T08:00`, `2026-11-23T08:00:00+01:00`.

use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

/// The first moment that a text names, in microseconds since 1970; without a zone it is UTC.
pub(super) fn since(text: &str) -> Result<i64, String> {
    moment(text).map(|(first, _)| first)
}

/// The last moment that a text names: of a day its end, else the time itself.
pub(super) fn until(text: &str) -> Result<i64, String> {
    moment(text).map(|(_, last)| last)
}

fn moment(text: &str) -> Result<(i64, i64), String> {
    if let Ok(exact) = text.parse::<Timestamp>() {
        return Ok((exact.as_microsecond(), exact.as_microsecond()));
    }
    let utc = |at: DateTime| Some(Offset::UTC.to_timestamp(at).ok()?.as_microsecond());
    // A zone by its name would be passed over.
    let civil = !text.contains('[');
    let with_clock = text.contains(['T', 't', ' ']);
    if civil
        && !with_clock
        && let Ok(day) = text.parse::<Date>()
    {
        let next = day
            .checked_add(1.day())
            .ok()
            .and_then(|next| utc(next.to_datetime(jiff::civil::Time::midnight())));
        if let Some(both) = utc(day.to_datetime(jiff::civil::Time::midnight())).zip(next) {
            return Ok((both.0, both.1 - 1));
        }
    }
    if civil
        && with_clock
        && let Some(at) = text.parse::<DateTime>().ok().and_then(utc)
    {
        return Ok((at, at));
    }
    Err(format!(
        "`{text}` is no time; write 2026-11-23, 2026-11-23T08:00 or 2026-11-23T08:00:00+01:00 (UTC without a zone)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_all_of_it_and_times_are_utc_unless_they_say_so() {
        let day = 24 * 3600 * 1_000_000;
        assert_eq!((since("1970-01-02"), until("1970-01-02")), (Ok(day), Ok(2 * day - 1)));
        assert_eq!(since("1970-01-02T01:00"), Ok(day + day / 24));
        assert_eq!(until("1970-01-02 01:00:00"), Ok(day + day / 24));
        assert_eq!(since("1970-01-02T01:00:00+01:00"), Ok(day));
        assert_eq!(since("1970-01-02T01:00:00Z"), Ok(day + day / 24));
        assert_eq!(until("19700102"), until("1970-01-02"));
        assert!(since("1970-01-02T01:00[Europe/Berlin]").is_err() && until("1970-01-02[UTC]").is_err());
        assert!(since("yesterday").is_err() && since("24h").is_err() && since("").is_err());
    }
}
