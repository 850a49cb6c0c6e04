//! Everything else that is text: terminal transcripts, notes, e-mails, several things in one file.
//!
//! It is split at its prompts, each output at what begins within it (a table, a described object, a JSON
//! or YAML document), and each part is recognised on its own. What no format claims is searched for
//! known errors, and counted as not recognised.

use std::sync::Arc;

use super::shared::command;
use super::shared::customer_note;
use super::shared::fragments::Fragment;
use super::shared::irrelevant_text;
use super::shared::line;
use super::shared::sections::{is_transcript, mixed_after_document, sections, segments, short_and_mixed};
use super::{
    FORMATS, Head, InputFormat, Piece, azure, can_i, connection_test, counting_command, host_local_listing,
    kubectl_describe, kubectl_table,
};
use crate::bundle::Framer;
use crate::evidence::{Evidence, excerpt};
use crate::facts::Facts;

pub(super) struct TextFormat;
pub(super) const FORMAT: TextFormat = TextFormat;

/// Most lines over which the end of a row is broken.
const WRAPPED: usize = 4;

/// A part is taken for a format from this score on.
const SURE: u8 = 30;

impl InputFormat for TextFormat {
    fn name(&self) -> &'static str {
        "text"
    }

    fn about(&self) -> &'static str {
        "other text: split at prompts and at what begins within it; searched for known errors"
    }

    fn score(&self, _head: &Head<'_>) -> u8 {
        1
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::<PromptFramer>::default()
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let markdown = [".md", ".rst", ".adoc"].iter().any(|end| piece.entry.path.ends_with(end));
        if let Some(plain) = unquoted(piece.bytes).filter(|_| !markdown) {
            return self.read(&Piece { bytes: &plain, ..*piece }, facts);
        }
        if piece.whole
            && !irrelevant_text::is_manual(piece.bytes, &piece.entry.path)
            && let Some((line, words)) = customer_note::first_words(piece.bytes)
        {
            facts.notes.add(Evidence::line(piece.source, line, words.as_bytes()));
        }
        let document = matches!(piece.bytes.trim_ascii_start().first(), Some(b'{' | b'['));
        let manual = irrelevant_text::is_manual(piece.bytes, &piece.entry.path);
        let several = is_transcript(piece.bytes)
            || !manual
                && if document { mixed_after_document(piece.bytes) } else { short_and_mixed(piece.bytes) };
        if piece.offset == 0
            && !several
            && let Some(class) = irrelevant_text::class(piece.bytes, &piece.entry.path)
        {
            facts.coverage.entry(piece.source).class = Some(class);
            if !irrelevant_text::quotes_only(class, piece.bytes, &piece.entry.path) {
                line::scan(piece, facts);
            }
            return 0;
        }
        let mut node = piece.context.and_then(|node| std::str::from_utf8(node).ok()).map(ToOwned::to_owned);
        for segment in segments(piece.bytes) {
            if let Some(named) = &segment.node {
                node = Some(named.clone());
            }
            let in_cluster = piece.in_cluster || segment.in_cluster || node.is_some();
            let part = Piece {
                bytes: piece.bytes.get(segment.start..segment.end).unwrap_or_default(),
                context: None,
                first_line: piece.first_line + segment.line,
                offset: piece.offset + segment.start as u64,
                whole: false,
                recognised: false,
                node: node
                    .as_deref()
                    .or_else(|| segment.command.as_deref().and_then(command::described_node))
                    .or(piece.node),
                command: segment.command.as_deref().or(piece.command),
                in_cluster,
                log_of: segment.command.as_deref().and_then(log_of).or(piece.log_of),
                ..*piece
            };
            let (mut counted, mut lines) = (0, 0);
            for section in sections(part.bytes) {
                let bytes = part.bytes.get(section.start..section.end).unwrap_or_default();
                let before = part.bytes.get(counted..section.start).unwrap_or_default();
                lines += memchr::memchr_iter(b'\n', before).count() as u64;
                counted = section.start;
                let offset = part.offset + section.start as u64;
                read_section(&Piece { bytes, first_line: part.first_line + lines, offset, ..part }, facts);
            }
        }
        0
    }
}

/// Least lines that a mail program has marked as quoted.
const QUOTED: usize = 3;
/// What somebody wrote another day, what a here-document or a comparison shows, is not what a terminal shows now.
const OTHERS: [&str; 6] = [" wrote:", " schrieb", " a écrit", "<<", "diff ", "> > "];

/// A text in which a mail program marked lines as quoted, `> NAME   READY`, without its marks; nothing for any other.
fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let lines = || text.split_inclusive(|byte| *byte == b'\n');
    let mark = |line: &'_ [u8]| line.starts_with(b"> ") && line.len() > 3;
    if lines().filter(|line| mark(line)).count() < QUOTED {
        return None;
    }
    let has = |words: &str| memchr::memmem::find(text, words.as_bytes()).is_some();
    let is_terminal = has("> $ ") || has("> kubectl ") || has("> NAME") || has("> LAST SEEN");
    if !is_terminal || OTHERS.iter().any(|words| has(words)) {
        return None;
    }
    let plain = lines().flat_map(|line| {
        let mut line = line;
        while let Some(rest) = line.strip_prefix(b"> ") {
            line = rest;
        }
        // An empty line keeps its mark alone.
        line.strip_prefix(b">").filter(|rest| rest.trim_ascii().is_empty()).unwrap_or(line)
    });
    Some(plain.copied().collect())
}

/// The pod whose log a command prints.
fn log_of(command: &str) -> Option<(&str, &str)> {
    command::kubectl(command).filter(|command| matches!(command.verb, "logs" | "log"))?.pod()
}

/// Cuts before a prompt when there is one, so that an output stays in one piece; carries the node along.
#[derive(Default)]
struct PromptFramer {
    node: Option<Arc<[u8]>>,
}

impl Framer for PromptFramer {
    fn cut(&mut self, buffer: &[u8], at_end: bool) -> usize {
        if at_end {
            return buffer.len();
        }
        let found = segments(buffer);
        let node = found.iter().rev().find_map(|segment| segment.node.as_deref());
        if let Some(node) = node {
            self.node = Some(Arc::from(node.as_bytes()));
        }
        match found.last().filter(|last| last.prompt > 0) {
            Some(last) => last.prompt,
            None => memchr::memrchr(b'\n', buffer).map_or(0, |at| at + 1),
        }
    }

    fn resume(&mut self, buffer: &[u8]) -> Option<usize> {
        memchr::memchr(b'\n', buffer).map(|at| at + 1)
    }

    fn context(&self) -> Option<Arc<[u8]>> {
        self.node.clone()
    }
}

fn read_section(part: &Piece<'_>, facts: &mut Facts) {
    let head = Head { entry: part.entry, bytes: part.bytes };
    connection_test::answered(part, facts);
    can_i::answered(part, facts);
    if azure::answered(part, facts) {
        let coverage = facts.coverage.entry(part.source);
        coverage.recognised = true;
        coverage.formats.add(azure::FORMAT.name(), 1);
        return;
    }
    let scored =
        FORMATS.iter().filter(|format| format.in_transcripts()).map(|format| (format.score(&head), *format));
    let best = scored.max_by_key(|(score, _)| *score).filter(|(score, _)| *score >= SURE);
    let listing = host_local_listing::score(part.bytes, part.command);
    let (format, records): (&'static str, u64) = match best {
        Some((score, format)) if score >= listing => {
            let records = format.read(&Piece { recognised: true, ..*part }, facts);
            (format.name(), records)
        }
        _ if listing > 0 => {
            line::scan(part, facts);
            (host_local_listing::FORMAT.name(), host_local_listing::FORMAT.read(part, facts))
        }
        _ if counting_command::score(part.bytes, part.command) > 0 => {
            (counting_command::FORMAT.name(), counting_command::FORMAT.read(part, facts))
        }
        _ if answers(part) => (kubectl_table::FORMAT.name(), kubectl_table::FORMAT.read(part, facts).max(1)),
        _ => {
            if !read_rows(part, facts) {
                read_prose(part, facts);
            }
            return;
        }
    };
    let coverage = facts.coverage.entry(part.source);
    coverage.recognised = true;
    coverage.formats.add(format, records);
}

/// Searches words for known errors, and says that nothing else is known of them.
fn read_prose(part: &Piece<'_>, facts: &mut Facts) {
    line::scan_prose(part, facts);
    let coverage = facts.coverage.entry(part.source);
    coverage.unrecognised += part.bytes.len() as u64;
    let first = part.bytes.trim_ascii_start();
    let first = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let place = (part.first_line, excerpt(first.get(..120).unwrap_or(first)));
    coverage.first_unrecognised = Some(match coverage.first_unrecognised.take() {
        Some(known) => known.min(place),
        None => place,
    });
}

/// Reads the rows of tables that stand in a text without a header, and the text between them as text. Says whether there were
/// any.
fn read_rows(part: &Piece<'_>, facts: &mut Facts) -> bool {
    let command = part.command.and_then(command::kubectl);
    let mut read = [0_u64; 2];
    let mut at = 0;
    let lines: Vec<(usize, &str)> = part
        .bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(|raw| {
            at += raw.len();
            (at, std::str::from_utf8(raw).map_or("", str::trim_end))
        })
        .collect();
    // What stands between rows: where it begins and ends, and its first line.
    let (mut text, mut text_line) = (0..0, part.first_line);
    let mut rest: Vec<(std::ops::Range<usize>, u64)> = Vec::new();
    let mut nth = 0;
    while let Some((end, line)) = lines.get(nth).copied() {
        let number = part.first_line + nth as u64;
        let mut end = end;
        let fragment = Fragment::parse(line, command.as_ref());
        nth += 1;
        let known = match &fragment {
            None => false,
            Some(Fragment::Row(_, kind)) if *kind != "Event" => {
                kubectl_table::read_row(part, line, number, facts)
            }
            // The message of an event is last, and a terminal or a mail program may have broken it.
            Some(fragment) => {
                let more = lines.iter().skip(nth).take(WRAPPED).take_while(|(_, line)| {
                    !line.is_empty() && Fragment::parse(line, command.as_ref()).is_none()
                });
                let mut whole = line.to_owned();
                for (behind, more) in more {
                    whole.push(' ');
                    whole.push_str(more.trim_start());
                    (end, nth) = (*behind, nth + 1);
                }
                match fragment {
                    Fragment::Row(..) => kubectl_table::read_row(part, &whole, number, facts),
                    Fragment::Event(_) => kubectl_describe::read_event_row(part, &whole, number, facts),
                }
            }
        };
        if known {
            let [rows, events] = &mut read;
            *(if matches!(fragment, Some(Fragment::Event(_))) { events } else { rows }) += 1;
            rest.push((std::mem::replace(&mut text, end..end), text_line));
            text_line = part.first_line + nth as u64;
        } else {
            text.end = end;
        }
    }
    if read == [0, 0] {
        return false;
    }
    rest.push((text, text_line));
    for (range, first_line) in rest {
        let bytes = part.bytes.get(range.clone()).unwrap_or_default();
        if !bytes.trim_ascii().is_empty() {
            read_prose(
                &Piece { bytes, first_line, offset: part.offset + range.start as u64, ..*part },
                facts,
            );
        }
    }
    let coverage = facts.coverage.entry(part.source);
    coverage.recognised = true;
    for (format, records) in
        [kubectl_table::FORMAT.name(), kubectl_describe::FORMAT.name()].into_iter().zip(read)
    {
        if records > 0 {
            coverage.formats.add(format, records);
        }
    }
    true
}

/// Whether this is what `kubectl get` says when there is nothing to show.
fn answers(part: &Piece<'_>) -> bool {
    let question = part.command.and_then(command::kubectl).is_some_and(|command| command.verb == "get");
    let nothing = part.bytes.trim_ascii_start().starts_with(b"No resources found");
    question && nothing
}

/// Reads what was wrapped in another record, as if it were an entry of its own.
pub(super) fn embedded(
    outer: &Piece<'_>,
    source: &Arc<str>,
    text: &[u8],
    node: Option<&str>,
    command: Option<&str>,
    facts: &mut Facts,
) {
    let piece = Piece {
        source,
        bytes: text,
        context: None,
        first_line: 1,
        offset: 0,
        whole: true,
        recognised: false,
        cut_short: false,
        node,
        command,
        ..*outer
    };
    FORMAT.read(&piece, facts);
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
        let listing =
            found.iter().find(|s| s.command.as_deref().is_some_and(|c| c.starts_with("ls "))).unwrap();
        assert_eq!(&text[listing.start..listing.end], "10.244.0.2\n10.244.0.3\nlock\n");
        assert_eq!(listing.line, 4);
    }

    fn parts(text: &str) -> Vec<&str> {
        sections(text.as_bytes())
            .into_iter()
            .map(|section| text[section.start..section.end].lines().next().unwrap())
            .collect()
    }

    #[test]
    fn a_header_of_http_begins_no_lookup() {
        assert_eq!(parts("HTTP/2 403\nServer: nginx\nDate: today\n"), ["HTTP/2 403"]);
        assert_eq!(
            parts("asking\nServer:\t10.0.0.10\nAddress:\t10.0.0.10:53\n\nName:\tcart\nAddress: 10.0.0.4\n"),
            ["asking", "Server:\t10.0.0.10"]
        );
    }

    #[test]
    fn warnings_documents_tables_and_descriptions_are_told_apart() {
        let text = "Warning: v1 Endpoints is deprecated\n{\n \"kind\": \"List\"\n}\nbye\n\
                    NAME   READY   STATUS\na      1/1     Running\n\n\
                    Name:  x\nNamespace:  y\nEvents:  <none>\n\n\nName:  z\nNamespace:  y\n\
                    apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nthe end of it\n";
        assert_eq!(
            parts(text),
            [
                "Warning: v1 Endpoints is deprecated",
                "{",
                "bye",
                "NAME   READY   STATUS",
                "Name:  x",
                "apiVersion: v1",
                "the end of it"
            ]
        );
    }

    #[test]
    fn a_cut_document_takes_the_rest() {
        assert_eq!(parts("a\n{\"kind\":\"Pod\",\nmore"), ["a", "{\"kind\":\"Pod\","]);
    }

    #[test]
    fn brackets_of_a_log_are_no_document() {
        assert_eq!(parts("[stdout]\n[ERROR] x\n[pod/a/b] y\n"), ["[stdout]"]);
    }
}
