//! A line of a log on its way to those who understand it.

use std::borrow::Cow;
use std::sync::Arc;

use super::unwrap::Unwrapped;
use crate::facts::time::When;

/// What surrounds a line.
#[derive(Clone, Copy, Default)]
pub(in crate::formats) struct Surroundings<'a> {
    /// When, if the record around it says so.
    pub(in crate::formats) when: Option<When>,
    /// The node it is about or from.
    pub(in crate::formats) node: Option<&'a str>,
    /// Namespace and name of the pod it is about (an event's object, not the logging pod).
    pub(in crate::formats) pod: Option<(&'a str, &'a str)>,
    /// Namespace and name of the pod that wrote the line, when the text around it names it.
    pub(in crate::formats) log_of: Option<(&'a str, &'a str)>,
    /// Count that the event around it states.
    pub(in crate::formats) count: u64,
    /// Last time, for events.
    pub(in crate::formats) last: Option<When>,
    /// Fingerprint of the record around it, so that copies of the record can be told to be copies.
    pub(in crate::formats) print: Option<u64>,
    /// Where in the entry the record begins, when several share a line.
    pub(in crate::formats) at: u64,
}

/// A line without its wrappers, and all that is known of it.
pub(super) struct LogLine<'a> {
    /// As it is understood: without wrappers, its quotes as they were meant.
    pub(super) text: &'a str,
    /// As it stands.
    pub(super) raw: &'a [u8],
    /// Tells copies of it to be copies.
    pub(super) print: u64,
    pub(super) around: Surroundings<'a>,
    pub(super) unwrapped: &'a Unwrapped<'a>,
    pub(super) source: &'a Arc<str>,
    /// In its entry.
    pub(super) number: u64,
}

impl LogLine<'_> {
    /// Whose log it is, as a path: that of its entry, or the one that a dump gives the log of the pod which the text around
    /// it names.
    pub(super) fn log(&self) -> Cow<'_, str> {
        match self.around.log_of {
            Some((namespace, name)) => format!("{namespace}/{name}/logs.txt").into(),
            None => Cow::Borrowed(self.source),
        }
    }
}
