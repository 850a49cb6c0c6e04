//! Secrets in a text: analysis has seen them, readers of a ticket need not.
//!
//! A secret is found in whatever escaping it stands: a text is read once as its meaning (JSON and URL escapes resolved,
//! each character knowing where it came from), and what is found there is masked where it stands. Base64 is decoded and
//! looked into. Values of fields that are named after a secret are read by [`fields`].

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::Regex;

use super::fields;
use super::meaning::Meaning;
use crate::bytes::pattern::{has, pattern};

/// What stands for a secret.
pub(super) const MASK: &str = "[masked]";

/// What is a secret wherever it stands: words in small letters of which a text has one at least, and the form itself.
/// A group `keep` of it is the part before the secret that is shown.
const FORMS: [(&[&str], &str); 20] = [
    // JSON Web Tokens.
    (&["eyj"], r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),
    // Headers, by their schemes.
    (
        &["authorization"],
        r#"(?i)(?P<keep>\bauthorization["'`\])]{0,2}[ \t]*[:=][ \t]*\[?["'`]?(?:bearer|basic|negotiate|ntlm|token|apikey|sharedkey(?:lite)?|splunk)[ \t]+)[^\s"'`]+"#,
    ),
    (
        &["authorization"],
        r#"(?i)(?P<keep>\bauthorization["'`\])]{0,2}[ \t]*[:=][ \t]*\[?["'`]?(?:digest|aws4-hmac-sha256)[ \t]+)(?:[\w-]+=(?:"[^"\n]*"|[^\s,"']+)[, ]{0,3})+"#,
    ),
    (
        &["authorization"],
        r#"(?i)(?P<keep>\bauthorization["'`\])]{0,2}[ \t]*[:=][ \t]*\[?["'`]?)(?:[A-Za-z+/_.-]*[0-9][A-Za-z0-9+/_.=~-]{9,}|[A-Za-z0-9+/_.~-]{12,}=+)"#,
    ),
    (&["bearer"], r"(?i)(?P<keep>\bbearer\s+)[A-Za-z0-9._~+/=-]{16,}"),
    (&["basic", "negotiate", "ntlm"], r"(?i)(?P<keep>\b(?:basic|negotiate|ntlm)\s+)[A-Za-z0-9+/=]{16,}"),
    (
        &["cookie"],
        r#"(?i)(?P<keep>\bcookies?["'`\])]{0,2}[ \t]*[:=][ \t]*\[?["'`]?)[^\s;="',]+=[^\s;"']+(?:;[ \t]*[^\s;="',]+(?:=[^\s;"']*)?)*"#,
    ),
    // The value of an environment variable, and what a registry is signed in to with.
    (
        &["connection"],
        r#"(?i)(?P<keep>"name"\s*:\s*"[a-z0-9_.-]{0,60}connection_?string"\s*,\s*"value"\s*:\s*")[^"]{3,}"#,
    ),
    (&[r#""auth""#], r#"(?P<keep>"auth"\s*:\s*")[A-Za-z0-9+/=]{8,}"#),
    (&["-----begin"], r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"),
    // A password within a URL, which may hold an `@`; a token alone before the `@`; names of data sources.
    (
        &["://"],
        r#"(?P<keep>[a-z][a-z0-9+.-]{1,20}://[^\s/:@"'<>]{0,80}:)(?:[^\s/"']{1,200}|[^\s/@"'0-9][^\s@"']{2,200})@"#,
    ),
    (&["://"], r"(?P<keep>[a-z][a-z0-9+.-]{1,20}://)[A-Za-z0-9_~+=-]{16,200}@"),
    (&["@tcp(", "@unix("], r#"(?P<keep>[\w.-]{1,64}:)[^\s"']{1,200}@(?:tcp|unix)\("#),
    (&["thin:"], r#"(?P<keep>\bthin:[^\s/"']{1,64}/)[^\s"']{1,200}@"#),
    // Options of commands that mean a password there, and something else elsewhere.
    (
        &["az ", "login", "mongo"],
        concat!(
            r#"(?P<keep>\b(?:az[ \t]+(?:login|acr|ad|sql|mysql|postgres|vm|vmss|webapp|container|redis)\b|(?:docker|podman|nerdctl|helm|oras|buildah|skopeo|crane|oc|argocd)\b[^\n|;&]{0,40}\blogin\b|"#,
            r#"(?:mongo|mongosh|mongodump|mongorestore)\b)[^\n|;&]{0,300}?[ \t]-p(?:[ \t]+|=)["']?)(?:[^\s"'-][^\s"']*)"#
        ),
    ),
    (
        &["sshpass", "mysql", "mariadb"],
        r#"(?P<keep>\b(?:sshpass|mysql|mysqldump|mysqladmin|mariadb|mariadb-dump|mariadb-admin)\b[^\n|;&]{0,300}?[ \t]-p["']?)[^\s"'-][^\s"']*"#,
    ),
    (
        &["sshpass", "redis-cli", "ldap", "sqlcmd", "bcp"],
        r#"(?P<keep>\b(?:sshpass[ \t]+-p|redis-cli\b[^\n|;&]{0,200}?[ \t]-a|ldap(?:search|whoami|modify|add|delete|passwd)\b[^\n|;&]{0,300}?[ \t]-w|(?:sqlcmd|bcp)\b[^\n|;&]{0,300}?[ \t]-P)(?:[ \t]+|=)?["']?)[^\s"'-][^\s"']*"#,
    ),
    (
        &["curl"],
        r#"(?P<keep>\bcurl\b[^\n|]{0,400}?[ \t](?:-[a-zA-Z]*[uU]|--user|--proxy-user)(?:[ \t]+|=)?["']?[^\s:"'/]{1,80}:)[^\s"']+"#,
    ),
    // Tokens of services, by their forms: GitHub, GitLab, Slack, AWS, Entra ID.
    (
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "akia"],
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abeoprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}\b)",
    ),
    (&["q~"], r"\b[A-Za-z0-9~_.-]{3}[0-9]Q~[A-Za-z0-9~_.-]{30,}"),
];

static SECRETS: LazyLock<Vec<Regex>> =
    LazyLock::new(|| FORMS.iter().filter_map(|(_, form)| Regex::new(form).ok()).collect());

/// Finds the words of all forms in one search, which spares most texts the forms; and the form that each word is of.
static HINTS: LazyLock<(Option<AhoCorasick>, Vec<usize>)> = LazyLock::new(|| {
    let hints =
        || FORMS.iter().enumerate().flat_map(|(form, (hints, _))| hints.iter().map(move |hint| (form, hint)));
    let finder =
        AhoCorasick::builder().ascii_case_insensitive(true).build(hints().map(|(_, hint)| hint)).ok();
    (finder, hints().map(|(form, _)| form).collect())
});

/// The forms that a text may have.
fn forms_in(text: &str) -> impl Iterator<Item = &'static Regex> {
    let (finder, forms) = &*HINTS;
    let mut found = [false; FORMS.len()];
    for hint in finder.iter().flat_map(|finder| finder.find_overlapping_iter(text)) {
        let form = forms.get(hint.pattern().as_usize());
        if let Some(found) = form.and_then(|form| found.get_mut(*form)) {
            *found = true;
        }
    }
    SECRETS.iter().zip(found).filter_map(|(form, found)| found.then_some(form))
}

// An object of kind Secret, and the fields with what is in it.
pattern!(OF_KIND_SECRET, r#"(?i)\bkind["']?\s*:\s*["']?secret\b"#);
pattern!(SECRET_DATA, r#"["']?\b(?:data|stringData)["']?[ \t]*:[ \t]*(?P<opens>\{|\r?\n)"#);

/// Longest runs of base64 that are decoded, in bytes.
const BASE64: Range<usize> = 24..20_000;

pattern!(ENCODED, r"[A-Za-z0-9+/_-]{24,}={0,2}");

/// Where secrets stand in a text that is read as its meaning.
fn find(meaning: &Meaning, found: &mut Vec<Range<usize>>) {
    let mut places = Vec::new();
    for secret in forms_in(&meaning.text) {
        for captures in secret.captures_iter(&meaning.text) {
            let Some(whole) = captures.get(0) else { continue };
            let start = captures.name("keep").map_or(whole.start(), |keep| keep.end());
            let value = meaning.text.get(start..whole.end()).unwrap_or_default();
            let words = value.split(['-', '_', '.', '/']).all(|word| word.chars().all(char::is_lowercase));
            // A token that is known by its own form is one, whatever its letters.
            let words = words && value.contains(['-', '_']) && captures.name("keep").is_some();
            if !words && !fields::is_stand_in(value.trim_end_matches('@')) {
                places.push(start..whole.end());
            }
        }
    }
    fields::find(meaning, &mut places);
    if has!(meaning.text, b"ecret") && OF_KIND_SECRET.is_match(&meaning.text) {
        for data in SECRET_DATA.captures_iter(&meaning.text) {
            if let (Some(whole), Some(opens)) = (data.get(0), data.name("opens")) {
                fields::of_map(meaning, whole.range(), opens.as_str() == "{", &mut places);
            }
        }
    }
    found.extend(places.into_iter().map(|place| meaning.source(place)));
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
    // Most texts are sentences and names, and end here. An escape may stand in the midst of a word.
    let hint = text.contains(['%', '\\']) || fields::may_be_in(text) || forms_in(text).next().is_some();
    if !hint && !ENCODED.is_match(text) {
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
mod tests;
