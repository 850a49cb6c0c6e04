//! Sources of one node that do not say the same.

use super::account::Context;
use super::{Ipam, NodeIpam};

/// Two sources that do not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The node.
    pub node: String,
    /// What each says.
    pub what: String,
}

pub(super) fn find(context: &Context<'_>, all: &[NodeIpam]) -> Vec<Disagreement> {
    let mut found = Vec::new();
    for of_node in all.chunk_by(|a, b| a.node == b.node) {
        let Some(node) = of_node.first().map(|books| &books.node) else { continue };
        let by = |ipam: Ipam| of_node.iter().find(|books| books.ipam == ipam);
        let mut say = |what: String| found.push(Disagreement { node: node.clone(), what });
        if let (Some(pool), Some(endpoints)) = (by(Ipam::AzureVnetIpam), by(Ipam::AzureVnet))
            && differ(pool.allocated(), endpoints.allocated())
        {
            say(format!(
                "azure-vnet-ipam.json has {} addresses in use, azure-vnet.json {} endpoints: an IP in use without an endpoint was not released",
                pool.allocated(),
                endpoints.allocated()
            ));
        }
        if let (Some(pool), Some(endpoints)) = (by(Ipam::CnsPool), by(Ipam::CnsEndpoints))
            && differ(pool.allocated(), endpoints.allocated())
        {
            say(format!(
                "azure-cns has {} addresses assigned, its endpoint state {}",
                pool.allocated(),
                endpoints.allocated()
            ));
        }
        if let (Some(pool), Some(lease)) =
            (by(Ipam::CnsPool), by(Ipam::NodeNetworkConfig).and_then(|books| books.lease.as_ref()))
            && let (Some(capacity), Some(allocated)) = (pool.capacity(), lease.allocated)
            && lease.kind != "overlay"
            && differ(capacity, allocated)
        {
            say(format!("the NodeNetworkConfig has {allocated} IPs, azure-cns has {capacity} in its pool"));
        }
        if let Some(books) =
            of_node.iter().find(|books| books.newer_pods > 0 && !books.counted && books.lease.is_none())
        {
            say(format!(
                "{} pods started after the newest entry of {}: it was taken before the pods were listed",
                books.newer_pods,
                books.ipam.label()
            ));
        }
        if let Some(books) = of_node.iter().find(|books| mismatched(books)) {
            say(format!(
                "of {} running pods only {} have an IP in {}: it is of another time or another node",
                books.pods,
                books.matched,
                books.ipam.label()
            ));
        }
    }
    for (key, seen) in context.facts.objects.node_network_configs.iter() {
        let status = &seen.object.status;
        let singles = status
            .network_containers
            .iter()
            .flat_map(|network_container| &*network_container.ip_assignments)
            .filter_map(|network_container| network_container.ip.0);
        let named = singles.filter(|net| net.prefix_len() == net.max_prefix_len()).count() as u64;
        if let Some(counted) = status.assigned_ip_count
            && named > 0
            && differ(named, counted)
        {
            found.push(Disagreement {
                node: key.name.to_string(),
                what: format!("its NodeNetworkConfig counts {counted} IPs and lists {named}"),
            });
        }
    }
    found.sort_by(|a, b| (&a.node, &a.what).cmp(&(&b.node, &b.what)));
    found
}

/// One more or less is a pod that came or went between two collections.
fn differ(a: u64, b: u64) -> bool {
    a.abs_diff(b) > 1
}

/// Whether the pods and the books can't be of one time and one node: hardly any live pod is in them.
pub(super) fn mismatched(books: &NodeIpam) -> bool {
    !books.counted
        && books.lease.is_none()
        && books.ipam != Ipam::Whereabouts
        && books.pods >= 3
        && books.matched * 2 < books.pods.saturating_sub(books.newer_pods)
}
