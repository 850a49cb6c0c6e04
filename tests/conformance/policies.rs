//! Answers of other evaluators of network policies, compared with those of the engine.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

use kubetriage::bundle::{self, Input, Progress};
use kubetriage::cluster::Cluster;
use kubetriage::cluster::policy::{End, Ports};
use kubetriage::cluster::reach::Resolver;
use kubetriage::facts::{Form, Key};
use kubetriage::{Options, scan};
use serde_json::{Value, json};

/// Files named so below a folder.
fn named(folder: &Path, name: &str) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    all.filter(|entry| entry.file_name() == name).map(walkdir::DirEntry::into_path).collect()
}

/// What agreed, what was asked, and the first that did not.
pub(crate) struct Compared {
    /// Which data.
    pub(crate) name: String,
    /// Answers that agree.
    pub(crate) right: usize,
    /// Answers.
    pub(crate) asked: usize,
    /// The first difference.
    pub(crate) wrong: Option<String>,
}

/// All comparisons that a folder holds data for.
pub(crate) fn compare(folder: &Path) -> Vec<Compared> {
    let mut all: Vec<Compared> = named(folder, "pod-matrix.json").iter().map(|file| matrix(file)).collect();
    all.extend(named(folder, "expected.txt").iter().filter_map(|file| file.parent()).map(connectivity));
    all
}

/// Each case of the matrix as a bundle, asked by the bulk command.
fn matrix(file: &Path) -> Compared {
    let cases: Value = serde_json::from_slice(&std::fs::read(file).expect("the matrix is there"))
        .expect("the matrix is JSON");
    let mut compared = Compared { name: "pod-matrix.json".to_owned(), right: 0, asked: 0, wrong: None };
    let cluster = three_by_three();
    for case in cases.as_array().into_iter().flatten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut items = cluster.clone();
        items.extend(case["policies"].as_array().cloned().unwrap_or_default());
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        let bundle = folder.path().join("objects.json");
        std::fs::write(&bundle, list.to_string()).expect("a file");
        let allowed = case["allowed"].as_object().cloned().unwrap_or_default();
        let flow = |key: &String| {
            let (from, rest) = key.split_once("->").expect("two ends");
            let (to, socket) = rest.split_once(':').expect("a port");
            let (port, protocol) = socket.split_once('/').expect("a protocol");
            let port: u16 = port.parse().expect("a number");
            json!({ "from": from, "to": to, "port": port, "protocol": protocol }).to_string()
        };
        let flows = folder.path().join("flows.jsonl");
        std::fs::write(&flows, allowed.keys().map(flow).collect::<Vec<_>>().join("\n")).expect("a file");
        let out = Command::new(env!("CARGO_BIN_EXE_kubetriage"))
            .arg("reach")
            .arg(&bundle)
            .arg("--flows")
            .arg(&flows)
            .output()
            .expect("the program starts");
        let text = String::from_utf8_lossy(&out.stdout);
        let mut answers = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_default());
        for (key, expected) in &allowed {
            compared.asked += 1;
            let answer = answers.next().unwrap_or_default();
            let decision = if *expected == true { "allowed" } else { "denied" };
            if answer["allowed"] == *expected && answer["decision"] == decision {
                compared.right += 1;
            } else {
                compared
                    .wrong
                    .get_or_insert_with(|| format!("{}: {key} is {expected}, not {answer}", case["name"]));
            }
        }
    }
    compared
}

/// The cluster that the matrix was made on: see the data's read-me.
fn three_by_three() -> Vec<Value> {
    let mut items = Vec::new();
    for (n, namespace) in ["x", "y", "z"].into_iter().enumerate() {
        items.push(json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace, "labels": { "ns": namespace } },
        }));
        for (p, pod) in ["a", "b", "c"].into_iter().enumerate() {
            let ip = format!("192.168.1.{}", n * 3 + p + 1);
            let ports = ["TCP", "UDP", "SCTP"].into_iter().flat_map(|protocol| {
                [80, 81].map(|port| {
                    let name = format!("serve-{port}-{}", protocol.to_lowercase());
                    json!({ "name": name, "containerPort": port, "protocol": protocol })
                })
            });
            items.push(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": pod, "namespace": namespace, "labels": { "pod": pod } },
                "spec": { "containers": [{ "name": "c", "ports": ports.collect::<Vec<_>>() }] },
                "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }] },
            }));
        }
    }
    items
}

/// A workload, as np-guard names it, and one of its pods.
struct Workload {
    shown: String,
    pod: Key,
}

/// The list of connections that np-guard gives of a folder of manifests.
///
/// Exemptions, since the list is that tool's view and no cluster's:
/// - ranges of addresses never mean pods there: the pods' addresses are taken away before the question;
/// - the host's network is not known there: the flag is taken away, too;
/// - connections of a workload to itself are left out there: they are not asked;
/// - every namespace has its name as a label there, as the API server would give it: the manifests were written by
///   hand and lack it, so it is added;
/// - pods of one owner are one workload there: its first pod is asked.
fn connectivity(case: &Path) -> Compared {
    let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut compared = Compared { name, right: 0, asked: 1, wrong: None };
    match differences(case) {
        Ok(()) => compared.right = 1,
        Err(wrong) => compared.wrong = Some(wrong),
    }
    compared
}

fn differences(case: &Path) -> Result<(), String> {
    let opened = bundle::open(&[Input::Path(case.join("manifests"))], &kubetriage::bundle::Limits::default())
        .map_err(|error| error.to_string())?;
    let mut facts = scan(&opened, &Options::default(), &Progress::default());
    for seen in facts.objects.pods.values_mut() {
        seen.object.spec.host_network = false;
        seen.object.status.pod_ip = "".into();
        seen.object.status.pod_ips = [].into();
    }
    for seen in facts.objects.namespaces.values_mut() {
        let labels = &seen.object.metadata.labels;
        let name = ("kubernetes.io/metadata.name".into(), seen.object.metadata.name.clone());
        let ours = labels.iter().map(|(key, value)| (key.clone(), value.clone()));
        seen.object.metadata.labels = ours.chain([name]).collect();
    }
    let cluster = Cluster::freeze(facts);
    let resolver = Resolver::new(&cluster);
    let expected = std::fs::read_to_string(case.join("expected.txt")).map_err(|error| error.to_string())?;
    let mut wanted: BTreeMap<(String, String), String> = BTreeMap::new();
    for line in expected.lines().filter(|line| line.contains(" => ")) {
        let (ends, connections) = line.rsplit_once(" : ").ok_or("a line without connections")?;
        let (from, to) = ends.split_once(" => ").ok_or("a line without ends")?;
        wanted.insert((from.trim().to_owned(), to.trim().to_owned()), connections.trim().to_owned());
    }
    let workloads = workloads(&cluster);
    let ranges: BTreeSet<(Ipv4Addr, Ipv4Addr)> =
        wanted.keys().flat_map(|(from, to)| [from, to]).filter_map(|end| range(end)).collect();
    let mut addresses = BTreeSet::from([Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST]);
    for (first, last) in &ranges {
        addresses.extend([*first, *last, u32::from(*last).saturating_add(1).into()]);
    }
    let pod = |workload: &Workload| {
        resolver.pod(&workload.pod.namespace, &workload.pod.name).ok_or("a pod is lost")
    };
    for from in &workloads {
        for to in workloads.iter().filter(|to| to.shown != from.shown) {
            let given = shown(&cluster.policies.ports(&pod(from)?, &pod(to)?))?;
            let wanted = wanted.get(&(from.shown.clone(), to.shown.clone())).map_or("", String::as_str);
            if given != wanted {
                return Err(format!("{} => {}: {given:?} instead of {wanted:?}", from.shown, to.shown));
            }
        }
        for address in &addresses {
            let outside = End::Address(IpAddr::V4(*address));
            let of = |inward: bool| {
                wanted.iter().find(|((a, b), _)| {
                    let (ours, other) = if inward { (b, a) } else { (a, b) };
                    ours == &from.shown
                        && range(other).is_some_and(|(first, last)| (first..=last).contains(address))
                })
            };
            for inward in [true, false] {
                let given = if inward {
                    shown(&cluster.policies.ports(&outside, &pod(from)?))?
                } else {
                    shown(&cluster.policies.ports(&pod(from)?, &outside))?
                };
                let wanted = of(inward).map_or("", |(_, connections)| connections);
                if given != wanted {
                    return Err(format!(
                        "{} and {address}, inward {inward}: {given:?} instead of {wanted:?}",
                        from.shown
                    ));
                }
            }
        }
    }
    Ok(())
}

/// `10.0.0.0-10.255.255.255[External]`.
fn range(end: &str) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let (first, last) = end.strip_suffix("[External]")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Pods by their owner; workloads without pods by themselves.
fn workloads(cluster: &Cluster) -> Vec<Workload> {
    let objects = &cluster.facts.objects;
    let namespace =
        |key: &Key| if key.namespace.is_empty() { "default".to_owned() } else { key.namespace.to_string() };
    let mut found: BTreeMap<String, Key> = BTreeMap::new();
    for (key, seen) in objects.pods.iter() {
        let owner = seen.object.metadata.owner_references.first();
        let (name, kind) = owner.map_or((&key.name, "Pod"), |owner| (&owner.name, &owner.kind));
        // An owner that does not tell its kind.
        let kind = if kind.is_empty() { "Pod" } else { kind };
        found.entry(format!("{}/{name}[{kind}]", namespace(key))).or_insert_with(|| key.clone());
    }
    let stores = [
        ("Deployment", &objects.deployments),
        ("StatefulSet", &objects.stateful_sets),
        ("DaemonSet", &objects.daemon_sets),
        ("ReplicaSet", &objects.replica_sets),
    ];
    for (kind, store) in stores {
        for (key, _) in store.iter().filter(|(_, seen)| seen.form == Form::Full) {
            found.entry(format!("{}/{}[{kind}]", namespace(key), key.name)).or_insert_with(|| key.clone());
        }
    }
    found.into_iter().map(|(text, pod)| Workload { shown: text, pod }).collect()
}

/// `All Connections`, `SCTP 7070,TCP 8080-8081`, or nothing.
fn shown(ports: &[Ports]) -> Result<String, String> {
    if ports.iter().any(|port| !port.unknown.is_empty()) {
        return Err("an answer is unknown".to_owned());
    }
    if ports.iter().all(Ports::all) {
        return Ok("All Connections".to_owned());
    }
    let mut words: Vec<String> = ports
        .iter()
        .filter(|port| !port.open.is_empty())
        .map(|port| {
            let ranges = port.open.iter().map(|(first, last)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            });
            format!("{} {}", port.protocol.name(), ranges.collect::<Vec<_>>().join(","))
        })
        .collect();
    words.sort();
    Ok(words.join(","))
}
