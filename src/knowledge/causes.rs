//! Causes that a component names itself, in a text of its own: what the report says of each.

use std::sync::LazyLock;

use serde::Deserialize;

/// The files, by chapter.
const FILES: [(&str, &str); 10] = [
    ("authorization", include_str!("../../knowledge/causes/authorization.toml")),
    ("client-access", include_str!("../../knowledge/causes/client-access.toml")),
    ("control-plane", include_str!("../../knowledge/causes/control-plane.toml")),
    ("dns", include_str!("../../knowledge/causes/dns.toml")),
    ("images", include_str!("../../knowledge/causes/images.toml")),
    ("ip-allocation", include_str!("../../knowledge/causes/ip-allocation.toml")),
    ("node-access", include_str!("../../knowledge/causes/node-access.toml")),
    ("nodes", include_str!("../../knowledge/causes/nodes.toml")),
    ("service", include_str!("../../knowledge/causes/service.toml")),
    ("workloads", include_str!("../../knowledge/causes/workloads.toml")),
];

/// Which cause: its place among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CauseId(u16);

/// How many findings are made of what was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OneFor {
    /// One, whoever says it.
    #[default]
    All,
    /// One for each thing that the texts name.
    Detail,
    /// One for each node.
    Node,
    /// One for each pod.
    Pod,
}

/// What a log says when a fault is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ends {
    /// The API server answers.
    ApiServer,
    /// The network of the node is ready.
    Network,
}

/// What shows that the fault is over although its log does not say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refuted {
    /// All pods that it is about are ready.
    ByReadyPods,
    /// All nodes that it is about are Ready.
    ByReadyNodes,
    /// The services that it names have endpoints.
    ByEndpoints,
}

/// A cause that a component names itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// Names the fault, in kebab-case; stays while the cause does.
    pub id: String,
    /// The fault in a few words, on the board of all causes.
    pub name: String,
    /// How bad it is while it goes on: `critical`, `high`, `medium`, `low`.
    pub severity: String,
    /// How sure: `confirmed` where the component speaks of itself, `likely` where it speaks of somebody else.
    pub confidence: String,
    /// The finding's title; who it is about stands before it, and what the texts name after it.
    pub title: String,
    /// What is counted, in the singular.
    pub unit: String,
    /// How many findings.
    #[serde(default)]
    pub one_for: OneFor,
    /// So many sightings at least: what a healthy component says once, at its start, is none.
    #[serde(default)]
    pub least: u64,
    /// What its own log says when it is over: `api-server` answers, `network` of the node is ready.
    #[serde(default)]
    pub ended_by: Option<Ends>,
    /// What shows that it is over.
    #[serde(default)]
    pub refuted: Option<Refuted>,
    /// Why; when it was seen is added.
    pub cause: String,
    /// What to do.
    pub fix: String,
    /// To paste; `{aks}`, `{node}`, `{namespace}`, `{pod}` and `{detail}` stand for what is known.
    pub commands: Vec<String>,
    /// How to check that it worked.
    pub verify: Vec<String>,
    /// What must be in a bundle before it can be ruled out: names of `detectors::needs`.
    pub needs: Vec<String>,
    /// Causes whose findings it may be the cause of.
    #[serde(default)]
    pub explains: Vec<String>,
    /// What it means, for its page.
    pub meaning: String,
    /// Where to read more.
    pub reference: String,
    /// The chapter: the name of its file.
    #[serde(skip)]
    pub chapter: &'static str,
}

#[derive(Deserialize)]
struct CauseFile {
    cause: Vec<Cause>,
}

/// Every cause of this kind, by chapter.
#[allow(clippy::panic, reason = "a test reads each file")]
pub static CAUSES: LazyLock<Vec<Cause>> = LazyLock::new(|| {
    let of_file = |(chapter, text): (&'static str, &str)| {
        let file: CauseFile =
            toml::from_str(text).unwrap_or_else(|error| panic!("knowledge/causes/{chapter}.toml: {error}"));
        file.cause.into_iter().map(move |cause| Cause { chapter, ..cause })
    };
    FILES.into_iter().flat_map(of_file).collect()
});

impl CauseId {
    /// The cause of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        let at = CAUSES.iter().position(|cause| cause.id == name)?;
        u16::try_from(at).ok().map(Self)
    }

    /// What is known of it.
    pub fn cause(self) -> Option<&'static Cause> {
        CAUSES.get(usize::from(self.0))
    }
}
