//! Values of fields that are named after a secret: `DB_PASSWORD=…`, `"clientSecret": "…"`, `<password>…</password>`.
//!
//! Each place where such a name stands is looked at by itself: what the name says, the sign that follows it, where the
//! value ends, and whether it looks like the secret or like the rest of a sentence.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::meaning::Meaning;
use crate::bytes::pattern::pattern;

/// What a name says of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NamedAfter {
    /// A password, in any language: nearly everything that stands there is one.
    Password,
    /// A token or a key: sentences and names of objects go on behind such words as well.
    Token,
    /// A word of other meanings as well: what stands there must look like a secret.
    Perhaps,
}

use NamedAfter::{Password, Perhaps, Token};

/// Words of names, in small letters. Blanks stand for a blank, a dash, an underscore, a dot or nothing.
const WORDS: [(&str, NamedAfter); 51] = [
    ("password", Password),
    ("pass word", Password),
    ("passwd", Password),
    ("passphrase", Password),
    ("passcode", Password),
    ("pwd", Password),
    ("bindpw", Password),
    ("requirepass", Password),
    ("masterauth", Password),
    ("userpass", Password),
    ("storepass", Password),
    ("keypass", Password),
    ("dbpass", Password),
    ("rootpass", Password),
    ("psk", Password),
    ("passwort", Password),
    ("kennwort", Password),
    ("mot de passe", Password),
    ("contraseña", Password),
    ("contrasena", Password),
    ("senha", Password),
    ("hasło", Password),
    ("wachtwoord", Password),
    ("пароль", Password),
    ("Пароль", Password),
    ("ПАРОЛЬ", Password),
    ("密码", Password),
    ("密碼", Password),
    ("パスワード", Password),
    ("secret", Token),
    ("token", Token),
    ("credential", Token),
    ("credentials", Token),
    ("api key", Token),
    ("access key", Token),
    ("account key", Token),
    ("private key", Token),
    ("signing key", Token),
    ("encryption key", Token),
    ("certificate key", Token),
    ("subscription key", Token),
    ("functions key", Token),
    ("storage key", Token),
    ("instrumentation key", Token),
    ("auth key", Token),
    ("shared access signature", Token),
    ("client key data", Token),
    ("pass", Perhaps),
    ("auth", Perhaps),
    ("sig", Perhaps),
    ("creds", Perhaps),
];

/// Words that count where they are a word of the name by themselves: `pass` is no secret in `compass` and `passed`.
const WHOLE: [&str; 8] = ["pass", "psk", "senha", "auth", "sig", "creds", "hasło", "pwd"];

/// All writings of the words with what each says, and what finds them.
type FieldWords = (Option<AhoCorasick>, Vec<(String, NamedAfter)>);

static NAMES: LazyLock<FieldWords> = LazyLock::new(|| {
    let mut names: Vec<(String, NamedAfter)> = Vec::new();
    for (word, says) in WORDS {
        let gaps: &[&str] = if word.contains(' ') { &["", " ", "-", "_", "."] } else { &[""] };
        names.extend(gaps.iter().map(|gap| (word.replace(' ', gap), says)));
    }
    let finder = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .ascii_case_insensitive(true)
        .build(names.iter().map(|(name, _)| name))
        .ok();
    (finder, names)
});

/// What follows the word in a name and says that its value is something else: `secretName`, `--password-file`.
const NO_VALUE: [&str; 62] = [
    "age",
    "algorithm",
    "audience",
    "audiences",
    "auth",
    "cache",
    "class",
    "cleaner",
    "controller",
    "count",
    "dir",
    "driver",
    "duration",
    "enabled",
    "endpoint",
    "error",
    "expiration",
    "expires",
    "expiry",
    "file",
    "files",
    "format",
    "generation",
    "group",
    "helper",
    "id",
    "ids",
    "issuer",
    "keyref",
    "kind",
    "length",
    "lifetime",
    "list",
    "location",
    "manager",
    "method",
    "mode",
    "mount",
    "mounts",
    "name",
    "names",
    "namespace",
    "path",
    "policy",
    "projection",
    "provider",
    "ref",
    "refs",
    "refresh",
    "request",
    "review",
    "reviews",
    "rotation",
    "scope",
    "scopes",
    "seconds",
    "source",
    "sources",
    "store",
    "ttl",
    "type",
    "uri",
];

/// What follows the word in a name and leaves it a secret.
const VALUE: [&str; 22] = [
    "",
    "b64",
    "base",
    "base64",
    "current",
    "data",
    "db",
    "dev",
    "hash",
    "hex",
    "key",
    "new",
    "old",
    "plain",
    "prod",
    "production",
    "staging",
    "string",
    "test",
    "text",
    "val",
    "value",
];

/// Longest part of a name before and after its word that is looked at, and longest value within quotes, in bytes.
const NAME: usize = 64;
const QUOTED: usize = 8 << 10;

// What stands between a name and its value.
pattern!(SIGN, r#"(?i)^["'`\])]{0,3}[ \t]*(?P<sign>:=|=>|==?|:|：)[ \t]*(?:invalid value:?[ \t]*)?"#);
// `"name": "DB_PASSWORD", "value": "…"`, the same in YAML, XML, and as Go prints it.
pattern!(PAIR, r#"(?i)^["'`]?[\s,;]*(?:["'`]?\bvalue["'`]?\s*[:=][ \t]*|</\w{1,20}>\s*<value>)"#);
pattern!(
    SPACED,
    r"^(?:[ \t]+(?:(?:is|was|are|to|ist|war|lautet|est|es|era|é|jest|to|это|:)[ \t:]+)?|[ \t]*(?:是|为|は)[ \t]*)"
);
pattern!(ELEMENT, r"^(?:\s[^<>]{0,200})?>");
pattern!(BLOCK, r"^[|>][+-]?\d?[ \t]*(?:#[^\n]*)?\r?\n");

// What stands in the place of a secret.
pattern!(
    STAND_IN,
    r"(?ix)^(?:
        true | false | yes | no | on | off | null | nil | none | undefined | unset | not | n/a | eof | \?+
        | required | missing | invalid | expired | empty | incorrect | unknown | hidden | changed | wrong | failed
        | files | compat | sss
        | password | passwd | secret | token | credentials? | redacted | masked | omitted
        | .{0,3}(?:masked|redacted|hidden|removed|omitted)\W{0,3} | \*{3,}.* | x{3,} | \.{3,}.* | %[a-z] | …
        | \([a-z][a-z\x20]*\) | <set\x20to\x20the\x20key\x20.*
    )$"
);
// `$NAME`, `${NAME}`, `$(NAME)`, `<name>`, `{{ .Values.name }}`, `NEW_PASSWORD`.
pattern!(
    PLACEHOLDER,
    r"^(?:\$[A-Z_][A-Z0-9_]*|\$(?i:[a-z_]*(?:pass|secret|token|key|env:)[a-z_]*)|\$\{[^{}]+\}|\$\([^()]+\)?|<[A-Za-z][A-Za-z_ .:/-]*[0-9]{0,4}>"
    r"|\{\{.*|[A-Z_]*(?:PASSWORD|SECRET|TOKEN|KEY|YOUR)[A-Z_]*)$"
);
// `/etc/ssl/x`, `C:\x`, `https://…`.
pattern!(
    PLACE,
    r"^(?:@?\.{0,2}/(?:[a-z0-9.][a-z0-9._-]*/?)*|[A-Za-z]:\\[A-Za-z].*|(?i:https?|file|unix)://[^?]*)$"
);
// `v1.2.3`, `2026-11-23T…`, `sha256:…`, `&Type{…`.
pattern!(
    SOMETHING_ELSE,
    r"^(?:v?\d+(?:\.\d+)+[\w.+-]*|\d{4}-\d\d-\d\d\S*|(?:\w+@)?sha\d+:.*|&?[A-Za-z.]*\{.*|0x[0-9a-f]+)$"
);
// The name of an object, alone or behind its namespace; at its end may be what the cluster put there.
pattern!(
    OBJECT_NAME,
    r"^(?:[a-z][a-z0-9-]*/)?(?:[a-z]+\d{0,2}|\d{1,2})(?:[.-](?:[a-z]+\d{0,2}|\d{1,2}|[a-z0-9]{5}|[a-f0-9]{8,10}))*$"
);

/// Whether a name that says so may be in a text.
pub(super) fn may_be_in(text: &str) -> bool {
    NAMES.0.as_ref().is_some_and(|finder| finder.is_match(text))
}

/// Where values stand that are secrets by the names of their fields.
pub(super) fn find(meaning: &Meaning, found: &mut Vec<Range<usize>>) {
    let (Some(finder), names) = &*NAMES else { return };
    let text = meaning.text.as_str();
    let mut done = 0;
    for word in finder.find_iter(text) {
        if word.start() < done {
            continue;
        }
        let Some((_, says)) = names.get(word.pattern().as_usize()) else { continue };
        let Some(name) = FieldName::at(text, word.range(), *says) else { continue };
        if let Some(value) = name.value(meaning) {
            done = value.end;
            found.push(value);
        }
    }
}

/// A name with a word in it, and what it says.
struct FieldName<'a> {
    text: &'a str,
    name: Range<usize>,
    says: NamedAfter,
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn is_plain(word: &str) -> bool {
    let word = word.trim_start_matches(['(', '[', '{', '<', '"', '\'']);
    let word = word.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}', '>', '"', '\'']);
    let mut letters = word.chars();
    letters.next().is_none_or(char::is_alphabetic)
        && letters.all(|c| c.is_lowercase() || matches!(c, '-' | '\'' | '’'))
}

/// Whether it has what passwords are made of: letters, and digits or signs among them.
fn is_strong(value: &str) -> bool {
    let letters = value.chars().any(char::is_alphabetic);
    let inner = value.trim_end_matches(['!', '?', '*', '.', ',']);
    value.chars().count() >= 6
        && letters
        && inner.chars().any(|c| c.is_ascii_digit() || "!@#$%^*~+".contains(c))
}

impl<'a> FieldName<'a> {
    /// Around a word; `None` where the name says that its value is no secret.
    fn at(text: &'a str, word: Range<usize>, says: NamedAfter) -> Option<Self> {
        let before = text.get(..word.start)?;
        let after = text.get(word.end..)?;
        let left: usize = before
            .chars()
            .rev()
            .take_while(|c| is_of_name(*c))
            .map(char::len_utf8)
            .scan(0, |sum, length| {
                *sum += length;
                (*sum <= NAME).then_some(length)
            })
            .sum();
        let right: usize = after.chars().take(NAME).take_while(|c| is_of_name(*c)).map(char::len_utf8).sum();
        // Chinese and Japanese have no blank before the value.
        let right = if after.starts_with(['是', '为', 'は']) { 0 } else { right };
        let rest = after.get(..right)?.trim_end_matches(['.', '-']);
        let name = word.start - left..word.end + rest.len();
        let spelt = text.get(word.clone())?;
        if WHOLE.contains(&spelt.to_lowercase().as_str()) && !is_whole(before, spelt, after) {
            return None;
        }
        let mut says = says;
        for part in parts(rest) {
            if NO_VALUE.contains(&part.as_str()) || part.starts_with("expir") || part == "url" {
                return None;
            }
            let known = VALUE.contains(&part.as_str()) || part.bytes().all(|byte| byte.is_ascii_digit());
            // Another word of a secret has its own place.
            if !known {
                says = Perhaps;
            }
        }
        Some(Self { text, name, says })
    }

    fn rest(&self, at: usize) -> &'a str {
        self.text.get(at..).unwrap_or_default()
    }

    /// The field's value, when it is a secret.
    fn value(&self, meaning: &Meaning) -> Option<Range<usize>> {
        let after = self.rest(self.name.end);
        if self.text.get(..self.name.start)?.ends_with(['<', ':'])
            && let Some(open) = ELEMENT.find(after)
            && let Some(value) = self.element(self.name.end + open.end())
        {
            return Some(value);
        }
        if let Some(pair) = PAIR.find(after) {
            let value = Value::read(meaning, self.name.end + pair.end())?;
            let is_secret = value.is_secret(self.says, Follows::Sign);
            return is_secret.then(|| value.phrase(self.says).unwrap_or(value.range));
        }
        if let Some(sign) = SIGN.captures(after) {
            let sign_is = sign.name("sign").map_or("", |sign| sign.as_str());
            let at = self.name.end + sign.get(0)?.end();
            // `std::token::x`, and a path: `serviceaccount/token: no such file`.
            let path = self.text.get(..self.name.start)?.ends_with('/') && sign_is == ":";
            if path || self.rest(at).starts_with(':') {
                return None;
            }
            if self.is_quoted_with_sign(meaning, at) {
                return None;
            }
            let value = Value::read(meaning, at)?;
            let follows = if sign_is.starts_with(':') && sign_is != ":=" || sign_is == "：" {
                if self.text.get(..at)?.ends_with(':') { Follows::GluedColon } else { Follows::Colon }
            } else {
                Follows::Sign
            };
            if self.begins_field(follows)
                && let Some(phrase) = value.phrase(self.says)
            {
                return Some(phrase);
            }
            return value.is_secret(self.says, follows).then_some(value.range);
        }
        let spelt = self.text.get(self.name.clone())?;
        let spaced = SPACED.find(after)?;
        let option = spelt.starts_with('-');
        let command = matches!(spelt, "AUTH" | "PASS");
        if !option && !command && self.says != Password {
            return None;
        }
        let value = Value::read(meaning, self.name.end + spaced.end())?;
        // `--token is required` is of a sentence.
        let glued = spaced.as_str().trim().is_empty();
        let follows = if option && glued && self.says != Perhaps { Follows::Option } else { Follows::Blank };
        value.is_secret(Password, follows).then_some(value.range)
    }

    /// Whether the name is that of a field, and no word of a sentence: `failed to read password: no such device`. Behind `=`
    /// a blank ends most values, but on a line that is nothing else.
    fn begins_field(&self, follows: Follows) -> bool {
        let before = tail(self.text.get(..self.name.start).unwrap_or_default());
        let line = before.rsplit(['\n', '\r']).next().unwrap_or_default().trim_end();
        let word = line.rsplit(char::is_whitespace).next().unwrap_or_default();
        if follows == Follows::Sign {
            return line.trim_matches([' ', '"', '\'', '-']).is_empty();
        }
        !(word.chars().any(char::is_lowercase)
            && word.chars().all(|c| c.is_alphabetic() || "-'’".contains(c)))
    }

    /// Whether what looks like the first quote of the value closes that of the name: "`password=`".
    fn is_quoted_with_sign(&self, meaning: &Meaning, value: usize) -> bool {
        let before = self.text.get(..self.name.start).and_then(|before| before.chars().next_back());
        before.is_some_and(|c| matches!(c, '"' | '\'' | '`'))
            && self.rest(value).chars().next() == before
            && self.rest(self.name.end).starts_with([' ', '=', ':'])
            && meaning.slashes_at(value) == meaning.slashes_at(self.name.start - 1)
    }

    /// What an element holds, up to its end.
    fn element(&self, at: usize) -> Option<Range<usize>> {
        let close = format!("</{}", self.text.get(self.name.clone())?);
        let inner = self.rest(at);
        let inner = head(inner);
        // The name may be prefixed: `</db:password>`.
        let end = inner.find(&close).or_else(|| inner.find("</"))?;
        let value = inner.get(..end)?;
        let nested = value.trim_start().starts_with('<') && !value.contains("<![CDATA[");
        (!nested && !is_stand_in(value.trim())).then_some(at..at + end)
    }
}

/// Whether a word is one by itself: between signs, digits, or where capitals begin.
fn is_whole(before: &str, word: &str, after: &str) -> bool {
    let camel = |a: Option<char>, b: Option<char>| {
        a.is_some_and(char::is_lowercase) && b.is_some_and(char::is_uppercase)
    };
    let (last, next) = (before.chars().next_back(), after.chars().next());
    let starts = !last.is_some_and(char::is_alphabetic) || camel(last, word.chars().next());
    let ends = !next.is_some_and(char::is_alphabetic) || camel(word.chars().next_back(), next);
    // `dbpwd`, `mypsk`: no word ends so.
    let ends_a_name = matches!(word.to_ascii_lowercase().as_str(), "pwd" | "psk");
    (starts || ends_a_name) && ends
}

/// The parts of a name, in small letters: `KeyRef` and `_key_ref` are two.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before = None;
    for c in name.chars() {
        let signs = !c.is_alphanumeric();
        if signs || before.is_some_and(char::is_lowercase) && c.is_uppercase() {
            parts.push(String::new());
        }
        if !signs && let Some(part) = parts.last_mut() {
            part.extend(c.to_lowercase());
        }
        before = Some(c);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// How a value follows its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follows {
    /// Behind `=`, or as the `value` of a pair.
    Sign,
    /// Behind a colon and a blank, as sentences go on as well.
    Colon,
    /// Right behind a colon.
    GluedColon,
    /// Behind an option of a command.
    Option,
    /// Behind a blank, as any word.
    Blank,
}

/// A value, and how it stands there.
struct Value<'a> {
    /// What it stands in.
    whole: &'a str,
    text: &'a str,
    range: Range<usize>,
    quoted: bool,
    /// A word follows on the same line.
    goes_on: bool,
}

impl<'a> Value<'a> {
    /// What stands at a place.
    fn read(meaning: &'a Meaning, at: usize) -> Option<Self> {
        let text = meaning.text.as_str();
        let rest = text.get(at..)?;
        let (range, quoted) = if let Some(open) = BLOCK.find(rest) {
            (deeper_lines(text, at, at + open.end())?, true)
        } else if rest.starts_with(['\n', '\r']) {
            // The value of a key of YAML may stand on the next line; another key there is none.
            let lines = deeper_lines(text, at, at + rest.find('\n')? + 1)?;
            let line = text.get(lines.clone())?;
            let first = line.split([' ', ',', '"', '\'', '\n']).next()?;
            if !is_strong(first) || first.contains(':') {
                return None;
            }
            (lines.start..lines.start + first.len(), true)
        } else {
            let list = rest.starts_with('[') && rest.trim_start_matches(['[', ' ']).starts_with(['"', '\'']);
            let at = if list { at + rest.find(['"', '\''])? } else { at };
            match text.get(at..)?.chars().next()? {
                quote @ ('"' | '\'' | '`') => (quoted(meaning, at, quote), true),
                _ => (bare(text, at), false),
            }
        };
        let after = text.get(range.end..)?;
        let next = after.trim_start_matches([' ', '\t']);
        let goes_on = next.len() < after.len() && next.starts_with(char::is_alphanumeric);
        Some(Self { whole: text, text: text.get(range.clone())?, range, quoted, goes_on })
    }

    /// A password of several words, which nothing encloses: up to the end of its line, or to the next field. None when they
    /// are a sentence.
    fn phrase(&self, says: NamedAfter) -> Option<Range<usize>> {
        const WORDS: usize = 10;
        let first = self.text;
        if says != Password || self.quoted || first.ends_with(':') || is_of_a_report(first) {
            return None;
        }
        if is_stand_in(first) || PLACE.is_match(first) {
            return None;
        }
        let mut end = self.range.end;
        for count in 1.. {
            let rest = self.whole.get(end..)?;
            let next = rest.trim_start_matches([' ', '\t']);
            if next.len() == rest.len() || !next.starts_with(char::is_alphanumeric) {
                break;
            }
            let range = bare(self.whole, end + rest.len() - next.len());
            let word = self.whole.get(range.clone())?;
            if word.contains(['=', ':']) {
                break;
            }
            if count == WORDS || is_of_a_report(word) {
                return None;
            }
            end = range.end;
        }
        (end > self.range.end).then_some(self.range.start..end)
    }

    fn is_secret(&self, says: NamedAfter, follows: Follows) -> bool {
        let value = self.text.trim();
        if is_stand_in(value) || PLACE.is_match(value) || says != Password && SOMETHING_ELSE.is_match(value) {
            return false;
        }
        // Errors stand in a chain: `token: AADSTS7000215: invalid client`.
        let chain = !self.quoted && value.ends_with(':');
        match (says, follows) {
            (_, Follows::Option) => !value.starts_with('-') && !is_of_a_sentence(value),
            (_, Follows::Blank) => is_strong(value) && !chain && !SOMETHING_ELSE.is_match(value),
            (Password, Follows::Sign) => true,
            (Password, _) => self.quoted || !(chain || self.goes_on && is_plain(value)),
            (Token, _) if value.len() < 6 && value.bytes().all(|byte| byte.is_ascii_digit()) => false,
            (Token, _) if OBJECT_NAME.is_match(value) && value.contains(['-', '/']) => false,
            (Token, _) if self.quoted && value.contains(' ') => {
                value.split_whitespace().any(|word| is_strong(word) && !SOMETHING_ELSE.is_match(word))
            }
            (Token, Follows::Sign) => !chain && (value.len() > 5 || !is_plain(value)),
            (Token, _) if self.quoted => value.len() > 5 || !is_plain(value),
            (Token, _) => {
                !chain
                    && !is_plain(value)
                    && (!self.goes_on || is_strong(value))
                    && !value.bytes().all(|byte| byte.is_ascii_digit())
            }
            (Perhaps, Follows::GluedColon) if !self.quoted => {
                value.len() >= 8 && is_strong(value) && !OBJECT_NAME.is_match(value) && !chain
            }
            (Perhaps, _) => is_strong(value) && !OBJECT_NAME.is_match(value) && !chain,
        }
    }
}

/// Words that stand where something is said of a password, and in no password of several words.
fn is_of_a_report(word: &str) -> bool {
    const WORDS: &str = " a access account after again already an and any are as at auth authentication authorization be because been before but by \
        bytes can can't cannot change changed changes character characters compat completed connection context could created deadline default \
        denied did didn't disabled does doesn't don't eof empty enabled end enter error errors exceeded expected expired expires failed fails \
        failure field file files for forbidden format found from generated had has hash hashed have if ignored in incorrect input invalid is it \
        its key ldap length less long login lookup mask masked match matches maximum may minimum mismatch missing more must named new nis no not \
        of off old on operation optional or out passed password passwords permission please policy prompt provided read refused rejected \
        required reset retry retrying rotated rotation secret secrets see set short should sss stored strong succeeded success successful \
        systemd than that the then this timed timeout to token too try trying unable unauthorized unchanged unexpected unknown unset unsupported \
        until updated use used user username using valid value values verification verified version wait waiting was weak were when while will \
        with without wrong you your ";
    let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    WORDS.contains(&format!(" {word} "))
}

/// Words of sentences about an option: `--token is required`.
fn is_of_a_sentence(word: &str) -> bool {
    const SMALL: [&str; 22] = [
        "and", "are", "as", "can", "cannot", "for", "from", "has", "if", "in", "instead", "is", "may",
        "must", "of", "option", "or", "should", "to", "was", "when", "with",
    ];
    SMALL.contains(&word.trim_end_matches([',', '.']))
}

/// Whether a value is none, or a placeholder.
pub(super) fn is_stand_in(value: &str) -> bool {
    !value.chars().any(char::is_alphanumeric) || STAND_IN.is_match(value) || PLACEHOLDER.is_match(value)
}

/// The values of a map, all of them secrets: of `data` of a Secret.
pub(super) fn of_map(meaning: &Meaning, key: Range<usize>, braces: bool, found: &mut Vec<Range<usize>>) {
    let text = meaning.text.as_str();
    if !braces {
        let Some(lines) = deeper_lines(text, key.start, key.end) else { return };
        let mut at = lines.start;
        for line in text.get(lines).unwrap_or_default().split_inclusive('\n') {
            let value = line.find(": ").map_or(0, |colon| colon + 2);
            let trimmed = line.get(value..).unwrap_or_default().trim();
            if !trimmed.is_empty() {
                found.push(at + value..at + value + trimmed.len());
            }
            at += line.len();
        }
        return;
    }
    let mut at = key.end;
    let skip = |at: usize, signs: &[char]| {
        let rest = text.get(at..).unwrap_or_default();
        at + rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || signs.contains(&c)).len()
    };
    loop {
        at = skip(at, &[',']);
        if !text.get(at..).is_some_and(|rest| rest.starts_with('"')) {
            return;
        }
        at = skip(quoted(meaning, at, '"').end + 1, &[':']);
        if !text.get(at..).is_some_and(|rest| rest.starts_with('"')) {
            return;
        }
        let value = quoted(meaning, at, '"');
        at = value.end + 1;
        found.push(value);
    }
}

/// As much of a text as is looked at for what stands before a name.
fn tail(text: &str) -> &str {
    let start =
        (text.len().saturating_sub(2 * NAME)..=text.len()).find(|start| text.is_char_boundary(*start));
    text.get(start.unwrap_or(0)..).unwrap_or_default()
}

/// As much of a text as is looked at for the end of a value.
fn head(text: &str) -> &str {
    let end = (0..=QUOTED.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// Up to the quote that closes it. Of quotes with backslashes, that is one with as many as the first had: those with
/// more stand within, and one with fewer ends what is around it. On another line it is one only where nothing goes on
/// behind it: a quote that nothing closes ends with its line.
fn quoted(meaning: &Meaning, at: usize, quote: char) -> Range<usize> {
    let start = at + 1;
    let rest = meaning.text.get(start..).unwrap_or_default();
    let rest = head(rest);
    let depth = meaning.slashes_at(at);
    let mut skip = 0;
    let mut first_line = None;
    for (index, c) in rest.char_indices() {
        if index < skip {
            continue;
        }
        if c == '\n' {
            first_line.get_or_insert(index);
        }
        if c != quote {
            continue;
        }
        let after = rest.get(index + 1..).unwrap_or_default();
        let closes = match quote {
            // Of two backslashes, one is of the value: the rule goes by the remainder.
            '"' => meaning.slashes_at(start + index) % (2 * (depth + 1)) <= depth,
            '\'' if index > 0 && after.starts_with('\'') => {
                skip = index + 2;
                false
            }
            '\'' if after.starts_with("\\''") => {
                skip = index + 4;
                false
            }
            _ => true,
        };
        if closes {
            let below = meaning.slashes_at(start + index) == depth && ends_a_value(after);
            let end = first_line.filter(|_| !below).unwrap_or(index);
            return start..start + end;
        }
    }
    start..start + first_line.unwrap_or(rest.len())
}

/// Whether nothing goes on behind a quote: it is the last of its line, or a sign follows that parts or closes.
fn ends_a_value(after: &str) -> bool {
    let after = after.trim_start_matches(['"', '\'', ' ', '\t']);
    after.is_empty() || after.starts_with(['\n', '\r', ',', ';', '}', ']', ')', '#'])
}

/// Up to a blank, or to a sign that ends a value by what follows it: `&` ends one before the next field of a URL, and is
/// a part of it otherwise.
fn bare(text: &str, at: usize) -> Range<usize> {
    let rest = text.get(at..).unwrap_or_default();
    // `$(kubectl get …)` has blanks.
    if rest.starts_with("$(")
        && let Some(end) = rest.find([')', '\n'])
        && rest.get(end..).is_some_and(|rest| rest.starts_with(')'))
    {
        return at..at + end + 1;
    }
    if rest.starts_with('<')
        && let Some(end) = rest.find(['>', '\n'])
        && rest.get(..=end).is_some_and(is_stand_in)
    {
        return at..at + end + 1;
    }
    let mut opened = 0_u32;
    for (index, c) in rest.char_indices() {
        let after = rest.get(index + c.len_utf8()..).unwrap_or_default();
        let ends = match c {
            _ if c.is_whitespace() => true,
            '&' | ';' | ',' | '|' => next_field(after),
            '"' | '\'' | '`' => !after.starts_with(char::is_alphanumeric),
            '(' | '[' | '{' => {
                opened += 1;
                false
            }
            ')' | ']' | '}' if opened > 0 => {
                opened -= 1;
                false
            }
            ')' | ']' | '}' => {
                after.is_empty()
                    || after.starts_with(|c: char| c.is_whitespace() || "\"'`,;:.)]}<>\\".contains(c))
            }
            '<' => after.starts_with('/') || after.starts_with("br"),
            _ => false,
        };
        if ends {
            return at..at + index;
        }
    }
    at..text.len()
}

/// Whether behind a sign that parts fields another one begins, or nothing.
fn next_field(after: &str) -> bool {
    let next = after.trim_start_matches([' ', '"', '\'']);
    let name = next.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_-. ".contains(c));
    after.is_empty()
        || after.starts_with(|c: char| c.is_whitespace() || "\"'`)]}".contains(c))
        || name.len() < next.len()
            && next.len() - name.len() < NAME
            && name.trim_start_matches(['"', '\'']).starts_with(['=', ':'])
}

/// The lines from a place on that are indented more than the line of the key.
fn deeper_lines(text: &str, key: usize, from: usize) -> Option<Range<usize>> {
    let line = text.get(..key)?.rfind('\n').map_or(0, |at| at + 1);
    let depth = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let least = depth(text.get(line..)?);
    let mut end = from;
    let rest = text.get(from..)?;
    for line in head(rest).split_inclusive('\n') {
        if !line.trim().is_empty() && depth(line) <= least {
            break;
        }
        end += line.len();
    }
    let lines = text.get(from..end)?;
    // What closes the text around it is not of the value.
    let value = lines.trim().trim_end_matches(['"', '\'']);
    let start = from + (lines.len() - lines.trim_start().len());
    (!value.is_empty()).then_some(start..start + value.len())
}
