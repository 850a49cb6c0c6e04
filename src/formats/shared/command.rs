//! What an echoed command line says about its output: which resource, of which namespace, of which node.

/// Commands whose output is read, and words that may follow each; none where anything may.
const COMMANDS: [(&str, &[&str]); 46] = [
    ("kubectl", KUBECTL),
    ("k", KUBECTL),
    ("oc", KUBECTL),
    (
        "az",
        &[
            "account", "acr", "ad", "aks", "graph", "identity", "group", "login", "monitor", "network",
            "policy", "resource", "rest", "role", "vm", "vmss",
        ],
    ),
    (
        "helm",
        &[
            "get", "history", "install", "list", "ls", "repo", "rollback", "status", "template", "upgrade",
            "version",
        ],
    ),
    (
        "crictl",
        &["images", "info", "inspect", "inspecti", "inspectp", "logs", "pods", "ps", "stats", "version"],
    ),
    ("ctr", &["-n", "containers", "images", "tasks"]),
    ("docker", &["images", "info", "inspect", "logs", "ps", "version"]),
    ("nerdctl", &["images", "logs", "ps", "-n"]),
    ("journalctl", &["-"]),
    ("systemctl", &["cat", "is-active", "list-units", "show", "status", "--failed"]),
    ("curl", &["-", "http"]),
    ("wget", &["-", "http"]),
    ("nslookup", &[]),
    ("dig", &[]),
    ("host", &[]),
    ("ping", &[]),
    ("nc", &["-"]),
    ("telnet", &[]),
    ("traceroute", &[]),
    ("tracepath", &[]),
    ("openssl", &["s_client", "x509", "verify"]),
    ("ip", &["-", "a", "addr", "address", "link", "neigh", "r", "route", "rule"]),
    ("iptables", &["-"]),
    ("iptables-save", &[]),
    ("ip6tables-save", &[]),
    ("nft", &["list"]),
    ("ipset", &["list"]),
    ("ipvsadm", &["-"]),
    ("conntrack", &["-"]),
    ("sysctl", &[]),
    ("ss", &["-"]),
    ("netstat", &["-"]),
    ("dmesg", &[]),
    ("cat", &["/"]),
    ("ls", &["-", "/"]),
    ("tail", &["-", "/"]),
    ("etcdctl", &["endpoint", "member", "alarm", "--", "-w", "get"]),
    ("kubeadm", &["certs", "config", "init", "join", "token", "upgrade"]),
    ("calicoctl", &["get", "ipam", "node", "version"]),
    ("cilium", CILIUM),
    ("cilium-dbg", CILIUM),
    ("cilium-health", &["status"]),
    ("hubble", &["observe", "status"]),
    ("Resolve-DnsName", &[]),
    ("Test-NetConnection", &[]),
];

const KUBECTL: &[&str] = &[
    "-n",
    "--",
    "adm",
    "api-resources",
    "apply",
    "auth",
    "cluster-info",
    "cordon",
    "create",
    "debug",
    "delete",
    "describe",
    "drain",
    "events",
    "exec",
    "explain",
    "get",
    "logs",
    "patch",
    "port-forward",
    "proxy",
    "rollout",
    "run",
    "scale",
    "top",
    "version",
];

const CILIUM: &[&str] =
    &["bpf", "connectivity", "endpoint", "identity", "monitor", "node", "policy", "service", "status"];

/// What may stand before a command on its line.
const BEFORE: [&str; 6] = ["sudo", "time", "watch", "nohup", "exec", "winpty"];

/// The first word of a command line that is a command, without its folder, and what follows it.
fn program(line: &str) -> Option<(&str, std::str::SplitWhitespace<'_>)> {
    let mut words = line.split_whitespace();
    loop {
        let word = words.next()?;
        // `KUBECONFIG=other kubectl …`
        let assignment = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        });
        if !assignment && !BEFORE.contains(&word) {
            let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
            return Some((name.strip_suffix(".exe").unwrap_or(name), words));
        }
    }
}

/// Whether a line begins with a command whose output is read.
pub(in crate::formats) fn is_known(line: &str) -> bool {
    program(line).is_some_and(|(name, _)| COMMANDS.iter().any(|(known, _)| *known == name))
}

/// Whether what follows the command is what may: then the line is a command even without a prompt.
pub(in crate::formats) fn has_known_verb(line: &str) -> bool {
    let Some((name, mut words)) = program(line) else { return false };
    let Some((_, verbs)) = COMMANDS.iter().find(|(known, _)| *known == name) else { return false };
    match words.next() {
        // `nslookup mcr.microsoft.com 10.0.0.10`: a name, and a server at most.
        Some(next) if verbs.is_empty() => next.contains(['.', '/', '-']) && words.count() < 6,
        Some(next) => verbs.iter().any(|verb| {
            next == *verb
                || !verb.ends_with(char::is_alphanumeric) && next.starts_with(verb)
                || *verb == "http" && next.starts_with(verb)
        }),
        None => verbs.is_empty() && name.contains('-') || matches!(name, "dmesg"),
    }
}

/// A `kubectl` command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::formats) struct Kubectl<'a> {
    /// `get`, `describe`, `logs`, …
    pub(in crate::formats) verb: &'a str,
    /// The first resource, as written: `pods`, `po`, `pod/cart-1`.
    pub(in crate::formats) resource: &'a str,
    /// The name after it: `describe pod cart-1`, `logs cart-1`, `get pod/cart-1`.
    pub(in crate::formats) name: Option<&'a str>,
    /// After `-n`.
    pub(in crate::formats) namespace: Option<&'a str>,
    /// With `-A`.
    pub(in crate::formats) all_namespaces: bool,
}

impl<'a> Kubectl<'a> {
    /// The pod whose log, shell or object it is, after its namespace: empty when the command does not tell it.
    pub(in crate::formats) fn pod(&self) -> Option<(&'a str, &'a str)> {
        let pod =
            matches!(self.verb, "logs" | "log" | "exec" | "attach") || kind_of(self.resource) == Some("Pod");
        let name = self.name.filter(|_| pod)?;
        Some((self.namespace.unwrap_or_default(), name))
    }
}

/// The node that `kubectl describe node NAME` is about.
pub(in crate::formats) fn described_node(command: &str) -> Option<&str> {
    let command = command.split(['|', '>', ';']).next().unwrap_or(command);
    let mut words = command.split_whitespace().skip_while(|word| !matches!(*word, "describe" | "desc"));
    words.next()?;
    let mut words = words.filter(|word| !word.starts_with('-'));
    let is_node = |kind: &str| matches!(kind, "node" | "nodes" | "no");
    let resource = words.next()?;
    match resource.split_once('/') {
        Some((kind, name)) => is_node(kind).then_some(name),
        None => words.next().filter(|_| is_node(resource)),
    }
}

/// Longest name of a file that is a command in full: collectors cut longer ones, and half a namespace is another one.
const LONGEST_NAME: usize = 72;

/// The command that a collector named a file after: `kubectl-get-pod--n-shop--o-wide.txt`, `kubectl_get_pods_-n_shop.txt`.
/// Which dashes were blanks is certain before flags alone; that is enough for a namespace.
pub(in crate::formats) fn of_file_name(path: &str) -> Option<String> {
    let name = path.rsplit(['/', '!', '\\']).next()?;
    // `kubectl_get_pods_-n_shop.2026-11-20.txt`: what stands behind a dot is of the collector.
    let name = name.split('.').next()?;
    let name = without_date(name);
    let sign = ["kubectl", "oc"].iter().find_map(|tool| name.strip_prefix(tool)?.chars().next())?;
    if name.len() > LONGEST_NAME {
        return None;
    }
    match sign {
        '_' | ' ' => Some(name.replace('_', " ")),
        '-' => {
            // Three dashes were a blank and two, two were a blank and one.
            let flags = name.replace("---", "\u{1}").replace("--", " -").replace('\u{1}', " --");
            let (words, rest) = flags.split_once(' ').unwrap_or((&flags, ""));
            let rest: Vec<String> = rest.split(' ').map(flag_and_value).collect();
            Some(format!("{} {}", words.replacen('-', " ", 3), rest.join(" ")).trim_end().to_owned())
        }
        _ => None,
    }
}

/// `-n-shop` as `-n shop`, `--namespace-shop` as `--namespace shop`; others as they are.
fn flag_and_value(flag: &str) -> String {
    if let Some(value) = flag.strip_prefix("--namespace-") {
        return format!("--namespace {value}");
    }
    let short = flag.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
    match short.and_then(|rest| rest.split_once('-')).filter(|(name, _)| name.len() == 1) {
        Some((name, value)) => format!("-{name} {value}"),
        None => flag.to_owned(),
    }
}

/// A name without the date or time that a collector puts behind it: `-20261120-101500`.
fn without_date(mut name: &str) -> &str {
    while let Some((rest, digits)) = name.rsplit_once(['-', '_']) {
        if digits.len() < 6 || !digits.chars().all(|c| c.is_ascii_digit()) {
            break;
        }
        name = rest;
    }
    name
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
        if word == "--" {
            break;
        }
        if let Some(value) = word.strip_prefix("--namespace=").or_else(|| word.strip_prefix("-n=")) {
            found.namespace = Some(value);
        } else if let Some(value) = word.strip_prefix("-n").filter(|value| !value.is_empty()) {
            found.namespace = Some(value);
        } else if matches!(word, "-n" | "--namespace") {
            found.namespace = words.next();
        } else if matches!(word, "-A" | "--all-namespaces") {
            found.all_namespaces = true;
        } else if matches!(
            word,
            "-o" | "--output"
                | "-l"
                | "--selector"
                | "--context"
                | "--kubeconfig"
                | "-c"
                | "--container"
                | "--sort-by"
                | "--field-selector"
                | "--tail"
                | "--since"
                | "--as"
        ) || word == "-f" && !found.takes_a_pod()
        {
            let _value = words.next();
        } else if word.starts_with('-') {
        } else if found.verb.is_empty() {
            found.verb = word;
        } else if found.takes_a_pod() && found.name.is_none() {
            // `logs pod/cart-1`, `logs deploy/cart`.
            match word.split_once('/') {
                Some((kind, name)) if kind_of(kind) == Some("Pod") => found.name = Some(name),
                Some(_) => found.resource = word,
                None => found.name = Some(word),
            }
        } else if found.resource.is_empty() {
            let (resource, name) =
                word.split_once('/').map_or((word, None), |(kind, name)| (kind, Some(name)));
            (found.resource, found.name) = (resource, name);
        } else if found.name.is_none() {
            found.name = Some(word);
        }
    }
    (!found.verb.is_empty()).then_some(found)
}

impl Kubectl<'_> {
    fn takes_a_pod(&self) -> bool {
        matches!(self.verb, "logs" | "log" | "exec" | "attach")
    }
}

/// The node that `az vmss run-command invoke --name VMSS --instance-id N` runs on: instances are counted in base 36, six digits
/// (<https://learn.microsoft.com/azure/virtual-machine-scale-sets/virtual-machine-scale-sets-instance-ids>).
pub(in crate::formats) fn scale_set_instance(command: &str) -> Option<String> {
    if !command.contains("vmss run-command") {
        return None;
    }
    let words: Vec<&str> = command.split_whitespace().collect();
    let option = |names: [&str; 2]| {
        let at = words.iter().position(|word| names.contains(word))?;
        words.get(at + 1).copied()
    };
    instance_name(option(["--name", "-n"])?, option(["--instance-id", "--instance-ids"])?)
}

/// The node of an instance of a scale set, by its number.
pub(in crate::formats) fn instance_name(scale_set: &str, number: &str) -> Option<String> {
    let mut number: u64 = number.parse().ok()?;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = *b"0123456789abcdefghijklmnopqrstuvwxyz".get((number % 36) as usize)?;
        number /= 36;
    }
    Some(format!("{scale_set}{}", std::str::from_utf8(&digits).ok()?))
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
    fn a_described_node_is_named_by_its_command() {
        assert_eq!(described_node("kubectl describe node cka-1 | grep Ready"), Some("cka-1"));
        assert_eq!(described_node("oc describe no/cka-1"), Some("cka-1"));
        assert_eq!(described_node("kubectl describe nodes"), None);
        assert_eq!(described_node("kubectl describe pod cka-1"), None);
    }

    #[test]
    fn a_file_named_after_its_command_names_the_namespace() {
        let namespace = |path: &str| {
            let command = of_file_name(path)?;
            kubectl(&command).and_then(|command| command.namespace.map(ToOwned::to_owned))
        };
        for path in [
            "a.zip!kubectl-get---show-labels--o-wide-pod--n-my-shop.txt",
            "kubectl-get-pod--n-my-shop--o-wide.txt",
            "kubectl_get_pods_-n_my-shop.txt",
            "kubectl get pods -n my-shop -o wide.txt",
            "kubectl-get-pods---namespace-my-shop.txt",
            "kubectl-get-pods--n-my-shop---no-headers.txt",
            "kubectl_get_pods_-n_my-shop.2026-11-20.txt",
            "kubectl-get-pods--n-my-shop-20261120-101500.txt",
        ] {
            assert_eq!(namespace(path).as_deref(), Some("my-shop"), "{path}: {:?}", of_file_name(path));
        }
        assert!(kubectl(&of_file_name("kubectl-get-pod--A--o-wide.txt").unwrap()).unwrap().all_namespaces);
        assert_eq!(of_file_name("kubectl.log"), None);
        let cut = "kubectl-get---show-labels--o-wide-persistentvolumeclaim-redis-standard-pvc--n-ap.txt";
        assert_eq!(of_file_name(cut), None);
    }

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
