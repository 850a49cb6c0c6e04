//! The part of time that is asked for: what a log or an event tells of another time is left out.

use super::time::When;
use super::{AttemptSeen, EventSeen, Facts, FlowFilter, FlowSeen, Observation, SignalSeen};

/// From when to when, both included, in microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Nothing before it counts.
    pub since: Option<i64>,
    /// Nothing after it counts.
    pub until: Option<i64>,
}

impl Window {
    /// Whether all of time is asked for.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether something that was seen first and last at these times reaches into it. What tells no time is not left
    /// out: nobody knows that it is of another.
    pub fn admits(&self, times: [Option<When>; 2]) -> bool {
        if self.is_all() {
            return true;
        }
        let known: Vec<i64> = times.into_iter().flatten().filter_map(|when| self.placed(when)).collect();
        let Some((first, last)) = known.iter().min().zip(known.iter().max()) else { return true };
        self.since.is_none_or(|since| *last >= since) && self.until.is_none_or(|until| *first <= until)
    }

    /// A time without its year is of the year in which it lies nearest to what is asked for: with one end, to a season
    /// from it, so that most of a year is on the side that is asked for.
    fn placed(&self, when: When) -> Option<i64> {
        const SEASON: i64 = 92 * 86_400 * 1_000_000;
        when.nearest(match (self.since, self.until) {
            (Some(since), Some(until)) => since / 2 + until / 2,
            (Some(since), None) => since.saturating_add(SEASON),
            (None, Some(until)) => until.saturating_sub(SEASON),
            (None, None) => return None,
        })
    }
}

/// What is seen at a time goes in through these.
impl Facts {
    fn admits(&mut self, times: [Option<When>; 2]) -> bool {
        let admitted = self.window.admits(times);
        self.left_out += u64::from(!admitted);
        admitted
    }

    /// A refused request.
    pub fn denied(&mut self, seen: Observation<'_>) {
        if self.admits([seen.when, seen.last]) {
            self.denials.add(seen);
        }
    }

    /// A refused request as the access log tells it.
    pub fn accessed(&mut self, seen: Observation<'_>) {
        if self.admits([seen.when, None]) {
            self.access.add(seen);
        }
    }

    /// A failed attempt to reach something.
    pub fn attempted(&mut self, seen: AttemptSeen<'_>) {
        if self.admits(seen.times) {
            self.attempts.add(seen);
        }
    }

    /// A known error text.
    pub fn signalled(&mut self, seen: SignalSeen<'_>) {
        if self.admits(seen.times) {
            self.signals.add(seen);
        }
    }

    /// An event: one that began before the time that is asked for, and went on in it, counts whole.
    pub fn happened(&mut self, seen: EventSeen<'_>) {
        // They were there, and collected then, whether they count or not.
        self.events.read += 1;
        seen.times.into_iter().flatten().for_each(|when| self.events.seen.add(when));
        if self.admits(seen.times) {
            self.events.add(seen);
        }
    }

    /// A connection that a firewall or a security group saw.
    pub fn flowed(&mut self, seen: FlowSeen<'_>) {
        self.flows.read += u64::from(seen.key.filter == FlowFilter::Firewall);
        if self.admits([seen.when, None]) {
            self.flows.add(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::time;

    fn at(text: &str) -> i64 {
        time::rfc3339(text.as_bytes()).unwrap().0.resolve(None).unwrap()
    }

    #[test]
    fn what_reaches_into_the_time_that_is_asked_for_counts() {
        let window =
            Window { since: Some(at("2026-11-23T08:00:00Z")), until: Some(at("2026-11-23T10:00:00Z")) };
        let seen =
            |first: &str, last: &str| window.admits([Some(When::At(at(first))), Some(When::At(at(last)))]);
        assert!(seen("2026-11-23T07:00:00Z", "2026-11-23T08:00:00Z"));
        assert!(seen("2026-11-23T07:00:00Z", "2026-11-23T12:00:00Z"));
        assert!(!seen("2026-11-23T07:00:00Z", "2026-11-23T07:59:59Z"));
        assert!(!seen("2026-11-23T10:00:01Z", "2026-11-23T12:00:00Z"));
        assert!(window.admits([None, None]));
        assert!(Window::default().admits([Some(When::At(0)), None]));
    }

    #[test]
    fn a_log_without_years_is_of_the_nearest_year() {
        let since = Window { since: Some(at("2026-12-20T00:00:00Z")), until: None };
        let klog = |text: &[u8]| since.admits([time::klog(text), None]);
        assert!(klog(b"1224 20:52:03.889309"));
        assert!(klog(b"0105 20:52:03.889309"), "the January after it");
        assert!(!klog(b"1123 20:52:03.889309"));
        let spring = Window { since: Some(at("2026-05-01T00:00:00Z")), until: None };
        assert!(spring.admits([time::klog(b"1123 20:52:03.889309"), None]), "the rest of the year");
        let autumn = Window { since: None, until: Some(at("2026-11-23T00:00:00Z")) };
        assert!(autumn.admits([time::klog(b"0501 20:52:03.889309"), None]));
        assert!(!autumn.admits([time::klog(b"1124 20:52:03.889309"), None]));
    }
}
