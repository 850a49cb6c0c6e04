//! Every command that a report gives to paste: known tools, sub-commands and flags, and nothing that destroys without a
//! reason. What kubectl and az know: <https://kubernetes.io/docs/reference/kubectl/generated/>,
//! <https://learn.microsoft.com/cli/azure/reference-index>.

use std::collections::{BTreeMap, BTreeSet};

use kubetriage::detectors;

use crate::{common, shell};

/// Flags of every kubectl command.
const KUBECTL: &[&str] =
    &["-n", "--namespace", "--as", "--as-group", "--context", "--kubeconfig", "-v", "--request-timeout"];

/// Sub-commands of kubectl with the flags of each.
const KUBECTL_COMMANDS: &[(&str, &[&str])] = &[
    ("annotate", &["--overwrite", "-l"]),
    ("api-versions", &[]),
    ("api-resources", &["--api-group", "-o", "--verbs"]),
    ("apply", &["-f", "-k", "--dry-run", "--server-side"]),
    ("auth can-i", &["--list", "--subresource", "-A"]),
    ("auth whoami", &["-o"]),
    ("certificate approve", &[]),
    ("cluster-info", &[]),
    ("cluster-info dump", &["-A", "--all-namespaces", "--output-directory", "--namespaces"]),
    ("config current-context", &[]),
    ("config get-contexts", &[]),
    ("config use-context", &[]),
    ("config view", &["--minify", "--raw", "-o"]),
    ("cordon", &["-l"]),
    ("create configmap", &["--from-literal", "--from-file", "--dry-run", "-o"]),
    ("create job", &["--from", "--image"]),
    ("create secret docker-registry", &["--docker-server", "--docker-username", "--docker-password"]),
    ("create serviceaccount", &[]),
    ("create token", &["--duration", "--audience"]),
    (
        "debug",
        &["--image", "-i", "-t", "-it", "-ti", "--profile", "--target", "--share-processes", "--copy-to"],
    ),
    ("delete", &["-l", "-f", "--field-selector", "--grace-period", "--wait", "-A", "--ignore-not-found"]),
    ("describe", &["-A", "-l", "--selector"]),
    (
        "drain",
        &[
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--timeout",
            "--force",
            "--dry-run",
            "--disable-eviction",
        ],
    ),
    ("edit", &["-o"]),
    ("exec", &["-c", "--container", "-i", "-t", "-it", "-ti"]),
    ("explain", &["--recursive"]),
    (
        "get",
        &[
            "--chunk-size",
            "-A",
            "--all-namespaces",
            "-o",
            "--output",
            "-l",
            "--selector",
            "--field-selector",
            "-w",
            "--sort-by",
            "--show-labels",
            "--raw",
            "--no-headers",
            "--ignore-not-found",
            "-L",
            "--show-managed-fields",
            "--subresource",
        ],
    ),
    ("label", &["--overwrite", "-l"]),
    (
        "logs",
        &[
            "-c",
            "--container",
            "-l",
            "--tail",
            "--since",
            "--since-time",
            "--previous",
            "-p",
            "--all-containers",
            "--prefix",
            "--timestamps",
            "-f",
        ],
    ),
    ("patch", &["--type", "-p", "--patch", "--subresource", "--dry-run"]),
    ("port-forward", &["--address"]),
    ("rollout history", &["--revision"]),
    ("rollout restart", &["-l"]),
    ("rollout status", &["--timeout"]),
    ("rollout undo", &["--to-revision"]),
    (
        "run",
        &[
            "--image",
            "--rm",
            "-i",
            "-t",
            "-it",
            "-ti",
            "--restart",
            "--command",
            "--overrides",
            "--env",
            "-q",
            "--labels",
        ],
    ),
    ("scale", &["--replicas"]),
    ("set env", &["-c"]),
    ("set image", &[]),
    ("set resources", &["-c", "--limits", "--requests"]),
    ("set serviceaccount", &[]),
    ("top node", &[]),
    ("top nodes", &[]),
    ("top pod", &["-A", "--containers", "--sort-by", "-l", "--no-headers"]),
    ("top pods", &["-A", "--containers", "--sort-by", "-l", "--no-headers"]),
    ("uncordon", &[]),
    ("version", &["--client", "-o", "--output"]),
    ("wait", &["--for", "--timeout", "-l", "--all"]),
];

/// Flags of every az command.
const AZ: &[&str] = &[
    "-g",
    "--resource-group",
    "-n",
    "--name",
    "-o",
    "--output",
    "--query",
    "--subscription",
    "--only-show-errors",
];

/// Commands of az with the flags of each.
const AZ_COMMANDS: &[(&str, &[&str])] = &[
    ("vmss list", &[]),
    ("storage share-rm list", &["--storage-account"]),
    ("storage account file-service-properties show", &[]),
    ("network private-link-service list", &[]),
    ("network dns zone list", &[]),
    ("network dns record-set list", &["-z"]),
    ("network application-gateway show-backend-health", &[]),
    ("network application-gateway show", &[]),
    ("keyvault key show", &["--id"]),
    ("vmss identity show", &[]),
    ("vm list-skus", &["-l", "--size", "--all"]),
    ("storage account show", &[]),
    ("resource show", &["--ids"]),
    ("provider show", &[]),
    ("provider register", &["--namespace", "--wait"]),
    ("policy state list", &["--filter"]),
    ("policy assignment show", &["--scope"]),
    ("network vnet check-ip-address", &["--ip-address"]),
    ("network list-usages", &["-l"]),
    ("lock list", &[]),
    ("keyvault show", &[]),
    ("keyvault secret list", &["--vault-name"]),
    ("keyvault network-rule list", &[]),
    ("identity federated-credential list", &["--identity-name"]),
    ("feature register", &["--namespace"]),
    ("aks operation show-latest", &[]),
    ("ad sp show", &["--id"]),
    ("account show", &[]),
    ("account set", &["-s"]),
    ("acr check-health", &["--yes"]),
    ("acr network-rule add", &["--ip-address"]),
    ("acr network-rule list", &[]),
    ("acr repository list", &[]),
    ("acr repository show-tags", &["--repository", "--orderby", "--top"]),
    ("acr show", &[]),
    ("acr update", &["--public-network-enabled", "--default-action"]),
    ("ad app credential reset", &["--id", "--years"]),
    ("aks check-acr", &["--acr"]),
    ("aks command invoke", &["--command", "-c", "--file"]),
    ("aks get-credentials", &["--overwrite-existing", "--admin", "-a", "-f"]),
    ("aks get-upgrades", &[]),
    ("aks install-cli", &["--client-version"]),
    ("aks list", &[]),
    (
        "aks nodepool add",
        &[
            "--cluster-name",
            "--max-pods",
            "--mode",
            "--vnet-subnet-id",
            "--pod-subnet-id",
            "--node-count",
            "--node-vm-size",
        ],
    ),
    ("aks nodepool delete-machines", &["--cluster-name", "--nodepool-name", "--machine-names"]),
    ("aks nodepool list", &["--cluster-name"]),
    ("aks nodepool scale", &["--cluster-name", "--node-count", "-c"]),
    ("aks nodepool show", &["--cluster-name"]),
    ("aks nodepool update", &["--cluster-name", "--update-cluster-autoscaler", "--min-count", "--max-count"]),
    ("aks nodepool upgrade", &["--cluster-name", "--node-image-only", "--max-surge"]),
    ("aks rotate-certs", &["--yes", "-y"]),
    ("aks show", &[]),
    ("aks start", &["--no-wait"]),
    (
        "aks update",
        &[
            "--api-server-authorized-ip-ranges",
            "--attach-acr",
            "--http-proxy-config",
            "--load-balancer-managed-outbound-ip-count",
            "--load-balancer-outbound-ports",
            "--load-balancer-outbound-ips",
            "--network-policy",
            "--pod-cidr",
            "--enable-managed-identity",
            "--outbound-type",
            "--assign-identity",
            "--yes",
        ],
    ),
    ("aks update-credentials", &["--reset-service-principal", "--service-principal", "--client-secret"]),
    ("identity show", &[]),
    ("login", &["--use-device-code", "--tenant", "--service-principal", "-u", "-p"]),
    ("monitor activity-log list", &["--status", "--offset", "--caller", "--correlation-id"]),
    (
        "monitor metrics list",
        &[
            "--resource",
            "--metric",
            "--metrics",
            "--filter",
            "--aggregation",
            "--interval",
            "--start-time",
            "--end-time",
        ],
    ),
    ("monitor log-analytics query", &["-w", "--analytics-query", "-t"]),
    (
        "network firewall application-rule create",
        &[
            "-f",
            "--collection-name",
            "--priority",
            "--action",
            "--source-addresses",
            "--protocols",
            "--fqdn-tags",
            "--target-fqdns",
        ],
    ),
    (
        "network firewall network-rule create",
        &[
            "-f",
            "--collection-name",
            "--priority",
            "--action",
            "--source-addresses",
            "--protocols",
            "--destination-addresses",
            "--destination-fqdns",
            "--destination-ports",
        ],
    ),
    ("network firewall policy rule-collection-group list", &["--policy-name"]),
    ("network firewall show", &[]),
    ("network lb list", &[]),
    ("network lb probe list", &["--lb-name"]),
    ("network nat gateway list", &[]),
    ("network nat gateway update", &["--public-ip-addresses"]),
    ("network nic list-effective-nsg", &[]),
    ("network nic show-effective-route-table", &[]),
    ("network nsg list", &[]),
    (
        "network nsg rule create",
        &[
            "--nsg-name",
            "--priority",
            "--direction",
            "--access",
            "--protocol",
            "--source-address-prefixes",
            "--source-port-ranges",
            "--destination-address-prefixes",
            "--destination-port-ranges",
        ],
    ),
    ("network nsg rule list", &["--nsg-name"]),
    ("network private-dns link vnet create", &["-z", "-v", "-e"]),
    ("network private-dns link vnet list", &["-z"]),
    ("network private-dns record-set a list", &["-z"]),
    ("network private-dns zone list", &[]),
    ("network private-endpoint list", &[]),
    ("network private-endpoint show", &[]),
    ("network private-endpoint-connection approve", &["--id", "--description"]),
    ("network private-endpoint-connection list", &["--id"]),
    ("network public-ip list", &[]),
    ("network route-table list", &[]),
    (
        "network route-table route create",
        &["--route-table-name", "--next-hop-type", "--next-hop-ip-address", "--address-prefix"],
    ),
    ("network route-table route list", &["--route-table-name"]),
    (
        "network route-table route update",
        &["--route-table-name", "--next-hop-type", "--next-hop-ip-address", "--address-prefix"],
    ),
    ("network route-table show", &[]),
    ("network vnet list", &[]),
    ("network vnet show", &[]),
    ("network vnet subnet create", &["--vnet-name", "--address-prefixes"]),
    ("network vnet subnet list", &["--vnet-name"]),
    ("network vnet subnet show", &["--vnet-name"]),
    (
        "network vnet subnet update",
        &["--ids", "--vnet-name", "--remove", "--route-table", "--network-security-group", "--nat-gateway"],
    ),
    ("network vnet update", &["--dns-servers"]),
    ("quota list", &["--scope"]),
    ("resource list", &["--resource-type"]),
    ("role assignment create", &["--assignee", "--role", "--scope"]),
    ("role assignment list", &["--assignee", "--scope", "--all"]),
    ("role definition list", &["--custom-role-only"]),
    ("vm list-usage", &["-l"]),
    ("vmss list-instances", &["--expand"]),
    ("vmss run-command invoke", &["--instance-id", "--command-id", "--scripts"]),
];

/// Other programs that a reader has, at hand or on a node. Their flags are not checked, but what they may destroy is.
const PROGRAMS: &[&str] = &[
    "arp",
    "showmount",
    "nvidia-smi",
    "networkctl",
    "lsof",
    "lsmod",
    "kubeadm",
    "iscsiadm",
    "hostname",
    "du",
    "docker",
    "aa-status",
    "arping",
    "awk",
    "base64",
    "calicoctl",
    "cat",
    "chronyc",
    "cilium",
    "cilium-dbg",
    "cilium-health",
    "conntrack",
    "crictl",
    "curl",
    "cut",
    "date",
    "dd",
    "df",
    "dig",
    "dmesg",
    "echo",
    "env",
    "etcdctl",
    "gcloud",
    "export",
    "find",
    "free",
    "getent",
    "grep",
    "head",
    "host",
    "hubble",
    "ip",
    "ipconfig",
    "iptables",
    "iptables-save",
    "ipvsadm",
    "journalctl",
    "jq",
    "kubelogin",
    "kubetriage",
    "less",
    "ls",
    "nc",
    "netstat",
    "nft",
    "nslookup",
    "openssl",
    "ping",
    "printf",
    "python3",
    "resolvectl",
    "sed",
    "sh",
    "sleep",
    "sort",
    "ss",
    "stat",
    "sysctl",
    "systemctl",
    "tail",
    "tar",
    "tcpdump",
    "tee",
    "test",
    "timedatectl",
    "timeout",
    "top",
    "tr",
    "traceroute",
    "true",
    "ufw",
    "umask",
    "uniq",
    "unset",
    "wc",
    "wget",
    "xargs",
    "zgrep",
    "[",
];

/// What destroys or interrupts something, as the first words of a command, and the causes whose fix needs it, each with
/// the reason.
const DESTRUCTIVE: &[(&str, &[(&str, &str)])] = &[
    (
        "kubectl delete",
        &[
            (
                "api-server-throttles",
                "AKS made the guard that throttles all clients, and its page has its removal as the last step",
            ),
            (
                "cns-waiting",
                "azure-cns of one node reads its state again when its pod is made again; a rollout would do so on all nodes",
            ),
            (
                "duplicate-pod-ip",
                "a pod keeps its address until it is made again; its owner does that at once",
            ),
            ("etcd-full", "removes nothing but the test object that the check itself wrote"),
            ("pod-evicted", "removes the evicted pods that are named, which hold nothing any more"),
            (
                "pod-ip-leak",
                "the agent of one node reads its state again when its pod is made again; a rollout would do so on all nodes",
            ),
        ],
    ),
    (
        "kubectl drain",
        &[(
            "pod-ip-leak",
            "addresses that host-local or azure-vnet leaked go with their node, and its pods must be elsewhere first",
        )],
    ),
    (
        "az delete-machines",
        &[(
            "pod-ip-leak",
            "the IPAM state lies on the node's disk: a new machine begins without it; the node was drained before",
        )],
    ),
    (
        "calicoctl lock",
        &[(
            "pod-ip-leak",
            "no address may be given out while the leaked ones are released; the next command but one unlocks",
        )],
    ),
    (
        "calicoctl release",
        &[("pod-ip-leak", "releases the addresses of Calico's own report of leaks, and no others")],
    ),
    (
        "az rotate-certs",
        &[(
            "certificate-expired",
            "the certificates are expired: nothing else makes new ones, and the text says what restarts",
        )],
    ),
    ("az start", &[("cluster-stopped", "the cluster is stopped, and starting it is what is asked for")]),
    (
        "systemctl start",
        &[("node-service-stopped", "the unit is stopped: it serves nobody until it is started again")],
    ),
    (
        "systemctl restart",
        &[("localdns-failed", "the unit has failed: it serves nobody until it is started again")],
    ),
];

/// Words that destroy or interrupt, wherever a command has them as its verb.
const VERBS: [&str; 13] = [
    "delete",
    "delete-machines",
    "drain",
    "stop",
    "start",
    "restart",
    "reset",
    "reimage",
    "deallocate",
    "release",
    "purge",
    "rotate-certs",
    "lock",
];

/// The command of a table that words begin with, the longest, and the words after it.
fn known<'a>(
    table: &'a [(&str, &[&str])],
    words: &'a [String],
) -> Option<(&'a str, &'a [&'a str], &'a [String])> {
    (1..=words.len().min(5)).rev().find_map(|count| {
        let path = words.get(..count)?.join(" ");
        let (name, flags) = table.iter().find(|(name, _)| *name == path)?;
        Some((*name, *flags, words.get(count..)?))
    })
}

/// What is wrong with a simple command.
fn wrong(words: &[String]) -> Option<String> {
    let (program, rest) = words.split_first()?;
    let (table, common) = match program.as_str() {
        "kubectl" => (KUBECTL_COMMANDS, KUBECTL),
        "az" => (AZ_COMMANDS, AZ),
        program if PROGRAMS.contains(&program) => return None,
        program => return Some(format!("{program} is no known program")),
    };
    // kubectl takes its own flags before the sub-command too.
    let skip = if rest.first().is_some_and(|word| word == "-n") { 2 } else { 0 };
    let Some((name, flags, rest)) = known(table, rest.get(skip..).unwrap_or_default()) else {
        return Some(format!("{program} has no such command: {}", words.join(" ")));
    };
    let own = rest.iter().take_while(|word| *word != "--");
    for flag in own.filter(|word| word.len() > 1 && word.starts_with('-') && !word.starts_with("-{")) {
        let flag = flag.split('=').next().unwrap_or_default();
        if !flags.contains(&flag) && !common.contains(&flag) {
            return Some(format!("{program} {name} has no flag {flag}"));
        }
    }
    // What is run in a pod or on a node is a command too.
    let inner = match name {
        "vmss run-command invoke" | "aks command invoke" => rest
            .iter()
            .skip_while(|word| !["--scripts", "--command", "-c"].contains(&word.as_str()))
            .nth(1)
            .cloned(),
        "exec" | "debug" | "run" => rest.iter().position(|word| word == "--").map(|at| {
            let inner = &rest[at + 1..];
            match inner {
                [sh, dash, script, ..] if sh == "sh" && dash == "-c" => script.clone(),
                _ => inner.join(" "),
            }
        }),
        _ => None,
    };
    inner.and_then(|inner| match shell::commands(&inner) {
        Ok(commands) => commands.iter().find_map(|words| wrong(words)),
        Err(why) => Some(format!("{why}: {inner}")),
    })
}

/// The verb of a simple command that destroys or interrupts something, there or in what it runs elsewhere.
fn destroys(words: &[String]) -> Option<String> {
    // What is asked of the answer runs nothing.
    let queries = words.iter().zip(words.iter().skip(1)).filter(|(flag, _)| *flag == "--query");
    let queries: Vec<&String> = queries.map(|(_, query)| query).collect();
    let elsewhere = words
        .iter()
        .filter(|word| word.contains(' ') && !queries.contains(word))
        .filter_map(|word| shell::commands(word).ok())
        .flatten();
    let program = words.first()?;
    let reads = ["grep", "awk", "jq", "journalctl", "cat", "kubetriage"].contains(&program.as_str());
    if reads {
        return None;
    }
    destroys_here(words).or_else(|| {
        elsewhere.filter(|inner| inner.len() < words.len() + 20).find_map(|inner| destroys_here(&inner))
    })
}

fn destroys_here(words: &[String]) -> Option<String> {
    let verb = words
        .iter()
        .skip(1)
        .take(5)
        .take_while(|word| !word.starts_with("--"))
        .find(|word| VERBS.contains(&word.as_str()));
    if words.first().is_some_and(|word| word == "az") && words.get(2).is_some_and(|word| word == "list") {
        return None;
    }
    let to_zero = words.iter().any(|word| word == "scale")
        && words
            .windows(2)
            .any(|pair| pair[1] == "0" && ["--replicas", "--node-count"].contains(&pair[0].as_str()))
        || words.iter().any(|word| word == "--replicas=0" || word == "--node-count=0");
    let program = words.first()?;
    if let Some(verb) = verb {
        // `kubectl rollout restart` replaces pods one by one, as an update does.
        let gentle = program == "kubectl" && words.get(1).is_some_and(|word| word == "rollout");
        return (!gentle).then(|| format!("{program} {verb}"));
    }
    (to_zero).then(|| format!("{program} scale to 0"))
}

/// Every command of every fix, with the cause that gives it.
fn all() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for detector in detectors::all() {
        for need in detector.needs {
            found.insert((detector.id.to_owned(), need.command.to_owned()));
        }
    }
    let mut samples = common::folders(&common::sample("detectors"));
    for folder in &mut samples {
        *folder = folder.join("hit");
    }
    samples.extend([common::sample("bundles/contoso-shop"), common::sample("inputs")]);
    for sample in samples {
        let diagnosis = common::diagnosis(&sample);
        for finding in &diagnosis.findings {
            let block = |commands: &[String]| (finding.detector.to_owned(), commands.join("\n"));
            found.insert(block(&finding.fix.commands));
            found.insert(block(&finding.verify));
        }
    }
    found
}

#[test]
fn every_command_to_paste_is_one_that_its_tool_knows() {
    let mut faults = BTreeMap::new();
    let all = all();
    assert!(all.len() > 200, "only {} blocks of commands", all.len());
    for (cause, block) in all {
        match shell::commands(&block) {
            Ok(commands) => {
                for fault in commands.iter().filter_map(|words| wrong(words)) {
                    faults.insert(fault, (cause.clone(), block.clone()));
                }
            }
            Err(why) => {
                faults.insert(why, (cause, block));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn nothing_is_destroyed_without_a_reason() {
    let mut faults = BTreeSet::new();
    let mut used = BTreeSet::new();
    for (cause, block) in all() {
        for words in shell::commands(&block).unwrap_or_default() {
            let Some(what) = destroys(&words) else { continue };
            let allowed =
                DESTRUCTIVE.iter().find(|(verb, _)| *verb == what).map_or(&[][..], |(_, causes)| *causes);
            if allowed.iter().any(|(allowed, _)| *allowed == cause) {
                used.insert((what, cause.clone()));
            } else {
                faults.insert(format!("{cause}: {what}: {}", words.join(" ")));
            }
        }
    }
    assert!(faults.is_empty(), "no reason is given for {faults:#?}");
    for (verb, causes) in DESTRUCTIVE {
        for (cause, reason) in *causes {
            assert!(reason.len() > 20, "{cause}: {verb} has no reason");
            assert!(
                used.contains(&((*verb).to_owned(), (*cause).to_owned())),
                "{cause} does not {verb} any more"
            );
        }
    }
}

#[test]
fn a_harmful_fix_would_be_seen() {
    for harmful in [
        "az aks delete -g rg -n prod",
        "kubectl delete pods -A",
        "kubectl drain node",
        "kubectl scale deploy/x --replicas=0",
    ] {
        let words = &shell::commands(harmful).unwrap()[0];
        assert!(destroys(words).is_some() || wrong(words).is_some(), "{harmful}");
    }
    for unknown in
        ["kubectl fix pods", "kubectl get pods --everything", "az aks repair -n x", "Look at the portal"]
    {
        assert!(wrong(&shell::commands(unknown).unwrap()[0]).is_some(), "{unknown}");
    }
}
