//! JSON for serde, where few of the fields are asked for: the others are passed over as fast as brackets are found.
//!
//! `serde_json` checks every byte of what it passes over, and reads blanks one by one: half of what `kubectl -o json`
//! writes are blanks, and most of the rest is of no use here. What is read means the same as there; what is passed over
//! is only balanced. A character that is half of a pair becomes U+FFFD instead of costing the object.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::{blocks, brackets};

/// Deepest nesting that is read: `serde_json`'s own limit. What is passed over may be deeper.
const DEPTH: u8 = 127;

/// Why a text is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// No JSON.
    Syntax,
    /// It ends too soon.
    Eof,
    /// JSON, and not of the shape.
    Data(String),
}

impl Error {
    /// In one word, as `serde_json` classifies its own.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Syntax => "Syntax",
            Self::Eof => "Eof",
            Self::Data(_) => "Data",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => out.write_str("no JSON"),
            Self::Eof => out.write_str("ends too soon"),
            Self::Data(why) => out.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self::Data(why.to_string())
    }
}

type Result<T> = std::result::Result<T, Error>;

/// Reads a value that stands at the start of a text; what follows it is not looked at.
pub fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T> {
    T::deserialize(&mut JsonReader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        left: DEPTH,
        unescaped: String::new(),
    })
}

/// A text, and how far it is read.
struct JsonReader<'de> {
    text: &'de str,
    bytes: &'de [u8],
    at: usize,
    /// How much deeper the nesting may go.
    left: u8,
    /// The last string that had escapes.
    unescaped: String,
}

/// A string as it stands, or without its escapes in the reader.
enum JsonText<'de> {
    Plain(&'de str),
    Unescaped,
}

impl<'de> JsonReader<'de> {
    /// The next byte that is no blank.
    #[inline]
    fn next(&mut self) -> Result<u8> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte > b' ' => Ok(*byte),
            _ => self.after_blanks(),
        }
    }

    fn after_blanks(&mut self) -> Result<u8> {
        loop {
            let byte = *self.bytes.get(self.at).ok_or(Error::Eof)?;
            match byte {
                b'\n' => self.at += 1 + indentation(self.bytes.get(self.at + 1..).unwrap_or_default()),
                b' ' | b'\t' | b'\r' => self.at += 1,
                _ => return Ok(byte),
            }
        }
    }

    fn word(&mut self, word: &str) -> Result<()> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(if word.as_bytes().starts_with(rest) { Error::Eof } else { Error::Syntax });
        }
        self.at += word.len();
        Ok(())
    }

    /// The string whose quote is next.
    fn string(&mut self) -> Result<JsonText<'de>> {
        let start = self.at + 1;
        let end = start + plain_length(self.bytes.get(start..).unwrap_or_default());
        match self.bytes.get(end) {
            Some(b'"') => {
                self.at = end + 1;
                // Both ends are quotes, so no character is cut.
                self.text.get(start..end).map(JsonText::Plain).ok_or(Error::Syntax)
            }
            Some(b'\\') => self.unescape(start, end).map(|()| JsonText::Unescaped),
            Some(_) => Err(Error::Syntax),
            None => Err(Error::Eof),
        }
    }

    /// The string that begins at `start` and has its first escape at `escape`.
    fn unescape(&mut self, start: usize, mut escape: usize) -> Result<()> {
        self.unescaped.clear();
        let mut plain = start;
        loop {
            self.unescaped.push_str(self.text.get(plain..escape).ok_or(Error::Syntax)?);
            match self.bytes.get(escape) {
                Some(b'"') => {
                    self.at = escape + 1;
                    return Ok(());
                }
                Some(b'\\') => {}
                Some(_) => return Err(Error::Syntax),
                None => return Err(Error::Eof),
            }
            let (what, length) = self.escaped(escape)?;
            self.unescaped.push(what);
            plain = escape + length;
            escape = plain + plain_length(self.bytes.get(plain..).unwrap_or_default());
        }
    }

    /// The character of an escape, and its length.
    fn escaped(&self, at: usize) -> Result<(char, usize)> {
        let plain = match self.bytes.get(at + 1).ok_or(Error::Eof)? {
            byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.unit(at + 2)?;
                if let Some(item) = char::from_u32(high) {
                    return Ok((item, 6));
                }
                let low = self.bytes.get(at + 6..at + 8).filter(|next| *next == b"\\u");
                let pair = low.and_then(|_| {
                    let low = self.unit(at + 8).ok().filter(|low| (0xdc00..0xe000).contains(low))?;
                    char::from_u32(0x1_0000 + (high.checked_sub(0xd800)? << 10) + (low - 0xdc00))
                });
                return Ok(pair.map_or((char::REPLACEMENT_CHARACTER, 6), |pair| (pair, 12)));
            }
            _ => return Err(Error::Syntax),
        };
        Ok((plain, 2))
    }

    /// Four hexadecimal digits.
    fn unit(&self, at: usize) -> Result<u32> {
        let digits = self.text.get(at..at + 4).ok_or(Error::Eof)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::Syntax);
        }
        u32::from_str_radix(digits, 16).map_err(|_| Error::Syntax)
    }

    fn visit_string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        match self.string()? {
            JsonText::Plain(text) => visitor.visit_borrowed_str(text),
            JsonText::Unescaped => visitor.visit_str(&self.unescaped),
        }
    }

    fn visit_number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        let digits = self.text.get(self.at..self.at + length).ok_or(Error::Syntax)?;
        self.at += length;
        // `+1`, `.5` and `01` are no numbers of JSON.
        let unsigned = digits.strip_prefix('-').unwrap_or(digits);
        let first = unsigned.as_bytes().first();
        let zeros = unsigned.len() > 1
            && first == Some(&b'0')
            && unsigned.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        if zeros || !first.is_some_and(u8::is_ascii_digit) {
            return Err(Error::Syntax);
        }
        if digits == "-0" {
            return visitor.visit_f64(-0.0);
        }
        if let Ok(number) = digits.parse::<u64>() {
            return visitor.visit_u64(number);
        }
        if let Ok(number) = digits.parse::<i64>() {
            return visitor.visit_i64(number);
        }
        let fraction = digits.split_once('.').map(|(_, fraction)| fraction.as_bytes().first());
        let number: f64 = digits.parse().map_err(|_| Error::Syntax)?;
        if !number.is_finite() || fraction.is_some_and(|first| !first.is_some_and(u8::is_ascii_digit)) {
            return Err(Error::Syntax);
        }
        visitor.visit_f64(number)
    }

    /// Goes into an object or a list and reads it to its end.
    fn within<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.left = self.left.checked_sub(1).ok_or(Error::Syntax)?;
        self.at += 1;
        let value = read(self)?;
        self.left += 1;
        Ok(value)
    }

    /// Whether another member follows in what `close` ends; passes over the comma or the end.
    fn more(&mut self, first: &mut bool, close: u8) -> Result<bool> {
        let byte = self.next()?;
        if byte == close {
            self.at += 1;
            return Ok(false);
        }
        if !std::mem::take(first) {
            if byte != b',' {
                return Err(Error::Syntax);
            }
            self.at += 1;
            if self.next()? == close {
                return Err(Error::Syntax);
            }
        }
        Ok(true)
    }
}

impl<'de> Deserializer<'de> for &mut JsonReader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.next()? {
            b'"' => self.visit_string(visitor),
            b'{' => self.within(|reader| {
                let mut members = Members { reader, first: true, ended: false };
                let value = visitor.visit_map(&mut members)?;
                if members.ended {
                    Ok(value)
                } else {
                    Err(de::Error::custom("more fields than were expected"))
                }
            }),
            b'[' => self.within(|reader| {
                let mut members = Members { reader, first: true, ended: false };
                let value = visitor.visit_seq(&mut members)?;
                if members.ended || !members.reader.more(&mut members.first, b']')? {
                    Ok(value)
                } else {
                    Err(de::Error::custom("more elements than were expected"))
                }
            }),
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            b'-' | b'0'..=b'9' => self.visit_number(visitor),
            _ => Err(Error::Syntax),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.next()? == b'n' {
            return self.word("null").and_then(|()| visitor.visit_none());
        }
        visitor.visit_some(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.next()?;
        self.at = value_end(self.bytes, self.at).ok_or(Error::Eof)?;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        if self.next()? != b'"' {
            return Err(de::Error::custom("a word was expected"));
        }
        let word = match self.string()? {
            JsonText::Plain(text) => text,
            JsonText::Unescaped => &self.unescaped,
        };
        let word: StrDeserializer<'_, Error> = word.into_deserializer();
        visitor.visit_enum(word)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

/// The members of an object or a list.
struct Members<'a, 'de> {
    reader: &'a mut JsonReader<'de>,
    first: bool,
    ended: bool,
}

impl<'de> MapAccess<'de> for &mut Members<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if self.ended || !self.reader.more(&mut self.first, b'}')? {
            self.ended = true;
            return Ok(None);
        }
        if self.reader.next()? != b'"' {
            return Err(Error::Syntax);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        if self.reader.next()? != b':' {
            return Err(Error::Syntax);
        }
        self.reader.at += 1;
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de> SeqAccess<'de> for &mut Members<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.ended || !self.reader.more(&mut self.first, b']')? {
            self.ended = true;
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Eight bytes, the first one lowest.
fn eight(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

/// How many spaces a text begins with.
fn indentation(text: &[u8]) -> usize {
    const SPACES: u128 = u128::from_le_bytes([b' '; 16]);
    let mut at = 0;
    while let Some(sixteen) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let others = u128::from_le_bytes(*sixteen) ^ SPACES;
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += 16;
    }
    at + text.get(at..).unwrap_or_default().iter().take_while(|byte| **byte == b' ').count()
}

/// How far a string goes on without an end, an escape or a control character.
fn plain_length(text: &[u8]) -> usize {
    let mut at = 0;
    // Bits of bytes above the lowest that is found may be wrong: only the lowest counts.
    let is = |word: u64, byte: u8| {
        let other = word ^ (LOW * u64::from(byte));
        other.wrapping_sub(LOW) & !other
    };
    while let Some(word) = eight(text, at) {
        let control = word.wrapping_sub(LOW * 0x20) & !word;
        let found = (is(word, b'"') | is(word, b'\\') | control) & HIGH;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count()
}

/// The end of a JSON value that starts at `from`; `None` when it is cut.
pub fn value_end(json: &[u8], from: usize) -> Option<usize> {
    match json.get(from)? {
        b'"' => string_end(json, from),
        b'{' | b'[' => {
            let mut depth = 0_usize;
            let (mut at, mut in_string) = (from, false);
            while let Some(bytes) = json.get(at..).and_then(<[u8]>::first_chunk) {
                let Some(block) = brackets::block(bytes, in_string) else { break };
                for found in blocks::positions(block.brackets) {
                    if matches!(bytes.get(found), Some(b'{' | b'[')) {
                        depth += 1;
                    } else {
                        depth -= 1;
                        if depth == 0 {
                            return Some(at + found + 1);
                        }
                    }
                }
                at += block.length;
                in_string = block.in_string;
            }
            if in_string {
                at = string_end(json, at - 1)?;
            }
            loop {
                match json.get(at)? {
                    b'"' => {
                        at = string_end(json, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
        }
        _ => {
            let rest = json.get(from..)?;
            let length = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b'\n'))?;
            Some(from + length)
        }
    }
}

/// The end of a string whose quote is at `from`; `None` when it is cut.
pub(crate) fn string_end(json: &[u8], from: usize) -> Option<usize> {
    let mut at = from + 1;
    loop {
        let found = memchr::memchr2(b'"', b'\\', json.get(at..)?)?;
        match json.get(at + found)? {
            b'"' => return Some(at + found + 1),
            _ => at += found + 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Shape {
        a: Option<String>,
        b: Vec<i64>,
        c: Option<Box<Shape>>,
        d: bool,
        e: f64,
    }

    fn value() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
            ".{0,40}".prop_map(Value::from),
            "[a-z\"\\\\\n\t{}\\[\\]]{0,80}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 60, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map("[a-e]|.{0,12}", inner, 0..8)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest::proptest! {
        #[test]
        fn all_json_is_read_as_serde_json_reads_it(value in value()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                proptest::prop_assert_eq!(read::<Value>(&text).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
                let (ours, other) = (read::<Shape>(&text), serde_json::from_str::<Shape>(&text));
                proptest::prop_assert_eq!(ours.ok(), other.ok());
            }
        }

        #[test]
        fn damage_is_an_error_and_no_more(value in value(), cut in 0..200_usize, junk in 0..200_usize, byte in "[\"\\\\{}\\[\\],:x0-]") {
            let mut text: String = serde_json::to_string_pretty(&value).unwrap();
            let at = (0..=text.len().min(cut)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let cut = &text[..at];
            let _ = (read::<Value>(cut), read::<Shape>(cut));
            let at = (0..=text.len().min(junk)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.insert_str(at, &byte);
            if let Ok(theirs) = serde_json::from_str::<Value>(&text) {
                proptest::prop_assert_eq!(read::<Value>(&text).unwrap(), theirs);
            }
            let _ = read::<Shape>(&text);
        }
    }

    #[test]
    fn what_is_no_json_is_told_as_what_it_is() {
        for (text, class) in [
            ("", "Eof"),
            ("{\"a\":", "Eof"),
            ("{\"a\": \"x", "Eof"),
            ("{\"a\": \"x\ny\"}", "Syntax"),
            ("{\"a\": \"x\", }", "Syntax"),
            ("{\"b\": [1, 2,]}", "Syntax"),
            ("{\"b\": [01]}", "Syntax"),
            ("{\"e\": 1.}", "Syntax"),
            ("{\"e\": 1.e5}", "Syntax"),
            ("{\"e\": 1e999}", "Syntax"),
            ("{\"b\": [1 2]}", "Syntax"),
            ("{\"d\": nul}", "Syntax"),
            ("{\"a\": 5}", "Data"),
            ("{\"b\": {}}", "Data"),
        ] {
            let error = read::<Shape>(text).map_err(|error| error.class());
            assert_eq!(error, Err(class), "{text}");
        }
    }

    #[test]
    fn nesting_without_end_is_no_overflow() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(read::<Value>(&deep), Err(Error::Syntax));
        let ignored = format!("{{\"x\": {}{}, \"d\": true}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read::<Shape>(&ignored).unwrap().d);
    }

    #[test]
    fn escapes_are_undone_and_half_a_pair_is_replaced() {
        let text = r#"{"a": "\u00e9\n\"\ud83d\ude00 \ud83d x \udc00\/"}"#;
        let read = read::<Shape>(text).unwrap();
        assert_eq!(read.a.as_deref(), Some("é\n\"😀 \u{fffd} x \u{fffd}/"));
    }
}
