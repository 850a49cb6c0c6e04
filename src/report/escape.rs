//! Text of a bundle, made harmless for each output. HTML is escaped by the template engine.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use crate::bytes::pattern::pattern;

/// Whether a character acts without being seen: a control character, one of direction, one without a width, a variation of
/// the one before it, a tag.
fn is_hidden(c: char) -> bool {
    if matches!(c, '\n' | '\t') {
        return false;
    }
    let marks =
        matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}');
    let spaces = matches!(c, '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
    let fillers = matches!(c, '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}');
    let variations = matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{fff0}'..='\u{fffb}');
    let beyond = matches!(c, '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    c.is_control() || marks || spaces || fillers || variations || beyond
}

/// Characters that are not seen made visible: a terminal must not act on them, and a reader must not be misled by
/// reordered text or by a name that looks like another.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut label = String::with_capacity(text.len() + 16);
    let mut symbol = false;
    for c in text.chars() {
        // The coloured form of a symbol (a check mark, a warning sign) is no disguise.
        if is_hidden(c) && !(symbol && c == '\u{fe0f}') {
            label.extend(c.escape_unicode());
        } else {
            label.push(c);
        }
        symbol = matches!(c, '\u{2139}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}');
    }
    Cow::Owned(label)
}

/// JSON, indented, in which characters that are not seen are escapes: the value is the same, and the text shows it.
pub(super) fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut out = Vec::new();
    let mut writer = Serializer::with_formatter(&mut out, VisibleJson(PrettyFormatter::new()));
    value.serialize(&mut writer)?;
    out.push(b'\n');
    String::from_utf8(out).map_err(serde::ser::Error::custom)
}

/// The usual indented form, but for [`is_hidden`] characters.
struct VisibleJson(PrettyFormatter<'static>);

impl Formatter for VisibleJson {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
            out.write_all(rest.get(..at).unwrap_or_default().as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = rest.get(at + c.len_utf8()..).unwrap_or_default();
        }
        out.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

// What GitHub, GitLab and Azure DevOps make a link or a mention of, wherever it stands.
pattern!(LINKED, r"(?i)[a-z][a-z0-9+.-]*://|\bwww\.|@|\bmailto:|\bjavascript:|\bxmpp:");

/// Text within a Markdown paragraph or table cell: nothing in it can start a construct, and no word of it becomes a link or
/// rings at somebody's desk.
pub(super) fn markdown(text: &str) -> String {
    let text = visible(text);
    if !LINKED.is_match(&text) {
        return escaped_markdown(&text);
    }
    let words = text.split_inclusive([' ', '\n', '\t']).map(|word| {
        let bare = word.trim_end_matches([' ', '\n', '\t']);
        let after = word.get(bare.len()..).unwrap_or_default();
        let safe = if LINKED.is_match(bare) { code_span(bare) } else { escaped_markdown(bare) };
        safe + &after.replace(['\n', '\t'], " ")
    });
    words.collect()
}

fn escaped_markdown(text: &str) -> String {
    let mut label = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\t' => label.push(' '),
            '<' => label.push_str("&lt;"),
            '>' => label.push_str("&gt;"),
            '&' => label.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                label.push('\\');
                label.push(c);
            }
            _ => label.push(c),
        }
    }
    label
}

/// A Markdown code span: the fence is longer than any run of backticks in it.
pub(super) fn code_span(text: &str) -> String {
    let text = visible(text).replace(['\n', '\t'], " ").replace('|', "\u{2502}");
    let fence = "`".repeat(longest_run(&text) + 1);
    if text.is_empty() {
        return String::new();
    }
    // One space keeps a backtick of the text apart from the fence; Markdown drops it.
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A Markdown code block.
pub(super) fn code_block(text: &str, language: &str) -> String {
    let text = visible(text);
    let fence = "`".repeat((longest_run(&text) + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}", text.trim_end())
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_reversed_text_are_shown_not_obeyed() {
        assert_eq!(visible("a\u{1b}[31mred"), "a\\u{1b}[31mred");
        assert_eq!(visible("abc\u{202e}gpj.exe"), "abc\\u{202e}gpj.exe");
        assert_eq!(visible("plain"), "plain");
        assert_eq!(visible("shop\u{34f}"), "shop\\u{34f}");
        assert_eq!(visible("web\u{fe0f} \u{26a0}\u{fe0f}"), "web\\u{fe0f} \u{26a0}\u{fe0f}");
    }

    #[test]
    fn json_shows_what_is_not_seen_and_keeps_its_value() {
        let name = "a\u{202e}b\u{e0041}\u{7f}c\"\n";
        let text = json(&serde_json::json!({ "name": name })).unwrap();
        assert!(text.contains(r"a\u202eb\udb40\udc41\u007fc"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["name"], name);
    }

    #[test]
    fn addresses_in_names_become_no_links() {
        assert_eq!(markdown("see https://evil.example/_x_ now"), "see `https://evil.example/_x_` now");
        assert_eq!(markdown("user ada@contoso.example_"), "user `ada@contoso.example_`");
    }

    #[test]
    fn markdown_can_not_be_broken_out_of() {
        assert_eq!(markdown("<script>|`x`\n# @me"), "&lt;script&gt;\\|\\`x\\` \\# `@me`");
        assert_eq!(code_span("a``b"), "```a``b```");
        assert_eq!(code_span("`<img> [x](y) z"), "`` `<img> [x](y) z ``");
        assert!(code_block("```\nevil", "yaml").starts_with("````yaml\n"));
    }
}
