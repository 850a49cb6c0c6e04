//! `--since` and `--until`: what logs and events tell of another time is left out, and said.

use crate::common;
use std::path::Path;

use kubetriage::bundle::Input;
use kubetriage::facts::{Window, time};
use kubetriage::report::Redacted;
use kubetriage::{Options, diagnose};

/// Two days on which two service accounts are refused, told by klog lines without a year, by audit events and by events.
const KLOG: &str = "\
I1122 09:00:00.000000       1 httplog.go:132] \"HTTP\" verb=\"LIST\" URI=\"/api/v1/namespaces/shop/pods\" latency=\"1ms\" userAgent=\"old/1 kubernetes/1\" audit-ID=\"a1\" srcIP=\"10.0.0.4:5\" resp=403
I1123 09:00:00.000000       1 httplog.go:132] \"HTTP\" verb=\"LIST\" URI=\"/api/v1/namespaces/shop/pods\" latency=\"1ms\" userAgent=\"new/1 kubernetes/1\" audit-ID=\"a2\" srcIP=\"10.0.0.4:5\" resp=403
";

fn audit(id: &str, day: &str, user: &str) -> String {
    format!(
        "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Metadata\",\"auditID\":\"{id}\",\"stage\":\"ResponseComplete\",\"requestURI\":\"/api/v1/namespaces/shop/pods\",\"verb\":\"list\",\"user\":{{\"username\":\"system:serviceaccount:shop:{user}\"}},\"objectRef\":{{\"resource\":\"pods\",\"namespace\":\"shop\",\"apiVersion\":\"v1\"}},\"responseStatus\":{{\"metadata\":{{}},\"code\":403}},\"requestReceivedTimestamp\":\"{day}T09:00:00.000000Z\",\"annotations\":{{\"authorization.k8s.io/decision\":\"forbid\",\"authorization.k8s.io/reason\":\"\"}}}}\n"
    )
}

fn event(name: &str, first: &str, last: &str) -> String {
    format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"shop\"}},\"type\":\"Warning\",\"reason\":\"FailedCreatePodSandBox\",\"message\":\"Failed to create pod sandbox: rpc error: code = DeadlineExceeded desc = context deadline exceeded\",\"involvedObject\":{{\"kind\":\"Pod\",\"namespace\":\"shop\",\"name\":\"{name}\"}},\"count\":7,\"firstTimestamp\":\"{first}\",\"lastTimestamp\":\"{last}\"}}\n"
    )
}

fn bundle(folder: &Path) {
    std::fs::write(folder.join("apiserver.log"), KLOG).unwrap();
    let audits = audit("a1", "2026-11-22", "old") + &audit("a2", "2026-11-23", "new");
    std::fs::write(folder.join("audit.log"), audits).unwrap();
    let events = [
        event("over", "2026-11-22T08:00:00Z", "2026-11-22T10:00:00Z"),
        event("on", "2026-11-22T08:00:00Z", "2026-11-23T10:00:00Z"),
    ];
    std::fs::write(folder.join("events.json"), events.concat()).unwrap();
}

fn diagnosed(since: Option<&str>, until: Option<&str>) -> (Redacted, String) {
    let folder = tempfile::tempdir().unwrap();
    bundle(folder.path());
    let at = |text: &str| time::rfc3339(text.as_bytes()).unwrap().0.resolve(None).unwrap();
    let window = Window { since: since.map(at), until: until.map(at) };
    let options = Options { window, ..Options::default() };
    let found = diagnose(&[Input::Path(folder.path().to_owned())], &options).unwrap();
    let text = serde_json::to_string(&found.findings).unwrap();
    (found, text)
}

#[test]
fn without_a_window_both_days_count() {
    let (found, text) = diagnosed(None, None);
    assert!(found.window.is_none());
    assert!(text.contains("shop:old") && text.contains("shop:new"), "{text}");
    assert!(text.contains("shop/over") && text.contains("shop/on"), "{text}");
}

#[test]
fn since_leaves_out_the_day_before_in_all_kinds_of_logs() {
    let (found, text) = diagnosed(Some("2026-11-23T00:00:00Z"), None);
    let window = found.window.clone().unwrap();
    assert_eq!((window.since.as_deref(), window.until), (Some("2026-11-23T00:00:00Z"), None));
    // The access line, the audit event, the event, and the text of its message.
    assert!(window.left_out >= 3, "{}", window.left_out);
    assert!(!text.contains("shop:old") && text.contains("shop:new"), "{text}");
    assert!(!text.contains("shop/over") && text.contains("shop/on"), "{text}");
}

#[test]
fn until_leaves_out_the_day_after_and_what_went_on_then_is_not_over() {
    let (_, text) = diagnosed(None, Some("2026-11-22T23:59:59Z"));
    assert!(text.contains("shop:old") && !text.contains("shop:new"), "{text}");
    assert!(text.contains("shop/over") && text.contains("shop/on"), "{text}");
}

#[test]
fn a_refusal_that_an_event_goes_on_to_tell_counts() {
    let folder = tempfile::tempdir().unwrap();
    let text = event("cart", "2026-11-22T08:00:00Z", "2026-11-23T10:00:00Z")
        .replace("FailedCreatePodSandBox", "FailedCreate")
        .replace(
            "Failed to create pod sandbox: rpc error: code = DeadlineExceeded desc = context deadline exceeded",
            "Error creating: pods \\\"cart-1\\\" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=9, limited: pods=9",
        );
    std::fs::write(folder.path().join("events.json"), text).unwrap();
    let since = time::rfc3339(b"2026-11-23T00:00:00Z").unwrap().0.resolve(None);
    let options = Options { window: Window { since, until: None }, ..Options::default() };
    let found = diagnose(&[Input::Path(folder.path().to_owned())], &options).unwrap();
    assert!(found.findings.iter().any(|finding| finding.detector == "pod-not-created"), "{}", found.summary);
    let words = "Of logs and events, only what happened from 2026-11-23 00:00:00Z counts.";
    assert!(found.summary.ends_with(words), "{}", found.summary);
}

#[test]
fn events_that_were_sent_are_not_asked_for_since_they_are_of_another_time() {
    let question = |found: &Redacted| found.ask_for.iter().any(|ask| ask.command.contains("get events"));
    let (found, text) = diagnosed(Some("2026-12-01T00:00:00Z"), None);
    assert!(!text.contains("shop/on") && !question(&found), "{:?}", found.ask_for);
    let empty = tempfile::tempdir().unwrap();
    std::fs::write(empty.path().join("apiserver.log"), KLOG).unwrap();
    assert!(question(&common::diagnosis(empty.path())), "what is missing is asked for");
}
