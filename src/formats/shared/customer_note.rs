//! What a customer wrote beside the data: a note, an e-mail, the beginning of a ticket.

use crate::facts::text::beginning;

/// Longest text that may be a note, in bytes: what is longer is something else.
const LONGEST: usize = 8 * 1024;
/// Fewest words of a sentence.
const WORDS: usize = 4;
/// Characters that are kept.
const KEPT: usize = 300;

/// Words of somebody who tells what happened to them, in the languages that tickets come in. Programs don't speak so.
const TELLERS: [&str; 34] = [
    "we",
    "we're",
    "our",
    "ours",
    "us",
    "i",
    "my",
    "hello",
    "since",
    "yesterday",
    "nous",
    "notre",
    "nos",
    "depuis",
    "bonjour",
    "je",
    "merci",
    "hier",
    "wir",
    "uns",
    "unser",
    "unsere",
    "seit",
    "hallo",
    "gestern",
    "kunde",
    "nosotros",
    "nuestro",
    "desde",
    "hola",
    "est\u{e1}n",
    "abbiamo",
    "onze",
    "sinds",
];

/// What programs say to those who use them.
const OF_PROGRAMS: [&str; 6] = ["error", "please ", "we trust you", "if you don't see", "warning", "w: "];

/// The first sentences of a note and the line where they begin; nothing when a text is no note.
pub(in crate::formats) fn first_words(text: &[u8]) -> Option<(u64, String)> {
    if text.len() > LONGEST {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let start = lines.iter().position(|line| is_sentence(line))?;
    let paragraph: Vec<&str> =
        lines.iter().skip(start).take_while(|line| !line.is_empty()).copied().collect();
    Some((start as u64 + 1, beginning(&paragraph.join(" "), KEPT)))
}

/// Whether a line is of somebody who tells something: nearly all of it words, one of them of a teller.
fn is_sentence(line: &str) -> bool {
    let line = line.trim_start_matches(['>', '*', '-', '#', ' ']);
    let lower = line.to_lowercase();
    if OF_PROGRAMS.iter().any(|start| lower.starts_with(start)) {
        return false;
    }
    let words: Vec<String> = line
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    let plain =
        |word: &&String| word.chars().all(|c| c.is_alphabetic() || matches!(c, '\'' | '\u{2019}' | '-'));
    let count = words.iter().filter(plain).count();
    words.len() >= WORDS
        && count * 10 >= words.len() * 7
        && words.iter().any(|word| TELLERS.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_customer_writes_is_quoted_from_its_first_sentence() {
        let note = "Ticket 4711\n\nBonjour, depuis ce matin plus aucun pod ne d\u{e9}marre sur un des trois n\u{153}uds.\nMerci\n\n$ kubectl get pods\n";
        let (line, words) = first_words(note.as_bytes()).unwrap();
        assert_eq!(line, 3);
        assert!(words.starts_with("Bonjour, depuis ce matin") && words.ends_with("Merci"), "{words}");
    }

    #[test]
    fn what_programs_print_is_no_note() {
        for text in [
            "No resources found in default namespace.\n",
            "The connection to the server localhost:8080 was refused - did you specify the right host or port?\n",
            "Unable to connect to the server: dial tcp 20.1.2.3:443: i/o timeout\n",
            "NAME READY STATUS RESTARTS AGE\n",
            "error: You must be logged in to the server (the server has asked for the client to provide credentials)\n",
            "Please run 'az login' to setup account.\n",
            "We trust you have received the usual lecture from the local System Administrator.\n",
            "If you don't see a command prompt, please try pressing enter.\n",
        ] {
            assert!(first_words(text.as_bytes()).is_none(), "{text}");
        }
    }
}
