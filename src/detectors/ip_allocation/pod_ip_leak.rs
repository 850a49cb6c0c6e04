//! Addresses that stay reserved after their pods are gone.

use super::common::{self, about_node, node_word, on_node, per_node, refused_words};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Exhaustion, Ipam, MOST_PODS, NodeIpam, Reason};
use crate::detectors::{Chapter, Detector, Doc, Finding, Fix, Outcome, Severity, shell};
use crate::evidence::{Confidence, EXAMPLES};
use crate::facts::time;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-ip-leak",
    chapter: Chapter::IpAllocation,
    title: "Addresses stay reserved after their pods are gone",
    guide: &["2.1", "2.2"],
    needs: &[common::BOOKS, common::PODS],
    explains: &["pod-ip-exhausted", "pod-ip-pool-full", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "The network plugin reserves an address for each pod and gives it back when the pod goes. When it is not given back, the node's books fill up with addresses that nobody uses, until new pods stay in ContainerCreating with 'no IP addresses available in range set', 'No available addresses' or 'not enough IPs available'.",
        decision: "Per node: every address that a source reserves (host-local files or their listing, azure-vnet-ipam.json, azure-vnet.json, Azure CNS, Calico's blocks, CiliumNode, whereabouts) against the live pods of that node with an address of their own (not hostNetwork, not Succeeded or Failed), against tunnels, load balancers and nodes, and against the sandboxes that crictl lists. What nobody holds is an orphan. Orphans younger than 15 minutes are left out where the source has useful times; five older ones, or three whose sandbox the runtime does not know, are a fact; where ages are unknown the difference must be larger than pods in the making explain. Books and pods of different times lower the confidence, and bare numbers are never more than likely. A NodeNetworkConfig leases in batches, so a pool larger than the pods is normal: a leak is suspected when the node also refuses pods, or when someone counted by hand. Orphans of short lives, or whose sandboxes have merely ended, are 'pod-ip-churn' instead. The guide's own sentence has it the wrong way round: a leak is far more addresses than pods.",
        action: "Drain the node, then reimage or replace it: that empties the books. On kubenet, stale files may also be deleted while the node is drained; with Azure CNS, restart azure-cns first; with Calico, release what `calicoctl ipam check` reports. Upgrade the node image: leaks of old plugin versions are fixed there. If orphans come back, the plugin has a bug: open a ticket with this report.",
        reference: "Azure Architecture Center: Troubleshoot network problems in AKS clusters, pod fails to allocate the IP address. containernetworking/plugins: host-local. Azure/azure-container-networking. Calico: calicoctl ipam check.",
    },
    detect,
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings = per_node(cluster, Reason::Leak, &DETECTOR, "addresses stay reserved", node);
    findings.extend(calico(cluster));
    let undecided = if findings.is_empty() { undecided(cluster) } else { None };
    Outcome { findings, undecided, ..Outcome::default() }
}

/// Why nothing could be decided, although something was there.
pub(super) fn undecided(cluster: &Cluster) -> Option<String> {
    let books = &cluster.ledger.books;
    let comparable = |books: &NodeIpam| {
        books.pods_known
            && books.lease.as_ref().is_none_or(|lease| lease.foreign == 0 && lease.allocated.is_some())
    };
    if books.is_empty() || books.iter().any(comparable) {
        return None;
    }
    let foreign = books.iter().any(|books| books.lease.as_ref().is_some_and(|lease| lease.foreign > 0));
    let why = if foreign {
        "the pods' addresses are not of the subnet that the NodeNetworkConfigs name, so the two can't be compared"
    } else {
        "no node has both its addresses and all its pods in the bundle"
    };
    Some(why.to_owned())
}

fn node(found: &Exhaustion, books: Option<&NodeIpam>) -> Option<Finding> {
    let books = books?;
    let orphans: Vec<_> = books.leaked().collect();
    let (count, of) = match &books.lease {
        Some(lease) => (lease.allocated?.saturating_sub(books.pods as u64), lease.allocated),
        None if books.counted => (books.surplus(), Some(books.allocated())),
        None if orphans.is_empty() => (books.allocated(), books.capacity()),
        None => (orphans.len() as u64, Some(books.allocated())),
    };
    let who = on_node(&books.node);
    let title = match (of, books.pods_known) {
        (Some(of), true) if books.lease.is_some() => {
            format!("{who}: {count} of {of} allocated addresses have no pod")
        }
        (Some(of), true) => format!("{who}: {count} of {of} reserved pod addresses belong to no live pod"),
        _ if !orphans.is_empty() => format!("{who}: {count} reserved pod addresses belong to no sandbox"),
        _ => format!("{who}: {count} addresses reserved, more than a node may have pods"),
    };
    let places = orphans.iter().take(EXAMPLES).map(|orphan| orphan.evidence()).collect();
    let mut finding = about_node(&DETECTOR, found, Some(books), title, places)?;
    finding.severity = severity(found, books, count);
    finding.count = count;
    finding.unit = "address";
    let times: Vec<i64> = orphans.iter().filter_map(|orphan| orphan.written).collect();
    if let Some(span) = times.iter().min().copied().zip(times.iter().max().copied()) {
        finding.seen(Some(span));
    }
    finding.cause = cause(found, books, count, &times);
    finding.fix = fix(books);
    finding.verify = verify(books);
    Some(finding)
}

/// What it does to the user: nothing yet, as long as there is room.
pub(super) fn severity(found: &Exhaustion, books: &NodeIpam, count: u64) -> Severity {
    let free = books.larger().free();
    match () {
        () if found.refused.count > 0 && found.sure >= Confidence::Likely => Severity::Critical,
        () if books.lease.is_none() && free.is_some_and(|free| free <= 2) => Severity::Critical,
        () if found.sure == Confidence::Possible => Severity::Medium,
        () if books.waiting > 0 || count * 2 > books.allocated() => Severity::High,
        () => Severity::Medium,
    }
}

/// Since when, in words.
pub(super) fn ages(books: &NodeIpam, times: &[i64]) -> String {
    match (books.aged, times.iter().min(), times.iter().max()) {
        (true, Some(first), Some(last)) if first == last => {
            format!(" It was reserved at {}.", time::show(*first))
        }
        (true, Some(first), Some(last)) => {
            format!(" They were reserved between {} and {}.", time::show(*first), time::show(*last))
        }
        _ if books.counted || books.lease.is_some() => String::new(),
        _ => " The source does not tell since when.".to_owned(),
    }
}

fn cause(found: &Exhaustion, books: &NodeIpam, count: u64, times: &[i64]) -> String {
    let refused = refused_words(&found.refused);
    if let Some(lease) = &books.lease {
        let hand = if books.counted { " (counted by hand)" } else { "" };
        let spare = format!(
            "Azure CNS keeps up to {} spare addresses, so the numbers alone prove nothing.",
            lease.normal_spare
        );
        let observed = if found.refused.count > 0 {
            "It refuses pods nevertheless, so addresses must be assigned to pods that are gone.".to_owned()
        } else {
            spare
        };
        return format!(
            "The node has {} addresses, and {} live pods hold one{hand}: {count} are free or leaked. {observed}{refused} Which ones are leaked is in the books of azure-cns (curl localhost:10090/debug/ipaddresses on the node).",
            lease.allocated.unwrap_or(0),
            books.pods
        );
    }
    if !books.pods_known && books.orphans.is_empty() {
        let most = books.max_pods.unwrap_or(MOST_PODS);
        return format!(
            "The books hold {} addresses for {} sandboxes; the node may run {most} pods at most. The pods are not in the bundle, so the leaked addresses can't be told from the others.{refused}",
            books.allocated(),
            books.sandboxes
        );
    }
    let by_hand = if books.counted {
        " These are numbers that someone counted: the leaked addresses are not known by name."
    } else {
        ""
    };
    let runtime = if books.runtime_known { " crictl lists no sandbox for them that runs." } else { "" };
    let waiting = if books.waiting_pods.is_empty() {
        String::new()
    } else {
        format!(
            " Waiting for an address: {}{}.",
            books.waiting_pods.join(", "),
            if books.waiting > books.waiting_pods.len() { ", …" } else { "" }
        )
    };
    let why = if books.aged || books.runtime_known {
        "The network plugin fails to release addresses on deletion."
    } else {
        "Nothing points to short-lived pods, so the network plugin most likely fails to release addresses on deletion."
    };
    let later = if books.newer_pods > 0 {
        " The books were taken before the pods were listed, so some may have been given back since."
    } else {
        ""
    };
    format!(
        "{} has {} addresses reserved for pods on this node, and {count} were not given back: the node has {} live pods with an address of their own.{by_hand}{}{runtime}{refused}{waiting}{later} {why}",
        books.ipam.label(),
        books.allocated(),
        books.pods,
        ages(books, times),
    )
}

fn fix(books: &NodeIpam) -> Fix {
    let name = node_word(&books.node);
    let mut commands = Vec::new();
    let text = match books.ipam {
        Ipam::NodeNetworkConfig | Ipam::CnsPool | Ipam::CnsEndpoints => {
            commands.push(format!(
                "kubectl delete pod -n kube-system -l k8s-app=azure-cns --field-selector spec.nodeName={name}"
            ));
            "Restart azure-cns on the node: it rebuilds its books from the running pods. If the gap stays, drain and reimage the node, and send this report to Microsoft support."
        }
        Ipam::Calico => {
            commands.extend([
                "calicoctl ipam check --show-problem-ips -o ipam-report.json".to_owned(),
                "calicoctl datastore migrate lock".to_owned(),
                "calicoctl ipam release --from-report=ipam-report.json".to_owned(),
                "calicoctl datastore migrate unlock".to_owned(),
            ]);
            "Release the leaked addresses with calicoctl, with the datastore locked, so that none that is just being given out is freed. Then update Calico: its controllers clean up by themselves."
        }
        Ipam::Whereabouts => {
            commands.push(
                "kubectl create job -n kube-system --from=cronjob/ip-reconciler ip-reconciler-now".to_owned(),
            );
            "Let whereabouts' reconciler remove reservations without pods, and check that its schedule runs."
        }
        Ipam::Cilium => {
            commands.push(format!(
                "kubectl delete pod -n kube-system -l k8s-app=cilium --field-selector spec.nodeName={name}"
            ));
            "Restart the Cilium agent on the node: it gives back addresses of endpoints that are gone."
        }
        Ipam::HostLocal | Ipam::AzureVnetIpam | Ipam::AzureVnet => {
            "Replace the node: drain it, delete its machine, and scale the pool back. The books go with the machine. If orphans return, send this report to Microsoft support: that is a plugin bug."
        }
    };
    let mut text = text.to_owned();
    if matches!(books.ipam, Ipam::HostLocal | Ipam::AzureVnetIpam | Ipam::AzureVnet) {
        commands.extend([
            format!("kubectl cordon {name}"),
            format!("kubectl drain {name} --ignore-daemonsets --delete-emptydir-data"),
            format!("az aks nodepool delete-machines -g RESOURCE_GROUP --cluster-name CLUSTER --nodepool-name POOL --machine-names {name}"),
            "az aks nodepool scale -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --node-count COUNT   # as many as before".to_owned(),
        ]);
    }
    if books.ipam == Ipam::HostLocal {
        text.push_str(" kubenet support ends on 31 March 2028: plan the move to Azure CNI Overlay.");
    }
    Fix { text, commands, manifests: Vec::new() }
}

pub(super) fn verify(books: &NodeIpam) -> Vec<String> {
    let name = node_word(&books.node);
    let reserved = match books.ipam {
        Ipam::HostLocal => {
            let network = if books.network.is_empty() { "kubenet".to_owned() } else { shell(&books.network) };
            format!("ls /var/lib/cni/networks/{network} | grep -v -e lock -e last | wc -l   # on the node: reserved addresses")
        }
        Ipam::AzureVnetIpam | Ipam::AzureVnet => "grep -c '\"InUse\": true' /var/run/azure-vnet-ipam.json   # on the node: reserved addresses".to_owned(),
        Ipam::Calico => "calicoctl ipam check   # 0 IPs that are allocated in IPAM but not actually in use".to_owned(),
        Ipam::Cilium => format!("kubectl get ciliumnode {name} -o json | jq '.status.ipam.used | length'"),
        Ipam::Whereabouts => "kubectl get ippools.whereabouts.cni.cncf.io -A -o json | jq '[.items[].spec.allocations | length] | add'".to_owned(),
        Ipam::NodeNetworkConfig | Ipam::CnsPool | Ipam::CnsEndpoints => {
            "curl -s localhost:10090/debug/ipaddresses -d '{\"IPConfigStateFilter\":[\"Assigned\"]}' | jq '.IPConfigurationStatus | length'   # on the node: assigned addresses".to_owned()
        }
    };
    vec![
        reserved,
        format!(
            "kubectl get pods -A --field-selector spec.nodeName={name},status.phase=Running -o json | jq '[.items[] | select(.spec.hostNetwork != true)] | length'   # the two numbers are close"
        ),
    ]
}

/// What `calicoctl ipam check` found by itself, where the blocks are not in the bundle; and a pool that is
/// nearly used up, far beyond the pods.
fn calico(cluster: &Cluster) -> Vec<Finding> {
    let blocks = cluster.ledger.books.iter().any(|books| books.ipam == Ipam::Calico);
    let mut findings = Vec::new();
    let live = cluster
        .facts
        .objects
        .pods
        .iter()
        .filter(|(_, seen)| !seen.object.ended() && !seen.object.spec.host_network)
        .count() as u64;
    let refused = cluster
        .ledger
        .refused
        .values()
        .any(|refused| refused.signals.contains_key(&crate::facts::Signal::CalicoFull));
    for (place, report) in cluster.facts.nodes.calico_reports.iter().filter(|_| !blocks) {
        let evidence =
            |words: &str| vec![crate::evidence::Evidence::line(&place.source, place.line, words.as_bytes())];
        let leaked = report.not_in_use.unwrap_or(0).max(report.leaked.len() as u64);
        if leaked > 0 {
            let title = format!("Calico: {leaked} addresses are allocated and not in use");
            let words = format!("Found {leaked} IPs that are allocated in IPAM but not actually in use.");
            let Some(mut finding) =
                Finding::new(DETECTOR.id, "calicoctl ipam check", title, evidence(&words))
            else {
                continue;
            };
            // Its check takes tunnels of IPv6 for leaks, and a node has one.
            finding.confidence = if leaked > 5 { Confidence::Confirmed } else { Confidence::Likely };
            finding.severity = if leaked > 20 { Severity::High } else { Severity::Medium };
            finding.count = leaked;
            finding.unit = "address";
            finding.detail("ipam", "calico");
            finding.detail(
                "leaked",
                report
                    .leaked
                    .iter()
                    .take(common::NAMED)
                    .map(common::Leaked::of_calicoctl)
                    .collect::<Vec<_>>(),
            );
            finding.cause = format!(
                "calicoctl's own check found {leaked} addresses that its blocks record and no workload or node uses{}. It takes IPv6 tunnel addresses for leaks, so a few of them may be harmless.",
                report.allocations.map_or_else(String::new, |all| format!(", of {all} allocations"))
            );
            finding.fix = fix(&NodeIpam { ipam: Ipam::Calico, ..NodeIpam::default() });
            finding.verify = verify(&NodeIpam { ipam: Ipam::Calico, ..NodeIpam::default() });
            findings.push(finding);
        }
        for row in report.uses.iter().filter(|row| row.pool && row.total > 0) {
            let pods_known = cluster.ledger.pods_listed;
            let full = row.used * 10 >= row.total * 9;
            let beyond = pods_known && row.used > live * 2 + 50;
            if leaked > 0 || !(beyond || (full && refused)) {
                continue;
            }
            let title = format!(
                "Calico pool {}: {} of {} addresses in use{}",
                row.range,
                row.used,
                row.total,
                if pods_known { format!(", for {live} live pods") } else { String::new() }
            );
            let words = format!("IP Pool {} total {} in use {}", row.range, row.total, row.used);
            let Some(mut finding) =
                Finding::new(DETECTOR.id, &format!("calico pool {}", row.range), title, evidence(&words))
            else {
                continue;
            };
            finding.confidence = if beyond { Confidence::Likely } else { Confidence::Possible };
            finding.severity = if full { Severity::Critical } else { Severity::High };
            finding.count = row.used.saturating_sub(if pods_known { live } else { 0 });
            finding.unit = "address";
            finding.detail("ipam", "calico");
            finding.detail("allocated", row.used);
            finding.detail("capacity", row.total);
            finding.cause = if beyond {
                format!(
                    "The pool has {} addresses in use and the cluster has {live} live pods: most of them belong to pods that are gone.",
                    row.used
                )
            } else {
                format!(
                    "The pool is nearly used up and pods are refused: either it is too small for the pods, which are not in the bundle, or addresses were not given back. {} addresses are more than most clusters have pods.",
                    row.used
                )
            };
            finding.fix = fix(&NodeIpam { ipam: Ipam::Calico, ..NodeIpam::default() });
            finding.verify = verify(&NodeIpam { ipam: Ipam::Calico, ..NodeIpam::default() });
            findings.push(finding);
        }
    }
    findings
}
