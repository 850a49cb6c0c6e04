//! REASON: everything that was read, frozen, with the engines that answer questions of it.

pub mod azure;
pub mod episode;
pub mod ipam;
pub mod net;
pub mod pods;
pub mod policy;
pub mod rbac;
pub mod reach;
pub mod reachability;
mod requests;
pub mod selector;
pub mod service;
pub mod speaker;
pub mod trend;

use std::sync::OnceLock;

use crate::facts::{Class, Denial, DenialKey, Facts, Form, Scope, Target};

/// The bundle as one cluster.
pub struct Cluster {
    /// What was read.
    pub facts: Facts,
    /// Denied requests: audit events and access log lines joined by audit id.
    pub denials: Vec<(DenialKey, Denial)>,
    /// For each of these that RBAC denied: what comes nearest to allowing it.
    pub misses: Vec<Option<rbac::NearMiss>>,
    /// How that join went.
    pub joined: requests::Joined,
    /// Addresses per node.
    pub ledger: ipam::Ledger,
    /// Pods by namespace and labels.
    pub groups: selector::Groups,
    /// Network policies.
    pub policies: policy::Policies,
    /// Services, followed to their pods.
    pub services: service::Services,
    /// The cluster as Azure describes it.
    pub azure: azure::Azure,
    /// Failed attempts to reach something.
    pub unreached: Vec<reachability::Unreached>,
    /// Newest absolute time of the bundle, in microseconds since 1970.
    pub anchor: Option<i64>,
    /// About when the logs end: a time that two of them reach, or the newest that a recognised format tells.
    pub logs_end: Option<i64>,
    /// Made when they are first asked for.
    addresses: OnceLock<reach::Addresses>,
}

impl Cluster {
    /// Freezes the facts and builds the indexes.
    pub fn freeze(mut facts: Facts) -> Self {
        facts.settle();
        let anchor = facts.span.newest().or(facts.text_span.newest());
        // What comes after the time that is asked for says nothing of what went on in it.
        let logs_end =
            logs_end(&facts, anchor).map(|end| facts.window.until.map_or(end, |until| until.min(end)));
        let ((denials, joined, misses), (ledger, (groups, services), policies, (azure, unreached))) =
            rayon::join(
                || {
                    let (denials, joined) = requests::join(&facts);
                    let misses = misses(&facts, &denials);
                    (denials, joined, misses)
                },
                || {
                    let ((ledger, policies), (pods, azure)) = rayon::join(
                        || (ipam::Ledger::build(&facts, anchor), policy::Policies::new(&facts)),
                        || {
                            rayon::join(
                                || {
                                    let groups = selector::Groups::new(&facts.objects);
                                    let services = service::Services::new(&facts, &groups, anchor);
                                    (groups, services)
                                },
                                || {
                                    let azure = azure::Azure::new(&facts);
                                    let unreached = reachability::unreached(&facts, &azure, anchor, logs_end);
                                    (azure, unreached)
                                },
                            )
                        },
                    );
                    (ledger, pods, policies, azure)
                },
            );
        Self {
            facts,
            denials,
            misses,
            joined,
            ledger,
            groups,
            policies,
            services,
            azure,
            unreached,
            anchor,
            logs_end,
            addresses: OnceLock::new(),
        }
    }

    /// Pods and services by their addresses.
    pub fn addresses(&self) -> &reach::Addresses {
        self.addresses.get_or_init(|| reach::Addresses::of(&self.facts))
    }

    /// Whether something that was last seen then had ended well before the logs did.
    pub fn is_over(&self, span: Option<(i64, i64)>) -> bool {
        span.is_some_and(|(_, last)| reachability::is_over(last, self.logs_end))
    }

    /// Azure runs the control plane, by the resources or the nodes of the bundle.
    pub fn is_aks(&self) -> bool {
        !self.azure.clusters.is_empty() || has_nodes_of_aks(&self.facts)
    }

    /// The nodes show that this is not AKS: another provider's id, or a distribution in the kubelet's version.
    pub(crate) fn is_elsewhere(&self) -> bool {
        !self.is_aks()
            && self.facts.objects.nodes.iter().any(|(_, seen)| {
                let id = &seen.object.spec.provider_id;
                let version = &seen.object.status.node_info.kubelet_version;
                !id.is_empty() && !id.starts_with("azure://")
                    // A kubelet on Azure always has an id, and the whole object shows it.
                    || id.is_empty() && seen.form == Form::Full
                    || ["k3s", "rke2", "-eks-", "-gke.", "+"].iter().any(|name| version.contains(name))
                    // AKS shows no node of its control plane.
                    || ["control-plane", "master", "etcd"].iter().any(|role| {
                        seen.object.metadata.labels.get(&format!("node-role.kubernetes.io/{role}")).is_some()
                    })
            })
    }
}

/// Whether nodes of the bundle are of AKS, by their names and labels.
pub fn has_nodes_of_aks(facts: &Facts) -> bool {
    facts.objects.nodes.iter().any(|(key, seen)| {
        let label = |name: &str| seen.object.metadata.labels.get(name).is_some();
        let on_azure = seen.object.spec.provider_id.starts_with("azure://");
        let named = key.name.starts_with("aks-") && (on_azure || key.name.contains("vmss"));
        named || on_azure && label("agentpool") || label("kubernetes.azure.com/cluster")
    })
}

/// The names that the authorizer was asked about: none where the verb carries none. Creating a subresource
/// (`pods/exec`) does carry the name.
pub fn asked_names<'a>(key: &DenialKey, denial: &'a Denial) -> Vec<&'a str> {
    if nameless(key) || denial.names.is_empty() {
        return vec![""];
    }
    denial.names.iter().map(AsRef::as_ref).collect()
}

/// Whether a request of this kind carries no object name.
pub fn nameless(key: &DenialKey) -> bool {
    let subresource = match &key.request.target {
        Target::Resource { subresource, .. } => &**subresource,
        Target::Path(_) => "",
    };
    rbac::nameless(&key.request.verb, subresource)
}

fn misses(facts: &Facts, denials: &[(DenialKey, Denial)]) -> Vec<Option<rbac::NearMiss>> {
    let objects = &facts.objects;
    let unknown = objects.cluster_roles.is_empty() && objects.roles.is_empty();
    let authorizer = rbac::Authorizer::new(objects);
    denials
        .iter()
        .map(|(key, denial)| {
            if key.class != Class::MissingRule {
                return None;
            }
            if unknown {
                return Some(rbac::NearMiss::unknown());
            }
            let user = key.identity.label();
            let mut groups = rbac::implied_groups(user);
            groups.extend(denial.groups.iter().map(ToString::to_string));
            groups.sort();
            groups.dedup();
            let (verb, target) = (&key.request.verb, &key.request.target);
            let of = |name| {
                rbac::nearest(
                    objects,
                    &authorizer,
                    &rbac::Review { user, groups: &groups, verb, target, name },
                )
            };
            // A name that is still denied says more than one that is allowed by now.
            let mut all: Vec<rbac::NearMiss> = asked_names(key, denial).into_iter().map(of).collect();
            all.sort_by_key(|miss| miss.step == rbac::MissStep::Allowed);
            let namespaced = matches!(target, Target::Resource { scope: Scope::Namespace(_), .. });
            let missing = facts.rbac_not_listed(namespaced).join(", ");
            all.into_iter().next().map(|miss| {
                let absent = matches!(miss.step, rbac::MissStep::NoBinding | rbac::MissStep::NoRule);
                // What is not in the bundle may well be in the cluster.
                if absent && !missing.is_empty() { rbac::NearMiss::unknown_for(&missing) } else { miss }
            })
        })
        .collect()
}

fn logs_end(facts: &Facts, anchor: Option<i64>) -> Option<i64> {
    let entries = facts.coverage.entries.values();
    let mut ends: Vec<i64> =
        entries.filter_map(|entry| entry.span.resolve(anchor)).map(|(_, end)| end).collect();
    ends.sort_unstable();
    ends.into_iter().rev().nth(1).max(facts.span.newest())
}
