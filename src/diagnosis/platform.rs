//! What kind of cluster it is: who runs it, how its pods get addresses, who enforces its policies.
//! Each is an inference, and says from what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::has_nodes_of_aks;
use crate::cluster::policy::{Engine, EngineKind};
use crate::facts::{AzureKind, Facts};

/// An inference and its ground.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inferred {
    /// What.
    pub what: String,
    /// From what.
    pub from: String,
}

fn inferred(what: &str, from: impl Into<String>) -> Inferred {
    Inferred { what: what.to_owned(), from: from.into() }
}

/// Whether a namespace is one of those that a cluster's own components run in; an empty one is not known.
pub(super) fn is_of_system(namespace: &str) -> bool {
    namespace.is_empty()
        || ["kube-", "openshift-", "calico-", "tigera-", "cilium", "cattle-", "weave", "antrea", "ovn-"]
            .iter()
            .any(|start| namespace.starts_with(start))
}

/// A pod or daemon set whose name begins so, of the system's namespaces.
fn workload(facts: &Facts, names: &[&str]) -> Option<String> {
    let known = |name: &str| names.iter().any(|start| name.starts_with(start));
    let sets = facts.objects.daemon_sets.iter().map(|(key, _)| (key, "DaemonSet"));
    let pods = facts.objects.pods.iter().map(|(key, _)| (key, "Pod"));
    sets.chain(pods)
        .find(|(key, _)| is_of_system(&key.namespace) && known(&key.name))
        .map(|(key, kind)| format!("{kind} {}", key.label()))
}

/// Who runs the control plane.
pub(super) fn provider(facts: &Facts) -> Option<Inferred> {
    if let Some((place, _)) = facts.azure.of(AzureKind::Cluster).next() {
        return Some(inferred("AKS", format!("{}", place.source)));
    }
    let nodes = &facts.objects.nodes;
    let label = |key: &str| nodes.iter().any(|(_, seen)| seen.object.metadata.labels.get(key).is_some());
    let id = |start: &str| nodes.iter().any(|(_, seen)| seen.object.spec.provider_id.starts_with(start));
    if has_nodes_of_aks(facts) {
        Some(inferred("AKS", "names, labels and provider ids of nodes"))
    } else if label("node.openshift.io/os_id") || facts.collected.get("ClusterVersion").is_some() {
        Some(inferred(
            if id("azure://") { "OpenShift on Azure" } else { "OpenShift" },
            "labels of nodes, ClusterVersion",
        ))
    } else if id("aws://") {
        Some(inferred("EKS or another cluster on AWS", "provider ids of nodes"))
    } else if id("gce://") {
        Some(inferred("GKE or another cluster on Google Cloud", "provider ids of nodes"))
    } else if id("kind://") {
        Some(inferred("kind", "provider ids of nodes"))
    } else if id("k3s://")
        || nodes.iter().any(|(_, seen)| seen.object.status.node_info.kubelet_version.contains("k3s"))
    {
        Some(inferred("k3s", "nodes"))
    } else if nodes.iter().any(|(_, seen)| seen.object.status.node_info.kubelet_version.contains("rke2")) {
        Some(inferred("RKE2", "nodes"))
    } else if id("azure://") {
        Some(inferred("a cluster on Azure", "provider ids of nodes"))
    } else {
        None
    }
}

/// How pods get addresses.
pub(super) fn network(facts: &Facts) -> Option<Inferred> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Profile {
        networkplugin: Option<String>,
        networkpluginmode: Option<String>,
        networkdataplane: Option<String>,
    }
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct PoolVersion {
        podsubnetid: Option<String>,
    }
    if let Some((place, cluster)) = facts.azure.of(AzureKind::Cluster).next() {
        let profile: Profile = cluster.part("networkprofile");
        let pools: Vec<PoolVersion> = cluster.part("agentpoolprofiles");
        let pod_subnet = pools.iter().any(|pool| pool.podsubnetid.is_some());
        let mut what = match (profile.networkplugin.as_deref(), profile.networkpluginmode.as_deref()) {
            (Some("azure"), Some("overlay")) => "Azure CNI overlay".to_owned(),
            (Some("azure"), _) if pod_subnet => "Azure CNI with a pod subnet".to_owned(),
            (Some("azure"), _) => "Azure CNI, addresses of the node subnet".to_owned(),
            (Some("none"), _) => "own CNI (network plugin none)".to_owned(),
            (Some(other), _) => other.to_owned(),
            (None, _) => return None,
        };
        if profile.networkdataplane.as_deref() == Some("cilium") {
            what.push_str(", powered by Cilium");
        }
        return Some(inferred(&what, place.source.to_string()));
    }
    let nnc = facts.objects.node_network_configs.iter().next();
    if let Some((key, seen)) = nnc {
        let overlay = seen
            .object
            .status
            .network_containers
            .iter()
            .any(|network_container| &*network_container.r#type == "overlay");
        let what = if overlay { "Azure CNI overlay" } else { "Azure CNI with a pod subnet" };
        return Some(inferred(what, format!("NodeNetworkConfig {}", key.label())));
    }
    let known: [(&str, &[&str]); 9] = [
        ("Azure CNI (CNS)", &["azure-cns"]),
        ("Cilium", &["cilium-"]),
        ("OVN-Kubernetes", &["ovnkube-"]),
        ("OpenShift SDN", &["sdn-"]),
        ("Flannel", &["kube-flannel", "kube-flannel-ds"]),
        ("kindnet", &["kindnet"]),
        ("Weave Net", &["weave-net"]),
        ("AWS VPC CNI", &["aws-node"]),
        ("Antrea", &["antrea-agent"]),
    ];
    for (what, names) in known {
        if let Some(from) = workload(facts, names) {
            return Some(inferred(what, from));
        }
    }
    if let Some((key, _)) = facts.leases.stores.iter().find(|(key, _)| !key.network.is_empty()) {
        let what = if &*key.network == "kubenet" { "kubenet" } else { "host-local IPAM" };
        return Some(inferred(what, key.place.to_string()));
    }
    workload(facts, &["calico-node"]).map(|from| inferred("Calico", from))
}

/// Who enforces network policies.
pub(super) fn policy_engine(engine: &Engine) -> Option<Inferred> {
    (engine.kind != EngineKind::Unknown).then(|| inferred(&engine.kind.to_string(), engine.from.clone()))
}
