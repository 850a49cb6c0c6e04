//! Provisioning of a node (CSE) ended with an exit code that has no cause of its own here.

use super::common::{self, CODES, WITH_A_CAUSE};
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
    let mut findings: Vec<Finding> = Vec::new();
    let mut done = Vec::new();
    let all =
        common::codes(cluster, |code, name| !WITH_A_CAUSE.contains(&code) && !common::is_named_cause(name));
    for detail in all.map(|observed| observed.details).unwrap_or_default() {
        let mut words = detail.split(' ');
        let first = words.next().unwrap_or_default();
        let name = words.next().unwrap_or_default().to_owned();
        let code: u32 = first.parse().unwrap_or(0);
        let label = if code == 0 { first.to_owned() } else { code.to_string() };
        if done.contains(&label) {
            continue;
        }
        done.push(label.clone());
        let same = |other: u32, other_name: &str| if code == 0 { other_name == first } else { other == code };
        let Some(observed) = common::codes(cluster, same) else { continue };
        let known =
            CODES.iter().find(|(ours, own_name, ..)| *ours == code || (code == 0 && *own_name == first));
        let meaning = known.map_or(
            "the meaning of this code is not known here: see the end of the log",
            |(_, _, meaning, _)| meaning,
        );
        let fix = known.map(|(.., fix)| *fix).filter(|fix| !fix.is_empty()).unwrap_or("Read the end of the provisioning log on the node and fix what it names; the next operation on the node pool provisions the node again.");
        let text = match (known, code) {
            (_, 0) => label.clone(),
            (Some((_, ours, ..)), _) => format!("exit code {code} ({ours})"),
            (None, _) if !name.is_empty() => format!("exit code {code} ({name})"),
            (None, _) => format!("exit code {code}"),
        };
        let nodes = listed(observed.nodes.iter().map(String::as_str), 3);
        let whose = match observed.nodes.len() {
            0 => "A node".to_owned(),
            1 => format!("Node {nodes}"),
            _ => format!("Nodes {nodes}"),
        };
        let says = Wording {
            severity: Severity::High,
            confidence: Confidence::Confirmed,
            unit: "failure",
            cause: format!("{whose}: provisioning (CSE) ended with {text}{}: {meaning}.", observed.when()),
            fix: fix.to_owned(),
            commands: vec!["az vmss run-command invoke -g NODE_RESOURCE_GROUP -n VMSS --instance-id 0 --command-id RunShellScript --scripts 'tail -n 50 /var/log/azure/cluster-provision.log'".to_owned()],
            verify: vec!["cat /var/log/azure/aks/provision.json   # on the node: \"ExitCode\": \"0\"".to_owned()],
        };
        findings.extend(observed.finding(
            &DETECTOR,
            &label,
            format!("{whose}: provisioning failed, CSE {text}"),
            says,
        ));
    }
    findings.into()
}
