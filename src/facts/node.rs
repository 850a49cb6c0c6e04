//! What single commands and files of a node say: resolvers, routes, packet filters, CNI state.
//!
//! Each is kept with its place, since a bundle rarely tells of which node a file is.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::tally::BoundedMap;
use crate::evidence::Evidence;

/// Where a file or an output begins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Entry.
    pub source: Arc<str>,
    /// Line, from 1.
    pub line: u64,
}

/// Most lines kept of one output.
pub const LINES: usize = 5_000;

/// `resolv.conf`, of a node or of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolverFile {
    /// The node, when told.
    pub node: Option<Box<str>>,
    /// Addresses.
    pub nameservers: Vec<Box<str>>,
    /// Domains that are tried.
    pub search: Vec<Box<str>>,
    /// Such as `ndots:5`.
    pub options: Vec<Box<str>>,
}

/// A server block of a Corefile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerBlock {
    /// `.:53`, `corp.example:53`.
    pub zones: Vec<Box<str>>,
    /// Zone and where its queries go: `/etc/resolv.conf`, `10.1.0.4`.
    pub forwards: Vec<(Box<str>, Vec<Box<str>>)>,
    /// Names of the plugins, in order.
    pub plugins: Vec<Box<str>>,
}

/// A packet filter as `iptables-save`, `iptables -L` or `nft list ruleset` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketFilter {
    /// The node, when told.
    pub node: Option<Box<str>>,
    /// `iptables-save`, `ip6tables-save`, `iptables -L`, `nft`, `ipvsadm`, `cilium service list`, `cilium bpf lb list`.
    pub tool: Box<str>,
    /// Rules.
    pub rules: u64,
    /// Chains of kube-proxy for services, or service elements of nftables.
    pub service_chains: u64,
    /// Rules of Azure NPM.
    pub azure_npm: u64,
    /// Services without endpoints, `namespace/name:port`.
    pub no_endpoints: BTreeSet<Box<str>>,
    /// Services whose cluster address has a rule, `namespace/name`.
    pub services: BTreeSet<Box<str>>,
    /// Services, `namespace/name`, and the addresses of pods that their rules lead to.
    pub leads_to: BTreeSet<(Box<str>, IpAddr)>,
    /// Cluster addresses with a rule or an entry of their own, for those that no name stands beside.
    pub addresses: BTreeSet<IpAddr>,
    /// Cluster addresses, and the addresses of pods that they lead to.
    pub address_leads_to: BTreeSet<(IpAddr, IpAddr)>,
    /// The table of kube-proxy, or of what stands in for it, is in it, whole: `KUBE-SERVICES`, or `table ip kube-proxy`.
    pub of_kube_proxy: bool,
    /// kube-proxy is in IPVS mode: its few rules lead to sets, and the services are elsewhere.
    pub of_ipvs: bool,
    /// The legacy tables hold rules, too.
    pub legacy_present: bool,
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// `default` or a range.
    pub destination: Box<str>,
    /// Next hop; empty when on the link.
    pub gateway: Box<str>,
    /// Interface.
    pub device: Box<str>,
    /// `unreachable`, `blackhole`, `prohibit`; empty for ordinary ones.
    pub kind: Box<str>,
}

/// `ip addr`, `ip route`, `ip neigh` of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpState {
    /// The node, when told.
    pub node: Option<Box<str>>,
    /// Interface, address with its prefix length, `UP` or `DOWN`.
    pub addresses: Vec<(Box<str>, Box<str>, Box<str>)>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Address, interface, state.
    pub neighbours: Vec<(Box<str>, Box<str>, Box<str>)>,
}

/// `conntrack -L` and `-S`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conntrack {
    /// The node, when told.
    pub node: Option<Box<str>>,
    /// Connections listed.
    pub entries: u64,
    /// Of these, never answered.
    pub unreplied: u64,
    /// Insertions that failed (races, mostly of DNS).
    pub insert_failed: u64,
    /// Packets dropped: the table is full, or the packet is wrong.
    pub dropped: u64,
    /// Of these, for want of room.
    pub dropped_early: u64,
    /// Entries of the table, as the kernel counts them, when told.
    pub count: Option<u64>,
    /// Most that it holds, when told.
    pub most: Option<u64>,
    /// The lines that say so.
    pub evidence: Vec<Evidence>,
}

/// `provision.json` or an event of the node's provisioning script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provision {
    /// `0`, `51`, …; empty for events.
    pub exit_code: Box<str>,
    /// `AKS.CSE.…`, for events.
    pub task: Box<str>,
    /// What the script did last, as its output shows it.
    pub step: Box<str>,
    /// What it said, cut.
    pub message: Box<str>,
}

/// A service of a node as `systemctl status` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemUnit {
    /// The node, when told.
    pub node: Option<Box<str>>,
    /// Without `.service`: `kubelet`, `containerd`.
    pub unit: Box<str>,
    /// `active (running)`, `inactive (dead)`, `failed (Result: exit-code)`, `activating (auto-restart) …`.
    pub active: Box<str>,
    /// It starts with the node: `Loaded: loaded (…; enabled; …)`. `None` when not told.
    pub enabled: Option<bool>,
    /// The line that says that it runs, or does not.
    pub evidence: Option<Evidence>,
}

/// What a series of measurements is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measured {
    /// CPU that containers took.
    Cpu,
    /// CPU that containers were kept from.
    CpuThrottled,
    /// Memory.
    Memory,
    /// An upper percentile of the time that requests took.
    Latency,
    /// TCP segments that were sent again.
    Retransmits,
    /// Requests a second.
    Requests,
    /// The share of requests that were answered well.
    SuccessRate,
}

/// A series of measurements of one workload or node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSeries {
    /// The workload or the node.
    pub of: Box<str>,
    /// Its column.
    pub name: Box<str>,
    /// What it measures.
    pub measured: Measured,
    /// By the times of its table, in thousandths.
    pub values: Vec<Option<i64>>,
}

/// A table of measurements over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricTable {
    /// In microseconds since 1970.
    pub times: Vec<i64>,
    /// Its columns.
    pub series: Vec<MetricSeries>,
}

/// A pod sandbox as the container runtime lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// The node, when told.
    pub node: Option<Box<str>>,
    /// 64 hexadecimal digits, or the 13 that tables show.
    pub id: Box<str>,
    /// Of the pod.
    pub namespace: Box<str>,
    /// Of the pod.
    pub pod: Box<str>,
    /// `SANDBOX_READY`, `SANDBOX_NOTREADY`.
    pub ready: bool,
}

/// What a command counted, when only its number was kept: `… | wc -l` and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Addresses of a host-local store.
    Leases,
    /// Lines of `ls -al` of a host-local store: five more than addresses (total, `.`, `..`, the lock, the last one).
    LeaseLines,
    /// Addresses of running pods.
    PodAddresses,
    /// Pod sandboxes that the container runtime runs.
    Sandboxes,
    /// `"InUse": true` in `azure-vnet-ipam.json`.
    InUse,
    /// `"InUse": false` there.
    NotInUse,
}

/// A number that a command printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// The node, when told.
    pub node: Option<Box<str>>,
    /// What was counted.
    pub what: Option<Counted>,
    /// The number.
    pub value: u64,
    /// The command, cut.
    pub command: Box<str>,
}

/// A row of `calicoctl ipam show`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalicoUse {
    /// A pool; otherwise a block of one.
    pub pool: bool,
    /// Its range.
    pub range: Box<str>,
    /// Addresses.
    pub total: u64,
    /// Taken.
    pub used: u64,
}

/// `calicoctl ipam show` and `calicoctl ipam check`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalicoReport {
    /// Rows of `show`.
    pub uses: Vec<CalicoUse>,
    /// Addresses that `check` calls leaked, with their attributes.
    pub leaked: Vec<(IpAddr, Box<str>)>,
    /// How many addresses `check` found allocated and not in use.
    pub not_in_use: Option<u64>,
    /// How many allocations the blocks record.
    pub allocations: Option<u64>,
    /// How many addresses workloads and nodes use.
    pub in_use: Option<u64>,
}

/// Addresses that Cilium has for the pods of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CiliumPool {
    /// Its range; empty where the pool grows with what is asked of it.
    pub range: Box<str>,
    /// Given out, those of the agent itself included.
    pub used: u64,
    /// In all.
    pub total: u64,
    /// Lines from the start of the report to the one that says so.
    pub line: u64,
}

/// A node that the health check of another one does not reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CiliumPeer {
    /// `node`, or `cluster/node`.
    pub name: Box<str>,
    /// Its address, when told.
    pub address: Box<str>,
    /// How it failed.
    pub why: Box<str>,
    /// What says so, as it stands.
    pub quote: Box<str>,
    /// Only pings fail, and HTTP is answered: many networks let no ping pass.
    pub pings_only: bool,
    /// Lines from the start of the report to the one that says so.
    pub line: u64,
}

/// `cilium status` and `cilium-health status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CiliumReport {
    /// The node, when told.
    pub node: Option<Box<str>>,
    /// Addresses for pods.
    pub pools: Vec<CiliumPool>,
    /// Nodes that are not reached; not listed by all versions.
    pub unreachable: Vec<CiliumPeer>,
    /// Nodes that are reached, of how many.
    pub reached: Option<(u64, u64)>,
}

/// An attempt to reach something, with its outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// The node, when told.
    pub node: Option<Box<str>>,
    /// Name or address of what was to be reached, a whole URL when that is all there is.
    pub target: Box<str>,
    /// Its port; 0 when not told.
    pub port: u16,
    /// It was made in a pod or on a node of the cluster.
    pub in_cluster: bool,
    /// It was made on a node, named or not.
    pub on_node: bool,
    /// It was.
    pub reached: bool,
    /// What was said.
    pub message: Box<str>,
}

/// The name of a machine, as a file of it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostName {
    /// The name.
    pub name: Box<str>,
    /// All files of its folder are of that machine; otherwise it is a file of known place, such as `etc/hostname`.
    pub of_folder: bool,
}

/// Whose outward address it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// Of a machine outside the cluster, on which somebody works.
    Client,
    /// Of pods or nodes.
    Cluster,
    /// Nothing tells.
    #[default]
    Unknown,
}

/// An address under which somebody is seen from outside: what a service such as `ifconfig.me` answered, or what the
/// user of this program said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outward {
    /// The address.
    pub address: Option<IpAddr>,
    /// Whose it is.
    pub whose: Whose,
    /// How it is known, in words.
    pub from: Box<str>,
}

/// A certificate as `openssl` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Who shows it, or its file, when told.
    pub whose: Box<str>,
    /// Whom it names.
    pub subject: Box<str>,
    /// Who signed it.
    pub issuer: Box<str>,
    /// Its end, in microseconds since 1970.
    pub not_after: Option<i64>,
    /// `openssl` could not trace it to an authority that it knows.
    pub untrusted: bool,
}

/// What a metric measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Bytes that the API server's store has on its disk.
    StoreSize,
    /// Objects of one resource in the store.
    Objects,
    /// Outbound connections for which a load balancer or NAT gateway had no port.
    SnatFailures,
}

/// A number that a program measured of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: Box<str>,
    /// What it measures.
    pub measure: Option<Measure>,
    /// Of what: `pods`, `leases.coordination.k8s.io`; empty when there is one of it.
    pub of: Box<str>,
    /// Bytes, or a number of things.
    pub value: u64,
}

/// What a DNS server answered to the question for a name: an address, or why there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedName {
    /// The name that was asked for, in lower case, without a dot at its end.
    pub question: Box<str>,
    /// The name that has the address: another one where the asked one is an alias.
    pub name: Box<str>,
    /// The address; nothing where it failed.
    pub address: Option<IpAddr>,
    /// `NXDOMAIN`, `SERVFAIL`, `REFUSED`; empty where there is an address.
    pub status: Box<str>,
    /// The question was for an IPv6 address (AAAA).
    pub ipv6: bool,
    /// Who answered, when told.
    pub server: Box<str>,
    /// It was asked in a pod or on a node of the cluster.
    pub in_cluster: bool,
    /// The line.
    pub message: Box<str>,
}

macro_rules! node_facts {
    ($($(#[$doc:meta])* $field:ident : $type:ty),* $(,)?) => {
        /// All that nodes say.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct NodeFacts { $($(#[$doc])* pub $field: BoundedMap<Place, $type, 50_000>,)* }

        impl NodeFacts {
            /// Adds all of another. A place is read once, so of two with one place the first is kept.
            pub fn merge(&mut self, other: Self) {
                $(self.$field.merge(other.$field, |kept, more| {
                    if *kept == <$type>::default() {
                        *kept = more;
                    }
                });)*
            }

            /// Puts all in order.
            pub fn settle(&mut self) {
                $(self.$field.settle();)*
            }

            /// What there is and how many of it, for people.
            pub fn counts(&self) -> Vec<(&'static str, usize)> {
                vec![$((stringify!($field), self.$field.len())),*]
            }
        }
    };
}
node_facts! {
    /// `resolv.conf` files.
    resolvers: ResolverFile,
    /// Corefiles.
    corefiles: Vec<ServerBlock>,
    /// Packet filters.
    packet_filters: PacketFilter,
    /// Interfaces, routes, neighbours.
    ip_states: IpState,
    /// Names of machines.
    host_names: HostName,
    /// Connection tables.
    conntrack: Conntrack,
    /// Services of nodes.
    units: SystemUnit,
    /// Measurements over time.
    series: MetricTable,
    /// Provisioning.
    provisions: Provision,
    /// Pod sandboxes.
    sandboxes: Sandbox,
    /// Numbers that commands printed.
    counts: Count,
    /// What `calicoctl ipam` says.
    calico_reports: CalicoReport,
    /// What Cilium's agents say of their nodes.
    cilium_reports: CiliumReport,
    /// Attempts to reach something.
    probes: Probe,
    /// Addresses under which machines are seen from outside.
    outward: Outward,
    /// Certificates.
    certificates: Certificate,
    /// Metrics of the API server's store.
    metrics: Metric,
    /// Addresses of names.
    answers: ResolvedName,
}
