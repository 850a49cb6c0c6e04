//! A text that holds several things: where each begins, by prompts and by first lines.

use super::command;
use super::prompt::CommandLine;
use super::table::TableHeader;
use crate::bytes::json::value_end;
use crate::bytes::pattern::pattern;
use crate::facts::text::lossy;

// Where a shell was opened on a node.
pattern!(
    NODE,
    r"(?:debug (?:-\S+ )*node/|with container \S+ on node |node-shell )(?P<node>[a-z0-9][a-z0-9.-]*[a-z0-9])"
);

/// A command and its output.
pub(in crate::formats) struct Segment {
    pub(in crate::formats) start: usize,
    pub(in crate::formats) end: usize,
    /// Where the prompt begins, 0 for what comes before the first.
    pub(in crate::formats) prompt: usize,
    /// Lines before it.
    pub(in crate::formats) line: u64,
    pub(in crate::formats) command: Option<String>,
    /// The node that the command or its banner names.
    pub(in crate::formats) node: Option<String>,
    /// The prompt is of a shell in a container, or the command runs something in one.
    pub(in crate::formats) in_cluster: bool,
}

/// Whether a command goes into the cluster, wherever it was typed.
fn goes_into_cluster(command: &str) -> bool {
    ["kubectl exec", "kubectl run ", "kubectl debug", "k exec", "az vmss run-command", "az aks command"]
        .iter()
        .any(|word| command.contains(word))
}

/// The longest line that may be a prompt and a command.
const LINE: usize = 1000;

/// A line as a command line, when it may be one.
fn command_line(raw: &[u8]) -> Option<CommandLine<'_>> {
    let line = std::str::from_utf8(raw).ok().filter(|line| line.len() < LINE)?;
    CommandLine::parse(line.trim_end())
}

/// Whether a text is what a terminal showed: its first line is a command, or one of the field stands behind a prompt. Logs,
/// too, stand in terminals, so the look of the other lines does not matter.
pub(in crate::formats) fn is_transcript(text: &[u8]) -> bool {
    let start = text.trim_ascii_start();
    // A script holds commands, and no output; a document holds what it says.
    if start.starts_with(b"#!") || matches!(start.first(), Some(b'{' | b'<')) {
        return false;
    }
    let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let first = lines.next().unwrap_or_default();
    if command_line(first).is_some_and(|line| !line.command.is_empty() && (line.sure || line.host.is_some()))
    {
        return true;
    }
    lines.any(|line| {
        // A script that traces itself (`set -x`) prints what it runs, and little of what comes of it.
        may_be_prompted(line)
            && !line.starts_with(b"+")
            && command_line(line)
                .is_some_and(|found| found.sure && found.command.len() < line.trim_ascii_end().len())
    })
}

/// Whether a line holds a sign in which prompts end.
fn may_be_prompted(line: &[u8]) -> bool {
    memchr::memchr3(b'$', b'#', b'>', line).is_some()
        || memchr::memchr3(b'%', b'+', 0xe2, line).is_some()
        || line.contains(&0xce)
}

/// The node that a debugging shell is on, by its command or its banner.
fn debugged(text: &str) -> Option<String> {
    NODE.captures(text)?.name("node").map(|node| node.as_str().to_owned())
}

/// The node that a command goes to.
fn node_of(command: &str) -> Option<String> {
    debugged(command).or_else(|| command::scale_set_instance(command))
}

/// Splits at command lines.
pub(in crate::formats) fn segments(text: &[u8]) -> Vec<Segment> {
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
        if let Some(found_line) = command_line(raw) {
            let command = Some(found_line.command.to_owned()).filter(|command| !command.is_empty());
            if let Some(last) = found.last_mut() {
                last.end = at;
            }
            let host = found_line.host.filter(|host| host.contains("vmss") || host.starts_with("aks-"));
            let node = node_of(found_line.command).or_else(|| host.map(ToOwned::to_owned));
            found.push(Segment {
                in_cluster: found_line.container || command.as_deref().is_some_and(goes_into_cluster),
                start: end,
                end: text.len(),
                prompt: at,
                line: number + 1,
                command,
                node,
            });
        } else if raw.len() < LINE && memchr::memmem::find(raw, b"node").is_some() {
            let banner = lossy(raw);
            if let (Some(node), Some(last)) = (debugged(banner.trim_end()), found.last_mut()) {
                last.node = Some(node);
            }
        }
        at = end;
    }
    found.retain(|segment| segment.start < segment.end || segment.node.is_some());
    found
}

/// A part of an output that is of one kind.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::formats) struct Section {
    pub(in crate::formats) start: usize,
    pub(in crate::formats) end: usize,
}

/// What a section is made of, as far as its first line says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Begin {
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
        _ if is_scrap(line) => Begin::Other,
        // `{'PodName':…` is the rest of a broken line.
        Some(b'{') if line.get(1) != Some(&b'\'') => Begin::Json,
        Some(b'[') => match line.get(1..).unwrap_or_default().trim_ascii().first() {
            None | Some(b'{' | b'"' | b'[' | b']') => Begin::Json,
            Some(_) => Begin::Other,
        },
        Some(b'a') if line.starts_with(b"apiVersion:") => Begin::Yaml,
        Some(b'-') if line.starts_with(b"- apiVersion:") => Begin::Yaml,
        Some(b'N') if begins_description(line) => Begin::Describe,
        Some(b'=') if line.starts_with(b"==== START logs") => Begin::Logs,
        Some(b'S') if line.starts_with(b"Server:") => Begin::Lookup,
        Some(byte) if byte.is_ascii_uppercase() && TableHeader::parse(line.trim_ascii_end()).is_some() => {
            Begin::Table
        }
        _ => Begin::Other,
    }
}

/// Whether a line is a whole document that is too short to be anything: `{}`, `[1]`. It is a line like any other: a million
/// of them are no million things to look at.
fn is_scrap(line: &[u8]) -> bool {
    const SCRAP: usize = 24;
    let line = line.trim_ascii_end();
    line.len() <= SCRAP && matches!(line.first(), Some(b'{' | b'[')) && value_end(line, 0) == Some(line.len())
}

/// Splits an output where something else begins.
pub(in crate::formats) fn sections(text: &[u8]) -> Vec<Section> {
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
            Begin::Table => this == Begin::Other && !line.trim_ascii().is_empty() && !is_scrap(line),
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
pub(in crate::formats) fn short_and_mixed(text: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', text).take(40).count() < 40 && mixed(text)
}

/// Whether a text holds several things, or prompts: then it is no single table or description.
pub(in crate::formats) fn mixed(text: &[u8]) -> bool {
    if segments(text).len() > 1 {
        return true;
    }
    let mut kinds: Vec<Begin> = Vec::new();
    for section in sections(text) {
        let lines = text.get(section.start..section.end).unwrap_or_default();
        let first = lines.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let kind = begin(first);
        let remarks =
            || lines.split(|byte| *byte == b'\n').all(|line| line.trim_ascii().is_empty() || is_remark(line));
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

/// Whether a text that begins with a document goes on with tables, descriptions or prompts.
pub(in crate::formats) fn mixed_after_document(text: &[u8]) -> bool {
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

/// What kubectl says beside its tables.
pub(in crate::formats) fn is_remark(line: &[u8]) -> bool {
    [
        &b"Warning: "[..],
        b"No resources found",
        b"Error from server",
        b"error: ",
        b"Unable to connect to the server",
        b"The connection to the server",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}

/// Whether a line begins a described object.
pub(in crate::formats) fn begins_description(line: &[u8]) -> bool {
    line.strip_prefix(b"Name:").is_some_and(|rest| {
        rest.first().is_some_and(u8::is_ascii_whitespace) && !rest.trim_ascii().is_empty()
    })
}
