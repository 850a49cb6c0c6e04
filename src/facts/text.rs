//! Short strings of objects, each kept once.
//!
//! A cluster has 50,000 pods and a few hundred different label keys, reasons, namespaces and node names:
//! shared, they cost nothing.

use std::borrow::{Borrow, Cow};
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use arcstr::ArcStr;
use foldhash::quality::RandomState;
use serde::{Deserialize, Deserializer};

/// A noun in the number that a count needs: `request`, `requests`, `addresses`, `identities`.
pub fn plural(count: u64, noun: &str) -> String {
    match noun {
        _ if count == 1 => noun.to_owned(),
        _ if noun.ends_with('s') => format!("{noun}es"),
        _ => match noun.strip_suffix("ty") {
            Some(stem) => format!("{stem}ties"),
            None => format!("{noun}s"),
        },
    }
}

/// `1 request`, `12 requests`.
pub fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {}", plural(count, noun))
}

/// The beginning of a text as far as it fits into so many characters, on one line.
pub fn beginning(text: &str, most: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text,
    }
}

/// With a capital letter.
pub fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Letters, digits and hyphens: safe as an anchor, a file name and an object name.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().take(120) {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// Quotes a word for a shell when it needs it: names come from the bundle.
pub fn shell(word: &str) -> String {
    // A word that begins with a dash would be taken for an option, quoted or not.
    if word.starts_with('-') {
        return "NAME_BEGINS_WITH_A_DASH".to_owned();
    }
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        word.to_owned()
    } else {
        let visible: String = word.chars().filter(|c| !c.is_control()).collect();
        format!("'{}'", visible.replace('\'', "'\\''"))
    }
}

/// Bytes as text, what is no UTF-8 replaced: `String::from_utf8_lossy`, which takes long over text that is valid.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// How many strings a thread remembers; past that it forgets all and begins anew.
const REMEMBERED: usize = 20_000;
/// Longer strings (messages) seldom repeat.
const SHARED_BYTES: usize = 80;

thread_local! {
    static SEEN: RefCell<HashSet<ArcStr, RandomState>> = RefCell::new(HashSet::with_hasher(RandomState::default()));
}

/// An immutable string that is shared with its equals of the same thread.
#[derive(Clone, Eq)]
pub struct Text(ArcStr);

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (*self.0).hash(state);
    }
}

// Most comparisons are of a string with itself.
impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        ArcStr::ptr_eq(&self.0, &other.0) || *self.0 == *other.0
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if ArcStr::ptr_eq(&self.0, &other.0) { std::cmp::Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl Text {
    fn shared(text: &str) -> Self {
        if text.is_empty() {
            return Self::default();
        }
        if text.len() > SHARED_BYTES {
            return Self(ArcStr::from(text));
        }
        SEEN.with_borrow_mut(|seen| {
            if let Some(known) = seen.get(text) {
                return Self(known.clone());
            }
            if seen.len() >= REMEMBERED {
                seen.clear();
            }
            let new = ArcStr::from(text);
            seen.insert(new.clone());
            Self(new)
        })
    }
}

impl Default for Text {
    fn default() -> Self {
        Self(ArcStr::new())
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::shared(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::shared(&text)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl serde::de::Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text::shared(text))
            }
        }

        from.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_can_not_leave_its_quotes() {
        assert_eq!(shell("system:serviceaccount:shop:cart"), "system:serviceaccount:shop:cart");
        assert_eq!(shell("a'; rm -rf /; '"), r"'a'\''; rm -rf /; '\'''");
        assert_eq!(shell("a\nb"), "'ab'");
    }

    #[test]
    fn equal_strings_are_one() {
        let (a, b) = (Text::from("kube-system"), Text::from("kube-system".to_owned()));
        assert!(ArcStr::ptr_eq(&a.0, &b.0));
    }
}
