//! Addresses that stay reserved after their pods are gone.

use std::net::IpAddr;

use serde::Serialize;

use crate::cluster::Cluster;
use crate::cluster::ipam::{MOST_PODS, PoolBooks, StoreBooks};
use crate::detectors::{Chapter, Confidence, Detector, Doc, Finding, Fix, Need, Outcome, Severity, SubjectRef, shell};
use crate::evidence::{EXAMPLES, Evidence};
use crate::facts::time;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-ip-leak",
    chapter: Chapter::IpAllocation,
    title: "Addresses stay reserved after their pods are gone",
    guide: &["2.1", "2.2", "2.3"],
    needs: &[
        Need {
            what: "an IPAM store or its listing, per node",
            why: "it names every address that is reserved on the node",
            command: "kubectl get nnc -n kube-system -o json > nnc.json   # Azure CNI with dynamic addresses\nfor node in $(kubectl get nodes -o name); do kubectl debug $node -i --image=mcr.microsoft.com/azure-cli -- chroot /host sh -c 'ls -la --full-time /var/lib/cni/networks/*/' > ipam-${node#node/}.txt; done   # kubenet",
            met: |cluster| !cluster.ledger.stores.is_empty() || !cluster.ledger.pools.is_empty(),
        },
        Need {
            what: "the pods of all namespaces",
            why: "an address is leaked when no live pod of its node holds it",
            command: "kubectl get pods -A -o json > pods.json",
            met: |cluster| !cluster.facts.objects.pods.is_empty(),
        },
    ],
    explains: &[],
    doc: Doc {
        meaning: "The network plugin reserves an address for each pod and gives it back when the pod goes. When it is not given back, the node's store fills up with addresses that nobody uses, until new pods stay in ContainerCreating with 'no IP addresses available in range set', 'No available addresses' or 'not enough IPs available'.",
        decision: "Per node: addresses reserved in the store, against live pods of that node that have an address of their own (not hostNetwork, not Succeeded or Failed). An address is an orphan when no live pod of the node holds it and neither does its sandbox; of dual-stack sandboxes either address counts. Orphans younger than 15 minutes are left out where the listing has useful times. Several orphans older than that are a fact; where ages are unknown, the difference must be larger than pods in the making explain. For dynamic Azure CNI the pool is leased in batches of 16, so a pool larger than the pods is normal: a leak is suspected only when the node also refuses pods for want of an address. The guide's own sentence has it the wrong way round: a leak is far more addresses than pods.",
        action: "Drain the node, then reimage or replace it: that empties the store. On kubenet, stale files may also be deleted while the node is drained. Upgrade the node image: leaks of old plugin versions are fixed there. If orphans come back within days, pods are made faster than they are cleaned up, or the plugin has a bug: open a ticket with this report.",
        reference: "Azure Architecture Center: Troubleshoot network problems in AKS clusters, pod fails to allocate the IP address. containernetworking/plugins: host-local.",
    },
    judge,
};

/// How many addresses a finding names; the rest is counted.
const NAMED: usize = 250;

fn judge(cluster: &Cluster) -> Outcome {
    let ledger = &cluster.ledger;
    let findings: Vec<_> =
        ledger.stores.iter().filter_map(store).chain(ledger.pools.iter().filter_map(pool)).collect();
    let decided = ledger.stores.iter().any(|books| books.pods_known)
        || ledger.pools.iter().any(|books| books.pods_known && books.foreign == 0 && books.allocated.is_some());
    let foreign = ledger.pools.iter().any(|books| books.foreign > 0);
    let undecided = (!decided && findings.is_empty()).then(|| {
        if foreign {
            "the pods' addresses are not of the subnet that the NodeNetworkConfigs name, so the two can't be compared"
        } else {
            "no node has both its addresses and its pods in the bundle"
        }
        .to_owned()
    });
    Outcome { findings, undecided }
}

/// How sure the books make us that this is a leak; `None` for not at all.
fn judged(books: &StoreBooks) -> Option<Confidence> {
    let orphans = books.orphans.len();
    if !books.pods_known {
        // Without pods only one thing is sure: no node runs more pods than it may.
        let most = books.max_pods.unwrap_or(MOST_PODS);
        return (books.sandboxes > most).then_some(Confidence::Likely);
    }
    if books.aged {
        return match books.leaked().count() {
            0 => None,
            old if old >= 5 => Some(Confidence::Confirmed),
            _ => Some(Confidence::Likely),
        };
    }
    let in_the_making = books.waiting + 5;
    if orphans <= in_the_making {
        return None;
    }
    let plain = orphans >= 20 && orphans * 2 >= books.allocated && orphans > in_the_making * 2;
    Some(if plain { Confidence::Confirmed } else { Confidence::Possible })
}

fn store(books: &StoreBooks) -> Option<Finding> {
    let confidence = judged(books)?;
    let leaked: Vec<_> = books.leaked().collect();
    let count = if books.pods_known { leaked.len() } else { books.allocated };
    let of = books.capacity.map_or_else(String::new, |capacity| format!(" of {capacity}"));
    let title = if books.pods_known {
        format!(
            "Node {}: {count} leaked pod addresses ({} reserved{of}, {} live pods)",
            books.node, books.allocated, books.pods
        )
    } else {
        format!(
            "Node {}: {} addresses reserved{of}, more than a node may have pods",
            books.node, books.allocated
        )
    };
    let mut places: Vec<Evidence> = books.refused_at.iter().take(2).cloned().collect();
    places.extend(leaked.iter().map(|orphan| orphan.place.clone()).take(EXAMPLES));
    let mut finding = Finding::new(DETECTOR.id, &format!("{} {}", books.node, books.network), title, places)?;
    finding.confidence = confidence;
    let free = books.capacity.map(|capacity| capacity.saturating_sub(books.sandboxes as u64));
    finding.severity = match (free, books.waiting) {
        (Some(free), _) if free <= 2 => Severity::Critical,
        (_, waiting) if waiting > 0 => Severity::Critical,
        _ if count * 2 > books.allocated => Severity::High,
        _ => Severity::Medium,
    };
    finding.count = count as u64;
    finding.subjects =
        vec![SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: books.node.clone() }];
    let times: Vec<i64> = leaked.iter().filter_map(|orphan| orphan.written).collect();
    if books.aged {
        finding.seen(times.iter().min().copied().zip(times.iter().max().copied()));
    }
    store_details(books, &leaked, &mut finding);
    finding.cause = store_cause(books, count, &times);
    finding.fix = fix(&books.node, true);
    finding.verify = verify(&books.node, &books.network);
    Some(finding)
}

#[derive(Serialize)]
struct Leaked<'a> {
    ip: IpAddr,
    sandbox: Option<&'a str>,
    reserved: Option<String>,
}

fn store_details(
    books: &StoreBooks,
    leaked: &[&crate::cluster::ipam::Orphan],
    finding: &mut Finding,
) {
    finding.detail("ipam", "host-local");
    finding.detail("network", &books.network);
    finding.detail("store", &books.place);
    finding.detail("also_seen", &books.also);
    finding.detail("node_known_by", books.node_known_by);
    finding.detail("allocated", books.allocated);
    finding.detail("in_use", books.pods_known.then_some(books.pods));
    finding.detail("matched", books.matched);
    finding.detail("capacity", books.capacity);
    finding.detail("ranges", &books.ranges);
    finding.detail("waiting_pods", books.waiting);
    finding.detail("refusals", books.refusals);
    finding.detail("ages_known", books.aged);
    if !books.elsewhere.is_empty() {
        finding.detail("held_by_pods_of_other_nodes", &books.elsewhere);
    }
    let named: Vec<Leaked<'_>> = leaked
        .iter()
        .take(NAMED)
        .map(|orphan| Leaked {
            ip: orphan.ip,
            sandbox: orphan.sandbox.as_deref(),
            reserved: orphan.written.map(time::rfc3339_text),
        })
        .collect();
    if books.pods_known {
        finding.detail("leaked", named);
        finding.detail("leaked_not_named", leaked.len().saturating_sub(NAMED));
    }
}

fn store_cause(books: &StoreBooks, count: usize, times: &[i64]) -> String {
    if !books.pods_known {
        let most = books.max_pods.unwrap_or(MOST_PODS);
        return format!(
            "The store holds {} addresses for {} sandboxes; the node may run {most} pods at most. The pods are not in the bundle, so the leaked addresses can't be told from the others.",
            books.allocated, books.sandboxes
        );
    }
    let age = match (books.aged, times.iter().min(), times.iter().max()) {
        (true, Some(first), Some(last)) => {
            format!(" They were reserved between {} and {}.", time::show(*first), time::show(*last))
        }
        _ => " The listing does not tell since when.".to_owned(),
    };
    let refused = match books.refusals {
        0 => String::new(),
        1 => " A pod was refused because no address was left.".to_owned(),
        n => format!(" Pods were refused {n} times because no address was left."),
    };
    let waiting = match books.waiting_pods.as_slice() {
        [] => String::new(),
        pods => format!(" Waiting for an address: {}{}.", pods.join(", "), if books.waiting > pods.len() { ", …" } else { "" }),
    };
    let share = if count * 2 > books.allocated { "most" } else { "some" };
    format!(
        "The network plugin reserved {} addresses on this node and {share} were not given back: {count} belong to no live pod of the node (it has {} with an address of its own).{age}{refused}{waiting} Either the plugin fails to release on deletion, or pods are made faster than ended ones are cleaned up.",
        books.allocated, books.pods
    )
}

fn fix(node: &str, files: bool) -> Fix {
    let known = !node.starts_with('(');
    let name = if known { shell(node) } else { "NODE".to_owned() };
    let mut text = "Replace the node: drain it, delete its machine, and scale the pool back. The store goes with the machine. If orphans return, send this report to Microsoft support: that is a plugin bug; and tune the kubelet's garbage collection if many short-lived pods run here.".to_owned();
    if files {
        text.push_str(" kubenet support ends on 31 March 2028: plan the move to Azure CNI Overlay.");
    }
    let commands = vec![
        format!("kubectl cordon {name}"),
        format!("kubectl drain {name} --ignore-daemonsets --delete-emptydir-data"),
        format!("az aks nodepool delete-machines -g RESOURCE_GROUP --cluster-name CLUSTER --nodepool-name POOL --machine-names {name}"),
        "az aks nodepool scale -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --node-count COUNT   # as many as before".to_owned(),
    ];
    Fix { text, commands, manifests: Vec::new() }
}

fn verify(node: &str, network: &str) -> Vec<String> {
    let name = if node.starts_with('(') { "NODE".to_owned() } else { shell(node) };
    let network = if network.is_empty() { "kubenet".to_owned() } else { shell(network) };
    vec![
        format!("ls /var/lib/cni/networks/{network} | grep -c '[.:]'   # on the node: reserved addresses (last_reserved_ip.0 counts as one)"),
        format!("kubectl get pods -A --field-selector spec.nodeName={name},status.phase=Running -o json | jq '[.items[] | select(.spec.hostNetwork != true)] | length'   # the two numbers are close"),
    ]
}

/// Dynamic Azure CNI: suspected only when the pool refuses although pods do not use it up.
fn pool(books: &PoolBooks) -> Option<Finding> {
    let allocated = books.allocated? as usize;
    if !books.pods_known || books.foreign > 0 || books.refusals == 0 {
        return None;
    }
    let unaccounted = allocated.checked_sub(books.pods).filter(|rest| *rest > 4)?;
    let title = format!(
        "Node {}: {unaccounted} of {allocated} pool addresses have no pod, and still none is left",
        books.node
    );
    let mut places = books.refused_at.clone();
    places.extend(books.places.iter().cloned());
    let mut finding = Finding::new(DETECTOR.id, &books.node, title, places)?;
    finding.confidence = Confidence::Likely;
    finding.severity = Severity::Critical;
    finding.count = unaccounted as u64;
    finding.subjects =
        vec![SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: books.node.clone() }];
    finding.detail("ipam", "azure-cns");
    finding.detail("allocated", allocated);
    finding.detail("requested", books.requested);
    finding.detail("in_use", books.pods);
    finding.detail("capacity", allocated);
    finding.detail("subnet", &books.subnet);
    finding.detail("container_status", &books.status);
    finding.detail("waiting_pods", books.waiting);
    finding.detail("refusals", books.refusals);
    if books.named {
        finding.detail("not_held_by_a_pod", books.unheld.iter().take(NAMED).collect::<Vec<_>>());
    }
    finding.cause = format!(
        "Azure CNS has {allocated} addresses for this node; {} live pods hold one. CNS refused {} times because none was left, so up to {unaccounted} are assigned to pods that are gone. {}",
        books.pods,
        books.refusals,
        if books.status == "NCUpdateSubnetFullError" {
            "The pod subnet is full too, so the pool can't grow."
        } else {
            "Which ones can be told from CNS's own books (curl localhost:10090/debug/ipaddresses on the node)."
        }
    );
    finding.fix = Fix {
        text: "Restart azure-cns on the node: it rebuilds its books from the running pods. If the gap stays, drain and reimage the node, and send this report to Microsoft support.".to_owned(),
        commands: vec![
            format!("kubectl delete pod -n kube-system -l k8s-app=azure-cns --field-selector spec.nodeName={}", shell(&books.node)),
        ],
        manifests: Vec::new(),
    };
    finding.verify = vec![
        format!("kubectl get nnc -n kube-system {} -o wide   # ALLOCATED IPS follows the number of pods", shell(&books.node)),
    ];
    Some(finding)
}
