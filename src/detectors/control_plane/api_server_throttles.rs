//! The API server throttles: 429 Too Many Requests.

use crate::cluster::Cluster;
use crate::detectors::needs::API_LOGS;
use crate::detectors::observed::{self, Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Outcome, Severity};
use crate::facts::{Key, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "api-server-throttles",
    chapter: Chapter::ControlPlane,
    title: "API server throttling: 429 Too Many Requests",
    needs: &[API_LOGS],
    explains: &["client-connection-cut"],
    doc: Doc {
        meaning: "API Priority and Fairness gives each class of clients a share of the API server, and answers 429 Too Many Requests beyond it. After the API server was OOM-killed repeatedly, AKS adds the FlowSchema and PriorityLevelConfiguration aks-managed-apiserver-guard, which throttle clients that are not system clients. 'client-side throttling' of a client, a 429 for an eviction (PodDisruptionBudget) and a 429 of Azure are other causes.",
        decision: "'the server has received too many requests and has asked us to try again later', or the FlowSchema aks-managed-apiserver-guard. Confirmed with that FlowSchema; likely when there are more than ten errors up to the end of the logs; possible otherwise.",
        action: "Find the client with the most requests and reduce them; use the Standard pricing tier.",
        reference: "learn.microsoft.com: Troubleshoot API server and etcd problems in AKS. kubernetes.io: API Priority and Fairness.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let given =
        observed::signals(cluster, |key| (key.signal == Signal::ApiThrottled).then_some(())).remove(&());
    let key = Key::new("", "aks-managed-apiserver-guard");
    let guard = cluster.facts.objects.flow_schemas.get("", "aks-managed-apiserver-guard");
    if given.is_none() && guard.is_none() {
        return Outcome::default();
    }
    let mut observed: Observed = given.unwrap_or_default();
    let refused = observed.count > 0;
    let passed = guard.is_none() && (observed.is_over(cluster) || observed.count <= 10);
    observed.show_first(guard.into_iter().flat_map(|seen| seen.evidence("FlowSchema", &key)).take(1));
    let (severity, confidence) = match (guard.is_some(), passed) {
        (true, _) => (Severity::High, Confidence::Confirmed),
        (false, false) => (Severity::High, Confidence::Likely),
        (false, true) => (Severity::Low, Confidence::Possible),
    };
    let by_guard = if guard.is_some() {
        " The FlowSchema aks-managed-apiserver-guard exists: AKS adds it after the API server ran out of memory repeatedly. It throttles clients that are not system clients until it is removed."
    } else {
        ""
    };
    let free = cluster
        .azure
        .cluster()
        .filter(|aks| aks.tier.eq_ignore_ascii_case("Free"))
        .map_or("", |_| " The cluster is in the Free tier, which has the lowest API server limits.");
    let count = if refused {
        format!("The API server answered 429 Too Many Requests{}.", observed.when())
    } else {
        "No 429 response is in the bundle.".to_owned()
    };
    let says = Wording {
        severity,
        confidence,
        unit: if refused { "refused request" } else { "guard" },
        cause: format!("{count}{by_guard}{free}"),
        fix: "Find the client with the most requests (LIST calls without limit, many watches, short intervals). Let it watch instead of list, or list in pages; a FlowSchema for it keeps the load off other clients. Where aks-managed-apiserver-guard exists, delete it only after the load is down: the API server can run out of memory again.".to_owned(),
        commands: vec![
            "kubectl get --raw /metrics | grep apiserver_flowcontrol_rejected_requests_total | sort -k2 -n | tail".to_owned(),
        ]
        .into_iter()
        .chain(guard.map(|_| {
            "kubectl delete flowschema,prioritylevelconfiguration aks-managed-apiserver-guard   # only when the load is down".to_owned()
        }))
        .collect(),
        verify: vec![if guard.is_some() {
            "kubectl get flowschemas | grep -c apiserver-guard   # 0".to_owned()
        } else {
            "kubectl get --raw /metrics | grep apiserver_flowcontrol_rejected_requests_total   # no longer rises"
                .to_owned()
        }],
    };
    let title = if guard.is_some() {
        "API server throttled: FlowSchema aks-managed-apiserver-guard is in place".to_owned()
    } else if passed {
        format!(
            "API server returned 429 Too Many Requests ({})",
            observed::counted(usize::try_from(observed.count).unwrap_or(usize::MAX), "time")
        )
    } else {
        "API server throttled: 429 Too Many Requests".to_owned()
    };
    observed.finding(&DETECTOR, "api-server", title, says).into_iter().collect()
}
