//! Runs the program over a folder of real bundles and prints a table: bundle, entries, share recognised,
//! findings, seconds, peak memory. Fails when it crashes, and where the truth is known when it differs.
//!
//! `just conformance ../shared/data`; without a folder it runs over the samples.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::indexing_slicing)]

mod policies;
mod representations;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use serde_json::Value;
use wait4::Wait4;

/// What came of one bundle.
struct Row {
    name: String,
    report: Option<Value>,
    seconds: f64,
    peak: u64,
    wrong: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Test runners ask harness-less tests for their list.
    if arguments.iter().any(|argument| argument == "--list") {
        println!("conformance: test");
        return ExitCode::SUCCESS;
    }
    let folder = arguments
        .iter()
        .find(|argument| !argument.starts_with('-'))
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples"), PathBuf::from);
    let bundles = bundles(&folder);
    let compared = policies::compare(&folder);
    if bundles.is_empty() && oracles(&folder).is_empty() && compared.is_empty() {
        println!("nothing to run in {}", folder.display());
        return ExitCode::FAILURE;
    }
    println!(
        "| bundle | entries | MB | recognised | accounted for | findings (confirmed) | seconds | peak MiB |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let mut failed = 0;
    let mut passed = 0;
    for bundle in bundles {
        let mut row = run(&folder, &bundle);
        if let Some(report) = &row.report {
            row.wrong.extend(detect(&bundle, report));
        }
        if row.name.ends_with("control-plane-1.36.tar.gz") {
            row.wrong.extend(equivalence(&bundle));
        }
        print(&row);
        if row.wrong.is_empty() { passed += 1 } else { failed += 1 }
    }
    for oracle in oracles(&folder) {
        let (right, question, first_wrong) = ask(&oracle);
        println!(
            "| {} | | | | | {right} of {question} reviews agree | | |",
            oracle.strip_prefix(&folder).unwrap_or(&oracle).display()
        );
        if right == question && question > 0 {
            passed += 1;
        } else {
            println!("  WRONG {}: {first_wrong}", oracle.display());
            failed += 1;
        }
    }
    for compared in compared {
        println!(
            "| {} | | | | | {} of {} verdicts agree | | |",
            compared.name, compared.right, compared.asked
        );
        match compared.wrong {
            None => passed += 1,
            Some(wrong) => {
                println!("  WRONG {}: {wrong}", compared.name);
                failed += 1;
            }
        }
    }
    println!("\n{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The lab's bundle tells one cluster in seven ways.
fn equivalence(bundle: &Path) -> Vec<String> {
    let unpacked = tempfile::tempdir().expect("a temporary folder");
    let file = std::fs::File::open(bundle).expect("the bundle is there");
    tar::Archive::new(flate2::read::GzDecoder::new(file))
        .unpack(unpacked.path())
        .expect("the bundle unpacks");
    let tops = std::fs::read_dir(unpacked.path()).expect("a folder").filter_map(Result::ok);
    tops.flat_map(|top| representations::compare(&top.path())).collect()
}

/// Archives with RBAC objects and the answers that a real API server gave.
fn oracles(folder: &Path) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    let oracle =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("oracle-"));
    all.map(walkdir::DirEntry::into_path).filter(oracle).collect()
}

/// Asks every review of an oracle by the bulk command; decisions and words on missing roles must agree. An
/// allowed request may be allowed by several bindings: which one is named is up to the server's memory.
#[allow(clippy::disallowed_methods)]
fn ask(oracle: &Path) -> (usize, usize, String) {
    let unpacked = tempfile::tempdir().expect("a temporary folder");
    let file = std::fs::File::open(oracle).expect("the oracle is there");
    tar::Archive::new(flate2::read::GzDecoder::new(file))
        .unpack(unpacked.path())
        .expect("the oracle unpacks");
    let answers = walkdir::WalkDir::new(unpacked.path()).into_iter().filter_map(Result::ok);
    let answers = answers
        .map(walkdir::DirEntry::into_path)
        .find(|path| path.ends_with("oracle.jsonl"))
        .expect("answers");
    let answers = std::fs::read_to_string(answers).expect("answers are text");
    let expected: Vec<Value> = answers.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let reviews = unpacked.path().join("reviews.jsonl");
    let specs: Vec<String> = expected.iter().map(|item| item["spec"].to_string()).collect();
    std::fs::write(&reviews, specs.join("\n")).expect("a file");
    let out = Command::new(env!("CARGO_BIN_EXE_kubetriage"))
        .arg("can-i")
        .arg(unpacked.path())
        .arg("--reviews")
        .arg(&reviews)
        .output()
        .expect("the program starts");
    let given: Vec<Value> = String::from_utf8_lossy(&out.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let agrees = |(expected, given): &(&Value, &Value)| {
        let allowed = expected["allowed"] == true;
        let decision = if allowed { "allowed" } else { "denied" };
        given["decision"] == decision
            && given["allowed"] == allowed
            && (allowed || given["reason"] == expected["reason"])
    };
    let right = expected.iter().zip(&given).filter(agrees).count();
    let wrong = expected.iter().zip(&given).find(|pair| !agrees(pair));
    (
        right,
        expected.len(),
        wrong.map_or_else(String::new, |(expected, given)| format!("{expected} — {given}")),
    )
}

/// Archives and files that are bundles; of the project's samples, the folders of bundles and detectors.
fn bundles(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if folder.join("detectors").is_dir() {
        for group in ["bundles", "detectors"] {
            let walk =
                walkdir::WalkDir::new(folder.join(group)).min_depth(1).max_depth(2).sort_by_file_name();
            for entry in walk.into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_dir()) {
                let depth = if group == "bundles" { 1 } else { 2 };
                if entry.depth() == depth && !entry.file_name().to_string_lossy().ends_with(".golden") {
                    found.push(entry.into_path());
                }
            }
        }
        return found;
    }
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path().to_string_lossy().into_owned();
        // Cases of the policy matrix, truth files and read-mes are no bundles. Cases with a truth of their own and the
        // recorded clusters are scored (`tests/score`); what is made to hurt has limits of its own
        // to keep, and what no format reads yet is a table of wishes.
        let skipped = [
            "README.md",
            "truth",
            "network-policy",
            "/rbac/",
            "/cases/",
            "/opsbench/",
            "/data/hostile/",
            "/data/formats/",
        ];
        if entry.file_type().is_file() && !skipped.iter().any(|part| path.contains(part) || name == *part) {
            found.push(entry.into_path());
        }
    }
    found
}

fn run(folder: &Path, bundle: &Path) -> Row {
    let name = bundle.strip_prefix(folder).unwrap_or(bundle).display().to_string();
    let out = tempfile::tempdir().expect("a temporary folder");
    let report = out.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubetriage"));
    command.arg("report").arg(bundle).arg("-q");
    for file in ["report.json", "report.html", "report.md"] {
        command.arg("-o").arg(out.path().join(file));
    }
    let start = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let used = child.wait4().expect("the program ends");
    let seconds = start.elapsed().as_secs_f64();
    let mut wrong = Vec::new();
    if !matches!(used.status.code(), Some(0 | 3)) {
        wrong.push(format!("ended with {:?}", used.status));
    }
    let report = std::fs::read(&report).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if report.is_none() {
        wrong.push("no report".to_owned());
    }
    Row { name, report, seconds, peak: used.rusage.maxrss, wrong }
}

fn print(row: &Row) {
    let (mut entries, mut bytes, mut share, mut findings, mut confirmed) = (0, 0.0, 0.0, 0, 0);
    let mut accounted = 0.0;
    if let Some(report) = &row.report {
        let coverage = &report["coverage"];
        entries = coverage["entry_count"].as_u64().unwrap_or(0);
        bytes = coverage["bytes"].as_f64().unwrap_or(0.0) / 1e6;
        share = coverage["recognised_percent"].as_f64().unwrap_or(0.0);
        accounted = coverage["accounted_percent"].as_f64().unwrap_or(0.0);
        let list = report["findings"].as_array().cloned().unwrap_or_default();
        findings = list.len();
        confirmed = list.iter().filter(|finding| finding["confidence"] == "confirmed").count();
    }
    println!(
        "| {} | {entries} | {bytes:.1} | {share} % | {accounted} % | {findings} ({confirmed}) | {:.2} | {} |",
        row.name,
        row.seconds,
        row.peak >> 20
    );
    for wrong in &row.wrong {
        println!("  WRONG {}: {wrong}", row.name);
    }
}

/// Excerpts of public threads, and the detectors that their first line asks for. Two of them hold no line that says
/// so: a start of a log, and prose.
const SNIPPETS: [(&str, &[&str]); 20] = [
    ("Azure_AKS-Construction-701-1", &["subnet-too-small"]),
    ("Azure_acs-engine-2845-1", &[]),
    ("Azure_acs-engine-2845-2", &[]),
    ("Azure_aks-engine-4263-1", &["pod-ip-exhausted"]),
    ("Azure_azure-container-networking-176-1", &["pod-ip-exhausted"]),
    // The duplicates lie outside the excerpt: none may be claimed. One pod of the table is in a crash loop.
    ("Azure_azure-container-networking-181-1", &["container-crash-loop"]),
    ("Azure_azure-container-networking-4497-1", &[]),
    ("k8snetworkplumbingwg_ovs-cni-143-1", &["pod-ip-exhausted"]),
    ("projectcalico_calico-5339-1", &["pod-ip-exhausted", "pod-ip-leak"]),
    ("rancher_rancher-14504-1", &["pod-ip-exhausted"]),
    // Not about addresses, though a sandbox failed: calico-node is down.
    ("kubesphere_kubekey-2504-1", &["sandbox-failed-otherwise"]),
    // Ingress rules alone block no egress, whatever the engine made of them.
    ("Azure_AKS-1253-1", &[]),
    // The group that blocks is not in these excerpts: what they show is that the way to kubelets is broken.
    ("Azure_AKS-1361-1", &["tunnel-down"]),
    ("Azure_AKS-232-1", &["tunnel-down"]),
    ("Azure_AKS-3748-1", &["client-dns-fails"]),
    // A healthy agent's banner.
    ("Azure_AKS-4423-1", &[]),
    ("MicrosoftDocs_azure-docs-65228-1", &["client-not-in-authorized-ranges"]),
    ("coredns_coredns-5072-1", &["pod-cannot-reach-api-server"]),
    ("rootless-containers_usernetes-281-1", &["node-cannot-resolve-api-server"]),
    ("kubernetes_kubernetes-61511-1", &["forbidden-not-by-rbac"]),
];

/// Bundles whose state is known: what must be told of them, and nothing else may be confirmed beyond low.
const STATES: [(&str, &[&str]); 8] = [
    ("troubleshoot-2022.tar.gz", &[]),
    ("troubleshoot-2025-08-09.tar.gz", &["container-crash-loop", "container-out-of-memory"]),
    ("troubleshoot-small.tar.gz", &[]),
    ("troubleshoot-velero.tar.gz", &["container-crash-loop"]),
    ("must-gather-azure.tar.gz", &[]),
    ("aks-kube-system-pods-1.json", &[]),
    ("aks-kube-system-pods-2.json", &[]),
    ("cluster-info-dump-single-file.json", &[]),
];

/// What must hold of every report, and of those whose truth is known.
fn detect(bundle: &Path, report: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for error in report["internal_errors"].as_array().into_iter().flatten() {
        wrong.push(error.to_string());
    }
    for entry in report["coverage"]["entries"].as_array().into_iter().flatten() {
        if entry["problem"].as_str().is_some_and(|problem| problem.contains("fault of kubetriage")) {
            wrong.push(format!("{}: {}", entry["path"], entry["problem"]));
        }
    }
    // Of a whole bundle, hardly anything may stay unexplained; an excerpt is what it is.
    let accounted = report["coverage"]["accounted_percent"].as_f64().unwrap_or(0.0);
    let text = report["coverage"]["bytes"].as_u64().unwrap_or(0);
    if text > 100_000 && accounted < 99.0 {
        wrong.push(format!("only {accounted} % of the text is recognised or named"));
    }
    let name = bundle.file_name().unwrap_or_default().to_string_lossy();
    if let Some((_, state)) = STATES.iter().find(|(bundle, _)| *bundle == name) {
        let findings = report["findings"].as_array().into_iter().flatten();
        let serious = findings.filter(|finding| {
            let mild = finding["severity"] == "low" || finding["severity"] == "info";
            !mild && finding["confidence"] != "possible"
        });
        let mut given: Vec<&str> = Vec::new();
        for finding in serious {
            let detector = finding["detector"].as_str().unwrap_or_default();
            given.push(detector);
            if !state.contains(&detector) {
                wrong.push(format!("accuses what is healthy: {}", finding["title"]));
            }
        }
        for missing in state.iter().filter(|detector| !given.contains(detector)) {
            wrong.push(format!("does not tell {missing}"));
        }
    }
    let expected = SNIPPETS.iter().find(|(snippet, _)| name.strip_suffix(".txt") == Some(snippet));
    if let Some((_, expected)) = expected {
        let mut given: Vec<&str> = report["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|finding| finding["detector"].as_str())
            .filter(|detector| !detector.starts_with("rbac-"))
            .collect();
        given.sort_unstable();
        given.dedup();
        if given != *expected {
            wrong.push(format!("finds {given:?} instead of {expected:?}"));
        }
    }
    if let Some(stem) = name.strip_suffix(".tar.gz") {
        let truth = bundle.with_file_name(format!("{stem}.truth.json"));
        if let Ok(truth) = std::fs::read(truth) {
            wrong.extend(lab(&serde_json::from_slice(&truth).unwrap_or_default(), report));
            wrong.extend(services(report));
            wrong.extend(roots(report));
        }
    }
    wrong
}

/// The planted RBAC faults and the detector that has their reason.
const REASONS: [(&str, &str); 21] = [
    ("R1", "rbac-binding-in-another-namespace"),
    ("R2", "rbac-verb-missing"),
    ("R3", "rbac-subject-does-not-match"),
    ("R4", "rbac-api-group-wrong"),
    ("R5", "rbac-subresource-missing"),
    ("R6", "rbac-resource-names-cannot-match"),
    ("R7", "rbac-path-not-covered"),
    ("R8", "rbac-subresource-missing"),
    ("R9", "rbac-missing-permission"),
    ("R10", "rbac-role-does-not-exist"),
    ("R11", "rbac-subject-does-not-match"),
    ("R12", "rbac-bound-in-namespace-only"),
    ("R13", "rbac-verb-missing"),
    ("R14", "rbac-escalation-denied"),
    ("R15", "rbac-resource-names-cannot-match"),
    ("R16", "rbac-resource-misspelt"),
    ("R17", "rbac-role-is-empty"),
    ("R18", "rbac-api-group-wrong"),
    ("R19", "rbac-verb-missing"),
    ("R20", "rbac-subject-does-not-match"),
    ("R21", "rbac-impersonation-denied"),
];

/// The planted faults of services and policies: the detector that has their reason, and a word of its title.
const SERVICE_REASONS: [(&str, &str, &str); 15] = [
    ("S1", "service-selector-matches-nothing", "shop/cart"),
    ("S2", "service-target-port-undeclared", "shop/checkout"),
    ("S3", "service-named-port-missing", "shop/search"),
    ("S4", "service-pods-not-ready", "payments/api"),
    ("S5", "service-selector-matches-nothing", "legacy/catalog"),
    ("S6", "service-without-selector-or-endpoints", "monitoring/metrics-ext"),
    ("S7", "service-protocol-mismatch", "payments/ledger"),
    ("S8", "service-external-name-nowhere", "payments/external-db"),
    ("S9", "service-selector-matches-nothing", "default/web"),
    ("S10", "service-pods-not-ready", "shop/recommender"),
    ("N1", "policy-blocks-dns", "payments/default-deny"),
    ("N2", "policy-peer-matches-nothing", "shop/allow-frontend-to-cart"),
    ("N3", "policy-peer-matches-nothing", "shop/allow-prom"),
    ("N4", "policy-blocks-api-server", "ci/no-api"),
    ("N5", "policy-selects-nothing", "shop-staging/cart-port"),
];

/// The planted faults of pods and nodes: the detector that has their reason, and a word of its title.
const POD_REASONS: [(&str, &str, &str); 5] = [
    ("P5", "pod-unschedulable", "Insufficient cpu"),
    ("P6", "pod-unschedulable", "matches no node"),
    ("P7", "image-not-found", "legacy/reports"),
    ("P8", "container-crash-loop", "monitoring/kube-state-metrics"),
    ("P11", "node-not-ready", "aks-nodepool1-26051997-vmss000003"),
];

/// What tells the causes of one detector apart, in the finding's cause.
const SERVICE_WORDS: [(&str, &str); 4] = [
    ("S1", "the selector has crat"),
    ("S5", "its pod template does not"),
    ("S9", "In namespace ci"),
    ("S10", "CrashLoopBackOff"),
];

/// The planted faults of services and policies must each be told with their cause, and nothing else accused.
fn services(report: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let findings: Vec<&Value> = report["findings"].as_array().into_iter().flatten().collect();
    for (id, detector, about) in SERVICE_REASONS.into_iter().chain(POD_REASONS) {
        let of =
            |finding: &&&Value| finding["detector"] == detector && text(finding, "title").contains(about);
        let found: Vec<_> = findings.iter().filter(of).collect();
        let [item] = found.as_slice() else {
            wrong.push(format!("{id}: {} findings {detector} about {about}", found.len()));
            continue;
        };
        let words = SERVICE_WORDS.iter().find(|(ours, _)| *ours == id).map_or("", |(_, words)| words);
        if !text(item, "cause").contains(words) {
            wrong.push(format!("{id}: the cause does not say \"{words}\""));
        }
    }
    // What else these detectors say of this bundle: true, and not planted as a fault of its own.
    let known = [
        "monitoring/selectall",
        "all ingress denied by NetworkPolicy payments/default-deny",
        "all ingress denied by NetworkPolicy shop/allow-prom",
    ];
    for finding in &findings {
        let detector = text(finding, "detector");
        let of_services = detector.starts_with("service-") || detector.starts_with("policy-");
        let title = text(finding, "title");
        let planted =
            SERVICE_REASONS.iter().any(|(_, ours, about)| *ours == detector && title.contains(about));
        if of_services && !planted && !known.iter().any(|words| title.contains(words)) {
            wrong.push(format!("accuses what is healthy: {title}"));
        }
    }
    wrong
}

/// What a planted fault stands under when the bundle tells what is behind it.
const BEHIND: [(&str, &str); 4] = [
    ("service-pods-not-ready", "container-not-listening"),
    ("service-pods-not-ready", "container-crash-loop"),
    ("container-crash-loop", "pod-cannot-reach-api-server"),
    ("policy-isolates-service", "policy-peer-matches-nothing"),
];

/// Every cause of the diagnosis is a root, unless it is known what stands behind it; and no root has gone.
fn roots(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut wrong = Vec::new();
    let roots: Vec<String> =
        report["root_causes"].as_array().into_iter().flatten().map(|root| text(&root["id"])).collect();
    for finding in report["findings"].as_array().into_iter().flatten() {
        let (id, detector) = (text(&finding["id"]), text(&finding["detector"]));
        let links: Vec<&Value> = finding["explained_by"].as_array().into_iter().flatten().collect();
        if links.is_empty() && finding["severity"] != "info" && !roots.contains(&id) {
            wrong.push(format!("{id} is explained by nothing and no root"));
        }
        let planted = SERVICE_REASONS
            .iter()
            .chain(&POD_REASONS)
            .any(|(_, ours, about)| *ours == detector && text(&finding["title"]).contains(about));
        for link in links {
            let by = text(&link["by"]);
            let behind = by.split('.').next().unwrap_or_default();
            if planted && !BEHIND.contains(&(detector.as_str(), behind)) {
                wrong.push(format!("{id} was planted and stands under {by}"));
            }
            if text(&link["because"]).is_empty() {
                wrong.push(format!("{id} stands under {by} for no reason"));
            }
        }
    }
    wrong
}

/// The planted RBAC faults must each be one finding of the right identity; the look-alikes none.
fn lab(truth: &Value, report: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let findings: Vec<&Value> = report["findings"].as_array().into_iter().flatten().collect();
    let about = |identity: &str, detectors: &[&str]| {
        findings
            .iter()
            .filter(|finding| {
                finding["details"]["identity"] == identity
                    && detectors.iter().any(|detector| finding["detector"] == *detector)
            })
            .count()
    };
    let of_rbac = |identity: &str| {
        let of = |finding: &&&Value| {
            finding["details"]["identity"] == identity
                && finding["detector"].as_str().unwrap_or_default().starts_with("rbac-")
        };
        findings.iter().filter(of).count()
    };
    for fault in truth["faults"].as_array().into_iter().flatten() {
        let (id, area) =
            (fault["id"].as_str().unwrap_or_default(), fault["area"].as_str().unwrap_or_default());
        let object = fault["object"].as_str().unwrap_or_default();
        let identity = object.strip_prefix("user ").unwrap_or(object).split(" (").next().unwrap_or_default();
        if let Some((_, reason)) = REASONS.iter().find(|(fault, _)| *fault == id) {
            if about(identity, &[reason]) != 1 {
                wrong.push(format!("{id}: {identity} has no finding {reason}"));
            }
            let fixed = findings.iter().filter(|finding| finding["details"]["identity"] == identity);
            for finding in fixed.filter(|finding| {
                finding["detector"] != "rbac-escalation-denied"
                    && finding["detector"] != "rbac-impersonation-denied"
            }) {
                if !finding["fix"]["text"].as_str().unwrap_or_default().contains("Proved by evaluation") {
                    wrong.push(format!("{id}: the fix for {identity} is not proved"));
                }
            }
        }
        let about_addresses = |detectors: &[&str]| {
            findings.iter().any(|finding| {
                detectors.contains(&finding["detector"].as_str().unwrap_or_default())
                    && finding["subjects"].as_array().into_iter().flatten().any(|subject| {
                        let name = subject["name"].as_str().unwrap_or_default();
                        let namespace = subject["namespace"].as_str().unwrap_or_default();
                        let whole = format!("{namespace}/{name}");
                        whole.starts_with(object) || object == format!("node/{name}")
                    })
            })
        };
        let exhausted =
            ["pod-subnet-full", "cns-waiting", "pod-ip-exhausted", "pod-ip-leak", "pod-ip-pool-full"];
        if area == "ip-exhaustion" && !about_addresses(&exhausted) {
            wrong.push(format!("{id}: {object} is not told as out of addresses"));
        }
        if id == "P3" && (about_addresses(&exhausted) || !about_addresses(&["sandbox-failed-otherwise"])) {
            wrong.push(format!("{id}: {object} failed for another reason than addresses"));
        }
        if matches!(area, "not-rbac-403" | "anonymous" | "not-rbac-401" | "podsecurity")
            && of_rbac(identity) != 0
        {
            wrong.push(format!("{id}: {identity} is taken for a missing rule"));
        }
    }
    wrong
}
