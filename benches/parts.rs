//! The rooms one by one, on small inputs: scan (lines of logs), parse (objects and rows), merge, and the engines. For
//! telling which part a change made faster or slower; the goals are measured by the other benchmark.
#![expect(clippy::unwrap_used, reason = "a benchmark that can't set up has nothing to measure")]
#![expect(clippy::disallowed_methods, reason = "its inputs are files")]

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kubetriage::bundle::{self, Input, Progress};
use kubetriage::cluster::Cluster;
use kubetriage::cluster::policy::{Protocol, Socket};
use kubetriage::cluster::rbac::{Authorizer, Review};
use kubetriage::cluster::reach::Resolver;
use kubetriage::facts::{Facts, Scope, Target};
use kubetriage::{Options, scan};

/// About so many bytes of each input.
const BYTES: usize = 4_000_000;

fn facts_of(path: &Path) -> Facts {
    let opened =
        bundle::open(&[Input::Path(path.to_owned())], &kubetriage::bundle::Limits::default()).unwrap();
    scan(&opened, &Options { threads: Some(1), ..Options::default() }, &Progress::default())
}

/// Records, one after the other, until there are enough bytes.
fn filled(head: &str, mut record: impl FnMut(usize, &mut String), tail: &str) -> String {
    let mut text = head.to_owned();
    for k in 0.. {
        if text.len() > BYTES {
            break;
        }
        record(k, &mut text);
    }
    text + tail
}

/// Lines of the API server: one in 200 is refused.
fn access_log() -> String {
    filled(
        "",
        |k, text| {
            let (verb, code) = if k % 200 == 7 { ("create", 403) } else { ("LIST", 200) };
            let _ = writeln!(
                text,
                "I1123 20:52:{:02}.889309   16403 httplog.go:132] \"HTTP\" verb=\"{verb}\" URI=\"/api/v1/namespaces/shop/pods?limit={k}\" latency=\"{k}µs\" userAgent=\"operator/v1 (linux/amd64) kubernetes/$Format\" audit-ID=\"{k:08x}-0000-4000-8000-000000000000\" srcIP=\"10.0.0.{}:443\" resp={code}",
                k % 60,
                k % 250
            );
        },
        "",
    )
}

/// Audit events: one in 50 is refused.
fn audit_log() -> String {
    filled(
        "",
        |k, text| {
            let (code, decision) = if k % 50 == 7 { (403, "forbid") } else { (200, "allow") };
            let _ = writeln!(
                text,
                "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"Metadata\",\"auditID\":\"{k:08x}-0000-4000-8000-000000000000\",\"stage\":\"ResponseComplete\",\"requestURI\":\"/api/v1/namespaces/shop/secrets\",\"verb\":\"list\",\"user\":{{\"username\":\"system:serviceaccount:shop:app-{}\",\"groups\":[\"system:serviceaccounts\",\"system:authenticated\"]}},\"sourceIPs\":[\"10.0.0.9\"],\"userAgent\":\"operator/v1\",\"objectRef\":{{\"resource\":\"secrets\",\"namespace\":\"shop\",\"apiVersion\":\"v1\"}},\"responseStatus\":{{\"metadata\":{{}},\"code\":{code}}},\"requestReceivedTimestamp\":\"2026-11-23T20:52:00.000000Z\",\"stageTimestamp\":\"2026-11-23T20:52:00.001000Z\",\"annotations\":{{\"authorization.k8s.io/decision\":\"{decision}\"}}}}",
                k % 40
            );
        },
        "",
    )
}

fn pod(k: usize) -> String {
    format!(
        "        {{\n            \"apiVersion\": \"v1\",\n            \"kind\": \"Pod\",\n            \"metadata\": {{\n                \"labels\": {{\n                    \"app\": \"app-{}\"\n                }},\n                \"name\": \"app-{k}\",\n                \"namespace\": \"shop\"\n            }},\n            \"spec\": {{\n                \"containers\": [\n                    {{\n                        \"image\": \"contoso.azurecr.io/shop/app:1.{k}\",\n                        \"name\": \"app\",\n                        \"ports\": [\n                            {{\n                                \"containerPort\": 8080,\n                                \"protocol\": \"TCP\"\n                            }}\n                        ]\n                    }}\n                ],\n                \"nodeName\": \"aks-np1-vmss00000{}\",\n                \"serviceAccountName\": \"default\"\n            }},\n            \"status\": {{\n                \"conditions\": [\n                    {{\n                        \"status\": \"True\",\n                        \"type\": \"Ready\"\n                    }}\n                ],\n                \"phase\": \"Running\",\n                \"podIP\": \"10.244.{}.{}\"\n            }}\n        }}",
        k % 100,
        k % 9,
        k / 250 % 250,
        k % 250
    )
}

fn pods() -> String {
    let more = |k: usize, text: &mut String| {
        text.push_str(if k == 0 { "" } else { ",\n" });
        text.push_str(&pod(k));
    };
    filled(
        "{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n",
        more,
        "\n    ],\n    \"kind\": \"List\"\n}\n",
    )
}

/// Rows of container logs: one in 100 tells of a connection that failed.
fn container_logs() -> String {
    filled(
        "TimeGenerated [UTC],Computer,ContainerId,ContainerName,PodName,PodNamespace,LogMessage,LogSource\r\n",
        |k, text| {
            let message = if k % 100 == 7 {
                "dial tcp 10.0.9.9:5432: connect: connection refused"
            } else {
                "10.224.0.1 - - \"\"GET /orders HTTP/1.1\"\" 200 8411 \"\"-\"\" \"\"okhttp/4.12.0\"\" 833µs"
            };
            let _ = write!(
                text,
                "\"11/23/2026, 8:00:00.{:03} AM\",aks-np1-vmss000000,ff6f5442fed5,app,app-{},shop,\"{message} {k}\",stdout\r\n",
                k % 1000,
                k % 50
            );
        },
        "",
    )
}

fn events() -> String {
    filled(
        "TimeGenerated [UTC],Computer,Count,FirstSeen [UTC],KubeEventType,LastSeen [UTC],Message,Name,Namespace,ObjectKind,Reason\r\n",
        |k, text| {
            let _ = write!(
                text,
                "\"11/23/2026, 8:00:00.000 AM\",aks-np1-vmss000000,4,\"11/23/2026, 7:00:00.000 AM\",Warning,\"11/23/2026, 8:00:00.000 AM\",\"Back-off restarting failed container app in pod app-{k}\",app-{k},shop,Pod,BackOff\r\n"
            );
        },
        "",
    )
}

fn read(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    for (group, name, file, text) in [
        ("scan", "access lines", "kube-apiserver.log", access_log()),
        ("scan", "audit events", "audit.log", audit_log()),
        ("parse", "pods", "pods.json", pods()),
        ("parse", "rows of container logs", "logs.csv", container_logs()),
        ("parse", "rows of events", "events.csv", events()),
    ] {
        let path = folder.path().join(file);
        std::fs::write(&path, &text).unwrap();
        let mut group = criterion.benchmark_group(group);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| black_box(facts_of(&path))));
    }
}

fn merge(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("events.csv", events()), ("audit.log", audit_log()), ("pods.json", pods())] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let facts = facts_of(folder.path());
    criterion.bench_function("merge/facts with their like", |bencher| {
        bencher.iter_batched(
            || (facts.clone(), facts.clone()),
            |(item, other)| item.merge(other),
            BatchSize::LargeInput,
        );
    });
    criterion.bench_function("reason/freeze", |bencher| {
        bencher.iter_batched(|| facts.clone(), Cluster::freeze, BatchSize::LargeInput);
    });
}

fn engines(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pods.json"), pods()).unwrap();
    let (mut rbac, mut policies) = (String::new(), String::new());
    for k in 0..500 {
        let _ = writeln!(
            rbac,
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: r{k}, namespace: shop}}\nrules: [{{apiGroups: [\"\"], resources: [configmaps], verbs: [get]}}]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: r{k}, namespace: shop}}\nroleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: r{k}}}\nsubjects: [{{kind: ServiceAccount, name: app-{k}, namespace: shop}}]"
        );
        let _ = writeln!(
            policies,
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{k}, namespace: shop}}\nspec: {{podSelector: {{matchLabels: {{app: app-{}}}}}, ingress: [{{from: [{{podSelector: {{matchLabels: {{app: app-{}}}}}}}]}}]}}",
            k % 100,
            k % 37
        );
    }
    std::fs::write(folder.path().join("rbac.yaml"), rbac).unwrap();
    std::fs::write(folder.path().join("policies.yaml"), policies).unwrap();
    let cluster = Cluster::freeze(facts_of(folder.path()));

    let authorizer = Authorizer::new(&cluster.facts.objects);
    let target = Target::Resource {
        group: "".into(),
        resource: "secrets".into(),
        subresource: "".into(),
        scope: Scope::Namespace("shop".into()),
    };
    let groups = kubetriage::cluster::rbac::implied_groups("system:serviceaccount:shop:app-7");
    let review = Review {
        user: "system:serviceaccount:shop:app-7",
        groups: &groups,
        verb: "get",
        target: &target,
        name: "x",
    };
    criterion.bench_function("engines/may an account do it", |bencher| {
        bencher.iter(|| black_box(authorizer.decide(black_box(&review))));
    });

    let resolver = Resolver::new(&cluster);
    let (from, to) = (resolver.pod("shop", "app-3").unwrap(), resolver.pod("shop", "app-7").unwrap());
    let socket = Socket { protocol: Protocol::Tcp, port: 8080 };
    criterion.bench_function("engines/may a pod reach a pod", |bencher| {
        bencher.iter(|| black_box(cluster.policies.evaluate(black_box(&from), &to, socket)));
    });
}

criterion_group! {
    name = parts;
    config = Criterion::default().sample_size(20);
    targets = read, merge, engines
}
criterion_main!(parts);
