//! An NSG denies DNS between nodes.

use crate::cluster::Cluster;
use crate::cluster::azure::{Far, Filtered, at};
use crate::cluster::reachability::Who;
use crate::detectors::needs::SECURITY_GROUPS;
use crate::detectors::observed::{self, Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};
use crate::facts::{Failure, Key};

pub(super) const DETECTOR: Detector = Detector {
    id: "nsg-blocks-node-pools",
    chapter: Chapter::Service,
    title: "NSG denies traffic between nodes (DNS, port 53)",
    needs: &[SECURITY_GROUPS],
    explains: &["pods-cannot-reach-dns", "service-pods-not-ready"],
    doc: Doc {
        meaning: "Pods reach CoreDNS on other nodes on port 53. A custom NSG rule that denies traffic within the virtual network cuts nodes without a CoreDNS pod off DNS, and usually also Services from pods on other nodes.",
        decision: "The rules of the nodes' NSGs are evaluated for UDP and TCP 53 within the virtual network. Reported when a rule denies it. Confirmed and critical when DNS queries of pods get no answer in the bundle; otherwise likely. The kubelet's port 10250 is its own cause.",
        action: "Allow traffic within the nodes' subnets.",
        reference: "AKS: Traffic between node pools is blocked by a custom network security group.",
    },
    detect: Evaluation::Rule(detect),
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
            &format!("NSG {}, rule {}", group.name, rule.name),
            &format!(
                "priority {}, {}, Deny, {protocol} 53",
                rule.priority,
                if rule.inbound { "Inbound" } else { "Outbound" }
            ),
        )]);
        let failures = if confirmed {
            format!(" DNS queries of pods got no answer{}.", given.when())
        } else {
            " No failed DNS query is in the bundle.".to_owned()
        };
        let says = Wording {
            severity: if confirmed { Severity::Critical } else { Severity::High },
            confidence: if confirmed { Confidence::Confirmed } else { Confidence::Likely },
            unit: if confirmed { "failed DNS query" } else { "rule" },
            cause: format!("Rule {} (priority {}) of NSG {} denies DNS ({} 53) within the virtual network: pods on nodes without a CoreDNS pod cannot reach CoreDNS.{failures}", rule.name, rule.priority, group.name, protocol.to_uppercase()),
            fix: "Allow traffic within the nodes' subnets (and the pod CIDR, if pods keep their IPs on the network) in a rule with a lower priority number: AKS needs it between its nodes.".to_owned(),
            commands: vec![format!("az network nsg rule create -g RESOURCE_GROUP --nsg-name {} -n allow-nodes --priority 105 --direction {} --access Allow --protocol '*' --source-address-prefixes NODE_SUBNETS --destination-address-prefixes NODE_SUBNETS --destination-port-ranges '*'", crate::detectors::shell(&group.name), if rule.inbound { "Inbound" } else { "Outbound" })],
            verify: vec!["kubectl run dns --image=busybox -i --rm --restart=Never -- nslookup kubernetes.default   # prints the Service IP".to_owned()],
        };
        let title = format!("NSG {}: rule {} denies DNS (port 53) between nodes", group.name, rule.name);
        findings.extend(given.finding(&DETECTOR, &format!("{} {}", group.name, rule.name), title, says).map(
            |mut finding| {
                finding.subjects.push(observed::subject("Service", &Key::new("kube-system", "kube-dns")));
                finding
            },
        ));
    }
    findings.into()
}
