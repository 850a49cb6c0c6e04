//! Text of a bundle, made harmless for each output. HTML is escaped by the template engine.

use std::borrow::Cow;

/// Control and direction characters made visible: a terminal must not act on them, and a reader must not
/// be misled by reordered text.
pub fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut label = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) { label.extend(c.escape_unicode()) } else { label.push(c) }
    }
    Cow::Owned(label)
}

/// Text within a Markdown paragraph or table cell: nothing in it can start a construct.
pub(super) fn markdown(text: &str) -> String {
    let mut label = String::with_capacity(text.len() + 16);
    for c in visible(text).chars() {
        match c {
            '\n' | '\t' => label.push(' '),
            '<' => label.push_str("&lt;"),
            '>' => label.push_str("&gt;"),
            '&' => label.push_str("&amp;"),
            // A mention would ring at somebody's desk.
            '@' => label.push_str("&#64;"),
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
    }

    #[test]
    fn markdown_can_not_be_broken_out_of() {
        assert_eq!(markdown("<script>|`x`\n# @me"), "&lt;script&gt;\\|\\`x\\` \\# &#64;me");
        assert_eq!(code_span("a``b"), "```a``b```");
        assert_eq!(code_span("`<img> [x](y) z"), "`` `<img> [x](y) z ``");
        assert!(code_block("```\nevil", "yaml").starts_with("````yaml\n"));
    }
}
