//! JSON as a stream: finds the elements of a list without holding the list.
//!
//! `kubectl -o json`, a raw API list, concatenated documents, a bare array, a Log Analytics result: what
//! counts are the elements of one array. [`Scanner`] finds them by brackets and quotes alone, so a
//! 2 GB list is cut into elements as it comes, and text between documents (as in
//! `kubectl cluster-info dump`) is given out as lines.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::{memchr, memchr3};

use super::dump::Frame;
use crate::bundle::Framer;
use crate::bytes::json::{string_end, value_end};
use crate::bytes::{blocks, brackets};

/// Keys whose arrays hold the records of a document, and the depth at which they stand: Kubernetes lists,
/// Event Hub and storage records; Log Analytics rows within `tables[]`. Deeper arrays of these names are
/// something else: every pod has `items` in its projected volumes.
const RECORD_ARRAYS: [(&[u8], usize); 4] =
    [(b"\"items\"", 1), (b"\"Items\"", 1), (b"\"records\"", 1), (b"\"rows\"", 3)];

/// Longest head of a document that is kept as context for its records.
const CONTEXT_BYTES: usize = 256 << 10;

/// What the scanner found, as ranges of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::formats) enum Scanned {
    /// An array of records begins: the document's head, `[` included.
    Head { start: usize, end: usize },
    /// One element of an array of records.
    Element { start: usize, end: usize },
    /// A document without such an array.
    Document { start: usize, end: usize },
    /// A line that is no JSON.
    Text { start: usize, end: usize },
    /// The document that held an array of records has ended.
    End { end: usize },
}

/// Bracket depth, strings and the array of records: enough to find where records begin and end.
#[derive(Debug, Default)]
pub(in crate::formats) struct Scanner {
    position: usize,
    depth: usize,
    in_string: bool,
    /// Within a log that `kubectl cluster-info dump` framed: nothing is JSON there.
    in_log: bool,
    /// Depth inside the array of records.
    records: Option<usize>,
    document: usize,
    element: usize,
}

/// What stands between documents.
enum Between {
    Nothing,
    Found(Scanned),
    /// A line of text that is not all there.
    Unfinished,
}

/// How far a run over whole blocks came.
enum Ran {
    /// To less than a block before the end of the buffer.
    ToEnd,
    /// To a block that is no orderly JSON.
    ToDamage,
    /// To the end of the document.
    OutOfDocument,
    /// To where it was told to stop.
    Stopped,
}

impl Scanner {
    /// Continues within an array of records whose head is `context`.
    pub(in crate::formats) fn within(context: &[u8]) -> Self {
        let mut scanner = Self::default();
        scanner.run(context, |_| true);
        Self { depth: scanner.depth, records: scanner.records, in_log: scanner.in_log, ..Self::default() }
    }

    /// Whether a document is begun and not ended.
    pub(in crate::formats) fn unfinished(&self) -> bool {
        self.depth > 0
    }

    /// Where the unfinished record or document begins.
    pub(in crate::formats) fn pending(&self) -> usize {
        if self.records.is_some() { self.element } else { self.document }
    }

    /// Scans on to the end of `buffer`, or until `on` says stop (`false`).
    pub(in crate::formats) fn run(&mut self, buffer: &[u8], mut on: impl FnMut(Scanned) -> bool) {
        // Up to here the text is read byte by byte.
        let mut carefully = 0;
        while let Some(&byte) = buffer.get(self.position) {
            if self.depth > 0 && self.position >= carefully {
                match self.blocks(buffer, &mut on) {
                    Ran::Stopped => return,
                    Ran::ToEnd => carefully = buffer.len(),
                    Ran::ToDamage => carefully = self.position + blocks::BLOCK,
                    Ran::OutOfDocument => {}
                }
                continue;
            }
            let going = if self.in_string {
                if !self.string(buffer) {
                    return;
                }
                true
            } else if self.depth == 0 {
                match self.between(buffer, byte) {
                    Between::Nothing => true,
                    Between::Found(found) => on(found),
                    Between::Unfinished => return,
                }
            } else {
                self.inside(buffer, byte, &mut on)
            };
            if !going {
                return;
            }
        }
    }

    /// Within a document, 64 bytes at a time.
    fn blocks(&mut self, buffer: &[u8], on: &mut impl FnMut(Scanned) -> bool) -> Ran {
        while let Some(bytes) = buffer.get(self.position..).and_then(<[u8]>::first_chunk) {
            let start = self.position;
            let Some(block) = brackets::block(bytes, self.in_string) else { return Ran::ToDamage };
            for at in blocks::positions(block.brackets) {
                self.position = start + at;
                let byte = bytes.get(at).copied().unwrap_or_default();
                let going = self.inside(buffer, byte, on);
                // The rest of the block is another document's, or for another time.
                if self.depth == 0 || !going {
                    self.in_string = false;
                    return if going { Ran::OutOfDocument } else { Ran::Stopped };
                }
            }
            self.position = start + block.length;
            self.in_string = block.in_string;
        }
        Ran::ToEnd
    }

    /// Within a string. `false` when the buffer ends first.
    fn string(&mut self, buffer: &[u8]) -> bool {
        let Some(rest) = buffer.get(self.position..) else { return false };
        let Some(at) = memchr3(b'"', b'\\', b'\n', rest) else {
            self.position = buffer.len();
            return false;
        };
        match rest.get(at) {
            Some(b'\\') => {
                if at + 1 >= rest.len() {
                    // The escaped byte is not there yet.
                    self.position += at;
                    return false;
                }
                self.position += at + 2;
            }
            Some(b'"') => {
                self.in_string = false;
                self.position += at + 1;
            }
            _ => {
                // JSON strings hold no line breaks: this is no JSON, or it is damaged. Start over after it.
                self.in_string = false;
                self.depth = 0;
                self.records = None;
                self.position += at + 1;
            }
        }
        true
    }

    /// Between documents: the next one, or a line of text.
    fn between(&mut self, buffer: &[u8], byte: u8) -> Between {
        let rest = buffer.get(self.position..).unwrap_or_default();
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                self.position += 1;
                Between::Nothing
            }
            b'{' | b'[' if !self.in_log && begins_json(rest) != Some(false) => {
                if begins_json(rest).is_none() {
                    return Between::Unfinished;
                }
                self.document = self.position;
                self.depth = 1;
                self.position += 1;
                if byte == b'[' {
                    self.records = Some(1);
                    self.element = self.position;
                    return Between::Found(Scanned::Head { start: self.document, end: self.position });
                }
                self.records = None;
                Between::Nothing
            }
            _ => {
                let start = self.position;
                let Some(length) = memchr(b'\n', rest) else { return Between::Unfinished };
                self.position = start + length + 1;
                match Frame::parse(rest) {
                    Some(Frame::Start(..)) => self.in_log = true,
                    Some(Frame::End) => self.in_log = false,
                    None => {}
                }
                Between::Found(Scanned::Text { start, end: self.position })
            }
        }
    }

    fn inside(&mut self, buffer: &[u8], byte: u8, on: &mut impl FnMut(Scanned) -> bool) -> bool {
        let at = self.position;
        self.position += 1;
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => {
                if self.records == Some(self.depth) {
                    self.element = at;
                }
                self.depth += 1;
                let head = buffer.get(self.document..at).unwrap_or_default();
                if byte == b'[' && self.records.is_none() && names_records(head, self.depth - 1) {
                    self.records = Some(self.depth);
                    self.element = self.position;
                    return on(Scanned::Head { start: self.document, end: self.position });
                }
            }
            b'}' | b']' => {
                self.depth -= 1;
                if self.records == Some(self.depth) && self.depth > 0 {
                    let start = self.element;
                    self.element = self.position;
                    return on(Scanned::Element { start, end: self.position });
                }
                if self.depth == 0 {
                    let had_records = self.records.take().is_some();
                    return on(if had_records {
                        Scanned::End { end: self.position }
                    } else {
                        Scanned::Document { start: self.document, end: self.position }
                    });
                }
            }
            _ => {}
        }
        true
    }
}

/// A document that `az` wrote beside its spinner: what that left in the first line is blanked, so that places stay.
pub(in crate::formats) fn without_spinner(text: &[u8]) -> Cow<'_, [u8]> {
    // `- Finished ..`, `\ Running ..` (knack `progress.py`): nothing of the document itself stands before it.
    let head = text.get(..text.len().min(SPINNER_BYTES)).unwrap_or_default();
    let head = head.get(..memchr::memchr2(b'\n', b'"', head).unwrap_or(head.len())).unwrap_or_default();
    let Some(end) = memchr::memmem::rfind(head, b" ..").map(|at| at + 3) else { return Cow::Borrowed(text) };
    let mut clean = text.to_vec();
    for byte in clean.iter_mut().take(end).filter(|byte| !matches!(**byte, b'{' | b'[')) {
        *byte = b' ';
    }
    Cow::Owned(clean)
}

/// The spinner is shorter, however often it was drawn.
const SPINNER_BYTES: usize = 2000;

/// Whether a bracket between documents begins one: a log's `[2026-11-20 …` and `{cart 3 …` don't.
/// `None` when the text ends before that can be told.
fn begins_json(text: &[u8]) -> Option<bool> {
    let (bracket, rest) = text.split_first()?;
    let next = rest.trim_ascii_start().first()?;
    Some(matches!((bracket, next), (b'{', b'"' | b'}') | (b'[', b'{' | b'"' | b'[' | b']')))
}

/// Whether the text before a `[` ends in a key that names records.
fn names_records(before: &[u8], depth: usize) -> bool {
    let trimmed = before.trim_ascii_end();
    let Some(key) = trimmed.strip_suffix(b":") else { return false };
    let key = key.trim_ascii_end();
    RECORD_ARRAYS.iter().any(|(name, at)| *at == depth && key.ends_with(name))
}

/// What a block of records needs to know of the document's head. A head that is too long to be carried
/// along is said in short: its kind, and the array that is open.
fn context_of(head: &[u8]) -> Arc<[u8]> {
    if head.len() <= CONTEXT_BYTES {
        return Arc::from(head);
    }
    let message = kind(head);
    let mut short = serde_json::json!({ "kind": message.kind, "apiVersion": message.version }).to_string();
    short.pop();
    short.push_str(",\"items\":[");
    Arc::from(short.into_bytes())
}

/// Cuts JSON between the records.
#[derive(Debug, Default)]
pub(in crate::formats) struct JsonFramer {
    scanner: Scanner,
    /// Head of the document being read.
    head: Option<Arc<[u8]>>,
    /// What the record after the last cut needs.
    context: Option<Arc<[u8]>>,
}

impl JsonFramer {
    /// Scans on; gives the last boundary (the first, when asked) and the context there.
    fn boundary(&mut self, buffer: &[u8], first: bool) -> Option<(usize, Option<Arc<[u8]>>)> {
        let mut boundary = None;
        let head = &mut self.head;
        self.scanner.run(buffer, |found| {
            match found {
                Scanned::Head { start, end } => {
                    *head = Some(context_of(buffer.get(start..end).unwrap_or_default()));
                    return true;
                }
                Scanned::Element { end, .. } => boundary = Some((end, head.clone())),
                Scanned::Document { end, .. } | Scanned::End { end } => {
                    *head = None;
                    boundary = Some((end, None));
                }
                Scanned::Text { start, end } => {
                    // What follows the first line of a log is of its pod.
                    let line = buffer.get(start..end).unwrap_or_default();
                    match Frame::parse(line) {
                        Some(Frame::Start(..)) => *head = Some(Arc::from(line)),
                        Some(Frame::End) => *head = None,
                        None => {}
                    }
                    boundary = Some((end, head.clone()));
                }
            }
            !first
        });
        boundary
    }

    fn shift(&mut self, by: usize) {
        self.scanner.position = self.scanner.position.saturating_sub(by);
        self.scanner.document = self.scanner.document.saturating_sub(by);
        self.scanner.element = self.scanner.element.saturating_sub(by);
    }
}

impl Framer for JsonFramer {
    fn cut(&mut self, buffer: &[u8], at_end: bool) -> usize {
        let boundary = self.boundary(buffer, false);
        if at_end {
            return buffer.len();
        }
        match boundary {
            Some((at, context)) => {
                self.context = context;
                self.shift(at);
                at
            }
            None => 0,
        }
    }

    fn resume(&mut self, buffer: &[u8]) -> Option<usize> {
        // What came before is gone, and the record that it belongs to.
        self.scanner.position = 0;
        self.scanner.document = 0;
        self.scanner.element = 0;
        let (at, context) = self.boundary(buffer, true)?;
        self.context = context;
        self.shift(at);
        Some(at)
    }

    fn context(&self) -> Option<Arc<[u8]>> {
        self.context.clone()
    }
}

/// The fields of one object, in order: key and value as raw text. Stops at damage.
pub(in crate::formats) struct Fields<'a> {
    json: &'a [u8],
    at: usize,
}

/// Walks the fields of the object that `json` starts with.
pub(in crate::formats) fn fields(json: &[u8]) -> Fields<'_> {
    let open = json.iter().position(|byte| *byte == b'{').map_or(json.len(), |at| at + 1);
    Fields { json, at: open }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let skip = |at: usize, also: &[u8]| -> Option<usize> {
            let rest = self.json.get(at..)?;
            Some(at + rest.iter().position(|byte| !byte.is_ascii_whitespace() && !also.contains(byte))?)
        };
        let key_start = skip(self.at, b",")?;
        if self.json.get(key_start) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(self.json, key_start)?;
        let value_start = skip(key_end, b":")?;
        let key = self.json.get(key_start + 1..key_end - 1)?;
        // A value that is cut (the head of a list ends inside one) is the last, as far as it goes.
        let value_end = value_end(self.json, value_start).unwrap_or(self.json.len());
        self.at = value_end;
        Some((key, self.json.get(value_start..value_end)?))
    }
}

/// A string value without its quotes; escapes are left as they are (kinds and versions have none).
pub(in crate::formats) fn plain_string(value: &[u8]) -> Option<&str> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    std::str::from_utf8(inner).ok()
}

/// What an object says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::formats) struct ObjectKind<'a> {
    pub(in crate::formats) kind: Option<&'a str>,
    pub(in crate::formats) version: Option<&'a str>,
}

/// Reads `kind` and `apiVersion`, which kubectl writes first and raw API lists write before the items.
pub(in crate::formats) fn kind(json: &[u8]) -> ObjectKind<'_> {
    let mut message = ObjectKind::default();
    for (key, value) in fields(json) {
        match key {
            b"kind" => message.kind = plain_string(value),
            b"apiVersion" => message.version = plain_string(value),
            _ => continue,
        }
        if message.kind.is_some() && message.version.is_some() {
            break;
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        Scanner::default().run(text.as_bytes(), |event| {
            match event {
                Scanned::Element { start, end }
                | Scanned::Document { start, end }
                | Scanned::Text { start, end } => {
                    found.push(text[start..end].trim().to_owned());
                }
                Scanned::Head { .. } | Scanned::End { .. } => {}
            }
            true
        });
        found
    }

    /// What a scanner finds when it never sees a whole block: byte by byte.
    fn carefully(text: &[u8]) -> Vec<Scanned> {
        let mut scanner = Scanner::default();
        let mut found = Vec::new();
        for end in 0..=text.len() {
            scanner.run(&text[..end], |item| {
                found.push(item);
                true
            });
        }
        found
    }

    proptest::proptest! {
        #[test]
        fn blocks_and_bytes_find_the_same(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "{\"items\":[", "{\"a\":", "\"b\\\"]\\\\\"", "[1,", "]", "}", ",", "\n", "{", "\"",
                "\"a rather long text that reaches from one block into the next one, and on\"", "        ", "x", "\\",
            ]), 0..60),
        ) {
            let text = parts.concat();
            let mut found = Vec::new();
            Scanner::default().run(text.as_bytes(), |item| {
                found.push(item);
                true
            });
            proptest::prop_assert_eq!(found, carefully(text.as_bytes()));
        }
    }

    #[test]
    fn items_of_a_list_are_found_whatever_comes_after_them() {
        let list = r#"{"apiVersion":"v1","items":[{"a":"]}"},{"b":[1,{"c":2}]}],"kind":"List"}"#;
        assert_eq!(elements(list), [r#"{"a":"]}"}"#, r#"{"b":[1,{"c":2}]}"#]);
    }

    #[test]
    fn concatenated_documents_arrays_and_text_are_told_apart() {
        let text = "{\"kind\":\"Pod\"}\n{\"kind\":\"Node\"}\n[{\"x\":1}]\n==== START logs ====\nhello\n{\"kind\":\"Pod\"}";
        assert_eq!(
            elements(text),
            [
                "{\"kind\":\"Pod\"}",
                "{\"kind\":\"Node\"}",
                "{\"x\":1}",
                "==== START logs ====",
                "hello",
                "{\"kind\":\"Pod\"}"
            ]
        );
    }

    #[test]
    fn items_of_a_volume_are_no_list() {
        let pod = r#"{"kind":"Pod","spec":{"volumes":[{"projected":{"sources":[{"configMap":{"items":[{"key":"ca.crt"}]}}]}}]}}"#;
        assert_eq!(elements(pod), [pod]);
    }

    #[test]
    fn null_items_make_a_document() {
        assert_eq!(
            elements("{\"kind\":\"PodList\",\"items\":null}"),
            ["{\"kind\":\"PodList\",\"items\":null}"]
        );
    }

    #[test]
    fn an_unclosed_string_costs_its_line_only() {
        let text = "{\"kind\":\"Po\n{\"kind\":\"Node\"}\n";
        assert_eq!(elements(text), ["{\"kind\":\"Node\"}"]);
    }

    #[test]
    fn cuts_of_any_size_find_the_same_records() {
        let items: Vec<String> = (0..50).map(|n| format!("{{\"n\":{n},\"s\":\"a\\\"]}}\"}}")).collect();
        let text = format!("{{\"kind\":\"PodList\",\"items\":[{}]}}", items.join(", "));
        for step in [1, 7, 64, 1000] {
            let mut framer = JsonFramer::default();
            let (mut start, mut found) = (0, Vec::new());
            let mut end = step.min(text.len());
            loop {
                let context = framer.context();
                let at_end = end == text.len();
                let cut = framer.cut(&text.as_bytes()[start..end], at_end);
                if cut > 0 {
                    let piece = &text[start..start + cut];
                    let mut scanner = context.map_or_else(Scanner::default, |head| Scanner::within(&head));
                    scanner.run(piece.as_bytes(), |event| {
                        if let Scanned::Element { start, end } = event {
                            found.push(piece[start..end].to_owned());
                        }
                        true
                    });
                }
                start += cut;
                if at_end {
                    break;
                }
                end = (end + step).min(text.len());
            }
            assert_eq!(found, items, "step {step}");
        }
    }

    #[test]
    fn a_list_with_an_enormous_head_keeps_its_items() {
        let notes = "x".repeat(CONTEXT_BYTES + 100);
        let text = format!(
            "{{\"kind\":\"PodList\",\"metadata\":{{\"notes\":\"{notes}\"}},\"items\":[{{\"a\":1}},{{\"b\":2}}]}}"
        );
        let mut framer = JsonFramer::default();
        let first = text.find(",{\"b\"").unwrap();
        assert_eq!(framer.cut(&text.as_bytes()[..first + 3], false), first);
        let context = framer.context().unwrap();
        assert_eq!(kind(&context).kind, Some("PodList"));
        let mut found = Vec::new();
        Scanner::within(&context).run(&text.as_bytes()[first..], |event| {
            if let Scanned::Element { start, end } = event {
                found.push(text[first + start..first + end].to_owned());
            }
            true
        });
        assert_eq!(found, ["{\"b\":2}"]);
    }

    #[test]
    fn what_a_spinner_left_is_no_part_of_a_document() {
        for text in
            ["{- Finished ..\n\"id\": 1}", " - Running ..\r \\ Running ..\r{\"id\": 1}", "{\"id\": 1}"]
        {
            let clean = without_spinner(text.as_bytes());
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&clean).unwrap()["id"], 1, "{text}");
        }
        let text = b"{\"state\": \"Running\", \"note\": \"a .. b\"}";
        assert_eq!(*without_spinner(text), *text);
    }

    #[test]
    fn kind_is_read_wherever_it_stands() {
        assert_eq!(kind(br#"{"metadata":{"kind":"no"},"kind":"Pod"}"#).kind, Some("Pod"));
        assert_eq!(kind(br#"{"kind":"PodList","apiVersion":"v1","items":["#).kind, Some("PodList"));
    }
}
