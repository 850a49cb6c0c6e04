//! The API server refuses requests for their number.

use crate::cluster::Cluster;
use crate::detectors::needs::API_LOGS;
use crate::detectors::observed::{self, Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::{Key, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "api-server-throttles",
    chapter: Chapter::ControlPlane,
    title: "The API server refuses requests for their number (429)",
    guide: &["4.6"],
    needs: &[API_LOGS],
    explains: &["client-connection-cut"],
    doc: Doc {
        meaning: "The API server has a share of its capacity for each kind of client (priority and fairness), and answers 429 when one asks too much. After it has run out of memory several times, AKS puts a guard in its way (flow schema aks-managed-apiserver-guard), which refuses requests of clients that are not the system's. That a client waits by itself ('client-side throttling') is something else, and so is a 429 for an eviction or from Azure.",
        decision: "The words 'the server has received too many requests' and 'please try again later', or the guard's flow schema among the objects. Confirmed with the guard; likely when seen more than ten times and still at the end of the logs; possible otherwise.",
        action: "Find the client that asks most, and let it ask less; use the Standard tier.",
        reference: "AKS: troubleshoot API server and etcd problems (causes 4 and 5).",
    },
    detect,
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
    let passed = guard.is_none() && (cluster.is_over(observed.span) || observed.count <= 10);
    observed.show_first(guard.into_iter().flat_map(|seen| seen.evidence("FlowSchema", &key)).take(1));
    let (severity, confidence) = match (guard.is_some(), passed) {
        (true, _) => (Severity::High, Confidence::Confirmed),
        (false, false) => (Severity::High, Confidence::Likely),
        (false, true) => (Severity::Low, Confidence::Possible),
    };
    let by_guard = if guard.is_some() {
        " AKS has put its guard in place, which it does after the API server ran out of memory several times: requests of the cluster's own programs are refused until it is taken away."
    } else {
        ""
    };
    let free = cluster
        .azure
        .cluster()
        .filter(|aks| aks.tier.eq_ignore_ascii_case("Free"))
        .map_or("", |_| " The cluster is of the Free tier, which gets the least.");
    let count = if refused {
        format!("The API server answered 429 (too many requests){}.", observed.when())
    } else {
        "The API server is under its guard.".to_owned()
    };
    let says = Wording {
        severity,
        confidence,
        unit: if refused { "refused request" } else { "guard" },
        cause: format!("{count}{by_guard}{free}"),
        fix: "Find who asks most (lists without pages, many watches, short intervals), and let it watch instead of list, or ask in pages. Give it a flow schema of its own so that others don't suffer. When the load is down, remove the guard's two objects.".to_owned(),
        commands: vec![
            "kubectl get --raw /metrics | grep apiserver_flowcontrol_rejected_requests_total | sort -k2 -n | tail".to_owned(),
            "kubectl delete flowschema,prioritylevelconfiguration aks-managed-apiserver-guard   # when the load is down".to_owned(),
        ],
        verify: vec!["kubectl get flowschemas | grep -c apiserver-guard   # 0".to_owned()],
    };
    let title = if guard.is_some() {
        "The API server is overloaded: AKS has put its guard in place"
    } else if passed {
        "The API server refused requests for their number for a while"
    } else {
        "The API server refuses requests for their number (429)"
    };
    observed.finding(&DETECTOR, "api-server", title.to_owned(), says).into_iter().collect::<Vec<_>>().into()
}
