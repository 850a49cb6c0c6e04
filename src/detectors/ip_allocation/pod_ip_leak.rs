//! Pod IPs that stay allocated after their pods are gone.

use super::common::{self, about_node, node_word, on_node, per_node, refused_words};
use crate::cluster::Cluster;
use crate::cluster::ipam::{Exhaustion, Ipam, MOST_PODS, NodeIpam, Reason};
use crate::detectors::details::number;
use crate::detectors::observed::counted;
use crate::detectors::{Chapter, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, shell};
use crate::evidence::{Confidence, EXAMPLES};
use crate::facts::time;

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-ip-leak",
    chapter: Chapter::IpAllocation,
    title: "Leaked pod IPs (IPAM)",
    needs: &[common::BOOKS, common::PODS],
    explains: &["pod-ip-exhausted", "pod-ip-pool-full", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "The CNI plugin allocates an IP for each pod and releases it when the pod is deleted. When it does not, the node's IPAM state fills up with IPs that no pod uses, until new pods stay in ContainerCreating with `no IP addresses available in range set`, `No available addresses` or `not enough IPs available`.",
        decision: "Per node: every IP that a source has allocated (host-local files or their listing, azure-vnet-ipam.json, azure-vnet.json, Azure CNS, Calico blocks, CiliumNode, whereabouts) is compared with the node's pods that have their own IP (not hostNetwork, not Succeeded or Failed), with tunnels, load balancers and nodes, and with the sandboxes that crictl lists. IPs without an owner count as leaked, except those younger than 15 minutes where the source has useful times. Five older ones, or three whose sandbox the runtime does not know, are enough; where ages are unknown, the difference must exceed what starting pods explain. Sources and pods of different times lower the confidence, and counted numbers are at most likely. A NodeNetworkConfig allocates in batches, so a pool larger than the pods is normal: a leak is suspected when the node also refuses pods, or when someone counted by hand. IPs of short-lived pods, or with sandboxes that are merely stopped, are pod-ip-churn instead.",
        action: "Cordon the node; then clear its IPAM state: host-local and azure-vnet with the node (drain and replace), Azure CNS and Cilium by a restart of the agent, Calico with calicoctl ipam release, whereabouts with its reconciler. If leaked IPs return, report the bug.",
        reference: "Azure Architecture Center: Troubleshoot network problems in AKS clusters, pod fails to allocate the IP address. containernetworking/plugins: host-local. Azure/azure-container-networking. Calico: calicoctl ipam check.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut findings = per_node(cluster, Reason::Leak, &DETECTOR, "leaked pod IPs", |found, books| {
        node(cluster, found, books)
    });
    findings.extend(calico(cluster));
    let undecided = if findings.is_empty() { undecided(cluster) } else { None };
    Outcome { undecided, ..Outcome::from(findings) }
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
        "the pods' IPs are not in the subnet of the NodeNetworkConfigs, so they cannot be compared"
    } else {
        "no node has both its IPAM state and all its pods in the bundle"
    };
    Some(why.to_owned())
}

fn node(cluster: &Cluster, found: &Exhaustion, books: Option<&NodeIpam>) -> Option<Finding> {
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
            format!("{who}: {count} of {of} allocated pod IPs have no running pod")
        }
        (Some(of), true) => format!("{who}: {count} of {of} pod IPs leaked (allocated, no running pod)"),
        _ if !orphans.is_empty() => format!("{who}: {count} pod IPs leaked (allocated, no sandbox)"),
        _ => format!("{who}: {count} addresses reserved, more than max pods"),
    };
    let places = orphans.iter().take(EXAMPLES).map(|orphan| orphan.evidence()).collect();
    let mut finding = about_node(&DETECTOR, found, Some(books), title, places)?;
    finding.severity = severity(found, books, count);
    finding.count = count;
    finding.unit = "address";
    let times: Vec<i64> = orphans.iter().filter_map(|orphan| orphan.written).collect();
    // The harm begins with the first pod that gets none; the cause tells how old the leak is.
    let leaked = times.iter().min().copied().zip(times.iter().max().copied());
    if let Some(span) = found.refused.span.or(leaked) {
        finding.seen(Some(span));
    }
    finding.cause = cause(found, books, count, &times);
    finding.fix = fix(books, cluster.is_elsewhere());
    finding.verify = verify(books);
    Some(finding)
}

/// What it does to the user: nothing yet, as long as there is room.
pub(super) fn severity(found: &Exhaustion, books: &NodeIpam, count: u64) -> Severity {
    let free = books.larger().free();
    if (found.refused.count > 0 && found.sure >= Confidence::Likely)
        || (books.lease.is_none() && free.is_some_and(|free| free <= 2))
    {
        Severity::Critical
    } else if found.sure == Confidence::Possible {
        Severity::Medium
    } else if books.waiting > 0 || count * 2 > books.allocated() {
        Severity::High
    } else {
        Severity::Medium
    }
}

/// Since when, in words.
pub(super) fn ages(books: &NodeIpam, times: &[i64]) -> String {
    match (books.aged, times.iter().min(), times.iter().max()) {
        (true, Some(first), Some(last)) if first == last => {
            format!(" Reserved at {}.", time::show(*first))
        }
        (true, Some(first), Some(last)) => {
            format!(" Reserved between {} and {}.", time::show(*first), time::show(*last))
        }
        _ if books.counted || books.lease.is_some() => String::new(),
        _ => " When they were reserved is unknown.".to_owned(),
    }
}

fn cause(found: &Exhaustion, books: &NodeIpam, count: u64, times: &[i64]) -> String {
    let refused = refused_words(&found.refused);
    if let Some(lease) = &books.lease {
        let hand = if books.counted { " (numbers counted by hand)" } else { "" };
        let spare = format!(
            "Azure CNS keeps up to {} spare IPs, so the numbers alone prove no leak.",
            lease.normal_spare
        );
        let observed = if found.refused.count > 0 {
            "It refuses pods nevertheless, so IPs are assigned to pods that are gone.".to_owned()
        } else {
            spare
        };
        return format!(
            "The node has {} allocated IPs and {} with an IP{hand}: {count} are spare or leaked. {observed}{refused} The IPAM state of azure-cns shows which (curl localhost:10090/debug/ipaddresses on the node).",
            lease.allocated.unwrap_or(0),
            counted(books.pods, "running pod")
        );
    }
    if !books.pods_known && books.orphans.is_empty() {
        let most = books.max_pods.unwrap_or(MOST_PODS);
        return format!(
            "The IPAM state has {} addresses reserved for {} sandboxes; the node can run at most {most} pods. The pods are not in the bundle, so which ones leaked is unknown.{refused}",
            books.allocated(),
            books.sandboxes
        );
    }
    let by_hand = if books.counted { " These are counted numbers: which IPs leaked is unknown." } else { "" };
    let runtime = if books.runtime_known { " crictl lists no running sandbox for them." } else { "" };
    let waiting = if books.waiting_pods.is_empty() {
        String::new()
    } else {
        format!(
            " Pods waiting for an IP: {}{}.",
            books.waiting_pods.join(", "),
            if books.waiting > books.waiting_pods.len() { ", …" } else { "" }
        )
    };
    let why = if books.aged || books.runtime_known {
        "The CNI plugin does not release IPs when pods are deleted."
    } else {
        "Nothing points to short-lived pods, so most likely the CNI plugin does not release IPs when pods are deleted."
    };
    let later = if books.newer_pods > 0 {
        " The IPAM state was collected before the pods were listed, so some IPs may have been released since."
    } else {
        ""
    };
    format!(
        "{}: {} addresses reserved for {} (without hostNetwork), {count} not released.{by_hand}{}{runtime}{refused}{waiting}{later} {why}",
        books.ipam.label(),
        books.allocated(),
        counted(books.pods, "running pod"),
        ages(books, times),
    )
}

fn fix(books: &NodeIpam, elsewhere: bool) -> Fix {
    let name = node_word(&books.node);
    let mut commands = Vec::new();
    let text = match books.ipam {
        Ipam::NodeNetworkConfig | Ipam::CnsPool | Ipam::CnsEndpoints => {
            commands.push(format!(
                "kubectl delete pod -n kube-system -l k8s-app=azure-cns --field-selector spec.nodeName={name}   # restarts azure-cns on this node"
            ));
            "Restart azure-cns on the node: it rebuilds its IPAM state from the running pods. Its DaemonSet recreates the pod; new pods get no IP for some seconds. If the gap stays, open a Microsoft support ticket with this report."
        }
        Ipam::Calico => {
            commands.extend([
                "calicoctl ipam check --show-problem-ips -o ipam-report.json".to_owned(),
                "calicoctl datastore migrate lock".to_owned(),
                "calicoctl ipam release --from-report=ipam-report.json".to_owned(),
                "calicoctl datastore migrate unlock".to_owned(),
            ]);
            "Release the leaked IPs with calicoctl while the datastore is locked, so that no IP in use is released; no pod gets an IP until it is unlocked. calico-kube-controllers of current Calico versions does this by itself."
        }
        Ipam::Whereabouts => {
            commands.push(
                "kubectl create job -n kube-system --from=cronjob/ip-reconciler ip-reconciler-now".to_owned(),
            );
            "Run whereabouts' ip-reconciler, which removes reservations without pods, and check that its schedule runs."
        }
        Ipam::Cilium => {
            commands.push(format!(
                "kubectl delete pod -n kube-system -l k8s-app=cilium --field-selector spec.nodeName={name}   # restarts the agent on this node"
            ));
            "Restart the Cilium agent on the node: it releases IPs of endpoints that are gone. Existing connections continue; new pods get no IP and policies do not change until it runs again."
        }
        Ipam::HostLocal | Ipam::AzureVnetIpam | Ipam::AzureVnet if elsewhere => {
            "Cordon the node, so that new pods start on other nodes. To clear its IPAM state, drain it (this evicts its pods, and emptyDir data is lost) and remove the reservations of the leaked IPs on the drained node, or replace it."
        }
        Ipam::HostLocal | Ipam::AzureVnetIpam | Ipam::AzureVnet => {
            "Cordon the node, so that new pods start on other nodes. Its IPAM state is cleared only with the node: drain it (this evicts its pods, and emptyDir data is lost), delete its VM, and scale the pool back. If leaked IPs return, it is a plugin bug: open a Microsoft support ticket with this report."
        }
    };
    let mut text = text.to_owned();
    if matches!(books.ipam, Ipam::HostLocal | Ipam::AzureVnetIpam | Ipam::AzureVnet) {
        commands.extend([
            format!("kubectl cordon {name}"),
            format!("kubectl drain {name} --ignore-daemonsets --delete-emptydir-data   # evicts its pods"),
        ]);
    }
    if matches!(books.ipam, Ipam::HostLocal | Ipam::AzureVnetIpam | Ipam::AzureVnet) && !elsewhere {
        commands.extend([
            format!("az aks nodepool delete-machines -g RESOURCE_GROUP --cluster-name CLUSTER --nodepool-name POOL --machine-names {name}   # deletes the VM"),
            "az aks nodepool scale -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --node-count COUNT   # as many as before".to_owned(),
        ]);
    }
    if books.ipam == Ipam::HostLocal && !elsewhere {
        text.push_str(" kubenet is retired on 31 March 2028: plan the move to Azure CNI Overlay.");
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
        Ipam::Calico => return vec!["calicoctl ipam check   # 0 IPs that are allocated in IPAM but not actually in use".to_owned()],
        Ipam::Cilium => format!("kubectl get ciliumnode {name} -o json | jq '.status.ipam.used | length'   # used addresses"),
        Ipam::Whereabouts => return vec!["kubectl get ippools.whereabouts.cni.cncf.io -A -o json | jq '[.items[].spec.allocations | length] | add'   # no more than the running pods that use these pools".to_owned()],
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
            let title = format!("Calico: {leaked} leaked IPs (allocated, not in use)");
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
            finding.details.ip_allocation.ipam = Some("calico".to_string());
            finding.details.ip_allocation.leaked =
                report.leaked.iter().take(common::NAMED).map(common::leaked_of_calicoctl).collect();
            finding.cause = format!(
                "calicoctl ipam check found {leaked} IPs that are allocated in IPAM and not used by a workload or node{}. It also counts IPv6 tunnel addresses, so a few can be harmless.",
                report.allocations.map_or_else(String::new, |all| format!(", of {all} allocations"))
            );
            finding.fix = fix(&NodeIpam { ipam: Ipam::Calico, ..NodeIpam::default() }, false);
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
                "Calico IP pool {}: {} of {} IPs in use{}",
                row.range,
                row.used,
                row.total,
                if pods_known { format!(", {live} running pods") } else { String::new() }
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
            finding.details.ip_allocation.ipam = Some("calico".to_string());
            finding.details.ip_allocation.allocated = number(row.used);
            finding.details.ip_allocation.capacity = number(row.total);
            finding.cause = if beyond {
                format!(
                    "The pool has {} IPs in use, and the cluster has {live} running pods with their own IP: most of the IPs belong to pods that are gone.",
                    row.used
                )
            } else {
                format!(
                    "The pool is nearly exhausted ({} IPs in use) and pods are refused: either it is too small for the pods, which are not in the bundle, or IPs leaked.",
                    row.used
                )
            };
            finding.fix = fix(&NodeIpam { ipam: Ipam::Calico, ..NodeIpam::default() }, false);
            finding.verify = verify(&NodeIpam { ipam: Ipam::Calico, ..NodeIpam::default() });
            findings.push(finding);
        }
    }
    findings
}
