//! The names that a bundle has for what is somebody's: from its objects, from what its logs speak of, from Azure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::facts::{Identity, Labels, Meta, Scope, Target};

/// What is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Names of users, nodes and hosts.
    Names,
    /// Addresses.
    Addresses,
    /// Both, and the names of namespaces, workloads, networks and zones.
    All,
}

/// What a name is of: the first part of its pseudonym.
pub(super) type Kind = &'static str;

/// Ends of host names that belong to nobody's company: what they name is software and public services.
const PUBLIC: [&str; 44] = [
    "amazonaws.com",
    "aquasec.com",
    "azure.cn",
    "azure.com",
    "azure.net",
    "azure.us",
    "azureedge.net",
    "cert-manager.io",
    "cilium.io",
    "cluster.local",
    "cncf.io",
    "coreos.com",
    "crossplane.io",
    "debian.org",
    "docker.com",
    "docker.io",
    "elastic.co",
    "example.invalid",
    "fluxcd.io",
    "gcr.io",
    "ghcr.io",
    "github.com",
    "githubusercontent.com",
    "golang.org",
    "google.com",
    "googleapis.com",
    "grafana.com",
    "helm.sh",
    "istio.io",
    "k8s.io",
    "kubernetes.io",
    "letsencrypt.org",
    "microsoft.com",
    "microsoftonline.com",
    "openshift.io",
    "pkg.dev",
    "projectcalico.org",
    "prometheus.io",
    "quay.io",
    "rancher.io",
    "tigera.io",
    "ubuntu.com",
    "windows.net",
    "x-k8s.io",
];

/// Names, by what they are of.
#[derive(Default)]
pub(super) struct BundleNames {
    /// Names of things, in lower case: those that a report speaks of get a pseudonym.
    pub(super) candidates: HashMap<String, Kind>,
    /// Names of people, which may hold blanks and signs, and so can't be told from their surroundings by their letters.
    pub(super) people: BTreeSet<String>,
}

/// Namespaces of the platform: their names, and those of what runs there, are everybody's.
fn is_of_the_platform(namespace: &str) -> bool {
    const OTHERS: [&str; 5] =
        ["calico-system", "calico-apiserver", "tigera-operator", "gatekeeper-system", "app-routing-system"];
    namespace.starts_with("kube-") || OTHERS.contains(&namespace)
}

impl BundleNames {
    /// Of a cluster.
    pub(super) fn of(cluster: &Cluster, replace: Replace) -> Self {
        let mut names = Self { candidates: HashMap::new(), people: BTreeSet::new() };
        if replace != Replace::Addresses {
            names.nodes(cluster);
            names.people(cluster);
            names.hosts(cluster);
            for aks in &cluster.azure.clusters {
                names.add(&aks.name, "cluster");
                names.add(&aks.group, "group");
            }
        }
        if replace == Replace::All {
            names.objects(cluster);
            names.spoken_of(cluster);
            names.paths(cluster);
            for (_, resource) in cluster.facts.azure.resources.iter() {
                names.add(&resource.name, "resource");
                names.parts_of_resource(&resource.value);
            }
        }
        names
    }

    fn add(&mut self, name: &str, kind: Kind) {
        if name.len() > 1 && !is_everybodys(name) {
            self.candidates.entry(name.to_ascii_lowercase()).or_insert(kind);
        }
    }

    /// Something in a namespace, unless it is of the platform.
    fn add_workload(&mut self, namespace: &str, name: &str) {
        if !namespace.is_empty() && !is_of_the_platform(namespace) {
            self.add(namespace, "namespace");
            self.add(name, "workload");
        }
    }

    fn nodes(&mut self, cluster: &Cluster) {
        let facts = &cluster.facts;
        let nodes = facts.objects.nodes.iter().map(|(key, _)| &*key.name);
        let of_pods = facts.objects.pods.iter().map(|(_, seen)| &*seen.object.spec.node_name);
        let of_signals = facts.signals.map.iter().map(|(key, _)| &*key.node);
        let of_attempts = facts.attempts.map.iter().map(|(key, _)| &*key.node);
        let of_ipam = cluster.ledger.books.iter().map(|books| books.node.as_str());
        for node in nodes.chain(of_pods).chain(of_signals).chain(of_attempts).chain(of_ipam) {
            self.add(node, "node");
        }
    }

    fn people(&mut self, cluster: &Cluster) {
        let objects = &cluster.facts.objects;
        let bindings = objects.role_bindings.iter().chain(objects.cluster_role_bindings.iter());
        let subjects = bindings.flat_map(|(_, seen)| seen.object.subjects.iter());
        let bound =
            subjects.filter(|subject| &*subject.kind != "ServiceAccount").map(|subject| &*subject.name);
        let denied = cluster.denials.iter().filter_map(|(key, _)| match &key.identity {
            Identity::User(name) => Some(&**name),
            _ => None,
        });
        self.people.extend(
            bound
                .chain(denied)
                .filter(|name| !name.is_empty() && !name.starts_with("system:"))
                .map(ToOwned::to_owned),
        );
    }

    /// What could not be reached, or was asked for names.
    fn hosts(&mut self, cluster: &Cluster) {
        for (key, _) in cluster.facts.attempts.map.iter() {
            let host = key.host.trim_end_matches('.');
            if is_somebodys_host(host) {
                self.add(host, "host");
            }
        }
    }

    fn objects(&mut self, cluster: &Cluster) {
        let objects = &cluster.facts.objects;
        for (kind, key) in objects.keys() {
            match kind {
                "Namespace" if !is_of_the_platform(&key.name) => self.add(&key.name, "namespace"),
                "Node" | "Namespace" => {}
                "Service" if &*key.namespace == "default" && &*key.name == "kubernetes" => {}
                _ => self.add_workload(&key.namespace, &key.name),
            }
        }
        for (key, seen) in objects.pods.iter() {
            let Meta { owner_references, labels, .. } = &seen.object.metadata;
            if !is_of_the_platform(&key.namespace) {
                self.labels(labels);
            }
            owner_references.iter().for_each(|owner| self.add_workload(&key.namespace, &owner.name));
            for container in &*seen.object.spec.containers {
                self.add_workload(&key.namespace, &container.name);
            }
            for status in &*seen.object.status.container_statuses {
                let ("", path) = registry_of(&status.image) else { continue };
                if let Some((publisher, _)) = path.split_once('/').filter(|_| !is_public_registry("", path)) {
                    self.add(publisher, "publisher");
                }
            }
        }
        for (key, seen) in objects.services.iter() {
            if !is_of_the_platform(&key.namespace) {
                self.labels(&seen.object.spec.selector);
            }
        }
        for (key, seen) in objects.network_policies.iter() {
            if !is_of_the_platform(&key.namespace) {
                let selector = seen.object.spec.as_ref().map(|spec| &spec.pod_selector.match_labels);
                if let Some(labels) = selector {
                    self.labels(labels);
                }
            }
        }
        objects.nodes.iter().for_each(|(_, seen)| self.labels(&seen.object.metadata.labels));
        let bindings = objects.role_bindings.iter().chain(objects.cluster_role_bindings.iter());
        for (key, seen) in bindings {
            for subject in seen.object.subjects.iter().filter(|subject| &*subject.kind == "ServiceAccount") {
                self.add_workload(&subject.namespace, &subject.name);
            }
            self.add_workload(&key.namespace, &seen.object.role_ref.name);
        }
    }

    /// Values of labels, of those that somebody chose: numbers, versions and what Kubernetes and Azure set are none.
    fn labels(&mut self, labels: &Labels) {
        const CHOSEN: [&str; 4] = [
            "app.kubernetes.io/instance",
            "app.kubernetes.io/name",
            "app.kubernetes.io/part-of",
            "kubernetes.azure.com/cluster",
        ];
        for (key, value) in labels.iter() {
            let domain = key.split_once('/').map_or("", |(domain, _)| domain);
            let set = is_public(domain) && !CHOSEN.contains(&&**key)
                || ["-hash", "-generation", "storageprofile", "storagetier"]
                    .iter()
                    .any(|end| key.ends_with(end));
            let number = value.starts_with(|c: char| c.is_ascii_digit()) || value.len() < 3;
            if !set && !number && !is_of_files(&value.to_lowercase()) {
                self.add(value, "label");
            }
        }
    }

    /// Folders and files of the bundle.
    fn paths(&mut self, cluster: &Cluster) {
        for path in cluster.facts.coverage.entries.keys() {
            for name in file_names(path, &self.candidates) {
                self.add(name, "file");
            }
        }
    }

    /// What is gone, or was never listed, and is spoken of all the same.
    fn spoken_of(&mut self, cluster: &Cluster) {
        let facts = &cluster.facts;
        for (key, _) in facts.events.map.iter() {
            self.add_workload(&key.namespace, &key.name);
        }
        for (key, _) in facts.signals.map.iter() {
            self.add_workload(&key.namespace, &key.pod);
        }
        for (key, _) in facts.attempts.map.iter() {
            self.add_workload(&key.pod.0, &key.pod.1);
        }
        for (key, denial) in &cluster.denials {
            if let Some((namespace, name)) = key.identity.service_account() {
                self.add_workload(namespace, name);
            }
            if let Target::Resource { scope: Scope::Namespace(namespace), .. } = &key.request.target {
                self.add_workload(namespace, "");
                denial.names.iter().for_each(|name| self.add_workload(namespace, name));
            }
        }
    }

    /// Rules, routes, pools and peerings have names within their resource; a SKU's is Microsoft's.
    fn parts_of_resource(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                for (key, part) in map {
                    match part {
                        Value::String(name) if key == "name" => self.add(name, "resource"),
                        _ if key == "sku" || key == "tags" => {}
                        _ => self.parts_of_resource(part),
                    }
                }
            }
            Value::Array(parts) => parts.iter().for_each(|part| self.parts_of_resource(part)),
            _ => {}
        }
    }
}

/// Whether a host is neither an address, nor a service of the cluster, nor a public service.
pub(super) fn is_somebodys_host(host: &str) -> bool {
    let of_cluster = host.split('.').any(|label| label == "svc");
    host.parse::<IpAddr>().is_err() && !of_cluster && !is_public(host)
}

pub(super) fn is_public(domain: &str) -> bool {
    let domain = domain.to_ascii_lowercase();
    PUBLIC
        .iter()
        .any(|end| domain.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

/// Whether a host keeps images, by its name.
pub(super) fn is_registry(host: &str) -> bool {
    ["azurecr.", "dkr.ecr.", "public.ecr.aws", "ghcr.io", "gcr.io", "pkg.dev", "docker.io", "quay.io"]
        .iter()
        .any(|part| host.contains(part))
}

/// Projects and companies whose images everybody runs, by the names that they have on registries where anyone may push.
const PUBLISHERS: &str = " actions aquasec argoproj aws-ebs-csi-driver aws-observability bitnami bitnamilegacy brancz calico cert-manager cilium \
    cloudnative-pg coredns coreos crossplane curlimages datadog distroless docker eks eks-distro elastic envoyproxy external-secrets falcosecurity \
    fluent fluxcd gatekeeper goharbor google-containers google_containers google-samples grafana hashicorp inspektor-gadget istio istio-release \
    jaegertracing jetstack jimmidyson k3s-io karpenter kedacore keycloak kiali kiwigrid knative-releases kubernetes kubernetes-sigs kubernetesui \
    kyverno library linkerd longhornio metallb minio nginx nginxinc nicolaka nvidia oauth2-proxy oliver006 open-telemetry openebs openpolicyagent \
    openshift openshift-release-dev opentelemetry-collector-releases operator-framework percona prom prometheus prometheus-operator \
    prometheuscommunity rancher rook sonobuoy stakater strimzi thanos tigera traefik velero weaveworks ";

/// Registry and path of an image. What stands first is a registry when it looks like a host, as Docker decides.
pub(super) fn registry_of(image: &str) -> (&str, &str) {
    match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => ("", image),
    }
}

/// Whether the images of a registry are everybody's: those of the platform, of projects, of Docker's library. Without a
/// host, an image is of Docker's registry.
pub(super) fn is_public_registry(host: &str, path: &str) -> bool {
    const REGISTRIES: [&str; 4] = ["mcr.microsoft.com", "registry.k8s.io", "k8s.gcr.io", "mcr.azk8s.cn"];
    // Under a host of a company, all is of that company.
    let shared = ["docker.io", "ghcr.io", "gcr.io", "quay.io", "public.ecr.aws"];
    let anyone_pushes =
        host.is_empty() || shared.iter().any(|end| host == *end || host.ends_with(&format!(".{end}")));
    let publisher = path.split('/').next().unwrap_or_default();
    let known = anyone_pushes && PUBLISHERS.contains(&format!(" {publisher} "));
    let library = path.split('/').count() == 1 && (host.is_empty() || host.ends_with("docker.io"));
    // `rbac.authorization.k8s.io/v1` is an API group with its version.
    REGISTRIES.contains(&host) || known || library || is_public(host) && !is_registry(host)
}

/// Words that a name may be and that say nothing of anybody: those of sentences and of kubectl.
pub(super) fn is_everybodys(name: &str) -> bool {
    const WORDS: &str = " a account address admin all amd64 an and any api app are arm64 as at az azure azureuser be by client cluster confirmed config \
        container containers create curl default deny deployment dns down error events failed finding findings for from get group host http https id \
        image in ingress ip is it job jq json kubectl kubernetes linux list localhost log logs name namespace network no node nodes none not of on \
        one or ping pod pods policy port quota range ready registry request requests role root run secret secrets server service \
        services set sh status subnet system  tcp the times to true udp up user users warning webhook with yaml zone ";
    let name = name.to_ascii_lowercase();
    WORDS.contains(&format!(" {name} ")) || name.starts_with("kube-") || name.starts_with("system:")
}

/// The names of a path that somebody gave: folders and files, without extensions. What all their words are of tools and of
/// Kubernetes, or names with a pseudonym of their own, is none.
pub(super) fn file_names<'a>(path: &'a str, names: &HashMap<String, Kind>) -> Vec<&'a str> {
    let stems = path.split(['/', '!', '\\']).map(|part| part.split('.').next().unwrap_or_default());
    stems.filter(|stem| !is_of_known_words(&stem.to_lowercase(), names)).collect()
}

fn is_of_known_words(stem: &str, names: &HashMap<String, Kind>) -> bool {
    let known = |word: &str| {
        word.len() < 3
            || word.starts_with(|c: char| c.is_ascii_digit())
            || is_of_files(word)
            || is_everybodys(word)
            || names.get(word).is_some_and(|kind| *kind != "file")
    };
    let ends = || stem.match_indices(|c: char| !c.is_alphanumeric()).chain([(stem.len(), "")]).take(16);
    let mut from = 0;
    while from < stem.len() {
        // The longest name that begins here, of one word or more.
        let rest = |end: usize| stem.get(from..end).unwrap_or_default();
        let Some((end, sign)) = ends().filter(|(end, _)| *end >= from && known(rest(*end))).last() else {
            return false;
        };
        from = end + sign.len().max(1);
    }
    true
}

/// Whether a word is of the file names that tools and systems give.
fn is_of_files(word: &str) -> bool {
    const WORDS: &str = " access addon addons addr addresses agent aks aksinsights allocatable alerts ama analysis analytics analyticsvm analyze apiserver \
        apiservices arp audit auth azfw azure azuredns azurediagnostics backup balancer bgp blocks boot bridge budgets bundle bundles busybox \
        ca calico calicoctl case cert certificate certs cgroup cilium ciliumendpoints ciliumnodes ciliumnetworkpolicies claims classes cloud clusterrole clusterrolebindings \
        clusterroles cni cnidriver cns collect collection collector command commands component componentstatuses conf configmaps configuration conntrack console \
        container containerd containerlog containerlogv controller core coredns corefile counters cpu crd crds crictl cri crontab csv curl current custom \
        daemon daemonset daemonsets data date debug default definitions deployments describe details diagnose diagnostic diagnostics dig disk disks disruption dmesg \
        dns docker docs dump edges efi egress encoded endpoint endpoints endpointslices env environment err errors etc etcd eth event eventlist eventhub exec execution \
        expected export ext external extra failure file files filter firewall flannel free from full fwd gather general get group hard health helm history hit host hostname hosts hpa html hubble \
        identities images info ingress ingresses init insights inspect insecure install interfaces inventory invoke iostat ipam ipamblocks ipaddresses ippools iproute ips iptables ipset ipvs iso items \
        ipams jobs journal journalctl k8s journald json kern kernel keys kind klog konnectivity kube kubeconfig kubectl kubelet kubeletcmd kubenet kubeevents kubenodeinventory kubeobjects kubepodinventory kubeservices kubernetes \
        last leases legacy lib limits lines links load local localdns log logfmt lsblk lsmod lsof manifests master mem memory messages meta metadata metrics misc mount mounts must mutating \
        name names namespaced namespaces nat neighbor netstat networkoutbound networkpolicies networkpolicy networks nft nic nmcli nnc nodelogs nodenetworkconfig nodes notes npm nsg nslookup null nvidia object objects old openshift openssl operator ops oom os other out output \
        packet paste pasted partial pdb pdbs peer periscope persistentvolumeclaims persistentvolumes pg plain plugins podlist podlogs podscontainerlogs policies pool pools portal pressure previous private problems proc processes profile progress prometheus provision provisioning proxy ps pt1h pt05m public pvc pvcs pvs \
        query queries quick quiet quotas rancher raw rbac read readme records release releases replicas replicaset replicasets replicationcontrollers report reports reserved resolv resource resourcequotas resources result results rest rolebinding rolebindings roles route routes rpm rule rules run runtime \
        sample sandbox save show scheduler scheme select serviceaccounts services share single slices snapshot snapshots sonobuoy sos sosreport spec ss stack stats statefulset statefulsets stderr stdout storage storageclasses store stray subnets summary support supportbundle swap sys sysctl sysdump sysinfo syslog systemd systemctl systemlogs \
        table tables tar templates test text ticket tigera time timed timeline tmp tokens tool top traces traffic transcript trouble troubleshoot trace tunnel txt udev uname unattended uptime usage users usr utf util utilization \
        validating var velero verbose version versions vmss vnet vnets volume volumeattachments volumes waagent walinux warnings watcher weave webhooks windows workload workloads yaml yamls yml zone zones ";
    WORDS.contains(&format!(" {word} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_somebodys_where_a_word_of_them_is() {
        let mut names: HashMap<String, Kind> = HashMap::new();
        names.insert("aks-np1-vmss000000".to_owned(), "node");
        for path in [
            "nodes.tar.gz!aks-np1-vmss000000/var/lib/cni/networks/k8s-pod-network/10.1.1.1",
            "aks-np1-vmss000000-ipam.txt",
            "cluster-resources/pods/kube-system.json",
        ] {
            assert!(file_names(path, &names).is_empty(), "{path}: {:?}", file_names(path, &names));
        }
        assert_eq!(file_names("contoso-emea/aks-np1-vmss000000.log", &names), ["contoso-emea"]);
    }
}
