//! Attempts to reach something that failed: what was to be reached, how it failed, who says so.
//!
//! A timeout, a refusal, a name that is not known and a certificate that is not trusted mean different things
//!, and so does who speaks: a workstation, a pod, a kubelet.

use std::sync::Arc;

use super::tally::{BoundedMap, LineTally};
use super::time::When;

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// No answer: packets are dropped on the way.
    Timeout,
    /// The host answered that nothing listens.
    Refused,
    /// No route to the host, or its network is unreachable.
    NoRoute,
    /// Cut off in the middle: a middlebox, or an overloaded server.
    Reset,
    /// The proxy that should have been used was not reached, or refused.
    Proxy,
    /// The name does not exist.
    NameUnknown,
    /// The resolver did not answer, or answered with an error.
    ResolverFailed,
    /// The name does not resolve; whether for want of the name or of an answer is not told.
    Unresolved,
    /// TCP works and the TLS handshake does not come to its end.
    TlsTimeout,
    /// The certificate is of an authority that is not known: TLS inspection, or an old kubeconfig.
    TlsUntrusted,
    /// The certificate is of another name.
    TlsWrongName,
    /// A certificate is over, or a clock is wrong.
    TlsExpired,
    /// One side is too old for the other.
    TlsVersion,
}

impl Failure {
    /// In a few words.
    pub fn label(self) -> &'static str {
        match self {
            Self::Timeout => "timed out",
            Self::Refused => "was refused",
            Self::NoRoute => "found no route",
            Self::Reset => "was cut off",
            Self::Proxy => "did not get past its proxy",
            Self::NameUnknown => "found no such host",
            Self::ResolverFailed => "got no answer from DNS",
            Self::Unresolved => "could not resolve the name",
            Self::TlsTimeout => "timed out in the TLS handshake",
            Self::TlsUntrusted => "met a certificate of an unknown authority",
            Self::TlsWrongName => "met a certificate of another name",
            Self::TlsExpired => "met an expired certificate",
            Self::TlsVersion => "found no common TLS version",
        }
    }

    /// Within DNS, before anything was reached.
    pub fn of_dns(self) -> bool {
        matches!(self, Self::NameUnknown | Self::ResolverFailed | Self::Unresolved)
    }

    /// Within TLS, after something was reached.
    pub fn of_tls(self) -> bool {
        matches!(
            self,
            Self::TlsTimeout | Self::TlsUntrusted | Self::TlsWrongName | Self::TlsExpired | Self::TlsVersion
        )
    }
}

/// Who says that it failed, by the words of the line or by whose log it is: it matters who speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speaker {
    /// kubectl or another client of people, on somebody's machine.
    Person,
    /// A node: its kubelet, its container runtime, its provisioning.
    Node,
    /// CoreDNS, of its upstream servers.
    Dns,
    /// The API server or another part of the control plane.
    ControlPlane,
    /// An agent of the tunnel between the API server and the nodes: noisy on healthy clusters (AKS#4423).
    Tunnel,
    /// The text does not tell.
    #[default]
    Unknown,
}

/// An attempt, as far as its line tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey {
    /// How it failed.
    pub failure: Failure,
    /// Name or address of what was to be reached; empty when not told.
    pub host: Box<str>,
    /// Its port; 0 when not told.
    pub port: u16,
    /// The DNS server that was asked, `10.0.0.10:53`; empty when not told.
    pub resolver: Box<str>,
    /// Who says so.
    pub speaker: Speaker,
    /// The request was one to the Kubernetes API: its path says so.
    pub of_api: bool,
    /// The node whose log or event it is; empty when not told.
    pub node: Box<str>,
    /// Namespace and name of the pod that it is about; empty when not told.
    pub pod: (Box<str>, Box<str>),
    /// The entry: many tell by their path whose log they are.
    pub source: Arc<str>,
}

/// One sighting.
pub struct AttemptSeen<'a> {
    /// Which.
    pub key: AttemptKey,
    /// Fingerprint of the line.
    pub print: u64,
    /// Count stated, for events.
    pub stated: u64,
    /// First and last time.
    pub times: [Option<When>; 2],
    /// Line.
    pub line: u64,
    /// The text.
    pub text: &'a [u8],
}

/// All attempts, 50,000 kinds at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// By kind.
    pub map: BoundedMap<AttemptKey, LineTally, 50_000>,
}

impl Attempts {
    /// Counts one.
    pub fn add(&mut self, seen: AttemptSeen<'_>) {
        let source = Arc::clone(&seen.key.source);
        let Some(tally) = self.map.slot(seen.key) else { return };
        tally.add(seen.print, seen.stated, seen.times, &source, seen.line, seen.text);
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: Self) {
        self.map.merge(other.map, LineTally::merge);
    }
}
