//! Words and what stands for them, found in whatever form they stand: in capitals, percent-encoded, as a slug.

use std::collections::BTreeSet;

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
    [word.to_owned(), dashed(true), dashed(false), encoded, escaped, quoted]
        .into_iter()
        .filter(|form| form.chars().count() >= SHORTEST)
        .collect()
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

    /// Replaces the words of a text that stand there whole; in a command each in angle brackets.
    pub(super) fn replace(&self, text: &mut String, in_command: bool) {
        let Some(finder) = &self.finder else { return };
        let bytes = text.as_bytes();
        let letter =
            |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        let mut out = String::new();
        let mut at = 0;
        for found in finder.find_iter(text.as_str()) {
            // `node-1` is no part of `node-10`; an underscore or a dash parts words in file names.
            if letter(found.start().checked_sub(1)) || letter(Some(found.end())) {
                continue;
            }
            let Some((_, replacement)) = self.words.get(found.pattern().as_usize()) else { continue };
            out.push_str(text.get(at..found.start()).unwrap_or_default());
            if in_command {
                out.push('<');
                out.push_str(replacement);
                out.push('>');
            } else {
                out.push_str(replacement);
            }
            at = found.end();
        }
        if at > 0 {
            out.push_str(text.get(at..).unwrap_or_default());
            *text = out;
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
            vocabulary.replace(&mut replaced, false);
            assert_eq!(replaced, "by user-1-granted");
        }
        let mut longer = "xada-l-contoso-example and ada-l-contoso-example9".to_owned();
        vocabulary.replace(&mut longer, false);
        assert!(longer.starts_with("xada") && longer.ends_with("example9"), "{longer}");
    }

    #[test]
    fn in_a_command_a_shell_refuses_what_was_replaced() {
        let vocabulary = Vocabulary::new([("aks-np1-vmss000000".to_owned(), "node-1".to_owned())]);
        let mut command = "kubectl cordon aks-np1-vmss000000".to_owned();
        vocabulary.replace(&mut command, true);
        assert_eq!(command, "kubectl cordon <node-1>");
    }
}
