//! The pitfalls of the input formats: one test each, named after it. Where a sample holds it, the sample
//! is read; elsewhere the text is here.

use crate::common;
use kubetriage::bundle::Limits;
use kubetriage::facts::{AzureKind, Facts, Form, time};

fn sample(path: &str) -> Facts {
    settled(common::facts(&common::sample("inputs").join(path), &common::threads(2)))
}

/// Reads a text under a name that says nothing.
fn text(bytes: impl AsRef<[u8]>) -> Facts {
    named("x", bytes)
}

fn named(name: &str, bytes: impl AsRef<[u8]>) -> Facts {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join(name), bytes).unwrap();
    settled(common::facts(temp.path(), &common::threads(2)))
}

fn settled(mut facts: Facts) -> Facts {
    facts.objects.settle();
    facts
}

fn formats(facts: &Facts) -> Vec<&'static str> {
    let mut found: Vec<_> = facts
        .coverage
        .entries
        .values()
        .flat_map(|entry| entry.formats.iter().map(|(name, _)| name))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn refused(facts: &Facts) -> Vec<String> {
    facts.denials.map.iter().map(|(key, _)| key.request.to_string()).collect()
}

const FORBIDDEN: &str =
    "pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" at the cluster scope";

// 0. Every file.

#[test]
fn several_things_in_one_file_are_each_read() {
    let facts = text(format!(
        "Hello, here is what you asked for:\n\n$ kubectl get pods -n shop -o wide\nNAME   READY   STATUS    RESTARTS   AGE   IP           NODE\ncart   1/1     Running   0          2d    10.244.1.5   aks-1\n\
         $ kubectl get svc web -n shop -o json\n{{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{{\"name\":\"web\",\"namespace\":\"shop\"}},\"spec\":{{\"clusterIP\":\"10.0.0.9\"}}}}\n\
         $ kubectl describe pod cart -n shop\nName:         cart\nNamespace:    shop\nService Account:  cart-sa\nNode:         aks-1/10.224.0.4\nLabels:       app=cart\nIP:           10.244.1.5\nContainers:\n  cart:\n    Image:  x\nEvents:  <none>\n\
         $ kubectl auth whoami\nError from server (Forbidden): {FORBIDDEN}\n"
    ));
    assert_eq!(facts.objects.services.get("shop", "web").unwrap().form, Form::Full);
    let cart = facts.objects.pods.get("shop", "cart").unwrap();
    // The table knows the namespace from the command, and describe completes it.
    assert_eq!(
        (cart.form, &*cart.object.spec.node_name, &*cart.object.spec.service_account_name),
        (Form::Describe, "aks-1", "cart-sa")
    );
    assert_eq!(refused(&facts), ["list pods cluster-wide"]);
}

#[test]
fn powershell_redirects_are_utf16_with_crlf() {
    let table = "NAME   STATUS   ROLES    AGE   VERSION\r\naks-1  Ready    <none>   5d    v1.33.1\r\n";
    let mut bytes = vec![0xff, 0xfe];
    bytes.extend(table.encode_utf16().flat_map(u16::to_le_bytes));
    assert!(text(bytes).objects.nodes.get("", "aks-1").is_some());
}

#[test]
fn a_hard_wrapped_error_is_still_one_error() {
    let facts = text(
        "Error from server (Forbidden): pods is forbidden: User \"bob\"\u{a0}cannot list resource \"pods\" in API group \"\" at the cluster scope\n",
    );
    assert_eq!(refused(&facts), ["list pods cluster-wide"]);
}

#[test]
fn typographic_quotes_of_a_mail_program_are_quotes() {
    let facts = text(
        "pods is forbidden: User \u{201c}bob\u{201d} cannot list resource \u{201c}pods\u{201d} in API group \u{201c}\u{201d} at the cluster scope\n",
    );
    assert_eq!(refused(&facts), ["list pods cluster-wide"]);
}

#[test]
fn a_placeholder_of_the_guide_is_no_value() {
    let facts = text(
        "nodes is forbidden: User \"<user>\" cannot list resource \"nodes\" in API group \"\" at the cluster scope\n",
    );
    assert!(refused(&facts).is_empty(), "{:?}", refused(&facts));
}

#[test]
fn a_name_that_lies_about_its_content_is_not_believed() {
    let facts = named(
        "pods.yaml",
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: metrics.k8s.io/v1beta1\n  kind: PodMetrics\n  metadata:\n    name: cart\n    namespace: shop\n",
    );
    assert!(facts.objects.pods.is_empty());
    assert_eq!(facts.other_kinds.get("PodMetrics"), Some(&1));
}

// 1.1 JSON and YAML of kubectl.

#[test]
fn the_kind_of_a_list_comes_after_its_items() {
    assert!(!sample("kubernetes-json/pods-list.json").objects.pods.is_empty());
    assert!(!sample("kubernetes-yaml/podlist-kind-last.yaml").objects.pods.is_empty());
}

#[test]
fn items_of_a_raw_list_have_no_kind() {
    assert!(!sample("kubernetes-json/podlist-raw.json").objects.pods.is_empty());
}

#[test]
fn one_list_holds_several_kinds() {
    let item = |kind: &str, name: &str| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"{kind}\",\"metadata\":{{\"name\":\"{name}\",\"namespace\":\"a\"}}}}"
        )
    };
    let facts = text(format!(
        "{{\"apiVersion\":\"v1\",\"items\":[{},{}],\"kind\":\"List\"}}",
        item("Pod", "p"),
        item("Service", "s")
    ));
    assert_eq!((facts.objects.pods.len(), facts.objects.services.len()), (1, 1));
}

#[test]
fn documents_follow_one_another_without_commas() {
    assert!(facts_of_documents("kubernetes-json/concatenated.json") > 1);
}

fn facts_of_documents(path: &str) -> usize {
    sample(path).objects.counts().iter().map(|(_, count)| count).sum()
}

#[test]
fn items_are_null_when_there_are_none() {
    assert!(sample("kubernetes-json/items-null.json").collected.iter().any(|(_, kind)| kind.listed));
}

#[test]
fn a_failed_request_is_a_status_and_no_list() {
    let facts = sample("kubernetes-json/status-forbidden.json");
    assert_eq!(refused(&facts).len(), 1);
}

#[test]
fn very_old_dumps_have_gos_field_names() {
    let facts = sample("kubernetes-json/go-encoded-1.8.json");
    let pod = &facts.objects.pods.get("shop", "cart").unwrap().object;
    assert_eq!((&*pod.status.pod_ip, pod.spec.containers[0].ports[0].container_port), ("10.244.1.5", 8080));
}

#[test]
fn plain_scalars_of_yaml_take_the_type_of_their_field() {
    let facts = text(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  namespace: a\n  labels:\n    version: 1.0\n    enabled: on\n    answer: y\n    number: 1e3\nspec:\n  nodeName: n\n",
    );
    let pod = &facts.objects.pods.get("a", "p").unwrap().object;
    let label = |key: &str| pod.metadata.labels.get(key).unwrap().to_string();
    assert_eq!(
        [label("version"), label("enabled"), label("answer"), label("number")],
        ["1.0", "on", "y", "1e3"]
    );
}

#[test]
fn the_schedulers_events_have_null_timestamps_and_a_series() {
    let facts = sample("kubernetes-json/events-both-groups.json");
    assert!(facts.events.map.iter().all(|(_, tally)| tally.span.resolve(None).is_some()));
}

#[test]
fn warnings_of_client_go_stand_before_the_document() {
    let facts = text(
        "I0104 05:34:38.455763   17683 request.go:696] Waited for 1.05s due to client-side throttling, not priority and fairness, request: GET:https://x\n{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"a\"}}\n",
    );
    assert_eq!(facts.objects.pods.len(), 1);
}

#[test]
fn a_redaction_placeholder_is_not_empty() {
    let facts = text(
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"a\"},\"status\":{\"phase\":\"Running\",\"podIP\":\"***HIDDEN***\"}}",
    );
    let pod = &facts.objects.pods.get("a", "p").unwrap().object;
    assert!(pod.address_hidden());
    assert_eq!(pod.addresses().count(), 0);
}

// 1.2 Tables.

#[test]
fn a_nil_cell_is_blank_and_shifts_nothing() {
    let facts = sample("kubectl-table/rolebindings-wide.txt");
    let binding = &facts.objects.role_bindings.get("shop", "deployer").unwrap().object;
    assert_eq!(
        binding.subjects.iter().map(|subject| (&*subject.kind, &*subject.name)).collect::<Vec<_>>(),
        [("ServiceAccount", "deployer"), ("ServiceAccount", "helper")]
    );
}

#[test]
fn restarts_may_hold_spaces_and_pastes_have_single_ones() {
    for path in ["kubectl-table/pods-wide.txt", "kubectl-table/pods-pasted-single-spaces.txt"] {
        let facts = sample(path);
        let (_, cart) = facts.objects.pods.iter().find(|(key, _)| key.name.starts_with("cart")).unwrap();
        assert_eq!(cart.object.status.container_statuses[0].restart_count, 12, "{path}");
        assert_eq!(&*cart.object.status.pod_ip, "10.244.1.5", "{path}");
    }
}

#[test]
fn names_carry_their_kind_when_several_are_asked_for() {
    let facts = sample("kubectl-table/get-all-several-tables.txt");
    assert!(facts.objects.pods.get("shop", "web-7b9c5d4f6-fghij").is_some());
    assert!(facts.objects.deployments.get("shop", "web").is_some());
    assert_eq!(&*facts.objects.services.get("shop", "old").unwrap().object.spec.external_name, "db.example");
}

#[test]
fn a_table_of_endpoints_is_a_lower_bound() {
    let facts = sample("kubectl-table/get-all-several-tables.txt");
    let web = &facts.objects.endpoints.get("shop", "web").unwrap().object;
    assert_eq!((web.subsets[0].addresses.len(), web.left_out), (3, 4));
    assert!(facts.objects.endpoints.get("shop", "pay").unwrap().object.subsets.is_empty());
}

#[test]
fn an_image_name_with_spaces_is_one_cell() {
    let facts = sample("kubectl-table/nodes-wide.txt");
    let node = &facts.objects.nodes.get("", "aks-np1-31337-vmss000001").unwrap().object;
    assert_eq!((&*node.status.node_info.os_image, node.spec.unschedulable), ("Ubuntu 22.04.5 LTS", true));
}

#[test]
fn an_event_says_how_often_within_its_age() {
    let facts = sample("kubectl-table/events.txt");
    let (_, tally) =
        facts.events.map.iter().find(|(key, _)| &*key.reason == "FailedCreatePodSandBox").unwrap();
    assert_eq!(tally.count, 204);
}

#[test]
fn no_resources_found_is_an_answer() {
    let facts = text("$ kubectl get networkpolicies -n shop\nNo resources found in shop namespace.\n");
    assert!(facts.collected.get("NetworkPolicy").unwrap().listed);
}

#[test]
fn a_table_without_namespaces_joins_the_only_object_of_that_name() {
    let facts = text(
        "NAME   READY   STATUS    RESTARTS   AGE   IP           NODE\ncart   1/1     Running   0          2d    10.244.1.5   aks-1\n\n{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"cart\",\"namespace\":\"shop\"}}\n",
    );
    assert_eq!(facts.objects.pods.len(), 1);
    assert!(facts.objects.pods.get("shop", "cart").is_some());
}

#[test]
fn a_table_never_overrides_the_object_and_the_difference_is_kept() {
    let facts = text(
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"cart\",\"namespace\":\"shop\"},\"spec\":{\"nodeName\":\"aks-2\"}}\n\nNAMESPACE   NAME   READY   STATUS    RESTARTS   AGE   IP           NODE\nshop        cart   1/1     Running   0          2d    10.244.1.5   aks-1\n",
    );
    let cart = facts.objects.pods.get("shop", "cart").unwrap();
    assert_eq!(&*cart.object.spec.node_name, "aks-2");
    let fields: Vec<_> = cart.contradictions().iter().map(|contradiction| contradiction.field).collect();
    assert_eq!(fields, ["node"]);
}

#[test]
fn a_table_of_roles_says_nothing_of_their_rules() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("x.log"), "E1123 10:00:00.000000       1 r.go:1] configmaps is forbidden: User \"system:serviceaccount:shop:cart\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"shop\"\n").unwrap();
    std::fs::write(
        temp.path().join("roles.txt"),
        "NAMESPACE   NAME   CREATED AT\nshop        cart   2026-11-23T20:52:16Z\n",
    )
    .unwrap();
    std::fs::write(temp.path().join("b.txt"), "NAMESPACE   NAME   ROLE        AGE   USERS   GROUPS   SERVICEACCOUNTS\nshop        cart   Role/cart   12d                   shop/cart\n").unwrap();
    let found = common::diagnosis(temp.path());
    let finding =
        found.findings.iter().find(|finding| finding.details.authorization.bundle_rbac.is_some()).unwrap();
    assert!(!finding.cause.contains("does not exist"), "{}", finding.cause);
}

// 1.3 describe.

#[test]
fn old_clients_print_the_node_in_the_source_of_an_event() {
    let facts = sample("kubectl-describe/old-kubelet-events.txt");
    let (_, tally) = facts.events.map.iter().next().unwrap();
    assert_eq!((tally.node.as_deref(), tally.count), (Some("aks-np1-31337-0"), 17));
    assert_eq!(facts.signals.map.len(), 1);
}

#[test]
fn objects_of_several_kinds_are_described_in_one_text() {
    let facts = sample("kubectl-describe/pod-service-node.txt");
    assert_eq!(
        (facts.objects.pods.len(), facts.objects.services.len(), facts.objects.nodes.len()),
        (1, 1, 1)
    );
    let pod = &facts.objects.pods.get("shop", "cart-6d5f7c9b8-abcde").unwrap().object;
    let status = &pod.status.container_statuses[0];
    assert_eq!(&*status.state.waiting.as_ref().unwrap().reason, "CrashLoopBackOff");
    assert_eq!(status.last_state.terminated.as_ref().unwrap().exit_code, 1);
    assert_eq!(facts.objects.endpoints.get("shop", "web").unwrap().object.left_out, 2);
}

#[test]
fn a_described_binding_without_its_namespace_is_not_guessed() {
    let binding = "Name:         clean\nLabels:       <none>\nAnnotations:  <none>\nRole:\n  Kind:  Role\n  Name:  clean\nSubjects:\n  Kind            Name   Namespace\n  ----            ----   ---------\n  ServiceAccount  clean  ci\n";
    assert!(text(binding).objects.role_bindings.is_empty());
    let facts = text(format!("$ kubectl describe rolebinding clean -n ci\n{binding}"));
    assert_eq!(facts.objects.role_bindings.len(), 1);
}

// 2. API server and audit.

#[test]
fn a_yearless_log_is_anchored_by_the_bundle() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("a.log"), format!("E1231 23:59:59.000000       1 r.go:1] {FORBIDDEN}\n"))
        .unwrap();
    std::fs::write(temp.path().join("b.log"), "2026-01-02T03:04:05Z hello\n2026-01-02T03:04:06Z hello\n")
        .unwrap();
    let facts = common::facts(temp.path(), &common::threads(2));
    let (_, denial) = facts.denials.map.iter().next().unwrap();
    let (first, _) = denial.span.resolve(facts.span.newest()).unwrap();
    assert!(time::rfc3339_text(first).starts_with("2025-12-31"));
}

#[test]
fn json_klog_counts_in_milliseconds() {
    let facts = sample("json-log/kube-apiserver.json.log");
    assert!(facts.span.newest().is_some_and(|micros| time::rfc3339_text(micros).starts_with("20")));
}

#[test]
fn continuation_lines_without_a_header_do_not_unmake_a_log() {
    let facts = text(
        "I1123 20:52:03.889309   16403 a.go:64] one\n[-]etcd failed: reason withheld\n[+]ping ok\nI1123 20:52:04.889309   16403 a.go:64] two\ngoroutine 1 [running]:\nI1123 20:52:05.889309   16403 a.go:64] three\n",
    );
    assert_eq!(formats(&facts), ["klog"]);
}

// 3. Log Analytics.

#[test]
fn a_byte_order_mark_and_a_display_zone_are_no_part_of_a_column() {
    let facts = sample("log-analytics-csv/KubeServices.csv");
    let service = facts.objects.services.get("shop", "web").unwrap();
    assert_eq!(
        (service.form, service.object.spec.selector.get("app").map(|app| &**app)),
        (Form::Inventory, Some("web"))
    );
}

#[test]
fn a_stray_quote_does_not_swallow_the_rows_after_it() {
    assert_eq!(refused(&sample("log-analytics-csv/stray-quote.csv")).len(), 1);
}

#[test]
fn az_writes_every_value_as_a_string_and_null_as_none() {
    assert!(formats(&sample("log-analytics-json/az-query.json")).contains(&"log-analytics-json"));
}

#[test]
fn an_ambiguous_date_is_reported_and_not_guessed() {
    let facts = text(
        "TimeGenerated [UTC],PodName,PodNamespace,LogMessage\n\"03/04/2026, 20:26:12.030\",a,b,\"pods is forbidden: User \"\"bob\"\" cannot list resource \"\"pods\"\" in API group \"\"\"\" at the cluster scope\"\n",
    );
    let problem = facts.coverage.entries.values().next().unwrap().problems.keys().next().unwrap().clone();
    assert!(problem.contains("day or month first"), "{problem}");
    assert_eq!(refused(&facts).len(), 1);
}

#[test]
fn a_column_of_dates_is_decided_by_one_clear_date() {
    let row = |date: &str| {
        format!(
            "\"{date}\",a,b,\"pods is forbidden: User \"\"bob\"\" cannot list resource \"\"pods\"\" in API group \"\"\"\" at the cluster scope\"\n"
        )
    };
    let facts = text(format!(
        "TimeGenerated [UTC],PodName,PodNamespace,LogMessage\n{}{}",
        row("03/04/2026, 20:26:12.030"),
        row("16/04/2026, 20:26:12.030")
    ));
    assert!(facts.coverage.entries.values().all(|entry| entry.problems.is_empty()));
    let (_, denial) = facts.denials.map.iter().next().unwrap();
    let (first, last) = denial.span.resolve(None).unwrap();
    assert_eq!(
        (time::rfc3339_text(first).get(..10), time::rfc3339_text(last).get(..10)),
        (Some("2026-04-03"), Some("2026-04-16"))
    );
}

#[test]
fn an_inner_audit_event_that_was_trimmed_still_tells_its_refusal() {
    let log = r#"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"RequestResponse\",\"auditID\":\"4dc7\",\"stage\":\"ResponseComplete\",\"requestURI\":\"/api/v1/pods\",\"verb\":\"list\",\"user\":{\"username\":\"bob\",\"groups\":[\"system:authenticated\"]},\"objectRef\":{\"resource\":\"pods\",\"apiVersion\":\"v1\"},\"responseStatus\":{\"metadata\":{},\"status\":\"Failure\",\"reason\":\"Forbidden\",\"code\":403},\"requestObject\":{\"spec\":{\"cont"#;
    let record = format!(
        "{{\"category\":\"kube-audit\",\"operationName\":\"x\",\"properties\":{{\"log\":\"{log}\",\"pod\":\"p\",\"stream\":\"stdout\"}},\"resourceId\":\"/SUBSCRIPTIONS/X\",\"time\":\"2026-11-23T10:57:31.0000000Z\"}}\n"
    );
    let facts = text(record);
    assert_eq!(refused(&facts), ["list pods cluster-wide"]);
}

#[test]
fn parquet_exports_are_named() {
    let facts = text(b"PAR1\x15\x04\x15\x10 the rest of a table PAR1");
    assert_eq!(facts.coverage.entries["x"].not_text.as_deref(), Some("Parquet table"));
}

// 4. Addresses.

#[test]
fn a_run_command_answer_is_unwrapped_and_read_again() {
    let facts = sample("az-run-command/vmss.json");
    assert_eq!(facts.leases.stores.values().next().unwrap().leases.len(), 2);
    assert_eq!(sample("az-run-command/vmss-message.txt").nodes.resolvers.len(), 1);
    assert_eq!(sample("az-run-command/aks-invoke.json").objects.pods.len(), 1);
    assert_eq!(sample("az-run-command/aks-invoke.txt").objects.pods.len(), 1);
}

#[test]
fn an_output_cut_to_4096_bytes_says_so() {
    #[allow(clippy::format_collect)]
    let lines: String = (0..170).map(|n| format!("-rw------- 1 root root {n:>4} 10.0.0.1\n")).collect();
    let message = format!("Enable succeeded: \n[stdout]\n{}\n[stderr]\n", &lines[..4096]);
    let facts = text(serde_json::json!({"value":[{"message": message}]}).to_string());
    assert!(facts.coverage.entries["x"].problems.keys().any(|problem| problem.contains("last 4,096 bytes")));
}

#[test]
fn state_files_of_the_cni_may_be_empty_or_cut() {
    let whole = std::fs::read(common::sample("inputs/azure-cni-state/azure-vnet.json")).unwrap();
    let facts = text(&whole[..whole.len() - 40]);
    assert!(facts.coverage.entries["x"].problems.keys().any(|problem| problem.contains("cut or damaged")));
    assert_eq!(text(b"").coverage.entries["x"].not_text.as_deref(), Some("empty"));
    let facts = sample("azure-cni-state/cns-debug.json");
    let entries = facts.address_books.books.iter().flat_map(|(_, book)| &book.entries);
    let moving = entries.filter(|entry| entry.holding == kubetriage::facts::Holding::Moving);
    assert_eq!(moving.count(), 1);
}

// 5. Azure.

#[test]
fn the_managers_dialect_reads_like_the_clis() {
    let facts = sample("azure-resource/nsg-arm.json");
    let (_, group) = facts.azure.of(AzureKind::SecurityGroup).next().unwrap();
    let rules: Vec<serde_json::Value> = group.part("securityrules");
    assert_eq!(rules[0]["access"], "Deny");
}

#[test]
fn both_generations_of_the_firewalls_log_are_read() {
    for path in [
        "log-analytics-csv/AZFWApplicationRule.csv",
        "log-analytics-csv/AzureDiagnostics-firewall-legacy.csv",
    ] {
        let facts = sample(path);
        let denied: Vec<_> = facts
            .flows
            .map
            .iter()
            .filter(|(key, _)| !key.allowed)
            .map(|(key, _)| (key.target.to_string(), key.port))
            .collect();
        assert_eq!(denied, [("mcr.microsoft.com".to_owned(), 443)], "{path}");
    }
}

// 6. Node files.

#[test]
fn a_journal_line_has_two_times_and_klog_within() {
    let facts = sample("journal/kubelet-short.log");
    assert_eq!(formats(&facts), ["journal"]);
}

#[test]
fn a_journals_message_may_be_bytes_or_null() {
    let facts = sample("journal-json/kubelet.json");
    assert_eq!(refused(&facts), ["list nodes cluster-wide"]);
}

#[test]
fn a_partial_line_of_the_cri_is_joined_per_stream() {
    let facts = sample("cri-log/partial-lines.log");
    assert_eq!(refused(&facts), ["get configmaps in namespace shop"]);
}

#[test]
fn two_sets_of_tables_at_once_are_told() {
    let facts = sample("packet-filter/iptables-save.txt");
    let (_, filter) = facts.nodes.packet_filters.iter().next().unwrap();
    assert!(filter.legacy_present);
    assert_eq!(filter.no_endpoints.iter().map(|name| &**name).collect::<Vec<_>>(), ["shop/cart:http"]);
}

#[test]
fn an_error_of_the_command_stands_before_the_json() {
    let facts = sample("ip-tool/ip_4_route-with-stderr.json");
    assert_eq!(facts.nodes.ip_states.iter().next().unwrap().1.routes.len(), 2);
}

#[test]
fn a_file_that_kept_its_last_megabytes_begins_in_the_middle_of_a_line() {
    let facts = text(
        "ubelet.go:1] torn\nI1123 20:52:03.889309   16403 a.go:64] one\nI1123 20:52:04.889309   16403 a.go:64] two\nI1123 20:52:05.889309   16403 a.go:64] three\n",
    );
    assert_eq!(formats(&facts), ["klog"]);
}

#[test]
fn the_exit_code_of_provisioning_is_a_string() {
    let facts = sample("node-provisioning/provision.json");
    let (_, provision) = facts.nodes.provisions.iter().next().unwrap();
    assert_eq!(&*provision.exit_code, "51");
    assert!(provision.message.contains("Connection timed out"));
}

#[test]
fn what_the_collector_could_not_collect_proves_nothing() {
    let facts = sample("collection-errors/pod-disruption-budgets-errors.json");
    assert_eq!(facts.failed.iter().count(), 2);
    assert_eq!(refused(&facts).len(), 1);
}

#[test]
fn what_periscope_could_not_reach_is_told() {
    let facts = sample("network-outbound/networkoutbound.json");
    let failed: Vec<_> = facts
        .nodes
        .probes
        .iter()
        .filter(|(_, probe)| !probe.reached)
        .map(|(_, probe)| probe.target.to_string())
        .collect();
    assert_eq!(failed, ["prod-abc.hcp.westeurope.azmk8s.io"]);
}

// 9. What a real control plane does.

#[test]
fn a_slice_without_pods_has_null_ports_and_endpoints() {
    let facts = text(
        "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"s\",\"namespace\":\"a\"},\"addressType\":\"IPv4\",\"endpoints\":null,\"ports\":null}",
    );
    assert!(facts.objects.endpoint_slices.get("a", "s").unwrap().object.endpoints.is_empty());
}

#[test]
fn an_over_long_line_is_cut_with_a_note_and_the_next_is_read() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("x");
    std::fs::write(&path, format!("{}\n{FORBIDDEN}\n", "y".repeat(3 << 20))).unwrap();
    let options = kubetriage::Options {
        threads: Some(2),
        limits: Limits { line_bytes: 1 << 20, ..Limits::default() },
        ..kubetriage::Options::default()
    };
    let facts = common::facts(&path, &options);
    assert_eq!(refused(&facts).len(), 1);
    assert!(facts.coverage.entries["x"].problems.keys().any(|problem| problem.contains("raise --max-line")));
}
