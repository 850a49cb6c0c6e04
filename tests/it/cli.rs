//! The command line as a user meets it.

use crate::common;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubetriage")).current_dir(folder).args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shop() -> String {
    common::sample("bundles/contoso-shop").to_string_lossy().into_owned()
}

#[test]
fn by_default_it_writes_a_page_and_a_text_named_after_the_bundle() {
    let temp = tempfile::tempdir().unwrap();
    let output = run(temp.path(), &["report", &shop()]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let names: Vec<_> = common::files(temp.path()).iter().map(|path| common::name(path)).collect();
    assert_eq!(names, ["contoso-shop.report.html", "contoso-shop.report.md"]);
    let message = text(&output.stdout);
    assert!(
        message.contains("WHAT      Node aks-np1-vmss000000")
            && message.contains("Wrote contoso-shop.report.html"),
        "{message}"
    );
    assert!(!message.contains('\u{1b}'), "no colours into a pipe");
    assert!(output.stderr.is_empty(), "no progress bar without a terminal");
}

#[test]
fn the_extension_picks_the_format_and_a_dash_is_the_standard_output() {
    let temp = tempfile::tempdir().unwrap();
    let output = run(temp.path(), &["report", &shop(), "-o", "a.json", "-o", "b.MD", "-q"]);
    assert_eq!(code(&output), 0);
    assert!(output.stdout.is_empty());
    let json = std::fs::read_to_string(temp.path().join("a.json")).unwrap();
    assert!(json.starts_with("{\n  \"schema\": \"kubetriage/v1\""));
    assert!(std::fs::read_to_string(temp.path().join("b.MD")).unwrap().starts_with("# kubetriage"));
    let output = run(temp.path(), &["report", &shop(), "-o", "-", "--format", "json"]);
    serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    assert!(text(&output.stderr).contains("DO NOW"), "the summary goes to the other stream");
}

#[test]
fn wrong_usage_is_code_2_and_says_what_to_do() {
    let temp = tempfile::tempdir().unwrap();
    for (arguments, hint) in [
        (vec!["report"], "BUNDLE"),
        (vec!["report", "x", "-o", "report.xyz"], "end it in .html"),
        (vec!["report", "-", "-"], "once only"),
        (vec!["report", "x", "--since", "yesterday"], "is no time"),
        (vec!["report", "x", "--since", "2026-11-24", "--until", "2026-11-23"], "after --until"),
        (vec!["explain", "unheard-of-word"], "rbac-missing-permission"),
    ] {
        let output = run(temp.path(), &arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(text(&output.stderr).contains(hint), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn an_input_is_never_overwritten() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("pods.json"), "{}").unwrap();
    let output = run(temp.path(), &["report", "pods.json", "-o", "pods.json"]);
    assert_eq!(code(&output), 2);
    assert_eq!(std::fs::read_to_string(temp.path().join("pods.json")).unwrap(), "{}");
}

#[test]
fn a_bundle_that_is_not_there_is_code_1() {
    let temp = tempfile::tempdir().unwrap();
    let output = run(temp.path(), &["report", "missing.tar.gz"]);
    assert_eq!(code(&output), 1);
    let message = text(&output.stderr);
    assert!(message.contains("missing.tar.gz") && message.contains("check the path"), "{message}");
}

#[test]
fn nothing_recognised_is_code_3_with_a_report_all_the_same() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("poem.txt"), "The fog comes\non little cat feet.\n").unwrap();
    let output = run(temp.path(), &["report", "poem.txt"]);
    assert_eq!(code(&output), 3);
    assert!(temp.path().join("poem.txt.report.html").exists());
}

#[test]
fn fail_on_gives_code_10_when_something_is_that_severe() {
    let temp = tempfile::tempdir().unwrap();
    let hit = common::sample("detectors/rbac-impersonation-denied/hit");
    let hit = hit.to_string_lossy();
    assert_eq!(code(&run(temp.path(), &["report", &hit, "-q", "--fail-on", "low"])), 10);
    assert_eq!(code(&run(temp.path(), &["report", &hit, "-q", "--fail-on", "high"])), 0);
}

#[test]
fn the_standard_input_may_be_an_archive() {
    let temp = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubetriage"))
        .current_dir(temp.path())
        .args(["report", "-", "-o", "-", "--format", "md", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let archive = std::fs::read(common::sample("detectors/pod-ip-leak/hit/nodes.tar.gz")).unwrap();
    child.stdin.take().unwrap().write_all(&archive).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(text(&output.stdout).contains("251 addresses reserved"), "{}", text(&output.stdout));
}

#[test]
fn several_inputs_are_pieces_of_one_cluster() {
    let temp = tempfile::tempdir().unwrap();
    let hit = common::sample("detectors/rbac-binding-in-another-namespace/hit");
    let piece = |name: &str| hit.join(name).to_string_lossy().into_owned();
    let (audit, rbac) = (piece("audit.log"), piece("rbac.json"));
    let output = run(temp.path(), &["report", &audit, &rbac, "-o", "-", "--format", "json", "-q"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let cause = json["findings"][0]["cause"].as_str().unwrap();
    assert!(cause.contains("RoleBinding shop-staging/cart-config"), "{cause}");
}

#[test]
fn can_i_answers_yes_no_and_unknown() {
    let temp = tempfile::tempdir().unwrap();
    let bundle = common::sample("detectors/rbac-verb-missing/hit").to_string_lossy().into_owned();
    let ask = |words: &[&str]| {
        let mut all = vec!["can-i", bundle.as_str()];
        all.extend(words);
        text(&run(temp.path(), &all).stdout)
    };
    assert!(
        ask(&["list", "configmaps", "-n", "shop", "--as", "shop:cart"])
            .starts_with("yes, by RoleBinding shop/cart")
    );
    assert!(ask(&["watch", "configmaps", "-n", "shop", "--as", "shop:cart"]).starts_with("no\n"));
    assert!(ask(&["--list", "-n", "shop", "--as", "shop:cart"]).contains("configmaps in core"));
    let logs_only = common::sample("inputs/klog").to_string_lossy().into_owned();
    let unknown = text(&run(temp.path(), &["can-i", &logs_only, "list", "pods", "--as", "ann"]).stdout);
    assert!(unknown.starts_with("unknown: the bundle has no list of ClusterRole"), "{unknown}");
    let who = text(&run(temp.path(), &["who-can", &bundle, "list", "configmaps", "-n", "shop"]).stdout);
    assert!(who.contains("ServiceAccount shop/cart  (by RoleBinding shop/cart of Role shop/cart)"), "{who}");
}

#[test]
fn reviews_are_answered_line_by_line_in_their_order() {
    let temp = tempfile::tempdir().unwrap();
    let bundle = common::sample("detectors/rbac-verb-missing/hit").to_string_lossy().into_owned();
    let reviews = concat!(
        r#"{"user":"system:serviceaccount:shop:cart","resourceAttributes":{"verb":"get","resource":"configmaps","namespace":"shop"}}"#,
        "\n",
        "no json\n",
        r#"{"spec":{"user":"bob","groups":["system:masters"],"nonResourceAttributes":{"verb":"get","path":"/metrics"}}}"#,
        "\n",
    );
    let file = temp.path().join("reviews.jsonl");
    std::fs::write(&file, reviews).unwrap();
    let output = text(&run(temp.path(), &["can-i", &bundle, "--reviews", &file.to_string_lossy()]).stdout);
    let answers: Vec<serde_json::Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let decisions: Vec<&str> = answers.iter().map(|answer| answer["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["allowed", "unknown", "allowed"]);
    assert_eq!(answers[0]["role"], "Role shop/cart");
}

#[test]
fn inspect_says_what_was_sent_and_what_to_ask_for() {
    let temp = tempfile::tempdir().unwrap();
    let bundle = common::sample("bundles/contoso-shop").to_string_lossy().into_owned();
    let page = text(&run(temp.path(), &["inspect", &bundle]).stdout);
    for part in ["Bundle", "2 nodes (2 ready)", "AKS", "kubenet", "Formats", "Entries"] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    assert!(page.lines().count() < 60, "more than a screen:\n{page}");
    let json: serde_json::Value =
        serde_json::from_slice(&run(temp.path(), &["inspect", &bundle, "--format", "json"]).stdout).unwrap();
    assert_eq!(json["inventory"]["nodes"]["count"], 2);
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0, "inspect writes nothing");
}

#[test]
fn help_has_examples_and_completions_and_the_manual_come_from_the_same_place() {
    let temp = tempfile::tempdir().unwrap();
    let help = text(&run(temp.path(), &["report", "--help"]).stdout);
    assert!(help.contains("Examples:") && help.contains("--max-line"), "{help}");
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(text(&run(temp.path(), &["completions", shell]).stdout).contains("kubetriage"));
    }
    assert!(text(&run(temp.path(), &["man"]).stdout).contains(".TH kubetriage"));
    assert!(text(&run(temp.path(), &["detectors"]).stdout).contains("pod-ip-leak"));
    let page = text(&run(temp.path(), &["explain", "pod-ip-leak"]).stdout);
    assert!(page.contains("How it is decided") && page.contains("kubectl"), "{page}");
}

#[test]
fn reach_names_the_policy_that_denies_and_the_one_that_would_allow() {
    let temp = tempfile::tempdir().unwrap();
    let bundle = common::sample("detectors/policy-isolates-service/hit").to_string_lossy().into_owned();
    let ask = |rest: &[&str]| {
        let mut all = vec!["reach", bundle.as_str()];
        all.extend(rest);
        text(&run(temp.path(), &all).stdout)
    };
    let denied = ask(&["--from", "shop/web-1", "--to", "shop/cart:80"]);
    assert!(denied.starts_with("denied: shop/web-1 to service shop/cart on TCP 80: 0 of 1 pods"), "{denied}");
    assert!(denied.contains("isolated by shop/default-deny"), "{denied}");
    assert!(denied.contains("kind: NetworkPolicy") && denied.contains("port: 8080"), "{denied}");
    let allowed = ask(&["--from", "shop/web-1", "--to", "kube-system/kube-dns:53", "--protocol", "udp"]);
    assert!(allowed.starts_with("allowed:"), "{allowed}");
    let to_address = ask(&["--from", "shop/web-1", "--to", "8.8.8.8:443"]);
    assert!(to_address.starts_with("allowed: shop/web-1 to 8.8.8.8 on TCP 443"), "{to_address}");
    let output = run(temp.path(), &["reach", &bundle, "--from", "shop/nobody", "--to", "shop/cart"]);
    assert!(text(&output.stderr).contains("the bundle has no pod, service or workload shop/nobody"));
}

#[test]
fn flows_are_answered_in_their_order_and_broken_ones_say_so() {
    let temp = tempfile::tempdir().unwrap();
    let bundle = common::sample("detectors/policy-isolates-service/hit").to_string_lossy().into_owned();
    let file = temp.path().join("flows.jsonl");
    let flows = [
        r#"{"from":"shop/web-1","to":"shop/cart-5d8-1","port":8080,"protocol":"TCP"}"#,
        "not json",
        r#"{"from":"shop/web-1","to":"10.244.0.3","port":53,"protocol":"UDP"}"#,
        r#"{"from":"shop/web-1","to":"shop/missing","port":80}"#,
    ];
    std::fs::write(&file, flows.join("\n")).unwrap();
    let output = text(&run(temp.path(), &["reach", &bundle, "--flows", &file.to_string_lossy()]).stdout);
    let decisions: Vec<serde_json::Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words: Vec<&str> = decisions.iter().map(|decision| decision["decision"].as_str().unwrap()).collect();
    assert_eq!(words, ["denied", "unknown", "allowed", "unknown"]);
    assert_eq!(decisions[0]["ingress"]["isolated_by"][0], "shop/default-deny");
    assert!(decisions[1]["error"].as_str().unwrap().starts_with("not a flow"));
}

#[test]
fn two_bundles_that_differ_in_their_ending_have_two_reports() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["bad.tar", "bad.tar.gz"] {
        std::fs::write(temp.path().join(name), "pods is forbidden: no archive at all\n").unwrap();
        run(temp.path(), &["report", "-q", name]);
    }
    for report in ["bad.tar.report.html", "bad.tar.gz.report.html"] {
        assert!(temp.path().join(report).exists(), "{report}");
    }
}

#[test]
fn a_folder_as_output_gets_the_reports_of_the_bundle() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::create_dir(temp.path().join("out")).unwrap();
    let output = run(temp.path(), &["report", "-q", &shop(), "-o", "out"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    for report in ["contoso-shop.report.html", "contoso-shop.report.md"] {
        assert!(temp.path().join("out").join(report).exists(), "{report}");
    }
}

#[cfg(unix)]
#[test]
fn the_map_of_pseudonyms_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let temp = tempfile::tempdir().unwrap();
    let arguments = ["report", "-q", &shop(), "-o", "r.json", "--redact", "all", "--redact-map", "map.tsv"];
    assert_eq!(code(&run(temp.path(), &arguments)), 0);
    let mode = |file: &str| std::fs::metadata(temp.path().join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("map.tsv"), 0o600);
    assert_ne!(mode("r.json"), 0o600, "a report is for all who may read the folder");
}

#[test]
fn a_map_of_pseudonyms_overwrites_neither_the_bundle_nor_the_report() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("b.log"), "pods is forbidden\n").unwrap();
    let redacted = |map: &str| {
        run(temp.path(), &["report", "-q", "b.log", "--redact", "all", "--redact-map", map, "-o", "r.json"])
    };
    for map in ["b.log", "r.json"] {
        let output = redacted(map);
        assert_eq!(code(&output), 2, "{map}: {}", text(&output.stderr));
    }
    assert_eq!(std::fs::read_to_string(temp.path().join("b.log")).unwrap(), "pods is forbidden\n");
}

#[test]
fn a_file_of_the_bundle_is_never_overwritten_and_a_report_of_before_is() {
    let temp = tempfile::tempdir().unwrap();
    let (input, report) = (temp.path().join("pods.json"), temp.path().join("r.html"));
    std::fs::write(&input, "{}").unwrap();
    let run = |output: &std::path::Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kubetriage"));
        command.args(["report", "-q"]).arg(temp.path()).arg("-o").arg(output);
        command.output().unwrap().status.code()
    };
    assert_eq!(run(&input), Some(2));
    assert_eq!(std::fs::read_to_string(&input).unwrap(), "{}");
    assert_eq!(run(&report), Some(3));
    assert_ne!(run(&report), Some(2), "the report of before may be replaced");
}
