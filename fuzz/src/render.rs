//! What is shown, whatever a bundle says.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use kubetriage::cluster::Cluster;
use kubetriage::diagnosis::Diagnosis;
use kubetriage::report::{Redacted, redact};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;
use serde_json::de::IoRead;

use crate::{files, folder, is_due, judged, options, outputs};

/// Bytes as a few files, and as a text that stands wherever a bundle's own text can stand: every output is sound.
pub fn render(data: &[u8]) {
    if is_due(data, 0, 2) {
        let folder = folder(&files(data));
        check(&redact(judged(folder.path(), 1).1, None), data, &[]);
    }
    if is_due(data, 1, 2) {
        // Kinds, addresses and times are the program's own: the page shows them as they are, which a text in their place is
        // not made for.
        check(&redact(with_text(&String::from_utf8_lossy(data)), None), data, &["html"]);
    }
}

/// What the terminal's outputs write of their own; no more of them than these, so a bundle's own would be seen.
const STYLES: [&str; 9] = [
    "\u{1b}[0m",
    "\u{1b}[1m",
    "\u{1b}[2m",
    "\u{1b}[31m",
    "\u{1b}[32m",
    "\u{1b}[33m",
    "\u{1b}[34m",
    "\u{1b}[35m",
    "\u{1b}[36m",
];

fn check(result: &Redacted, data: &[u8], may_steer: &[&str]) {
    for (name, text) in outputs(result, data) {
        match name {
            "json" | "sarif" => {
                let mut reader = serde_json::Deserializer::new(IoRead::new(text.as_bytes()));
                let read: Result<serde::de::IgnoredAny, _> = serde::Deserialize::deserialize(&mut reader);
                read.and_then(|_| reader.end()).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            "xml" => well_formed(&text),
            "html" => balanced(&text),
            _ => {}
        }
        // The terminal's own colours.
        let text = STYLES.iter().fold(text, |text, style| text.replace(style, ""));
        let steers =
            |c: &char| c.is_control() && !matches!(c, '\n' | '\t') || ('\u{202a}'..='\u{202e}').contains(c);
        let steering = text.char_indices().find(|(_, c)| steers(c));
        // JSON is for programs: their control characters are escaped, and those that turn the text are data.
        if !matches!(name, "json" | "sarif")
            && !may_steer.contains(&name)
            && let Some((at, c)) = steering
        {
            let near: String = text[at..].chars().take(60).collect();
            panic!("{c:?} in {name}: {near:?}");
        }
    }
}

fn well_formed(xml: &str) {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return,
            Ok(Event::Start(tag) | Event::Empty(tag)) => {
                for attribute in tag.attributes() {
                    attribute.unwrap_or_else(|error| panic!("an attribute of XML: {error}"));
                }
            }
            Ok(_) => {}
            Err(error) => panic!("XML: {error} at {}", reader.buffer_position()),
        }
    }
}

/// Every element of a page is closed in its order, and no text opens one that the templates do not have.
fn balanced(html: &str) {
    const VOID: [&str; 9] = ["!doctype", "br", "col", "hr", "img", "input", "link", "meta", "wbr"];
    const CLOSED_BY_THE_NEXT: [&str; 10] =
        ["p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "option"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").expect("a comment that ends").1;
            continue;
        }
        let end =
            rest.find(|c: char| c.is_whitespace() || "/>".contains(c) && !rest.starts_with(c)).unwrap_or(0);
        let (word, after) = rest.split_at(end);
        let mut quote = None;
        let close = after.find(|c: char| match (quote, c) {
            (Some(open), c) if c == open => {
                quote = None;
                false
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                false
            }
            (quote, c) => quote.is_none() && c == '>',
        });
        let close = close.unwrap_or_else(|| panic!("a tag that does not end: {:?}", after.get(..60)));
        let (attributes, next) = after.split_at(close);
        rest = &next[1..];
        if let Some(name) = word.strip_prefix('/') {
            while open.last().is_some_and(|last| *last != name && CLOSED_BY_THE_NEXT.contains(last)) {
                open.pop();
            }
            assert_eq!(open.pop(), Some(name), "closed in the wrong order");
            continue;
        }
        assert!(
            word.trim_start_matches('!').starts_with(|c: char| c.is_ascii_alphabetic()),
            "a stray `<`: {word}"
        );
        if VOID.contains(&word.to_ascii_lowercase().as_str()) || attributes.ends_with('/') {
            continue;
        }
        if ["script", "style"].contains(&word) {
            let end = format!("</{word}>");
            rest = rest.split_once(&end).unwrap_or_else(|| panic!("a {word} that does not end")).1;
            continue;
        }
        open.push(word);
    }
    open.retain(|name| !CLOSED_BY_THE_NEXT.contains(name));
    assert_eq!(open, Vec::<&str>::new(), "not closed");
}

/// A result with findings of many shapes, and the same as data.
static RESULT: LazyLock<(Diagnosis, Value)> = LazyLock::new(|| {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/bundles/contoso-shop");
    let input = kubetriage::bundle::Input::Path(sample);
    let cluster: Cluster = kubetriage::read(&[input], &options(1)).expect("the sample is there");
    let mut diagnosis = Diagnosis::of(&cluster, vec!["contoso-shop".to_owned()], None);
    // One of a kind shows what all of it shows.
    let mut kinds = BTreeSet::new();
    diagnosis.verdicts.retain(|verdict| kinds.insert((verdict.verdict, verdict.chapter)));
    let data = serde_json::to_value(&diagnosis).expect("plain data");
    (diagnosis, data)
});

/// Fields that are read back as what they are, not as any text.
const TYPED: [&str; 18] = [
    "ask_for",
    "chapter",
    "collected",
    "confidence",
    "covers",
    "detector",
    "first_seen",
    "format",
    "lanes",
    "last_seen",
    "layouts",
    "notice",
    "schema",
    "severity",
    "since",
    "state",
    "tool",
    "verdict",
];

/// The sample's result with a text behind every third of its strings.
fn with_text(text: &str) -> Diagnosis {
    fn plant(value: &mut Value, text: &str, count: &mut usize) {
        match value {
            // Times are the program's own, whatever the bundle wrote.
            Value::String(place) if place.parse::<jiff::Timestamp>().is_err() => {
                *count += 1;
                if count.is_multiple_of(3) {
                    place.push_str(text);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| plant(item, text, count)),
            Value::Object(fields) => {
                let of_bundle = fields.iter_mut().filter(|(name, _)| !TYPED.contains(&name.as_str()));
                of_bundle.for_each(|(_, item)| plant(item, text, count));
            }
            _ => {}
        }
    }
    let (original, data) = &*RESULT;
    let mut data = data.clone();
    // A page says the same thing in many places: a short text shows what a long one shows.
    let text: String = text.chars().take(300).collect();
    plant(&mut data, &text, &mut 0);
    let mut diagnosis: Diagnosis = serde_json::from_value(data).expect("its own shape");
    diagnosis.keep_own_words(original);
    for (finding, from) in diagnosis.findings.iter_mut().zip(&original.findings) {
        (finding.detector, finding.unit) = (from.detector, from.unit);
    }
    diagnosis
}
