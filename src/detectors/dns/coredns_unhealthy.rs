//! CoreDNS pods are not ready, or CoreDNS can't load its Corefile.

use crate::cluster::Cluster;
use crate::cluster::pods::why_not_ready;
use crate::detectors::details::texts;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{self, Observed, Wording, subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, shell};
use crate::evidence::Evidence;
use crate::facts::{Key, Pod, Seen, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "coredns-unhealthy",
    chapter: Chapter::Dns,
    title: "CoreDNS not ready, or its Corefile is broken",
    needs: &[PODS],
    explains: &[
        "pods-cannot-reach-dns",
        "service-pods-not-ready",
        "dns-name-unknown",
        "service-endpoints-stale",
        "container-crash-loop",
    ],
    doc: Doc {
        meaning: "CoreDNS answers the DNS queries of pods. While none of its pods is ready, no pod resolves a name through the Service kube-dns; while some are not, the others take the load. An error in ConfigMap coredns-custom puts every CoreDNS pod in CrashLoopBackOff at its next restart ('Error during parsing'); so does a forwarding loop ('Loop … detected for zone'), where CoreDNS forwards to a server that forwards back.",
        decision: "Pods of kube-system with the label k8s-app=kube-dns (or named coredns-…) that are not ready: confirmed, and critical when none is ready. CoreDNS log lines about a loop, a Corefile error, or 401 Unauthorized from the API server: confirmed when a CoreDNS pod is not ready as well, likely otherwise, possible when they ended long before the logs do. Keys of coredns-custom that do not end in .server or .override: confirmed, because the Corefile imports no others.",
        action: "Correct ConfigMap coredns-custom, then restart the deployment (kubectl rollout restart).",
        reference: "learn.microsoft.com: Customize CoreDNS with AKS; Troubleshoot DNS resolution failures in AKS. coredns.io/plugins/loop.",
    },
    detect: Evaluation::Rule(detect),
};

/// Pods of CoreDNS.
fn pods(cluster: &Cluster) -> impl Iterator<Item = (&Key, &Seen<Pod>)> {
    cluster.facts.objects.pods.of_namespace("kube-system").filter(|(key, seen)| {
        let autoscaler = key.name.starts_with("coredns-autoscaler");
        let labelled = seen.object.metadata.labels.get("k8s-app").is_some_and(|value| &**value == "kube-dns");
        !autoscaler && (labelled || key.name.starts_with("coredns-"))
    })
}

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings: Vec<Finding> = Vec::new();
    let all = pods(cluster).count();
    let down: Vec<_> = pods(cluster)
        .filter(|(_, seen)| seen.object.metadata.deletion_timestamp.is_empty() && !seen.object.ended())
        .filter_map(|(key, seen)| Some((key, seen, why_not_ready(&cluster.facts, key, &seen.object)?)))
        .collect();
    let words = observed::signals(cluster, |key| {
        matches!(key.signal, Signal::DnsLoop | Signal::CorefileBroken | Signal::DnsUnauthorised)
            .then_some(key.signal)
    });
    for (signal, word) in words {
        findings.extend(told_itself(cluster, signal, word, !down.is_empty()));
    }
    if !down.is_empty() {
        findings.extend(not_ready(all, &down));
    }
    findings.extend(unread_keys(cluster));
    findings.into()
}

fn not_ready(all: usize, down: &[(&Key, &Seen<Pod>, crate::cluster::pods::Why)]) -> Option<Finding> {
    let whole = down.len() == all;
    let mut observed = Observed { count: down.len() as u64, ..Observed::default() };
    for (key, seen, _) in down {
        observed.pods.insert((*key).clone());
        observed.evidence.extend(seen.evidence("Pod", key).into_iter().take(1));
    }
    let (key, _, why) = down.first()?;
    let says = Wording {
        severity: if whole { Severity::Critical } else { Severity::High },
        confidence: Confidence::Confirmed,
        unit: "pod",
        cause: format!(
            "CoreDNS has {} of {all} pods ready; {}: {}.{}",
            all - down.len(),
            key.name,
            why.label(),
            if whole {
                " With no ready pod, DNS queries to the Service kube-dns fail."
            } else {
                " The ready pods take all DNS queries."
            }
        ),
        fix: "Read the last log lines of the pod. If they name an error in the Corefile, correct ConfigMap coredns-custom; then restart the deployment (a rolling restart: ready pods keep answering).".to_owned(),
        commands: vec![
            format!("kubectl logs {} -n kube-system --previous", shell(&key.name)),
            "kubectl get configmap coredns-custom -n kube-system -o yaml".to_owned(),
            "kubectl rollout restart deployment coredns -n kube-system".to_owned(),
        ],
        verify: vec!["kubectl get pods -n kube-system -l k8s-app=kube-dns   # READY 1/1 on every line".to_owned()],
    };
    // The kubelet's whole error is in the cause.
    let text = why.label();
    let brief = text.split(" (").next().unwrap_or(&text);
    let title = if whole {
        format!("CoreDNS 0/{all} pods ready: {brief}")
    } else {
        format!("CoreDNS {}/{all} pods ready: {brief}", all - down.len())
    };
    let mut finding = observed.finding(&DETECTOR, "pods", title, says)?;
    finding.details.common.why =
        texts(down.iter().map(|(.., why)| why.kind()).collect::<std::collections::BTreeSet<_>>());
    finding.subjects.push(subject("Service", &Key::new("kube-system", "kube-dns")));
    Some(finding)
}

fn told_itself(cluster: &Cluster, signal: Signal, observed: Observed, down: bool) -> Option<Finding> {
    let over = observed.is_over(cluster) && !down;
    let (about, title, why, fix) = match signal {
        Signal::DnsLoop => (
            "loop",
            "CoreDNS forwarding loop detected: it exits",
            "the server it forwards to sends the query back to it. Usual reasons: resolv.conf names a local stub (127.0.0.53), or a custom DNS server forwards to the cluster's DNS",
            "Forward to servers outside the cluster: correct `forward` in ConfigMap coredns-custom, the kubelet's `resolvConf`, or the forwarder of the custom DNS server.",
        ),
        Signal::CorefileBroken => (
            "corefile",
            "CoreDNS cannot load its Corefile: error in the configuration",
            "the error names the file and line. On AKS only ConfigMap coredns-custom is yours to edit",
            "Correct ConfigMap coredns-custom: a misspelled plugin, or a zone or plugin that the default Corefile already has. Then restart CoreDNS.",
        ),
        _ => (
            "unauthorised",
            "CoreDNS gets 401 Unauthorized from the API server",
            "the API server does not accept its ServiceAccount token (expired, or its signing key was rotated), so CoreDNS gets no updates of Services",
            "Restart CoreDNS, so that its pods get a new token.",
        ),
    };
    let says = Wording {
        severity: if over { Severity::Low } else { Severity::High },
        confidence: if over {
            Confidence::Possible
        } else if down {
            Confidence::Confirmed
        } else {
            Confidence::Likely
        },
        unit: "line",
        cause: format!("CoreDNS logged it{}: {why}.", observed.when()),
        fix: fix.to_owned(),
        commands: vec![
            "kubectl get configmap coredns coredns-custom -n kube-system -o yaml".to_owned(),
            "kubectl rollout restart deployment coredns -n kube-system".to_owned(),
        ],
        verify: vec![
            "kubectl logs -n kube-system -l k8s-app=kube-dns --tail=20   # no such error line".to_owned(),
        ],
    };
    observed.finding(&DETECTOR, about, title.to_owned(), says)
}

/// Keys of `coredns-custom` that look like configuration, and that CoreDNS does not read.
fn unread_keys(cluster: &Cluster) -> Option<Finding> {
    let key = Key::new("kube-system", "coredns-custom");
    let seen = cluster.facts.objects.config_maps.get(&key.namespace, &key.name)?;
    let stray: Vec<&str> = seen
        .object
        .data
        .0
        .iter()
        .map(|(name, _)| &**name)
        .filter(|name| !name.ends_with(".server") && !name.ends_with(".override"))
        .collect();
    if stray.is_empty() {
        return None;
    }
    let evidence: Vec<Evidence> = seen.evidence("ConfigMap", &key);
    let observed = Observed { count: stray.len() as u64, evidence, ..Observed::default() };
    let says = Wording {
        severity: Severity::Medium,
        confidence: Confidence::Confirmed,
        unit: "key",
        cause: format!("The Corefile imports only keys of ConfigMap coredns-custom that end in .server or .override: {} {} no effect.", stray.join(", "), if stray.len() == 1 { "has" } else { "have" }),
        fix: "Rename the keys: NAME.server for a server block with its own zone, NAME.override for plugins in the default server block. Then restart CoreDNS; an error in the now loaded text would stop it, so watch the rollout.".to_owned(),
        commands: vec!["kubectl edit configmap coredns-custom -n kube-system".to_owned(),
            "kubectl rollout restart deployment coredns -n kube-system".to_owned(),
            "kubectl rollout status deployment coredns -n kube-system".to_owned()],
        verify: vec!["kubectl get configmap coredns-custom -n kube-system -o jsonpath='{.data}'   # every key ends in .server or .override".to_owned()],
    };
    observed.finding(
        &DETECTOR,
        "keys",
        format!("ConfigMap coredns-custom: CoreDNS ignores {}", observed::listed(stray.iter().copied(), 2)),
        says,
    )
}
