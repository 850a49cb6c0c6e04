//! The words the bundle is made of: who is there, what they ask for, what they are refused.
//!
//! The company is invented. The platform is an AKS cluster with the add-ons people install; its versions and
//! user agents are in the manner of 2026 and stand for nothing.

pub(crate) type Word = &'static str;

/// The first [`PLATFORM`] belong to the platform, the rest to the company.
#[rustfmt::skip]
pub(crate) const NAMESPACES: &[Word] = &[
    "kube-system", "default", "kube-public", "kube-node-lease", "argocd", "cert-manager",
    "external-secrets", "gatekeeper-system", "ingress-nginx", "istio-system", "keda", "kyverno",
    "monitoring", "velero", "batch-jobs", "billing", "catalog", "checkout", "ci", "claims", "crm",
    "data-platform", "fraud", "identity", "inventory", "invoicing", "legacy", "logistics", "mobile-api",
    "notifications", "orders", "partner-portal", "payments", "pricing", "recommendations", "reporting",
    "returns", "search", "shipping", "shop", "staging", "subscriptions",
];

pub(crate) const PLATFORM: u64 = 14;

/// What the company deals with.
#[rustfmt::skip]
pub(crate) const THINGS: &[Word] = &[
    "account", "address", "audit", "basket", "booking", "campaign", "cart", "catalog", "contract", "coupon",
    "customer", "delivery", "discount", "document", "export", "feed", "gateway", "image", "invoice",
    "ledger", "loyalty", "mail", "media", "offer", "order", "payment", "price", "product", "profile",
    "quote", "receipt", "refund", "report", "review", "route", "session", "shipment", "stock", "tax",
    "token", "vendor", "wishlist",
];

/// What its apps do.
#[rustfmt::skip]
pub(crate) const ROLES_OF_APPS: &[Word] = &[
    "api", "worker", "consumer", "sync", "cache", "frontend", "backend", "processor", "scheduler",
    "indexer", "proxy", "adapter", "bridge", "importer", "notifier", "aggregator",
];

/// What its service accounts do.
#[rustfmt::skip]
pub(crate) const ACCOUNT_TASKS: &[Word] = &[
    "reader", "operator", "deployer", "bot", "watcher", "scaler", "exporter", "runner", "agent", "cleaner",
];

/// User agents of the company's own accounts.
#[rustfmt::skip]
pub(crate) const CLIENTS: &[Word] = &[
    "Go-http-client/2.0", "python-requests/2.32.4", "OpenAPI-Generator/33.1.0/python",
    "kubernetes-client/22.0.0", "fabric8-kubernetes-client/7.3.1", "okhttp/4.12.0", "axios/1.11.0",
    "KubernetesClient/16.0.7 (.NET 9.0.7)", "kubectl/v1.33.3 (linux/amd64) kubernetes/80779bd",
    "helm/v3.18.4 (linux/amd64) kubernetes/$Format", "Terraform/1.12.2 (+https://www.terraform.io)",
    "HashiCorp/1.0 Terraform/1.12.2", "node-fetch",
];

/// Daemon sets: name, image, whether on the host network, port.
pub(crate) type Daemon = (Word, Word, bool, u16);
#[rustfmt::skip]
pub(crate) const DAEMONS: &[Daemon] = &[
    ("azure-cns", "mcr.microsoft.com/containernetworking/azure-cns:v1.7.6", true, 10090),
    ("azure-ip-masq-agent", "mcr.microsoft.com/aks/ip-masq-agent-v2:v0.1.15", true, 8080),
    ("azure-npm", "mcr.microsoft.com/containernetworking/azure-npm:v1.6.29", true, 10091),
    ("cloud-node-manager", "mcr.microsoft.com/oss/v2/kubernetes/azure-cloud-node-manager:v1.34.1", true, 10263),
    ("csi-azuredisk-node", "mcr.microsoft.com/oss/v2/kubernetes-csi/azuredisk-csi:v1.33.5", true, 29603),
    ("csi-azurefile-node", "mcr.microsoft.com/oss/v2/kubernetes-csi/azurefile-csi:v1.34.1", true, 29613),
    ("kube-proxy", "mcr.microsoft.com/oss/kubernetes/kube-proxy:v1.36.2", true, 10249),
    ("ama-logs", "mcr.microsoft.com/azuremonitor/containerinsights/ciprod:3.1.30", false, 25235),
];

/// Service accounts of the platform: namespace, name, user agent.
#[rustfmt::skip]
pub(crate) const OPERATORS: &[(Word, Word, Word)] = &[
    ("argocd", "argocd-application-controller", "argocd-application-controller/v0.0.0 (linux/amd64) kubernetes/$Format"),
    ("argocd", "argocd-server", "argocd-server/v0.0.0 (linux/amd64) kubernetes/$Format"),
    ("cert-manager", "cert-manager", "cert-manager-controller/v1.18.2 (linux/amd64) cert-manager/5b5b8ba/clusterissuers"),
    ("cert-manager", "cert-manager-cainjector", "cert-manager-cainjector/v1.18.2 (linux/amd64) cert-manager/5b5b8ba"),
    ("external-secrets", "external-secrets", "external-secrets/v0.0.0 (linux/amd64) kubernetes/$Format"),
    ("gatekeeper-system", "gatekeeper-admin", "gatekeeper/v3.19.1 (linux/amd64) d3c1b5a/2025-06-02T21:11:03Z"),
    ("ingress-nginx", "ingress-nginx", "nginx-ingress-controller/v1.13.0 (linux/amd64) ingress-nginx/9b9d5ff4a"),
    ("istio-system", "istiod", "pilot-discovery/1.26.2"),
    ("keda", "keda-operator", "keda/v0.0.0 (linux/amd64) kubernetes/$Format/leader-election"),
    ("keda", "keda-metrics-server", "keda-adapter/v0.0.0 (linux/amd64) kubernetes/$Format"),
    ("kube-system", "azure-cns", "azure-cns/v1.7.6 (linux/amd64) kubernetes/$Format"),
    ("kube-system", "azure-npm", "azure-npm/v1.6.29 (linux/amd64) kubernetes/$Format"),
    ("kube-system", "cloud-node-manager", "azure-cloud-node-manager/v1.34.1 (linux/amd64) kubernetes/$Format"),
    ("kube-system", "coredns", "coredns/v0.0.0 (linux/amd64) kubernetes/$Format"),
    ("kube-system", "csi-azuredisk-node-sa", "azurediskplugin/v1.33.5 (linux/amd64) kubernetes/$Format"),
    ("kube-system", "konnectivity-agent", "proxy-agent/v0.0.0 (linux/amd64) kubernetes/$Format"),
    ("kube-system", "metrics-server", "metrics-server/v0.8.0 (linux/amd64) kubernetes/c3a5e9f"),
    ("kyverno", "kyverno-admission-controller", "kyverno/v0.0.0 (linux/amd64) kubernetes/$Format"),
    ("kyverno", "kyverno-background-controller", "background-controller/v0.0.0 (linux/amd64) kubernetes/$Format"),
    ("monitoring", "kube-state-metrics", "kube-state-metrics/v2.16.0 (linux/amd64) kube-state-metrics/3c1d7aa"),
    ("monitoring", "prometheus-k8s", "Prometheus/3.5.0"),
    ("monitoring", "prometheus-operator", "PrometheusOperator/0.84.0"),
    ("monitoring", "grafana", "python-requests/2.32.4"),
    ("velero", "velero", "velero-server/v1.16.1 (linux/amd64) 2eb97fa8b187f9ed7aeb49f216565eddf93a0b08"),
];

/// What a permission is on.
#[derive(Clone, Copy)]
pub(crate) enum Scope {
    /// One object, by its name.
    Object,
    Namespace,
    Cluster,
}
use Scope::{Cluster, Namespace, Object};

/// What accounts are refused: verb, API group and version, resource, scope.
pub(crate) type Refusal = (Word, Word, Word, Scope);
#[rustfmt::skip]
pub(crate) const REFUSALS: &[Refusal] = &[
    ("list", "v1", "pods", Namespace), ("list", "v1", "pods", Cluster), ("watch", "v1", "pods", Namespace),
    ("get", "v1", "pods/log", Object), ("create", "v1", "pods/exec", Object),
    ("create", "v1", "pods", Namespace), ("delete", "v1", "pods", Object), ("list", "v1", "secrets", Namespace),
    ("get", "v1", "secrets", Object), ("create", "v1", "secrets", Namespace),
    ("list", "v1", "configmaps", Namespace), ("get", "v1", "configmaps", Object),
    ("update", "v1", "configmaps", Object), ("patch", "v1", "configmaps", Object),
    ("list", "v1", "services", Namespace), ("list", "v1", "endpoints", Cluster),
    ("list", "v1", "nodes", Cluster), ("watch", "v1", "nodes", Cluster), ("list", "v1", "namespaces", Cluster),
    ("list", "v1", "persistentvolumeclaims", Namespace), ("list", "apps/v1", "deployments", Namespace),
    ("get", "apps/v1", "deployments", Object), ("patch", "apps/v1", "deployments", Object),
    ("patch", "apps/v1", "deployments/scale", Object), ("create", "apps/v1", "deployments", Namespace),
    ("list", "apps/v1", "replicasets", Namespace), ("list", "apps/v1", "statefulsets", Cluster),
    ("list", "batch/v1", "cronjobs", Namespace), ("create", "batch/v1", "jobs", Namespace),
    ("deletecollection", "batch/v1", "jobs", Namespace),
    ("list", "networking.k8s.io/v1", "ingresses", Namespace),
    ("update", "networking.k8s.io/v1", "ingresses/status", Object),
    ("list", "networking.k8s.io/v1", "networkpolicies", Namespace),
    ("list", "discovery.k8s.io/v1", "endpointslices", Cluster),
    ("list", "autoscaling/v2", "horizontalpodautoscalers", Namespace),
    ("get", "metrics.k8s.io/v1beta1", "pods", Object),
    ("list", "acn.azure.com/v1alpha", "nodenetworkconfigs", Namespace),
    ("list", "rbac.authorization.k8s.io/v1", "rolebindings", Namespace),
];

/// What informers, dashboards and reviews ask for: API group and version, resource.
#[rustfmt::skip]
pub(crate) const RESOURCES: &[(Word, Word)] = &[
    ("v1", "pods"), ("v1", "nodes"), ("v1", "services"), ("v1", "endpoints"), ("v1", "configmaps"),
    ("v1", "secrets"), ("v1", "namespaces"), ("v1", "serviceaccounts"), ("v1", "events"),
    ("v1", "persistentvolumeclaims"), ("v1", "persistentvolumes"), ("v1", "resourcequotas"),
    ("apps/v1", "deployments"), ("apps/v1", "replicasets"), ("apps/v1", "daemonsets"),
    ("apps/v1", "statefulsets"), ("batch/v1", "jobs"), ("batch/v1", "cronjobs"),
    ("discovery.k8s.io/v1", "endpointslices"), ("networking.k8s.io/v1", "ingresses"),
    ("networking.k8s.io/v1", "networkpolicies"), ("networking.k8s.io/v1", "ingressclasses"),
    ("rbac.authorization.k8s.io/v1", "roles"), ("rbac.authorization.k8s.io/v1", "rolebindings"),
    ("rbac.authorization.k8s.io/v1", "clusterroles"), ("storage.k8s.io/v1", "storageclasses"),
    ("storage.k8s.io/v1", "volumeattachments"), ("storage.k8s.io/v1", "csinodes"),
    ("policy/v1", "poddisruptionbudgets"), ("autoscaling/v2", "horizontalpodautoscalers"),
    ("coordination.k8s.io/v1", "leases"),
    ("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io/v1", "customresourcedefinitions"), ("argoproj.io/v1alpha1", "applications"),
    ("cert-manager.io/v1", "certificates"), ("keda.sh/v1alpha1", "scaledobjects"),
    ("external-secrets.io/v1", "externalsecrets"), ("acn.azure.com/v1alpha", "nodenetworkconfigs"),
];

/// Resources that are in no namespace.
#[rustfmt::skip]
pub(crate) const CLUSTER_WIDE: &[Word] = &[
    "nodes", "namespaces", "persistentvolumes", "clusterroles", "storageclasses", "volumeattachments",
    "csinodes", "ingressclasses", "validatingwebhookconfigurations", "customresourcedefinitions",
    "subjectaccessreviews", "tokenreviews",
];

/// Reasons and messages of warnings, as scheduler, kubelet and node controller word them.
#[rustfmt::skip]
pub(crate) const EVENTS: &[(Word, Word)] = &[
    ("BackOff", "Back-off restarting failed container"),
    ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
    ("Unhealthy", "Liveness probe failed: Get \"http://10.130.4.17:8080/livez\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"),
    ("FailedScheduling", "0/40 nodes are available: 3 node(s) had untolerated taint {CriticalAddonsOnly: true}, 37 Insufficient memory. preemption: 0/40 nodes are available: 3 Preemption is not helpful for scheduling, 37 No preemption victims found for incoming pod."),
    ("FailedMount", "MountVolume.SetUp failed for volume \"config\" : configmap \"settings\" not found"),
    ("Failed", "Failed to pull image: rpc error: code = NotFound desc = failed to pull and unpack image: not found"),
    ("FailedCreatePodSandBox", "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox: plugin type=\"azure-vnet\" failed (add): IPAM Invoker Add failed with error: Failed to get IP address from CNS with error: AllocateIPConfig failed: not enough IPs available"),
    ("NodeNotReady", "Node is not ready"),
];
