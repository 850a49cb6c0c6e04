//! What the program writes, judged by the standards that it claims to follow.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

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

/// What the API server would make of an object: read as its type and written again. `None` for a kind that is not
/// expected in a fix.
fn as_kubernetes_reads_it(
    object: &serde_json::Value,
) -> Option<Result<serde_json::Value, serde_json::Error>> {
    use k8s_openapi::api::{discovery::v1 as discovery, networking::v1 as networking, rbac::v1 as rbac};
    use serde::{Serialize, de::DeserializeOwned};

    fn again<T: Serialize + DeserializeOwned>(
        object: &serde_json::Value,
    ) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::from_value::<T>(object.clone()).and_then(serde_json::to_value)
    }
    Some(match (object["apiVersion"].as_str()?, object["kind"].as_str()?) {
        ("rbac.authorization.k8s.io/v1", "Role") => again::<rbac::Role>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => again::<rbac::ClusterRole>(object),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => again::<rbac::RoleBinding>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => again::<rbac::ClusterRoleBinding>(object),
        ("networking.k8s.io/v1", "NetworkPolicy") => again::<networking::NetworkPolicy>(object),
        ("discovery.k8s.io/v1", "EndpointSlice") => again::<discovery::EndpointSlice>(object),
        _ => return None,
    })
}

/// Fields of one that the other lost: names that Kubernetes does not know.
fn lost(written: &serde_json::Value, read: &serde_json::Value, path: &str, into: &mut Vec<String>) {
    match (written, read) {
        (serde_json::Value::Object(written), serde_json::Value::Object(read)) => {
            for (key, value) in written {
                match read.get(key) {
                    Some(other) => lost(value, other, &format!("{path}.{key}"), into),
                    // An empty list or map is the same as none.
                    None if value.as_array().is_some_and(Vec::is_empty)
                        || value.as_object().is_some_and(serde_json::Map::is_empty) => {}
                    None => into.push(format!("{path}.{key}")),
                }
            }
        }
        (serde_json::Value::Array(written), serde_json::Value::Array(read)) => {
            for (at, (value, other)) in written.iter().zip(read).enumerate() {
                lost(value, other, &format!("{path}[{at}]"), into);
            }
        }
        _ => {}
    }
}

#[test]
fn every_manifest_of_a_fix_is_one_that_kubernetes_takes() {
    let mut seen = 0;
    let detectors = std::fs::read_dir(sample("detectors")).unwrap();
    let hits = detectors.map(|folder| folder.unwrap().path().join("hit"));
    for hit in hits.chain([sample("bundles/contoso-shop"), sample("inputs")]).filter(|hit| hit.is_dir()) {
        let diagnosis = diagnose(&[Input::Path(hit.clone())], &Options::default()).unwrap();
        for manifest in diagnosis.findings.iter().flat_map(|finding| &finding.fix.manifests) {
            let objects: Vec<serde_json::Value> = serde_saphyr::from_multiple(manifest)
                .unwrap_or_else(|error| panic!("{} gives no YAML: {error}\n{manifest}", hit.display()));
            for object in objects {
                let read = as_kubernetes_reads_it(&object)
                    .unwrap_or_else(|| panic!("{}: an object of no expected kind: {object}", hit.display()))
                    .unwrap_or_else(|error| panic!("{}: {error}\n{manifest}", hit.display()));
                let mut unknown = Vec::new();
                lost(&object, &read, "", &mut unknown);
                assert!(unknown.is_empty(), "{}: unknown fields {unknown:?}\n{manifest}", hit.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 15, "only {seen} objects");
}
