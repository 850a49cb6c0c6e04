//! One cluster, told in seven ways: each alone must give the same facts, as far as it can hold them.
//!
//! [`CARRIED`] states per kind and representation what is carried; what is not listed can't be, and
//! must then not be claimed either.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kubetriage::Options;
use kubetriage::bundle::{self, Input, Progress};
use kubetriage::facts::Facts;

/// The representations of the lab's bundle, and where they lie in it.
const REPRESENTATIONS: [(&str, &str); 7] = [
    ("json", "json"),
    ("yaml", "yaml"),
    ("wide", "wide"),
    ("describe", "describe"),
    ("dump", "cluster-info-dump"),
    ("dump-yaml", "cluster-info-dump-yaml"),
    ("dump-stream", "cluster-info-dump-stream.txt"),
];

const ALL: &[&str] = &["*"];
const NAMES: &[&str] = &[];

/// Kind, representation, fields. `*` is every field; no field means that the object's name is carried.
///
/// Why not more: a `wide` row has no labels, no owner, no conditions, no service account; of a service no
/// names of ports and no target ports; of a slice no readiness and no service. `describe` of roles and
/// bindings prints no namespace, and of bindings of a ClusterRole not whether they are of the cluster;
/// the lab has no `describe` of the other kinds. `cluster-info dump` collects eight kinds.
const CARRIED: &[(&str, &[&str], &[&str])] = &[
    ("Pod", &["yaml", "dump", "dump-yaml", "dump-stream"], ALL),
    ("Node", &["yaml", "dump", "dump-yaml", "dump-stream"], ALL),
    ("Service", &["yaml", "dump", "dump-yaml", "dump-stream"], ALL),
    ("Deployment", &["yaml", "dump", "dump-yaml", "dump-stream"], ALL),
    ("ReplicaSet", &["yaml", "dump", "dump-yaml", "dump-stream"], ALL),
    ("DaemonSet", &["yaml", "dump", "dump-yaml", "dump-stream"], ALL),
    ("Namespace", &["yaml"], ALL),
    ("Endpoints", &["yaml"], ALL),
    ("EndpointSlice", &["yaml"], ALL),
    ("Role", &["yaml"], ALL),
    ("ClusterRole", &["yaml"], ALL),
    ("RoleBinding", &["yaml"], ALL),
    ("ClusterRoleBinding", &["yaml"], ALL),
    ("NetworkPolicy", &["yaml"], ALL),
    ("ConfigMap", &["yaml", "wide"], ALL),
    ("ServiceAccount", &["yaml"], ALL),
    ("NodeNetworkConfig", &["yaml"], ALL),
    ("Pod", &["wide"], &["node", "addresses", "host network", "ready", "restarts", "being deleted"]),
    (
        "Pod",
        &["describe"],
        &[
            "node",
            "addresses",
            "host network",
            "ready",
            "restarts",
            "service account",
            "labels",
            "ports",
            "owner",
            "being deleted",
            "conditions",
        ],
    ),
    ("Node", &["wide"], &["ready", "cordoned", "version", "internal address", "OS image", "runtime"]),
    ("Node", &["describe"], ALL),
    ("Namespace", &["wide"], &["phase"]),
    (
        "Service",
        &["wide"],
        &["type", "cluster address", "selector", "ports", "external name", "load balancer"],
    ),
    ("Service", &["describe"], ALL),
    ("Endpoints", &["wide"], &["addresses"]),
    ("Endpoints", &["describe"], &["addresses"]),
    ("EndpointSlice", &["wide"], &["address type", "ports"]),
    ("Deployment", &["wide"], &["replicas", "selector"]),
    ("ReplicaSet", &["wide"], &["replicas", "selector"]),
    ("DaemonSet", &["wide"], &["selector"]),
    ("RoleBinding", &["wide"], ALL),
    ("ClusterRoleBinding", &["wide"], ALL),
    ("NetworkPolicy", &["wide", "describe"], NAMES),
    ("NodeNetworkConfig", &["wide"], &["requested", "allocated", "subnet", "mode", "container id"]),
];

type Claims = BTreeMap<(String, String), BTreeMap<&'static str, String>>;

fn facts(path: &Path) -> Facts {
    let opened = bundle::open(&[Input::Path(path.to_owned())], &kubetriage::bundle::Limits::default())
        .expect("the lab's bundle is there");
    let mut facts = kubetriage::scan(&opened, &Options::default(), &Progress::default());
    facts.objects.settle();
    facts
}

fn statements(facts: &Facts) -> Claims {
    let all = facts.objects.statements().into_iter();
    all.map(|(kind, key, _, statements)| ((kind.to_owned(), key), statements.into_iter().collect())).collect()
}

/// Compares every representation with JSON; gives the differences.
pub(crate) fn compare(lab: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let reference = facts(&lab.join("json"));
    let expected = statements(&reference);
    for (name, path) in &REPRESENTATIONS[1..] {
        let read = facts(&lab.join(path));
        let found = statements(&read);
        // The stream was taken of two namespaces only.
        let namespaces: BTreeSet<&str> =
            found.keys().filter_map(|(_, key)| key.split_once('/')).map(|(namespace, _)| namespace).collect();
        let within = |key: &str| {
            *name != "dump-stream"
                || key.split_once('/').is_none_or(|(namespace, _)| namespaces.contains(namespace))
        };
        for ((kind, key), message) in expected.iter().filter(|((_, key), _)| within(key)) {
            let carried: Vec<_> =
                CARRIED.iter().filter(|(of, by, _)| of == kind && by.contains(name)).collect();
            let Some((_, _, fields)) = carried.first() else {
                continue;
            };
            let Some(given) = found.get(&(kind.clone(), key.clone())) else {
                wrong.push(format!("{name}: {kind} {key} is missing"));
                continue;
            };
            for (field, value) in message {
                let held = **fields == *ALL || fields.contains(field);
                match given.get(field) {
                    Some(other) if held && other != value => {
                        wrong.push(format!("{name}: {kind} {key}, {field}: {other}, not {value}"));
                    }
                    None if held && !short(kind, field, name) => {
                        wrong.push(format!("{name}: {kind} {key}, {field}: missing, not {value}"));
                    }
                    Some(other) if other != value => wrong.push(format!(
                        "{name}: {kind} {key} claims {field}: {other}, and is not said to carry it ({value})"
                    )),
                    _ => {}
                }
            }
            for (field, value) in given {
                let held = **fields == *ALL || fields.contains(field);
                if held && !message.contains_key(field) {
                    wrong.push(format!(
                        "{name}: {kind} {key} claims {field}: {value}, of which JSON says nothing"
                    ));
                }
            }
        }
        let known: BTreeSet<_> = expected.keys().collect();
        for key in found.keys().filter(|key| !known.contains(key)) {
            wrong.push(format!("{name}: {} {} is not in the JSON", key.0, key.1));
        }
        wrong.extend(events(name, &reference, &read, |namespace| {
            *name != "dump-stream" || namespaces.contains(namespace)
        }));
    }
    wrong
}

/// A table shows three addresses and says how many it leaves out: then it claims none.
fn short(kind: &str, field: &str, representation: &str) -> bool {
    matches!((kind, field), ("Endpoints", "addresses")) && matches!(representation, "wide" | "describe")
}

/// Events: who, what, how often. Tables tell no absolute times.
fn events(name: &str, reference: &Facts, read: &Facts, within: impl Fn(&str) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, tally) in reference.events.map.iter().filter(|(key, _)| within(&key.namespace)) {
        match read.events.map.get(key) {
            Some(other) if other.count != tally.count => {
                wrong.push(format!("{name}: event {key:?}: {} times, not {}", other.count, tally.count));
            }
            Some(_) => {}
            None => wrong.push(format!("{name}: event {key:?} is missing")),
        }
    }
    wrong
}
