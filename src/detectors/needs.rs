//! Data that detectors of several chapters need.

use super::Need;
use crate::cluster::Cluster;
use crate::cluster::reachability::Who;
use crate::facts::{AzureKind, Signal};

/// The words with which a client failed.
pub(super) const CLIENT_ERRORS: Need = Need {
    what: "the client's failing command with its whole output",
    why: "a timeout, connection refused, NXDOMAIN, 401 and an x509 error have different causes",
    command: "kubectl get nodes -v=6 > client.txt 2>&1; curl -s https://ifconfig.me >> my-ip.txt",
    met: |cluster| {
        let of_client = |signal: Signal| {
            matches!(
                signal,
                Signal::NoKubeconfig | Signal::CredentialPlugin | Signal::NoCredentials | Signal::VersionSkew
            )
        };
        cluster.unreached.iter().any(|item| item.who == Who::Client)
            || cluster.facts.signals.map.iter().any(|(key, _)| of_client(key.signal))
    },
};

/// The cluster as Azure describes it.
pub(super) const AKS: Need = Need {
    what: "the AKS cluster resource (az aks show)",
    why: "it has the authorized IP ranges, the power state, and whether the cluster is private",
    command: "az aks show -g RESOURCE_GROUP -n CLUSTER -o json > aks.json",
    met: |cluster| !cluster.azure.clusters.is_empty(),
};

/// The outbound addresses of nodes.
pub(super) const EGRESS: Need = Need {
    what: "the public outbound IP addresses of the nodes",
    why: "they must be in the authorized IP ranges",
    command: "az network public-ip list -g NODE_RESOURCE_GROUP -o json > public-ips.json",
    met: |cluster| !cluster.azure.egress.is_empty(),
};

/// Events.
pub(super) const EVENTS: Need = Need {
    what: "events",
    why: "they show what failed, how often and when",
    command: "kubectl get events -A -o json > events.json",
    met: |cluster| cluster.facts.events.read > 0,
};

/// Pods with their states.
pub(super) const PODS: Need = Need {
    what: "the pods with their status",
    why: "it shows which pods are not ready, and why",
    command: "kubectl get pods -A -o json > pods.json",
    met: |cluster| {
        // Manifests are no pods that run.
        cluster.facts.objects.pods.iter().any(|(_, seen)| {
            let status = &seen.object.status;
            !status.phase.is_empty() || !status.conditions.is_empty() || !status.container_statuses.is_empty()
        })
    },
};

/// Nodes with their conditions.
pub(super) const NODES: Need = Need {
    what: "the nodes with their conditions",
    why: "they show which nodes are Ready, and the conditions of the others",
    command: "kubectl get nodes -o json > nodes.json",
    met: |cluster| cluster.facts.objects.nodes.iter().any(|(_, seen)| seen.object.ready().is_some()),
};

/// Formats in which the kubelet and other programs of a node write.
const OF_NODES: &[&str] = &["journal", "journal-json", "node-provisioning", "network-outbound"];

/// Whether logs of nodes are in the bundle.
pub(super) fn has_node_logs(cluster: &Cluster) -> bool {
    let of_kubelet = |name: &str| {
        ["kubelet", "cluster-provision", "syslog", "messages"].iter().any(|word| name.contains(word))
    };
    cluster
        .facts
        .coverage
        .entries
        .iter()
        .any(|(name, entry)| entry.formats.has_any(OF_NODES) || (of_kubelet(name) && entry.recognised))
        || cluster.unreached.iter().any(|item| matches!(item.who, Who::Node(_)))
}

/// Logs of the kubelet, and of provisioning.
pub(super) const NODE_LOGS: Need = Need {
    what: "node logs: kubelet and provisioning (CSE)",
    why: "they show what a node could not reach, and how it failed",
    command: "az vmss run-command invoke -g NODE_RESOURCE_GROUP -n VMSS --instance-id 0 --command-id RunShellScript --scripts 'cat /var/log/azure/aks/provision.json; journalctl -u kubelet --no-pager | tail -n 300' > node.json",
    met: has_node_logs,
};

/// Formats of logs that programs write.
pub(super) const LOG_FORMATS: &[&str] = &[
    "container-log",
    "dumped-logs",
    "klog",
    "json-log",
    "logfmt",
    "docker-log",
    "plain-log",
    "timed-log",
    "cri-log",
];

/// Logs of pods.
pub(super) const POD_LOGS: Need = Need {
    what: "logs of pods",
    why: "they show what pods could not reach, and how it failed",
    command: "kubectl cluster-info dump --all-namespaces --output-directory=dump",
    met: |cluster| {
        // Logs of the control plane and of nodes say nothing of pods.
        let others = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "audit"];
        cluster.facts.coverage.entries.iter().any(|(name, entry)| {
            entry.formats.has_any(LOG_FORMATS) && !others.iter().any(|other| name.contains(other))
        }) || cluster.unreached.iter().any(|item| matches!(item.who, Who::Pod(_) | Who::Unknown))
    },
};

/// Logs of `CoreDNS`.
pub(super) const DNS_LOGS: Need = Need {
    what: "logs of CoreDNS",
    why: "they show which names and which upstream servers failed",
    command: "kubectl logs -n kube-system -l k8s-app=kube-dns --prefix --tail=-1 > coredns.log",
    met: |cluster| {
        let by_name = |name: &str| name.contains("coredns");
        cluster.facts.coverage.entries.iter().any(|(name, entry)| {
            entry.formats.has_any(&["coredns-log"])
                || (by_name(name) && entry.recognised && name.contains("log"))
        }) || cluster.unreached.iter().any(|item| item.who == Who::Dns)
    },
};

/// Network security groups.
pub(super) const SECURITY_GROUPS: Need = Need {
    what: "the network security groups (NSGs) of subnet and nodes",
    why: "their rules allow or deny connections",
    command: "az network nsg list -o json > nsgs.json",
    met: |cluster| !cluster.azure.groups.is_empty(),
};

/// Route tables.
pub(super) const ROUTES: Need = Need {
    what: "the route tables, or the effective routes of a node",
    why: "they set the next hop of outbound traffic",
    command: "az network route-table list -o json > route-tables.json\naz network nic show-effective-route-table -g NODE_RESOURCE_GROUP -n NIC -o json > effective-routes.json",
    met: |cluster| !cluster.azure.routes.is_empty(),
};

/// Records of the firewall.
pub(super) const FIREWALL: Need = Need {
    what: "the firewall log with denied connections, or its rules",
    why: "they are compared with the outbound FQDNs that AKS requires",
    command: "az monitor log-analytics query -w WORKSPACE --analytics-query \"union AZFWApplicationRule, AZFWNetworkRule | where Action == 'Deny'\" -o json > firewall.json",
    met: |cluster| {
        cluster.facts.flows.read > 0 || cluster.azure.firewalls.iter().any(|firewall| firewall.has_rules)
    },
};

/// Virtual networks with their DNS servers.
pub(super) const NETWORKS: Need = Need {
    what: "the virtual network with its DNS servers, or a node's resolv.conf",
    why: "they name the upstream DNS servers of nodes and CoreDNS",
    command: "az network vnet list -o json > vnets.json",
    met: |cluster| {
        cluster.facts.azure.of(AzureKind::VirtualNetwork).next().is_some()
            || cluster.facts.nodes.resolvers.iter().next().is_some()
            || cluster.facts.nodes.corefiles.iter().next().is_some()
    },
};

/// Private zones and their links.
pub(super) const ZONES: Need = Need {
    what: "the private DNS zones with their virtual network links (private clusters)",
    why: "names of a zone resolve only in linked VNets",
    command: "az network private-dns zone list -o json > zones.json\naz network private-dns link vnet list -g RESOURCE_GROUP -z ZONE -o json > zone-links.json",
    met: |cluster| {
        cluster.azure.zones.iter().any(|zone| zone.links_listed)
            || cluster.azure.cluster().is_some_and(|item| item.whole && !item.private)
    },
};

/// Logs of the API server, or errors of clients that name it.
pub(super) const API_LOGS: Need = Need {
    what: "API server logs, or the errors that clients got",
    why: "they show what the API server could not do",
    command: "az monitor log-analytics query -w WORKSPACE --analytics-query \"AKSControlPlane | where Category == 'kube-apiserver'\" -o json > kube-apiserver.json",
    met: |cluster| {
        cluster.facts.api_server.log_lines > 0
            || cluster.facts.api_server.audit_events > 0
            || cluster.unreached.iter().any(|item| matches!(item.who, Who::ControlPlane | Who::Client))
            || cluster.facts.events.read > 0
    },
};

/// Errors that Azure's own commands printed, or logs that hold them.
pub(super) const AZURE_ERRORS: Need = Need {
    what: "Azure errors: output of the failing az command, events of Services and nodes, control plane logs",
    why: "they name what Azure denied, and why",
    command: "az monitor activity-log list -g NODE_RESOURCE_GROUP --status Failed --offset 2d -o json > activity.json",
    met: |cluster| {
        let observed = |signal: Signal| {
            matches!(
                signal,
                Signal::AzureRefused
                    | Signal::ArmThrottled
                    | Signal::AksThrottled
                    | Signal::PrivateZoneFailed
                    | Signal::ScaleUpFailed
                    | Signal::RunCommandFailed
                    | Signal::ProvisioningFailed
            )
        };
        cluster.facts.signals.map.iter().any(|(key, _)| observed(key.signal)) || cluster.facts.events.read > 0
    },
};
