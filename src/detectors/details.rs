//! The facts that detectors add to their findings, typed: the contract between detectors, diagnosis and templates. In
//! the JSON they stand side by side in `details`, whatever the chapter.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Structs of facts, of which what is not set is left out of the JSON.
macro_rules! facts {
    ($($(#[$about:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $kind:ty,)+ })+) => {$(
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default)]
        pub struct $name {
            $($(#[$meta])* #[serde(skip_serializing_if = "is_unset")] pub $field: $kind,)+
        }
    )+};
}

/// A list as words.
pub(crate) fn texts(items: impl IntoIterator<Item: ToString>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

/// A count.
pub(super) fn number(count: impl TryInto<u64>) -> Option<u64> {
    count.try_into().ok()
}

fn is_unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a detector knows of its finding besides what all findings have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Details {
    /// Of all chapters.
    #[serde(flatten)]
    pub common: CommonDetails,
    /// Of refused requests.
    #[serde(flatten)]
    pub authorization: AuthorizationDetails,
    /// Of IP addresses.
    #[serde(flatten)]
    pub ip_allocation: IpAllocationDetails,
    /// Of services and policies.
    #[serde(flatten)]
    pub service: ServiceDetails,
    /// Of pods and workloads.
    #[serde(flatten)]
    pub workload: WorkloadDetails,
    /// Of what lies below the cluster: etcd, firewalls, authorized ranges.
    #[serde(flatten)]
    pub platform: PlatformDetails,
}

facts! {
    /// Facts that several chapters have.
    CommonDetails {
        /// Names that were asked for or connected to.
        hosts: Vec<String>,
        /// Resolvers that were asked.
        resolvers: Vec<String>,
        /// Nodes that it concerns.
        nodes: Vec<String>,
        /// Pods that it concerns, `namespace/name`.
        pods: Vec<String>,
        /// Kinds of reasons, a word each.
        why: Vec<String>,
        /// Titles of the findings that were folded into this one.
        titles: Vec<String>,
    }

    /// Facts of refused requests.
    AuthorizationDetails {
        /// The user as the API server names it.
        identity: Option<String>,
        /// Whether `count` counts each request once.
        count_is_exact: bool,
        /// What was refused.
        permissions: Vec<Permission>,
        /// Log lines by what carried them.
        reported_by: BTreeMap<String, u64>,
        /// The user's groups.
        groups: Vec<String>,
        /// Reasons as the API server gave them.
        reasons: Vec<String>,
        /// User agents.
        clients: Vec<String>,
        /// Client addresses.
        addresses: Vec<String>,
        /// Users that impersonated this one.
        impersonated_by: Vec<String>,
        /// Requests a minute.
        per_minute: Option<f64>,
        /// How long it lasted, in words.
        lasted: Option<String>,
        /// Requests over time.
        over_time: Vec<Bucket>,
        /// What the RBAC objects of the bundle say of the requests: `allows`, `denies`, `unknown`.
        bundle_rbac: Option<String>,
        /// The binding that nearly allows it.
        binding: Option<String>,
        /// The role that nearly allows it.
        role: Option<String>,
        /// Whether the refusals ended before the logs do.
        ended: bool,
        /// Which authorizer or admission plugin refused, when it was not RBAC.
        refused_by: Option<String>,
    }

    /// Facts of IP addresses.
    IpAllocationDetails {
        /// Which IPAM keeps the addresses.
        ipam: Option<String>,
        /// The network, as its CNI names it.
        network: Option<String>,
        /// Where the store lies.
        store: Option<String>,
        /// Other places of the same store.
        also_seen: Vec<String>,
        /// How the store's node is known.
        node_known_by: Option<String>,
        /// Running pods with an IP of their own; not set when the pods are not in the bundle.
        in_use: Option<u64>,
        /// `maxPods` of the kubelet.
        max_pods: Option<u64>,
        /// Pods that wait for an IP.
        waiting_pods: Option<u64>,
        /// Ranges of the node.
        ranges: Vec<String>,
        /// Whether the pods were counted by the customer, not from a list.
        counted_by_hand: bool,
        /// IPs that are allocated.
        allocated: Option<u64>,
        /// IPs that there can be.
        capacity: Option<u64>,
        /// IPs that CNS asked for.
        requested: Option<u64>,
        /// Pod subnet.
        subnet: Option<String>,
        /// Status of the network container.
        container_status: Option<String>,
        /// Spare IPs that are normal.
        normal_spare: Option<u64>,
        /// IPs of the pool that no pod holds: free or leaked.
        not_held_by_a_pod: Vec<String>,
        /// Allocations that were matched with pods.
        matched: Option<u64>,
        /// Whether the ages of allocations are known.
        ages_known: Option<bool>,
        /// IPs that pods of other nodes hold.
        held_by_pods_of_other_nodes: Vec<String>,
        /// IPs that nobody holds.
        leaked: Vec<LeakedAddress>,
        /// How many more leaked IPs there are.
        leaked_not_named: Option<u64>,
        /// Allocations without a pod that are too young to count.
        young_and_left_out: Option<u64>,
        /// Refusals for want of an IP.
        refusals: Option<u64>,
        /// Pods that were refused.
        pods_refused: Vec<String>,
        /// Pods that lived for less than the time that their IPs are kept.
        short_lived_pods: Option<u64>,
        /// How many requests are stuck at CNS.
        stuck: Option<u64>,
        /// The IP.
        address: Option<String>,
        /// Who holds it.
        owners: Vec<String>,
        /// IPs with a duplicate that have no finding of their own.
        more_duplicates: Vec<String>,
        /// IPs that are needed.
        needed: Option<u64>,
        /// IPs that there are.
        available: Option<u64>,
        /// The range.
        range: Option<String>,
        /// Name of the subnet.
        name: Option<String>,
        /// IPs of the subnet without those that Azure keeps.
        usable: Option<u64>,
        /// IPs that the nodes need now.
        needed_now: Option<u64>,
        /// IPs that the nodes need with every pool at its maximum.
        needed_at_most: Option<u64>,
        /// IPs that a node needs.
        per_node: Option<u64>,
        /// Nodes that still fit.
        more_nodes_that_fit: Option<u64>,
        /// Range of the pods.
        pod_range: Option<String>,
    }

    /// Facts of services and policies.
    ServiceDetails {
        /// The way to the service, link by link.
        path: Vec<PathHop>,
        /// Policies, `namespace/name`.
        policies: Vec<String>,
        /// Services, `namespace/name`.
        services: Vec<String>,
        /// The service's selector.
        selector: Option<String>,
        /// Labels of the nearest pods that differ from the selector.
        differs: Vec<LabelDifference>,
        /// Pods that come nearest to the selector.
        nearest_pods: Vec<String>,
        /// Selectors of the policy's peers that match nothing.
        selectors: Vec<String>,
        /// `targetPort` of the service.
        target: Option<String>,
        /// Ports that the containers declare.
        declared: Option<String>,
        /// A port.
        port: Option<String>,
        /// Where packets came from.
        from: Option<String>,
        /// Where they went.
        to: Option<String>,
        /// The service's protocol.
        service_protocol: Option<String>,
        /// The containers' protocol.
        container_protocol: Option<String>,
        /// `spec.externalName`.
        external_name: Option<String>,
        /// What the cluster lacks of it: a namespace or a service.
        missing: Option<String>,
        /// Services without rules on the node.
        without_rules: Vec<String>,
        /// Endpoints as published.
        published: Vec<String>,
        /// IPs of the ready pods.
        ready: Vec<String>,
        /// Route table.
        route_table: Option<String>,
        /// Pods that are not ready, each with why.
        not_ready: Vec<PodNotReady>,
    }

    /// Facts of pods and workloads.
    WorkloadDetails {
        /// Why the scheduler finds no node, a word each: `cpu`, `node-selector`, `cordoned`, …
        scheduling: Vec<String>,
        /// Why pods are not created, or what a claim lacks, in a word: `quota`, `service-account`, `capacity`, …
        lacks: Option<String>,
        /// The resource that is short: `requests.memory`, `services`, `cpu`.
        resource: Option<String>,
        /// Which probe fails: `liveness`, `readiness`, `startup`.
        probe: Option<String>,
        /// How it fails, in a word: `refused`, `status`, `timeout`, `protocol`, `port`.
        failure: Option<String>,
        /// A service of a node: `kubelet`, `containerd`.
        unit: Option<String>,
        /// The last lines of a container's log that name a failure.
        last_words: Vec<String>,
    }

    /// Facts of what lies below the cluster.
    PlatformDetails {
        /// Size of etcd's database in bytes.
        bytes: Option<u64>,
        /// Resources with the most objects, the most first.
        objects: Vec<(String, u64)>,
        /// Required egress that is denied.
        denied: Vec<String>,
        /// Authorized IP ranges of the API server.
        authorized_ranges: Vec<String>,
    }
}

/// One missing permission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Permission {
    /// `get`, `list`, …
    pub verb: String,
    /// Empty for the core group.
    pub api_group: String,
    /// `pods`, …; empty for a path.
    pub resource: String,
    /// `log`, `status`, …; empty for none.
    pub subresource: String,
    /// `None` for the whole cluster.
    pub namespace: Option<String>,
    /// Of a request that is not for a resource.
    pub path: Option<String>,
    /// All of it in words.
    pub text: String,
    /// Names of the objects that were asked for.
    pub names: Vec<String>,
    /// Whether there were more names than are kept.
    pub more_names: bool,
    /// How many requests.
    pub count: u64,
    /// Whether each request counts once.
    pub count_is_exact: bool,
    /// RFC 3339.
    pub first_seen: Option<String>,
    /// RFC 3339.
    pub last_seen: Option<String>,
}

/// Requests within a span of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    /// RFC 3339.
    pub start: String,
    /// How many.
    pub count: u64,
}

/// An IP that nobody holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeakedAddress {
    /// The IP.
    pub ip: String,
    /// Who it was for, as the store says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The sandbox that took it.
    pub sandbox: Option<String>,
    /// RFC 3339.
    pub reserved: Option<String>,
    /// What the container runtime says of the sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
}

/// A link of the way to a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PathHop {
    /// `client`, `policies`, `service`, `endpoints`, `pods`.
    pub kind: String,
    /// What it is.
    pub name: String,
    /// `ok`, `broken` or `unknown`.
    pub state: String,
    /// In a few words.
    pub note: String,
}

/// A label that a selector wants and pods have otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LabelDifference {
    /// Key of the label.
    pub label: String,
    /// Value in the selector.
    pub wanted: String,
    /// Value of the pods; `None` when they have no such label.
    pub found: Option<String>,
}

/// A pod that is not ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PodNotReady {
    /// `namespace/name`.
    pub pod: String,
    /// Why.
    pub why: String,
}
