//! All pod IPs of a node are in use by running pods.

use super::common::{self, about_node, on_node, per_node, refused_words};
use crate::cluster::Cluster;
use crate::cluster::azure::at;
use crate::cluster::ipam::{Exhaustion, Ipam, NodeIpam, Reason};
use crate::detectors::observed::counted;
use crate::detectors::{
    Chapter, Confidence, Detector, Doc, Evaluation, Finding, Fix, Outcome, Severity, SubjectRef,
};
use crate::facts::{CiliumPool, CiliumReport, Place};

pub(super) const DETECTOR: Detector = Detector {
    id: "pod-ip-pool-full",
    chapter: Chapter::IpAllocation,
    title: "Node pod IP capacity (max pods) reached",
    needs: &[common::BOOKS, common::PODS, common::REFUSALS],
    explains: &["pod-ip-exhausted", "service-pods-not-ready", "coredns-unhealthy"],
    doc: Doc {
        meaning: "Each node has pod IPs for a fixed number of pods. When that many run, further pods stay in ContainerCreating (FailedCreatePodSandBox), although the subnet can have thousands of free IPs: the limit is the node's.",
        decision: "A node refuses pods, its IPAM state has at most two free IPs (or it runs as many pods as it can), and almost all allocated IPs belong to running pods, so none leaked. Or the node's Cilium agent reports that all IPs of its range are allocated: likely, as the report does not show whether pods hold them.",
        action: "Add nodes, or a node pool with a higher --max-pods (it cannot be changed later); or move to Azure CNI Overlay, with up to 250 pods per node.",
        reference: "AKS: Configure maximum pods per node. Azure/AKS issue 2532.",
    },
    detect: Evaluation::Rule(detect),
};

fn detect(cluster: &Cluster) -> Outcome {
    let mut found = per_node(cluster, Reason::Full, &DETECTOR, "pod IP capacity reached", |found, books| {
        node(cluster, found, books)
    });
    for (place, report) in cluster.facts.nodes.cilium_reports.iter() {
        found.extend(report.pools.iter().filter_map(|pool| of_cilium(cluster, place, report, pool)));
    }
    found.into()
}

/// The agent of Cilium says itself that all addresses of its node are given out.
fn of_cilium(cluster: &Cluster, place: &Place, report: &CiliumReport, pool: &CiliumPool) -> Option<Finding> {
    if pool.total == 0 || pool.used < pool.total {
        return None;
    }
    let node = report.node.as_deref().unwrap_or_default();
    let range = if pool.range.is_empty() { String::new() } else { format!(" from {}", pool.range) };
    let state = format!("{}/{} allocated{range}", pool.used, pool.total);
    let place = &Place { line: place.line + pool.line, ..place.clone() };
    let title = format!("{}: Cilium pod IP pool full, {state}", on_node(node));
    let mut finding =
        Finding::new(DETECTOR.id, &format!("{node} {}", pool.range), title, vec![at(place, "IPAM", &state)])?;
    // A pool without a fixed range grows with what is asked of it.
    let (severity, confidence) = if pool.range.is_empty() {
        (Severity::Medium, Confidence::Possible)
    } else {
        (Severity::High, Confidence::Likely)
    };
    finding.severity = severity;
    finding.confidence = confidence;
    finding.unit = "report";
    if !node.is_empty() {
        finding.subjects =
            vec![SubjectRef { kind: "Node".to_owned(), namespace: String::new(), name: node.to_owned() }];
    }
    let why = if pool.range.is_empty() {
        "It asks for more as pods need them, unless its limit or the subnet is reached."
    } else {
        "The range is all that the node has: no further pod with an IP of its own starts on it."
    };
    finding.cause = format!(
        "The Cilium agent has given out {} of {} pod IPs{range}, its own included: none is free. {why} Whether pods hold all of them, or some leaked, the agent's status does not show.",
        pool.used, pool.total
    );
    finding.fix = Fix {
        text: "Count the pods on the node. If they are as many as the IPs, add nodes; pods already assigned to the full node start elsewhere after kubectl rollout restart. If they are far fewer, IPs leaked: restart the Cilium agent of the node, which gives back what no endpoint holds. Connections of running pods continue meanwhile; new pods wait.".to_owned(),
        commands: vec![
            format!("kubectl get pods -A --no-headers --field-selector spec.nodeName={} | wc -l", common::node_word(node)),
            "kubectl exec -n kube-system POD -c cilium-agent -- cilium-dbg status --verbose   # Allocated addresses: who holds which".to_owned(),
        ],
        manifests: Vec::new(),
    };
    if !cluster.is_elsewhere() && cluster.is_aks() {
        finding.fix.commands.push("az aks nodepool scale -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --node-count COUNT   # one more node".to_owned());
    }
    finding.verify = vec![
        "kubectl exec -n kube-system POD -c cilium-agent -- cilium-dbg status | grep IPAM   # fewer than all"
            .to_owned(),
    ];
    Some(finding)
}

fn node(cluster: &Cluster, found: &Exhaustion, books: Option<&NodeIpam>) -> Option<Finding> {
    let books = books?;
    let capacity = books.capacity().or(books.max_pods.map(|most| most as u64)).unwrap_or(books.allocated());
    let title = format!("{}: pod IP capacity reached, all {capacity} IPs in use", on_node(&found.node));
    let mut finding = about_node(&DETECTOR, found, Some(books), title, Vec::new())?;
    finding.severity = Severity::High;
    let limit = match books.ipam {
        Ipam::HostLocal => "the node's podCIDR",
        Ipam::AzureVnetIpam | Ipam::AzureVnet => {
            "the pool that Azure CNI allocated when the node was created (max pods)"
        }
        _ => "the node's IP pool",
    };
    finding.cause = format!(
        "{limit} has {capacity} IPs for {} (without hostNetwork); no leak was found.{}{}",
        counted(books.pods, "running pod"),
        refused_words(&found.refused),
        books.max_pods.map_or_else(String::new, |most| format!(" The kubelet's max pods is {most}.")),
    );
    if let Some(first) = finding.cause.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    finding.fix = Fix {
        text: "Add a node, or a node pool with higher max pods. Pods already assigned to the full node stay there: restart their workload (kubectl rollout restart) to start them elsewhere.".to_owned(),
        commands: if cluster.is_elsewhere() { Vec::new() } else { vec![
            "az aks nodepool scale -g RESOURCE_GROUP --cluster-name CLUSTER --name POOL --node-count COUNT   # one more node".to_owned(),
            "az aks nodepool add -g RESOURCE_GROUP --cluster-name CLUSTER --name NEWPOOL --max-pods 110   # or: more pods per node".to_owned(),
        ] },
        manifests: Vec::new(),
    };
    finding.verify = vec![
        "kubectl get pods -A --field-selector status.phase=Pending   # no pod waits for an IP".to_owned(),
    ];
    Some(finding)
}
