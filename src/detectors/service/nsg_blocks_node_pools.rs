//! A security group drops DNS between nodes.

use crate::cluster::Cluster;
use crate::cluster::azure::{Far, Filtered, at};
use crate::cluster::reachability::Who;
use crate::detectors::needs::SECURITY_GROUPS;
use crate::detectors::observed::{self, Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::{Failure, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "nsg-blocks-node-pools",
    chapter: Chapter::Service,
    title: "A security group drops traffic between node pools",
    guide: &["3.5"],
    needs: &[SECURITY_GROUPS],
    explains: &["pods-cannot-reach-dns", "service-pods-not-ready"],
    doc: Doc {
        meaning: "Pods of one node talk to pods of another: to CoreDNS on port 53 first of all. A security group of one's own that denies traffic within the network, so that nothing but what was thought of passes, takes DNS from the pools where no CoreDNS pod runs, and services from everybody whose pods are elsewhere.",
        decision: "The rules of the nodes' groups are evaluated for UDP and TCP 53 within the network. Told when a rule denies the whole of it. Confirmed when pods get no answer from DNS in the bundle; likely otherwise. The kubelet's port is a cause of its own.",
        action: "Allow traffic within the nodes' subnets.",
        reference: "AKS: traffic between node pools is blocked by a custom network security group.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings = Vec::new();
    for group in cluster.azure.node_groups() {
        let denied = ["udp", "tcp"].into_iter().find_map(|protocol| {
            [true, false].into_iter().find_map(|inbound| {
                match group.filter(inbound, Far::Network, protocol, 53) {
                    Filtered::Denied(rule) => Some((rule, protocol)),
                    _ => None,
                }
            })
        });
        let Some(((rule, protocol), place)) = denied.zip(group.place.as_ref()) else { continue };
        let failing = observed::attempts(cluster, |attempt| {
            (matches!(attempt.who, Who::Pod(_) | Who::Unknown)
                && attempt.failure == Failure::ResolverFailed
                && !attempt.ended)
                .then_some(())
        })
        .remove(&());
        let confirmed = failing.is_some();
        let mut given = failing.unwrap_or_else(|| Observed { count: 1, ..Observed::default() });
        given.show_first([at(
            place,
            &format!("security group {}, rule {}", group.name, rule.name),
            &format!(
                "priority {}, {}, Deny, {protocol} 53",
                rule.priority,
                if rule.inbound { "Inbound" } else { "Outbound" }
            ),
        )]);
        let failures = if confirmed {
            format!(" Look-ups of pods get no answer{}.", given.when())
        } else {
            " No failed look-up is in the bundle.".to_owned()
        };
        let says = Wording {
            severity: if confirmed { Severity::Critical } else { Severity::High },
            confidence: if confirmed { Confidence::Confirmed } else { Confidence::Likely },
            unit: if confirmed { "failed look-up" } else { "rule" },
            cause: format!("Rule {} (priority {}) of security group {} denies DNS ({}) within the network: pods whose node has no CoreDNS pod get no answer.{failures}", rule.name, rule.priority, group.name, protocol.to_uppercase()),
            fix: "Allow all traffic within the nodes' subnets by a rule with a lower number: AKS needs it between its nodes.".to_owned(),
            commands: vec![format!("az network nsg rule create -g GROUP --nsg-name {} -n allow-nodes --priority 105 --direction {} --access Allow --protocol '*' --source-address-prefixes NODE_SUBNETS --destination-address-prefixes NODE_SUBNETS --destination-port-ranges '*'", crate::detectors::shell(&group.name), if rule.inbound { "Inbound" } else { "Outbound" })],
            verify: vec!["kubectl run dns --image=busybox -i --rm --restart=Never -- nslookup kubernetes.default".to_owned()],
        };
        let title = format!("Security group {}: rule {} drops DNS between nodes", group.name, rule.name);
        findings.extend(given.finding(&DETECTOR, &format!("{} {}", group.name, rule.name), title, says).map(
            |mut finding| {
                finding.subjects.push(observed::subject("Service", &Key::new("kube-system", "kube-dns")));
                finding
            },
        ));
    }
    findings.into()
}
