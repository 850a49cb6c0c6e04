//! Which engine enforces the policies of the cluster, and from what that is told.

use std::fmt;

use crate::facts::{AzureKind, Facts};

/// An engine, as far as it changes what a policy does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineKind {
    /// Not told: policies are read to the letter of networking.k8s.io/v1.
    #[default]
    Unknown,
    /// None runs: policies do nothing.
    None,
    /// Azure Network Policy Manager.
    AzureNpm,
    /// Calico.
    Calico,
    /// Cilium.
    Cilium,
    /// Another one.
    Other(&'static str),
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "not known",
            Self::None => "none",
            Self::AzureNpm => "Azure Network Policy Manager",
            Self::Calico => "Calico",
            Self::Cilium => "Cilium",
            Self::Other(name) => name,
        })
    }
}

/// An engine and from what it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Engine {
    /// Which.
    pub kind: EngineKind,
    /// The file or the object that tells; empty when nothing does.
    pub from: String,
}

/// Daemons that enforce policies, by the beginning of their names.
const DAEMONS: &[(&str, EngineKind)] = &[
    ("azure-npm", EngineKind::AzureNpm),
    ("calico-node", EngineKind::Calico),
    ("calico-typha", EngineKind::Calico),
    ("canal", EngineKind::Calico),
    ("cilium-", EngineKind::Cilium),
    ("antrea-agent", EngineKind::Other("Antrea")),
    ("ovnkube-", EngineKind::Other("OVN-Kubernetes")),
    ("kube-router", EngineKind::Other("kube-router")),
    ("weave-net", EngineKind::Other("Weave Net")),
    ("aws-network-policy", EngineKind::Other("the AWS network policy agent")),
    ("aws-node", EngineKind::Other("the AWS network policy agent")),
    ("kindnet", EngineKind::Other("kindnet")),
    ("kube-network-policies", EngineKind::Other("kube-network-policies")),
    ("sdn-", EngineKind::Other("OpenShift SDN")),
];

fn daemon(facts: &Facts) -> Option<Engine> {
    let sets = facts.objects.daemon_sets.iter().map(|(key, _)| (key, "DaemonSet"));
    let pods = facts.objects.pods.iter().map(|(key, _)| (key, "Pod"));
    let all: Vec<_> = sets.chain(pods).collect();
    DAEMONS.iter().find_map(|(start, kind)| {
        let (key, what) = all.iter().find(|(key, _)| key.name.starts_with(start))?;
        Some(Engine { kind: *kind, from: format!("{what} {}", key.label()) })
    })
}

/// The engine of a cluster: as Azure says, or the daemon that runs.
pub(super) fn of(facts: &Facts) -> Engine {
    let Some((place, cluster)) = facts.azure.of(AzureKind::Cluster).next() else {
        return daemon(facts).unwrap_or_else(|| none_on_aks(facts).unwrap_or_default());
    };
    let profile = cluster.value.get("networkprofile");
    let word = |key: &str| profile.and_then(|profile| profile.get(key)).and_then(serde_json::Value::as_str);
    let kind = match (word("networkpolicy"), word("networkdataplane")) {
        (Some("cilium"), _) | (_, Some("cilium")) => EngineKind::Cilium,
        (Some("azure"), _) => EngineKind::AzureNpm,
        (Some("calico"), _) => EngineKind::Calico,
        // Whoever installs an engine by hand is not known to Azure.
        _ => match daemon(facts) {
            Some(engine) => return engine,
            None if profile.is_some() => EngineKind::None,
            None => return Engine::default(),
        },
    };
    Engine { kind, from: place.source.to_string() }
}

/// On AKS every engine is a daemon of kube-system: where all other daemons of it are seen, none runs.
fn none_on_aks(facts: &Facts) -> Option<Engine> {
    let system = || facts.objects.pods.of_namespace("kube-system");
    let has = |start: &str| system().any(|(key, _)| key.name.starts_with(start));
    let aks = facts.objects.nodes.iter().any(|(key, _)| key.name.starts_with("aks-"));
    let seen = aks && has("kube-proxy") && has("coredns") && has("konnectivity-agent");
    seen.then(|| Engine {
        kind: EngineKind::None,
        from: "the pods of kube-system, none of which is of an engine".to_owned(),
    })
}
