//! etcd takes no more writes, or does not answer in time.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::detectors::details::number;
use crate::detectors::needs::API_LOGS;
use crate::detectors::observed::{self, Observed, Wording};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Evaluation, Finding, Need, Outcome, Severity};
use crate::evidence::Evidence;
use crate::facts::{Measure, Place, Signal};

pub(super) const DETECTOR: Detector = Detector {
    id: "etcd-full",
    chapter: Chapter::ControlPlane,
    title: "etcd full (database space exceeded) or slow (request timed out)",
    needs: &[STORE],
    explains: &["api-server-throttles", "admission-webhook-failing"],
    doc: Doc {
        meaning: "The API server stores all objects in etcd. Beyond its space quota (8 GB on AKS) etcd rejects writes with 'mvcc: database space exceeded': objects can be read and deleted, not created or changed. Well before that, with many thousands of events, Helm release secrets, jobs or custom resources, requests become slow.",
        decision: "'etcdserver: mvcc: database space exceeded': confirmed. 'etcdserver: request timed out' or 'leader changed': likely when seen more than five times up to the end of the logs, possible otherwise. From metrics (apiserver_storage_size_bytes and its older names, apiserver_storage_objects): 95 % of the quota or more is reported as nearly full, 60 % as filling up, more than 2 GB as large. The quota is the 8 GiB of AKS; on other clusters it is not known, and only a large database is reported.",
        action: "Delete objects that are not needed; open a support request if the API server does not respond.",
        reference: "learn.microsoft.com: Troubleshoot API server and etcd problems in AKS. etcd.io: Maintenance, space quota.",
    },
    detect: Evaluation::Rule(detect),
};

/// The limit of AKS, in bytes.
const LIMIT: u64 = 8 << 30;
/// From here on a store is called large, in bytes (learn.microsoft.com: Troubleshoot API server and etcd problems in AKS).
const LARGE: u64 = 2_000_000_000;

const STORE: Need = Need {
    what: "logs or metrics of the API server, or the errors that clients got",
    why: "they show what the API server could not do, and how full etcd is",
    command: "kubectl get --raw /metrics | grep -E '^(apiserver_storage|apiserver_resource_objects|etcd_)' > metrics.txt",
    met: |cluster| (API_LOGS.met)(cluster) || store(cluster).is_some(),
};

/// How large the store is, and what is most in it.
struct EtcdSize {
    bytes: u64,
    limit: Option<u64>,
    /// Resources with the most objects, the most first.
    most: Vec<(String, u64)>,
    evidence: Vec<Evidence>,
}

fn store(cluster: &Cluster) -> Option<EtcdSize> {
    let metrics = &cluster.facts.nodes.metrics;
    let of = |measure: Measure| metrics.iter().filter(move |(_, metric)| metric.measure == Some(measure));
    // Several API servers and several members of etcd report the same store.
    let largest =
        of(Measure::StoreSize).max_by_key(|(place, item)| (item.value, std::cmp::Reverse(*place)))?;
    let mut counts: BTreeMap<&str, (u64, &Place, &str)> = BTreeMap::new();
    for (place, item) in of(Measure::Objects) {
        let entry = counts.entry(&item.of).or_insert((item.value, place, &item.name));
        if item.value > entry.0 {
            *entry = (item.value, place, &item.name);
        }
    }
    let mut most: Vec<_> = counts.into_iter().collect();
    most.sort_by_key(|(name, (count, ..))| (std::cmp::Reverse(*count), *name));
    most.truncate(5);
    let at = crate::cluster::azure::at;
    let mut evidence = vec![at(largest.0, &largest.1.name, &largest.1.value.to_string())];
    evidence.extend(
        most.iter().take(3).map(|(name, (count, place, metric))| {
            at(place, &format!("{metric}, {name}"), &count.to_string())
        }),
    );
    Some(EtcdSize {
        bytes: largest.1.value,
        // Other clusters are set up with limits of their own.
        limit: cluster.is_aks().then_some(LIMIT),
        most: most.into_iter().map(|(name, (count, ..))| (name.to_owned(), count)).collect(),
        evidence,
    })
}

impl EtcdSize {
    fn gib(bytes: u64) -> String {
        format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
    }

    /// Hundredths of the limit, where it is known.
    fn share(&self) -> u64 {
        self.limit.map_or(0, |limit| self.bytes.saturating_mul(100) / limit.max(1))
    }

    /// `7.8 GiB of 8.0 GiB`.
    fn size(&self) -> String {
        let limit = self.limit.map_or_else(String::new, |limit| format!(" of {}", Self::gib(limit)));
        format!("{}{limit}", Self::gib(self.bytes))
    }

    /// `events 84000, secrets 12000`.
    fn most(&self) -> String {
        self.most.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    }

    /// ` The etcd database has …`, for the cause of another finding.
    fn in_words(&self) -> String {
        let most =
            if self.most.is_empty() { String::new() } else { format!(" Most objects: {}.", self.most()) };
        format!(" The etcd database has {}.{most}", self.size())
    }
}

const CLEAN_UP: &str = "Find the resources with the most objects, and delete those that are not needed: finished Jobs, old Helm releases (Secrets of type helm.sh/release.v1, needed for `helm rollback`), events, leftovers of operators. Deleted objects are gone: save them first. Then limit object counts with a ResourceQuota. If writes stay refused (alarm NOSPACE): on self-managed control planes compact, `etcdctl defrag` and `etcdctl alarm disarm`; on AKS open a support request.";

fn clean_up() -> Vec<String> {
    vec![
        "kubectl get --raw /metrics | grep -E '^apiserver_(storage|resource)_objects' | sort -k2 -n | tail -n 15".to_owned(),
        "kubectl get --raw /metrics | grep -E 'apiserver_storage_size_bytes|etcd_db_total_size'".to_owned(),
    ]
}

/// The finding of a store that is large by its metrics alone.
fn large(store: &EtcdSize) -> Option<Finding> {
    let (severity, title) = match store.share() {
        95.. => (Severity::Critical, format!("etcd nearly full: {}", store.size())),
        60.. => (Severity::Medium, format!("etcd filling up: {}", store.size())),
        _ if store.bytes > LARGE => (Severity::Low, format!("etcd database is large: {}", store.size())),
        _ => return None,
    };
    let says = Wording {
        severity,
        confidence: Confidence::Confirmed,
        unit: "measurement",
        cause: format!("{} Beyond the quota, objects cannot be created or changed; long before that, LIST requests are slow and the API server needs more memory.", store.in_words().trim_start()),
        fix: CLEAN_UP.to_owned(),
        commands: clean_up(),
        verify: vec!["kubectl get --raw /metrics | grep -E 'apiserver_storage_size_bytes'   # lower, after the next defragmentation".to_owned()],
    };
    let observed = Observed { count: 1, evidence: store.evidence.clone(), ..Observed::default() };
    let mut finding = observed.finding(&DETECTOR, "size", title, says)?;
    finding.details.platform.bytes = number(store.bytes);
    finding.details.platform.objects.clone_from(&store.most);
    Some(finding)
}

fn detect(cluster: &Cluster) -> Outcome {
    let store = store(cluster);
    let all = observed::signals(cluster, |key| {
        matches!(key.signal, Signal::EtcdFull | Signal::EtcdSlow).then_some(key.signal)
    });
    let mut full_now = false;
    let mut findings: Vec<Finding> = Vec::new();
    for (signal, mut observed) in all {
        let full = signal == Signal::EtcdFull;
        let passed = observed.is_over(cluster) || (!full && observed.count <= 5);
        let (severity, confidence) = match (full, passed) {
            (true, false) => (Severity::Critical, Confidence::Confirmed),
            (true, true) => (Severity::Medium, Confidence::Likely),
            (false, false) => (Severity::High, Confidence::Likely),
            (false, true) => (Severity::Low, Confidence::Possible),
        };
        full_now |= full && !passed;
        let first = observed.evidence.iter().take(1).cloned().collect::<Vec<_>>();
        observed.show_first(first.into_iter().chain(store.iter().flat_map(|store| store.evidence.clone())));
        let size = store.as_ref().map_or_else(String::new, EtcdSize::in_words);
        let says = Wording {
            severity,
            confidence,
            unit: "error",
            cause: if full {
                format!(
                    "etcd rejects writes with 'database space exceeded'{}: objects can be read and deleted, not created or changed.{size}",
                    observed.when()
                )
            } else {
                format!(
                    "Requests to etcd timed out, or its leader changed{}. Usual reasons: too many or too large objects, or a restart of the control plane.{size}",
                    observed.when()
                )
            },
            fix: if !full && passed {
                "No action needed unless it comes back: upgrades and restarts of the control plane cause this.".to_owned()
            } else {
                CLEAN_UP.to_owned()
            },
            commands: if !full && passed { Vec::new() } else { clean_up() },
            verify: vec![
                "kubectl create configmap etcd-test && kubectl delete configmap etcd-test   # both work"
                    .to_owned(),
            ],
        };
        let failures = observed::counted(usize::try_from(observed.count).unwrap_or(usize::MAX), "error");
        let title = if full {
            "etcd database space exceeded: objects cannot be created or changed".to_owned()
        } else if passed {
            format!("etcd timeouts or leader changes: {failures}")
        } else {
            "etcd request timeouts or leader changes".to_owned()
        };
        findings.extend(observed.finding(&DETECTOR, if full { "full" } else { "slow" }, title, says));
    }
    if !full_now {
        findings.extend(store.as_ref().and_then(large));
    }
    let ruled_out = store
        .filter(|_| findings.is_empty())
        .map(|store| format!("etcd is not full: its database has {}", store.size()));
    Outcome { ruled_out, ..Outcome::from(findings) }
}
