//! Known error texts: which was seen, about what, how often.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IntoDeserializer;

use super::recovery::Recovery;
use super::tally::{BoundedMap, LineTally};
use super::time::When;
use crate::knowledge::{CauseId, Ends};

/// The error texts that detectors ask for. One name covers all the wordings that versions gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// host-local: `no IP addresses available in range set`.
    RangeSetFull,
    /// azure-vnet-ipam: `No available addresses`.
    NoAvailableAddresses,
    /// Azure CNS: `not enough IPs available …`, waiting for more.
    CnsWaiting,
    /// Azure CNS with `NCUpdateSubnetFullError`: the pod subnet is full.
    SubnetFull,
    /// Azure CNS with `NCUpdateUnauthorizedError`: it may not take addresses of the subnet.
    CnsUnauthorised,
    /// Nothing answers on Azure CNS's own port.
    CnsUnreachable,
    /// Calico: no address in its pools or in the node's blocks.
    CalicoFull,
    /// whereabouts: `Could not allocate IP in range`.
    WhereaboutsFull,
    /// Cilium: no address in the node's range or pool.
    CiliumFull,
    /// The AWS VPC CNI: no address or prefix for the node.
    AwsFull,
    /// OVN-Kubernetes, kube-ovn: no address in the subnet.
    OvnFull,
    /// A pool of another plugin has no free address.
    PoolFull,
    /// An IPAM refuses an address that another pod has.
    AddressGivenTwice,
    /// A node gets no range of pod addresses: `CIDRNotAvailable`.
    CidrNotAvailable,
    /// The container runtime has no CNI configuration or binary.
    CniNotReady,
    /// Azure: no room for machines in the node subnet (`SubnetIsFull`).
    NodeSubnetFull,
    /// Azure: a range is too small for what the node pools may grow to (`InsufficientSubnetSize`).
    InsufficientSubnetSize,
    /// Azure: ranges overlap, or the DNS address is outside the service range.
    CidrOverlap,
    /// Azure: the subnet is delegated to another service.
    SubnetDelegated,
    /// Calico or Cilium logged a packet that a policy dropped: `from to protocol port`.
    PolicyDropped,
    /// No agent of Cilium answers on its node: nothing at its socket.
    CiliumUnreachable,
    /// kube-proxy could not write its rules.
    KubeProxyFailing,
    /// The kernel has no room for another connection.
    ConntrackFull,
    /// A network plugin failed to set up or to tear down a sandbox, and not for want of an address.
    CniFailing,
    /// An admission webhook did not answer: its name, its service.
    WebhookFailing,
    /// The API server has no way to the nodes.
    TunnelFailing,
    /// etcd takes no more writes.
    EtcdFull,
    /// etcd does not answer in time.
    EtcdSlow,
    /// Provisioning of a node failed: its exit code, its name.
    ProvisioningFailed,
    /// The API server refuses requests for their number.
    ApiThrottled,
    /// Azure's resource manager refuses requests for their number.
    ArmThrottled,
    /// The client sent no credentials, or such that are not taken.
    NoCredentials,
    /// `CoreDNS` asks itself.
    DnsLoop,
    /// `CoreDNS` can't read its configuration.
    CorefileBroken,
    /// `CoreDNS` may not ask the API server.
    DnsUnauthorised,
    /// The node-local resolver of AKS (unit `localdns`) failed.
    LocalDnsFailed,
    /// No kubeconfig: kubectl asks `localhost:8080`, or says that it has no configuration.
    NoKubeconfig,
    /// A credential plugin of the client failed: kubelogin is missing, Entra ID refuses; what it said.
    CredentialPlugin,
    /// kubectl and the API server are too far apart.
    VersionSkew,
    /// A registry refused a pull, 401: the image.
    ImageUnauthorised,
    /// A registry refused a pull, 403: the image.
    ImageForbidden,
    /// A registry has no such image, or none for the platform: the image.
    ImageMissing,
    /// A pull failed before the registry answered: the image, and how (`timeout`, `dns`, `tls`, `refused`).
    ImageUnreachable,
    /// The memory of the whole node ran out, and the kernel killed a process: its name.
    SystemOutOfMemory,
    /// A pull failed in words that are not known: the image.
    ImageFailed,
    /// No source port is left for connections to the outside.
    SnatExhausted,
    /// Azure could not link or read a private DNS zone: the code.
    PrivateZoneFailed,
    /// Azure refused an action of an identity: the code, the action, the scope.
    AzureRefused,
    /// The certificate with which a kubelet talks to the API server is over.
    KubeletCertificateExpired,
    /// An eviction would break a disruption budget: the pod or node, when told.
    DrainBlocked,
    /// The cluster autoscaler can't add nodes: the code.
    ScaleUpFailed,
    /// The resource provider of AKS refuses requests for their number.
    AksThrottled,
    /// `az aks command invoke` or run-command failed: the code.
    RunCommandFailed,
    /// The metrics API does not answer.
    MetricsUnavailable,
    /// An aggregated API other than that of metrics does not answer: its name.
    AggregatedApiFailed,
    /// The kernel ended a process for want of memory: its name.
    OutOfMemory,
    /// The kubelet waits before it starts a container again: namespace, pod, container.
    CrashLoop,
    /// A kubelet or a runtime has no threads, or does not follow its pods (PLEG).
    NodeStruggles,
    /// The text names the cause by itself: what the report says of it is data.
    #[serde(skip)]
    Cause(CauseId),
}

impl Signal {
    /// The signal of a name, as knowledge writes it: `cilium-full`, or the id of a cause.
    pub fn by_name(name: &str) -> Option<Self> {
        let text: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
        Self::deserialize(text).ok().or_else(|| CauseId::by_name(name).map(Self::Cause))
    }

    /// What ends it, when its log says so.
    pub fn ended_by(self) -> Option<Recovery> {
        match self {
            Self::CniNotReady | Self::CniFailing => Some(Recovery::Network),
            Self::NoCredentials | Self::KubeletCertificateExpired | Self::DnsUnauthorised => {
                Some(Recovery::ApiServer)
            }
            Self::Cause(id) => match id.cause()?.ended_by? {
                Ends::ApiServer => Some(Recovery::ApiServer),
                Ends::Network => Some(Recovery::Network),
            },
            _ => None,
        }
    }

    /// A pod was refused an address.
    pub fn refuses_a_pod(self) -> bool {
        matches!(
            self,
            Self::RangeSetFull
                | Self::NoAvailableAddresses
                | Self::CnsWaiting
                | Self::SubnetFull
                | Self::CnsUnauthorised
                | Self::CalicoFull
                | Self::WhereaboutsFull
                | Self::CiliumFull
                | Self::AwsFull
                | Self::OvnFull
                | Self::PoolFull
        )
    }
}

/// A text about a pod or a node, as far as the line says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalKey {
    /// Which.
    pub signal: Signal,
    /// Namespace of the pod, empty when not told.
    pub namespace: Box<str>,
    /// Pod, empty when not told.
    pub pod: Box<str>,
    /// Node, empty when not told.
    pub node: Box<str>,
    /// What the text itself names: an address range, a network container.
    pub detail: Box<str>,
}

/// One sighting.
pub struct SignalSeen<'a> {
    /// What and about what.
    pub key: SignalKey,
    /// Fingerprint of the line.
    pub print: u64,
    /// Count stated, for events.
    pub stated: u64,
    /// First and last time.
    pub times: [Option<When>; 2],
    /// Entry.
    pub source: &'a Arc<str>,
    /// Line.
    pub line: u64,
    /// The text.
    pub text: &'a [u8],
}

/// All known error texts, 50,000 kinds at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// By kind.
    pub map: BoundedMap<SignalKey, LineTally, 50_000>,
}

impl Signals {
    /// Counts one.
    pub fn add(&mut self, seen: SignalSeen<'_>) {
        let Some(tally) = self.map.slot(seen.key) else { return };
        tally.add(seen.print, seen.stated, seen.times, seen.source, seen.line, seen.text);
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        self.map.merge(other.map, LineTally::merge);
    }
}
