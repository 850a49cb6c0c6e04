//! Every format and every detector has samples, and they do what they are for.

use crate::common;
use std::sync::Arc;

use kubetriage::bundle::Entry;
use kubetriage::detectors::{self, Evaluation};
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
            let statements = formats::candidates(&Head { entry: &entry, bytes });
            let (best, score) = statements[0];
            assert_eq!(best.name(), format.name(), "{} is taken for {}", file.display(), best.name());
            if let Some((second, rival)) = statements.get(1) {
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

/// The names of the files of a folder that hold a constant.
fn files_with(folder: &str, constant: &str) -> Vec<String> {
    let files = common::files(&common::root().join("src").join(folder));
    let holds = |file: &std::path::PathBuf| std::fs::read_to_string(file).unwrap().contains(constant);
    let stem = |file: std::path::PathBuf| file.file_stem().unwrap().to_string_lossy().replace('_', "-");
    let mut names: Vec<String> = files.into_iter().filter(holds).map(stem).collect();
    names.sort();
    names
}

#[test]
fn every_file_of_a_cause_is_in_the_table_of_its_chapter() {
    let of_rules = detectors::all().filter(|detector| matches!(detector.detect, Evaluation::Rule(_)));
    let mut ids: Vec<String> = of_rules.map(|detector| detector.id.to_owned()).collect();
    ids.sort();
    assert_eq!(files_with("detectors", "const DETECTOR: Detector"), ids);
}

#[test]
fn every_file_of_knowledge_is_read() {
    let source =
        |file: &str| std::fs::read_to_string(common::root().join("src/knowledge").join(file)).unwrap();
    for (folder, read) in [("messages", source("messages.rs")), ("causes", source("causes.rs"))] {
        for file in common::files(&common::root().join("knowledge").join(folder)) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            assert!(read.contains(&format!("/knowledge/{folder}/{name}")), "{folder}/{name} is not in FILES");
        }
    }
}

#[test]
fn every_file_of_a_format_is_in_the_table() {
    assert_eq!(files_with("formats", "const FORMAT: ").len(), FORMATS.len());
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

/// The failures of the catalogue that the tool works from, A to I, each with the causes that tell it, or with the
/// reason why none does.
const FAILURES: &[(&str, &[&str], &str)] = &[
    ("A1 api-authorized-ip-ranges", &["client-not-in-authorized-ranges", "client-blocked-on-the-way"], ""),
    ("A2 api-private-cluster-no-path", &["private-cluster-without-path"], ""),
    ("A3 api-dns-client", &["client-dns-fails", "private-zone-not-linked"], ""),
    ("A4 api-cluster-stopped-or-refused", &["cluster-stopped"], ""),
    (
        "A5 kubeconfig-missing-or-stale",
        &["kubeconfig-missing", "client-credentials-refused", "client-dns-fails"],
        "",
    ),
    ("A6 api-tls-client", &["client-tls-fails", "client-connection-cut", "certificate-expired"], ""),
    ("A7 kubectl-version-skew", &["kubectl-version-skew"], ""),
    ("B1 kubenet-ipam-leak", &["pod-ip-leak", "pod-ip-churn", "pod-ip-exhausted"], ""),
    ("B2 azcni-v1-no-available-addresses", &["pod-ip-exhausted", "pod-ip-pool-full", "pod-ip-leak"], ""),
    ("B3 cns-not-enough-ips", &["cns-waiting", "cns-unauthorised"], ""),
    ("B4 pod-subnet-full", &["pod-subnet-full"], ""),
    ("B5 overlay-podcidr-exhausted", &["pod-cidr-exhausted"], ""),
    ("B6 cns-unreachable", &["cns-unreachable"], ""),
    ("B7 cni-not-initialised", &["cni-not-ready"], ""),
    ("B8 calico-ipam-exhausted", &["pod-ip-exhausted", "pod-ip-leak"], ""),
    ("B9 subnet-full-nodes", &["node-subnet-full"], ""),
    ("B10 insufficient-subnet-size", &["subnet-too-small"], ""),
    ("B11 subnet-delegated, cidr-overlap", &["subnet-delegated", "cidr-overlap"], ""),
    (
        "C1 service-no-endpoints",
        &[
            "service-selector-matches-nothing",
            "service-pods-not-ready",
            "service-named-port-missing",
            "service-without-selector-or-endpoints",
            "service-scaled-to-zero",
            "ingress-without-backend",
        ],
        "",
    ),
    (
        "C2 service-targetport-mismatch",
        &["service-target-port-undeclared", "container-not-listening", "service-protocol-mismatch"],
        "",
    ),
    (
        "C3 network-policy-blocks",
        &[
            "policy-blocks-dns",
            "policy-blocks-api-server",
            "policy-isolates-service",
            "policy-drops-logged",
            "policy-engine-missing",
        ],
        "",
    ),
    ("C4 kube-proxy-broken", &["kube-proxy-not-running", "kube-proxy-failing", "service-rules-missing"], ""),
    ("C5 cni-route-broken", &["pod-routes-missing", "sandbox-failed-otherwise"], ""),
    ("C6 nsg-blocks-app", &["nsg-blocks-load-balancer", "service-local-traffic-only"], ""),
    ("C7 nsg-blocks-nodepools", &["nsg-blocks-node-pools", "kubelet-port-blocked"], ""),
    ("C8 lb-pending", &["load-balancer-pending", "azure-identity-lacks-permission"], ""),
    ("C9 app-crash-or-oom", &["container-crash-loop", "container-out-of-memory"], ""),
    (
        "D1 node-api-blocked",
        &[
            "node-cannot-reach-api-server",
            "pod-cannot-reach-api-server",
            "node-egress-not-in-authorized-ranges",
            "nsg-blocks-egress",
            "private-endpoint-not-approved",
        ],
        "",
    ),
    ("D2 node-api-dns", &["node-cannot-resolve-api-server"], ""),
    ("D3 node-outbound-blocked", &["node-outbound-blocked", "http-proxy-misconfigured"], ""),
    ("D4 other CSE codes", &["node-provisioning-failed"], ""),
    ("D5 firewall-egress-deny", &["firewall-denies-required-egress"], ""),
    ("D6 udr-blackhole", &["default-route-leads-nowhere", "pod-routes-missing"], ""),
    ("D7 snat-exhaustion", &["snat-exhausted"], ""),
    ("D8 private-dns-zone-errors", &["private-zone-errors", "private-zone-not-linked"], ""),
    (
        "D9 seed-service-missing",
        &["api-server-endpoints-missing", "api-server-pod-unhealthy", "api-server-name-stale"],
        "",
    ),
    ("E1 kubelet-10250-blocked", &["kubelet-port-blocked"], ""),
    ("E2 konnectivity-down", &["tunnel-down"], ""),
    ("E3 admission-webhook-failure", &["admission-webhook-failing", "forbidden-not-by-rbac"], ""),
    ("E4 etcd-size", &["etcd-full"], ""),
    ("E5 apiserver-throttled", &["api-server-throttles"], ""),
    ("E6 metrics-api", &["metrics-api-unavailable"], ""),
    ("F1 coredns-upstream-timeout", &["coredns-upstream-failing", "pods-cannot-reach-dns"], ""),
    ("F2 dns-mixed-servers", &["dns-servers-mixed"], ""),
    ("F3 coredns-unhealthy", &["coredns-unhealthy"], ""),
    ("F4 localdns", &["localdns-failed"], ""),
    ("F5 dns-nxdomain-search", &["dns-name-unknown"], ""),
    ("G1 acr-401", &["image-pull-unauthorized"], ""),
    ("G2 acr-403", &["image-pull-forbidden"], ""),
    ("G3 acr-timeout", &["registry-unreachable"], ""),
    ("G4 image-not-found", &["image-not-found", "image-pull-failing"], ""),
    ("G5 mcr-blocked", &["registry-unreachable", "node-outbound-blocked"], ""),
    ("G6 oomkilled, evicted", &["container-out-of-memory", "pod-evicted"], ""),
    ("H1 rbac-forbidden-user", &["rbac-missing-permission", "forbidden-not-by-rbac"], ""),
    ("H2 rbac-forbidden-serviceaccount", &["rbac-missing-permission"], ""),
    ("H3 identity-permission", &["azure-identity-lacks-permission"], ""),
    ("H4 certificates-expired", &["certificate-expired"], ""),
    ("I1 node-not-ready", &["node-not-ready"], ""),
    ("I2 pod-unschedulable", &["pod-unschedulable"], ""),
    ("I3 autoscaler", &["autoscaler-refuses"], ""),
    ("I4 pdb-drain", &["pdb-blocks-drain"], ""),
    ("I5 arm-throttled", &["azure-throttles"], ""),
    ("I6 aks-rp-throttled", &["azure-throttles"], ""),
    (
        "I7 nsg-upgrade-fail",
        &["nsg-blocks-egress"],
        "the error names no text of its own: the rules that cause it are judged",
    ),
    ("I8 command-invoke", &["run-command-failed"], ""),
];

#[test]
fn every_failure_of_the_catalogue_has_a_cause_that_tells_it() {
    for (failure, causes, why) in FAILURES {
        assert!(!causes.is_empty() || !why.is_empty(), "{failure} has neither a cause nor a reason");
        for cause in *causes {
            assert!(detectors::find(cause).is_some(), "{failure}: there is no cause {cause}");
        }
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

#[test]
fn the_templates_ask_for_details_that_detectors_give() {
    let mut asked = std::collections::BTreeSet::new();
    for template in ["finding.html", "report.html", "report.md"] {
        let text = std::fs::read_to_string(common::root().join("templates").join(template)).unwrap();
        let name = |rest: &str| {
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
        };
        asked.extend(text.split(".details.").skip(1).map(name));
    }
    assert!(asked.len() > 20, "{asked:?}");
    let schema: serde_json::Value = serde_json::from_str(&kubetriage::report::schema()).unwrap();
    let given = &schema["$defs"]["Details"]["properties"];
    asked.retain(|name| given.get(name).is_none());
    assert!(asked.is_empty(), "no detector gives {asked:?}");
}
