//! kube-proxy cannot sync its rules, or the kernel's connection tracking table is full.

use std::collections::{BTreeMap, BTreeSet};

use super::common;
use crate::cluster::Cluster;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Need, Outcome, Severity, SubjectRef,
};
use crate::evidence::{EXAMPLES, Evidence, shortened};
use crate::facts::{Key, Signal, time};

pub(super) const DETECTOR: Detector = Detector {
    id: "kube-proxy-failing",
    chapter: Chapter::Service,
    title: "kube-proxy cannot sync its rules, or conntrack table full",
    needs: &[LOGS],
    explains: &[
        "connection-failing",
        "container-crash-loop",
        "kube-proxy-not-running",
        "service-rules-missing",
    ],
    doc: Doc {
        meaning: "kube-proxy's log shows that iptables-restore or nft failed, so the node keeps its previous Service rules; or the kernel logs `nf_conntrack: table full, dropping packet` and drops packets of new connections.",
        decision: "`Failed to execute iptables-restore`, `Error syncing proxy rules`, on Windows `hcnCreateLoadBalancer failed`, `nf_conntrack: table full, dropping packet`, by node. Confirmed when nf_conntrack_count had reached nf_conntrack_max when it was collected. Likely and high when kube-proxy exits at its start with it (`Error running ProxyServer`, `command failed`), or when seen more than twice; otherwise possible and low, since kube-proxy retries.",
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
    /// Whose log says so.
    pods: BTreeSet<Key>,
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
        let namespace = if key.namespace.is_empty() { "kube-system" } else { &*key.namespace };
        let of_pod = cluster.facts.objects.pods.get(namespace, &key.pod);
        let node = match of_pod {
            Some(seen) if key.node.is_empty() => &*seen.object.spec.node_name,
            _ => &*key.node,
        };
        let item = all.entry((key.signal, node.to_string())).or_default();
        item.count += tally.count();
        if key.pod.contains("kube-proxy") {
            item.pods.insert(Key::new(namespace, &*key.pod));
        }
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

/// Words of a kube-proxy that gives up (kubernetes/kubernetes `cmd/kube-proxy/app/server.go`, `component-base/cli/run.go`): it
/// exits, and syncs nothing at all.
const EXITS: [&str; 3] = ["Error running ProxyServer", "\"command failed\"", "unable to create proxier"];

/// Why kube-proxy exits, when a line says that it does.
fn exit_reason(observed: &ProxyFailures) -> Option<String> {
    let lines = observed.evidence.iter().map(|evidence| &*evidence.excerpt);
    let line = lines.into_iter().find(|line| EXITS.iter().any(|words| line.contains(words)))?;
    let reason = match line.split_once("err=\"") {
        Some((_, rest)) => rest.trim_end().trim_end_matches('"'),
        None => line.rsplit_once("] ").map_or(line, |(_, rest)| rest),
    };
    let reason = reason.trim_start_matches("failed complete: ");
    (!reason.is_empty()).then(|| reason.replace("\\\"", "\""))
}

fn finding(signal: Signal, node: &str, mut observed: ProxyFailures) -> Option<Finding> {
    let exits = exit_reason(&observed);
    if exits.is_some() {
        observed.evidence.sort_by_key(|evidence| !EXITS.iter().any(|words| evidence.excerpt.contains(words)));
    }
    observed.evidence.truncate(EXAMPLES);
    let whose = if node.is_empty() { String::new() } else { format!("Node {node}: ") };
    let full = signal == Signal::ConntrackFull;
    let what = if observed.now {
        "conntrack table full (nf_conntrack_count = nf_conntrack_max)".to_owned()
    } else if full {
        "nf_conntrack: table full, dropping packet".to_owned()
    } else if let Some(reason) = &exits {
        format!("kube-proxy exits at start: {}", shortened(reason, 90))
    } else {
        "kube-proxy fails to sync its rules".to_owned()
    };
    let mut finding = Finding::new(
        DETECTOR.id,
        &format!("{} {node}", if full { "conntrack" } else { "rules" }),
        format!("{whose}{what}"),
        observed.evidence,
    )?;
    (finding.severity, finding.confidence) = if observed.now {
        (Severity::High, Confidence::Confirmed)
    } else if exits.is_some() || observed.count > 2 {
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
    finding.subjects.extend(observed.pods.iter().take(50).map(|pod| common::subject("Pod", pod)));
    finding.cause = if full {
        if observed.now {
            "The kernel's connection tracking table is full, so packets of new connections are dropped."
                .to_owned()
        } else {
            "The kernel's connection tracking table was full, so packets of new connections were dropped."
                .to_owned()
        }
    } else if let Some(reason) = &exits {
        format!(
            "kube-proxy gives up at its start: {reason}. On this node new Services and endpoints get no rules until it runs."
        )
    } else {
        "kube-proxy could not apply its rules. Until a sync succeeds, Services on this node keep their previous endpoints.".to_owned()
    };
    finding.fix = if full {
        Fix {
            text: "Find what opens so many connections. If they are needed, raise net.netfilter.nf_conntrack_max (AKS: linuxOsConfig of a new node pool).".to_owned(),
            commands: vec!["sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max   # on the node: count is well below max".to_owned()],
            manifests: Vec::new(),
        }
    } else if exits.is_some() {
        Fix {
            text: "Repair what the quoted error names: for IPVS load the modules ip_vs, ip_vs_rr, ip_vs_wrr, ip_vs_sh and nf_conntrack and install ipset on the node; for nftables a kernel of 5.13 or later; otherwise correct the flag or file, or set another `mode` in the ConfigMap kube-proxy. Then restart kube-proxy.".to_owned(),
            commands: vec![
                "kubectl get configmap kube-proxy -n kube-system -o yaml   # mode".to_owned(),
                "lsmod | grep -e ip_vs -e nf_tables   # on the node".to_owned(),
                "kubectl rollout restart daemonset kube-proxy -n kube-system".to_owned(),
            ],
            manifests: Vec::new(),
        }
    } else {
        Fix {
            text: "Read the quoted error: a held xtables lock clears by itself; a rule that is not understood or a missing kernel module needs another node image or proxy mode; on Windows, HNS refuses a policy for endpoints that are gone until kube-proxy is restarted.".to_owned(),
            commands: vec!["kubectl logs -n kube-system -l component=kube-proxy --prefix --tail=100".to_owned()],
            manifests: Vec::new(),
        }
    };
    finding.verify = vec![if exits.is_some() {
        "kubectl get pods -n kube-system -l k8s-app=kube-proxy -o wide   # Running, RESTARTS stays the same"
            .to_owned()
    } else {
        "kubectl logs -n kube-system -l component=kube-proxy --since=10m --tail=-1 | grep -c -e iptables-restore -e 'syncing proxy rules'   # 0".to_owned()
    }];
    Some(finding)
}
