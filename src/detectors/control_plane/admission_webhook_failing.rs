//! Calls to an admission webhook fail ('failed calling webhook'), and with failurePolicy Fail so do the requests.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cluster::pods::creation::created_later;
use crate::cluster::service::State;
use crate::detectors::needs::API_LOGS;
use crate::detectors::observed::{self, Observed, Wording};
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Outcome, Severity, SubjectRef, shell,
};
use crate::facts::{EventTally, Key, Signal, Webhook};

pub(super) const DETECTOR: Detector = Detector {
    id: "admission-webhook-failing",
    chapter: Chapter::ControlPlane,
    title: "Admission webhook fails (failed calling webhook)",
    needs: &[API_LOGS],
    explains: &["service-scaled-to-zero"],
    doc: Doc {
        meaning: "The API server calls admission webhooks before it stores an object. When a call fails and failurePolicy is Fail, each request that matches the webhook is rejected with 'failed calling webhook': no new pods and no changes, possibly not even those that would bring the webhook back. 'admission webhook … denied the request' is a decision of the webhook, not this fault.",
        decision: "'failed calling webhook' in logs of the API server, in events or in client output, by webhook. Confirmed when its Service has no ready endpoint in the bundle, or when seen more than twice up to the end of the logs; likely otherwise; reported as low when the errors ended long before, or when failurePolicy is Ignore.",
        action: "Bring the webhook's pods back; if they cannot start because of the webhook itself, set its failurePolicy to Ignore until they run.",
        reference: "kubernetes.io: Dynamic Admission Control. learn.microsoft.com: Troubleshoot API server and etcd problems in AKS.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let all: BTreeMap<String, Observed> = observed::signals(cluster, |key| {
        (key.signal == Signal::WebhookFailing).then(|| key.detail.to_string())
    });
    // One webhook may be named with and without its service.
    let mut by_name: BTreeMap<String, (String, Observed)> = BTreeMap::new();
    for (detail, observed) in all {
        let (name, host) = detail.split_once(' ').unwrap_or((&detail, ""));
        match by_name.get_mut(name) {
            Some((known, ours)) => {
                if known.is_empty() {
                    host.clone_into(known);
                }
                ours.count += observed.count;
                ours.span = crate::facts::time::joined(ours.span, observed.span);
                ours.evidence.extend(observed.evidence);
                ours.pods.extend(observed.pods);
            }
            None => drop(by_name.insert(name.to_owned(), (host.to_owned(), observed))),
        }
    }
    by_name
        .into_iter()
        .filter_map(|(name, (host, observed))| finding(cluster, &name, &host, observed))
        .collect()
}

/// Whether every workload that was refused pods by the webhook got one later, and nobody else was refused.
fn answers_again(cluster: &Cluster, name: &str, given: &Observed) -> bool {
    let names = |tally: &EventTally| {
        tally
            .examples
            .as_slice()
            .iter()
            .any(|example| example.excerpt.contains(&format!("webhook \"{name}\"")))
    };
    let refused: Vec<_> =
        cluster.facts.events.of_reason("FailedCreate").filter(|(_, tally)| names(tally)).collect();
    let count: u64 = refused.iter().map(|(_, tally)| tally.count.max(1)).sum();
    !refused.is_empty()
        && given.count <= count
        && refused.iter().all(|(key, tally)| created_later(&cluster.facts, key, tally))
}

/// Whether the bundle shows that a service has no ready endpoint: by its published endpoints when they are there, else by the
/// pods that it selects.
fn has_no_endpoint(state: &State) -> bool {
    match &state.published {
        Some(published) => published.complete && published.ready.is_empty(),
        None => state.not_judged.is_none() && state.ready.is_empty(),
    }
}

/// Words of the error, the state for the title, and what it means.
const WAYS: &[(&str, &str, &str)] = &[
    (
        "/tunnel-uds/",
        "konnectivity tunnel error",
        "the call failed in the konnectivity tunnel of the API server (/tunnel-uds/socket): check the konnectivity-agent pods first",
    ),
    ("no endpoints available", "no endpoints available", "its Service has no endpoints"),
    ("connection refused", "connection refused", "the connection to its Service was refused"),
    (
        "x509",
        "x509 certificate error",
        "the API server does not accept its certificate: check caBundle of the configuration, the names in the certificate, and its expiry",
    ),
    (
        "deadline exceeded",
        "timeout",
        "the call timed out (context deadline exceeded): its pods may be overloaded, or the path from the API server to them blocked (konnectivity tunnel, NetworkPolicy, NSG)",
    ),
    (
        "i/o timeout",
        "i/o timeout",
        "the connection timed out: check the konnectivity tunnel, NetworkPolicies and NSGs",
    ),
    (
        "connection reset",
        "connection reset",
        "the connection was reset: check the webhook's pods and the konnectivity tunnel",
    ),
    ("no such host", "no such host", "the name of its Service does not resolve"),
    ("not found", "service not found", "its Service does not exist"),
    ("EOF", "EOF", "the connection was closed (EOF): its pods may restart, or do not serve TLS"),
    ("504", "504 Gateway Timeout", "a proxy on the path returned 504 Gateway Timeout"),
];

fn finding(cluster: &Cluster, name: &str, host: &str, mut given: Observed) -> Option<Finding> {
    let objects = &cluster.facts.objects;
    let configured = objects.webhooks.iter().find_map(|(key, seen)| {
        seen.object.webhooks.iter().find(|webhook| &*webhook.name == name).map(|webhook| (key, seen, webhook))
    });
    let of_host = host
        .strip_suffix(".svc")
        .or_else(|| host.strip_suffix(".svc.cluster.local"))
        .and_then(|rest| rest.split_once('.'));
    let service = configured
        .and_then(|(_, _, webhook): (_, _, &Webhook)| webhook.client_config.service.as_ref())
        .map(|service| Key::new(&*service.namespace, &*service.name))
        .or_else(|| of_host.map(|(service, namespace)| Key::new(namespace, service)));
    let state = service.as_ref().and_then(|key| cluster.services.all.get(key));
    let without = state.is_some_and(has_no_endpoint);
    let ignored = configured.is_some_and(|(_, _, webhook)| &*webhook.failure_policy == "Ignore");
    let over = (given.is_over(cluster) || answers_again(cluster, name, &given)) && !without;
    let (severity, confidence) = match (over || ignored, without, given.count > 2) {
        (true, ..) => (Severity::Low, Confidence::Possible),
        (_, true, _) => (Severity::Critical, Confidence::Confirmed),
        (_, _, true) => (Severity::High, Confidence::Confirmed),
        _ => (Severity::High, Confidence::Likely),
    };
    let (state_of_call, how) = WAYS
        .iter()
        .find(|(words, ..)| given.evidence.iter().any(|item| item.excerpt.contains(words)))
        .map_or(("call failed", "the call failed"), |(_, state, how)| (*state, *how));
    if let Some((key, seen, _)) = configured {
        let mut places = seen.evidence("webhook configuration", key);
        places.truncate(1);
        given.show_first(places);
    }
    let text = if name.is_empty() { "an admission webhook".to_owned() } else { format!("webhook {name}") };
    let behind = service.as_ref().map_or_else(String::new, |key| {
        format!(
            " It is served by Service {}{}.",
            key.label(),
            if without { ", which has no ready endpoint in the bundle" } else { "" }
        )
    });
    let policy = if ignored { " Its failurePolicy is Ignore, so requests are not rejected." } else { "" };
    let mut commands = Vec::new();
    if let Some(key) = &service {
        commands.push(format!("kubectl get pods,endpointslices -n {} -o wide", shell(&key.namespace)));
    }
    commands.push("kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o yaml > webhooks.yaml   # backup before any change".to_owned());
    if let Some((key, ..)) = configured {
        commands.push(format!(
            "kubectl edit validatingwebhookconfiguration {}   # or mutatingwebhookconfiguration; failurePolicy: Ignore, only until its pods run",
            shell(&key.name)
        ));
    }
    let says = Wording {
        severity,
        confidence,
        unit: "failed request",
        cause: format!("API server calls to {text} failed{}: {how}.{behind}{policy}", given.when()),
        fix: "Bring the webhook's pods back. If they cannot start because the webhook itself must admit them, set its failurePolicy to Ignore until they run: meanwhile objects pass unchecked. Later exclude kube-system and the webhook's own namespace (namespaceSelector), and run two replicas with a PodDisruptionBudget.".to_owned(),
        commands,
        verify: vec!["kubectl create configmap webhook-test --dry-run=server -o yaml   # no error".to_owned()],
    };
    let title = format!(
        "{} {}: {state_of_call}",
        observed::capitalised(&text),
        if over {
            "failed, ended"
        } else if ignored {
            "fails (failurePolicy Ignore)"
        } else {
            "fails"
        }
    );
    let mut finding =
        given.finding(&DETECTOR, if name.is_empty() { "webhook" } else { name }, title, says)?;
    finding.subjects.extend(service.iter().map(|key| observed::subject("Service", key)));
    if let Some((key, ..)) = configured {
        finding.subjects.push(SubjectRef {
            kind: "WebhookConfiguration".to_owned(),
            namespace: String::new(),
            name: key.name.to_string(),
        });
    }
    Some(finding)
}
