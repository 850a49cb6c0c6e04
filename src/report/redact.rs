//! Secrets are masked before anything is rendered: analysis has seen them, readers of a ticket need not.

use std::sync::LazyLock;

use regex::Regex;

use crate::diagnosis::Diagnosis;

/// JSON Web Tokens, bearer tokens, and values of fields that are named after a secret.
static SECRETS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
        r"(?i)(?P<keep>bearer\s+)[A-Za-z0-9._~+/=-]{16,}",
        r#"(?i)(?P<keep>\\*"?(?:password|passwd|client_?secret|access_?token|refresh_?token|id_?token|token|api_?key|account_?key|sharedaccesskey|sig)\\*"?\s*[:=]\s*\\*"?)[^\s"\\,&;}]{6,}"#,
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
    ]
    .iter()
    .filter_map(|pattern| Regex::new(pattern).ok())
    .collect()
});

/// Masks secrets in all texts of a diagnosis; gives how many places were masked.
pub fn redact(diagnosis: &mut Diagnosis) -> usize {
    let mut masked = 0;
    let mut cover = |text: &mut String| *text = mask(text, &mut masked);
    cover(&mut diagnosis.summary);
    for root in &mut diagnosis.root_causes {
        [&mut root.title, &mut root.why, &mut root.first_step].into_iter().for_each(&mut cover);
    }
    for entry in &mut diagnosis.coverage.entries {
        cover(&mut entry.path);
        entry.problem.iter_mut().for_each(&mut cover);
    }
    for finding in &mut diagnosis.findings {
        for evidence in &mut finding.evidence {
            let mut text = evidence.excerpt.to_string();
            cover(&mut text);
            evidence.excerpt = text.into_boxed_str();
        }
        [&mut finding.title, &mut finding.cause, &mut finding.fix.text].into_iter().for_each(&mut cover);
        finding.fix.commands.iter_mut().for_each(&mut cover);
        finding.fix.manifests.iter_mut().for_each(&mut cover);
        finding.verify.iter_mut().for_each(&mut cover);
        finding.subjects.iter_mut().for_each(|subject| cover(&mut subject.name));
        for value in finding.details.values_mut() {
            mask_value(value, &mut cover);
        }
    }
    masked
}

fn mask_value(value: &mut serde_json::Value, cover: &mut impl FnMut(&mut String)) {
    match value {
        serde_json::Value::String(text) => cover(text),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| mask_value(item, cover)),
        serde_json::Value::Object(map) => map.values_mut().for_each(|item| mask_value(item, cover)),
        _ => {}
    }
}

fn mask(text: &str, masked: &mut usize) -> String {
    let mut text = text.to_owned();
    for secret in SECRETS.iter() {
        let found = secret.find_iter(&text).count();
        if found > 0 {
            *masked += found;
            text = secret
                .replace_all(&text, |found: &regex::Captures<'_>| {
                    format!("{}[masked]", found.name("keep").map_or("", |keep| keep.as_str()))
                })
                .into_owned();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_masked_in_plain_and_escaped_text() {
        let mut masked = 0;
        for text in [
            "Authorization: Bearer abcdefghijklmnop1234",
            r#"{"token":"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"}"#,
            r#"\"password\":\"hunter2hunter2\""#,
            "SharedAccessKey=abcdefghijkl==",
        ] {
            let shown = mask(text, &mut masked);
            assert!(shown.contains("[masked]"), "{shown}");
            assert!(
                !shown.contains("hunter2") && !shown.contains("eyJ") && !shown.contains("abcdefgh"),
                "{shown}"
            );
        }
        let plain = r#"User "x" cannot create resource "serviceaccounts/token" in API group """#;
        assert_eq!(mask(plain, &mut masked), plain);
    }
}
