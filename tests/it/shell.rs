//! As much of a shell's grammar as the commands of a report need: words, quotes, pipes, lists, redirections, comments,
//! substitutions, `for … do … done`, here-documents.

/// A simple command: its words, without quotes.
pub(crate) type Simple = Vec<String>;

/// The simple commands of a text, those of substitutions among them; what is wrong when it is no shell.
pub(crate) fn commands(text: &str) -> Result<Vec<Simple>, String> {
    let mut found = Vec::new();
    let mut current: Simple = Vec::new();
    let mut word: Option<String> = None;
    let mut redirected = false;
    let mut here: Option<String> = None;
    let mut chars = text.chars().peekable();
    let end_word = |word: &mut Option<String>, current: &mut Simple, redirected: &mut bool| {
        if let Some(word) = word.take() {
            if std::mem::take(redirected) {
                return;
            }
            current.push(word);
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let quoted: String = take_until(&mut chars, '\'').ok_or("a quote is not closed")?;
                word.get_or_insert_default().push_str(&quoted);
            }
            '"' => {
                let into = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or("a double quote is not closed")? {
                        '"' => break,
                        '\\' => into.extend(chars.next()),
                        '$' if chars.peek() == Some(&'(') => {
                            chars.next();
                            found.extend(commands(&substitution(&mut chars)?)?);
                            into.push_str("SUBSTITUTED");
                        }
                        other => into.push(other),
                    }
                }
            }
            '\\' => match chars.next() {
                Some('\n') | None => {}
                Some(other) => word.get_or_insert_default().push(other),
            },
            '$' if chars.peek() == Some(&'(') => {
                chars.next();
                found.extend(commands(&substitution(&mut chars)?)?);
                word.get_or_insert_default().push_str("SUBSTITUTED");
            }
            '#' if word.is_none() => while chars.next_if(|c| *c != '\n').is_some() {},
            '>' | '<' => {
                // `2>&1`: the number before it is part of the redirection.
                if word.as_ref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
                    word = None;
                }
                end_word(&mut word, &mut current, &mut redirected);
                let heredoc = c == '<' && chars.next_if_eq(&'<').is_some();
                while chars.next_if(|c| ['>', '&', '-', ' '].contains(c)).is_some() {}
                if heredoc {
                    let mark: String = std::iter::from_fn(|| chars.next_if(|c| !c.is_whitespace())).collect();
                    here = Some(mark.trim_matches(['\'', '"']).to_owned());
                } else {
                    redirected = true;
                }
            }
            '|' | ';' | '&' | '\n' | '(' | ')' => {
                end_word(&mut word, &mut current, &mut redirected);
                while chars.next_if_eq(&c).is_some() {}
                if !current.is_empty() {
                    found.push(std::mem::take(&mut current));
                }
                if c == '\n'
                    && let Some(mark) = here.take()
                {
                    let rest: String = chars.by_ref().collect();
                    let (_, after) =
                        rest.split_once(&format!("\n{mark}")).ok_or("a here-document has no end")?;
                    found.extend(commands(after)?);
                    return Ok(found);
                }
            }
            c if c.is_whitespace() => end_word(&mut word, &mut current, &mut redirected),
            other => word.get_or_insert_default().push(other),
        }
    }
    end_word(&mut word, &mut current, &mut redirected);
    if !current.is_empty() {
        found.push(current);
    }
    Ok(found.into_iter().filter_map(without_keywords).collect())
}

fn take_until(chars: &mut impl Iterator<Item = char>, end: char) -> Option<String> {
    let mut taken = String::new();
    for c in chars {
        if c == end {
            return Some(taken);
        }
        taken.push(c);
    }
    None
}

/// What stands between `$(` and its `)`.
fn substitution(chars: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let (mut depth, mut taken, mut quote) = (1, String::new(), None);
    for c in chars {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('(', None) => depth += 1,
            (')', None) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(taken);
        }
        taken.push(c);
    }
    Err("a substitution is not closed".to_owned())
}

/// Without `for x in …`, `do`, `done`, `NAME=value` and `sudo` before it.
fn without_keywords(mut words: Simple) -> Option<Simple> {
    if words.first().is_some_and(|word| word == "for") {
        return None;
    }
    let skipped = |word: &String| {
        ["do", "done", "then", "fi", "if", "while", "sudo", "chroot", "/host", "nsenter"]
            .contains(&word.as_str())
            || word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
            })
    };
    while words.first().is_some_and(skipped) {
        words.remove(0);
    }
    (!words.is_empty()).then_some(words)
}

#[test]
fn pipes_quotes_comments_and_substitutions_are_understood() {
    let of = |text: &str| commands(text).unwrap().iter().map(|words| words.join("·")).collect::<Vec<_>>();
    assert_eq!(of("a 'b c' | d \"e f\" > x.txt   # no command"), ["a·b c", "d·e f"]);
    assert_eq!(of("a $(b -c; d) && NAME=x e 2>/dev/null"), ["b·-c", "d", "a·SUBSTITUTED", "e"]);
    assert_eq!(of("for n in 1 2; do kubectl get pods; done"), ["kubectl·get·pods"]);
    assert!(commands("kubectl get 'pods").is_err());
}
