//! kube-proxy runs and can't write its rules, or the kernel has no room for connections.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Finding, Fix, Need, Outcome, Severity, SubjectRef,
};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "kube-proxy-failing",
    chapter: Chapter::Service,
    title: "kube-proxy can't write its rules, or the connection table is full",
    guide: &["3.6"],
    needs: &[LOGS],
    explains: &["service-rules-missing"],
    doc: Doc {
        meaning: "kube-proxy's log says that iptables-restore or nft failed, so the node keeps old rules; or the kernel says that its table of connections is full, and drops packets of new ones.",
        decision: "The texts 'Failed to execute iptables-restore', 'Error syncing proxy rules', 'nf_conntrack: table full, dropping packet'. Likely when seen several times; possible when seen once, since kube-proxy tries again.",
        action: "See what iptables complains of; raise the limit of connections, or find who opens so many.",
        reference: "AKS: configure kube-proxy; customise node configuration (netfilter).",
    },
    detect,
};

const LOGS: Need = Need {
    what: "logs of kube-proxy, or kernel logs of nodes",
    why: "they say when rules can't be written",
    command: "kubectl logs -n kube-system -l component=kube-proxy --prefix --tail=-1 > kube-proxy.log",
    met: |cluster| {
        let of_proxy = |name: &str| name.contains("kube-proxy");
        cluster.facts.coverage.entries.keys().any(|name| of_proxy(name))
            || cluster
                .facts
                .signals
                .map
                .iter()
                .any(|(key, _)| matches!(key.signal, Signal::KubeProxyFailing | Signal::ConntrackFull))
    },
};

#[derive(Default)]
struct ProxyFailures {
    count: u64,
    span: Option<(i64, i64)>,
    evidence: Vec<Evidence>,
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut all: BTreeMap<(Signal, String), ProxyFailures> = BTreeMap::new();
    for (key, tally) in cluster.facts.signals.map.iter() {
        if !matches!(key.signal, Signal::KubeProxyFailing | Signal::ConntrackFull) {
            continue;
        }
        let item = all.entry((key.signal, key.node.to_string())).or_default();
        item.count += tally.count();
        item.span = time::joined(item.span, tally.span.resolve(cluster.anchor));
        item.evidence.extend(tally.examples.as_slice().iter().cloned());
    }
    all.into_iter()
        .filter_map(|((signal, node), observed)| finding(signal, &node, observed))
        .collect::<Vec<_>>()
        .into()
}

fn finding(signal: Signal, node: &str, mut observed: ProxyFailures) -> Option<Finding> {
    observed.evidence.truncate(EXAMPLES);
    let whose = if node.is_empty() { "A node that is not named".to_owned() } else { format!("Node {node}") };
    let full = signal == Signal::ConntrackFull;
    let what = if full {
        "the kernel's table of connections is full, packets are dropped"
    } else {
        "kube-proxy can't write its rules"
    };
    let mut finding = Finding::new(
        DETECTOR.id,
        &format!("{} {node}", if full { "conntrack" } else { "rules" }),
        format!("{whose}: {what}"),
        observed.evidence,
    )?;
    (finding.severity, finding.confidence) = if observed.count > 2 {
        (Severity::High, Confidence::Likely)
    } else {
        (Severity::Low, Confidence::Possible)
    };
    finding.count = observed.count;
    finding.unit = "line";
    finding.seen(observed.span);
    if !node.is_empty() {
        finding.subjects =
            vec![SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.to_owned() }];
    }
    finding.cause = if full {
        "Every connection takes a place in the kernel's table; it is full, so new connections fail until others end.".to_owned()
    } else {
        "kube-proxy could not bring its rules into the kernel: until it succeeds, services on this node lead to where they led before.".to_owned()
    };
    finding.fix = if full {
        Fix {
            text: "Find who opens so many connections; raise net.netfilter.nf_conntrack_max (AKS: linuxOsConfig of the node pool) if they are needed.".to_owned(),
            commands: vec!["sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max   # on the node".to_owned()],
            manifests: Vec::new(),
        }
    } else {
        Fix {
            text: "The line says what the tool complains of: a held lock is passing; a rule that is not understood, or a missing kernel module, needs a new node image or another proxy mode.".to_owned(),
            commands: vec!["kubectl logs -n kube-system -l component=kube-proxy --prefix --tail=100".to_owned()],
            manifests: Vec::new(),
        }
    };
    finding.verify = vec!["kubectl logs -n kube-system -l component=kube-proxy --since=10m | grep -c -e iptables-restore -e 'syncing proxy rules'   # 0".to_owned()];
    Some(finding)
}
