//! Azure CNI: its pool and endpoints on the node, the books of Azure CNS, and what the control plane gave.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt, HashSet};
use ipnet::IpNet;

use super::account::{Context, IpamEntry, Location, Source, of_node};
use super::pods::holds_address;
use super::{ContainerLease, Counts, Ipam, NodeIpam};
use crate::cluster::net::size;
use crate::evidence::Evidence;
use crate::facts::{AddressBook, Held, Holding, NetworkContainer, NodeNetworkConfig, Place, Records, Text};

pub(super) fn books(context: &Context<'_>) -> Vec<NodeIpam> {
    let mut books = of_files(context);
    let configs = context.facts.objects.node_network_configs.iter();
    books.extend(
        configs.map(|(key, seen)| {
            given(context, &key.name, &seen.object, seen.evidence("NodeNetworkConfig", key))
        }),
    );
    books
}

/// A file, and the node that it is of.
type File<'a> = (&'a Place, &'a AddressBook, &'static str);

fn of_files(context: &Context<'_>) -> Vec<NodeIpam> {
    let mut files: BTreeMap<(String, Records), Vec<File<'_>>> = BTreeMap::new();
    for ((place, _), book) in context.facts.address_books.books.iter() {
        let Some(records) = book.records else { continue };
        let held = book.entries.iter().filter(|entry| entry.holding == Holding::Assigned);
        let addresses: Vec<IpAddr> = held.map(|entry| entry.ip).collect();
        let (node, by) = context.nodes.of(book.node.as_deref(), &place.source, &addresses, &context.pods);
        let node = if node.is_empty() { format!("(unknown node of {})", place.source) } else { node };
        files.entry((node, records)).or_default().push((place, book, by));
    }
    // The pool of a node names addresses and endpoints; the endpoints' own file names their pods.
    let mut owners: HashMap<&str, HashMap<IpAddr, &Held>> = HashMap::new();
    for ((node, _), sights) in files.iter().filter(|((_, records), _)| *records == Records::AzureVnet) {
        let entries = sights.iter().flat_map(|(_, book, _)| &book.entries);
        owners.entry(node).or_default().extend(entries.map(|held| (held.ip, held)));
    }
    let mut all = Vec::new();
    for ((node, records), sights) in &files {
        // Copies of one file: the fullest.
        let Some((place, book, by)) =
            sights.iter().max_by_key(|(place, book, _)| (book.entries.len(), std::cmp::Reverse(*place)))
        else {
            continue;
        };
        let named = owners.get(node.as_str()).filter(|_| *records == Records::AzureVnetIpam);
        let source = file(context, (node.clone(), by), place, book, *records, named);
        let mut books = source.account(context);
        books.also = sights
            .iter()
            .map(|(other, ..)| other.source.to_string())
            .filter(|other| *other != books.place)
            .collect();
        books.ranges = book.ranges.iter().map(ToString::to_string).collect();
        all.push(books);
    }
    all
}

fn file<'a>(
    context: &Context<'_>,
    node: (String, &'static str),
    place: &'a Place,
    book: &'a AddressBook,
    records: Records,
    owners: Option<&HashMap<IpAddr, &'a Held>>,
) -> Source<'a> {
    let ipam = match records {
        Records::AzureVnet => Ipam::AzureVnet,
        Records::AzureVnetIpam => Ipam::AzureVnetIpam,
        Records::CnsEndpoints => Ipam::CnsEndpoints,
        Records::CnsPool => Ipam::CnsPool,
    };
    // A pool lists all its addresses; a file of endpoints only those in use.
    let pooled = matches!(records, Records::AzureVnetIpam | Records::CnsPool);
    let capacity = |v4: bool| {
        let count = book.entries.iter().filter(|entry| entry.ip.is_ipv4() == v4).count() as u64;
        (pooled && count > 0).then_some(count)
    };
    let entries = book.entries.iter().map(|held| {
        let given =
            owners.and_then(|owners| owners.get(&held.ip)).filter(|_| held.pod.is_empty()).unwrap_or(&held);
        IpamEntry {
            ip: held.ip,
            holding: held.holding,
            sandbox: &given.sandbox,
            owner: (!given.pod.is_empty()).then_some((&*given.namespace, &*given.pod)),
            known: false,
            written: held.since.and_then(|when| when.resolve(context.anchor)),
            place: Location(&place.source, place.line),
        }
    });
    Source {
        node,
        ipam,
        network: String::new(),
        place: place.source.to_string(),
        entries: entries.collect(),
        secondary: false,
        nodeless: false,
        capacity: [capacity(true), capacity(false)],
        evidence: vec![Evidence::line(&place.source, place.line, ipam.label().as_bytes())],
    }
}

/// What a node was given, of which the free part can't be told from the leaked one.
fn given(context: &Context<'_>, node: &str, config: &NodeNetworkConfig, evidence: Vec<Evidence>) -> NodeIpam {
    let containers = &config.status.network_containers;
    let text = |get: fn(&NetworkContainer) -> &Text| -> String {
        containers.first().map(|container| get(container).to_string()).unwrap_or_default()
    };
    let kind = text(|container| &container.r#type);
    let mut books = of_node(context, node.to_owned(), None, &BTreeSet::new());
    let assigned = || {
        containers
            .iter()
            .flat_map(|container| &*container.ip_assignments)
            .filter_map(|container| container.ip.0)
    };
    let pool: HashSet<IpAddr> =
        assigned().filter(|net| net.prefix_len() == net.max_prefix_len()).map(|net| net.addr()).collect();
    let blocks: Vec<IpNet> = assigned().filter(|net| net.prefix_len() < net.max_prefix_len()).collect();
    let overlay = kind == "overlay";
    let current: Option<IpNet> =
        if overlay { text(|container| &container.primary_ip).parse().ok() } else { None };
    let counted = config.status.assigned_ip_count.filter(|count| *count > 0);
    let named = pool.len() as u64 + blocks.iter().map(|block| size(*block)).sum::<u64>();
    let complete = named > 0 && counted.is_none_or(|count| named >= count);
    let allocated = current.map(size).or(counted).or(complete.then_some(named));
    let subnet = text(|container| &container.subnet_address_space);
    let range: Option<IpNet> = subnet.parse().ok();
    let within = |ip: &IpAddr| {
        current.is_some_and(|ours| ours.contains(ip))
            || range.is_some_and(|range| range.contains(ip))
            || pool.contains(ip)
            || blocks.iter().any(|block| block.contains(ip))
    };
    let comparable = current.is_some() || range.is_some();
    let live = || context.pods.of(node).filter(|pod| holds_address(pod));
    let foreign =
        if comparable { live().filter(|pod| !pod.addresses().any(|ip| within(&ip))).count() } else { 0 };
    let held: HashSet<IpAddr> = live().flat_map(|pod| pod.addresses().collect::<Vec<_>>()).collect();
    books.matched = live().filter(|pod| pod.addresses().any(|ip| within(&ip))).count();
    let mut unheld: Vec<IpAddr> =
        if complete { pool.iter().filter(|ip| !held.contains(ip)).copied().collect() } else { Vec::new() };
    unheld.sort();
    let scaler = &config.status.scaler;
    let batch = scaler.batch_size.filter(|batch| *batch > 0).unwrap_or(16);
    let release = scaler.release_threshold_percent.unwrap_or(150);
    let live_count = books.matched as u64;
    books.v4 = Counts { capacity: allocated, allocated: live_count, live: live_count, ..Counts::default() };
    books.ipam = Ipam::NodeNetworkConfig;
    books.node_known_by = "its name";
    books.network.clone_from(&kind);
    books.place = evidence.first().map(|evidence| evidence.source.to_string()).unwrap_or_default();
    books.evidence = evidence;
    books.sandboxes = books.matched;
    if let Some(range) = current {
        books.ranges = vec![range.to_string()];
    } else if range.is_some() {
        books.ranges = vec![subnet.clone()];
    }
    books.lease = Some(ContainerLease {
        requested: config.spec.requested_ip_count,
        allocated,
        mode: text(|container| &container.assignment_mode),
        kind,
        status: containers
            .iter()
            .map(|container| &container.status)
            .find(|status| !status.is_empty() && !status.ends_with("Success"))
            .map_or_else(|| text(|container| &container.status), ToString::to_string),
        subnet,
        subnet_name: text(|container| &container.subnet_name),
        batch,
        normal_spare: batch.saturating_mul(release) / 100,
        foreign,
        unheld,
    });
    books
}
