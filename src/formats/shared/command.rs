//! What an echoed command line says about its output: which resource, of which namespace, of which node.

/// A `kubectl` command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::formats) struct Kubectl<'a> {
    /// `get`, `describe`, `logs`, …
    pub(in crate::formats) verb: &'a str,
    /// The first resource, as written: `pods`, `po`, `pod/cart-1`.
    pub(in crate::formats) resource: &'a str,
    /// After `-n`.
    pub(in crate::formats) namespace: Option<&'a str>,
}

/// Reads a command line that calls kubectl (or `k`, or `oc`).
pub(in crate::formats) fn kubectl(command: &str) -> Option<Kubectl<'_>> {
    let command = command.split(['|', '>', ';']).next().unwrap_or(command);
    let mut words = command.split_whitespace();
    words.find(|word| {
        let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
        matches!(name.trim_end_matches(".exe"), "kubectl" | "k" | "oc")
    })?;
    let mut found = Kubectl::default();
    while let Some(word) = words.next() {
        if let Some(value) = word.strip_prefix("--namespace=").or_else(|| word.strip_prefix("-n=")) {
            found.namespace = Some(value);
        } else if matches!(word, "-n" | "--namespace") {
            found.namespace = words.next();
        } else if matches!(
            word,
            "-o" | "--output"
                | "-l"
                | "--selector"
                | "--context"
                | "--kubeconfig"
                | "-c"
                | "--sort-by"
                | "--tail"
                | "--as"
                | "-f"
        ) {
            let _value = words.next();
        } else if word.starts_with('-') {
        } else if found.verb.is_empty() {
            found.verb = word;
        } else if found.resource.is_empty() {
            found.resource = word;
        }
    }
    (!found.verb.is_empty()).then_some(found)
}

/// The kind that a resource name or its short form means.
pub(in crate::formats) fn kind_of(resource: &str) -> Option<&'static str> {
    let name = resource.split(['/', ',']).next().unwrap_or(resource).to_ascii_lowercase();
    let name = name.split('.').next().unwrap_or(&name);
    Some(match name {
        "po" | "pod" | "pods" => "Pod",
        "svc" | "service" | "services" => "Service",
        "ep" | "endpoint" | "endpoints" => "Endpoints",
        "endpointslice" | "endpointslices" => "EndpointSlice",
        "no" | "node" | "nodes" => "Node",
        "ev" | "event" | "events" => "Event",
        "ns" | "namespace" | "namespaces" => "Namespace",
        "deploy" | "deployment" | "deployments" => "Deployment",
        "rs" | "replicaset" | "replicasets" => "ReplicaSet",
        "ds" | "daemonset" | "daemonsets" => "DaemonSet",
        "sts" | "statefulset" | "statefulsets" => "StatefulSet",
        "job" | "jobs" => "Job",
        "cj" | "cronjob" | "cronjobs" => "CronJob",
        "cm" | "configmap" | "configmaps" => "ConfigMap",
        "sa" | "serviceaccount" | "serviceaccounts" => "ServiceAccount",
        "secret" | "secrets" => "Secret",
        "netpol" | "networkpolicy" | "networkpolicies" => "NetworkPolicy",
        "ing" | "ingress" | "ingresses" => "Ingress",
        "role" | "roles" => "Role",
        "clusterrole" | "clusterroles" => "ClusterRole",
        "rolebinding" | "rolebindings" => "RoleBinding",
        "clusterrolebinding" | "clusterrolebindings" => "ClusterRoleBinding",
        "lease" | "leases" => "Lease",
        "pvc" | "persistentvolumeclaim" | "persistentvolumeclaims" => "PersistentVolumeClaim",
        "pv" | "persistentvolume" | "persistentvolumes" => "PersistentVolume",
        "hpa" | "horizontalpodautoscaler" | "horizontalpodautoscalers" => "HorizontalPodAutoscaler",
        "pdb" | "poddisruptionbudget" | "poddisruptionbudgets" => "PodDisruptionBudget",
        "nnc" | "nodenetworkconfig" | "nodenetworkconfigs" => "NodeNetworkConfig",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_with_values_are_not_resources() {
        let found = kubectl("kubectl --context prod -n shop get pods -o wide | grep cart").unwrap();
        assert_eq!((found.verb, found.resource, found.namespace), ("get", "pods", Some("shop")));
        assert_eq!(kubectl("ls -la /var/lib"), None);
        assert_eq!(kubectl("sudo k describe po/cart-1 --namespace=shop").unwrap().namespace, Some("shop"));
        assert_eq!(kind_of("pod/cart-1"), Some("Pod"));
        assert_eq!(kind_of("deployments.apps"), Some("Deployment"));
    }
}
