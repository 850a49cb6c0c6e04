//! The outputs for programs obey their formats, and redaction changes names and nothing else.

use crate::common;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_kubetriage")).args(arguments).output().unwrap();
    (out.status.code(), String::from_utf8(out.stdout).unwrap())
}

fn report(bundle: &Path, format: &str, more: &[&str]) -> String {
    let bundle = bundle.to_string_lossy();
    let mut arguments = vec!["report", &bundle, "-q", "-o", "-", "--format", format];
    arguments.extend(more);
    run(&arguments).1
}

/// A bundle whose every text tries to break out.
fn hostile(folder: &Path) {
    let name = "p]]><x a=\"1\">&\u{1}\u{ffff}'";
    let pod = serde_json::json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": name },
        "status": { "phase": "Running", "containerStatuses": [{ "name": name, "state": { "waiting": { "reason": "CrashLoopBackOff" } } }] } });
    std::fs::write(folder.join("a b%<>\".json"), pod.to_string()).unwrap();
}

#[test]
fn every_result_of_sarif_has_its_rule_a_line_and_an_address_without_odd_characters() {
    let folder = tempfile::tempdir().unwrap();
    hostile(folder.path());
    for bundle in [common::sample("bundles/contoso-shop"), folder.path().to_owned()] {
        let value: Value = serde_json::from_str(&report(&bundle, "sarif", &[])).unwrap();
        let run = &value["runs"][0];
        let results = run["results"].as_array().unwrap();
        assert!(!results.is_empty());
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(result["ruleId"], run["tool"]["driver"]["rules"][index]["id"]);
            assert!(result["locations"][0]["physicalLocation"]["region"]["startLine"].as_u64().unwrap() >= 1);
            let uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
            assert!(
                uri.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&byte)),
                "{uri}"
            );
        }
    }
}

#[test]
fn junit_is_well_formed_and_its_numbers_agree() {
    let folder = tempfile::tempdir().unwrap();
    hostile(folder.path());
    for bundle in [common::sample("bundles/contoso-shop"), folder.path().to_owned()] {
        let text = report(&bundle, "junit", &[]);
        let mut reader = quick_xml::Reader::from_str(&text);
        let (mut cases, mut failures, mut skipped) = (0, 0, 0);
        let mut given = [0_u64; 3];
        loop {
            use quick_xml::events::Event;
            match reader.read_event().unwrap() {
                Event::Start(tag) | Event::Empty(tag) => {
                    let name = tag.name().as_ref().to_owned();
                    match name.as_str() {
                        "testcase" => cases += 1,
                        "failure" => failures += 1,
                        "skipped" => skipped += 1,
                        "testsuite" => {
                            for attribute in tag.attributes() {
                                let attribute = attribute.unwrap();
                                let value = attribute.value.to_string();
                                let slot = match attribute.key.as_ref() {
                                    "tests" => 0,
                                    "failures" => 1,
                                    "skipped" => 2,
                                    _ => continue,
                                };
                                given[slot] += value.parse::<u64>().unwrap();
                            }
                        }
                        _ => {}
                    }
                }
                Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!(given, [cases, failures, skipped]);
        assert!(failures > 0 && cases > 100);
    }
}

/// The findings of a report, without what is named in them.
fn skeleton(report: &Value) -> Vec<Value> {
    let findings = report["findings"].as_array().unwrap();
    let mut bones: Vec<Value> = findings
        .iter()
        .map(|finding| {
            serde_json::json!([
                finding["detector"],
                finding["severity"],
                finding["confidence"],
                finding["count"],
                finding["first_seen"],
                finding["subjects"].as_array().unwrap().len(),
                finding["evidence"].as_array().unwrap().len(),
                finding["explained_by"].as_array().unwrap().len()
            ])
        })
        .collect();
    bones.sort_by_key(ToString::to_string);
    bones
}

#[test]
fn a_report_with_pseudonyms_has_the_same_findings_and_no_names() {
    let bundle = common::sample("bundles/contoso-shop");
    let plain: Value = serde_json::from_str(&report(&bundle, "json", &[])).unwrap();
    let text = report(&bundle, "json", &["--redact", "all"]);
    let hidden: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(skeleton(&plain), skeleton(&hidden));
    assert!(!text.contains("aks-np1-vmss000000"), "a node's name is left");
    assert!(text.contains("node-1"));
    for finding in plain["findings"].as_array().unwrap() {
        for leaked in finding["details"]["leaked"].as_array().into_iter().flatten() {
            let ip = leaked["ip"].as_str().unwrap();
            assert!(!text.contains(&format!("\"{ip}\"")), "{ip} is left");
        }
    }
    assert_eq!(text, report(&bundle, "json", &["--redact", "all"]), "the same bytes every time");
    let roots = hidden["root_causes"].as_array().unwrap();
    let ids: Vec<&Value> = hidden["findings"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert!(roots.iter().all(|root| ids.contains(&&root["id"])), "links lead somewhere");
}

#[test]
fn the_map_is_written_only_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = common::sample("bundles/contoso-shop").to_string_lossy().into_owned();
    let out = folder.path().join("r.json").to_string_lossy().into_owned();
    run(&["report", &bundle, "-q", "-o", &out, "--redact", "names"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let map = folder.path().join("map.tsv");
    run(&["report", &bundle, "-q", "-o", &out, "--redact", "all", "--redact-map", &map.to_string_lossy()]);
    let map = std::fs::read_to_string(map).unwrap();
    assert!(map.lines().any(|line| line == "node-1\taks-np1-vmss000000"), "{map}");
}

#[test]
fn fail_on_counts_what_is_at_least_likely() {
    let bundle = common::sample("bundles/contoso-shop").to_string_lossy().into_owned();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("r.xml").to_string_lossy().into_owned();
    assert_eq!(run(&["report", &bundle, "-q", "-o", &out, "--fail-on", "high"]).0, Some(10));
    let quiet = common::sample("detectors/kubeconfig-missing/quiet").to_string_lossy().into_owned();
    assert_eq!(run(&["report", &quiet, "-q", "-o", &out, "--fail-on", "info"]).0, Some(0));
}
