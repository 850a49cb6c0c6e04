//! Log lines: their wrappers are taken off, and what they say is understood.
//!
//! Each block is searched once, by one packed multi-literal searcher over exact-case literals; only the
//! lines it finds are looked at further. A line of no interest costs nothing but that search.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use aho_corasick::packed::{Config, MatchKind as PackedMatchKind, Searcher};
use aho_corasick::{AhoCorasick, MatchKind};
use memchr::{memchr, memmem, memrchr};
use serde::Deserialize;

use super::address_signals;
use super::audit;
use super::message::{self, plain};
use super::network_signals;
use super::operation_signals;
use crate::bytes::pattern::{has, pattern};
use crate::facts::text::lossy;
use crate::facts::time::{self, When};
use crate::facts::{
    Carrier, Class, DenialKey, Facts, Identity, Observation, Request, Target, fingerprint, from_uri,
};
use crate::formats::Piece;

pattern!(
    LINE,
    r"(?P<verb>[A-Z]+) (?P<uri>/\S*): \([^)]*\) (?P<code>40[13]) \[\[(?P<agent>[^\]]*)\] (?P<address>[^\]]*)\]"
);

/// Signs of refusals: a line that holds none of these, nor a signature of the other modules, is of no interest to any
/// detector.
const SIGNATURES: &[&str] = &[
    // Refusals, in all the forms of `message`.
    "forbidden: ",
    "\" cannot ",
    "RBAC DENY",
    "RBAC: no rules",
    "Forbidden (user=",
    "denied the request",
    // The access log's status, as klog text, klog JSON and before 1.20.
    "resp=403",
    "resp=401",
    " 403 [[",
    " 401 [[",
    // Audit events, plain and as a string within another record.
    "\":403",
    "\": 403",
    "\":401",
];

/// Finds the next signature. The literals are in groups, each small enough for the searcher that uses vector
/// instructions: two of its passes are much faster than one of an automaton.
pub(super) struct Prefilter(Vec<LiteralGroup>);

enum LiteralGroup {
    Packed(Searcher),
    Automaton(Option<AhoCorasick>),
}

/// Most literals of one group: more, and `aho-corasick` gives no packed searcher.
const GROUP: usize = 64;

/// Finds refusals alone.
static REFUSALS: LazyLock<Prefilter> = LazyLock::new(|| Prefilter(vec![LiteralGroup::new(SIGNATURES)]));

static PREFILTER: LazyLock<Prefilter> = LazyLock::new(|| {
    let all: Vec<&str> = SIGNATURES
        .iter()
        .chain(address_signals::SIGNATURES)
        .chain(network_signals::SIGNATURES)
        .chain(operation_signals::SIGNATURES)
        .copied()
        .collect();
    let groups = all.len().div_ceil(GROUP).max(1);
    Prefilter(all.chunks(all.len().div_ceil(groups).max(1)).map(LiteralGroup::new).collect())
});

/// The signatures of one module: a text that holds none of them is none of its affair, and its questions need not be
/// asked.
pub(super) struct Own(LazyLock<Prefilter>);

impl Own {
    pub(super) const fn new(make: fn() -> Prefilter) -> Self {
        Self(LazyLock::new(make))
    }

    pub(super) fn concerns(&self, text: &str) -> bool {
        self.0.find(text.as_bytes(), 0).is_some()
    }
}

impl LiteralGroup {
    fn new(literals: &[&str]) -> Self {
        let packed =
            Config::new().match_kind(PackedMatchKind::LeftmostFirst).builder().extend(literals).build();
        let automaton = || AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(literals).ok();
        packed.map_or_else(|| Self::Automaton(automaton()), Self::Packed)
    }

    /// The next signature of the group at or after `from`: where it starts and ends.
    fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        match self {
            Self::Packed(searcher) => {
                searcher.find_in(text, (from..text.len()).into()).map(|found| (found.start(), found.end()))
            }
            Self::Automaton(automaton) => {
                let input = aho_corasick::Input::new(text).range(from..);
                automaton.as_ref()?.find(input).map(|found| (found.start(), found.end()))
            }
        }
    }
}

impl Prefilter {
    /// Of few literals.
    pub(super) fn of(literals: &[&str]) -> Self {
        Self(literals.chunks(GROUP).map(LiteralGroup::new).collect())
    }

    /// The next signature at or after `from`: where it starts and ends.
    fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        self.0.iter().filter_map(|group| group.find(text, from)).min()
    }

    /// All signatures of a text, in order, none twice: each group goes over the text once.
    fn hits<'a>(&'a self, text: &'a [u8]) -> Hits<'a> {
        let next = self.0.iter().map(|group| group.find(text, 0)).collect();
        Hits { groups: &self.0, text, next }
    }
}

/// The signatures of a text, in order.
struct Hits<'a> {
    groups: &'a [LiteralGroup],
    text: &'a [u8],
    /// The next one of each group.
    next: Vec<Option<(usize, usize)>>,
}

impl Hits<'_> {
    /// The first one at or after `from`.
    fn at(&mut self, from: usize) -> Option<(usize, usize)> {
        for (group, next) in self.groups.iter().zip(&mut self.next) {
            if next.is_some_and(|(start, _)| start < from) {
                *next = group.find(self.text, from);
            }
        }
        self.next.iter().flatten().min().copied()
    }
}

/// Where the signatures of a text are, for a format that looks only at records that hold one.
pub(in crate::formats) struct Signs<'a>(Hits<'a>);

impl<'a> Signs<'a> {
    /// Of a text.
    pub(in crate::formats) fn of(text: &'a [u8]) -> Self {
        Self(PREFILTER.hits(text))
    }

    /// Whether one begins in this part of the text. Parts are asked for in order.
    pub(in crate::formats) fn within(&mut self, part: std::ops::Range<usize>) -> bool {
        self.0.at(part.start).is_some_and(|(start, _)| start < part.end)
    }
}

/// What surrounds a line.
#[derive(Clone, Copy, Default)]
pub(in crate::formats) struct Surroundings<'a> {
    /// When, if the record around it says so.
    pub(in crate::formats) when: Option<When>,
    /// The node it is about or from.
    pub(in crate::formats) node: Option<&'a str>,
    /// Namespace and name of the pod it is about (an event's object, not the logging pod).
    pub(in crate::formats) pod: Option<(&'a str, &'a str)>,
    /// Count that the event around it states.
    pub(in crate::formats) count: u64,
    /// Last time, for events.
    pub(in crate::formats) last: Option<When>,
    /// Fingerprint of the record around it, so that copies of the record can be told to be copies.
    pub(in crate::formats) print: Option<u64>,
    /// Where in the entry the record begins, when several share a line.
    pub(in crate::formats) at: u64,
}

/// Looks at the lines of a block that hold a signature, and notes the times at both ends of it.
pub(in crate::formats) fn scan(piece: &Piece<'_>, facts: &mut Facts) {
    note_times(piece, facts);
    search(piece, piece.bytes, piece.first_line, &PREFILTER, facts);
}

/// What a line of a known format can be about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Interest {
    /// A request that was answered well.
    Nothing,
    /// Refusals alone: an audit event.
    Refusals,
    /// Anything.
    All,
}

/// The same as `scan` where the format knows more of its lines: most of an API server's log is requests that were
/// answered, and a look at the head of each line is cheaper than the search for all signatures. Gives the number of
/// line breaks.
pub(in crate::formats) fn scan_by(
    piece: &Piece<'_>,
    interest: impl Fn(&[u8]) -> Interest,
    facts: &mut Facts,
) -> u64 {
    note_times(piece, facts);
    let bytes = piece.bytes;
    // Neighbours of one kind are searched together.
    let (mut from, mut first, mut kind) = (0, piece.first_line, Interest::Nothing);
    let mut flush = |from: usize, to: usize, first: u64, kind: Interest| {
        let prefilter: &Prefilter = match kind {
            Interest::Nothing => return,
            Interest::Refusals => &REFUSALS,
            Interest::All => &PREFILTER,
        };
        search(piece, bytes.get(from..to).unwrap_or_default(), first, prefilter, facts);
    };
    let (mut at, mut breaks) = (0, 0);
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let length = memchr(b'\n', rest);
        let line = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        let now = interest(line);
        if now != kind {
            flush(from, at, first, kind);
            (from, first, kind) = (at, piece.first_line + breaks, now);
        }
        breaks += u64::from(length.is_some());
        at += line.len() + 1;
    }
    flush(from, bytes.len(), first, kind);
    breaks
}

/// The lines of a piece that has so many line breaks: blank ones at its end are none.
pub(in crate::formats) fn lines(piece: &Piece<'_>, breaks: u64) -> u64 {
    let end = piece.bytes.trim_ascii_end().len();
    let after = piece.bytes.get(end..).unwrap_or_default();
    breaks - memchr::memchr_iter(b'\n', after).count() as u64 + 1
}

/// Looks at those lines of a text that hold a signature of a prefilter.
fn search(piece: &Piece<'_>, bytes: &[u8], first_line: u64, prefilter: &Prefilter, facts: &mut Facts) {
    let (mut at, mut line, mut counted) = (0, first_line, 0);
    let mut hits = prefilter.hits(bytes);
    while let Some((found, found_end)) = hits.at(at) {
        let before = bytes.get(at..found).unwrap_or_default();
        let start = memrchr(b'\n', before).map_or(at, |newline| at + newline + 1);
        let rest = bytes.get(found_end..).unwrap_or_default();
        let end = memchr(b'\n', rest).map_or(bytes.len(), |newline| found_end + newline);
        line += memchr::memchr_iter(b'\n', bytes.get(counted..start).unwrap_or_default()).count() as u64;
        counted = start;
        let text = bytes.get(start..end).unwrap_or_default();
        let around = Surroundings { node: piece.node, ..Surroundings::default() };
        understand(text, around, piece.source, line, facts);
        at = end;
    }
}

/// Looks at one text that is no line of its own: a table cell, an event's message.
pub(in crate::formats) fn consider(
    text: &[u8],
    around: Surroundings<'_>,
    source: &Arc<str>,
    line: u64,
    facts: &mut Facts,
) -> bool {
    PREFILTER.find(text, 0).is_some() && understand(text, around, source, line, facts)
}

/// Most lines over which a terminal or a mail program breaks one message.
const WRAPPED: usize = 5;

/// Some lines as one, with those that follow while a bracket is open: a request is often quoted so.
fn with_open_brackets<'a>(lines: &[&'a str], at: usize, count: usize) -> Cow<'a, str> {
    let mut following = lines.iter().skip(at);
    let first = following.next().copied().unwrap_or_default();
    let opens = |text: &str| text.matches('[').count() > text.matches(']').count();
    if count == 1 && !opens(first) {
        return Cow::Borrowed(first);
    }
    let mut joined = first.to_owned();
    for (more, number) in following.zip(1..count + WRAPPED) {
        if more.is_empty() || (number >= count && !opens(&joined)) {
            break;
        }
        joined.push(' ');
        joined.push_str(more);
    }
    Cow::Owned(joined)
}

/// A line with those before it, back to where its message begins; none before `from`, which were read.
fn with_beginning<'a>(lines: &[&'a str], at: usize, from: usize) -> Option<Cow<'a, str>> {
    const BEGINNINGS: [&str; 3] = ["Warning ", "Failed to create pod sandbox", "Failed create pod sandbox"];
    let earliest = at.saturating_sub(WRAPPED - 1).max(from);
    let before = lines.get(earliest..at)?;
    let begin = before.iter().rposition(|line| BEGINNINGS.iter().any(|word| line.starts_with(word)))?;
    let message = lines.get(earliest + begin..=at)?;
    if message.iter().any(|line| line.is_empty()) {
        return None;
    }
    Some(with_open_brackets(lines, earliest + begin, message.len()).into_owned().into())
}

/// Looks at words that someone pasted: quotes may be typographic, and a message may be broken over
/// several lines (FORMATS §0).
pub(in crate::formats) fn scan_prose(piece: &Piece<'_>, facts: &mut Facts) {
    note_times(piece, facts);
    let foreign = !piece.bytes.is_ascii();
    let mut plain = lossy(piece.bytes).into_owned();
    if foreign {
        plain = plain
            .replace(['\u{201c}', '\u{201d}', '\u{ab}', '\u{bb}'], "\"")
            .replace('\u{2019}', "'")
            .replace(['\u{a0}', '\u{202f}'], " ");
    }
    // Most texts hold nothing of the kind, however their lines are joined.
    let joined: Vec<u8> =
        plain.bytes().map(|byte| if byte == b'\n' || byte == b'\r' { b' ' } else { byte }).collect();
    if PREFILTER.find(&joined, 0).is_none() {
        return;
    }
    let lines: Vec<&str> = plain.split('\n').map(str::trim).collect();
    // Lines before `unread` were understood.
    let (mut at, mut unread) = (0, 0);
    while let Some(line) = lines.get(at) {
        let number = piece.first_line + at as u64;
        let around = Surroundings { node: piece.node, ..Surroundings::default() };
        let mut taken = 1;
        let whole = with_open_brackets(&lines, at, 1);
        // Words about addresses end a message: what it is about stands on the lines before.
        let whole = if address_signals::is_known_refusal(line) {
            with_beginning(&lines, at, unread).unwrap_or(whole)
        } else {
            whole
        };
        if line.is_empty() {
            at += 1;
            continue;
        }
        if consider(whole.as_bytes(), around, piece.source, number, facts) {
            unread = at + 1;
        } else {
            // With one more line, then with two: the shortest that makes sense is the message.
            let mut joined = (*line).to_owned();
            for more in lines.iter().skip(at + 1).take(WRAPPED - 1).take_while(|more| !more.is_empty()) {
                let border = joined.len();
                joined.push(' ');
                joined.push_str(more);
                taken += 1;
                // What the next lines say by themselves is theirs.
                let begins_here =
                    PREFILTER.find(joined.as_bytes(), 0).is_some_and(|(start, _)| start <= border);
                let whole = begins_here.then(|| with_open_brackets(&lines, at, taken));
                if whole.is_some_and(|whole| consider(whole.as_bytes(), around, piece.source, number, facts))
                {
                    at += taken;
                    unread = at;
                    taken = 0;
                    break;
                }
            }
            taken = taken.min(1);
        }
        at += taken;
    }
}

/// The times of the first and the last line, as samples of the log's span.
pub(in crate::formats) fn note_times(piece: &Piece<'_>, facts: &mut Facts) {
    let bytes = piece.bytes.trim_ascii_end();
    let first = bytes.get(..memchr(b'\n', bytes).unwrap_or(bytes.len())).unwrap_or_default();
    let last = bytes.get(memrchr(b'\n', bytes).map_or(0, |at| at + 1)..).unwrap_or_default();
    for text in [first, last] {
        let Some(when) = unwrap(text).when else { continue };
        if piece.recognised {
            facts.saw(Some(when));
        } else {
            facts.text_span.add(when);
        }
        facts.coverage.entry(piece.source).span.add(when);
    }
}

/// A line without its wrappers.
pub(in crate::formats) struct Unwrapped<'a> {
    pub(in crate::formats) text: Cow<'a, [u8]>,
    pub(in crate::formats) when: Option<When>,
    pub(in crate::formats) host: Option<String>,
    /// The line has a time of its own, so that copies of it in other files can be told to be copies.
    pub(in crate::formats) timed: bool,
}

#[derive(Deserialize)]
struct DockerLine<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
}

/// A record of `journalctl -o json`.
#[derive(Deserialize)]
struct JournalLine {
    #[serde(rename = "__REALTIME_TIMESTAMP", default)]
    realtime: String,
    #[serde(rename = "_HOSTNAME", default)]
    host: Option<String>,
    #[serde(rename = "MESSAGE", default)]
    message: JournalMessage,
}

/// Text, or bytes when it is not UTF-8, or null when it is too long.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum JournalMessage {
    Text(String),
    Bytes(Vec<u8>),
    #[default]
    None,
}

impl JournalMessage {
    fn text(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::None => Vec::new(),
        }
    }
}

/// Takes off what container runtimes, journals and kubectl put around a line, up to four layers.
pub(in crate::formats) fn unwrap(line: &[u8]) -> Unwrapped<'_> {
    let mut text = Cow::Borrowed(line.trim_ascii());
    let mut when: Option<When> = None;
    let mut host = None;
    let mut timed = false;
    for _ in 0..4 {
        if text.starts_with(b"{\"log\":") {
            let Ok(docker) = serde_json::from_slice::<DockerLine<'_>>(&text) else { break };
            let outer = docker.time.as_deref().and_then(|time| time::rfc3339(time.as_bytes()));
            when = when.or(outer.map(|(when, _)| when));
            let inner = docker.log.trim().as_bytes().to_vec();
            text = Cow::Owned(inner);
            continue;
        }
        if text.starts_with(b"{") && memmem::find(&text, b"\"__REALTIME_TIMESTAMP\"").is_some() {
            let Ok(journal) = serde_json::from_slice::<JournalLine>(&text) else { break };
            when = when.or_else(|| time::epoch(journal.realtime.parse::<f64>().ok()?));
            host = journal.host;
            timed = true;
            text = Cow::Owned(journal.message.text());
            continue;
        }
        if let Some((stamp, length)) = time::rfc3339(&text) {
            let rest = text.get(length..).unwrap_or_default();
            let Some(rest) = rest.strip_prefix(b" ") else {
                when = when.or(Some(stamp));
                break;
            };
            when = when.or(Some(stamp));
            let rest = ["stderr F ", "stdout F ", "stderr P ", "stdout P "]
                .iter()
                .find_map(|mark| rest.strip_prefix(mark.as_bytes()))
                .unwrap_or(rest);
            text = rest_of(&text, rest.len());
            continue;
        }
        if let Some(stamp) = klog_time(&text) {
            when = when.or(Some(stamp));
            timed = true;
            break;
        }
        if let Some(stamp) = time::go_log(&text) {
            when = when.or(Some(stamp));
            break;
        }
        if let Some(stamp) = time::syslog(&text) {
            when = when.or(Some(stamp));
            // Some journals show fractions of a second.
            let rest = text.get(15..).unwrap_or_default();
            let fraction = rest.iter().take_while(|byte| **byte == b'.' || byte.is_ascii_digit()).count();
            let rest = rest.get(fraction + 1..).unwrap_or_default();
            let mut words = rest.splitn(3, |byte| *byte == b' ');
            let (name, _program, message) = (words.next(), words.next(), words.next());
            host = name.map(|name| lossy(name).into_owned());
            let Some(length) = message.map(<[u8]>::len) else { break };
            timed = true;
            text = rest_of(&text, length);
            continue;
        }
        if text.starts_with(b"[pod/") {
            let Some(close) = memmem::find(&text, b"] ") else { break };
            text = rest_of(&text, text.len() - close - 2);
            continue;
        }
        if text.starts_with(b"{") && when.is_none() {
            when = json_time(&text);
            timed = when.is_some();
        }
        break;
    }
    timed |= when.is_some();
    Unwrapped { text, when, host, timed }
}

fn rest_of<'a>(text: &Cow<'a, [u8]>, length: usize) -> Cow<'a, [u8]> {
    let from = text.len().saturating_sub(length);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(from..).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(from..).unwrap_or_default().to_vec()),
    }
}

/// The time of a klog header, `I1123 20:52:03.889309   16403 file.go:1] `.
pub(in crate::formats) fn klog_time(text: &[u8]) -> Option<When> {
    let (severity, rest) = text.split_first()?;
    if !matches!(severity, b'I' | b'W' | b'E' | b'F') {
        return None;
    }
    time::klog(rest)
}

/// `ts`, `time` or a journal's stamp, near the start of a JSON line.
fn json_time(text: &[u8]) -> Option<When> {
    let head = text.get(..400).unwrap_or(text);
    for key in ["\"ts\":", "\"time\":", "\"timestamp\":", "\"requestReceivedTimestamp\":"] {
        let Some(at) = memmem::find(head, key.as_bytes()) else { continue };
        let value = head.get(at + key.len()..)?.trim_ascii_start();
        if let Some(quoted) = value.strip_prefix(b"\"") {
            return time::rfc3339(quoted).map(|(when, _)| when);
        }
        let length = value.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        let number = std::str::from_utf8(value.get(..length)?).ok()?;
        return time::epoch(number.parse().ok()?);
    }
    None
}

/// Understands a line that holds a signature.
pub(in crate::formats) fn understand(
    line: &[u8],
    around: Surroundings<'_>,
    source: &Arc<str>,
    number: u64,
    facts: &mut Facts,
) -> bool {
    let mut unwrapped = unwrap(line);
    unwrapped.when = around.when.or(unwrapped.when);
    let text: &[u8] = &unwrapped.text;
    if text.starts_with(b"{") {
        if memmem::find(text, b"responseStatus").is_some()
            && let Some(event) = audit::within(text, 4)
        {
            return audit::read(&event, source, number, facts);
        }
        if memmem::find(text, b"\"auditID\"").is_some() {
            return audit::read(text, source, number, facts);
        }
        if memmem::find(text, b"\"msg\":\"HTTP\"").is_some() {
            access_json(text, &unwrapped, source, number, facts);
            return true;
        }
    }
    let label = plain(text);
    let ours = || if unwrapped.timed { fingerprint(text) } else { fingerprint((source, number, around.at)) };
    let print = around.print.unwrap_or_else(ours);
    if has!(label, "resp=40") && has!(label, "verb=") {
        access_text(&label, &unwrapped, source, number, facts);
        return true;
    }
    if has!(label, " 403 [[") || has!(label, " 401 [[") {
        access_before_1_20(&label, &unwrapped, print, source, number, facts);
        return true;
    }
    refusal(&label, line, print, around, &unwrapped, source, number, facts)
        || address_signals::read(&label, line, print, around, &unwrapped, source, number, facts)
        || network_signals::read(&label, line, print, around, &unwrapped, source, number, facts)
}

#[allow(clippy::too_many_arguments)]
fn refusal(
    label: &str,
    line: &[u8],
    print: u64,
    around: Surroundings<'_>,
    unwrapped: &Unwrapped<'_>,
    source: &Arc<str>,
    number: u64,
    facts: &mut Facts,
) -> bool {
    let mut observation = Observation {
        key: DenialKey {
            class: Class::Admission,
            identity: Identity::Client("an unnamed client".into()),
            request: Request { verb: "create".into(), target: Target::Path("".into()) },
        },
        carrier: Carrier::ClientText,
        print,
        by_audit_id: false,
        when: unwrapped.when,
        last: around.last,
        sure: true,
        name: None,
        agent: None,
        address: None,
        groups: &[],
        reason: None,
        impersonator: None,
        source,
        line: number,
        text: line,
    };
    if let Some(given) = message::denied(label) {
        observation.key = DenialKey {
            class: given.class,
            identity: Identity::User(given.user.clone()),
            request: given.request.clone(),
        };
        observation.carrier = if given.by_authorizer { Carrier::AuthorizerLog } else { Carrier::ClientText };
        observation.name = given.name.as_deref();
        observation.groups = &given.groups;
        observation.reason = given.reason.as_deref();
        facts.denied(observation);
        return true;
    }
    if let Some(class) = message::admission_text(label) {
        let (target, name) =
            message::forbidden_thing(label).unwrap_or_else(|| (Target::Path("something".into()), None));
        let reason = label.split_once("forbidden: ").or_else(|| label.split_once("denied the request: "));
        observation.key.class = class;
        observation.key.request.target = target;
        observation.name = name.as_deref();
        observation.reason = reason.map(|(_, reason)| reason);
        facts.denied(observation);
        return true;
    }
    false
}

struct Access<'a> {
    verb: &'a str,
    uri: &'a str,
    agent: &'a str,
    id: &'a str,
    address: &'a str,
    code: u64,
}

fn access(
    seen: &Access<'_>,
    unwrapped: &Unwrapped<'_>,
    print: u64,
    source: &Arc<str>,
    line: u64,
    facts: &mut Facts,
) {
    let (request, name) = from_uri(seen.verb, seen.uri);
    let class = if seen.code == 401 { Class::Unauthenticated } else { Class::Unattributed };
    let agent = seen.agent.split_once(" kubernetes/").map_or(seen.agent, |(program, _)| program);
    facts.accessed(Observation {
        key: DenialKey { class, identity: Identity::Client(agent.into()), request },
        carrier: Carrier::AccessLog,
        print: if seen.id.is_empty() { print } else { fingerprint(seen.id) },
        by_audit_id: !seen.id.is_empty(),
        when: unwrapped.when,
        last: None,
        sure: false,
        name: name.as_deref(),
        agent: Some(seen.agent),
        address: seen.address.rsplit_once(':').map(|(address, _)| address),
        groups: &[],
        reason: None,
        impersonator: None,
        source,
        line,
        text: &unwrapped.text,
    });
}

/// `"HTTP" verb="LIST" URI="…" … resp=403`.
fn access_text(text: &str, unwrapped: &Unwrapped<'_>, source: &Arc<str>, line: u64, facts: &mut Facts) {
    let quoted = |key: &str| -> &str {
        let Some(at) = text.find(key) else { return "" };
        text.get(at + key.len()..).and_then(|rest| rest.split('"').next()).unwrap_or_default()
    };
    let agent = match quoted("userAgent=\"") {
        "" => quoted("UserAgent=\""),
        agent => agent,
    };
    let seen = Access {
        verb: quoted("verb=\""),
        uri: quoted("URI=\""),
        agent,
        id: quoted("audit-ID=\""),
        address: quoted("srcIP=\""),
        code: if text.contains("resp=401") { 401 } else { 403 },
    };
    access(&seen, unwrapped, fingerprint(text), source, line, facts);
}

/// The same as JSON: `{"ts":…,"msg":"HTTP","verb":"LIST","URI":"…",…,"resp":403}`.
fn access_json(text: &[u8], unwrapped: &Unwrapped<'_>, source: &Arc<str>, line: u64, facts: &mut Facts) {
    #[derive(Deserialize)]
    struct Http<'a> {
        #[serde(borrow, default)]
        verb: Cow<'a, str>,
        #[serde(borrow, default, rename = "URI")]
        uri: Cow<'a, str>,
        #[serde(borrow, default, rename = "userAgent")]
        agent: Cow<'a, str>,
        #[serde(borrow, default, rename = "audit-ID")]
        id: Cow<'a, str>,
        #[serde(borrow, default, rename = "srcIP")]
        address: Cow<'a, str>,
        #[serde(default)]
        resp: u64,
    }
    let Ok(http) = serde_json::from_slice::<Http<'_>>(text) else { return };
    if !matches!(http.resp, 401 | 403) {
        return;
    }
    let seen = Access {
        verb: &http.verb,
        uri: &http.uri,
        agent: &http.agent,
        id: &http.id,
        address: &http.address,
        code: http.resp,
    };
    access(&seen, unwrapped, fingerprint(text), source, line, facts);
}

/// `GET /api/v1/…: (10.37ms) 403 [[agent] 10.0.0.4:33424]`.
fn access_before_1_20(
    text: &str,
    unwrapped: &Unwrapped<'_>,
    print: u64,
    source: &Arc<str>,
    line: u64,
    facts: &mut Facts,
) {
    let Some(found) = LINE.captures(text) else { return };
    let get = |name: &str| found.name(name).map_or("", |m| m.as_str());
    let seen = Access {
        verb: get("verb"),
        uri: get("uri"),
        agent: get("agent"),
        id: "",
        address: get("address"),
        code: if get("code") == "401" { 401 } else { 403 },
    };
    access(&seen, unwrapped, print, source, line, facts);
}

/// Whether a text holds a signature.
pub(in crate::formats) fn holds_signature(text: &[u8]) -> bool {
    PREFILTER.find(text, 0).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubling_the_quotes_of_a_text_hides_no_signature() {
        // Rows of CSV are searched as they stand, with each quote within a cell written twice.
        let all = SIGNATURES
            .iter()
            .chain(address_signals::SIGNATURES)
            .chain(network_signals::SIGNATURES)
            .chain(operation_signals::SIGNATURES);
        for words in all {
            let doubled = format!("a {words} b").replace('"', "\"\"");
            assert!(holds_signature(doubled.as_bytes()), "{words}");
        }
    }
}
