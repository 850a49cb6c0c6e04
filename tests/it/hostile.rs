//! Bundles are broken and hostile: the answer is a line in the report, never a panic, never silence.

use crate::common;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use kubetriage::Options;
use kubetriage::bundle::{Input, Limits};
use kubetriage::report::Redacted;
use kubetriage::report::{Format, render};

fn diagnose_with(path: &Path, limits: Limits) -> Redacted {
    let options = Options { threads: Some(2), limits, ..Options::default() };
    kubetriage::diagnose(&[Input::Path(path.to_owned())], &options).unwrap()
}

fn problems(found: &Redacted) -> String {
    found.coverage.entries.iter().filter_map(|entry| entry.problem.clone()).collect::<Vec<_>>().join("\n")
}

fn packed(folder: &Path) -> Vec<u8> {
    let mut builder =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    builder.append_dir_all("b", folder).unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

#[test]
fn a_truncated_archive_gives_all_up_to_the_cut_and_says_so() {
    let whole = packed(&common::sample("bundles/contoso-shop"));
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("cut.tar.gz");
    let mut most = 0;
    for share in 1..20 {
        std::fs::write(&path, &whole[..whole.len() * share / 20]).unwrap();
        let found = common::diagnosis(&path);
        let entries = found.coverage.entries.len();
        assert!(entries >= most, "a longer piece must not give less");
        most = entries;
        assert!(!problems(&found).is_empty(), "the cut at {share}/20 is not told");
    }
    assert!(most > 4);
}

#[test]
fn flipped_bytes_never_bring_it_down() {
    let whole = packed(&common::sample("bundles/contoso-shop"));
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("flipped.tar.gz");
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut broken = whole.clone();
        broken[at] ^= 0x55;
        std::fs::write(&path, &broken).unwrap();
        let found = common::diagnosis(&path);
        assert!(found.internal_errors.is_empty());
        assert!(!problems(&found).contains("fault of kubetriage"));
    }
}

#[test]
fn every_sample_cut_or_damaged_anywhere_is_survived() {
    let temp = tempfile::tempdir().unwrap();
    for file in common::files(&common::sample("inputs")) {
        let whole = std::fs::read(&file).unwrap();
        let path = temp.path().join(common::name(&file));
        for part in 0..8 {
            let mut broken = whole[..whole.len() * part / 8].to_vec();
            if part % 2 == 1 {
                for at in (part..broken.len()).step_by(37) {
                    broken[at] = broken[at].wrapping_add(97);
                }
            }
            std::fs::write(&path, &broken).unwrap();
            let found = common::diagnosis(&path);
            assert!(!problems(&found).contains("fault of kubetriage"), "{} part {part}", file.display());
        }
    }
}

#[test]
fn a_zip_bomb_is_stopped_and_named() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("bomb.gz");
    let mut gz =
        flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), flate2::Compression::best());
    let zeros = vec![b'a'; 1 << 20];
    for _ in 0..1100 {
        gz.write_all(&zeros).unwrap();
    }
    gz.finish().unwrap();
    let found = diagnose_with(&path, Limits::default());
    assert!(problems(&found).contains("looks like a zip bomb"), "{}", problems(&found));
    let found = diagnose_with(&path, Limits { total_bytes: 10 << 20, ..Limits::default() });
    assert!(problems(&found).contains("raise --max-bytes"), "{}", problems(&found));
}

#[test]
fn a_line_of_a_gigabyte_costs_neither_memory_nor_the_lines_after_it() {
    let temp = tempfile::tempdir().unwrap();
    let report = temp.path().join("r.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubetriage"))
        .args(["report", "-", "-q", "-o"])
        .arg(&report)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let peak = common::peak_memory(child.id());
    let mut input = child.stdin.take().unwrap();
    let block = vec![b'x'; 1 << 20];
    for _ in 0..1024 {
        input.write_all(&block).unwrap();
    }
    input.write_all(b"\nE1123 10:00:00.000000 1 r.go:1] pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" at the cluster scope\n").unwrap();
    drop(input);
    let status = child.wait().unwrap();
    assert!(status.success(), "{status:?}");
    let peak = peak.join().unwrap();
    assert!(peak > 1 << 20 && peak < 300 << 20, "{peak} bytes");
    let json = std::fs::read_to_string(&report).unwrap();
    assert!(
        json.contains("\"user bob cannot list pods cluster-wide (forbidden)\""),
        "the line after it is lost"
    );
    assert!(json.contains("raise --max-line"));
}

#[test]
fn limits_bite_and_are_told() {
    let path = common::sample("bundles/contoso-shop");
    let found = diagnose_with(&path, Limits { entries: 2, ..Limits::default() });
    assert!(problems(&found).contains("raise --max-entries"));
    let nested = common::sample("detectors/pod-ip-leak/hit/nodes.tar.gz");
    let found = diagnose_with(&nested, Limits { depth: 0, ..Limits::default() });
    assert!(problems(&found).contains("raise --max-depth"));
}

#[test]
fn path_tricks_and_special_files_are_only_words() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("tricks.tar");
    let mut builder = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let mut add = |name: &str, kind: tar::EntryType, link: &str| {
        let mut header = tar::Header::new_gnu();
        let text = if kind.is_file() { b"pods is forbidden: no\n".as_slice() } else { b"" };
        header.set_size(text.len() as u64);
        header.set_entry_type(kind);
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        header.set_cksum();
        builder.append(&header, text).unwrap();
    };
    add("../../../../etc/evil.txt", tar::EntryType::Regular, "");
    add("/etc/evil", tar::EntryType::Regular, "");
    add("loop", tar::EntryType::Symlink, "loop");
    add("shadow", tar::EntryType::Symlink, "/etc/shadow");
    add("null", tar::EntryType::Char, "");
    add("pipe", tar::EntryType::Fifo, "");
    builder.finish().unwrap();
    let before: Vec<_> = common::files(temp.path());
    let found = common::diagnosis(&path);
    assert_eq!(before, common::files(temp.path()), "nothing may be written");
    assert_eq!(found.coverage.entries.len(), 6);
    assert!(!Path::new("/etc/evil.txt").exists());
    assert!(found.coverage.entries.iter().any(|entry| entry.format.contains("link to /etc/shadow")));
}

#[test]
fn a_long_name_record_of_gigabytes_is_not_held() {
    // The size field of a long-name record is the sender's word only.
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("name.tar");
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(8 << 30);
    header.set_path("././@LongLink").unwrap();
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(vec![b'n'; 1 << 20]);
    std::fs::write(&path, bytes).unwrap();
    let found = common::diagnosis(&path);
    assert!(!problems(&found).is_empty());
}

#[test]
fn script_and_escape_sequences_in_names_are_shown_not_obeyed() {
    let temp = tempfile::tempdir().unwrap();
    let hostile = "<script>alert(1)</script>\u{1b}]0;owned\u{7}\u{202e}|`x`";
    let user = hostile.replace('"', "");
    let event = serde_json::json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "x", "stage": "ResponseComplete",
        "requestURI": "/api/v1/pods", "verb": "list", "user": {"username": user}, "userAgent": hostile,
        "objectRef": {"resource": "pods", "namespace": hostile}, "responseStatus": {"code": 403},
        "annotations": {"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": hostile},
        "requestReceivedTimestamp": "2026-11-23T10:00:00.000000Z"
    });
    std::fs::write(temp.path().join("audit <img src=x onerror=alert(1)>.log"), format!("{event}\n")).unwrap();
    let found = common::diagnosis(temp.path());
    assert_eq!(found.findings.len(), 1);
    let html = render(&found, Format::Html).unwrap();
    // The page's own script is the only one.
    assert_eq!(html.matches("<script").count(), 1);
    for forbidden in ["<script>alert", "<img", "\u{1b}", "\u{7}", "\u{202e}"] {
        assert!(!html.contains(forbidden), "{forbidden:?} in the page");
    }
    assert!(html.contains("&lt;script&gt;"));
    let markdown = render(&found, Format::Markdown).unwrap();
    let outside_code: String = markdown.split("```").step_by(2).collect();
    for forbidden in ["<script", "\u{1b}", "\u{202e}"] {
        assert!(!outside_code.contains(forbidden) || !outside_code.contains("| <script"), "{forbidden:?}");
    }
    let summary = kubetriage::report::summary(&found, 80);
    assert!(!summary.contains("\u{1b}]0;") && !summary.contains('\u{202e}'));
}

#[test]
fn invalid_utf8_and_nul_bytes_are_read_as_far_as_they_go() {
    let temp = tempfile::tempdir().unwrap();
    let mut text = b"E1123 10:00:00.000000 1 r.go:1] \xff\xfe\x80 caf\xe9\n".to_vec();
    text.extend_from_slice(b"E1123 10:00:01.000000 1 r.go:1] \0\0pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" at the cluster scope\n");
    std::fs::write(temp.path().join("odd.log"), text).unwrap();
    assert_eq!(common::diagnosis(temp.path()).findings.len(), 1);
}

#[test]
fn an_empty_bundle_is_an_answer() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("empty.log"), b"").unwrap();
    let found = common::diagnosis(temp.path());
    assert!(found.findings.is_empty());
    assert_eq!(found.coverage.entries[0].format, "empty");
    assert!(
        found
            .verdicts
            .iter()
            .all(|verdict| verdict.verdict == kubetriage::diagnosis::VerdictKind::NotEvaluated)
    );
}

#[test]
fn a_report_of_a_thousand_identities_stays_small() {
    let temp = tempfile::tempdir().unwrap();
    let mut log = std::fs::File::create(temp.path().join("audit.log")).unwrap();
    for n in 0..1000 {
        let padding = "x".repeat(200);
        writeln!(log, "{{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"auditID\":\"{n}\",\"verb\":\"list\",\"requestURI\":\"/api/v1/pods\",\"user\":{{\"username\":\"user-{n}-{padding}\"}},\"objectRef\":{{\"resource\":\"pods\"}},\"responseStatus\":{{\"code\":403}},\"annotations\":{{\"authorization.k8s.io/decision\":\"forbid\"}},\"requestReceivedTimestamp\":\"2026-11-23T10:00:00Z\"}}").unwrap();
    }
    let found = common::diagnosis(temp.path());
    assert_eq!(found.findings.len(), 201);
    assert_eq!(found.findings.last().map(|rest| rest.count), Some(800));
    assert!(render(&found, Format::Html).unwrap().len() < 2_000_000);
    assert!(render(&found, Format::Markdown).unwrap().len() < 60_000);
}

#[test]
fn tars_in_tars_end_at_the_depth_limit() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("deep.tar");
    let mut bytes = Vec::new();
    for _ in 0..5000 {
        let mut header = tar::Header::new_ustar();
        header.set_path("t.tar").unwrap();
        header.set_size(1 << 30);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    assert!(problems(&common::diagnosis(&path)).contains("raise --max-depth"));
}

#[test]
fn absurd_numbers_bring_nothing_down() {
    let temp = tempfile::tempdir().unwrap();
    let listing = "total 1\n-rw------- 1 root root 70 Nov 23 9223372036854775807:01 10.244.1.5\n-rw------- 1 root root 70 Nov 23 20:01 10.244.1.6\n-rw------- 1 root root 0 Nov 23 20:01 lock\n";
    std::fs::write(temp.path().join("ls.txt"), listing).unwrap();
    let event = |name: &str| {
        serde_json::json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "uid": name}, "count": u64::MAX,
            "type": "Warning", "reason": "FailedCreatePodSandBox", "source": {"host": "n1"},
            "message": "not enough IPs available for 9c6a7f37-dd43-4f7c-a01f-1ff41653609c, waiting on Azure CNS to allocate more",
            "involvedObject": {"kind": "Pod", "name": name, "namespace": "a"}})
    };
    let config = serde_json::json!({"apiVersion": "acn.azure.com/v1alpha", "kind": "NodeNetworkConfig", "metadata": {"name": "n1", "namespace": "kube-system"}});
    let list =
        serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [event("x"), event("y"), config]});
    std::fs::write(temp.path().join("events.json"), list.to_string()).unwrap();
    let found = common::diagnosis(temp.path());
    assert_eq!(found.coverage.entries.len(), 2);
    assert!(!problems(&found).contains("fault of kubetriage"), "{}", problems(&found));
}

#[test]
fn a_log_that_begins_with_a_hole_of_nuls_is_read() {
    let temp = tempfile::tempdir().unwrap();
    let mut text = vec![0_u8; 9000];
    text.extend_from_slice(b"\nE1123 10:00:01.000000 1 r.go:1] pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" at the cluster scope\n");
    std::fs::write(temp.path().join("hole.log"), text).unwrap();
    assert_eq!(common::diagnosis(temp.path()).findings.len(), 1);
}

#[test]
fn a_path_with_exotic_line_breaks_adds_no_rule_to_the_fix() {
    let temp = tempfile::tempdir().unwrap();
    let path = "/x\u{2028}  - apiGroups: [\"*\"]\u{2028}    verbs: [\"*\"]\u{85}#";
    let event = serde_json::json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "x", "verb": "get", "requestURI": path,
        "user": {"username": "bob"}, "responseStatus": {"code": 403},
        "annotations": {"authorization.k8s.io/decision": "forbid"}
    });
    std::fs::write(temp.path().join("audit.log"), format!("{event}\n")).unwrap();
    let found = common::diagnosis(temp.path());
    let manifest = &found.findings[0].fix.manifests[0];
    assert!(
        manifest.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic() || c == '×'),
        "{manifest:?}"
    );
}

#[test]
fn secrets_are_masked_wherever_they_show() {
    let temp = tempfile::tempdir().unwrap();
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
    let event = serde_json::json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "x", "verb": "get",
        "requestURI": format!("/login/{token}"), "user": {"username": "bob"},
        "responseStatus": {"code": 403, "message": format!("forbidden: User \"bob\" cannot get path \"/login/{token}\"")},
        "annotations": {"authorization.k8s.io/decision": "forbid"}
    });
    std::fs::write(temp.path().join("audit.log"), format!("{event}\n")).unwrap();
    let found = common::diagnosis(temp.path());
    for format in Format::ALL {
        assert!(!render(&found, format).unwrap().contains("eyJhbGci"), "{}", format.name());
    }
}

#[test]
fn the_pods_of_one_namespace_are_not_taken_for_all_pods_of_the_node() {
    let temp = tempfile::tempdir().unwrap();
    let hit = common::sample("detectors/pod-ip-leak/hit");
    for file in ["nodes.json", "aks-np1-vmss000000-ipam.txt"] {
        std::fs::copy(hit.join(file), temp.path().join(file)).unwrap();
    }
    // What `kubectl get pods -n shop -o json` gives: no pod of kube-system.
    let all: serde_json::Value =
        serde_json::from_slice(&std::fs::read(hit.join("pods.json")).unwrap()).unwrap();
    let shop: Vec<_> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|pod| pod["metadata"]["namespace"] == "shop")
        .collect();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": shop});
    std::fs::write(temp.path().join("pods.json"), list.to_string()).unwrap();
    assert!(common::diagnosis(temp.path()).findings.is_empty());
}

#[test]
fn more_objects_than_any_cluster_has_are_bounded_and_told() {
    use std::fmt::Write;
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("namespaces.txt");
    let mut table = "NAME   STATUS   AGE\n".to_owned();
    for at in 0..210_000 {
        let _ = writeln!(table, "n{at}   Active   1d");
    }
    std::fs::write(&path, table).unwrap();
    let found = common::diagnosis(&path);
    assert_eq!(found.inventory.objects["namespaces"], 200_000);
    assert!(found.too_much.iter().any(|what| what.starts_with("more namespaces than can be kept")));
}

#[test]
fn ids_of_findings_are_unique_whatever_the_names() {
    let temp = tempfile::tempdir().unwrap();
    let line = |user: &str| {
        format!(
            "E1123 10:00:00.000000       1 r.go:1] pods is forbidden: User \"{user}\" cannot list resource \"pods\" in API group \"\" at the cluster scope\n"
        )
    };
    let users = ["ada.l", "ada-l", "ada_l", "ada-l-2", "ada l-2", "ada-l-3"];
    std::fs::write(temp.path().join("kube.log"), users.map(line).concat()).unwrap();
    let found = common::diagnosis(temp.path());
    let ids: std::collections::BTreeSet<&str> =
        found.findings.iter().map(|finding| finding.id.as_str()).collect();
    assert_eq!((ids.len(), found.findings.len()), (6, 6), "{ids:?}");
}

#[test]
fn names_and_ranges_of_azure_stay_words_in_the_commands_of_a_fix() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["'; touch pwned; '", "$(touch pwned)", "`touch pwned`", "x;touch pwned", "a\ntouch pwned"] {
        let cluster = |state: &str| {
            serde_json::json!({
                "id": "/subscriptions/0/resourcegroups/g/providers/Microsoft.ContainerService/managedClusters/c",
                "type": "Microsoft.ContainerService/ManagedClusters", "name": name, "resourceGroup": name,
                "fqdn": name, "powerState": { "code": state }, "provisioningState": "Succeeded",
                "apiServerAccessProfile": { "authorizedIpRanges": [name, "192.0.2.1/32"] }
            })
        };
        let log = format!(
            "Failed to pull image \"contoso.azurecr.io/cart:v1\": denied: client with IP '{name}' is not allowed access, 403 Forbidden\n\
             Unable to connect to the server: dial tcp 20.1.2.3:443: i/o timeout\n"
        );
        let mut commands = 0;
        for state in ["Stopped", "Running"] {
            std::fs::write(temp.path().join("aks.json"), cluster(state).to_string()).unwrap();
            std::fs::write(temp.path().join("client.txt"), &log).unwrap();
            for finding in &common::diagnosis(temp.path()).findings {
                for command in finding.fix.commands.iter().chain(&finding.verify) {
                    commands += 1;
                    let words = crate::shell::commands(command).unwrap();
                    assert!(words.iter().all(|words| words[0] != "touch"), "{command}");
                }
            }
        }
        assert!(commands > 2, "{commands} commands");
    }
}
