//! Everything else that is text: terminal transcripts, notes, e-mails, several things in one file.
//!
//! It is split at its prompts, each output at what begins within it (a table, a described object, a JSON
//! or YAML document), and each part is recognised on its own. What no format claims is searched for
//! known errors, and counted as not recognised.

use std::sync::Arc;

use super::shared::command;
use super::shared::irrelevant_text;
use super::shared::line;
use super::shared::table::TableHeader;
use super::{
    FORMATS, Head, InputFormat, Piece, azure, connection_test, counting_command, host_local_listing,
    kubectl_describe, kubectl_table,
};
use crate::bundle::Framer;
use crate::bytes::json::value_end;
use crate::bytes::pattern::pattern;
use crate::evidence::excerpt;
use crate::facts::Facts;
use crate::facts::text::lossy;

pub(super) struct TextFormat;
pub(super) const FORMAT: TextFormat = TextFormat;

/// A part is taken for a format from this score on.
const SURE: u8 = 30;

// `root@node:/#`, `/ #`, `$`, `PS C:\>`, `user@host ~ %` before a command.
pattern!(
    PROMPT,
    r"^(?:\[?(?P<user>[\w.-]+)@(?P<host>[\w.-]+)[^#$%>]{0,80}[#$%>]|(?:[~/][\w./-]*) [#$]|~?[#$%]\s|(?:PS )?[A-Z]:\\[^>]{0,120}>|PS>)\s*(?P<command>\S.*)$"
);

// Where a shell was opened on a node.
pattern!(
    NODE,
    r"(?:debug (?:-\S+ )*node/|with container \S+ on node |node-shell )(?P<node>[a-z0-9][a-z0-9.-]*[a-z0-9])"
);

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
        let document = matches!(piece.bytes.trim_ascii_start().first(), Some(b'{' | b'['));
        let several = if document { mixed_after_document(piece.bytes) } else { short_and_mixed(piece.bytes) };
        if piece.offset == 0
            && !several
            && let Some(class) = irrelevant_text::class(piece.bytes, &piece.entry.path)
        {
            facts.coverage.entry(piece.source).class = Some(class);
            line::scan(piece, facts);
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
                node: node.as_deref().or(piece.node),
                command: segment.command.as_deref().or(piece.command),
                in_cluster,
                ..*piece
            };
            for section in sections(part.bytes) {
                let bytes = part.bytes.get(section.start..section.end).unwrap_or_default();
                let before = part.bytes.get(..section.start).unwrap_or_default();
                let lines = memchr::memchr_iter(b'\n', before).count() as u64;
                let offset = part.offset + section.start as u64;
                read_section(&Piece { bytes, first_line: part.first_line + lines, offset, ..part }, facts);
            }
        }
        0
    }
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

/// A command and its output.
struct Segment {
    start: usize,
    end: usize,
    /// Where the prompt begins, 0 for what comes before the first.
    prompt: usize,
    /// Lines before it.
    line: u64,
    command: Option<String>,
    /// The node that the command or its banner names.
    node: Option<String>,
    /// The prompt is of a shell in a container, or the command runs something in one.
    in_cluster: bool,
}

/// Whether a command runs in the cluster: its prompt is that of a container (`/ #`, `root@curl:/#`), or it goes there.
fn runs_in_cluster(line: &str, command: &str) -> bool {
    let container = line.starts_with("/ #") || line.starts_with("~ #") || line.starts_with("/ $");
    let named = line.split_once(":/").is_some_and(|(before, rest)| {
        before.starts_with("root@") && rest.trim_start_matches(|c: char| c != '#').starts_with('#')
    });
    let goes =
        ["kubectl exec", "kubectl run ", "kubectl debug", "k exec", "az vmss run-command", "az aks command"]
            .iter()
            .any(|word| command.contains(word));
    container || named || goes
}

/// Splits at prompts.
fn segments(text: &[u8]) -> Vec<Segment> {
    let first = Segment {
        start: 0,
        end: text.len(),
        prompt: 0,
        line: 0,
        command: None,
        node: None,
        in_cluster: false,
    };
    let mut found = vec![first];
    let mut at = 0;
    for (number, raw) in (0..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        let end = at + raw.len();
        // A command goes on after a backslash.
        if let Some(last) = found.last_mut().filter(|last| last.start == at && raw.len() < 1000)
            && let Some(command) = &mut last.command
            && command.ends_with('\\')
        {
            command.pop();
            command.push_str(lossy(raw).trim());
            (last.start, last.line) = (end, number + 1);
            at = end;
            continue;
        }
        let promising = raw.len() < 1000
            && (memchr::memchr3(b'$', b'#', b'>', raw).is_some()
                || memchr::memchr(b'%', raw).is_some()
                || memchr::memmem::find(raw, b"node").is_some());
        if promising {
            let rendered = lossy(raw);
            let label = rendered.trim_end();
            let named = NODE.captures(label);
            let named = named.and_then(|found| found.name("node")).map(|node| node.as_str().to_owned());
            if let Some(prompt) = PROMPT.captures(label) {
                let command = prompt.name("command").map(|command| command.as_str().to_owned());
                let host = prompt.name("host").map(|host| host.as_str().to_owned());
                if let Some(last) = found.last_mut() {
                    last.end = at;
                }
                let host = host.filter(|host| host.contains("vmss") || host.starts_with("aks-"));
                let in_cluster = runs_in_cluster(label, command.as_deref().unwrap_or_default());
                found.push(Segment {
                    in_cluster,
                    start: end,
                    end: text.len(),
                    prompt: at,
                    line: number + 1,
                    command,
                    node: named.or(host),
                });
            } else if let (Some(named), Some(last)) = (named, found.last_mut()) {
                last.node = Some(named);
            }
        }
        at = end;
    }
    found.retain(|segment| segment.start < segment.end || segment.node.is_some());
    found
}

/// A part of an output that is of one kind.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    start: usize,
    end: usize,
}

/// What a section is made of, as far as its first line says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begin {
    Json,
    Yaml,
    Table,
    Describe,
    Logs,
    /// `nslookup`: its answers begin like descriptions, with `Name:`.
    Lookup,
    Other,
}

fn begin(line: &[u8]) -> Begin {
    match line.first() {
        // `{'PodName':…` is the rest of a broken line.
        Some(b'{') if line.get(1) != Some(&b'\'') => Begin::Json,
        Some(b'[') => match line.get(1..).unwrap_or_default().trim_ascii().first() {
            None | Some(b'{' | b'"' | b'[' | b']') => Begin::Json,
            Some(_) => Begin::Other,
        },
        Some(b'a') if line.starts_with(b"apiVersion:") => Begin::Yaml,
        Some(b'-') if line.starts_with(b"- apiVersion:") => Begin::Yaml,
        Some(b'N') if kubectl_describe::begins(line) => Begin::Describe,
        Some(b'=') if line.starts_with(b"==== START logs") => Begin::Logs,
        Some(b'S') if line.starts_with(b"Server:") => Begin::Lookup,
        Some(byte) if byte.is_ascii_uppercase() && TableHeader::parse(line.trim_ascii_end()).is_some() => {
            Begin::Table
        }
        _ => Begin::Other,
    }
}

/// Splits an output where something else begins.
fn sections(text: &[u8]) -> Vec<Section> {
    let mut found: Vec<Section> = Vec::new();
    let (mut at, mut start, mut kind) = (0, 0, Begin::Other);
    let mut close = |start: usize, end: usize| {
        if !text.get(start..end).unwrap_or_default().trim_ascii().is_empty() {
            found.push(Section { start, end });
        }
    };
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let line = rest.get(..length).unwrap_or_default();
        let with_address = rest.get(length..).unwrap_or_default().starts_with(b"Address");
        let this = match begin(line) {
            // A header of HTTP says `Server:`, too.
            Begin::Lookup if !with_address => Begin::Other,
            this => this,
        };
        let goes_on = match kind {
            // A described object holds anything, and ends where another thing begins.
            Begin::Describe => matches!(this, Begin::Describe | Begin::Other | Begin::Logs | Begin::Lookup),
            Begin::Lookup => this == Begin::Other || this == Begin::Describe && with_address,
            // The items of a list, and the key that follows them.
            Begin::Yaml => this == Begin::Yaml || yaml_line(line),
            Begin::Table => this == Begin::Other && !line.trim_ascii().is_empty(),
            Begin::Logs => this != Begin::Json,
            Begin::Json => false,
            Begin::Other => this == Begin::Other,
        };
        if !goes_on {
            close(start, at);
            start = at;
            kind = this;
        }
        if kind == Begin::Json && start == at {
            // One value, to its end; a value that is cut takes the rest.
            let end = value_end(text, at).unwrap_or(text.len());
            let rest = text.get(end..).unwrap_or_default();
            at = end + memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
            // Documents may follow one another without anything between them.
            if text.get(at) != Some(&b'{') {
                close(start, at);
                start = at;
                kind = Begin::Other;
            }
            continue;
        }
        at += length;
    }
    close(start, text.len());
    found
}

/// Whether a short text holds several things: a long one is a log, whatever stands in it.
pub(super) fn short_and_mixed(text: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', text).take(40).count() < 40 && mixed(text)
}

/// Whether a text holds a command after a prompt: what it printed is read knowing that command.
pub(super) fn prompted(text: &[u8]) -> bool {
    segments(text).iter().any(|segment| segment.command.is_some())
}

/// Whether a text holds several things, or prompts: then it is no single table or description.
pub(super) fn mixed(text: &[u8]) -> bool {
    if segments(text).len() > 1 {
        return true;
    }
    let mut kinds: Vec<Begin> = Vec::new();
    for section in sections(text) {
        let lines = text.get(section.start..section.end).unwrap_or_default();
        let first = lines.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let kind = begin(first);
        let remarks = || {
            lines
                .split(|byte| *byte == b'\n')
                .all(|line| line.trim_ascii().is_empty() || kubectl_table::is_remark(line))
        };
        if !(kind == Begin::Other && remarks() || kinds.contains(&kind)) {
            kinds.push(kind);
        }
    }
    kinds.len() > 1
}

fn yaml_line(line: &[u8]) -> bool {
    match line.first() {
        None | Some(b' ' | b'-' | b'#' | b'\n' | b'\r') => true,
        Some(byte) if byte.is_ascii_lowercase() => {
            let key = line.split(|byte| *byte == b':').next().unwrap_or_default();
            key.len() < line.trim_ascii_end().len() && key.iter().all(u8::is_ascii_alphanumeric)
        }
        Some(_) => false,
    }
}

fn read_section(part: &Piece<'_>, facts: &mut Facts) {
    let head = Head { entry: part.entry, bytes: part.bytes };
    connection_test::answered(part, facts);
    if azure::answered(part, facts) {
        let coverage = facts.coverage.entry(part.source);
        coverage.recognised = true;
        *coverage.formats.entry(azure::FORMAT.name()).or_default() += 1;
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
            line::scan_prose(part, facts);
            let bytes = part.bytes.len() as u64;
            let coverage = facts.coverage.entry(part.source);
            coverage.unrecognised += bytes;
            let first = part.bytes.trim_ascii_start();
            let first = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let place = (part.first_line, excerpt(first.get(..120).unwrap_or(first)));
            coverage.first_unrecognised = Some(match coverage.first_unrecognised.take() {
                Some(known) => known.min(place),
                None => place,
            });
            return;
        }
    };
    let coverage = facts.coverage.entry(part.source);
    coverage.recognised = true;
    *coverage.formats.entry(format).or_default() += records;
}

/// Whether this is what `kubectl get` says when there is nothing to show.
fn answers(part: &Piece<'_>) -> bool {
    let question = part.command.and_then(command::kubectl).is_some_and(|command| command.verb == "get");
    let nothing = part.bytes.trim_ascii_start().starts_with(b"No resources found");
    question && nothing
}

/// Whether a text that begins with a document goes on with tables, descriptions or prompts.
pub(super) fn mixed_after_document(text: &[u8]) -> bool {
    let Some(first) = value_end(text, 0) else { return false };
    let rest = text.get(first..).unwrap_or_default();
    if memchr::memmem::find(rest, b"==== START logs").is_some() {
        return false;
    }
    let others = |section: &Section| {
        let lines = rest.get(section.start..section.end).unwrap_or_default();
        let first = lines.split(|byte| *byte == b'\n').next().unwrap_or_default();
        matches!(begin(first), Begin::Table | Begin::Describe | Begin::Yaml)
    };
    segments(rest).len() > 1 || sections(rest).iter().any(others)
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
