//! Where the time of a run goes: per room, per format, per detector. Only measured when asked for (`--timings`).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a piece of time was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimedPart {
    /// A room of the house, one after the other: wall time.
    Room(&'static str),
    /// A format: time of all workers together.
    Format(&'static str),
    /// A detector.
    Detector(&'static str),
}

/// Time and bytes of each part.
#[derive(Debug, Default)]
pub struct Timings {
    spent: Mutex<BTreeMap<TimedPart, (Duration, u64)>>,
}

impl Timings {
    /// Adds what was spent since a moment.
    pub fn add(&self, part: TimedPart, since: Instant, bytes: u64) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = spent.entry(part).or_default();
        ours.0 += since.elapsed();
        ours.1 += bytes;
    }

    /// All parts: rooms in the order of the house are not told apart by name, so the caller names them in order.
    pub fn all(&self) -> Vec<(TimedPart, Duration, u64)> {
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.iter().map(|(part, (time, bytes))| (*part, *time, *bytes)).collect()
    }
}

/// Runs something, and notes its time when somebody wants to know.
pub fn timed<T>(timings: Option<&Timings>, part: TimedPart, run: impl FnOnce() -> T) -> T {
    let Some(timings) = timings else { return run() };
    let since = Instant::now();
    let result = run();
    timings.add(part, since, 0);
    result
}
