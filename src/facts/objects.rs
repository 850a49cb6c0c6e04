//! Kubernetes objects: only the fields that the engines and detectors use.
//!
//! Every field may be missing or `null` in a bundle, so all have defaults. The shapes are those of the
//! Kubernetes API reference (v1, discovery.k8s.io/v1, rbac.authorization.k8s.io/v1,
//! networking.k8s.io/v1) and of `nodenetworkconfigs.acn.azure.com/v1alpha`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use super::text::Text;
use crate::evidence::{EXAMPLES, Evidence};

/// `null` is the same as missing.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

macro_rules! shape {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $type:ty $(= $key:literal)?),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        // Fields without a word of their own mean what the API reference says.
        #[allow(missing_docs)]
        pub struct $name {
            $($(#[$fdoc])* #[serde(deserialize_with = "nullable" $(, rename = $key)?)] pub $field: $type,)*
        }
    };
}

/// A list without room to grow: half of a pod's memory would be such room.
pub type List<T> = Box<[T]>;

/// Labels and selectors, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Box<[(Text, Text)]>);

impl Labels {
    /// In the order of keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Text)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Text> {
        let at = self.0.binary_search_by(|(own, _)| (**own).cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Text, Text)> for Labels {
    fn from_iter<I: IntoIterator<Item = (Text, Text)>>(pairs: I) -> Self {
        // A map of 11 slots each would be most of a pod's memory.
        Self(pairs.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        BTreeMap::<Text, Text>::deserialize(from).map(|map| map.into_iter().collect())
    }
}

shape! {
    /// `metadata`.
    Meta {
        /// Name, unique in the namespace.
        name: Text,
        /// Empty for cluster-scoped objects.
        namespace: Text,
        /// Grows with each change.
        resource_version: Text,
        /// RFC 3339.
        creation_timestamp: Text,
        /// Set while the object is being deleted.
        deletion_timestamp: Text,
        /// Labels.
        labels: Labels,
        /// Who made it.
        owner_references: List<Owner>,
    }
}
shape! {
    /// An owner of an object.
    Owner {
        /// `ReplicaSet`, `Job`, …
        kind: Text,
        /// In the same namespace.
        name: Text,
    }
}
shape! {
    /// `Pod`.
    Pod { metadata: Meta, spec: PodSpec, status: PodStatus }
}
shape! {
    /// `Pod.spec`, and `template.spec` of workloads.
    PodSpec {
        /// Empty until scheduled.
        node_name: Text,
        /// Uses the node's own address: it takes none from the pod pool.
        host_network: bool,
        /// The identity of its requests; empty means `default`.
        service_account_name: Text,
        /// Containers.
        containers: List<Container>,
        /// Run before the others.
        init_containers: List<Container>,
    }
}
shape! {
    /// A container of a pod.
    Container {
        /// In the pod.
        name: Text,
        /// What it says that it listens on: documentation, not a promise.
        ports: List<ContainerPort>,
        /// `Always` makes an init container a sidecar.
        restart_policy: Text,
    }
}
shape! {
    /// A declared port.
    ContainerPort {
        /// May be named in a service's `targetPort`.
        name: Text,
        /// 1–65535.
        container_port: u32,
        /// `TCP` when empty.
        protocol: Text,
    }
}
shape! {
    /// `Pod.status`.
    PodStatus {
        /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
        phase: Text,
        /// Such as `Evicted`.
        reason: Text,
        /// More words on the reason.
        message: Text,
        /// First address.
        pod_ip: Text = "podIP",
        /// All addresses: two with dual stack.
        pod_ips: List<PodIp> = "podIPs",
        /// `Ready`, `PodScheduled`, …
        conditions: List<Condition>,
        /// One per container.
        container_statuses: List<ContainerStatus>,
        /// When the kubelet took it.
        start_time: Text,
    }
}
shape! {
    /// An address of a pod.
    PodIp { ip: Text }
}
shape! {
    /// A condition of any object.
    Condition {
        /// Name of the condition.
        r#type: Text,
        /// `True`, `False`, `Unknown`.
        status: Text,
        /// One word.
        reason: Text,
        /// A sentence.
        message: Text,
        /// RFC 3339.
        last_transition_time: Text,
    }
}
shape! {
    /// State of a container.
    ContainerStatus {
        /// In the pod.
        name: Text,
        /// Passes its readiness probe.
        ready: bool,
        /// Times it was started again.
        restart_count: u32,
        /// Now.
        state: ContainerState,
        /// Before the last restart.
        last_state: ContainerState,
    }
}
shape! {
    /// One of waiting, running, terminated.
    ContainerState { waiting: Option<Box<Waiting>>, terminated: Option<Box<Terminated>> }
}
shape! {
    /// Why a container does not run yet.
    Waiting { reason: Text, message: Text }
}
shape! {
    /// How a container ended.
    Terminated { reason: Text, exit_code: i64, message: Text, finished_at: Text }
}
shape! {
    /// `Node`.
    Node { metadata: Meta, spec: NodeSpec, status: NodeStatus }
}
shape! {
    /// `Node.spec`.
    NodeSpec {
        /// The node's range of pod addresses (kubenet, overlay).
        pod_cidr: Text = "podCIDR",
        /// Both families.
        pod_cidrs: List<Text> = "podCIDRs",
        /// Cordoned.
        unschedulable: bool,
        /// `azure:///subscriptions/…`.
        provider_id: Text = "providerID",
    }
}
shape! {
    /// `Node.status`.
    NodeStatus { conditions: List<Condition>, addresses: List<NodeAddress>, allocatable: Allocatable, node_info: NodeInfo }
}
shape! {
    /// An address of a node.
    NodeAddress { r#type: Text, address: Text }
}
shape! {
    /// `Node.status.allocatable`.
    Allocatable {
        /// Most pods that the kubelet takes, as a string.
        pods: Text,
    }
}
shape! {
    /// `Node.status.nodeInfo`.
    NodeInfo { kubelet_version: Text, container_runtime_version: Text, os_image: Text }
}
shape! {
    /// `Namespace`.
    Namespace { metadata: Meta, status: NamespaceStatus }
}
shape! {
    /// `Namespace.status`.
    NamespaceStatus {
        /// `Active` or `Terminating`.
        phase: Text,
    }
}
shape! {
    /// `Service`.
    Service { metadata: Meta, spec: ServiceSpec }
}
shape! {
    /// `Service.spec`.
    ServiceSpec {
        /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
        r#type: Text,
        /// `None` for headless services.
        cluster_ip: Text = "clusterIP",
        /// All pairs must match.
        selector: Labels,
        /// Ports.
        ports: List<ServicePort>,
        /// For `ExternalName`.
        external_name: Text,
    }
}
shape! {
    /// A port of a service.
    ServicePort { name: Text, port: u32, target_port: Option<IntOrString>, protocol: Text }
}

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i64),
    /// A name.
    Name(Text),
}

shape! {
    /// `Endpoints`.
    Endpoints { metadata: Meta, subsets: List<Subset> }
}
shape! {
    /// Addresses that share ports.
    Subset { addresses: List<EndpointAddress>, not_ready_addresses: List<EndpointAddress> }
}
shape! {
    /// One address behind a service.
    EndpointAddress { ip: Text }
}
shape! {
    /// `EndpointSlice`.
    EndpointSlice { metadata: Meta, endpoints: List<SliceEndpoint> }
}
shape! {
    /// One endpoint of a slice.
    SliceEndpoint { addresses: List<Text>, conditions: SliceConditions }
}
shape! {
    /// `conditions` of a slice endpoint; missing means ready.
    SliceConditions { ready: Option<bool> }
}
shape! {
    /// `Deployment`, `ReplicaSet`, `DaemonSet`, `StatefulSet`, `Job`.
    Workload { metadata: Meta, spec: WorkloadSpec }
}
shape! {
    /// What they have in common.
    WorkloadSpec { replicas: Option<u32>, template: PodTemplate }
}
shape! {
    /// The pods that they make.
    PodTemplate { metadata: Meta, spec: PodSpec }
}
shape! {
    /// `Role` and `ClusterRole`.
    Role { metadata: Meta, rules: List<PolicyRule>, aggregation_rule: Option<Aggregation> }
}
shape! {
    /// `aggregationRule`: a controller fills `rules` from other roles.
    Aggregation {}
}
shape! {
    /// One rule of a role.
    PolicyRule {
        /// Verbs or `*`.
        verbs: List<Text>,
        /// Groups, `""` for core, or `*`.
        api_groups: List<Text>,
        /// `pods`, `pods/log`, `*/scale`, `*`.
        resources: List<Text>,
        /// Empty for any name.
        resource_names: List<Text>,
        /// Paths, with a trailing `*`.
        non_resource_urls: List<Text> = "nonResourceURLs",
    }
}
shape! {
    /// `RoleBinding` and `ClusterRoleBinding`.
    Binding { metadata: Meta, subjects: List<Subject>, role_ref: RoleRef }
}
shape! {
    /// Who is bound.
    Subject { kind: Text, name: Text, namespace: Text }
}
shape! {
    /// To which role.
    RoleRef { kind: Text, name: Text }
}
shape! {
    /// `ServiceAccount`.
    ServiceAccount { metadata: Meta }
}
shape! {
    /// `ConfigMap`: its keys only.
    ConfigMap { metadata: Meta }
}
shape! {
    /// `NetworkPolicy`.
    NetworkPolicy { metadata: Meta }
}
shape! {
    /// `Ingress`.
    Ingress { metadata: Meta }
}
shape! {
    /// `NodeNetworkConfig`: what Azure CNS was given for a node. It has the name of its node.
    NodeNetworkConfig { metadata: Meta, spec: NncSpec, status: NncStatus }
}
shape! {
    /// What CNS asks for.
    NncSpec {
        /// Addresses wanted.
        requested_ip_count: Option<u64> = "requestedIPCount",
        /// Ids being given back.
        ips_not_in_use: List<Text> = "ipsNotInUse",
    }
}
shape! {
    /// What it was given.
    NncStatus {
        /// Addresses on the node.
        assigned_ip_count: Option<u64> = "assignedIPCount",
        /// `Updating`, `Updated`, `Error`.
        status: Text,
        /// How it grows.
        scaler: Scaler,
        /// Usually one.
        network_containers: List<NetworkContainer>,
    }
}
shape! {
    /// `status.scaler`.
    Scaler {
        /// Addresses come in this many (16).
        batch_size: Option<u64>,
        /// Of the node.
        max_ip_count: Option<u64> = "maxIPCount",
    }
}
shape! {
    /// A pool of addresses for a node.
    NetworkContainer {
        /// GUID.
        id: Text,
        /// `dynamic` or `static`.
        assignment_mode: Text,
        /// `vnet`, `vnetblock`, `overlay`.
        r#type: Text,
        /// Such as `NCUpdateSubnetFullError`.
        status: Text,
        /// Name of the pod subnet.
        subnet_name: Text,
        /// Its range.
        subnet_address_space: Text,
        /// For overlay: the node's whole range.
        primary_ip: Text = "primaryIP",
        /// The addresses.
        ip_assignments: List<IpAssignment>,
    }
}
shape! {
    /// One address of a pool, held by a pod or free.
    IpAssignment { name: Text, ip: Text }
}

/// An object that has metadata.
pub trait Object {
    /// Its metadata.
    fn meta(&self) -> &Meta;
    /// Where objects written into a namespaced file without a namespace belong.
    fn meta_mut(&mut self) -> &mut Meta;
}

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Empty for cluster-scoped objects.
    pub namespace: Text,
    /// Name.
    pub name: Text,
}

impl Key {
    /// Made of two strings.
    pub fn new(namespace: impl Into<Text>, name: impl Into<Text>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// `namespace/name`, or the name alone.
    pub fn shown(&self) -> String {
        if self.namespace.is_empty() {
            self.name.to_string()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }
}

/// An object with where it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// The newest and richest form.
    pub object: T,
    /// Its version, then its weight.
    rank: (u64, usize),
    /// Entries and lines where it was seen, in all forms; the first is where `object` was.
    places: Vec<(Arc<str>, u64)>,
}

impl<T> Seen<T> {
    /// The places as evidence: the object itself, wherever it was.
    pub fn evidence(&self, kind: &str, key: &Key) -> Vec<Evidence> {
        let place = |(source, line): &(Arc<str>, u64)| Evidence {
            source: Arc::clone(source),
            line: *line,
            pointer: Some(format!("{kind} {}", key.shown()).into()),
            excerpt: "".into(),
        };
        self.places.iter().map(place).collect()
    }
}

/// All objects of one kind, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store<T> {
    map: BTreeMap<Key, Seen<T>>,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self { map: BTreeMap::new() }
    }
}

impl<T: Object> Store<T> {
    /// Adds an object seen at a place. Of two of one version the weightier is kept: `weight` is the
    /// length of the text, or the time of an inventory row.
    pub fn add(&mut self, object: T, weight: usize, source: &Arc<str>, line: u64) {
        let meta = object.meta();
        let key = Key::new(meta.namespace.clone(), meta.name.clone());
        let version = meta.resource_version.parse().unwrap_or(0);
        let places = vec![(Arc::clone(source), line)];
        self.join(key, Seen { object, rank: (version, weight), places });
    }

    /// The newest version wins, then the weightiest, then the first place in the order of names.
    fn join(&mut self, key: Key, seen: Seen<T>) {
        match self.map.entry(key) {
            Entry::Vacant(slot) => {
                slot.insert(seen);
            }
            Entry::Occupied(mut slot) => {
                let kept = slot.get_mut();
                let better =
                    (seen.rank, Reverse(seen.places.first())) > (kept.rank, Reverse(kept.places.first()));
                let (best, other) = if better {
                    kept.object = seen.object;
                    kept.rank = seen.rank;
                    (seen.places, std::mem::take(&mut kept.places))
                } else {
                    (std::mem::take(&mut kept.places), seen.places)
                };
                let mut best = best.into_iter();
                kept.places.extend(best.next());
                let mut rest: Vec<_> =
                    best.chain(other).filter(|place| Some(place) != kept.places.first()).collect();
                rest.sort();
                rest.dedup();
                rest.truncate(EXAMPLES - 1);
                kept.places.append(&mut rest);
            }
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        if self.map.is_empty() {
            self.map = other.map;
            return;
        }
        for (key, seen) in other.map {
            self.join(key, seen);
        }
    }
}

impl<T> Store<T> {
    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Seen<T>> {
        self.map.get(&Key::new(namespace, name))
    }

    /// All, by namespace and name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Seen<T>)> {
        self.map.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

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

            /// Kinds and how many objects of each.
            pub fn counts(&self) -> Vec<(&'static str, usize)> {
                vec![$((stringify!($field), self.$field.len())),*]
            }

            /// Parses an object of a kept kind from YAML and adds it. `false` when the kind is not kept.
            /// Plain scalars take the type of their field, so a label `1.0` stays text.
            pub fn parse_yaml(
                &mut self, kind: &str, yaml: &str, source: &Arc<str>, line: u64,
            ) -> Result<bool, String> {
                match kind {
                    $($($kind)|+ => {
                        let object: $type = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
                        self.$field.add(object, yaml.len(), source, line);
                        Ok(true)
                    })*
                    _ => Ok(false),
                }
            }

            /// Parses an object of a kept kind from JSON and adds it. `false` when the kind is not kept.
            pub fn parse(
                &mut self, kind: &str, json: &[u8], source: &Arc<str>, line: u64,
            ) -> Result<bool, serde_json::Error> {
                match kind {
                    $($($kind)|+ => {
                        let object: $type = serde_json::from_slice(json)?;
                        self.$field.add(object, json.len(), source, line);
                        Ok(true)
                    })*
                    _ => Ok(false),
                }
            }
        }
    };
}

macro_rules! objects {
    ($($type:ident),*) => {
        $(impl Object for $type {
            fn meta(&self) -> &Meta { &self.metadata }
            fn meta_mut(&mut self) -> &mut Meta { &mut self.metadata }
        })*
    };
}
objects!(
    Pod,
    Node,
    Namespace,
    Service,
    Endpoints,
    EndpointSlice,
    Workload,
    Role,
    Binding,
    ServiceAccount,
    ConfigMap,
    NetworkPolicy,
    Ingress,
    NodeNetworkConfig
);

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
    /// Service accounts.
    service_accounts: ServiceAccount = "ServiceAccount";
    /// Config maps.
    config_maps: ConfigMap = "ConfigMap";
    /// Network policies.
    network_policies: NetworkPolicy = "NetworkPolicy";
    /// Ingresses.
    ingresses: Ingress = "Ingress";
    /// Node network configs.
    node_network_configs: NodeNetworkConfig = "NodeNetworkConfig";
}

impl Pod {
    /// All addresses of the pod, parsed.
    pub fn addresses(&self) -> impl Iterator<Item = std::net::IpAddr> {
        let first = std::iter::once(&self.status.pod_ip);
        let all = self.status.pod_ips.iter().map(|entry| &entry.ip);
        let mut found: Vec<std::net::IpAddr> = first.chain(all).filter_map(|ip| ip.parse().ok()).collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter()
    }

    /// Ended for good: it holds no address any more.
    pub fn ended(&self) -> bool {
        matches!(&*self.status.phase, "Succeeded" | "Failed")
    }
}
