//! Words and what stands for them, found in whatever form they stand: in capitals, percent-encoded, as a slug.

use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use super::secrets::MASK;

/// Shortest word that is looked for: shorter ones stand within others.
const SHORTEST: usize = 2;

/// How a string is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TextRole {
    /// A sentence, a quotation, a name.
    Text,
    /// To paste: what was replaced stands in angle brackets, so that a shell refuses it.
    Command,
    /// To fill in and apply: in angle brackets as well, in quotes or not.
    Manifest,
    /// An id of a finding: detector, dot, slug of what it is about.
    Id,
}

/// What to replace by what.
#[derive(Default)]
pub(super) struct Vocabulary {
    words: Vec<(String, String)>,
    finder: Option<AhoCorasick>,
}

/// The forms in which a word may stand, itself first. Letters of either case are found anyway.
fn forms(word: &str) -> BTreeSet<String> {
    let dashed = |keep_double: bool| {
        let mut out = String::with_capacity(word.len());
        for c in word.chars() {
            let c = if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
            if c != '-' || keep_double || !out.ends_with('-') {
                out.push(c);
            }
        }
        out.trim_matches('-').to_owned()
    };
    let encoded: String = word
        .bytes()
        .map(|byte| {
            let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        })
        .collect();
    let escaped: String =
        word.chars().map(|c| if c == '@' { "\\u0040".to_owned() } else { c.to_string() }).collect();
    // As it stands within single quotes of a shell.
    let quoted = word.replace('\'', "'\\''");
    // A GUID may stand without its dashes.
    let bare = if is_guid(word) { word.replace('-', "") } else { String::new() };
    [word.to_owned(), dashed(true), dashed(false), encoded, escaped, quoted, bare]
        .into_iter()
        .filter(|form| form.chars().count() >= SHORTEST)
        .collect()
}

fn is_guid(word: &str) -> bool {
    word.len() == 36
        && word.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// A text with what replaces parts of it, as it is put together.
pub(super) struct Rewriting<'a> {
    text: &'a str,
    role: TextRole,
    out: String,
    at: usize,
    /// The quote of the shell that is open at `at`, and whether a comment has begun.
    quote: Option<char>,
    comment: bool,
}

impl<'a> Rewriting<'a> {
    pub(super) fn of(text: &'a str, role: TextRole) -> Self {
        Self { text, role, out: String::new(), at: 0, quote: None, comment: false }
    }

    /// Puts something in the place of a part, which is behind those before. In a command it stands outside of quotes,
    /// where a shell takes `<` for a file to read and refuses: quotes end before it and begin again behind it.
    pub(super) fn put(&mut self, part: Range<usize>, replacement: &str) {
        let kept = self.text.get(self.at..part.start).unwrap_or_default();
        self.at = part.end;
        match self.role {
            TextRole::Command => {
                self.follow(kept);
                self.out.push_str(kept);
                let quote = self.quote.filter(|_| !self.comment).map(String::from).unwrap_or_default();
                self.out.push_str(&format!("{quote}<{replacement}>{quote}"));
            }
            TextRole::Manifest => self.out.push_str(&format!("{kept}<{replacement}>")),
            TextRole::Text | TextRole::Id => {
                self.out.push_str(kept);
                self.out.push_str(replacement);
            }
        }
    }

    /// Which quote is open behind a part of a command.
    fn follow(&mut self, part: &str) {
        let mut before = self.out.chars().next_back();
        let mut escaped = false;
        for c in part.chars() {
            match c {
                '\n' => (self.comment, escaped) = (false, false),
                _ if self.comment => {}
                _ if escaped => escaped = false,
                '\\' if self.quote != Some('\'') => escaped = true,
                '#' if self.quote.is_none() && before.is_none_or(char::is_whitespace) => self.comment = true,
                '\'' | '"' if self.quote == Some(c) => self.quote = None,
                '\'' | '"' if self.quote.is_none() => self.quote = Some(c),
                _ => {}
            }
            before = Some(c);
        }
    }

    /// The text, when something was put into it.
    pub(super) fn finish(mut self) -> Option<String> {
        self.out.push_str(self.text.get(self.at..).unwrap_or_default());
        (self.at > 0).then_some(self.out)
    }
}

impl Vocabulary {
    /// Of words and what stands for each; of two with a form in common, the first has it.
    pub(super) fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut seen = BTreeSet::new();
        let mut words = Vec::new();
        for (word, replacement) in pairs {
            for form in forms(&word) {
                if seen.insert(form.to_ascii_lowercase()) {
                    words.push((form, replacement.clone()));
                }
            }
        }
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .ascii_case_insensitive(true)
            .build(words.iter().map(|(word, _)| word.as_str()))
            .ok()
            .filter(|_| !words.is_empty());
        Self { words, finder }
    }

    /// Of secrets, all of which become the mask.
    pub(super) fn of_secrets(secrets: &BTreeSet<String>) -> Self {
        // A short one is masked where its field's name tells it, and nowhere else: it may be an ordinary word.
        let long = secrets.iter().filter(|secret| secret.len() >= 12);
        Self::new(long.map(|secret| (secret.clone(), MASK.to_owned())))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.finder.is_none()
    }

    /// Replaces the words of a text that stand there whole.
    pub(super) fn replace(&self, text: &mut String, role: TextRole) {
        let Some(finder) = &self.finder else { return };
        let bytes = text.as_bytes();
        let letter =
            |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        let mut rewriting = Rewriting::of(text, role);
        for found in finder.find_iter(text.as_str()) {
            // `node-1` is no part of `node-10`; an underscore or a dash parts words in file names.
            if letter(found.start().checked_sub(1)) || letter(Some(found.end())) {
                continue;
            }
            let Some((_, replacement)) = self.words.get(found.pattern().as_usize()) else { continue };
            rewriting.put(found.range(), replacement);
        }
        if let Some(rewritten) = rewriting.finish() {
            *text = rewritten;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_capitals_encoded_and_as_a_slug() {
        let vocabulary = Vocabulary::new([("Ada.L@contoso.example".to_owned(), "user-1".to_owned())]);
        for text in [
            "ADA.L@CONTOSO.EXAMPLE",
            "ada-l-contoso-example",
            "Ada.L%40contoso.example",
            "ada.l\\u0040contoso.example",
        ] {
            let mut replaced = format!("by {text}-granted");
            vocabulary.replace(&mut replaced, TextRole::Text);
            assert_eq!(replaced, "by user-1-granted");
        }
        let mut longer = "xada-l-contoso-example and ada-l-contoso-example9".to_owned();
        vocabulary.replace(&mut longer, TextRole::Text);
        assert!(longer.starts_with("xada") && longer.ends_with("example9"), "{longer}");
    }

    #[test]
    fn in_a_command_a_shell_refuses_what_was_replaced() {
        let vocabulary = Vocabulary::new([("aks-np1-vmss000000".to_owned(), "node-1".to_owned())]);
        let mut command = "kubectl cordon aks-np1-vmss000000".to_owned();
        vocabulary.replace(&mut command, TextRole::Command);
        assert_eq!(command, "kubectl cordon <node-1>");
    }

    #[test]
    fn within_quotes_of_a_command_the_quotes_end_before_what_was_replaced() {
        let vocabulary = Vocabulary::new([("cart".to_owned(), "workload-1".to_owned())]);
        for (command, expected) in [
            (
                r#"-p '{"name":"cart","to":"cart"}'"#,
                r#"-p '{"name":"'<workload-1>'","to":"'<workload-1>'"}'"#,
            ),
            (r#"query "[?name=='cart']" cart"#, r#"query "[?name=='"<workload-1>"']" <workload-1>"#),
            (r"sh -c 'a'\''cart' # it's cart", r"sh -c 'a'\'''<workload-1>'' # it's <workload-1>"),
            (r"echo it\'s cart", r"echo it\'s <workload-1>"),
        ] {
            let mut replaced = command.to_owned();
            vocabulary.replace(&mut replaced, TextRole::Command);
            assert_eq!(replaced, expected);
        }
        let mut manifest = "name: \"cart\"".to_owned();
        vocabulary.replace(&mut manifest, TextRole::Manifest);
        assert_eq!(manifest, "name: \"<workload-1>\"");
    }
}
