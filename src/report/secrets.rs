//! Secrets in a text: analysis has seen them, readers of a ticket need not.
//!
//! A secret is found in whatever escaping it stands: a text is read once as its meaning (JSON and URL escapes resolved,
//! each character knowing where it came from), and what is found there is masked where it stands. Base64 is decoded and
//! looked into.

use std::ops::Range;
use std::sync::LazyLock;

use crate::bytes::pattern::pattern;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::Regex;

/// What stands for a secret.
pub(super) const MASK: &str = "[masked]";

/// What is a secret wherever it stands. A group `keep` is the part before it that is shown.
const FORMS: [&str; 14] = [
    // JSON Web Tokens.
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
    r"(?i)(?P<keep>\bbearer\s+)[A-Za-z0-9._~+/=-]{16,}",
    // A name and a short password make few letters of base64.
    r"(?i)(?P<keep>\bauthorization\W{1,6}basic\s+)[A-Za-z0-9+/=]{6,}",
    r"(?i)(?P<keep>\bbasic\s+)[A-Za-z0-9+/=]{16,}",
    // Values of fields that are named after a secret; `$NAME` and `<name>` are placeholders.
    concat!(
        r#"(?i)(?P<keep>["']?\b[a-z0-9_.-]{0,40}(?:password|passwd|pwd|passphrase|secret|client_?secret|access_?token|refresh_?token|"#,
        r#"id_?token|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|signing[_-]?key|sharedaccesskey|sharedaccesssignature|sig|client-key-data)["']?"#,
        r#"\s*[:=]\s*["']?)[^\s"'\\,&;}$<\[(][^\s"'\\,&;}<\[(]{5,}"#
    ),
    // An environment variable of a container, and an option of a command.
    r#"(?i)(?P<keep>"name"\s*:\s*"[a-z0-9_.-]{0,60}(?:password|passwd|pwd|passphrase|secret|token|api_?key|access_?key|account_?key|connection_?string)"\s*,\s*"value"\s*:\s*")[^"]{3,}"#,
    r"(?i)(?P<keep>--[a-z-]{0,30}(?:password|secret|token|api-key|account-key)\s+)[^\s$<-][^\s]{5,}",
    r#"(?P<keep>"auth"\s*:\s*")[A-Za-z0-9+/=]{8,}"#,
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
    // A password within a URL.
    r#"(?P<keep>[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{0,80}:)(?:[^\s/@"']{3,}|[^\s/@"'0-9][^\s@"']{2,})@"#,
    // Tokens of services, by their forms: GitHub, Slack, AWS, Entra ID.
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\b[A-Za-z0-9~_.-]{3}[0-9]Q~[A-Za-z0-9~_.-]{30,}",
];

static SECRETS: LazyLock<Vec<Regex>> =
    LazyLock::new(|| FORMS.iter().filter_map(|form| Regex::new(form).ok()).collect());

// Names of things that look like fields with a secret and are none: RBAC speaks of secrets and tokens all the time.
pattern!(HARMLESS, r"(?i)^(?:true|false|null|none|<.*|\[?masked.*|\*{3,}.*|password|secret|token)$");

/// Longest runs of base64 that are decoded, in bytes.
const BASE64: Range<usize> = 24..20_000;

pattern!(ENCODED, r"[A-Za-z0-9+/_-]{24,}={0,2}");

/// A text as its meaning, with where each byte of it came from.
struct Meaning {
    text: String,
    /// Start of each byte's source; one more for the end.
    from: Vec<usize>,
}

impl Meaning {
    /// Resolves escapes of JSON and of URLs; with `joined`, line breaks and the indentation after them are left out.
    fn of(text: &str, joined: bool) -> Self {
        let bytes = text.as_bytes();
        let mut found =
            Self { text: String::with_capacity(text.len()), from: Vec::with_capacity(text.len() + 1) };
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
                found.from.resize(found.from.len() + c.len_utf8(), at);
                found.text.push(c);
            }
            at += length;
        }
        found.from.push(text.len());
        found
    }

    /// The place in the source of a place in the meaning.
    fn source(&self, range: Range<usize>) -> Range<usize> {
        let at = |index: usize| self.from.get(index).copied().unwrap_or(0);
        at(range.start)..at(range.end)
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

/// `\"`, `\\\"`, `\u0022`, and with `joined` the `\n` of a JSON text.
fn escaped(rest: &[u8], joined: bool) -> (Option<char>, usize) {
    let slashes = rest.iter().take_while(|byte| **byte == b'\\').count();
    match rest.get(slashes) {
        Some(b'"') => (Some('"'), slashes + 1),
        Some(b'/') => (Some('/'), slashes + 1),
        Some(b'n' | b'r') if joined && goes_on(rest.get(slashes + 1..).unwrap_or_default()) => {
            (None, slashes + 1)
        }
        Some(b'u') => {
            let digits =
                rest.get(slashes + 1..slashes + 5).and_then(|digits| std::str::from_utf8(digits).ok());
            let c = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
            match c {
                Some(c) => (Some(c), slashes + 5),
                None => (Some('\\'), 1),
            }
        }
        _ => (Some('\\'), 1),
    }
}

fn percent(rest: &[u8]) -> (Option<char>, usize) {
    let digits = rest.get(1..3).and_then(|digits| std::str::from_utf8(digits).ok());
    match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
        Some(byte) if byte.is_ascii() => (Some(char::from(byte)), 3),
        _ => (Some('%'), 1),
    }
}

/// Where secrets stand in a text that is read as its meaning.
fn find(meaning: &Meaning, found: &mut Vec<Range<usize>>) {
    for secret in SECRETS.iter() {
        for captures in secret.captures_iter(&meaning.text) {
            let Some(whole) = captures.get(0) else { continue };
            let start = captures.name("keep").map_or(whole.start(), |keep| keep.end());
            let value = meaning.text.get(start..whole.end()).unwrap_or_default();
            let harmless = HARMLESS.is_match(value);
            // Commands in a fix have words in capitals for what the reader puts in.
            let placeholder =
                value.len() < 40 && value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            // `token: unexpected end` is a sentence. Secrets in such places have digits, capitals or signs.
            let sentence = meaning.text.get(..start).is_some_and(|before| before.ends_with(": "))
                && value.len() < 20
                && value.bytes().all(|byte| byte.is_ascii_lowercase())
                && meaning.text.get(whole.end()..).is_some_and(|rest| rest.starts_with(' '));
            if !harmless && !placeholder && !sentence {
                found.push(meaning.source(start..whole.end()));
            }
        }
    }
}

/// Whether a text has a secret in it.
fn has_secret(text: &str) -> bool {
    let mut found = Vec::new();
    find(&Meaning::of(text, false), &mut found);
    !found.is_empty()
}

/// Base64 in which a secret stands.
fn find_encoded(meaning: &Meaning, found: &mut Vec<Range<usize>>) {
    for run in ENCODED.find_iter(&meaning.text).filter(|run| BASE64.contains(&run.len())) {
        let text = run.as_str().trim_end_matches('=');
        // What stands before it may be glued to it: the decoder takes whole groups of four only.
        let decoded = [0, 1, 2, 3].into_iter().find_map(|skip| {
            let text = text.get(skip..)?;
            let bytes = STANDARD_NO_PAD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok()?;
            String::from_utf8(bytes).ok().filter(|text| has_secret(text))
        });
        if decoded.is_some() {
            found.push(meaning.source(run.range()));
        }
    }
}

/// A text without its secrets, and the secrets as they stood there.
pub(super) struct Masked {
    pub(super) text: String,
    pub(super) secrets: Vec<String>,
}

/// Masks the secrets of a text; `None` when it has none.
pub(super) fn mask(text: &str) -> Option<Masked> {
    // The shortest secret with its name; most texts are sentences.
    if text.len() < 12 {
        return None;
    }
    let mut found: Vec<Range<usize>> = Vec::new();
    let plain = Meaning::of(text, false);
    find(&plain, &mut found);
    find_encoded(&plain, &mut found);
    if text.contains(['\n', '\r']) || text.contains("\\n") {
        // A token that is broken over lines is one; a field and the next line are not.
        let joined = Meaning::of(text, true);
        if let Some(token) = SECRETS.first() {
            found.extend(token.find_iter(&joined.text).map(|item| joined.source(item.range())));
        }
        find_encoded(&joined, &mut found);
    }
    if found.is_empty() {
        return None;
    }
    found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut masked = Masked { text: String::with_capacity(text.len()), secrets: Vec::new() };
    let mut at = 0;
    for range in found {
        if range.end <= at {
            continue;
        }
        let start = range.start.max(at);
        masked.text.push_str(text.get(at..start).unwrap_or_default());
        if range.start >= at {
            masked.text.push_str(MASK);
            masked.secrets.push(text.get(range.clone()).unwrap_or_default().to_owned());
        }
        at = range.end;
    }
    masked.text.push_str(text.get(at..).unwrap_or_default());
    Some(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Secrets with the part of them that must not be seen.
    const CORPUS: &[(&str, &str)] = &[
        ("Authorization: Bearer abcdefghijklmnop1234567890", "abcdefghijklmnop"),
        (
            "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.c2lnbmF0dXJlLW9mLWl0",
            "eyJzdWIi",
        ),
        ("password=hunter2hunter2", "hunter2"),
        ("\"clientSecret\": \"Zm8Q~abcdefghijklmnopqrstuvwxyz0123456789\"", "abcdefghijklmnop"),
        (
            "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0MjQy==;EndpointSuffix=core.windows.net",
            "QUJDREVGR0hJ",
        ),
        (
            "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=c2VjcmV0LXNlY3JldC1zZWNyZXQ0Mg==",
            "c2VjcmV0LXNl",
        ),
        ("https://x.blob.core.windows.net/c/b?sv=2024&sig=a1b2c3d4e5f6g7h8i9j0kk", "a1b2c3d4e5f6"),
        (
            "-----BEGIN RSA PRIVATE KEY-----MIIEpAIBAAKCAQEAxyzxyzxyzxyz-----END RSA PRIVATE KEY-----",
            "MIIEpAIB",
        ),
        ("client-key-data: LS0tLS1CRUdJTiBLRVktLS0tLWFiY2RlZg==", "LS0tLS1CRUdJ"),
        ("postgres://shop:s3cr3tpass@db.example:5432/shop", "s3cr3tpass"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abcdef"),
        ("AKIAIOSFODNN7EXAMPLE and more words", "AKIAIOSF"),
        (r#"{"name":"DB_PASSWORD","value":"s3cr3t pass"}"#, "s3cr3t"),
        ("az login --service-principal --password hunter2hunter2", "hunter2"),
        ("api-key: 0123456789abcdef", "0123456789"),
        ("password=pa$$word12", "word12"),
        ("Authorization: Basic YTpiYw==", "YTpiYw"),
        ("redis://:s3cr3tpass@cache:6379", "s3cr3tpass"),
        ("amqp://shop:s3c/r3tpass@queue:5672", "r3tpass"),
    ];

    fn redacted(text: &str) -> (String, usize) {
        mask(text).map_or_else(|| (text.to_owned(), 0), |masked| (masked.text, masked.secrets.len()))
    }

    #[test]
    fn every_form_can_be_built() {
        assert_eq!(SECRETS.len(), FORMS.len());
    }

    #[test]
    fn every_secret_is_masked_plain_escaped_encoded_and_broken_over_lines() {
        for (secret, hidden) in CORPUS {
            let json = serde_json::to_string(secret).unwrap();
            let twice = serde_json::to_string(&json).unwrap();
            let url: String = secret
                .bytes()
                .map(|byte| {
                    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                        char::from(byte).to_string()
                    } else {
                        format!("%{byte:02X}")
                    }
                })
                .collect();
            let base64 = base64::engine::general_purpose::STANDARD.encode(secret);
            for text in
                [(*secret).to_owned(), json, twice, url, base64.clone(), format!("data: {base64} end")]
            {
                let (seen, masked) = redacted(&format!("before {text} after"));
                assert!(masked > 0 && !seen.contains(hidden), "{text}\n{seen}");
                assert!(!seen.contains(base64.as_str()), "{seen}");
                assert!(seen.starts_with("before ") && seen.ends_with(" after"), "{seen}");
            }
        }
    }

    #[test]
    fn a_token_that_a_mail_program_broke_is_one() {
        let token = CORPUS[1].0;
        let (a, rest) = token.split_at(30);
        let (b, c) = rest.split_at(30);
        for text in [format!("token {a}\n    {b}\n    {c}\nnext line"), format!("{a}\\n{b}\\n{c}")] {
            let (seen, _) = redacted(&text);
            assert!(!seen.contains(&b[5..]) && !seen.contains(&c[..12]), "{seen}");
        }
        assert!(redacted("token eyJ\nnext line").0.ends_with("next line"));
    }

    #[test]
    fn the_words_of_rbac_are_no_secrets() {
        for text in [
            r#"User "x" cannot create resource "serviceaccounts/token" in API group """#,
            "kubectl create secret docker-registry pull --docker-password=PASSWORD",
            "ServiceAccount kube-system/token-cleaner may not list secrets in namespace shop",
            "verb get, resource secrets: 12 requests",
            "az aks update-credentials --client-secret SECRET",
            "curl -H \"Authorization: Bearer $KUBE_TOKEN\" https://x/api",
            "token: <redacted>",
            "unable to parse token: unexpected end of input",
            "https://host:8443/path/someone@example.org",
        ] {
            assert_eq!(redacted(text), (text.to_owned(), 0));
        }
    }
}
