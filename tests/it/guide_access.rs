//! The guide's first and fourth chapters as it prints them: who can't reach the API server, and why.

use crate::common;
use kubetriage::detectors::{Confidence, Finding, Severity};
use kubetriage::diagnosis::VerdictKind;
use kubetriage::report::Redacted;

/// A bundle of these files.
fn diagnosed(files: &[(&str, &str)]) -> Redacted {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    common::diagnosis(folder.path())
}

fn only<'a>(found: &'a Redacted, detector: &str) -> &'a Finding {
    let all: Vec<&Finding> = found.findings.iter().filter(|finding| finding.detector == detector).collect();
    let names: Vec<&str> = found.findings.iter().map(|finding| finding.title.as_str()).collect();
    assert_eq!(all.len(), 1, "{detector}: {names:?}");
    all[0]
}

fn verdict<'a>(found: &'a Redacted, id: &str) -> (VerdictKind, &'a str) {
    let verdict = found.verdicts.iter().find(|verdict| verdict.id == id).unwrap();
    (verdict.verdict, &verdict.reason)
}

const AKS: &str = r#"{"id":"/subscriptions/s/resourcegroups/rg/providers/Microsoft.ContainerService/managedClusters/prod","name":"prod","resourceGroup":"rg","location":"westeurope","fqdn":"prod-1.hcp.westeurope.azmk8s.io","powerState":{"code":"Running"},"provisioningState":"Succeeded","nodeResourceGroup":"MC","agentPoolProfiles":[{"name":"np1","count":2}],"networkProfile":{"outboundType":"loadBalancer"},"apiServerAccessProfile":RANGES}"#;

fn aks(profile: &str) -> String {
    AKS.replace("RANGES", profile)
}

#[test]
fn both_error_forms_of_the_guide_are_one_finding_also_when_a_terminal_broke_them() {
    for text in [
        "Unable to connect to the server: dial tcp 20.1.2.3:443: i/o timeout\n",
        "Unable to connect to the server: dial tcp 20.1.2.3:443: connectex: A connection attempt\nfailed because the connected party did not properly respond after a period, or established\nconnection failed because connected host has failed to respond.\n",
        "Unable to connect to the server: dial tcp 20.1.2.3:443: connectex: Une tentative de connexion a échoué car le parti connecté n’a pas répondu convenablement au-delà d’une certaine durée\n",
    ] {
        let found =
            diagnosed(&[("mail.txt", text), ("aks.json", &aks(r#"{"authorizedIpRanges":["10.0.0.0/8"]}"#))]);
        let finding = only(&found, "client-not-in-authorized-ranges");
        assert_eq!(finding.confidence, Confidence::Likely, "the client's address is not known");
    }
}

#[test]
fn the_fix_keeps_the_ranges_that_are_there() {
    let found = diagnosed(&[
        ("client.txt", "Unable to connect to the server: dial tcp 20.1.2.3:443: i/o timeout\n"),
        ("client-ip.txt", "192.0.2.55\n"),
        ("aks.json", &aks(r#"{"authorizedIPRanges":["198.51.100.0/24","203.0.113.7/32"]}"#)),
    ]);
    let finding = only(&found, "client-not-in-authorized-ranges");
    assert_eq!(finding.confidence, Confidence::Confirmed);
    assert_eq!(
        finding.fix.commands,
        [
            "az aks update -g rg -n prod --api-server-authorized-ip-ranges 198.51.100.0/24,203.0.113.7/32,192.0.2.55/32"
        ]
    );
}

#[test]
fn the_guides_own_query_over_several_lines_tells_the_ranges() {
    let transcript = "$ az aks show --resource-group rg \\\n--name prod \\\n--query apiServerAccessProfile.authorizedIpRanges\n[\n  \"198.51.100.0/24\"\n]\n$ curl -s https://ifconfig.me\n192.0.2.55\n$ kubectl get nodes\nUnable to connect to the server: dial tcp 20.1.2.3:443: i/o timeout\n";
    let found = diagnosed(&[("session.txt", transcript)]);
    let finding = only(&found, "client-not-in-authorized-ranges");
    assert_eq!(finding.confidence, Confidence::Confirmed, "{}", finding.cause);
    assert!(finding.fix.commands[0].contains("-g rg -n prod"), "{:?}", finding.fix.commands);
}

#[test]
fn no_ranges_rule_that_cause_out() {
    let found = diagnosed(&[
        ("client.txt", "Unable to connect to the server: dial tcp 20.1.2.3:443: i/o timeout\n"),
        ("aks.json", &aks("null")),
    ]);
    assert_eq!(verdict(&found, "client-not-in-authorized-ranges").0, VerdictKind::RuledOut);
    assert_eq!(only(&found, "client-blocked-on-the-way").confidence, Confidence::Likely);
}

#[test]
fn an_address_asked_in_a_pod_is_the_nodes_and_not_the_clients() {
    let transcript = "$ kubectl run curl --image=mcr.microsoft.com/azure-cli -i -t --restart=Never --command -- sh\n/ # curl -s https://ifconfig.me\n20.50.0.9\n";
    let found = diagnosed(&[
        ("session.txt", transcript),
        ("aks.json", &aks(r#"{"authorizedIpRanges":["198.51.100.0/24"]}"#)),
    ]);
    let finding = only(&found, "node-egress-not-in-authorized-ranges");
    assert_eq!(finding.confidence, Confidence::Possible, "nothing fails: it is a risk");
    assert!(found.findings.iter().all(|finding| finding.detector != "client-not-in-authorized-ranges"));
}

#[test]
fn a_pod_list_for_the_guides_curl_rules_out_that_pods_cannot_reach_the_api_server() {
    let transcript = "/ # curl -sSk -H \"Authorization: Bearer $KUBE_TOKEN\" https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/default/pods\n{\n  \"kind\": \"PodList\",\n  \"apiVersion\": \"v1\",\n  \"metadata\": {\n    \"selfLink\": \"/api/v1/namespaces/default/pods\",\n    \"resourceVersion\": \"2285\"\n  },\n  \"items\": []\n}\n";
    let found =
        diagnosed(&[("session.txt", transcript), ("shop/cart-1/logs.txt", "2026-11-23T09:00:00Z started\n")]);
    let (decision, reason) = verdict(&found, "pod-cannot-reach-api-server");
    assert_eq!(decision, VerdictKind::RuledOut, "{reason}");
    assert!(reason.contains("reached"), "{reason}");
}

#[test]
fn a_curl_that_times_out_in_a_pod_is_a_pod_that_cannot_reach_the_api_server() {
    let transcript = "/ # curl -sSk https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/default/pods\ncurl: (28) Failed to connect to 10.0.0.1 port 443 after 130512 ms: Connection timed out\n";
    let kubernetes = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"kubernetes","namespace":"default"},"spec":{"clusterIP":"10.0.0.1","ports":[{"name":"https","port":443,"targetPort":443}]}}"#;
    let found = diagnosed(&[("session.txt", transcript), ("service.json", kubernetes)]);
    assert_eq!(only(&found, "pod-cannot-reach-api-server").confidence, Confidence::Confirmed);
}

#[test]
fn a_forbidden_answer_is_rbac_and_no_network_fault() {
    let transcript = "/ # curl -sSk https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/default/pods\n{\n  \"kind\": \"Status\",\n  \"apiVersion\": \"v1\",\n  \"status\": \"Failure\",\n  \"message\": \"pods is forbidden: User \\\"system:serviceaccount:default:default\\\" cannot list resource \\\"pods\\\" in API group \\\"\\\" in the namespace \\\"default\\\"\",\n  \"reason\": \"Forbidden\",\n  \"code\": 403\n}\n";
    let found = diagnosed(&[("session.txt", transcript)]);
    assert_eq!(
        only(&found, "rbac-missing-permission").details.authorization.identity.as_deref(),
        Some("system:serviceaccount:default:default")
    );
    assert!(found.findings.iter().all(|finding| finding.detector != "pod-cannot-reach-api-server"));
}

#[test]
fn the_guides_missing_service_and_pods_are_no_fault_on_aks() {
    let node = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"aks-np1"},"spec":{"providerID":"azure:///x"},"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
    let pods = r#"{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"cart-1","namespace":"shop"},"spec":{"nodeName":"aks-np1"},"status":{"phase":"Running"}}]}"#;
    let text = "$ kubectl get service kubernetes-internal\nError from server (NotFound): services \"kubernetes-internal\" not found\n$ kubectl -n kube-system get pod -l component=kube-apiserver\nNo resources found in kube-system namespace.\n";
    let found = diagnosed(&[("node.json", node), ("pods.json", pods), ("session.txt", text)]);
    assert!(
        found.findings.is_empty(),
        "{:?}",
        found.findings.iter().map(|finding| &finding.title).collect::<Vec<_>>()
    );
    let (decision, reason) = verdict(&found, "api-server-pod-unhealthy");
    assert_eq!(decision, VerdictKind::RuledOut);
    assert!(reason.contains("normal") && reason.contains("kubernetes-internal"), "{reason}");
}

#[test]
fn four_kinds_of_429_are_four_causes() {
    for (text, cause) in [
        (
            "Error from server (TooManyRequests): the server has received too many requests and has asked us to try again later\n",
            "api-server-throttles",
        ),
        (
            "error when evicting pods/\"cart-1\" -n \"shop\" (will retry after 5s): Cannot evict pod as it would violate the pod's disruption budget.\n",
            "pdb-blocks-drain",
        ),
        (
            "(429) Status=429 Code=\"OperationNotAllowed\" Message=\"The server rejected the request because too many requests have been received for this subscription.\"\n",
            "azure-throttles",
        ),
        (
            "(Throttled) SubCode: Throttled. The PutManagedClusterHandler.PUT request limit has been exceeded\n",
            "azure-throttles",
        ),
    ] {
        let found = diagnosed(&[("ticket.txt", text)]);
        let causes: Vec<&str> = found.findings.iter().map(|finding| finding.detector).collect();
        assert_eq!(causes, [cause], "{text}");
    }
    let waits = "I1123 09:34:38.455763   17683 request.go:696] Waited for 1.05s due to client-side throttling, not priority and fairness, request: GET:https://x:443/api\n";
    assert!(diagnosed(&[("ticket.txt", waits)]).findings.is_empty());
}

#[test]
fn etcd_is_as_full_as_its_metrics_say() {
    let size = |bytes: &str, more: &[(&str, &str)]| {
        let text = format!(
            "apiserver_storage_size_bytes{{cluster=\"etcd-0\"}} {bytes}\napiserver_storage_objects{{resource=\"events\"}} 90210\n"
        );
        let mut files = vec![("metrics.txt", text.as_str())];
        files.extend(more);
        diagnosed(&files)
    };
    let described = aks("null");
    let on_aks = [("aks.json", described.as_str())];
    for (bytes, severity) in
        [("8.4e+09", Severity::Critical), ("6.0e+09", Severity::Medium), ("2.5e+09", Severity::Low)]
    {
        let found = size(bytes, &on_aks);
        let finding = only(&found, "etcd-full");
        assert_eq!(finding.severity, severity, "{bytes}");
        assert!(finding.cause.contains("events 90210"), "{}", finding.cause);
    }
    let found = size("3.1e+08", &on_aks);
    assert_eq!(
        verdict(&found, "etcd-full"),
        (VerdictKind::RuledOut, "etcd is not full: its database has 0.3 GiB of 8.0 GiB")
    );
    // Elsewhere the limit is what somebody set, and an application's own etcd is nobody's fault here.
    assert_eq!(only(&size("8.4e+09", &[]), "etcd-full").severity, Severity::Low);
    let ours = "etcd_mvcc_db_total_size_in_bytes 2.1e+09\netcd_server_quota_backend_bytes 2.147483648e+09\n";
    let found = diagnosed(&[("milvus-etcd.txt", ours), on_aks[0]]);
    assert_eq!(verdict(&found, "etcd-full").0, VerdictKind::NotEvaluated);
}

const PRIVATE: &str = r#"{"id":"/subscriptions/s/resourcegroups/rg/providers/Microsoft.ContainerService/managedClusters/prod","name":"prod","resourceGroup":"rg","location":"westeurope","privateFqdn":"prod-1.0f.privatelink.westeurope.azmk8s.io","powerState":{"code":"Running"},"agentPoolProfiles":[{"name":"np1","count":2}],"networkProfile":{"outboundType":"loadBalancer"},"apiServerAccessProfile":{"enablePrivateCluster":true}}"#;

fn kubernetes_at(address: &str) -> String {
    format!(
        r#"{{"kind":"List","apiVersion":"v1","items":[{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"kubernetes","namespace":"default"}},"spec":{{"clusterIP":"10.0.0.1","type":"ClusterIP","ports":[{{"port":443}}]}}}},{{"kind":"Endpoints","apiVersion":"v1","metadata":{{"name":"kubernetes","namespace":"default"}},"subsets":[{{"addresses":[{{"ip":"{address}"}}],"ports":[{{"name":"https","port":443}}]}}]}}]}}"#
    )
}

#[test]
fn after_a_restart_the_old_address_of_the_api_server_is_told_by_whoever_still_has_it() {
    let objects = kubernetes_at("10.1.0.9");
    let looked_up = "Server:\t\t10.2.0.4\nAddress:\t10.2.0.4#53\n\nName:\tprod-1.0f.privatelink.westeurope.azmk8s.io\nAddress: 10.1.0.4\n";
    let record = r#"[{"aRecords":[{"ipv4Address":"10.1.0.4"}],"fqdn":"prod-1.0f.privatelink.westeurope.azmk8s.io.","id":"/subscriptions/s/resourceGroups/mc/providers/Microsoft.Network/privateDnsZones/0f.privatelink.westeurope.azmk8s.io/A/prod-1","name":"prod-1","ttl":300,"type":"Microsoft.Network/privateDnsZones/A"}]"#;
    let in_a_pod = format!(
        "$ kubectl exec -n shop web-1 -- nslookup prod-1.0f.privatelink.westeurope.azmk8s.io\n{looked_up}"
    );
    for (name, text, by) in [
        ("ticket.txt", in_a_pod.as_str(), "According to DNS server 10.2.0.4"),
        ("records.json", record, "According to private DNS zone 0f.privatelink"),
    ] {
        let found = diagnosed(&[("aks.json", PRIVATE), ("default.json", &objects), (name, text)]);
        let finding = only(&found, "api-server-name-stale");
        assert_eq!(finding.confidence, Confidence::Likely);
        assert!(finding.cause.starts_with(by), "{}", finding.cause);
        let failing = "Nov 23 10:00:00 aks-np1-vmss000000 kubelet[1]: E1123 10:00:00.000000 1 kubelet_node_status.go:540] \"Error updating node status, will retry\" err=\"error getting node \\\"aks-np1-vmss000000\\\": Get \\\"https://prod-1.0f.privatelink.westeurope.azmk8s.io:443/api/v1/nodes/aks-np1-vmss000000\\\": dial tcp 10.1.0.4:443: i/o timeout\"\n";
        let found = diagnosed(&[
            ("aks.json", PRIVATE),
            ("default.json", &objects),
            (name, text),
            ("kubelet.log", failing),
        ]);
        let finding = only(&found, "api-server-name-stale");
        assert_eq!(finding.confidence, Confidence::Confirmed);
        // Somebody outside may have a private endpoint and a zone of their own.
        if name == "ticket.txt" {
            let files = [
                ("aks.json", PRIVATE),
                ("default.json", &objects),
                ("dns.txt", looked_up),
                ("kubelet.log", failing),
            ];
            let found = diagnosed(&files);
            assert_eq!(only(&found, "api-server-name-stale").confidence, Confidence::Possible);
        }
    }
}

#[test]
fn addresses_of_two_kinds_or_of_two_clusters_are_not_compared() {
    let answer = |name: &str| {
        format!("Server:\t\t10.2.0.4\nAddress:\t10.2.0.4#53\n\nName:\t{name}\nAddress: 20.1.2.3\n")
    };
    // API Server VNet Integration: a private address within, a public name.
    let found = diagnosed(&[
        ("aks.json", &aks("null")),
        ("default.json", &kubernetes_at("10.1.0.9")),
        ("dns.txt", &answer("prod-1.hcp.westeurope.azmk8s.io")),
    ]);
    let (decision, why) = verdict(&found, "api-server-name-stale");
    assert_eq!(decision, VerdictKind::NotEvaluated, "{why}");
    // Another cluster's name.
    let found = diagnosed(&[
        ("aks.json", &aks("null")),
        ("default.json", &kubernetes_at("20.9.9.9")),
        ("dns.txt", &answer("test-1.hcp.westeurope.azmk8s.io")),
    ]);
    assert_eq!(verdict(&found, "api-server-name-stale").0, VerdictKind::NotEvaluated);
    // The same address.
    let found = diagnosed(&[
        ("aks.json", &aks("null")),
        ("default.json", &kubernetes_at("20.1.2.3")),
        ("dns.txt", &answer("prod-1.hcp.westeurope.azmk8s.io")),
    ]);
    assert_eq!(verdict(&found, "api-server-name-stale").0, VerdictKind::RuledOut);
}

#[test]
fn a_proxy_is_judged_by_its_urls_its_exceptions_and_by_who_did_not_get_past_it() {
    let with = |config: &str| {
        aks("null").replacen(
            "\"agentPoolProfiles\"",
            &format!("\"httpProxyConfig\":{config},\"agentPoolProfiles\""),
            1,
        )
    };
    let titles = |text: &str, log: &str| -> Vec<String> {
        let found = diagnosed(&[("aks.json", &with(text)), ("kubelet.log", log)]);
        found
            .findings
            .iter()
            .filter(|finding| finding.detector == "http-proxy-misconfigured")
            .map(|finding| format!("{} {}", finding.confidence.name(), finding.title))
            .collect()
    };
    let found = titles(
        r#"{"httpProxy":"http://ada:geheim@10.9.0.4:3128","noProxy":["*.corp.example",".svc",".cluster.local"]}"#,
        "",
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found.iter().all(|title| title.starts_with("confirmed") && !title.contains("geheim")),
        "{found:?}"
    );
    let log = "Nov 23 10:00:00 aks-np1-vmss000000 kubelet[1]: E1123 10:00:00.000000 1 remote_image.go:180] \"PullImage from image service failed\" err=\"failed to pull image: failed to do request: Head \\\"https://mcr.microsoft.com/v2/x/manifests/1\\\": proxyconnect tcp: dial tcp 10.9.0.4:3128: i/o timeout\"\n";
    let found = titles(r#"{"httpProxy":"http://10.9.0.4:3128","noProxy":[".svc",".cluster.local"]}"#, log);
    assert_eq!(found, ["confirmed HTTP proxy of the cluster: connections of nodes fail at the proxy"]);
    // What a build server could not reach is its own proxy.
    let other = "2026-11-23T10:00:00Z ERROR fetch: proxyconnect tcp: dial tcp 10.99.9.9:8080: i/o timeout\n";
    let found = titles(r#"{"httpProxy":"http://10.9.0.4:3128","noProxy":[".svc",".cluster.local"]}"#, other);
    assert_eq!(found, Vec::<String>::new());
    for off in ["null", "{}", r#"{"httpProxy":"https://x","enabled":false}"#] {
        assert_eq!(titles(off, ""), Vec::<String>::new(), "{off}");
    }
}
