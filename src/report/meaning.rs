//! A text as its meaning: escapes resolved, and where in the source each byte of it came from.

use std::ops::Range;

/// A text as its meaning, with where each byte of it came from.
pub(super) struct Meaning {
    pub(super) text: String,
    /// Start of each byte's source; one more for the end.
    from: Vec<usize>,
    /// Backslashes before each quote that had any: place of the quote, and how many.
    slashes: Vec<(usize, usize)>,
}

impl Meaning {
    /// Resolves escapes of JSON and of URLs; with `joined`, line breaks and the indentation after them are left out.
    pub(super) fn of(text: &str, joined: bool) -> Self {
        let bytes = text.as_bytes();
        let mut found = Self {
            text: String::with_capacity(text.len()),
            from: Vec::with_capacity(text.len() + 1),
            slashes: Vec::new(),
        };
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let rest = bytes.get(at..).unwrap_or_default();
            let (meant, length) = match byte {
                b'\\' => escaped(rest, joined),
                b'%' => percent(rest),
                b'\n' | b'\r' if joined && goes_on(rest.get(1..).unwrap_or_default()) => {
                    (None, 1 + rest.iter().skip(1).take_while(|byte| byte.is_ascii_whitespace()).count())
                }
                _ => {
                    let c = text.get(at..).and_then(|rest| rest.chars().next());
                    (c, c.map_or(1, char::len_utf8))
                }
            };
            if let Some(c) = meant {
                if c == '"' && *byte == b'\\' {
                    let slashes = rest.iter().take_while(|byte| **byte == b'\\').count();
                    found.slashes.push((found.text.len(), slashes));
                }
                found.from.resize(found.from.len() + c.len_utf8(), at);
                found.text.push(c);
            }
            at += length;
        }
        found.from.push(text.len());
        found
    }

    /// The place in the source of a place in the meaning.
    pub(super) fn source(&self, range: Range<usize>) -> Range<usize> {
        let at = |index: usize| self.from.get(index).copied().unwrap_or(0);
        at(range.start)..at(range.end)
    }

    /// How many backslashes stood before the quote at a place.
    pub(super) fn slashes_at(&self, quote: usize) -> usize {
        let found = self.slashes.binary_search_by_key(&quote, |(at, _)| *at).ok();
        found.and_then(|index| self.slashes.get(index)).map_or(0, |(_, slashes)| *slashes)
    }
}

/// Whether the next line, after its indentation, is of the letters of a token and nothing else.
fn goes_on(rest: &[u8]) -> bool {
    let line = rest.trim_ascii_start();
    let length =
        line.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+/_=.-".contains(byte)).count();
    let ends = matches!(line.get(length), None | Some(b'\n' | b'\r' | b'"' | b'\'' | b'\\'));
    length > 0 && ends
}

/// `\"`, `\\\"`, `\u0022`, `\n`: a line break, and with `joined` nothing where a token goes on.
fn escaped(rest: &[u8], joined: bool) -> (Option<char>, usize) {
    let slashes = rest.iter().take_while(|byte| **byte == b'\\').count();
    match rest.get(slashes) {
        Some(b'"') => (Some('"'), slashes + 1),
        Some(b'/') => (Some('/'), slashes + 1),
        Some(b'n' | b'r') if joined && goes_on(rest.get(slashes + 1..).unwrap_or_default()) => {
            (None, slashes + 1)
        }
        Some(b'n' | b'r') => (Some('\n'), slashes + 1),
        Some(b't') => (Some('\t'), slashes + 1),
        Some(b'u') => {
            let digits =
                rest.get(slashes + 1..slashes + 5).and_then(|digits| std::str::from_utf8(digits).ok());
            let c = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
            match c {
                Some(c) => (Some(c), slashes + 5),
                None => (Some('\\'), slashes),
            }
        }
        _ => (Some('\\'), slashes),
    }
}

fn percent(rest: &[u8]) -> (Option<char>, usize) {
    let digits = rest.get(1..3).and_then(|digits| std::str::from_utf8(digits).ok());
    match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
        Some(byte) if byte.is_ascii() => (Some(char::from(byte)), 3),
        _ => (Some('%'), 1),
    }
}
