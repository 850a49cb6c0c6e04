//! JUDGE: one folder per chapter, one file per cause. Detectors are pure functions of the
//! cluster; one that fails is a line in the report, not an abort.
//!
//! To add one: write its file with a `DETECTOR`, name it in its chapter's `mod.rs`, and put a hit and a
//! quiet sample under `samples/detectors/<id>/`.

pub mod authorization;
pub mod client_access;
pub mod control_plane;
pub(crate) mod details;
pub mod dns;
mod finding;
pub mod images;
pub mod ip_allocation;
mod named;
mod needs;
pub mod node_access;
pub mod nodes;
mod observed;
pub mod service;
pub mod workloads;
mod worst;

pub use crate::evidence::Confidence;
pub use details::{Bucket, Details, LabelDifference, LeakedAddress, PathHop, Permission, PodNotReady};
pub use finding::{Explanation, Finding, FindingState, Fix, Severity, SubjectRef, shell, slug};

use schemars::JsonSchema;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::knowledge::CauseId;

/// Chapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Chapter {
    /// Clients cannot reach the API server.
    ClientAccess,
    /// Pods can't get an address.
    IpAllocation,
    /// A service can't be reached.
    Service,
    /// Nodes or pods can't reach the API server, or the outside.
    NodeAccess,
    /// Names can't be resolved.
    Dns,
    /// Requests are refused.
    Authorization,
    /// The API server and its path to the nodes.
    ControlPlane,
    /// Pods are not created, not placed, or not ready.
    Workloads,
    /// Images can't be pulled, containers end.
    Images,
    /// Nodes, certificates, identities, scale.
    Nodes,
}

impl Chapter {
    /// The chapter of a name, in kebab-case.
    pub fn by_name(name: &str) -> Option<Self> {
        let name: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
        Self::deserialize(name).ok()
    }

    /// As a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::ClientAccess => "Client access to the API server",
            Self::IpAllocation => "Pod IP allocation (IPAM, CNI)",
            Self::Service => "Services, endpoints, network policies",
            Self::NodeAccess => "API server access and egress of nodes and pods",
            Self::Dns => "DNS",
            Self::Authorization => "Authorization (401, 403, RBAC)",
            Self::ControlPlane => "API server, konnectivity tunnel, webhooks, etcd",
            Self::Workloads => "Pods and workloads (Pending, FailedCreate, volumes, probes)",
            Self::Images => "Images and containers (ImagePullBackOff, CrashLoopBackOff)",
            Self::Nodes => "Nodes, identities, certificates, autoscaling",
        }
    }
}

/// Data that a detector can't do without. Any one of `found_by` is enough.
#[derive(Clone, Copy)]
pub struct Need {
    /// What it is, for people.
    pub what: &'static str,
    /// What can't be decided without it.
    pub why: &'static str,
    /// The command that collects it.
    pub command: &'static str,
    /// Whether the bundle has it.
    pub met: fn(&Cluster) -> bool,
}

/// The four parts of a detector's page.
pub struct Doc {
    /// What it means.
    pub meaning: &'static str,
    /// How it is decided.
    pub decision: &'static str,
    /// What to do.
    pub action: &'static str,
    /// Where to read more.
    pub reference: &'static str,
}

/// One cause that the tool can find.
pub struct Detector {
    /// Names the fault, in kebab-case.
    pub id: &'static str,
    /// Where it belongs.
    pub chapter: Chapter,
    /// The fault in a few words.
    pub title: &'static str,
    /// What it must have to say "ruled out".
    pub needs: &'static [Need],
    /// Detectors whose findings it may be the cause of.
    pub explains: &'static [&'static str],
    /// Its page.
    pub doc: Doc,
    /// How it is judged.
    pub detect: Evaluation,
}

/// How a cause is judged.
#[derive(Clone, Copy)]
pub enum Evaluation {
    /// By a function.
    Rule(fn(&Cluster) -> Outcome),
    /// By a text that names it: [`crate::knowledge::CAUSES`].
    Named(CauseId),
}

impl Detector {
    /// What it says of a cluster.
    pub fn detect(&'static self, cluster: &Cluster) -> Outcome {
        match self.detect {
            Evaluation::Rule(rule) => rule(cluster),
            Evaluation::Named(id) => named::detect(self, id, cluster),
        }
    }
}

/// What a detector says of a cluster.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Faults found.
    pub findings: Vec<Finding>,
    /// Why it could not be decided, although the data seemed to be there.
    pub undecided: Option<String>,
    /// Why it is ruled out, where that needs more words than that nothing was seen.
    pub ruled_out: Option<String>,
}

impl From<Vec<Finding>> for Outcome {
    fn from(findings: Vec<Finding>) -> Self {
        findings.into_iter().collect()
    }
}

impl FromIterator<Finding> for Outcome {
    fn from_iter<I: IntoIterator<Item = Finding>>(findings: I) -> Self {
        let findings = findings.into_iter().collect::<worst::WorstFindings>().into();
        Self { findings, undecided: None, ruled_out: None }
    }
}

/// Every detector, by chapter.
pub fn all() -> impl Iterator<Item = &'static Detector> {
    let chapters = [
        client_access::DETECTORS,
        ip_allocation::DETECTORS,
        service::DETECTORS,
        node_access::DETECTORS,
        dns::DETECTORS,
        authorization::DETECTORS,
        control_plane::DETECTORS,
        workloads::DETECTORS,
        images::DETECTORS,
        nodes::DETECTORS,
    ];
    chapters.into_iter().flatten().copied().chain(named::DETECTORS.iter())
}

/// The detector of an id.
pub fn find(id: &str) -> Option<&'static Detector> {
    all().find(|detector| detector.id == id)
}

/// The table of a chapter's detectors, in the order in which equals are reported.
macro_rules! detectors {
    ($($module:ident),* $(,)?) => {
        /// The detectors of this chapter.
        pub const DETECTORS: &[&super::Detector] = &[$(&$module::DETECTOR),*];
    };
}
use detectors;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_kebab_case_slugs() {
        let mut ids: Vec<_> = all().map(|detector| detector.id).collect();
        for id in &ids {
            assert_eq!(&slug(id), id);
        }
        ids.sort_unstable();
        let before = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), before);
    }

    #[test]
    fn what_a_detector_explains_is_a_detector() {
        for detector in all() {
            for other in detector.explains {
                assert!(find(other).is_some() && *other != detector.id, "{} explains {other}", detector.id);
            }
        }
    }

    #[test]
    fn every_page_has_all_its_parts() {
        for detector in all() {
            let doc = &detector.doc;
            for part in [doc.meaning, doc.decision, doc.action, doc.reference, detector.title] {
                assert!(part.len() > 10, "{}", detector.id);
            }
            assert!(!detector.needs.is_empty(), "{}", detector.id);
        }
    }
}
