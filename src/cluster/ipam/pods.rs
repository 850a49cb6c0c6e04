//! Pods by address and by node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt};

use crate::facts::{Facts, Pod};

/// Pods by address and by node.
pub(super) struct Pods<'a> {
    by_ip: HashMap<IpAddr, &'a Pod>,
    /// Addresses that several live pods have: all of these pods.
    pub(super) shared: BTreeMap<IpAddr, Vec<&'a Pod>>,
    by_node: HashMap<&'a str, Vec<&'a Pod>>,
    /// The bundle holds a list of pods with some of `kube-system`, not one namespace's or single ones only.
    pub(super) listed: bool,
    /// The newest time that a pod tells of itself: they were listed no earlier.
    pub(super) newest: Option<i64>,
}

impl<'a> Pods<'a> {
    pub(super) fn index(facts: &'a Facts, anchor: Option<i64>) -> Self {
        let mut pods = Self {
            by_ip: HashMap::new(),
            shared: BTreeMap::new(),
            by_node: HashMap::new(),
            listed: false,
            newest: None,
        };
        let mut of_system = false;
        for (_, seen) in facts.objects.pods.iter() {
            let pod = &seen.object;
            of_system |= &*pod.metadata.namespace == "kube-system";
            pods.by_node.entry(&pod.spec.node_name).or_default().push(pod);
            pods.newest = pods.newest.max(started(pod));
            if holds_address(pod) {
                for ip in pod.addresses() {
                    if let Some(other) = pods.by_ip.insert(ip, pod) {
                        let all = pods.shared.entry(ip).or_insert_with(|| vec![other]);
                        all.push(pod);
                    }
                }
            }
        }
        pods.listed = of_system && facts.has_list("Pod");
        // Events are collected along with the pods.
        let events = facts.events.seen.resolve(anchor).map(|(_, last)| last);
        pods.newest = pods.newest.map(|newest| events.map_or(newest, |last| last.max(newest)));
        pods
    }

    /// The live pod of an address: of the node, if one of them is.
    pub(super) fn at(&self, ip: &IpAddr, node: &str) -> Option<&'a Pod> {
        if let Some(all) = self.shared.get(ip) {
            return all.iter().find(|pod| &*pod.spec.node_name == node).or(all.first()).copied();
        }
        self.by_ip.get(ip).copied()
    }

    pub(super) fn of(&self, node: &str) -> impl Iterator<Item = &'a Pod> {
        self.by_node.get(node).into_iter().flatten().copied()
    }

    /// Whether all pods of a node seem to be there: every node runs something of `kube-system`, so a list
    /// without that is one namespace's, and every other pod's address would look leaked.
    pub(super) fn complete_on(&self, node: &str) -> bool {
        let mut system = self.of(node).filter(|pod| &*pod.metadata.namespace == "kube-system");
        // Masked addresses can't be matched with leases: then nothing is known.
        self.listed && system.next().is_some() && !self.of(node).any(Pod::address_hidden)
    }
}

/// When the kubelet took a pod.
pub(super) fn started(pod: &Pod) -> Option<i64> {
    pod.status.start_time.0.max(pod.metadata.creation_timestamp.0)
}

/// Scheduled, and without an address.
pub(super) fn waits(pod: &Pod) -> bool {
    !pod.ended() && !pod.spec.host_network && !pod.address_hidden() && pod.addresses().next().is_none()
}

/// A terminating pod still holds its address; one that ended does not.
pub(super) fn holds_address(pod: &Pod) -> bool {
    !pod.ended() && !pod.spec.host_network && pod.addresses().next().is_some()
}

/// Made by a Job: it lives for one task.
pub(super) fn of_job(pod: &Pod) -> bool {
    pod.metadata.owner_references.iter().any(|owner| &*owner.kind == "Job")
}
