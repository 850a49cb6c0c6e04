//! CoreDNS does not run, or can't read its configuration.

use crate::cluster::Cluster;
use crate::cluster::service::why_not_ready;
use crate::detectors::needs::PODS;
use crate::detectors::observed::{self, Observed, Wording, subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, shell};
use crate::evidence::Evidence;
use crate::facts::{Key, Pod, Seen, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "coredns-unhealthy",
    chapter: Chapter::Dns,
    title: "CoreDNS does not run, or can't read its configuration",
    guide: &["4.5"],
    needs: &[PODS],
    explains: &[
        "pods-cannot-reach-dns",
        "service-pods-not-ready",
        "dns-name-unknown",
        "service-endpoints-stale",
        "container-crash-loop",
    ],
    doc: Doc {
        meaning: "CoreDNS answers all look-ups of pods. When its pods are not ready, names are not resolved at all or by chance; a fault in the config map coredns-custom takes all of them down at the next restart, and a loop (CoreDNS asks a server that asks CoreDNS) ends them.",
        decision: "CoreDNS pods of kube-system that are not ready: confirmed, critical when none is ready. Its own words about a loop, about an error in the Corefile, or that the API server refuses it: confirmed when a pod is down, too, likely otherwise. Keys of coredns-custom that don't end in .server or .override are not read at all: told as confirmed, since AKS imports no others.",
        action: "Correct the config map and restart the deployment.",
        reference: "AKS: customise CoreDNS; troubleshoot DNS resolution problems.",
    },
    detect,
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

fn not_ready(all: usize, down: &[(&Key, &Seen<Pod>, crate::cluster::service::Why)]) -> Option<Finding> {
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
        cause: format!("{} of {all} CoreDNS pods {} not ready; {}: {}.{}", down.len(), if down.len() == 1 { "is" } else { "are" }, key.name, why.label(), if whole { " No pod of the cluster resolves names." } else { " The others answer for all, which may be too much for them." }),
        fix: "Read the pod's last output. If it complains of its configuration, correct coredns-custom; then restart the deployment.".to_owned(),
        commands: vec![
            format!("kubectl logs {} -n kube-system --previous", shell(&key.name)),
            "kubectl get configmap coredns-custom -n kube-system -o yaml".to_owned(),
            "kubectl rollout restart deployment coredns -n kube-system".to_owned(),
        ],
        verify: vec!["kubectl get pods -n kube-system -l k8s-app=kube-dns   # all ready".to_owned()],
    };
    // The kubelet's whole error is in the cause.
    let text = why.label();
    let brief = text.split(" (").next().unwrap_or(&text);
    let title = if whole {
        format!("CoreDNS is down: none of its {all} pods is ready, {brief}")
    } else {
        format!("{} of {all} CoreDNS pods not ready: {brief}", down.len())
    };
    let mut finding = observed.finding(&DETECTOR, "pods", title, says)?;
    finding.detail("why", down.iter().map(|(.., why)| why.kind()).collect::<std::collections::BTreeSet<_>>());
    finding.subjects.push(subject("Service", &Key::new("kube-system", "kube-dns")));
    Some(finding)
}

fn told_itself(cluster: &Cluster, signal: Signal, observed: Observed, down: bool) -> Option<Finding> {
    let over = cluster.is_over(observed.span) && !down;
    let (about, title, why, fix) = match signal {
        Signal::DnsLoop => (
            "loop",
            "CoreDNS asks itself, and ends",
            "the server to which it forwards sends the question back to it: the node's resolv.conf names a local stub (127.0.0.53), or a custom server forwards to the cluster's DNS",
            "Forward to servers outside the cluster: correct `forward` in coredns-custom, or the kubelet's resolv.conf.",
        ),
        Signal::CorefileBroken => (
            "corefile",
            "CoreDNS can't read its Corefile",
            "the line names the place of the error; on AKS it came with coredns-custom",
            "Correct the config map coredns-custom; each server block and each plugin may be there once.",
        ),
        _ => (
            "unauthorised",
            "The API server refuses CoreDNS, which sees no services",
            "its token is not taken: it is old, or the API server's keys were rotated",
            "Restart CoreDNS, so that it gets a new token.",
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
        cause: format!("CoreDNS says so itself{}: {why}.", observed.when()),
        fix: fix.to_owned(),
        commands: vec![
            "kubectl get configmap coredns coredns-custom -n kube-system -o yaml".to_owned(),
            "kubectl rollout restart deployment coredns -n kube-system".to_owned(),
        ],
        verify: vec!["kubectl logs -n kube-system -l k8s-app=kube-dns --tail=20   # no such line".to_owned()],
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
        cause: format!("AKS imports keys of coredns-custom that end in .server or .override, and no others: {} {} without effect.", stray.join(", "), if stray.len() == 1 { "is" } else { "are" }),
        fix: "Rename the keys: .server for server blocks of their own zones, .override for plugins of the default block; then restart CoreDNS.".to_owned(),
        commands: vec!["kubectl edit configmap coredns-custom -n kube-system".to_owned(), "kubectl rollout restart deployment coredns -n kube-system".to_owned()],
        verify: vec!["kubectl get configmap coredns-custom -n kube-system -o jsonpath='{.data}'".to_owned()],
    };
    observed.finding(
        &DETECTOR,
        "keys",
        format!("coredns-custom has keys that CoreDNS does not read: {}", stray.join(", ")),
        says,
    )
}
