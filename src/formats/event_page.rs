//! The page of events of a must-gather of `OpenShift`, `event-filter.html`: one table, an event a row
//! (openshift/must-gather `collection-scripts`, openshift/oc `pkg/cli/admin/inspect`).

use std::sync::Arc;

use memchr::memmem;

use super::shared::command;
use super::shared::line;
use super::shared::log_line::Surroundings;
use super::{Head, InputFormat, Piece};
use crate::bundle::Framer;
use crate::facts::text::lossy;
use crate::facts::time::{self, When};
use crate::facts::{EventSeen, Facts, fingerprint};

pub(super) struct EventPage;
pub(super) const FORMAT: EventPage = EventPage;

impl InputFormat for EventPage {
    fn name(&self) -> &'static str {
        "event-page"
    }

    fn about(&self) -> &'static str {
        "events as an HTML page (event-filter.html of a must-gather)"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let start = head.bytes.trim_ascii_start();
        if !start.starts_with(b"<") {
            return 0;
        }
        let columns = header(start);
        if columns.iter().any(|name| name == "REASON") && columns.iter().any(|name| name == "MESSAGE") {
            95
        } else {
            0
        }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::<RowFramer>::default()
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let columns = header(piece.context.unwrap_or(piece.bytes));
        let (mut records, mut at, mut number, mut counted) = (0, 0, piece.first_line, 0);
        while let Some(start) = memmem::find(piece.bytes.get(at..).unwrap_or_default(), b"<tr") {
            let start = at + start;
            let rest = piece.bytes.get(start..).unwrap_or_default();
            let length = memmem::find(rest, ROW_END).unwrap_or(rest.len());
            let row = rest.get(..length).unwrap_or_default();
            let between = piece.bytes.get(counted..start).unwrap_or_default();
            number += memchr::memchr_iter(b'\n', between).count() as u64;
            (at, counted) = (start + length, start);
            if event(row, &columns, piece, number, facts) {
                records += 1;
            }
        }
        records
    }
}

const ROW_END: &[u8] = b"</tr>";

/// The names of the columns, in capitals.
fn header(page: &[u8]) -> Vec<String> {
    let Some(start) = memmem::find(page, b"<th") else { return Vec::new() };
    let rest = page.get(start..).unwrap_or_default();
    let end = memmem::find(rest, ROW_END).unwrap_or(rest.len());
    cells(&lossy(rest.get(..end).unwrap_or_default()), "th")
        .iter()
        .map(|cell| text(cell).to_ascii_uppercase())
        .collect()
}

/// What stands within each cell of a row, with its tags.
fn cells<'a>(row: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = row;
    while let Some((_, from)) = rest.split_once(&*open) {
        // `<thead>` is no `<th>`.
        if !from.starts_with(['>', ' ']) {
            rest = from;
            continue;
        }
        let Some((_, inner)) = from.split_once('>') else { break };
        let (cell, after) = inner.split_once(&*close).unwrap_or((inner, ""));
        found.push(cell);
        rest = after;
    }
    found
}

/// Text without its tags and entities; what a tag parts stays parted.
fn text(html: &str) -> String {
    let mut plain = String::with_capacity(html.len());
    let mut within = false;
    for c in html.chars() {
        match c {
            '<' => {
                within = true;
                plain.push(' ');
            }
            '>' if within => within = false,
            c if !within => plain.push(c),
            _ => {}
        }
    }
    let plain =
        plain.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", "\"").replace("&quot;", "\"");
    let plain = plain.replace("&#39;", "'").replace("&nbsp;", " ").replace("&amp;", "&");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first time that a cell names, in its text or in an attribute.
fn when(cell: &str) -> Option<When> {
    let bytes = cell.as_bytes();
    let starts = memchr::memchr_iter(b'T', bytes).filter_map(|at| at.checked_sub(10));
    starts.into_iter().find_map(|at| time::rfc3339(bytes.get(at..)?).map(|(when, _)| when))
}

/// Reads a row as an event. Says whether it is one.
fn event(row: &[u8], columns: &[String], piece: &Piece<'_>, number: u64, facts: &mut Facts) -> bool {
    let row = lossy(row);
    let cells = cells(&row, "td");
    let of = |names: &[&str]| -> &str {
        let at = columns.iter().position(|column| names.contains(&column.as_str()));
        at.and_then(|at| cells.get(at)).copied().unwrap_or_default()
    };
    let (reason, message) = (text(of(&["REASON"])), text(of(&["MESSAGE"])));
    if reason.is_empty() {
        return false;
    }
    // `Pod ledger-0`, or the kind and the name in columns of their own.
    let related = text(of(&["RELATEDOBJECT", "OBJECT"]));
    let (kind, name) = related.split_once([' ', '/']).unwrap_or(("", &related));
    let (own_kind, own_name) = (text(of(&["KIND"])), text(of(&["NAME"])));
    let kind = if own_kind.is_empty() { kind } else { &own_kind };
    let name = if own_name.is_empty() { name } else { &own_name };
    let kind = command::kind_of(kind).unwrap_or(kind);
    let namespace = text(of(&["NAMESPACE"]));
    let seen = of(&["TIME", "LAST SEEN", "LASTSEEN"]);
    let times = text(seen);
    let count = times.split_once("(x").and_then(|(_, rest)| rest.split(')').next()?.parse().ok());
    let last = when(seen);
    facts.saw(last);
    let component = text(of(&["COMPONENT", "SOURCE", "FROM"]));
    let host =
        component.split_once([',', ' ']).filter(|(name, _)| *name == "kubelet").map(|(_, host)| host.trim());
    facts.happened(EventSeen {
        // The page does not tell the type of an event: what the kubelet and the scheduler do as usual is no warning.
        normal: is_usual(&reason),
        reason: &reason,
        kind,
        namespace: &namespace,
        name,
        count: count.unwrap_or(1),
        times: [last, last],
        node: host,
        message: &message,
        source: piece.source,
        line: number,
    });
    let around = Surroundings {
        when: last,
        last,
        node: host,
        pod: (kind == "Pod").then_some((&*namespace, name)),
        count: count.unwrap_or(1),
        print: Some(fingerprint((kind, &namespace, name, &message, last))),
        ..Surroundings::default()
    };
    line::consider(message.as_bytes(), around, piece.source, number, facts);
    true
}

/// Reasons of events of type Normal (kubernetes/kubernetes `pkg/kubelet/events/event.go` and the controllers' own).
fn is_usual(reason: &str) -> bool {
    [
        "Scheduled",
        "Pulled",
        "Pulling",
        "Created",
        "Started",
        "Killing",
        "SuccessfulCreate",
        "SuccessfulDelete",
        "ScalingReplicaSet",
        "AddedInterface",
        "LeaderElection",
        "NodeReady",
        "Starting",
        "Completed",
    ]
    .contains(&reason)
}

/// Cuts after a row, and takes the names of the columns along.
#[derive(Default)]
struct RowFramer {
    header: Option<Arc<[u8]>>,
}

impl Framer for RowFramer {
    fn cut(&mut self, buffer: &[u8], at_end: bool) -> usize {
        if self.header.is_none()
            && let Some(start) = memmem::find(buffer, b"<th")
        {
            let rest = buffer.get(start..).unwrap_or_default();
            self.header = memmem::find(rest, ROW_END).and_then(|end| Some(Arc::from(rest.get(..end)?)));
        }
        if at_end { buffer.len() } else { memmem::rfind(buffer, ROW_END).map_or(0, |at| at + ROW_END.len()) }
    }

    fn resume(&mut self, buffer: &[u8]) -> Option<usize> {
        memmem::find(buffer, ROW_END).map(|at| at + ROW_END.len())
    }

    fn context(&self) -> Option<Arc<[u8]>> {
        self.header.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_without_their_tags() {
        let row = "<tr><td><time datetime=\"2026-11-20T09:20:11Z\">09:20:11</time> <small>(x9)</small></td><td>Pod <br><small>ledger-0</small></td>";
        let cells = cells(row, "td");
        assert_eq!(
            cells.iter().map(|cell| text(cell)).collect::<Vec<_>>(),
            ["09:20:11 (x9)", "Pod ledger-0"]
        );
        assert!(when(cells[0]).is_some());
        assert_eq!(
            header(b"<table><thead><tr><th>Time</th><th class=\"x\">Reason</th></tr>"),
            ["TIME", "REASON"]
        );
    }
}
