//! Log lines: their wrappers are taken off, and what they say is understood.
//!
//! Each block is searched once, by one packed multi-literal searcher over exact-case literals; only the
//! lines it finds are looked at further. A line of no interest costs nothing but that search.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use memchr::{memchr, memmem, memrchr};

use super::last_words;
use super::log_line::{LogLine, Surroundings};
use super::message::{self, plain};
use super::prefilter::{Hits, Prefilter};
use super::unwrap::unwrap;
use super::{
    access_line, address_signals, audit, known_messages, network_signals, operation_signals, recovery_signs,
};
use crate::bytes::pattern::{has, pattern};
use crate::facts::text::lossy;
use crate::facts::time::When;
use crate::facts::{Carrier, Class, DenialKey, Facts, Identity, Observation, Request, Target, fingerprint};
use crate::formats::Piece;
use crate::knowledge;

// `failed to setup network for sandbox "a8d579…"`
pattern!(SANDBOX, r#"for sandbox "(?P<id>[0-9a-f]{8,64})""#);

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
    "does not allow access to the",
    "403 Forbidden",
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

/// Finds refusals alone.
static REFUSALS: LazyLock<Prefilter> = LazyLock::new(|| Prefilter::of(SIGNATURES));

static PREFILTER: LazyLock<Prefilter> = LazyLock::new(|| {
    let all: Vec<&str> = SIGNATURES
        .iter()
        .chain(address_signals::SIGNATURES)
        .chain(network_signals::SIGNATURES)
        .chain(operation_signals::SIGNATURES)
        .copied()
        .chain(recovery_signs::SIGNS.iter().map(|(words, _)| *words))
        .collect();
    Prefilter::of(&all)
});

/// The first signature of a text that is no block of lines.
fn first_sign(text: &[u8]) -> Option<(usize, usize)> {
    [PREFILTER.find(text, 0), knowledge::first_letters(text, 0)].into_iter().flatten().min()
}

/// Where the signatures of a text are, for a format that looks only at records that hold one.
pub(in crate::formats) struct Signs<'a> {
    signatures: Hits<'a>,
    letters: Letters<'a>,
}

impl<'a> Signs<'a> {
    /// Of a text.
    pub(in crate::formats) fn of(text: &'a [u8]) -> Self {
        Self { signatures: PREFILTER.hits(text), letters: Letters::of(text) }
    }

    /// Whether one begins in this part of the text. Parts are asked for in order.
    pub(in crate::formats) fn within(&mut self, part: Range<usize>) -> bool {
        [self.signatures.at(part.start), self.letters.at(part.start)]
            .into_iter()
            .flatten()
            .any(|(start, _)| start < part.end)
    }
}

/// Where the letters of known messages are, in order.
struct Letters<'a> {
    text: &'a [u8],
    next: Option<(usize, usize)>,
}

impl<'a> Letters<'a> {
    fn of(text: &'a [u8]) -> Self {
        Self { text, next: knowledge::first_letters(text, 0) }
    }

    /// The first ones at or after `from`.
    fn at(&mut self, from: usize) -> Option<(usize, usize)> {
        if self.next.is_some_and(|(start, _)| start < from) {
            self.next = knowledge::first_letters(self.text, from);
        }
        self.next
    }
}

/// Looks at the lines of a block that hold a signature, and notes the times at both ends of it.
pub(in crate::formats) fn scan(piece: &Piece<'_>, facts: &mut Facts) {
    note_times(piece, facts);
    search(piece, piece.bytes, piece.first_line, Interest::All, facts);
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
/// lines that are not blank.
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
        search(piece, bytes.get(from..to).unwrap_or_default(), first, kind, facts);
    };
    let (mut at, mut breaks, mut lines) = (0, 0, 0);
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
        lines += u64::from(!line.trim_ascii().is_empty());
        at += line.len() + 1;
    }
    flush(from, bytes.len(), first, kind);
    lines
}

/// The lines of a piece, blank ones too: as many as those of its parts, wherever it is cut.
pub(in crate::formats) fn lines(piece: &Piece<'_>) -> u64 {
    let breaks = memchr::memchr_iter(b'\n', piece.bytes).count() as u64;
    breaks + u64::from(piece.bytes.last().is_some_and(|byte| *byte != b'\n'))
}

/// What the API server writes and nothing else does: the files that log requests.
static API_SERVER: LazyLock<Prefilter> = LazyLock::new(|| Prefilter::of(&["httplog.go:", "wrap.go:"]));

/// Lines that only the API server writes. What stands around them is no matter: a log may be cut into blocks anywhere.
pub(in crate::formats) fn of_api_server(text: &[u8]) -> u64 {
    let (mut lines, mut at) = (0, 0);
    while let Some((_, found)) = API_SERVER.find(text, at) {
        lines += 1;
        let rest = text.get(found..).unwrap_or_default();
        at = memchr(b'\n', rest).map_or(text.len(), |end| found + end + 1);
    }
    lines
}

/// Looks at those lines of a text that hold a signature of interest.
fn search(piece: &Piece<'_>, bytes: &[u8], first_line: u64, interest: Interest, facts: &mut Facts) {
    let (prefilter, letters) = match interest {
        Interest::Nothing => return,
        Interest::Refusals => (&REFUSALS, None),
        Interest::All => (&PREFILTER, Some(Letters::of(bytes))),
    };
    let (mut at, mut line, mut counted) = (0, first_line, 0);
    let mut hits = prefilter.hits(bytes);
    let mut letters = letters;
    loop {
        let signature = hits.at(at);
        let letters = letters.as_mut().and_then(|letters| letters.at(at));
        let Some((found, found_end)) = [signature, letters].into_iter().flatten().min() else { break };
        let before = bytes.get(at..found).unwrap_or_default();
        let start = memrchr(b'\n', before).map_or(at, |newline| at + newline + 1);
        let rest = bytes.get(found_end..).unwrap_or_default();
        let end = memchr(b'\n', rest).map_or(bytes.len(), |newline| found_end + newline);
        line += memchr::memchr_iter(b'\n', bytes.get(counted..start).unwrap_or_default()).count() as u64;
        counted = start;
        let text = bytes.get(start..end).unwrap_or_default();
        let around = Surroundings { node: piece.node, log_of: piece.log_of, ..Surroundings::default() };
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
    holds_signature(text) && understand(text, around, source, line, facts)
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
/// several lines.
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
    if !holds_signature(&joined) {
        return;
    }
    let lines: Vec<&str> = plain.split('\n').map(str::trim).collect();
    // Lines before `unread` were understood.
    let (mut at, mut unread) = (0, 0);
    while let Some(line) = lines.get(at) {
        let number = piece.first_line + at as u64;
        let around = Surroundings { node: piece.node, log_of: piece.log_of, ..Surroundings::default() };
        let mut taken = 1;
        let whole = with_open_brackets(&lines, at, 1);
        // Words about addresses end a message: what it is about stands on the lines before.
        let whole = if address_signals::is_known_refusal(line) {
            with_beginning(&lines, at, unread).unwrap_or(whole)
        } else {
            whole
        };
        // A remark speaks of something else.
        if line.is_empty() || line.starts_with("# ") {
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
                let begins_here = first_sign(joined.as_bytes()).is_some_and(|(start, _)| start <= border);
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
    last_words::note(piece, facts);
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

/// The sandbox that a text is about.
fn sandbox_of(text: &str) -> Option<&str> {
    if !has!(text, "or sandbox \"") {
        return None;
    }
    SANDBOX.captures(text)?.name("id").map(|id| id.as_str())
}

/// Shortest time between two tries to make a sandbox, in microseconds: the kubelet syncs a pod every minute or so.
const TRY: i64 = 15 * 1_000_000;

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
    }
    let meant = plain(text);
    // Four layers of a kubelet print one failure, each with the sandbox that it is about; a later try is another one.
    let about = unwrapped.when.map(|when| match when {
        When::At(at) | When::Yearless(at) | When::Before(at) => at / TRY,
    });
    let of_sandbox = sandbox_of(&meant).map(|id| fingerprint(("sandbox", id, about)));
    let print = around.print.or(of_sandbox).unwrap_or_else(|| {
        if unwrapped.timed { fingerprint(text) } else { fingerprint((source, number, around.at)) }
    });
    let line = LogLine { text: &meant, raw: line, print, around, unwrapped: &unwrapped, source, number };
    if text.starts_with(b"{") && memmem::find(text, b"\"msg\":\"HTTP\"").is_some() {
        access_line::read_json(&line, facts);
        return true;
    }
    if has!(line.text, "resp=40") && has!(line.text, "verb=") {
        access_line::read_text(&line, facts);
        return true;
    }
    if has!(line.text, " 403 [[") || has!(line.text, " 401 [[") {
        access_line::read_before_1_20(&line, facts);
        return true;
    }
    let names_a_cause = known_messages::note_causes(&line, facts);
    refusal(&line, facts)
        || address_signals::read(&line, facts)
        || known_messages::read(&line, facts)
        || network_signals::read(&line, facts)
        || recovery_signs::read(&line, facts)
        || names_a_cause
}

fn refusal(line: &LogLine<'_>, facts: &mut Facts) -> bool {
    let mut observation = Observation {
        key: DenialKey {
            class: Class::Admission,
            identity: Identity::Client("an unnamed client".into()),
            request: Request { verb: "create".into(), target: Target::Path("".into()) },
        },
        carrier: Carrier::ClientText,
        print: line.print,
        by_audit_id: false,
        when: line.unwrapped.when,
        last: line.around.last,
        sure: true,
        name: None,
        agent: None,
        address: None,
        groups: &[],
        reason: None,
        impersonator: None,
        source: line.source,
        line: line.number,
        text: line.raw,
    };
    if let Some(denied) = message::denied(line.text) {
        // client-go prints one refused list twice, as a warning and as an error, some milliseconds apart
        // (`tools/cache/reflector.go`).
        if has!(line.text, "reflector.go")
            && let Some(When::At(at) | When::Yearless(at)) = line.unwrapped.when
        {
            observation.print =
                fingerprint((line.source, &denied.user, denied.request.to_string(), at / 1_000_000));
        }
        observation.key = DenialKey {
            class: denied.class,
            identity: Identity::User(denied.user.clone()),
            request: denied.request.clone(),
        };
        observation.carrier = if denied.by_authorizer { Carrier::AuthorizerLog } else { Carrier::ClientText };
        observation.name = denied.name.as_deref();
        observation.groups = &denied.groups;
        observation.reason = denied.reason.as_deref();
        facts.denied(observation);
        return true;
    }
    if let Some(class) = message::admission_text(line.text) {
        let (target, name) =
            message::forbidden_thing(line.text).unwrap_or_else(|| (Target::Path("something".into()), None));
        let reason =
            line.text.split_once("forbidden: ").or_else(|| line.text.split_once("denied the request: "));
        observation.key.class = class;
        observation.key.request.target = target;
        observation.name = name.as_deref();
        observation.reason = reason.map(|(_, reason)| reason);
        facts.denied(observation);
        return true;
    }
    if let Some(request) = message::refused_somebody(line.text) {
        let (namespace, pod) = line.around.log_of.unwrap_or_default();
        if !pod.is_empty() {
            observation.key.identity = Identity::Client(format!("pod {namespace}/{pod}").into());
        }
        observation.key.class = Class::MissingRule;
        observation.key.request = request;
        facts.denied(observation);
        return true;
    }
    false
}

/// Whether a text holds a signature.
pub(in crate::formats) fn holds_signature(text: &[u8]) -> bool {
    PREFILTER.find(text, 0).is_some() || knowledge::concerns(text)
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
