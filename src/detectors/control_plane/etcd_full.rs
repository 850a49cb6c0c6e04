//! etcd takes no more writes, or does not answer in time.

use crate::cluster::Cluster;
use crate::detectors::needs::API_LOGS;
use crate::detectors::told::{self, Says};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Outcome, Severity};
use crate::facts::Signal;

pub(super) const DETECTOR: Detector = Detector {
    id: "etcd-full",
    chapter: Chapter::ControlPlane,
    title: "etcd is full or too slow",
    guide: &["4.6"],
    needs: &[API_LOGS],
    explains: &["api-server-throttles", "admission-webhook-failing"],
    doc: Doc {
        meaning: "The API server keeps all objects in etcd. Past its limit (8 GB) etcd takes no more writes: nothing can be made or changed, only read and deleted. Well before, with thousands of events, Helm secrets, jobs or custom resources, it answers late.",
        decision: "'etcdserver: mvcc: database space exceeded': confirmed. 'etcdserver: request timed out' or a changed leader: likely when seen more than five times and still at the end of the logs; told as passing otherwise.",
        action: "Delete what is not needed; ask Azure for help if the API server answers no more.",
        reference: "AKS: troubleshoot API server and etcd problems.",
    },
    judge,
};

fn judge(cluster: &Cluster) -> Outcome {
    let all = told::signals(cluster, |key| matches!(key.signal, Signal::EtcdFull | Signal::EtcdSlow).then_some(key.signal));
    let findings = all.into_iter().filter_map(|(signal, told)| {
        let full = signal == Signal::EtcdFull;
        let passed = cluster.is_over(told.span) || (!full && told.count <= 5);
        let (severity, confidence) = match (full, passed) {
            (true, false) => (Severity::Critical, Confidence::Confirmed),
            (true, true) => (Severity::Medium, Confidence::Likely),
            (false, false) => (Severity::High, Confidence::Likely),
            (false, true) => (Severity::Low, Confidence::Possible),
        };
        let says = Says {
            severity,
            confidence,
            unit: "error",
            cause: if full {
                format!("etcd's database has reached its limit{}: nothing can be made or changed in the cluster, only read and deleted.", told.when())
            } else {
                format!("etcd did not answer in time{}: it has too many or too large objects, or changed its leader.", told.when())
            },
            fix: if !full && passed { "Nothing to mend, unless it comes back: upgrades and restarts of the control plane look like this.".to_owned() } else { "Find what there is most of, and delete what is not needed: finished jobs, old Helm releases (secrets of type helm.sh/release.v1), events, leftovers of operators. Set quotas on numbers of objects.".to_owned() },
            commands: if !full && passed { Vec::new() } else { vec![
                "kubectl get --raw /metrics | grep -E '^apiserver_storage_objects' | sort -k2 -n | tail -n 15".to_owned(),
                "kubectl get --raw /metrics | grep -E 'apiserver_storage_size_bytes|etcd_db_total_size'".to_owned(),
            ] },
            verify: vec!["kubectl create configmap etcd-test && kubectl delete configmap etcd-test   # both work".to_owned()],
        };
        let title = if full { "etcd is full: nothing can be made or changed" } else if passed { "etcd did not answer in time for a while" } else { "etcd does not answer in time" };
        told.finding(&DETECTOR, if full { "full" } else { "slow" }, title.to_owned(), says)
    });
    findings.collect::<Vec<_>>().into()
}
