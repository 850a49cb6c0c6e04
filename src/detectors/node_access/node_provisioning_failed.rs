//! Provisioning of a node ended with an exit code that has no cause of its own here.

use super::common::{self, CODES, WITH_A_CAUSE};
use crate::cluster::Cluster;
use crate::detectors::needs::NODE_LOGS;
use crate::detectors::observed::{Wording, listed};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity};

pub(super) const DETECTOR: Detector = Detector {
    id: "node-provisioning-failed",
    chapter: Chapter::NodeAccess,
    title: "Provisioning of a node failed",
    guide: &["4"],
    needs: &[NODE_LOGS],
    explains: &["node-not-ready"],
    doc: Doc {
        meaning: "A script (the custom script extension, CSE) makes a new virtual machine a node. It ends with a code: 0, or the first thing that went wrong. Codes 50 to 53 and those of LocalDNS are causes of their own; the others are told here with what they mean.",
        decision: "The exit code in provision.json or in an error of the extension. Confirmed, since the script says it itself; codes that are not known are told with the script's last words.",
        action: "As the code says; most are a name outside that is not reached.",
        reference: "AKS: troubleshoot the custom script extension errors; /var/log/azure/cluster-provision.log.",
    },
    detect,
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
        let meaning = known.map_or("the script's last words tell more", |(_, _, meaning, _)| meaning);
        let fix = known.map(|(.., fix)| *fix).filter(|fix| !fix.is_empty()).unwrap_or("Read the end of the script's log on the node, and let the pool's model be applied again when that is mended.");
        let text = match (known, code) {
            (_, 0) => label.clone(),
            (Some((_, ours, ..)), _) => format!("exit code {code} ({ours})"),
            (None, _) if !name.is_empty() => format!("exit code {code} ({name})"),
            (None, _) => format!("exit code {code}"),
        };
        let nodes = listed(observed.nodes.iter().map(String::as_str), 3);
        let whose = if nodes.is_empty() { "A node".to_owned() } else { format!("Node {nodes}") };
        let says = Wording {
            severity: Severity::High,
            confidence: Confidence::Confirmed,
            unit: "failure",
            cause: format!("{whose} was not provisioned{}: the script ended with {text}; {meaning}.", observed.when()),
            fix: fix.to_owned(),
            commands: vec!["az vmss run-command invoke -g NODE_RESOURCE_GROUP -n VMSS --instance-id 0 --command-id RunShellScript --scripts 'tail -n 50 /var/log/azure/cluster-provision.log'".to_owned()],
            verify: vec!["cat /var/log/azure/aks/provision.json   # on the node: \"ExitCode\": \"0\"".to_owned()],
        };
        findings.extend(observed.finding(
            &DETECTOR,
            &label,
            format!("{whose}: provisioning failed with {text}, {meaning}"),
            says,
        ));
    }
    findings.into()
}
