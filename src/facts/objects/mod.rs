//! Kubernetes objects: what is kept of each kind, and each object once.

mod fill_missing_from;
mod shapes;
mod statements;
mod store;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use crate::bytes::json;
use crate::facts::text::lossy;
pub use shapes::*;

pub use store::{Contradiction, Form, Key, Object, Origin, Seen, Store};
pub use values::*;

macro_rules! stores {
    ($($(#[$doc:meta])* $field:ident : $type:ident = $($kind:literal),+;)*) => {
        /// The objects of a bundle, by kind.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Objects { $($(#[$doc])* pub $field: Store<$type>,)* }

        impl Objects {
            /// Adds all of another.
            pub fn merge(&mut self, other: Self) { $(self.$field.merge(other.$field);)* }

            /// Whether this kind is one that is kept.
            pub fn keeps(kind: &str) -> bool { matches!(kind, $($($kind)|+)|*) }

            /// Completes what was read in parts, once all is read.
            pub fn settle(&mut self) {
                self.services.settle_in_default_namespace();
                self.pods.settle_in_default_namespace();
                self.endpoints.settle_in_default_namespace();
                self.endpoint_slices.settle_in_default_namespace();
                self.deployments.settle_in_default_namespace();
                self.replica_sets.settle_in_default_namespace();
                self.daemon_sets.settle_in_default_namespace();
                self.stateful_sets.settle_in_default_namespace();
                self.jobs.settle_in_default_namespace();
                self.network_policies.settle_in_default_namespace();
                self.disruption_budgets.settle_in_default_namespace();
                $(self.$field.settle();)*
                self.infer_host_network();
            }

            /// Objects whose copies differ: kind, key and the differences.
            pub fn contradictions(&self) -> Vec<(&'static str, &Key, Vec<Contradiction>)> {
                let mut found = Vec::new();
                $(for (key, seen) in self.$field.iter() {
                    let differences = seen.contradictions();
                    if !differences.is_empty() {
                        let names: &[&'static str] = &[$($kind),+];
                        found.push((names.first().copied().unwrap_or_default(), key, differences));
                    }
                })*
                found
            }

            /// The kind and the key of each object.
            pub fn keys(&self) -> Vec<(&'static str, &Key)> {
                let mut found = Vec::new();
                $(
                    let names: &[&'static str] = &[$($kind),+];
                    let kind = names.first().copied().unwrap_or_default();
                    found.extend(self.$field.iter().map(|(key, _)| (kind, key)));
                )*
                found
            }

            /// What each object says, by kind and key: to compare two readings of one cluster.
            pub fn statements(&self) -> Vec<(&'static str, String, Form, Vec<(&'static str, String)>)> {
                let mut found = Vec::new();
                $(for (key, seen) in self.$field.iter() {
                    let names: &[&'static str] = &[$($kind),+];
                    let kind = names.first().copied().unwrap_or_default();
                    found.push((kind, key.label(), seen.form, seen.object.statements()));
                })*
                found
            }

            /// Kinds of which there were more objects than are kept.
            pub fn overflowed(&self) -> Vec<&'static str> {
                let mut found = Vec::new();
                $(if self.$field.overflowed() { found.push(stringify!($field)); })*
                found
            }

            /// Kinds and how many objects of each.
            pub fn counts(&self) -> Vec<(&'static str, usize)> {
                vec![$((stringify!($field), self.$field.len())),*]
            }

            /// Parses an object of a kept kind from YAML and adds it. `false` when the kind is not kept.
            /// Plain scalars take the type of their field, so a label `1.0` stays text.
            pub fn parse_yaml(
                &mut self, kind: &str, yaml: &str, origin: &Origin<'_>,
            ) -> Result<bool, String> {
                match kind {
                    $($($kind)|+ => {
                        let object: $type = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
                        self.$field.add(object, origin);
                        Ok(true)
                    })*
                    _ => Ok(false),
                }
            }

            /// Parses an object of a kept kind from JSON and adds it. `false` when the kind is not kept;
            /// an error is a word: `Syntax`, `Eof`, `Data`.
            pub fn parse(
                &mut self, kind: &str, json: &[u8], origin: &Origin<'_>,
            ) -> Result<bool, &'static str> {
                // Text that is known to be valid is not checked string by string.
                let text = lossy(json);
                match kind {
                    $($($kind)|+ => {
                        let object: $type = json::read(&text).map_err(|error| error.class())?;
                        self.$field.add(object, origin);
                        Ok(true)
                    })*
                    _ => Ok(false),
                }
            }
        }
    };
}

stores! {
    /// Pods.
    pods: Pod = "Pod";
    /// Nodes.
    nodes: Node = "Node";
    /// Namespaces.
    namespaces: Namespace = "Namespace";
    /// Services.
    services: Service = "Service";
    /// Endpoints.
    endpoints: Endpoints = "Endpoints";
    /// Endpoint slices.
    endpoint_slices: EndpointSlice = "EndpointSlice";
    /// Deployments.
    deployments: Workload = "Deployment";
    /// Replica sets.
    replica_sets: Workload = "ReplicaSet";
    /// Daemon sets.
    daemon_sets: Workload = "DaemonSet";
    /// Stateful sets.
    stateful_sets: Workload = "StatefulSet";
    /// Jobs.
    jobs: Workload = "Job";
    /// Roles.
    roles: Role = "Role";
    /// Cluster roles.
    cluster_roles: Role = "ClusterRole";
    /// Role bindings.
    role_bindings: Binding = "RoleBinding";
    /// Cluster role bindings.
    cluster_role_bindings: Binding = "ClusterRoleBinding";
    /// Claims of volumes.
    claims: PersistentVolumeClaim = "PersistentVolumeClaim";
    /// Volumes.
    volumes: PersistentVolume = "PersistentVolume";
    /// Quotas of namespaces.
    quotas: ResourceQuota = "ResourceQuota";
    /// Service accounts.
    service_accounts: ServiceAccount = "ServiceAccount";
    /// Config maps.
    config_maps: ConfigMap = "ConfigMap";
    /// Disruption budgets.
    disruption_budgets: PodDisruptionBudget = "PodDisruptionBudget";
    /// Admission webhooks.
    webhooks: WebhookConfiguration = "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration";
    /// Aggregated APIs.
    api_services: ApiService = "APIService";
    /// Flow schemas of the API server's priority and fairness.
    flow_schemas: FlowSchema = "FlowSchema";
    /// Network policies.
    network_policies: NetworkPolicy = "NetworkPolicy";
    /// Calico's policies of a namespace.
    calico_policies: ForeignPolicy = "NetworkPolicy.projectcalico.org";
    /// Calico's policies of the cluster.
    calico_global_policies: ForeignPolicy = "GlobalNetworkPolicy";
    /// Cilium's policies of a namespace.
    cilium_policies: ForeignPolicy = "CiliumNetworkPolicy";
    /// Cilium's policies of the cluster.
    cilium_clusterwide_policies: ForeignPolicy = "CiliumClusterwideNetworkPolicy";
    /// Policies of the cluster's administrator, which come before or after all others.
    admin_policies: ForeignPolicy = "AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy";
    /// Ingresses.
    ingresses: Ingress = "Ingress";
    /// Node network configs.
    node_network_configs: NodeNetworkConfig = "NodeNetworkConfig";
    /// Calico's blocks of addresses.
    ipam_blocks: IpamBlock = "IPAMBlock";
    /// Calico's affinities of blocks to nodes.
    block_affinities: BlockAffinity = "BlockAffinity";
    /// Pools of Calico and of whereabouts.
    ip_pools: IpPool = "IPPool";
    /// Cilium's nodes.
    cilium_nodes: CiliumNode = "CiliumNode";
}

/// Kinds of Kubernetes itself whose names other groups use, too: Knative's `Service`, Calico's `NetworkPolicy`,
/// the `Role` of `OpenShift`.
const SHARED_NAMES: &[&str] = &[
    "Service",
    "NetworkPolicy",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "Ingress",
    "Endpoints",
    "Event",
    "Pod",
    "Node",
    "Namespace",
    "Deployment",
    "Job",
];

/// The name under which an object is kept: its kind, with the group where that is not Kubernetes's own.
pub fn kind_of_group(kind: &str, version: Option<&str>) -> String {
    let group = version.and_then(|version| version.split_once('/')).map_or("", |(group, _)| group);
    let ours = group.is_empty()
        || group.ends_with(".k8s.io")
        || matches!(group, "apps" | "batch" | "extensions" | "policy" | "autoscaling");
    if ours || !SHARED_NAMES.contains(&kind) {
        return kind.to_owned();
    }
    // Calico's own storage and its API server show the same objects.
    format!("{kind}.{}", group.strip_prefix("crd.").unwrap_or(group))
}

impl Objects {
    /// A row of a table does not say whether a pod uses the address of its node; a pod that has that
    /// very address does, and so do two pods of one node with the same address.
    fn infer_host_network(&mut self) {
        if self.pods.iter().all(|(_, seen)| seen.form >= Form::Describe) {
            return;
        }
        let mut nodes: BTreeSet<String> = BTreeSet::new();
        for (_, seen) in self.nodes.iter() {
            nodes.extend(seen.object.status.addresses.iter().map(|address| address.address.to_string()));
        }
        let mut shared: BTreeMap<(String, String), u32> = BTreeMap::new();
        for (_, seen) in self.pods.iter() {
            if !seen.object.status.pod_ip.is_empty() && !seen.object.ended() {
                let place = (seen.object.spec.node_name.to_string(), seen.object.status.pod_ip.to_string());
                *shared.entry(place).or_default() += 1;
            }
        }
        for seen in self.pods.values_mut() {
            let ip: &str = &seen.object.status.pod_ip;
            let place = (seen.object.spec.node_name.to_string(), ip.to_owned());
            if seen.form < Form::Describe
                && (nodes.contains(ip) || shared.get(&place).is_some_and(|pods| *pods > 1))
            {
                seen.object.spec.host_network = true;
            }
        }
    }
}
