//! Everything else that is text. Known error texts are looked for in every line; in short texts, such as
//! terminal transcripts, the outputs of commands are recognised too.

use std::sync::LazyLock;

use regex::Regex;

use super::shared::line;
use super::{FORMATS, Format, Head, Piece, host_local_listing, nnc_table};
use crate::facts::Facts;

pub(super) struct Text;
pub(super) const FORMAT: Text = Text;

/// `root@node:/#`, `/ #`, `$`, `PS C:\>`, `user@host ~ %` before a command.
static PROMPT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^(?:\[?(?P<user>[\w.-]+)@(?P<host>[\w.-]+)[^#$%>]{0,80}[#$%>]|(?:[~/][\w./-]*) [#$]|[#$%]|~[#$%]|(?:PS )?[A-Z]:\\[^>]{0,120}>|PS>)\s*(?P<command>\S.*)$",
    )
    .ok()
});

/// Where a shell was opened on a node.
static NODE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:debug (?:-\S+ )*node/|with container \S+ on node |node-shell )(?P<node>[a-z0-9][a-z0-9.-]*[a-z0-9])").ok()
});

impl Format for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn about(&self) -> &'static str {
        "other text: searched for known errors; command outputs in transcripts are recognised"
    }

    fn score(&self, _head: &Head<'_>) -> u8 {
        1
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        if !piece.whole {
            line::scan(piece, facts);
            return 0;
        }
        let mut node: Option<String> = None;
        for segment in segments(piece.bytes) {
            if let Some(named) = segment.node {
                node = Some(named);
            }
            let part = Piece {
                source: piece.source,
                entry: piece.entry,
                bytes: piece.bytes.get(segment.start..segment.end).unwrap_or_default(),
                context: None,
                first_line: piece.first_line + segment.line,
                whole: false,
                recognised: false,
                cut_short: piece.cut_short,
                node: node.as_deref().or(piece.node),
                command: segment.command.as_deref(),
            };
            read_segment(&part, facts);
        }
        0
    }
}

/// A command and its output.
struct Segment {
    start: usize,
    end: usize,
    /// Lines before it.
    line: u64,
    command: Option<String>,
    /// The node that the command or its banner names.
    node: Option<String>,
}

/// Splits at prompts.
fn segments(text: &[u8]) -> Vec<Segment> {
    let mut found = vec![Segment { start: 0, end: text.len(), line: 0, command: None, node: None }];
    let mut at = 0;
    for (number, raw) in (0..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        let end = at + raw.len();
        if raw.len() < 1000 {
            let shown = String::from_utf8_lossy(raw);
            let shown = shown.trim_end();
            let named = NODE.as_ref().and_then(|regex| regex.captures(shown));
            let named = named.and_then(|found| found.name("node")).map(|node| node.as_str().to_owned());
            if let Some(prompt) = PROMPT.as_ref().and_then(|regex| regex.captures(shown)) {
                let command = prompt.name("command").map(|command| command.as_str().to_owned());
                let host = prompt.name("host").map(|host| host.as_str().to_owned());
                if let Some(last) = found.last_mut() {
                    last.end = at;
                }
                let host = host.filter(|host| host.contains("vmss") || host.starts_with("aks-"));
                found.push(Segment { start: end, end: text.len(), line: number + 1, command, node: named.or(host) });
            } else if let (Some(named), Some(last)) = (named, found.last_mut()) {
                last.node = Some(named);
            }
        }
        at = end;
    }
    found.retain(|segment| segment.start < segment.end || segment.node.is_some());
    found
}

fn read_segment(part: &Piece<'_>, facts: &mut Facts) {
    let name_of = |format: &'static dyn Format| format.name();
    let note = |facts: &mut Facts, name: &'static str, records: u64| {
        if records > 0 {
            let coverage = facts.coverage.entry(part.source);
            coverage.recognised = true;
            *coverage.formats.entry(name).or_default() += records;
        }
    };
    // A JSON body may follow warnings that kubectl wrote to the same place.
    if let Some((start, end)) = json_body(part.bytes) {
        let body = part.bytes.get(start..end).unwrap_or_default();
        let head = Head { entry: part.entry, bytes: body };
        let best = FORMATS.iter().filter(|format| format.in_transcripts()).max_by_key(|format| format.score(&head));
        if let Some(format) = best.filter(|format| format.score(&head) > 0) {
            let before = part.bytes.get(..start).unwrap_or_default();
            let lines = memchr::memchr_iter(b'\n', before).count() as u64;
            let piece = |bytes, first_line| Piece { bytes, first_line, ..*part };
            line::scan(&piece(before, part.first_line), facts);
            let records = format.read(&piece(body, part.first_line + lines), facts);
            note(facts, name_of(*format), records);
            let after = memchr::memchr_iter(b'\n', body).count() as u64;
            line::scan(&piece(part.bytes.get(end..).unwrap_or_default(), part.first_line + lines + after), facts);
            return;
        }
    }
    line::scan(part, facts);
    if host_local_listing::score(part.bytes, part.command) > 0 {
        let records = host_local_listing::FORMAT.read(part, facts);
        note(facts, host_local_listing::FORMAT.name(), records);
    }
    if nnc_table::held_in(part.bytes) {
        let records = nnc_table::FORMAT.read(part, facts);
        note(facts, nnc_table::FORMAT.name(), records);
    }
}

/// From the first line that opens a JSON value to the last that closes one.
fn json_body(text: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    let mut start = None;
    let mut end = None;
    for raw in text.split_inclusive(|byte| *byte == b'\n') {
        let line = raw.trim_ascii_end();
        if start.is_none() && matches!(line.first(), Some(b'{' | b'[')) && !line.starts_with(b"[pod/") {
            start = Some(at);
        }
        at += raw.len();
        if start.is_some() && (line.starts_with(b"}") || line.starts_with(b"]") || line.ends_with(b"}")) {
            end = Some(at);
        }
    }
    Some((start?, end?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_is_split_at_its_prompts_and_names_its_node() {
        let text = "$ kubectl debug node/aks-np-1 -it --image=busybox\n\
                    Creating debugging pod node-debugger-aks-np-1-abcde with container debugger on node aks-np-1.\n\
                    If you don't see a command prompt, try pressing enter.\n\
                    / # ls /host/var/lib/cni/networks/kubenet\n10.244.0.2\n10.244.0.3\nlock\n/ # exit\n";
        let found = segments(text.as_bytes());
        assert_eq!(found.iter().find_map(|s| s.node.as_deref()), Some("aks-np-1"));
        let listing = found.iter().find(|s| s.command.as_deref().is_some_and(|c| c.starts_with("ls "))).unwrap();
        assert_eq!(&text[listing.start..listing.end], "10.244.0.2\n10.244.0.3\nlock\n");
        assert_eq!(listing.line, 4);
    }

    #[test]
    fn a_json_body_is_found_after_warnings() {
        let text = b"Warning: v1 Endpoints is deprecated\n{\n \"kind\": \"List\"\n}\nbye\n";
        let (start, end) = json_body(text).unwrap();
        assert_eq!(&text[start..end], b"{\n \"kind\": \"List\"\n}\n");
    }
}
