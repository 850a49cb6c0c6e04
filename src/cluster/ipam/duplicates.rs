//! Addresses with two owners: two live pods, two sandboxes in one CNI's state, or one that the endpoint
//! state gives to a pod while Azure CNS thinks that it is free.

use std::collections::BTreeMap;
use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt};

use super::account::Context;
use crate::evidence::Evidence;
use crate::facts::{Form, Holding, Pod, Records};

/// An address with two owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The address.
    pub ip: IpAddr,
    /// Pods or sandboxes.
    pub owners: Vec<String>,
    /// The nodes.
    pub nodes: Vec<String>,
    /// How it shows.
    pub kind: DuplicateKind,
    /// Where.
    pub evidence: Vec<Evidence>,
}

/// How a duplicate shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DuplicateKind {
    /// Two live pods tell the same address, and so do the objects themselves.
    Pods,
    /// Two rows of tables do, which don't tell whether pods use the node's network.
    Rows,
    /// A CNI's state names two sandboxes.
    Sandboxes,
    /// The endpoints give it to a pod, and the pool calls it available.
    OwnedAndFree,
}

/// Most that are told.
const MOST: usize = 1000;

pub(super) fn find(context: &Context<'_>) -> Vec<Duplicate> {
    let mut found = of_pods(context);
    found.extend(of_books(context));
    found.sort_by(|a, b| (a.kind, a.ip, &a.owners).cmp(&(b.kind, b.ip, &b.owners)));
    found.truncate(MOST);
    found
}

fn of_pods(context: &Context<'_>) -> Vec<Duplicate> {
    let objects = &context.facts.objects;
    let ready = |node: &str| {
        let Some(seen) = objects.nodes.get("", node) else { return !context.nodes.listed };
        seen.object
            .status
            .conditions
            .iter()
            .all(|condition| &*condition.r#type != "Ready" || &*condition.status == "True")
    };
    let mut found = Vec::new();
    for (ip, pods) in &context.pods.shared {
        // A pod that is being deleted, or whose node is lost, tells an address that was given on.
        let sure: Vec<&&Pod> = pods
            .iter()
            .filter(|pod| {
                pod.metadata.deletion_timestamp.is_empty()
                    && &*pod.status.phase == "Running"
                    && ready(&pod.spec.node_name)
            })
            .collect();
        if sure.len() < 2 || context.is_of_a_node(ip) {
            continue;
        }
        let mut evidence = Vec::new();
        let mut rows = false;
        for pod in &sure {
            let key = crate::facts::Key {
                namespace: pod.metadata.namespace.clone(),
                name: pod.metadata.name.clone(),
            };
            if let Some(seen) = objects.pods.get(&key.namespace, &key.name) {
                rows |= seen.form < Form::Describe;
                evidence.extend(seen.evidence("Pod", &key).into_iter().take(1));
            }
        }
        let mut nodes: Vec<String> = sure.iter().map(|pod| pod.spec.node_name.to_string()).collect();
        nodes.sort();
        nodes.dedup();
        found.push(Duplicate {
            ip: *ip,
            owners: sure
                .iter()
                .map(|pod| format!("{}/{}", pod.metadata.namespace, pod.metadata.name))
                .collect(),
            nodes,
            kind: if rows { DuplicateKind::Rows } else { DuplicateKind::Pods },
            evidence,
        });
    }
    found
}

fn of_books(context: &Context<'_>) -> Vec<Duplicate> {
    let mut found = Vec::new();
    // What CNS thinks is free, by node: endpoints and pool of one node lie in one folder, mostly.
    let mut free: HashMap<IpAddr, (&str, Evidence)> = HashMap::new();
    let books = || context.facts.address_books.books.iter();
    for ((place, _), book) in books().filter(|(_, book)| book.records == Some(Records::CnsPool)) {
        for entry in book.entries.iter().filter(|entry| entry.holding == Holding::Available) {
            let words = format!("{} is Available in the pool of azure-cns", entry.ip);
            free.insert(
                entry.ip,
                (&place.source, Evidence::line(&place.source, place.line, words.as_bytes())),
            );
        }
    }
    for ((place, _), book) in books() {
        let Some(records @ (Records::AzureVnet | Records::CnsEndpoints)) = book.records else { continue };
        let mut by_ip: BTreeMap<IpAddr, Vec<_>> = BTreeMap::new();
        for entry in &book.entries {
            by_ip.entry(entry.ip).or_default().push(entry);
        }
        let node =
            context.nodes.in_path(&place.source).or(book.node.as_deref()).unwrap_or_default().to_owned();
        for (ip, mut entries) in by_ip {
            let text = |namespace: &str, pod: &str, sandbox: &str| {
                if pod.is_empty() { format!("sandbox {sandbox}") } else { format!("{namespace}/{pod}") }
            };
            entries.dedup_by(|a, b| a.sandbox == b.sandbox);
            let owners: Vec<String> =
                entries.iter().map(|entry| text(&entry.namespace, &entry.pod, &entry.sandbox)).collect();
            let words = format!("{ip}: {}", owners.join(", "));
            let mut evidence = vec![Evidence::line(&place.source, place.line, words.as_bytes())];
            let nodes = if node.is_empty() { Vec::new() } else { vec![node.clone()] };
            if entries.len() > 1 {
                found.push(Duplicate { ip, owners, nodes, kind: DuplicateKind::Sandboxes, evidence });
            } else if records == Records::CnsEndpoints
                && let Some((_, other)) = free.get(&ip)
            {
                evidence.push(other.clone());
                found.push(Duplicate { ip, owners, nodes, kind: DuplicateKind::OwnedAndFree, evidence });
            }
        }
    }
    found
}
