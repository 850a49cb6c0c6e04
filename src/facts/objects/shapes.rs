//! Kubernetes objects: only the fields that the engines and detectors use.
//!
//! Every field may be missing or `null` in a bundle, so all have defaults. The shapes are those of the
//! Kubernetes API reference (v1, discovery.k8s.io/v1, rbac.authorization.k8s.io/v1,
//! networking.k8s.io/v1) and of `nodenetworkconfigs.acn.azure.com/v1alpha`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::fill_missing_from::FillMissing;
use super::values::{
    Address, CloudAnnotations, DnsTexts, IntOrString, Labels, List, Quantities, Stamp, Version,
};
use crate::facts::text::Text;
use crate::facts::time::When;

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

        impl FillMissing for $name {
            fn fill_missing_from(&mut self, _from: &Self) { $(self.$field.fill_missing_from(&_from.$field);)* }
        }
    };
}

shape! {
    /// `metadata`.
    Meta {
        /// Name, unique in the namespace.
        name: Text,
        /// Empty for cluster-scoped objects.
        namespace: Text,
        /// Grows with each change.
        resource_version: Version,
        /// RFC 3339.
        creation_timestamp: Stamp,
        /// How old a table says that it is: `59m`; empty elsewhere.
        age: Text,
        /// Set while the object is being deleted.
        deletion_timestamp: Text,
        /// Labels.
        labels: Labels,
        /// Those that set a cloud's load balancer.
        annotations: CloudAnnotations,
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
        /// Labels that its node must have.
        node_selector: Labels,
        /// What else it wants of its node.
        affinity: Option<Box<Affinity>>,
        /// Volumes, as far as another object or a path of the node stands behind them.
        volumes: List<Volume>,
    }
}
shape! {
    /// `Pod.spec.affinity`: only what is required.
    Affinity { node_affinity: Option<NodeAffinity>, pod_affinity: Option<PodAffinity>, pod_anti_affinity: Option<PodAffinity> }
}
shape! {
    /// Which nodes a pod may run on.
    NodeAffinity { required: Option<NodeSelector> = "requiredDuringSchedulingIgnoredDuringExecution" }
}
shape! {
    /// Any one of the terms is enough.
    NodeSelector { node_selector_terms: List<NodeSelectorTerm> }
}
shape! {
    /// All of the expressions must match a node's labels.
    NodeSelectorTerm { match_expressions: List<Requirement> }
}
shape! {
    /// Pods that must, or must not, run beside it.
    PodAffinity { required: List<PodAffinityTerm> = "requiredDuringSchedulingIgnoredDuringExecution" }
}
shape! {
    /// Pods, and the label of nodes by which "beside" is meant.
    PodAffinityTerm { topology_key: Text, label_selector: Option<LabelSelector> }
}
shape! {
    /// A volume of a pod.
    Volume { name: Text, persistent_volume_claim: Option<ClaimOf>, host_path: Option<HostPath> }
}
shape! {
    /// The claim behind a volume.
    ClaimOf { claim_name: Text }
}
shape! {
    /// A path of the node.
    HostPath { path: Text }
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
        /// How the kubelet asks whether it takes requests.
        readiness_probe: Option<Box<ContainerProbe>>,
        /// How the kubelet asks whether it lives.
        liveness_probe: Option<Box<ContainerProbe>>,
        /// How the kubelet asks whether it has started; until then, the others wait.
        startup_probe: Option<Box<ContainerProbe>>,
        /// What it asks for, and what it may take at most.
        resources: Option<Box<Resources>>,
    }
}
shape! {
    /// `resources` of a container.
    Resources { requests: Quantities, limits: Quantities }
}
shape! {
    /// A probe of a container: only those that ask a port are kept in full.
    ContainerProbe { http_get: Option<ProbePort>, tcp_socket: Option<ProbePort>, grpc: Option<ProbePort> }
}
shape! {
    /// The port that a probe asks.
    ProbePort { port: Option<IntOrString>, path: Text, scheme: Text }
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
        /// Statuses of those that run before the others.
        init_container_statuses: List<ContainerStatus>,
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
        start_time: Stamp,
    }
}
shape! {
    /// An object of any kind, as far as conditions go.
    ConditionedObject { metadata: Meta, status: ConditionedStatus }
}
shape! {
    /// Where conditions stand: Gateway API has some for each listener and each parent of a route.
    ConditionedStatus {
        conditions: List<Condition>,
        listeners: List<ConditionedPart>,
        parents: List<ConditionedPart>,
        ancestors: List<ConditionedPart>,
    }
}
shape! {
    /// A part of an object with conditions of its own.
    ConditionedPart { conditions: List<Condition> }
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
        last_transition_time: Stamp,
    }
}
shape! {
    /// State of a container.
    ContainerStatus {
        /// In the pod.
        name: Text,
        /// What it runs.
        image: Text,
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
    Terminated { reason: Text, exit_code: i64, message: Text, finished_at: Stamp }
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
        /// Pods that do not tolerate them stay away.
        taints: List<Taint>,
    }
}
shape! {
    /// A taint of a node.
    Taint { key: Text, value: Text, effect: Text }
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
        /// Cores, as a quantity.
        cpu: Text,
        /// Bytes, as a quantity.
        memory: Text,
    }
}
shape! {
    /// `Node.status.nodeInfo`.
    NodeInfo { kubelet_version: Text, container_runtime_version: Text, os_image: Text, kernel_version: Text }
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
    Service { metadata: Meta, spec: ServiceSpec, status: ServiceStatus }
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
        /// `Cluster` or `Local`: with `Local`, only nodes with a ready pod answer from outside.
        external_traffic_policy: Text,
        /// Addresses of pods that are not ready are given out, too.
        publish_not_ready_addresses: bool,
        /// `Cluster` or `Local`: with `Local`, pods reach only those of their own node by it.
        internal_traffic_policy: Text,
        /// Who may use the load balancer; empty for all.
        load_balancer_source_ranges: List<Text>,
    }
}
shape! {
    /// A port of a service.
    ServicePort {
        name: Text,
        port: u32,
        target_port: Option<IntOrString>,
        protocol: Text,
        node_port: u32,
        /// `http`, `https`: since 1.24 Azure's load balancer probes with it.
        app_protocol: Text,
    }
}
shape! {
    /// `Service.status`.
    ServiceStatus { load_balancer: LoadBalancer }
}
shape! {
    /// What the cloud gave.
    LoadBalancer { ingress: List<LoadBalancerIngress> }
}
shape! {
    /// An address that leads to the service from outside.
    LoadBalancerIngress { ip: Text, hostname: Text }
}

shape! {
    /// `Endpoints`.
    Endpoints {
        metadata: Meta,
        subsets: List<Subset>,
        /// Addresses that a table left out: `+ 4 more...`.
        left_out: u32,
    }
}
shape! {
    /// Addresses that share ports.
    Subset { addresses: List<EndpointAddress>, not_ready_addresses: List<EndpointAddress>, ports: List<EndpointPort> }
}
shape! {
    /// One address behind a service.
    EndpointAddress { ip: Text }
}
shape! {
    /// A port behind a service.
    EndpointPort { name: Text, port: u32, protocol: Text }
}
shape! {
    /// `EndpointSlice`.
    EndpointSlice {
        metadata: Meta,
        /// `IPv4`, `IPv6` or `FQDN`.
        address_type: Text,
        endpoints: List<SliceEndpoint>,
        ports: List<EndpointPort>,
        /// Addresses that a table left out.
        left_out: u32,
    }
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
    Workload { metadata: Meta, spec: WorkloadSpec, status: WorkloadStatus }
}
shape! {
    /// Their status, as far as all have it.
    WorkloadStatus {
        /// Pods that there are.
        replicas: Option<u32>,
        /// Of a `DaemonSet`: nodes that should have a pod of it.
        desired_number_scheduled: Option<u32>,
        /// `ReplicaFailure`, `Available`, `Progressing`, `Failed`, …
        conditions: List<Condition>,
    }
}
shape! {
    /// `PersistentVolumeClaim`.
    PersistentVolumeClaim { metadata: Meta, spec: ClaimSpec, status: ClaimStatus }
}
shape! {
    /// `PersistentVolumeClaim.spec`.
    ClaimSpec {
        /// Missing: the cluster's default; empty: none.
        storage_class_name: Option<Text>,
        /// The volume that it is bound to, or asks for.
        volume_name: Text,
        /// `ReadWriteOnce`, …
        access_modes: List<Text>,
        /// Which volumes will do.
        selector: Option<LabelSelector>,
        /// How large.
        resources: Option<Box<Resources>>,
    }
}
shape! {
    /// `PersistentVolumeClaim.status`: `Pending`, `Bound`, `Lost`.
    ClaimStatus { phase: Text }
}
shape! {
    /// `PersistentVolume`.
    PersistentVolume { metadata: Meta, spec: VolumeSpec, status: VolumeStatus }
}
shape! {
    /// `PersistentVolume.spec`.
    VolumeSpec {
        /// `storage`: how large.
        capacity: Quantities,
        /// `ReadWriteOnce`, …
        access_modes: List<Text>,
        /// Empty: of none.
        storage_class_name: Text,
        /// The claim that has it.
        claim_ref: Option<ServiceOf>,
    }
}
shape! {
    /// `PersistentVolume.status`: `Available`, `Bound`, `Released`, `Failed`.
    VolumeStatus { phase: Text }
}
shape! {
    /// `ResourceQuota`.
    ResourceQuota { metadata: Meta, status: QuotaStatus }
}
shape! {
    /// `ResourceQuota.status`, by resource: `services`, `requests.cpu`, …
    QuotaStatus { hard: Quantities, used: Quantities }
}
shape! {
    /// What they have in common.
    WorkloadSpec { replicas: Option<u32>, selector: LabelSelector, template: PodTemplate }
}
shape! {
    /// Which pods are theirs.
    LabelSelector { match_labels: Labels, match_expressions: List<Requirement> }
}
shape! {
    /// One of `matchExpressions`.
    Requirement {
        /// Of a label.
        key: Text,
        /// `In`, `NotIn`, `Exists`, `DoesNotExist`.
        operator: Text,
        /// For `In` and `NotIn`.
        values: List<Text>,
    }
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
    Aggregation { cluster_role_selectors: List<LabelSelector> }
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
    /// `ConfigMap`: its name, and what it configures of `CoreDNS`.
    ConfigMap { metadata: Meta, data: DnsTexts }
}
shape! {
    /// `NetworkPolicy` of networking.k8s.io.
    NetworkPolicy { metadata: Meta, spec: Option<NetworkPolicySpec> }
}
shape! {
    /// `NetworkPolicy.spec`.
    NetworkPolicySpec {
        /// The pods of its namespace that it isolates; an empty one takes all.
        pod_selector: LabelSelector,
        /// Who may come in.
        ingress: List<NetworkRule>,
        /// Where they may go.
        egress: List<NetworkRule>,
        /// `Ingress`, `Egress`; by default the first, and the second when there are egress rules.
        policy_types: List<Text>,
    }
}
shape! {
    /// A rule: `from` of ingress, `to` of egress.
    NetworkRule { from: List<NetworkPeer>, to: List<NetworkPeer>, ports: List<NetworkPort> }
}
shape! {
    /// Who is on the other side.
    NetworkPeer {
        /// With a namespace selector: pods of those namespaces; without: of the policy's own.
        pod_selector: Option<LabelSelector>,
        /// Whole namespaces, or where the pods are.
        namespace_selector: Option<LabelSelector>,
        /// A range of addresses; excludes the selectors.
        ip_block: Option<IpBlock>,
    }
}
shape! {
    /// A range and what is taken out of it.
    IpBlock { cidr: Text, except: List<Text> }
}
shape! {
    /// A port or a range of ports; without a number, all of the protocol.
    NetworkPort { protocol: Text, port: Option<IntOrString>, end_port: Option<u32> }
}
shape! {
    /// `PodDisruptionBudget` of policy/v1.
    PodDisruptionBudget { metadata: Meta, spec: BudgetSpec, status: BudgetStatus }
}
shape! {
    /// `PodDisruptionBudget.spec`.
    BudgetSpec {
        /// A number or a share.
        min_available: Option<IntOrString>,
        /// A number or a share.
        max_unavailable: Option<IntOrString>,
        /// Pods of its namespace.
        selector: LabelSelector,
    }
}
shape! {
    /// `PodDisruptionBudget.status`; a table shows the first only.
    BudgetStatus {
        /// Evictions that are allowed now; missing when nobody has counted.
        disruptions_allowed: Option<u32>,
        /// Healthy pods now.
        current_healthy: Option<u32>,
        /// Healthy pods that there must be.
        desired_healthy: Option<u32>,
        /// Pods that it counts.
        expected_pods: Option<u32>,
    }
}
shape! {
    /// `ValidatingWebhookConfiguration` and `MutatingWebhookConfiguration`.
    WebhookConfiguration { metadata: Meta, webhooks: List<Webhook> }
}
shape! {
    /// One webhook.
    Webhook {
        name: Text,
        client_config: WebhookClient,
        /// `Fail` (the default in v1) or `Ignore`.
        failure_policy: Text,
        /// In seconds, 10 when missing.
        timeout_seconds: Option<u32>,
    }
}
shape! {
    /// Where a webhook is asked: a service of the cluster, or a URL.
    WebhookClient { service: Option<ServiceOf>, url: Text }
}
shape! {
    /// A service by name.
    ServiceOf { namespace: Text, name: Text }
}
shape! {
    /// `APIService` of apiregistration.k8s.io: an API that a service of the cluster answers.
    ApiService { metadata: Meta, spec: ApiServiceSpec, status: ApiServiceStatus }
}
shape! {
    /// `APIService.spec`; no service: the API server itself answers.
    ApiServiceSpec { service: Option<ServiceOf> }
}
shape! {
    /// `APIService.status`.
    ApiServiceStatus { conditions: List<Condition> }
}
shape! {
    /// `FlowSchema` of flowcontrol.apiserver.k8s.io: that it is there.
    FlowSchema { metadata: Meta }
}
shape! {
    /// A policy of another engine: that it is there.
    ForeignPolicy { metadata: Meta }
}
shape! {
    /// `Ingress` of networking.k8s.io.
    Ingress { metadata: Meta, spec: IngressSpec }
}
shape! {
    /// `Ingress.spec`.
    IngressSpec { default_backend: Option<IngressBackend>, rules: List<IngressRule> }
}
shape! {
    /// A host.
    IngressRule { host: Text, http: Option<IngressPaths> }
}
shape! {
    /// Its paths.
    IngressPaths { paths: List<IngressPath> }
}
shape! {
    /// A path and where it leads.
    IngressPath { path: Text, backend: IngressBackend }
}
shape! {
    /// `service`, of v1; older versions have the name and the port directly.
    IngressBackend { service: Option<IngressService>, service_name: Text }
}
shape! {
    /// A service of the ingress's namespace.
    IngressService { name: Text }
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
        /// Fewer free than this share of a batch: more are asked for.
        request_threshold_percent: Option<u64>,
        /// More free than this share of a batch: some are given back.
        release_threshold_percent: Option<u64>,
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
    IpAssignment {
        /// With a prefix length for blocks.
        ip: Address,
    }
}
shape! {
    /// `IPAMBlock` of Calico: a range of addresses with an affinity to a node.
    IpamBlock { metadata: Meta, spec: IpamBlockSpec }
}
shape! {
    /// `IPAMBlock.spec` (projectcalico/calico, libcalico-go).
    IpamBlockSpec {
        /// The range.
        cidr: Text,
        /// `host:<node>`.
        affinity: Text,
        /// By ordinal: the index of its attributes, or nothing when free.
        allocations: List<Option<u32>>,
        /// Who holds them.
        attributes: List<AllocationAttribute>,
    }
}
shape! {
    /// Attributes of an allocation.
    AllocationAttribute {
        /// `<network>.<container id>`, or the name of a tunnel.
        handle_id: Text = "handle_id",
        /// `pod`, `namespace`, `node`, `type`, `timestamp`.
        secondary: Labels,
        /// Given back, and kept for a while.
        released_at: Text,
    }
}
shape! {
    /// `BlockAffinity` of Calico.
    BlockAffinity { metadata: Meta, spec: BlockAffinitySpec }
}
shape! {
    /// `BlockAffinity.spec`.
    BlockAffinitySpec { state: Text, node: Text, cidr: Text }
}
shape! {
    /// `IPPool`, of Calico (`cidr`) or of whereabouts (`range`, `allocations`).
    IpPool { metadata: Meta, spec: IpPoolSpec }
}
shape! {
    /// `IPPool.spec`.
    IpPoolSpec {
        /// Calico: the range.
        cidr: Text,
        /// Calico: prefix length of its blocks.
        block_size: Option<u8>,
        /// Calico: no new addresses are taken from it.
        disabled: bool,
        /// Calico: `Workload`, `Tunnel`, `LoadBalancer`; empty for all of pods.
        allowed_uses: List<Text>,
        /// whereabouts: the range.
        range: Text,
        /// whereabouts: by offset in the range.
        allocations: BTreeMap<Text, WhereaboutsAllocation>,
    }
}
shape! {
    /// An address that whereabouts gave out.
    WhereaboutsAllocation {
        /// The sandbox.
        id: Text,
        /// `namespace/name`.
        podref: Text,
        /// Interface in the pod.
        ifname: Text,
    }
}
shape! {
    /// `CiliumNode`.
    CiliumNode { metadata: Meta, spec: CiliumNodeSpec, status: CiliumNodeStatus }
}
shape! {
    /// `CiliumNode.spec`.
    CiliumNodeSpec { ipam: CiliumIpamSpec }
}
shape! {
    /// `CiliumNode.spec.ipam`.
    CiliumIpamSpec {
        /// The node's ranges.
        pod_cidrs: List<Text> = "podCIDRs",
        /// Single addresses, for cloud allocators.
        pool: BTreeMap<Text, CiliumPooled>,
    }
}
shape! {
    /// An address of the pool: what it belongs to is of no use here.
    CiliumPooled { resource: Text }
}
shape! {
    /// `CiliumNode.status`.
    CiliumNodeStatus { ipam: CiliumIpamStatus }
}
shape! {
    /// `CiliumNode.status.ipam`.
    CiliumIpamStatus {
        /// By address.
        used: BTreeMap<Text, CiliumUsed>,
        /// What the operator complains of.
        operator_status: CiliumOperator = "operator-status",
    }
}
shape! {
    /// Who uses an address: `namespace/pod`, `router`, `health`.
    CiliumUsed { owner: Text }
}
shape! {
    /// `operator-status`.
    CiliumOperator { error: Text }
}

impl Pod {
    /// Its condition `Ready` is true.
    pub fn is_ready(&self) -> bool {
        let condition = self.status.conditions.iter().find(|condition| &*condition.r#type == "Ready");
        if let Some(condition) = condition {
            return &*condition.status == "True";
        }
        // A table shows `1/1`, and no condition.
        let containers = &self.status.container_statuses;
        &*self.status.phase == "Running" && !containers.is_empty() && containers.iter().all(|item| item.ready)
    }

    /// All addresses of the pod, parsed.
    pub fn addresses(&self) -> impl Iterator<Item = std::net::IpAddr> {
        let first = &self.status.pod_ip;
        // The first one stands in both fields, and parsing is what costs.
        let more = self.status.pod_ips.iter().map(|entry| &entry.ip).filter(|ip| *ip != first);
        let all = std::iter::once(first).chain(more);
        let mut found: Vec<std::net::IpAddr> = all.filter_map(|ip| ip.parse().ok()).collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter()
    }

    /// When containers of the pod ended: now, or before their last restart.
    pub fn container_ends(&self) -> impl Iterator<Item = When> {
        let statuses = self.status.container_statuses.iter();
        let ended = statuses
            .flat_map(|status| [&status.state, &status.last_state])
            .filter_map(|status| status.terminated.as_ref());
        ended.filter_map(|item| item.finished_at.0.map(When::At))
    }

    /// Its address was masked by the collector: there is one, and it can't be compared.
    pub fn address_hidden(&self) -> bool {
        self.status.pod_ip.contains("***")
    }

    /// Ended for good: it holds no address any more.
    pub fn ended(&self) -> bool {
        matches!(&*self.status.phase, "Succeeded" | "Failed")
    }
}

impl Node {
    /// Its condition `Ready`: `None` when the bundle does not have it.
    pub fn ready(&self) -> Option<bool> {
        let ready = self.status.conditions.iter().find(|condition| &*condition.r#type == "Ready")?;
        Some(&*ready.status == "True")
    }
}
