//! kube-proxy cannot sync its rules, or the kernel's connection tracking table is full.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity, SubjectRef,
};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::{Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "kube-proxy-failing",
    chapter: Chapter::Service,
    title: "kube-proxy cannot sync its rules, or conntrack table full",
    needs: &[LOGS],
    explains: &["connection-failing", "service-rules-missing"],
    doc: Doc {
        meaning: "kube-proxy's log shows that iptables-restore or nft failed, so the node keeps its previous Service rules; or the kernel logs `nf_conntrack: table full, dropping packet` and drops packets of new connections.",
        decision: "`Failed to execute iptables-restore`, `Error syncing proxy rules`, on Windows `hcnCreateLoadBalancer failed`, `nf_conntrack: table full, dropping packet`, by node. Confirmed when nf_conntrack_count had reached nf_conntrack_max when it was collected. Likely and high when seen more than twice; otherwise possible and low, since kube-proxy retries.",
        action: "Act on the iptables error; raise nf_conntrack_max, or find what opens so many connections.",
        reference: "AKS: Configure kube-proxy; Customize node configuration (netFilter). Kubernetes: Virtual IPs and Service Proxies.",
    },
    detect: Evaluation::Rule(detect),
};

const LOGS: Need = Need {
    what: "logs of kube-proxy, or kernel logs of nodes",
    why: "they hold failed syncs and conntrack errors",
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
    /// The table was full when it was looked at.
    now: bool,
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
    for tracking in cluster.facts.nodes.conntrack.iter().map(|(_, tracking)| tracking) {
        // At its limit when it was looked at. Counters alone tell of any time since the node started.
        if tracking.count.zip(tracking.most).is_some_and(|(count, most)| most > 0 && count >= most) {
            let node = tracking.node.as_deref().unwrap_or_default();
            let item = all.entry((Signal::ConntrackFull, node.to_owned())).or_default();
            item.now = true;
            item.evidence.splice(0..0, tracking.evidence.iter().cloned());
        }
    }
    let counters = cluster.facts.nodes.conntrack.iter().filter(|(_, tracking)| tracking.dropped_early > 0);
    for (_, tracking) in counters {
        let node = tracking.node.as_deref().unwrap_or_default();
        if let Some(item) = all.get_mut(&(Signal::ConntrackFull, node.to_owned())) {
            item.evidence.extend(tracking.evidence.iter().take(2).cloned());
        }
    }
    all.into_iter().filter_map(|((signal, node), observed)| finding(signal, &node, observed)).collect()
}

fn finding(signal: Signal, node: &str, mut observed: ProxyFailures) -> Option<Finding> {
    observed.evidence.truncate(EXAMPLES);
    let whose = if node.is_empty() { String::new() } else { format!("Node {node}: ") };
    let full = signal == Signal::ConntrackFull;
    let what = if observed.now {
        "conntrack table full (nf_conntrack_count = nf_conntrack_max)"
    } else if full {
        "nf_conntrack: table full, dropping packet"
    } else {
        "kube-proxy fails to sync its rules"
    };
    let mut finding = Finding::new(
        DETECTOR.id,
        &format!("{} {node}", if full { "conntrack" } else { "rules" }),
        format!("{whose}{what}"),
        observed.evidence,
    )?;
    (finding.severity, finding.confidence) = if observed.now {
        (Severity::High, Confidence::Confirmed)
    } else if observed.count > 2 {
        (Severity::High, Confidence::Likely)
    } else {
        (Severity::Low, Confidence::Possible)
    };
    finding.count = observed.count.max(1);
    finding.unit = "line";
    finding.seen(observed.span);
    if !node.is_empty() {
        finding.subjects =
            vec![SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.to_owned() }];
    }
    finding.cause = if full {
        if observed.now {
            "The kernel's connection tracking table is full, so packets of new connections are dropped."
                .to_owned()
        } else {
            "The kernel's connection tracking table was full, so packets of new connections were dropped."
                .to_owned()
        }
    } else {
        "kube-proxy could not apply its rules. Until a sync succeeds, Services on this node keep their previous endpoints.".to_owned()
    };
    finding.fix = if full {
        Fix {
            text: "Find what opens so many connections. If they are needed, raise net.netfilter.nf_conntrack_max (AKS: linuxOsConfig of a new node pool).".to_owned(),
            commands: vec!["sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max   # on the node: count is well below max".to_owned()],
            manifests: Vec::new(),
        }
    } else {
        Fix {
            text: "Read the quoted error: a held xtables lock passes; a rule that is not understood or a missing kernel module needs another node image or proxy mode; on Windows, HNS refuses a policy for endpoints that are gone until kube-proxy starts anew.".to_owned(),
            commands: vec!["kubectl logs -n kube-system -l component=kube-proxy --prefix --tail=100".to_owned()],
            manifests: Vec::new(),
        }
    };
    finding.verify = vec!["kubectl logs -n kube-system -l component=kube-proxy --since=10m | grep -c -e iptables-restore -e 'syncing proxy rules'   # 0".to_owned()];
    Some(finding)
}
