//! The metrics API does not answer: top and autoscaling of pods don't work.

use crate::cluster::Cluster;
use crate::detectors::observed::{self, Observed, Wording, subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Need, Outcome, Severity};
use crate::facts::{Key, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "metrics-api-unavailable",
    chapter: Chapter::ControlPlane,
    title: "The metrics API does not answer",
    guide: &["4"],
    needs: &[API_SERVICES],
    explains: &[],
    doc: Doc {
        meaning: "The metrics server answers the API metrics.k8s.io, by which kubectl top and the horizontal pod autoscaler see the load. When it is down, both stop, and every kubectl command complains of an API that it can't list, even in files that were saved.",
        decision: "The API service of metrics.k8s.io is not available in the bundle: confirmed. Without the object, the words 'Metrics API not available', FailedDiscoveryCheck, or kubectl's complaint about metrics.k8s.io: likely; told as passing when they ended long before the logs do.",
        action: "Look at the pods of metrics-server, and at the way from them to kubelets (TCP 10250).",
        reference: "AKS: metrics server; Kubernetes: resource metrics pipeline.",
    },
    detect,
};

const API_SERVICES: Need = Need {
    what: "the API services",
    why: "they tell which of the cluster's APIs answer",
    command: "kubectl get apiservices -o json > apiservices.json",
    met: |cluster| {
        !cluster.facts.objects.api_services.is_empty()
            || cluster.facts.signals.map.iter().any(|(key, _)| key.signal == Signal::MetricsUnavailable)
    },
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut given: Option<Observed> =
        observed::signals(cluster, |key| (key.signal == Signal::MetricsUnavailable).then_some(()))
            .remove(&());
    let api = cluster.facts.objects.api_services.iter().find(|(key, _)| {
        key.name.ends_with(".metrics.k8s.io")
            && !key.name.contains("custom")
            && !key.name.contains("external")
    });
    let available = api.and_then(|(_, seen)| {
        seen.object.status.conditions.iter().find(|condition| &*condition.r#type == "Available")
    });
    let down = available.filter(|item| &*item.status == "False");
    if down.is_none() && (given.is_none() || available.is_some_and(|item| &*item.status == "True")) {
        return Outcome::default();
    }
    let mut observed = given.take().unwrap_or_default();
    let mut words = String::new();
    if let (Some((key, seen)), Some(item)) = (api, down) {
        words = format!(" The API service says: {} {}", item.reason, item.message);
        observed.show_first(seen.evidence("APIService", key).into_iter().take(1));
    }
    let passed = down.is_none() && cluster.is_over(observed.span);
    let says = Wording {
        severity: if passed { Severity::Low } else { Severity::Medium },
        confidence: if down.is_some() { Confidence::Confirmed } else if passed { Confidence::Possible } else { Confidence::Likely },
        unit: if observed.count > 0 { "error" } else { "API" },
        cause: format!("The API metrics.k8s.io does not answer{}: kubectl top and the horizontal pod autoscaler see no load.{}", observed.when(), words.trim_end()),
        fix: "See whether the pods of metrics-server run (out of memory is common on large clusters), and whether they reach kubelets on TCP 10250.".to_owned(),
        commands: vec!["kubectl get pods -n kube-system -l k8s-app=metrics-server -o wide".to_owned(), "kubectl logs -n kube-system -l k8s-app=metrics-server --tail=50".to_owned()],
        verify: vec!["kubectl top nodes".to_owned()],
    };
    let finding = observed
        .finding(
            &DETECTOR,
            "metrics",
            "The metrics API does not answer: kubectl top and pod autoscaling don't work".to_owned(),
            says,
        )
        .map(|mut finding| {
            finding.subjects.push(subject("Service", &Key::new("kube-system", "metrics-server")));
            finding
        });
    finding.into_iter().collect::<Vec<_>>().into()
}
