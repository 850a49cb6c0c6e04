//! An admission webhook does not answer, so requests that it must see fail.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::cluster::service::State;
use crate::detectors::needs::API_LOGS;
use crate::detectors::observed::{self, Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Outcome, Severity, SubjectRef, shell};
use crate::facts::{Key, Signal, Webhook};

pub(super) const DETECTOR: Detector = Detector {
    id: "admission-webhook-failing",
    chapter: Chapter::ControlPlane,
    title: "An admission webhook does not answer",
    guide: &["4.6"],
    needs: &[API_LOGS],
    explains: &["service-scaled-to-zero"],
    doc: Doc {
        meaning: "The API server asks webhooks before it stores an object. When one does not answer and its failure policy is Fail, every request that it must see is refused with 'failed calling webhook': no new pods, no changes, in the worst case not even those that would bring the webhook back. That a webhook said no ('denied the request') is its decision, and no fault.",
        decision: "The words 'failed calling webhook' of the API server, of controllers' events or of clients, by webhook. Confirmed when its service has no ready endpoint in the bundle, or when seen more than twice and still at the end; likely otherwise; told as passing when they ended long before. A policy of Ignore makes it low.",
        action: "Bring the webhook's pods back; if that needs the webhook itself, take its configuration away for a while.",
        reference: "AKS: troubleshoot API server and etcd problems. Kubernetes: dynamic admission control.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let all: BTreeMap<String, Observed> = observed::signals(cluster, |key| {
        (key.signal == Signal::WebhookFailing).then(|| key.detail.to_string())
    });
    // One webhook may be told with and without its service.
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
        .collect::<Vec<_>>()
        .into()
}

/// Whether the bundle shows that a service leads to nothing: by its published endpoints when they are there, else by the
/// pods that it selects.
fn has_no_endpoint(state: &State) -> bool {
    match &state.published {
        Some(published) => published.complete && published.ready.is_empty(),
        None => state.not_judged.is_none() && state.ready.is_empty(),
    }
}

/// How the call failed, and what that means.
const WAYS: &[(&str, &str)] = &[
    ("no endpoints available", "its service has no endpoint"),
    ("connection refused", "nothing listens where its service leads"),
    (
        "x509",
        "its certificate is not the one that the configuration names: it was renewed, or is of another name",
    ),
    (
        "deadline exceeded",
        "it did not answer in time: its pods are overloaded, or the way from the API server to them is blocked (the tunnel, a network policy, a security group)",
    ),
    (
        "i/o timeout",
        "no connection came about: a network policy, a security group, or the tunnel is in the way",
    ),
    ("no such host", "the name of its service does not exist"),
    ("not found", "its service does not exist"),
    ("EOF", "it cut the connection: it restarts, or speaks no TLS"),
    ("504", "a proxy on the way gave up"),
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
    let over = cluster.is_over(given.span) && !without;
    let (severity, confidence) = match (over || ignored, without, given.count > 2) {
        (true, ..) => (Severity::Low, Confidence::Possible),
        (_, true, _) => (Severity::Critical, Confidence::Confirmed),
        (_, _, true) => (Severity::High, Confidence::Confirmed),
        _ => (Severity::High, Confidence::Likely),
    };
    let how = WAYS
        .iter()
        .find(|(words, _)| given.evidence.iter().any(|item| item.excerpt.contains(words)))
        .map_or("it did not answer", |(_, how)| how);
    if let Some((key, seen, _)) = configured {
        let mut places = seen.evidence("webhook configuration", key);
        places.truncate(1);
        given.show_first(places);
    }
    let text = if name.is_empty() { "an admission webhook".to_owned() } else { format!("webhook {name}") };
    let behind = service.as_ref().map_or_else(String::new, |key| {
        format!(
            " It is answered by service {}{}.",
            key.label(),
            if without { ", which has no ready endpoint in the bundle" } else { "" }
        )
    });
    let policy = if ignored { " Its failure policy is Ignore, so requests go on without it." } else { "" };
    let all = if given.pods.is_empty() { "" } else { " Controllers can't make pods for that." };
    let mut commands = Vec::new();
    if let Some(key) = &service {
        commands.push(format!("kubectl get pods,endpoints -n {} -o wide", shell(&key.namespace)));
    }
    commands.push("kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o yaml > webhooks.yaml   # keep it before you change it".to_owned());
    if let Some((key, ..)) = configured {
        commands.push(format!("kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration {}   # only if its pods can't come back otherwise", shell(&key.name)));
    }
    let says = Wording {
        severity,
        confidence,
        unit: "failed request",
        cause: format!("The API server could not ask {text}{}: {how}.{behind}{policy}{all}", given.when()),
        fix: "Bring the webhook's pods back. If they can't start because the webhook itself must allow them, take its configuration away until they run, and leave kube-system out of it (namespaceSelector). Run it with two replicas and a disruption budget.".to_owned(),
        commands,
        verify: vec!["kubectl create configmap webhook-test --dry-run=server -o yaml   # no error".to_owned()],
    };
    let title = format!(
        "{} does not answer, requests {}",
        observed::capital(&text),
        if over {
            "failed for a while"
        } else if ignored {
            "go on without it"
        } else {
            "fail"
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
