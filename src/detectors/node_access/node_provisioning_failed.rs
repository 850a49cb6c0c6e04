//! Provisioning of a node (CSE) ended with an exit code that has no cause of its own here.

use std::collections::BTreeMap;

use super::common::{self, ScriptEnd};
use crate::cluster::Cluster;
use crate::detectors::needs::NODE_LOGS;
use crate::detectors::observed::{Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "node-provisioning-failed",
    chapter: Chapter::NodeAccess,
    title: "Node provisioning failed (CSE exit code, VMExtensionProvisioningError)",
    needs: &[NODE_LOGS],
    explains: &["node-not-ready"],
    doc: Doc {
        meaning: "The custom script extension (CSE) turns a new VM into a node and ends with an exit code: 0, or that of the step that failed (VMExtensionProvisioningError, 'exit status=…'). Codes 50 to 53 and those of LocalDNS (216 to 219) are causes of their own; the others are reported here with their meaning.",
        decision: "The exit code in provision.json or in an error of the extension: confirmed. Known codes get their meaning and fix; for others, see the end of the provisioning log.",
        action: "As the exit code says; most are a download or registry that the node cannot reach.",
        reference: "Azure/AgentBaker: cse_helpers.sh (exit codes). learn.microsoft.com: Troubleshoot AKS cluster creation and node provisioning errors. On the node: /var/log/azure/cluster-provision.log.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let Some(all) = common::codes(cluster, |ended| !ended.has_a_cause()) else { return Outcome::default() };
    // One end is told by several texts: with its name and without, with its last step and without.
    let mut by_label: BTreeMap<String, ScriptEnd> = BTreeMap::new();
    for ended in common::ends(&all).into_iter().filter(|ended| !ended.has_a_cause()) {
        let ours = by_label.entry(ended.label()).or_insert_with(|| ended.clone());
        if ours.step.is_empty() {
            ours.step = ended.step;
        }
    }
    let findings = by_label.into_iter().filter_map(|(label, ended)| finding(cluster, &label, &ended));
    findings.collect()
}

fn finding(cluster: &Cluster, label: &str, ended: &ScriptEnd) -> Option<Finding> {
    let observed = common::codes(cluster, |other| other.label() == label)?;
    let known = ended.known();
    let nodes = listed(observed.nodes.iter().map(String::as_str), 3);
    let whose = match observed.nodes.len() {
        0 => "A node".to_owned(),
        1 => format!("Node {nodes}"),
        _ => format!("Nodes {nodes}"),
    };
    let meaning = known
        .map_or("the meaning of this code is not known here: see the end of the log", |known| {
            known.says.as_str()
        });
    let step = if ended.step.is_empty() {
        String::new()
    } else {
        format!(" The last step in its output: `{}`.", ended.step)
    };
    let fix = known.map_or("Read the end of the provisioning log on the node and fix what it names; the next operation on the node pool provisions the node again.", |known| known.fix.as_str());
    let log = if ended.windows {
        "az vmss run-command invoke -g NODE_RESOURCE_GROUP -n VMSS --instance-id 0 --command-id RunPowerShellScript --scripts 'Get-Content C:\\AzureData\\CustomDataSetupScript.log -Tail 50'"
    } else {
        "az vmss run-command invoke -g NODE_RESOURCE_GROUP -n VMSS --instance-id 0 --command-id RunShellScript --scripts 'tail -n 50 /var/log/azure/cluster-provision.log'"
    };
    let says = Wording {
        severity: Severity::High,
        confidence: Confidence::Confirmed,
        unit: "failure",
        cause: format!("{whose}: provisioning (CSE) ended with {label}{}: {meaning}.{step}", observed.when()),
        fix: fix.to_owned(),
        commands: vec![log.to_owned()],
        verify: if ended.windows {
            vec!["kubectl get nodes   # the node is Ready".to_owned()]
        } else {
            vec!["cat /var/log/azure/aks/provision.json   # on the node: \"ExitCode\": \"0\"".to_owned()]
        },
    };
    let name = if ended.code == 0 {
        label.to_owned()
    } else {
        format!("{}{}", if ended.windows { "windows-" } else { "" }, ended.code)
    };
    let title = match known {
        Some(known) if !ended.step.is_empty() => {
            format!(
                "{whose}: CSE {label}: {} (`{}`)",
                known.says.split(" (").next().unwrap_or_default(),
                ended.step
            )
        }
        Some(known) => format!("{whose}: CSE {label}: {}", known.says.split(" (").next().unwrap_or_default()),
        None => format!("{whose}: provisioning failed, CSE {label}"),
    };
    observed.finding(&DETECTOR, &name, title, says)
}
