//! What the cluster is, as far as the bundle says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::addresses::{self, NodeAddresses, PoolUse, SubnetUse};
use super::layout;
use super::platform::{self, Inferred};
use crate::cluster::Cluster;
use crate::facts::{FlowFilter, time};

/// The nodes of the cluster, in a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeCounts {
    /// How many are in the bundle.
    pub count: u64,
    /// Of these, ready.
    pub ready: u64,
    /// Of these, cordoned.
    pub cordoned: u64,
}

/// What is in the bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// Which tools made the bundle, by what lies where in it; empty when it was put together by hand.
    pub layouts: Vec<String>,
    /// When it was taken, by its name.
    pub captured: Option<String>,
    /// Who runs the cluster.
    pub provider: Option<Inferred>,
    /// How its pods get addresses.
    pub network: Option<Inferred>,
    /// Who enforces its network policies.
    pub policy_engine: Option<Inferred>,
    /// Its nodes.
    pub nodes: NodeCounts,
    /// First and last time of all logs.
    pub log_span: Option<(String, String)>,
    /// Kinds and how many objects of each.
    pub objects: BTreeMap<String, u64>,
    /// Kinds that were counted and not looked at.
    pub other_objects: BTreeMap<String, u64>,
    /// Versions of the kubelets.
    pub versions: BTreeMap<String, u64>,
    /// Newest time in the bundle: about when it was taken.
    pub newest: Option<String>,
    /// Audit events read.
    pub audit_events: u64,
    /// First and last audit event.
    pub audit_span: Option<(String, String)>,
    /// API server log lines read.
    pub api_server_lines: u64,
    /// Refused requests in the access log, and how many of them an audit event explains.
    pub access_log_403: (u64, u64),
    /// Events read.
    pub events: u64,
    /// What nodes say, and how many outputs or files of each: routes, resolvers, packet filters.
    pub node_facts: BTreeMap<String, u64>,
    /// Azure resources by kind.
    pub azure: BTreeMap<String, u64>,
    /// Connections that a firewall saw: refused and let pass.
    pub firewall: (u64, u64),
    /// Addresses per node.
    pub addresses: Vec<NodeAddresses>,
    /// The ranges of the cluster.
    pub subnets: Vec<SubnetUse>,
    /// Calico's pools, as calicoctl shows them.
    pub calico_pools: Vec<PoolUse>,
}

/// The newest time of the bundle. A container that ended counts here, and nowhere else: a single pod's clock shall not
/// decide what is over.
fn newest(cluster: &Cluster) -> Option<i64> {
    let pods = cluster.facts.objects.pods.iter();
    let ended = pods.flat_map(|(_, seen)| seen.object.container_ends()).filter_map(|when| when.resolve(None));
    cluster.anchor.max(ended.max())
}

impl Inventory {
    pub(super) fn of(cluster: &Cluster, inputs: &[String]) -> Self {
        let facts = &cluster.facts;
        let mut versions = BTreeMap::new();
        for (_, seen) in facts.objects.nodes.iter() {
            let version = &seen.object.status.node_info.kubelet_version;
            if !version.is_empty() {
                *versions.entry(version.to_string()).or_insert(0) += 1;
            }
        }
        let ready = |seen: &crate::facts::Seen<crate::facts::Node>| {
            seen.object
                .status
                .conditions
                .iter()
                .any(|condition| &*condition.r#type == "Ready" && &*condition.status == "True")
        };
        let mut azure: BTreeMap<String, u64> = BTreeMap::new();
        for (_, resource) in facts.azure.resources.iter() {
            if let Some(kind) = resource.kind {
                *azure.entry(kind.label().to_owned()).or_default() += 1;
            }
        }
        let flows = |allowed: bool| -> u64 {
            facts
                .flows
                .map
                .iter()
                .filter(|(key, _)| key.filter == FlowFilter::Firewall && key.allowed == allowed)
                .map(|(_, tally)| tally.sightings.count().0)
                .sum()
        };
        let tops = facts.coverage.entries.keys().filter_map(|path| path.split(['/', '!']).next());
        let captured = layout::captured(inputs.iter().map(String::as_str).chain(tops));
        Self {
            layouts: layout::recognise(&facts.coverage).into_iter().map(ToOwned::to_owned).collect(),
            captured: captured.map(time::rfc3339_text),
            provider: platform::provider(facts),
            network: platform::network(facts),
            policy_engine: platform::policy_engine(&cluster.policies.engine),
            nodes: NodeCounts {
                count: facts.objects.nodes.len() as u64,
                ready: facts.objects.nodes.iter().filter(|(_, seen)| ready(seen)).count() as u64,
                cordoned: facts
                    .objects
                    .nodes
                    .iter()
                    .filter(|(_, seen)| seen.object.spec.unschedulable)
                    .count() as u64,
            },
            log_span: log_span(cluster),
            node_facts: facts
                .nodes
                .counts()
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(what, count)| (what.replace('_', " "), count as u64))
                .collect(),
            azure,
            firewall: (flows(false), flows(true)),
            objects: facts
                .objects
                .counts()
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(kind, count)| (kind.replace('_', " "), count as u64))
                .collect(),
            other_objects: facts.other_kinds.iter().map(|(kind, count)| (kind.to_string(), *count)).collect(),
            versions,
            newest: newest(cluster).map(time::rfc3339_text),
            audit_events: facts.api_server.audit_events,
            audit_span: facts
                .api_server
                .audit_span
                .resolve(cluster.anchor)
                .map(|(first, last)| (time::rfc3339_text(first), time::rfc3339_text(last))),
            api_server_lines: facts.api_server.log_lines,
            access_log_403: (cluster.joined.access_requests, cluster.joined.explained),
            events: facts.events.read,
            addresses: addresses::of_nodes(cluster),
            subnets: addresses::subnets(cluster),
            calico_pools: addresses::calico_pools(cluster),
        }
    }
}

fn log_span(cluster: &Cluster) -> Option<(String, String)> {
    let spans =
        cluster.facts.coverage.entries.values().filter_map(|entry| entry.span.resolve(cluster.anchor));
    let (first, last) = spans.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)))?;
    Some((time::rfc3339_text(first), time::rfc3339_text(last)))
}
