//! The metrics API does not answer: top and autoscaling of pods don't work.

use crate::cluster::Cluster;
use crate::detectors::observed::{self, Observed, Wording, subject};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Need, Outcome, Severity};
use crate::facts::{Key, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "metrics-api-unavailable",
    chapter: Chapter::ControlPlane,
    title: "Metrics API not available (metrics.k8s.io, metrics-server)",
    needs: &[API_SERVICES],
    explains: &[],
    doc: Doc {
        meaning: "metrics-server serves the API metrics.k8s.io for kubectl top and the HorizontalPodAutoscaler. While its APIService is not available, both fail ('Metrics API not available'), and kubectl prints 'couldn't get resource list for metrics.k8s.io/v1beta1' with other commands too.",
        decision: "The APIService of metrics.k8s.io has condition Available=False: confirmed. Without that object, 'Metrics API not available', FailedDiscoveryCheck, or kubectl's discovery error for metrics.k8s.io: likely; reported as low when the errors ended long before the logs do.",
        action: "Check the metrics-server pods, and that they reach kubelets on TCP 10250.",
        reference: "kubernetes.io: Resource metrics pipeline. learn.microsoft.com: Metrics Server VPA in AKS.",
    },
    detect: Evaluation::Rule(detect),
};

const API_SERVICES: Need = Need {
    what: "the APIServices",
    why: "they show which aggregated APIs are available",
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
        words = format!(" APIService {}: Available=False, {}: {}", key.name, item.reason, item.message);
        observed.show_first(seen.evidence("APIService", key).into_iter().take(1));
    }
    let passed = down.is_none() && observed.is_over(cluster);
    let says = Wording {
        severity: if passed { Severity::Low } else { Severity::Medium },
        confidence: if down.is_some() { Confidence::Confirmed } else if passed { Confidence::Possible } else { Confidence::Likely },
        unit: if observed.count > 0 { "error" } else { "API" },
        cause: format!("The API metrics.k8s.io is not available{}: kubectl top and the HorizontalPodAutoscaler get no metrics.{}", observed.when(), words.trim_end()),
        fix: "Check that the metrics-server pods are ready (OOMKilled is common on large clusters), and that they reach kubelets on TCP 10250.".to_owned(),
        commands: vec!["kubectl get pods -n kube-system -l k8s-app=metrics-server -o wide".to_owned(), "kubectl logs -n kube-system -l k8s-app=metrics-server --tail=50".to_owned()],
        verify: vec!["kubectl top nodes   # CPU and memory of each node".to_owned()],
    };
    let finding = observed
        .finding(
            &DETECTOR,
            "metrics",
            if passed {
                "Metrics API was not available, ended (metrics.k8s.io)".to_owned()
            } else {
                "Metrics API not available (metrics.k8s.io): kubectl top and HPA have no metrics".to_owned()
            },
            says,
        )
        .map(|mut finding| {
            finding.subjects.push(subject("Service", &Key::new("kube-system", "metrics-server")));
            finding
        });
    finding.into_iter().collect()
}
