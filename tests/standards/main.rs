//! What the program writes, judged by the standards that it claims to follow.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use kubetriage::bundle::Input;
use kubetriage::report::{Format, render};
use kubetriage::{Options, diagnose};

/// Bundles that between them have findings of every shape.
const BUNDLES: [&str; 4] =
    ["bundles/contoso-shop", "detectors/pod-ip-leak/hit", "detectors/forbidden-not-by-rbac/hit", "inputs"];

fn sample(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples").join(path)
}

fn rendered(bundle: &str, format: Format) -> String {
    let diagnosis = diagnose(&[Input::Path(sample(bundle))], &Options::default()).unwrap();
    render(&diagnosis, format).unwrap()
}

#[test]
fn the_json_report_obeys_its_schema() {
    let schema: serde_json::Value = serde_json::from_str(&kubetriage::report::schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for bundle in BUNDLES {
        let json: serde_json::Value = serde_json::from_str(&rendered(bundle, Format::Json)).unwrap();
        let wrong: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{bundle}: {wrong:?}");
    }
}

#[test]
fn the_sarif_report_is_sarif() {
    for bundle in BUNDLES {
        let log: serde_sarif::sarif::Sarif = serde_json::from_str(&rendered(bundle, Format::Sarif)).unwrap();
        assert!(!log.runs[0].results.as_ref().unwrap().is_empty(), "{bundle}");
    }
}
