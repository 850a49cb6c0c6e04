//! Every format and every detector has samples, and they do what they are for.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod common;

use std::sync::Arc;

use kubetriage::bundle::Entry;
use kubetriage::detectors;
use kubetriage::formats::{self, FORMATS, HEAD_BYTES, Head};

#[test]
fn every_format_has_samples_and_claims_them_alone() {
    for format in FORMATS {
        let folder = common::sample("inputs").join(format.name());
        assert!(folder.is_dir(), "no samples for {}: add samples/inputs/{}/", format.name(), format.name());
        for file in common::files(&folder) {
            if common::name(&file).starts_with("last_reserved_ip") {
                continue;
            }
            let mut bytes = std::fs::read(&file).unwrap();
            bytes.truncate(HEAD_BYTES);
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
            let entry = Entry { path: Arc::from(file.to_string_lossy().as_ref()), modified: None };
            let claims = formats::candidates(&Head { entry: &entry, bytes });
            let (best, score) = claims[0];
            assert_eq!(best.name(), format.name(), "{} is taken for {}", file.display(), best.name());
            if let Some((second, rival)) = claims.get(1) {
                assert!(
                    score > *rival,
                    "{} is claimed by {} and {} alike ({score})",
                    file.display(),
                    best.name(),
                    second.name()
                );
            }
        }
    }
}

#[test]
fn every_sample_folder_belongs_to_a_format() {
    for folder in common::folders(&common::sample("inputs")) {
        let name = common::name(&folder);
        assert!(FORMATS.iter().any(|format| format.name() == name), "samples/inputs/{name} is of no format");
    }
}

#[test]
fn every_sample_gives_records_without_a_problem() {
    for folder in common::folders(&common::sample("inputs")) {
        for file in common::files(&folder) {
            let found = common::diagnosis(&file);
            let entry = &found.coverage.entries[0];
            assert_eq!(entry.problem, None, "{}", file.display());
            if !common::name(&file).starts_with("last_reserved_ip") {
                assert!(entry.records > 0, "{} gives nothing", file.display());
            }
        }
    }
}

#[test]
fn every_detector_finds_its_hit_and_leaves_its_quiet_sample_alone() {
    for detector in detectors::all() {
        let folder = common::sample("detectors").join(detector.id);
        for kind in ["hit", "quiet"] {
            assert!(
                folder.join(kind).is_dir(),
                "no {kind} sample: add samples/detectors/{}/{kind}/",
                detector.id
            );
        }
        let fired = |kind: &str| {
            let found = common::diagnosis(&folder.join(kind));
            found.findings.iter().filter(|finding| finding.detector == detector.id).count()
        };
        assert!(fired("hit") > 0, "{} does not see its own hit", detector.id);
        assert_eq!(fired("quiet"), 0, "{} accuses its quiet sample", detector.id);
    }
}

#[test]
fn the_docs_are_those_of_the_code() {
    let written = std::fs::read_to_string(common::root().join("docs/detectors.md")).unwrap_or_default();
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_kubetriage"))
        .args(["detectors", "--markdown"])
        .output()
        .unwrap();
    assert!(written == String::from_utf8(made.stdout).unwrap(), "docs/detectors.md is old: run `just docs`");
}

#[test]
fn the_schema_is_that_of_the_code() {
    let written = std::fs::read_to_string(common::root().join("docs/report.schema.json")).unwrap_or_default();
    assert!(written == kubetriage::report::schema(), "docs/report.schema.json is old: run `just docs`");
}
