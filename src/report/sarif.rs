//! SARIF 2.1.0: one rule for each cause that the tool knows, one result for each finding.

use serde_json::{Value, json};

use super::escape::{self, visible};
use super::{Redacted, RenderError};
use crate::bytes::pattern::pattern;
use crate::detectors::{self, Confidence, Finding, Severity};

/// SARIF's own scale.
fn level(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Critical | Severity::High if finding.confidence > Confidence::Possible => "error",
        Severity::Critical | Severity::High | Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// 0 to 10, as viewers sort by it.
fn rank(severity: Severity) -> f64 {
    match severity {
        Severity::Critical => 95.0,
        Severity::High => 80.0,
        Severity::Medium => 50.0,
        Severity::Low => 20.0,
        Severity::Info => 5.0,
    }
}

// Links and placeholders of a message (SARIF 2.1.0, sections 3.11.5 and 3.11.6).
pattern!(PLACEHOLDER, r"\{(?P<number>\d+)\}");

/// Text of a message: nothing of the bundle is a link or a placeholder in it.
fn message(text: &str) -> String {
    let text = visible(text);
    // Where there may be a link, no bracket is one of it.
    let text = if text.contains("](") { text.replace('[', "\\[").replace(']', "\\]").into() } else { text };
    PLACEHOLDER.replace_all(&text, "{{$number}}").into_owned()
}

/// A path as a URI reference within the bundle: what is no letter of a path is escaped, and it leads nowhere else.
fn uri(path: &str) -> String {
    let mut found = String::with_capacity(path.len());
    let path = path.trim_start_matches('/');
    if path.split('/').any(|part| part == "..") {
        let parts = path.split('/').map(|part| if part == ".." { "%2E%2E".to_owned() } else { uri(part) });
        return parts.collect::<Vec<_>>().join("/");
    }
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/!".contains(&byte) {
            found.push(char::from(byte));
        } else {
            found.push_str(&format!("%{byte:02X}"));
        }
    }
    found
}

fn result(finding: &Finding, rules: &[&str]) -> Value {
    let locations: Vec<Value> = finding
        .evidence
        .iter()
        .map(|evidence| {
            let region = json!({
                "startLine": evidence.line.max(1),
                "snippet": { "text": visible(&evidence.excerpt) }
            });
            json!({
                "physicalLocation": {
                    "artifactLocation": { "uri": uri(&evidence.source) },
                    "region": region
                },
                "message": { "text": message(evidence.pointer.as_deref().unwrap_or("seen here")) }
            })
        })
        .collect();
    json!({
        "ruleId": finding.detector,
        "ruleIndex": rules.iter().position(|rule| *rule == finding.detector),
        "level": level(finding),
        "rank": rank(finding.severity),
        "message": { "text": message(&format!("{}. {} Fix: {}", finding.title, finding.cause, finding.fix.text)) },
        "locations": locations.first().into_iter().collect::<Vec<_>>(),
        "relatedLocations": locations.iter().skip(1).collect::<Vec<_>>(),
        "partialFingerprints": { "finding/v1": finding.id },
        "properties": {
            "severity": finding.severity.name(),
            "confidence": finding.confidence.name(),
            "count": finding.count,
            "explainedBy": finding.explained_by.iter().map(|link| &link.by).collect::<Vec<_>>()
        }
    })
}

/// Renders the log.
pub(super) fn render(diagnosis: &Redacted) -> Result<String, RenderError> {
    let ids: Vec<&str> = detectors::all().map(|detector| detector.id).collect();
    let rules: Vec<Value> = detectors::all()
        .map(|detector| {
            let doc = &detector.doc;
            json!({
                "id": detector.id,
                "shortDescription": { "text": detector.title },
                "fullDescription": { "text": doc.meaning },
                "help": { "text": format!("{}\n\nHow it is decided: {}\n\nWhat to do: {}\n\nReference: {}", doc.meaning, doc.decision, doc.action, doc.reference) },
                "properties": { "tags": [detector.chapter.title()] }
            })
        })
        .collect();
    let failed: Vec<Value> = diagnosis
        .internal_errors
        .iter()
        .map(|error| json!({ "level": "error", "message": { "text": message(error) } }))
        .collect();
    let log = json!({
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": diagnosis.tool.name,
                "semanticVersion": diagnosis.tool.version,
                "rules": rules
            } },
            "properties": diagnosis.notice.as_ref().map_or_else(|| json!({}), |notice| json!({ "notice": notice })),
            "invocations": [{ "executionSuccessful": failed.is_empty(), "toolExecutionNotifications": failed }],
            "results": diagnosis.findings.iter().map(|finding| result(finding, &ids)).collect::<Vec<_>>()
        }]
    });
    escape::json(&log).map_err(|error| RenderError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_neither_links_nor_placeholders_nor_places_elsewhere() {
        assert_eq!(
            message("web[ container [click](javascript:x)"),
            r"web\[ container \[click\](javascript:x)"
        );
        assert_eq!(message("selector {0} of [app]"), "selector {{0}} of [app]");
        assert_eq!(uri("/etc/../x y"), "etc/%2E%2E/x%20y");
    }
}
