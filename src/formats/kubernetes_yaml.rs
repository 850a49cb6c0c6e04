//! Kubernetes objects as YAML: single objects, several documents with `---`, and lists (`items:`) as
//! kubectl, must-gather and `cluster-info dump -o yaml` write them.
//!
//! A list is cut at its items, so it is never held. kubectl sorts keys: `kind` of a `PodList` comes
//! after the items, which then have none and are known by their shape.

use std::sync::Arc;

use super::kubernetes_json::by_shape;
use super::shared::conditions;
use super::shared::events::Event;
use super::{Head, InputFormat, Piece};
use crate::bundle::Framer;
use crate::facts::{Facts, Objects, Origin, Pod, kind_of_group};

pub(super) struct KubernetesYaml;
pub(super) const FORMAT: KubernetesYaml = KubernetesYaml;

impl InputFormat for KubernetesYaml {
    fn name(&self) -> &'static str {
        "kubernetes-yaml"
    }

    fn about(&self) -> &'static str {
        "Kubernetes objects as YAML: single objects, several documents, lists"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        // A bare list of objects (Replicated's custom resources).
        let first = head.bytes.trim_ascii_start();
        if first.starts_with(b"- apiVersion: ") || first.starts_with(b"- kind: ") {
            return 88;
        }
        // Comments and the document mark may stand first.
        let mut keys = Vec::new();
        for line in head.bytes.split(|byte| *byte == b'\n').take(4000) {
            match line.first() {
                None | Some(b' ' | b'#' | b'-' | b'\r') => {}
                Some(_) => match key(line) {
                    Some(key) => keys.push(key),
                    // Prose at the margin.
                    None => return 0,
                },
            }
        }
        let has = |name: &str| keys.contains(&name.as_bytes());
        if has("apiVersion") && (has("kind") || has("items")) {
            88
        } else if has("kind") && has("metadata") {
            80
        } else {
            0
        }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::<YamlFramer>::default()
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let mut reader = YamlReader { piece, facts, records: 0 };
        let mut splitter = Splitter::within(piece.context);
        splitter.run(piece.bytes, true, |part| reader.part(part));
        reader.records
    }
}

/// The key of a line `key: value` or `key:`.
fn key(line: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memchr(b':', line)?;
    let (name, rest) = line.split_at(colon);
    let plain =
        name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/'));
    let ends = matches!(rest.get(1), None | Some(b' ' | b'\r'));
    (plain && ends && !name.is_empty()).then_some(name)
}

/// What the splitter found, as ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum YamlPart {
    /// One item, its dash included; `indent` is where the dash stands.
    Item { start: usize, end: usize, line: u64, indent: usize },
    /// A document that is no list.
    Document { start: usize, end: usize, line: u64 },
}

/// Finds items and documents by their first columns, line by line.
#[derive(Debug, Default)]
struct Splitter {
    /// Column of the dashes, once within the items of a list.
    items: Option<usize>,
    /// `items:` was the last line at the margin.
    opened: bool,
}

impl Splitter {
    /// Continues where the framer cut: the context is the column of the dashes.
    fn within(context: Option<&[u8]>) -> Self {
        Self { items: context.map(<[u8]>::len), opened: false }
    }

    /// Splits a text; `last` gives out what is open at the end, too. Gives the end of the last whole part.
    fn run(&mut self, text: &[u8], last: bool, mut on: impl FnMut(YamlPart)) -> usize {
        let (mut start, mut start_line) = (0, 0);
        let (mut at, mut number) = (0, 0);
        let mut done = 0;
        // A list may be the whole document, without a key before it.
        let bare = self.items.is_none() && !self.opened && text.trim_ascii_start().starts_with(b"- ");
        let mut state = (self.items, self.opened || bare);
        let mut give = |items: Option<usize>, start: usize, end: usize, line: u64| {
            // A piece may begin with the dash or the key that ends what came before it.
            if text.get(start..end).unwrap_or_default().trim_ascii().is_empty() {
                return;
            }
            match items {
                Some(indent) => on(YamlPart::Item { start, end, line, indent }),
                None => on(YamlPart::Document { start, end, line }),
            }
        };
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if !line.ends_with(b"\n") && !last {
                break;
            }
            let indent = line.iter().take_while(|byte| **byte == b' ').count();
            let rest = line.get(indent..).unwrap_or_default().trim_ascii_end();
            let dash = rest == b"-" || rest.starts_with(b"- ");
            if line.starts_with(b"---") {
                give(state.0, start, at, start_line);
                state = (None, false);
                (start, start_line, done) = (at + line.len(), number + 1, at + line.len());
            } else if state.1 && dash {
                // The first item tells the column of all.
                state = (Some(indent), false);
                (start, start_line) = (at, number);
            } else if state.0.is_some_and(|column| dash && column == indent) {
                give(state.0, start, at, start_line);
                (start, start_line, done) = (at, number, at);
            } else if state.0.is_some() && indent == 0 && !rest.is_empty() && !rest.starts_with(b"#") {
                // A key at the margin ends the list: `kind: List`, `metadata:`.
                give(state.0, start, at, start_line);
                state = (None, false);
                (start, start_line, done) = (at, number, at);
            } else if state.0.is_none() && rest == b"items:" && indent == 0 {
                state.1 = true;
            } else if indent == 0 && !rest.is_empty() && !dash {
                state.1 = false;
            }
            at += line.len();
            number += 1;
            (self.items, self.opened) = state;
        }
        if last {
            give(state.0, start, at, start_line);
            done = at;
        }
        done
    }
}

/// Cuts between items and documents.
#[derive(Debug, Default)]
struct YamlFramer {
    context: Option<Arc<[u8]>>,
}

impl YamlFramer {
    fn boundaries(&self, buffer: &[u8]) -> Vec<(usize, Option<usize>)> {
        let mut splitter = Splitter::within(self.context.as_deref());
        let mut found = Vec::new();
        splitter.run(buffer, false, |part| match part {
            YamlPart::Item { end, indent, .. } => found.push((end, Some(indent))),
            YamlPart::Document { end, .. } => found.push((end, None)),
        });
        // After the last item comes the rest of the document, not another item.
        let still_within = splitter.items;
        if let Some((_, column @ Some(_))) = found.last_mut() {
            *column = still_within;
        }
        found
    }

    fn settle(&mut self, column: Option<usize>) {
        self.context = column.map(|column| Arc::from(vec![b' '; column]));
    }
}

impl Framer for YamlFramer {
    fn cut(&mut self, buffer: &[u8], at_end: bool) -> usize {
        if at_end {
            return buffer.len();
        }
        let Some((end, column)) = self.boundaries(buffer).last().copied() else { return 0 };
        self.settle(column);
        end
    }

    fn resume(&mut self, buffer: &[u8]) -> Option<usize> {
        // Within an object that was too long: its next sibling or document.
        let (end, column) = self.boundaries(buffer).first().copied()?;
        self.settle(column);
        Some(end)
    }

    fn context(&self) -> Option<Arc<[u8]>> {
        self.context.clone()
    }
}

struct YamlReader<'a, 'p> {
    piece: &'a Piece<'p>,
    facts: &'a mut Facts,
    records: u64,
}

impl YamlReader<'_, '_> {
    fn part(&mut self, part: YamlPart) {
        let text = |start: usize, end: usize| {
            String::from_utf8_lossy(self.piece.bytes.get(start..end).unwrap_or_default()).into_owned()
        };
        match part {
            YamlPart::Item { start, end, line, indent } => {
                let item = dedented(&text(start, end), indent + 2);
                self.object(&item, line, true);
            }
            YamlPart::Document { start, end, line } => {
                let document = text(start, end);
                self.document(&document, line);
            }
        }
    }

    fn document(&mut self, document: &str, line: u64) {
        let kind = field(document, "kind");
        let list = kind.and_then(|kind| kind.strip_suffix("List"));
        match (list, field(document, "items")) {
            // A list without items, or what follows the items of one.
            (Some(kind), _) => {
                if !kind.is_empty() {
                    let kind = kind_of_group(kind, field(document, "apiVersion"));
                    self.facts.listed(&kind, self.piece.source, self.piece.first_line + line);
                }
                self.records += 1;
            }
            (None, Some("[]" | "null" | "")) => self.records += 1,
            // The head of a list, up to its items.
            (None, None) if kind.is_none() && field(document, "metadata").is_none() => {}
            _ => self.object(document, line, false),
        }
    }

    fn object(&mut self, yaml: &str, line: u64, of_list: bool) {
        let line = self.piece.first_line + line;
        self.records += 1;
        // `- {apiVersion: v1, kind: Pod, …}`
        let flow = yaml
            .trim_start()
            .starts_with('{')
            .then(|| serde_saphyr::from_str::<serde_json::Value>(yaml).ok());
        let flow = flow.flatten();
        let value = |name: &str| match &flow {
            Some(object) => object.get(name).and_then(serde_json::Value::as_str),
            None => field(yaml, name),
        };
        let known = value("kind").map(|kind| kind_of_group(kind, value("apiVersion")));
        let kind = known.or_else(|| shape(yaml));
        let Some(kind) = kind else {
            self.facts.not_kept("objects that do not tell their kind");
            return;
        };
        self.facts.met(&kind, of_list, self.piece.source, line);
        if kind == "Event" {
            match serde_saphyr::from_str::<Event>(yaml) {
                Ok(event) => event.count(self.piece, line, self.facts),
                Err(_) => self.problem("events that could not be understood"),
            }
            return;
        }
        if !Objects::keeps(&kind) {
            self.facts.not_kept(&kind);
            if yaml.contains("conditions:")
                && let Ok(object) = serde_saphyr::from_str(yaml)
            {
                conditions::note(&kind, &object, self.piece, line, self.facts);
            }
            return;
        }
        if kind == "Pod"
            && yaml.contains("ErrImagePull")
            && let Ok(pod) = serde_saphyr::from_str::<Pod>(yaml)
        {
            conditions::waiting(&pod, self.piece, line, self.facts);
        }
        // The error itself may quote the whole object: it is not shown.
        let origin = Origin::full(yaml.len(), self.piece.source, line, 0);
        if self.facts.objects.parse_yaml(&kind, yaml, &origin).is_err() {
            self.problem(&format!("{kind} objects that could not be understood"));
        }
    }

    fn problem(&mut self, what: &str) {
        self.facts.problem(self.piece.source, what);
    }
}

/// The value of a key at the margin.
fn field<'a>(yaml: &'a str, name: &str) -> Option<&'a str> {
    yaml.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(|value| value.trim().trim_matches('"'))
}

/// The kind of an object that does not tell it, by the fields that only that kind has.
fn shape(yaml: &str) -> Option<String> {
    let value: serde_json::Value = serde_saphyr::from_str(yaml).ok()?;
    by_shape(value.to_string().as_bytes()).map(ToOwned::to_owned)
}

/// An item without its dash and its indentation.
fn dedented(item: &str, columns: usize) -> String {
    let mut text = String::with_capacity(item.len());
    for line in item.split_inclusive('\n') {
        let spaces = line.bytes().take(columns).take_while(|byte| matches!(byte, b' ' | b'-')).count();
        text.push_str(line.get(spaces..).unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "apiVersion: v1\nitems:\n- metadata:\n    name: a\n  spec:\n    args:\n    - x\n- metadata:\n    name: b\nkind: PodList\nmetadata:\n  resourceVersion: \"5\"\n";

    fn parts(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        Splitter::default().run(text.as_bytes(), true, |part| match part {
            YamlPart::Item { start, end, .. } => {
                found.push(format!("item {}", &text[start..end].lines().count()));
            }
            YamlPart::Document { start, .. } => {
                found.push(format!("document {}", text[start..].lines().next().unwrap()));
            }
        });
        found
    }

    #[test]
    fn items_of_a_list_are_found_whatever_their_column() {
        assert_eq!(parts(LIST), ["item 5", "item 2", "document kind: PodList"]);
        let indented = LIST.replace("\n- metadata", "\n  - metadata").replace("\n  spec", "\n    spec");
        assert_eq!(parts(&indented)[0..2], ["item 5", "item 2"]);
    }

    #[test]
    fn documents_are_split_at_their_marks() {
        assert_eq!(parts("---\nkind: A\n---\nkind: B\n"), ["document kind: A", "document kind: B"]);
    }

    #[test]
    fn cuts_of_any_size_find_the_same_items() {
        let items: String =
            (0..40).fold(String::new(), |all, n| all + &format!("- metadata:\n    name: p{n}\n"));
        let text = format!("apiVersion: v1\nitems:\n{items}kind: PodList\n");
        for step in [16, 50, 4000] {
            let mut framer = YamlFramer::default();
            let (mut start, mut end, mut found) = (0, step.min(text.len()), 0);
            loop {
                let context = framer.context();
                let at_end = end == text.len();
                let cut = framer.cut(&text.as_bytes()[start..end], at_end);
                let mut splitter = Splitter::within(context.as_deref());
                splitter.run(&text.as_bytes()[start..start + cut], true, |part| {
                    found += u32::from(matches!(part, YamlPart::Item { .. }));
                });
                start += cut;
                if at_end {
                    break;
                }
                end = (end + step).min(text.len());
            }
            assert_eq!(found, 40, "step {step}");
        }
    }

    #[test]
    fn an_item_is_taken_out_of_its_list() {
        assert_eq!(dedented("- metadata:\n    name: a\n  spec: {}\n", 2), "metadata:\n  name: a\nspec: {}\n");
    }
}
