//! Properties of the RBAC engine and of the fixes, on random clusters: the engine agrees with a naive
//! reference, a fix lets through all that was denied, and none of its rules is idle.

use crate::common;
use crate::models::rbac::{self, GROUPS, Question, VERBS, WORDS, groups, naive, question};
use proptest::prelude::*;
use serde_json::{Value, json};

fn rule() -> impl Strategy<Value = Value> {
    (
        prop::collection::vec(0..VERBS.len(), 1..3),
        prop::collection::vec(0..GROUPS.len(), 1..3),
        prop::collection::vec(0..WORDS.len(), 1..3),
        any::<bool>(),
    )
        .prop_map(|(verbs, groups, words, named)| rbac::rule(&verbs, &groups, &words, named))
}

fn subject() -> impl Strategy<Value = Value> {
    (0..6_usize).prop_map(rbac::subject)
}

/// Roles and bindings: where (0 is the cluster), rules; where, which role, subjects.
fn world() -> impl Strategy<Value = Vec<Value>> {
    let roles = prop::collection::vec((0..3_usize, prop::collection::vec(rule(), 0..3)), 1..4);
    let bindings = prop::collection::vec(
        (0..3_usize, 0..5_usize, prop::bool::weighted(0.1), prop::collection::vec(subject(), 1..2)),
        0..4,
    );
    (roles, bindings).prop_map(|(roles, bindings)| rbac::world(roles, bindings))
}

fn audit(at: usize, question: &Question<'_>) -> String {
    let (group, resource, sub) = question.thing;
    let mut reference = json!({"resource": resource, "apiVersion": "v1"});
    for (key, value) in [
        ("apiGroup", group),
        ("subresource", sub),
        ("namespace", question.namespace),
        ("name", question.name),
    ] {
        if !value.is_empty() {
            reference[key] = json!(value);
        }
    }
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": format!("id-{at}"), "stage": "ResponseComplete", "requestURI": "/x",
        "verb": question.verb, "user": {"username": question.user, "groups": groups(question.user)}, "objectRef": reference,
        "responseStatus": {"status": "Failure", "reason": "Forbidden", "code": 403},
        "requestReceivedTimestamp": "2026-11-23T10:00:00.000000Z", "annotations": {"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": ""},
    })
    .to_string()
}

/// Does what `kubectl patch --type=json` and `kubectl apply` would do.
fn apply(items: &mut Vec<Value>, fix: &Value) {
    for manifest in fix["manifests"].as_array().unwrap() {
        for document in manifest.as_str().unwrap().split("---\n") {
            let object: Value = serde_saphyr::from_str(document).unwrap();
            items.retain(|item| !(item["kind"] == object["kind"] && item["metadata"] == object["metadata"]));
            items.push(object);
        }
    }
    for command in fix["commands"].as_array().unwrap() {
        let command = command.as_str().unwrap();
        let Some(rest) = command.strip_prefix("kubectl patch ") else { continue };
        let mut words = rest.split(' ');
        let (kind, name) = (words.next().unwrap(), words.next().unwrap());
        let namespace = rest.split(" -n ").nth(1).map_or("", |rest| rest.split(' ').next().unwrap());
        let patch: Value =
            serde_json::from_str(rest.split(" -p '").nth(1).unwrap().trim_end_matches('\'')).unwrap();
        let object = items
            .iter_mut()
            .find(|item| {
                item["kind"].as_str().unwrap().to_lowercase() == kind
                    && item["metadata"]["name"] == name
                    && item["metadata"]["namespace"].as_str().unwrap_or("") == namespace
            })
            .unwrap();
        for operation in patch.as_array().unwrap() {
            let path = operation["path"].as_str().unwrap();
            if let Some(list) = path.strip_suffix("/-") {
                object.pointer_mut(list).unwrap().as_array_mut().unwrap().push(operation["value"].clone());
            } else {
                *object.pointer_mut(path).unwrap() = operation["value"].clone();
            }
        }
    }
}

fn allowed_of(items: &[Value], finding: &Value) -> Vec<bool> {
    let user = finding["details"]["identity"].as_str().unwrap();
    let permissions = finding["details"]["permissions"].as_array().unwrap();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or("").to_owned();
    permissions
        .iter()
        .flat_map(|permission| {
            let (verb, group, resource, sub, namespace) = (
                text(permission, "verb"),
                text(permission, "api_group"),
                text(permission, "resource"),
                text(permission, "subresource"),
                text(permission, "namespace"),
            );
            let names: Vec<String> = permission["names"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap().to_owned())
                .collect();
            let names = if names.is_empty() { vec![String::new()] } else { names };
            names
                .into_iter()
                .map(|name| naive(items, user, &verb, (&group, &resource, &sub), &namespace, &name))
                .collect::<Vec<_>>()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_agrees_with_the_naive_reference(items in world(), asked in prop::collection::vec((0..4_usize, 0..5_usize, 0..6_usize, 0..3_usize, any::<bool>()), 1..12)) {
        rbac::check(&items, asked.into_iter().map(question));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_fix_lets_through_all_that_was_denied_and_has_no_idle_rule(items in world(), asked in prop::collection::vec((0..4_usize, 0..5_usize, 0..6_usize, 0..3_usize, any::<bool>()), 1..8)) {
        let denied: Vec<Question<'_>> = asked
            .into_iter()
            .map(question)
            .filter(|question| !naive(&items, question.user, question.verb, question.thing, question.namespace, question.name))
            .collect();
        prop_assume!(!denied.is_empty());
        let temp = tempfile::tempdir().unwrap();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        std::fs::write(temp.path().join("rbac.json"), list.to_string()).unwrap();
        let log: Vec<String> = denied.iter().enumerate().map(|(at, question)| audit(at, question)).collect();
        std::fs::write(temp.path().join("audit.log"), log.join("\n")).unwrap();
        let report = serde_json::to_value(&*common::diagnosis(temp.path())).unwrap();
        let findings: Vec<&Value> = report["findings"].as_array().unwrap().iter().filter(|finding| finding["details"].get("bundle_rbac").is_some()).collect();
        let found: usize = findings.iter().map(|finding| usize::try_from(finding["count"].as_u64().unwrap()).unwrap()).sum();
        prop_assert_eq!(found, denied.len(), "every denial is in one finding");
        for finding in findings {
            prop_assert!(allowed_of(&items, finding).iter().any(|allowed| !allowed));
            let fix = &finding["fix"];
            if finding["detector"] == "rbac-pod-uses-another-account" {
                continue;
            }
            let mut mended = items.clone();
            apply(&mut mended, fix);
            prop_assert!(allowed_of(&mended, finding).iter().all(|allowed| *allowed), "{} is not mended by {}", finding["title"], fix);
            // A role that was made for this: without any one of its rules, something is denied again.
            for manifest in fix["manifests"].as_array().unwrap() {
                let role: Value = serde_saphyr::from_str(manifest.as_str().unwrap().split("---\n").next().unwrap()).unwrap();
                for idle in 0..role["rules"].as_array().unwrap().len() {
                    let mut without = mended.clone();
                    let made = without.iter_mut().find(|item| item["kind"] == role["kind"] && item["metadata"] == role["metadata"]).unwrap();
                    made["rules"].as_array_mut().unwrap().remove(idle);
                    prop_assert!(allowed_of(&without, finding).iter().any(|allowed| !allowed), "rule {idle} of {manifest} is idle");
                }
            }
        }
    }
}
