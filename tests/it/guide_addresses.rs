//! The guide's situations of its second chapter, pasted as it prints them: commands without prompts, a table
//! with single spaces, messages broken over lines.

use crate::common;
use kubetriage::detectors::{Confidence, Finding};

const KUBENET: &str = r#"# Kubenet, for example. The actual path of the IPAM store file depends on network plugin implementation.
chroot /host/
ls -la "/var/lib/cni/networks/$(ls /var/lib/cni/networks/ | grep -e "k8s-pod-network" -e "kubenet")" | grep -v -e "lock\|last\|total" -e '\.$' | wc -l
244
# Check running Pod IPs
kubectl get pods --field-selector spec.nodeName=<your_node_name>,status.phase=Running -A -o json | jq -r '.items[] | select(.spec.hostNetwork != 'true').status.podIP' | wc -l
7
"#;
const DYNAMIC: &str = "kubectl get nnc -n kube-system -o wide
NAME REQUESTED IPS ALLOCATED IPS SUBNET SUBNET CIDR NC ID NC MODE NC TYPE NC VERSION
aks-agentpool-12345678-vmss000000 32 32 subnet 10.18.0.0/15 559e239d-f744-4f84-bbe0-c7c6fd12ec17 dynamic vnet 1
# Check running Pod IPs
kubectl get pods --field-selector spec.nodeName=aks-agentpool-12345678-vmss000000,status.phase=Running -A -o json | jq -r '.items[] | select(.spec.hostNetwork != 'true').status.podIP' | wc -l
21
";
const NO_ADDRESS: &str = r#"Warning FailedCreatePodSandBox 21s (x204 over 8m) kubelet, k8s-agentpool-00011101-0 Failed
create pod sandbox: rpc error: code = Unknown desc = NetworkPlugin cni failed to set up pod
"deployment-azuredisk6-874857994-487td_default" network: Failed to allocate address: Failed to
delegate: Failed to allocate address: No available addresses
"#;
const NOT_ENOUGH: &str =
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox
'ac1b1354613465324654c1588ac64f1a756aa32f14732246ac4132133ba21364': plugin type='azure-vnet'
failed (add): IPAM Invoker Add failed with error: Failed to get IP address from CNS with error:
%w: AllocateIPConfig failed: not enough IPs available for 9c6a7f37-dd43-4f7c-a01f-1ff41653609c,
waiting on Azure CNS to allocate more with NC Status: , IP config request is [IPConfigRequest:
DesiredIPAddress , PodInterfaceID a1876957-eth0, InfraContainerID
a1231464635654a123646565456cc146841c1313546a515432161a45a5316541, OrchestratorContext
{'PodName':'a_podname','PodNamespace':'my_namespace'}]
";

fn findings(text: &str) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticket.txt");
    std::fs::write(&path, text).unwrap();
    common::diagnosis(&path).findings.clone()
}

#[test]
fn kubenet_with_244_addresses_for_7_pods_is_a_leak_of_237() {
    let found = findings(KUBENET);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].detector, found[0].count, found[0].confidence),
        ("pod-ip-leak", 237, Confidence::Likely)
    );
}

#[test]
fn with_an_older_command_258_lines_are_253_addresses() {
    let found =
        findings("ls -al /var/lib/cni/networks/kubenet | wc -l\n258\ndocker ps | grep POD | wc -l\n7\n");
    assert_eq!((found[0].detector, found[0].count), ("pod-ip-leak", 246));
}

#[test]
fn as_many_pods_as_addresses_is_no_leak() {
    assert_eq!(findings(&KUBENET.replace("\n7\n", "\n241\n")), []);
}

#[test]
fn dynamic_azure_cni_with_32_addresses_for_21_pods_is_suspected_and_no_more() {
    let found = findings(DYNAMIC);
    assert_eq!(
        (found[0].detector, found[0].count, found[0].confidence),
        ("pod-ip-leak", 11, Confidence::Possible)
    );
    assert_eq!(found[0].subjects[0].name, "aks-agentpool-12345678-vmss000000");
}

#[test]
fn together_with_a_refusal_it_is_likely() {
    let found = findings(&format!("{NOT_ENOUGH}\n{DYNAMIC}"));
    assert_eq!((found[0].detector, found[0].confidence), ("pod-ip-leak", Confidence::Likely));
    assert_eq!(found.len(), 1, "one reason for one node");
}

#[test]
fn no_available_addresses_broken_over_lines_names_pod_node_and_count() {
    let found = findings(NO_ADDRESS);
    assert_eq!((found[0].detector, found[0].count), ("pod-ip-exhausted", 204));
    let subjects: Vec<&str> = found[0].subjects.iter().map(|subject| subject.name.as_str()).collect();
    assert_eq!(subjects, ["k8s-agentpool-00011101-0", "deployment-azuredisk6-874857994-487td"]);
}

#[test]
fn not_enough_addresses_broken_over_lines_waits_for_azure() {
    let found = findings(NOT_ENOUGH);
    assert_eq!(found[0].detector, "cns-waiting");
    assert!(
        found[0]
            .subjects
            .iter()
            .any(|subject| subject.name == "a_podname" && subject.namespace == "my_namespace")
    );
}
