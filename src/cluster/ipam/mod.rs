//! Who holds which address: the books of every node, from every source that the bundle shows.
//!
//! Counting is per node, never per cluster. What counts as in use: addresses of pods on the node that have
//! not ended and do not use the node's own network, gateways, tunnels and load balancers, and sandboxes
//! that the container runtime still runs. Whatever else is reserved is an orphan, once its age allows.

mod account;
mod azure;
mod calico;
mod cilium;
mod counted;
mod disagreements;
mod duplicates;
mod exhaustion;
mod places;
mod pods;
mod refusals;
mod stores;
pub mod subnets;
mod whereabouts;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use disagreements::Disagreement;
pub use duplicates::{Duplicate, DuplicateKind};
pub use exhaustion::{Exhaustion, Reason};
pub use refusals::AddressRefusals;

use crate::evidence::Evidence;
use crate::facts::{Facts, Place, time};

/// A lease younger than this may belong to a pod that is just being made.
pub const GRACE_MINUTES: i64 = 15;
/// AKS takes at most this many pods on a node, whatever the network.
pub const MOST_PODS: usize = 250;

/// Who keeps the addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ipam {
    /// Files named after addresses: kubenet, kubenet with Calico, other CNI networks.
    #[default]
    HostLocal,
    /// `azure-vnet-ipam.json`: Azure CNI of the node subnet.
    AzureVnetIpam,
    /// `azure-vnet.json`: the endpoints of Azure CNI.
    AzureVnet,
    /// Azure CNS's own pool (debug dump).
    CnsPool,
    /// Azure CNS's endpoints.
    CnsEndpoints,
    /// `NodeNetworkConfig`: what a node was given.
    NodeNetworkConfig,
    /// Calico's blocks.
    Calico,
    /// `CiliumNode`.
    Cilium,
    /// whereabouts' pools.
    Whereabouts,
}

impl Ipam {
    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::HostLocal => "host-local",
            Self::AzureVnetIpam => "azure-vnet-ipam",
            Self::AzureVnet => "azure-vnet",
            Self::CnsPool => "azure-cns",
            Self::CnsEndpoints => "azure-cns endpoints",
            Self::NodeNetworkConfig => "NodeNetworkConfig",
            Self::Calico => "calico",
            Self::Cilium => "cilium",
            Self::Whereabouts => "whereabouts",
        }
    }
}

/// How old a reservation without an owner is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Age {
    /// The source has no times, or they say nothing.
    #[default]
    Unknown,
    /// Within the grace time: its pod may just be coming or going.
    Young,
    /// Newer than anything the bundle knows of pods: the pods may have been listed before.
    Later,
    /// Past the grace time.
    Old,
}

/// What the container runtime of the node says of the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Runtime {
    /// It was not asked.
    #[default]
    NotAsked,
    /// It does not know the sandbox: the address was not given back.
    Gone,
    /// The sandbox has ended and waits to be cleaned up.
    Ended,
}

/// An address that nobody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The address.
    pub ip: IpAddr,
    /// The sandbox that took it, when the source says.
    pub sandbox: Option<Box<str>>,
    /// `namespace/name` of the pod that it was for, when the source says.
    pub owner: Option<Box<str>>,
    /// Microseconds since 1970 when it was taken, when the source's times mean something.
    pub written: Option<i64>,
    /// How old it is.
    pub age: Age,
    /// What the runtime says.
    pub runtime: Runtime,
    /// Where.
    pub place: Place,
}

impl Orphan {
    /// Whether it counts as leaked: the runtime has forgotten its sandbox, or it is not just young.
    pub fn leaked(&self) -> bool {
        self.age != Age::Young
    }

    /// The address and who took it, as evidence.
    pub fn evidence(&self) -> Evidence {
        let mut words = self.ip.to_string();
        if let Some(at) = self.written {
            words += &format!(", reserved {}", time::show(at));
        }
        if let Some(owner) = &self.owner {
            words += &format!(", for pod {owner}");
        }
        if let Some(sandbox) = &self.sandbox {
            words += &format!(", by sandbox {sandbox}");
        }
        Evidence::line(&self.place.source, self.place.line, words.as_bytes())
    }
}

/// How many addresses of one family, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Most that there can be; `None` when not known.
    pub capacity: Option<u64>,
    /// Reserved for pods or for something known.
    pub allocated: u64,
    /// Held by a live pod of the node.
    pub live: u64,
    /// Held by something known: a tunnel, a load balancer, the node.
    pub known: u64,
    /// Coming or going.
    pub moving: u64,
    /// Held, as the runtime or the API say, by a pod of another node.
    pub elsewhere: u64,
    /// Nobody's.
    pub orphans: u64,
    /// Can't be told: the pods are not known.
    pub unknown: u64,
}

impl Counts {
    /// What is left.
    pub fn free(&self) -> Option<u64> {
        self.capacity.map(|capacity| capacity.saturating_sub(self.allocated))
    }
}

/// What a `NodeNetworkConfig` says besides addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerLease {
    /// Addresses that CNS asked for.
    pub requested: Option<u64>,
    /// Addresses that the node has.
    pub allocated: Option<u64>,
    /// `dynamic`, `static`.
    pub mode: String,
    /// `vnet`, `vnetblock`, `overlay`.
    pub kind: String,
    /// Status of the network container.
    pub status: String,
    /// Range of the pod subnet.
    pub subnet: String,
    /// Its name.
    pub subnet_name: String,
    /// Addresses come in this many.
    pub batch: u64,
    /// Spare addresses that are normal: CNS keeps at most this many.
    pub normal_spare: u64,
    /// Pods whose address is not of the pod subnet: then the numbers can't be compared.
    pub foreign: usize,
    /// Addresses of the pool that no pod of the bundle holds: free, or leaked.
    pub unheld: Vec<IpAddr>,
}

/// The books of one node by one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
// Each says what is known, independent of the others.
#[allow(clippy::struct_excessive_bools)]
pub struct NodeIpam {
    /// The node; a stand-in when nothing says which one.
    pub node: String,
    /// How the node was found out.
    pub node_known_by: &'static str,
    /// Whose books.
    pub ipam: Ipam,
    /// `kubenet`, `k8s-pod-network`, a pool's range, …
    pub network: String,
    /// Where the source is.
    pub place: String,
    /// Other sights of the same.
    pub also: Vec<String>,
    /// The ranges.
    pub ranges: Vec<String>,
    /// IPv4.
    pub v4: Counts,
    /// IPv6.
    pub v6: Counts,
    /// Sandboxes or, without their ids, addresses of the larger family: what pods are compared with.
    pub sandboxes: usize,
    /// Live pods of the node with an address of their own.
    pub pods: usize,
    /// Of these, running ones: what the Azure Architecture Center's command counts.
    pub running: usize,
    /// Of the live ones, those whose address is in the books.
    pub matched: usize,
    /// Pods of the node that started after the newest entry of the books.
    pub newer_pods: usize,
    /// Pods of the node that wait for an address.
    pub waiting: usize,
    /// Some of them by name.
    pub waiting_pods: Vec<String>,
    /// The pods of this node are in the bundle, or at least their number is.
    pub pods_known: bool,
    /// Only numbers are known, which someone counted by hand.
    pub counted: bool,
    /// Reserved, and nobody's.
    pub orphans: Vec<Orphan>,
    /// Ages are known, and tell something.
    pub aged: bool,
    /// The newest time of the books and the pods, from which ages count, in microseconds since 1970.
    pub newest: Option<i64>,
    /// The container runtime of this node was asked.
    pub runtime_known: bool,
    /// Pods of this node that ended, and pods made by Jobs: many short lives.
    pub short_lived: usize,
    /// Reserved here while a live pod of another node holds it.
    pub elsewhere: Vec<(IpAddr, String)>,
    /// Most pods that the kubelet takes.
    pub max_pods: Option<usize>,
    /// For a `NodeNetworkConfig`.
    pub lease: Option<ContainerLease>,
    /// Where to look.
    pub evidence: Vec<Evidence>,
}

impl NodeIpam {
    /// Addresses reserved, of both families.
    pub fn allocated(&self) -> u64 {
        self.v4.allocated + self.v6.allocated
    }

    /// The family of which there is more.
    pub fn larger(&self) -> &Counts {
        if self.v6.allocated > self.v4.allocated { &self.v6 } else { &self.v4 }
    }

    /// Most addresses of one family that the node can give.
    pub fn capacity(&self) -> Option<u64> {
        self.larger().capacity
    }

    /// Orphans that are not merely young.
    pub fn leaked(&self) -> impl Iterator<Item = &Orphan> {
        self.orphans.iter().filter(|orphan| orphan.leaked())
    }

    /// How many addresses are nobody's, where only numbers are known.
    pub fn surplus(&self) -> u64 {
        self.larger().allocated.saturating_sub(self.pods as u64)
    }
}

/// The books of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// By node and source.
    pub books: Vec<NodeIpam>,
    /// Pods that were refused an address, by node; under an empty name those whose node is not known.
    pub refused: BTreeMap<String, AddressRefusals>,
    /// Why each node refuses.
    pub exhaustions: Vec<Exhaustion>,
    /// Addresses with two owners.
    pub duplicates: Vec<Duplicate>,
    /// Sources that do not agree.
    pub disagreements: Vec<Disagreement>,
    /// Ranges of pods, services, nodes and what lies in them.
    pub subnets: subnets::Subnets,
    /// The pods of most nodes seem to be in the bundle.
    pub pods_listed: bool,
}

impl Ledger {
    /// Does the books.
    pub fn build(facts: &Facts, anchor: Option<i64>) -> Self {
        let context = account::Context::new(facts, anchor);
        let mut books = stores::books(&context);
        books.extend(azure::books(&context));
        books.extend(calico::books(&context));
        books.extend(cilium::books(&context));
        books.extend(whereabouts::books(&context));
        counted::compare(&context, &mut books);
        books.sort_by(|a, b| (&a.node, a.ipam, &a.network).cmp(&(&b.node, b.ipam, &b.network)));
        let refused = refusals::by_node(&context);
        let exhaustions = exhaustion::decide(&books, &refused);
        let duplicates = duplicates::find(&context);
        let disagreements = disagreements::find(&context, &books);
        let subnets = subnets::Subnets::of(facts);
        let pods_listed = context.pods.listed;
        Self { books, refused, exhaustions, duplicates, disagreements, subnets, pods_listed }
    }

    /// The books of a node.
    pub fn of<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a NodeIpam> {
        let from = self.books.partition_point(|books| books.node.as_str() < node);
        self.books.iter().skip(from).take_while(move |books| books.node == node)
    }
}
