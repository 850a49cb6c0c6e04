//! Network policies, ready to be asked: ranges parsed, defaults filled in.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::facts::{IntOrString, Key, LabelSelector, NetworkPolicy, NetworkPolicySpec, NetworkRule};

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// The default.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// By its name, in any case; empty means TCP.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "" | "TCP" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            "SCTP" => Some(Self::Sctp),
            _ => None,
        }
    }

    /// In capitals, as Kubernetes writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

/// One of the two ways in which a pod can be isolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// What leaves the pod.
    Egress,
    /// What comes to it.
    Ingress,
}

impl Direction {
    /// In lower case, as the field of a policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}

/// Who is on the other side, by a rule.
#[derive(Clone, Debug)]
pub enum Peer {
    /// Pods by labels, of the policy's own namespace or of those that a selector takes.
    Pods {
        /// Nothing: the policy's own namespace.
        namespaces: Option<LabelSelector>,
        /// Nothing: all pods of them.
        pods: Option<LabelSelector>,
    },
    /// Addresses.
    Block {
        /// The range.
        range: IpNet,
        /// Taken out of it.
        except: Vec<IpNet>,
    },
    /// A range that can't be read: matches nothing.
    Broken,
}

impl Peer {
    /// Whether an address is of the block.
    pub fn holds(&self, ip: IpAddr) -> bool {
        match self {
            Self::Block { range, except } => {
                range.contains(&ip) && !except.iter().any(|out| out.contains(&ip))
            }
            Self::Pods { .. } | Self::Broken => false,
        }
    }
}

/// A port of a rule.
#[derive(Clone, Debug)]
pub struct Port {
    /// Of which protocol.
    pub protocol: Option<Protocol>,
    /// Which of it.
    pub which: Which,
}

/// Which ports of a protocol.
#[derive(Clone, Debug)]
pub enum Which {
    /// All.
    All,
    /// From, to.
    Range(u16, u16),
    /// A name, looked up in the destination pod.
    Named(String),
    /// Not a port: matches nothing.
    Broken,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct CompiledRule {
    /// Empty: anybody.
    pub peers: Vec<Peer>,
    /// Empty: all.
    pub ports: Vec<Port>,
}

/// A policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Which object.
    pub key: Key,
    /// What it isolates; nothing when the bundle does not show it.
    pub spec: Option<CompiledSpec>,
}

/// What a policy says.
#[derive(Clone, Debug)]
pub struct CompiledSpec {
    /// The pods that it isolates.
    pub selects: LabelSelector,
    /// The rules for what comes in, when it isolates that.
    pub ingress: Option<Vec<CompiledRule>>,
    /// The rules for what goes out, when it isolates that.
    pub egress: Option<Vec<CompiledRule>>,
}

impl CompiledSpec {
    /// The rules of a direction, when the policy isolates it.
    pub fn rules(&self, direction: Direction) -> Option<&[CompiledRule]> {
        match direction {
            Direction::Egress => self.egress.as_deref(),
            Direction::Ingress => self.ingress.as_deref(),
        }
    }
}

impl Policy {
    /// From the object.
    pub fn compile(key: &Key, object: &NetworkPolicy) -> Self {
        Self { key: key.clone(), spec: object.spec.as_ref().map(spec) }
    }
}

fn spec(spec: &NetworkPolicySpec) -> CompiledSpec {
    // Defaulting of networking.k8s.io/v1: ingress always, egress only when it has a rule.
    let isolates = |name: &str, default: bool| {
        if spec.policy_types.is_empty() {
            default
        } else {
            spec.policy_types.iter().any(|policy_type| &**policy_type == name)
        }
    };
    let rules = |all: &[NetworkRule], direction| all.iter().map(|item| rule(item, direction)).collect();
    CompiledSpec {
        selects: spec.pod_selector.clone(),
        ingress: isolates("Ingress", true).then(|| rules(&spec.ingress, Direction::Ingress)),
        egress: isolates("Egress", !spec.egress.is_empty()).then(|| rules(&spec.egress, Direction::Egress)),
    }
}

fn rule(rule: &NetworkRule, direction: Direction) -> CompiledRule {
    let peers = match direction {
        Direction::Ingress => &rule.from,
        Direction::Egress => &rule.to,
    };
    let peers = peers.iter().map(|peer| match &peer.ip_block {
        Some(block) => {
            let except: Option<Vec<IpNet>> = block.except.iter().map(|range| range.parse().ok()).collect();
            match (block.cidr.parse(), except) {
                (Ok(range), Some(except)) => Peer::Block { range, except },
                _ => Peer::Broken,
            }
        }
        None if peer.pod_selector.is_none() && peer.namespace_selector.is_none() => Peer::Broken,
        None => Peer::Pods { namespaces: peer.namespace_selector.clone(), pods: peer.pod_selector.clone() },
    });
    let ports = rule.ports.iter().map(|port| {
        let number = |value: i64| u16::try_from(value).ok();
        let which = match (&port.port, port.end_port) {
            (None, None) => Which::All,
            (Some(IntOrString::Int(from)), end) => {
                let to = end.map_or(Some(*from), |end| Some(i64::from(end)));
                match (number(*from), to.and_then(number)) {
                    (Some(from), Some(to)) if from <= to => Which::Range(from, to),
                    _ => Which::Broken,
                }
            }
            (Some(IntOrString::Name(name)), None) => Which::Named(name.to_string()),
            // The API refuses an end without a number at the start.
            (Some(IntOrString::Name(_)) | None, Some(_)) => Which::Broken,
        };
        Port { protocol: Protocol::named(&port.protocol), which }
    });
    CompiledRule { peers: peers.collect(), ports: ports.collect() }
}
