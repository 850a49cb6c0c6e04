//! What a machine says of itself: files of `/proc` and `/etc`, outputs of commands that list sockets, disks, processes,
//! endpoints. They are known by their first lines, named for what they are, and searched for known errors; the name of the
//! machine is kept.
//!
//! To add one is to add a row to [`OUTPUTS`].

use super::shared::line;
use super::{Head, InputFormat, Piece, share_of_lines};
use crate::facts::text::lossy;
use crate::facts::{Facts, HostName, Place};

pub(super) struct SystemOutput;
pub(super) const FORMAT: SystemOutput = SystemOutput;

/// How an output is known.
enum Known {
    /// One of its first lines begins so, blanks counted as one; after `=`, it is so.
    Begins(&'static [&'static str]),
    /// It is JSON, and has all of these near its start.
    Json(&'static [&'static str]),
    /// Most of its lines are so.
    Lines(fn(&str) -> bool),
    /// Its only line is so.
    Line(fn(&str) -> bool),
}

use Known::{Begins, Json, Line, Lines};

/// What is known, the most particular first.
const OUTPUTS: &[(&str, Known)] = &[
    ("sockets (ss)", Begins(&["Netid State Recv-Q", "State Recv-Q Send-Q Local Address"])),
    ("socket statistics (ss -s)", Begins(&["Transport Total IP"])),
    (
        "connections (netstat)",
        Begins(&[
            "Active Internet connections",
            "Active Connections",
            "Active UNIX domain sockets",
            "Proto Local Address Foreign Address",
        ]),
    ),
    ("connections (Get-NetTCPConnection)", Begins(&["LocalAddress LocalPort RemoteAddress RemotePort"])),
    (
        "routes (route)",
        Begins(&["Kernel IP routing table", "Kernel IPv6 routing table", "Destination Gateway Genmask"]),
    ),
    (
        "routes (route print)",
        Begins(&["IPv4 Route Table", "IPv6 Route Table", "Network Destination Netmask Gateway"]),
    ),
    ("routes (Get-NetRoute)", Begins(&["ifIndex DestinationPrefix"])),
    ("interfaces (netstat -i)", Begins(&["Kernel Interface table"])),
    ("interfaces (ifconfig)", Lines(is_ifconfig)),
    ("interfaces (Get-NetAdapter)", Begins(&["Name InterfaceDescription ifIndex Status"])),
    ("addresses (Get-NetIPAddress)", Begins(&["ifIndex IPAddress"])),
    ("neighbours (arp)", Begins(&["Address HWtype HWaddress", "Internet Address Physical Address Type"])),
    ("/proc/net/route", Begins(&["Iface Destination Gateway Flags RefCnt"])),
    ("/proc/net/arp", Begins(&["IP address HW type Flags HW address"])),
    ("/proc/net/dev", Begins(&["Inter-| Receive"])),
    ("/proc/net/netstat", Begins(&["TcpExt: SyncookiesSent"])),
    ("/proc/net/snmp", Begins(&["Ip: Forwarding DefaultTTL"])),
    ("/proc/net/snmp6", Begins(&["Ip6InReceives"])),
    ("/proc/net/sockstat", Begins(&["sockets: used"])),
    ("/proc/net/softnet_stat", Lines(is_softnet)),
    ("/proc/net/tcp or udp", Begins(&["sl local_address rem_address", "sl local_address remote_address"])),
    ("/proc/meminfo", Begins(&["MemTotal:"])),
    ("/proc/cpuinfo", Begins(&["processor :"])),
    ("/proc/vmstat", Begins(&["nr_free_pages "])),
    ("/proc/stat", Lines(is_stat)),
    ("/proc/interrupts or softirqs", Begins(&["CPU0"])),
    ("/proc/filesystems", Begins(&["nodev sysfs", "nodev tmpfs"])),
    ("/proc/mounts", Lines(is_mount)),
    ("/proc/loadavg", Line(is_load)),
    ("/proc/uptime", Line(is_uptime)),
    ("/proc/cmdline", Line(is_boot_line)),
    ("/proc/swaps", Begins(&["Filename Type Size Used Priority"])),
    ("/proc/diskstats", Lines(is_diskstat)),
    ("pressure (/proc/pressure)", Begins(&["some avg10="])),
    ("kernel version", Begins(&["Linux version "])),
    ("system (uname)", Line(is_uname)),
    ("memory (free)", Begins(&["total used free shared"])),
    ("memory and processor (vmstat)", Begins(&["procs -----------memory"])),
    ("processors (lscpu)", Begins(&["Architecture: x86_64", "Architecture: aarch64"])),
    ("load (uptime, top)", Begins(&["top - "])),
    ("processes (ps)", Begins(&["UID PID PPID", "USER PID %CPU", "PID TTY", "PID USER", "PID PPID"])),
    (
        "disk usage (df)",
        Begins(&[
            "Filesystem 1K-blocks",
            "Filesystem 1024-blocks",
            "Filesystem Size Used",
            "Filesystem Inodes",
            "Filesystem Type",
        ]),
    ),
    ("disks (lsblk)", Begins(&["NAME MAJ:MIN"])),
    ("IPC limits (lsipc)", Begins(&["RESOURCE DESCRIPTION LIMIT"])),
    ("kernel modules (lsmod)", Begins(&["Module Size Used by"])),
    ("files (find -ls)", Lines(is_found_file)),
    ("operating system (os-release)", Begins(&["PRETTY_NAME=", "NAME=\""])),
    (
        "kubelet flags",
        Begins(&["KUBELET_NODE_LABELS=", "KUBELET_CONFIG=", "KUBELET_FLAGS=", "KUBELET_EXTRA_ARGS="]),
    ),
    ("kubelet command line", Line(is_kubelet_line)),
    (
        "interface statistics (ethtool)",
        Begins(&["NIC statistics:", "Settings for eth", "Features for eth", "Ring parameters for"]),
    ),
    ("ipsets (ipset list)", Begins(&["Type: hash:"])),
    ("hops (mtr)", Begins(&["HOST: "])),
    ("hops (traceroute)", Begins(&["traceroute to ", "Tracing route to ", "traceroute6 to "])),
    ("hops (tracepath)", Begins(&["1?: [LOCALHOST]"])),
    ("ping", Begins(&["PING ", "Pinging "])),
    ("connections (conntrack), none", Begins(&["conntrack v"])),
    ("network namespaces (ip netns)", Lines(is_netns)),
    ("rules of routing (ip rule)", Lines(is_ip_rule)),
    ("an error of ip", Begins(&["Error: either \"dev\"", "Error: argument \"", "Object \""])),
    ("an answer of systemd that does not run", Begins(&["System has not been booted with systemd"])),
    ("units (systemctl list-unit-files)", Begins(&["UNIT FILE STATE"])),
    ("timers (systemctl list-timers)", Begins(&["NEXT LEFT LAST PASSED UNIT"])),
    ("clock (timedatectl)", Begins(&["Local time:"])),
    ("clock (chronyc)", Begins(&["Reference ID :", "MS Name/IP address Stratum"])),
    ("resolver (resolvectl)", Begins(&["Current DNS Server:", "resolv.conf mode:"])),
    ("version (kubectl)", Begins(&["Client Version: ", "Server Version: "])),
    (
        "resource use (crictl stats)",
        Begins(&["CONTAINER NAME CPU %", "CONTAINER CPU %", "CONTAINER ID NAME CPU %", "POD POD ID CPU %"]),
    ),
    ("version (crictl)", Begins(&["RuntimeName: "])),
    ("version (containerd, runc)", Begins(&["containerd github.com/", "runc version "])),
    ("progress (kubectl rollout)", Lines(is_rollout)),
    (
        "state of etcd (etcdctl)",
        Begins(&["| ENDPOINT | ID |", "| ENDPOINT | HEALTH", "| ID | STATUS | NAME"]),
    ),
    ("state of Calico (calicoctl node)", Begins(&["Calico process is running", "IPv4 BGP status"])),
    ("installation of Cilium (cilium status)", Begins(&["/¯¯\\"])),
    ("endpoints of Cilium", Begins(&["ENDPOINT POLICY (ingress) POLICY (egress)"])),
    ("identities of Cilium", Begins(&["ID LABELS"])),
    ("nodes of Cilium", Begins(&["Name IPv4 Address Endpoint CIDR"])),
    ("IP cache of Cilium", Begins(&["IP PREFIX/ADDRESS IDENTITY", "IP IDENTITY SOURCE"])),
    ("metrics of Cilium", Begins(&["Metric Labels Value", "REASON DIRECTION PACKETS BYTES"])),
    ("connections of Cilium (bpf ct)", Lines(is_cilium_connection)),
    (
        "settings of Cilium",
        Begins(&[
            "##### Read-write configurations #####",
            "##### Read-only configurations #####",
            "#### Read-only configurations ####",
            "#### Read-write configurations ####",
        ]),
    ),
    ("HNS endpoints", Begins(&["IpAddress MacAddress IsRemoteEndpoint"])),
    (
        "HNS objects (hnsdiag)",
        Begins(&["=Network Name", "LoadBalancer | Virtual IPs", "=Endpoints:", "=Networks:"]),
    ),
    ("ports of the virtual switch (vfpctrl)", Begins(&["List of all ports", "ITEM LIST"])),
    ("services (sc queryex)", Begins(&["SERVICE_NAME: "])),
    ("services (Get-Service)", Begins(&["Status Name DisplayName"])),
    ("Windows system (systeminfo)", Begins(&["Host Name: "])),
    (
        "Windows event log",
        Begins(&["\"TimeCreated\",\"Id\",\"LevelDisplayName\"", "TimeCreated Id LevelDisplayName Message"]),
    ),
    ("HNS endpoints", Json(&["\"HostComputeNetwork\"", "\"IpConfigurations\""])),
    ("HNS policies", Json(&["\"HostComputeEndpoints\"", "\"FrontendVIPs\""])),
    ("HNS networks", Json(&["\"Ipams\"", "\"MacPool\""])),
    ("Windows node settings", Json(&["\"Cri\"", "\"Cni\"", "\"Kubernetes\""])),
    ("CNI configuration", Json(&["\"cniVersion\"", "\"plugins\""])),
    ("CNI configuration", Json(&["\"cniVersion\"", "\"ipam\""])),
    ("processors (lscpu)", Json(&["\"lscpu\""])),
    ("namespaces (lsns)", Json(&["\"namespaces\"", "\"nprocs\""])),
    ("disks (lsblk)", Json(&["\"blockdevices\""])),
    ("rules of routing (ip rule)", Json(&["\"priority\"", "\"src\"", "\"table\""])),
    ("TCP metrics (ip tcp_metrics)", Json(&["\"dst\"", "\"rttvar\""])),
    ("settings of interfaces (ip netconf)", Json(&["\"rp_filter\"", "\"forwarding\""])),
    ("network namespaces (ip netns)", Json(&["\"nsid\"", "\"name\""])),
    ("image file system (crictl)", Json(&["\"imageFilesystems\""])),
    ("statistics of pods (crictl)", Json(&["\"stats\"", "\"usageCoreNanoSeconds\""])),
    ("statistics of the kubelet", Json(&["\"usageNanoCores\"", "\"workingSetBytes\""])),
    ("resource use (kubelet, metrics API)", Json(&["\"usage\"", "\"cpu\"", "\"memory\""])),
    ("resource use (kubelet)", Json(&["\"cpuUsage\""])),
    ("settings of an extension (waagent)", Json(&["\"runtimeSettings\""])),
    ("state of an extension (waagent)", Json(&["\"name\"", "\"Plugin enabled\""])),
    ("state of the agent (waagent)", Json(&["\"aggregateStatus\"", "\"guestAgentStatus\""])),
    ("state of etcd (etcdctl)", Json(&["\"Endpoint\"", "\"Status\"", "\"raftTerm\""])),
    ("state of etcd (etcdctl)", Json(&["\"endpoint\"", "\"health\"", "\"took\""])),
    ("alarms of etcd (etcdctl)", Json(&["\"alarms\"", "\"memberID\""])),
    ("addresses of an instance (ipamd)", Json(&["\"TotalIPs\"", "\"AssignedIPs\""])),
    ("checkpoint of ipamd", Json(&["\"allocations\"", "\"networkName\""])),
    ("Helm releases", Json(&["\"chart\"", "\"history\""])),
    ("settings of a node's network (AKS Periscope)", Json(&["\"networkplugin\"", "\"kubernetesdns\""])),
    ("disruption budgets", Json(&["\"minavailable\"", "\"disruptionsallowed\""])),
    ("a container (crictl inspect)", Json(&["\"status\"", "\"info\"", "\"container_"])),
    ("Helm releases", Json(&["\"app_version\"", "\"chart\""])),
    ("disruption budgets", Json(&["\"pdbname\""])),
    ("Azure resource health", Json(&["microsoft.resourcehealth/availabilitystatuses"])),
    ("Azure activity log", Json(&["\"eventtimestamp\"", "\"operationname\""])),
    ("alerts (Prometheus)", Json(&["\"status\"", "\"alerts\"", "\"activeat\""])),
    ("alerts (Alertmanager)", Json(&["\"fingerprint\"", "\"generatorurl\""])),
    ("rules (Prometheus)", Json(&["\"status\"", "\"groups\"", "\"rules\""])),
    ("time series (Prometheus)", Json(&["\"resulttype\"", "\"matrix\""])),
    ("time series (Prometheus)", Json(&["\"resulttype\"", "\"vector\""])),
    ("time series (Azure Monitor)", Json(&["\"timeseries\"", "\"timespan\""])),
    ("verdicts of k8sgpt", Json(&["\"problems\"", "\"results\"", "\"parentobject\""])),
    ("verdicts of Popeye", Json(&["\"popeye\"", "\"sections\""])),
    ("verdicts of Troubleshoot", Json(&["\"insight\"", "\"severity\""])),
    ("verdicts of kube-score, Polaris", Json(&["\"polarisoutputversion\""])),
    ("verdicts of kubescape", Json(&["\"summarydetails\"", "\"resources\""])),
    ("drops (Inspektor Gadget)", Json(&["\"k8s\"", "\"reason\"", "\"state\""])),
    ("DNS (Inspektor Gadget)", Json(&["\"k8s\"", "\"qtype\""])),
    ("an event of Inspektor Gadget", Json(&["\"k8s\"", "\"podname\"", "\"runtime\""])),
];

/// Bytes of a JSON text in which its keys are looked for.
const JSON_HEAD: usize = 4096;

impl InputFormat for SystemOutput {
    fn name(&self) -> &'static str {
        "system-output"
    }

    fn about(&self) -> &'static str {
        "what a machine says of itself: /proc, sockets, disks, processes, services; named for what it is"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let json = matches!(head.bytes.trim_ascii_start().first(), Some(b'{' | b'['));
        match (name(head.bytes).is_some() || is_hostname(head), json) {
            (false, _) => 0,
            (true, true) => 20,
            (true, false) => 40,
        }
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let lines = memchr::memchr_iter(b'\n', piece.bytes.trim_ascii_end()).count() as u64 + 1;
        line::scan(piece, facts);
        let head =
            Head { entry: piece.entry, bytes: piece.bytes.get(..super::HEAD_BYTES).unwrap_or(piece.bytes) };
        if piece.offset == 0 && is_hostname(&head) {
            let name = lossy(piece.bytes.trim_ascii()).into_owned();
            let place = Place { source: piece.source.clone(), line: piece.first_line };
            if let Some(slot) = facts.nodes.host_names.slot(place) {
                *slot = HostName { name: name.into(), of_folder: false };
            }
            facts.coverage.entry(piece.source).formats.add("host name", 1);
            return 0;
        }
        let Some(what) = name(head.bytes) else { return lines };
        facts.coverage.entry(piece.source).formats.add(what, lines);
        0
    }
}

/// What a text is.
fn name(text: &[u8]) -> Option<&'static str> {
    let start = text.trim_ascii_start();
    if matches!(start.first(), Some(b'{' | b'[')) {
        let head = start.get(..start.len().min(JSON_HEAD)).unwrap_or(start).to_ascii_lowercase();
        return OUTPUTS.iter().find_map(|(name, known)| {
            let Json(keys) = known else { return None };
            let all = keys
                .iter()
                .all(|key| memchr::memmem::find(&head, key.to_ascii_lowercase().as_bytes()).is_some());
            all.then_some(*name)
        });
    }
    let head = text.get(..text.len().min(8192)).unwrap_or(text);
    let start = head;
    let head = lossy(head);
    let mut lines = head.lines().map(str::trim).filter(|line| !line.is_empty());
    let first: Vec<String> =
        lines.by_ref().take(6).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let single = first.len() == 1;
    OUTPUTS.iter().find_map(|(name, known)| {
        let is = match known {
            Begins(words) => first.iter().any(|line| words.iter().any(|word| begins(line, word))),
            Lines(test) => {
                !first.is_empty()
                    && share_of_lines(start, 40, |line| {
                        std::str::from_utf8(line).is_ok_and(|line| test(line.trim()))
                    }) >= 80
            }
            Line(test) => single && first.first().is_some_and(|line| test(line)),
            Json(_) => false,
        };
        is.then_some(*name)
    })
}

/// A file that holds the name of its machine, `etc/hostname`: nothing else says what a single word is.
fn is_hostname(head: &Head<'_>) -> bool {
    let word = head.bytes.trim_ascii();
    let name = head.entry.name();
    (name == "hostname" || name == "hostname.txt" || name == "hostnamectl_hostname")
        && (2..=253).contains(&word.len())
        && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte))
        && word.iter().any(u8::is_ascii_alphabetic)
}

fn begins(line: &str, word: &str) -> bool {
    word.strip_prefix('=').map_or_else(|| line.starts_with(word), |whole| line == whole)
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn all_numbers(words: &[&str]) -> bool {
    words.iter().all(|word| word.parse::<f64>().is_ok())
}

fn is_ifconfig(line: &str) -> bool {
    line.contains(": flags=")
        || ["inet ", "inet6 ", "ether ", "RX ", "TX ", "loop ", "unspec ", "device ", "tunnel "]
            .iter()
            .any(|start| line.starts_with(start))
            && !line.contains(" scope ")
}

fn is_softnet(line: &str) -> bool {
    let words = words(line);
    words.len() >= 9
        && words.iter().all(|word| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_stat(line: &str) -> bool {
    match words(line).as_slice() {
        [name, numbers @ ..] if numbers.len() >= 8 => name.starts_with("cpu") && all_numbers(numbers),
        [name, numbers @ ..] => {
            ["intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked", "softirq"].contains(name)
                && !numbers.is_empty()
        }
        [] => false,
    }
}

fn is_mount(line: &str) -> bool {
    matches!(words(line).as_slice(), [_, point, _, options, "0", "0" | "1" | "2"] if point.starts_with('/') && options.starts_with(['r', 'n']))
        || matches!(words(line).as_slice(), [_, "on", point, "type", ..] if point.starts_with('/'))
}

fn is_load(line: &str) -> bool {
    matches!(words(line).as_slice(), [a, b, c, tasks, last] if all_numbers(&[a, b, c, last]) && tasks.contains('/'))
}

fn is_uptime(line: &str) -> bool {
    matches!(words(line).as_slice(), [up, idle] if up.contains('.') && idle.contains('.') && all_numbers(&[up, idle]))
        || line.contains("load average:")
}

fn is_boot_line(line: &str) -> bool {
    line.starts_with("BOOT_IMAGE=") || line.contains(" console=tty") && line.contains('=')
}

fn is_diskstat(line: &str) -> bool {
    matches!(words(line).as_slice(), [major, minor, _, numbers @ ..] if numbers.len() >= 11 && all_numbers(&[major, minor]) && all_numbers(numbers))
}

fn is_uname(line: &str) -> bool {
    line.starts_with("Linux ") && (line.contains("GNU/Linux") || line.contains(" SMP "))
}

/// `1  0 drwxr-xr-x   6 root  root  2200 Nov 27 10:07 /dev`.
fn is_found_file(line: &str) -> bool {
    match words(line).as_slice() {
        [inode, blocks, mode, links, ..] => {
            all_numbers(&[inode, blocks, links])
                && mode.len() >= 10
                && mode.starts_with(['-', 'd', 'l', 'c', 'b', 'p', 's'])
                && mode.bytes().skip(1).take(9).all(|byte| b"rwxsStT-".contains(&byte))
        }
        _ => false,
    }
}

fn is_kubelet_line(line: &str) -> bool {
    line.contains("kubelet --") || line.contains("kubelet.exe --")
}

fn is_netns(line: &str) -> bool {
    let name = words(line);
    matches!(name.as_slice(), [name, "(id:", number] if !name.is_empty() && number.ends_with(')'))
        || matches!(name.as_slice(), [name] if name.starts_with("cni-") && name.len() > 20)
}

/// `32766:  from all lookup main`.
fn is_ip_rule(line: &str) -> bool {
    line.split_once(':').is_some_and(|(number, rest)| {
        number.parse::<u32>().is_ok() && rest.trim_start().trim_start_matches("not ").starts_with("from ")
    })
}

fn is_rollout(line: &str) -> bool {
    line.starts_with("Waiting for deployment \"")
        || line.starts_with("Waiting for daemon set \"")
        || line.contains("\" successfully rolled out")
        || line == "REVISION  CHANGE-CAUSE"
        || line.contains("exceeded its progress deadline")
        || ["deployment.apps/", "daemonset.apps/", "statefulset.apps/"]
            .iter()
            .any(|kind| line.starts_with(kind))
        || line.split_whitespace().next().is_some_and(|word| word.parse::<u32>().is_ok())
            && line.split_whitespace().nth(1) == Some("<none>")
}

/// `TCP OUT 10.0.0.114:43072 -> 10.0.0.10:53 expires=…`.
fn is_cilium_connection(line: &str) -> bool {
    (line.starts_with("TCP ") || line.starts_with("UDP ") || line.starts_with("ICMP "))
        && line.contains(" -> ")
        && line.contains("expires=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_word_is_the_name_of_a_machine_only_where_such_names_lie() {
        let is = |path: &str, bytes: &[u8]| {
            let entry = crate::bundle::Entry { path: path.into(), modified: None };
            is_hostname(&Head { entry: &entry, bytes })
        };
        assert!(is("node.zip!etc/hostname", b"aks-np1-55555555-vmss000002\n"));
        assert!(!is("notes.txt", b"aks-np1-55555555-vmss000002\n"));
        assert!(!is("etc/hostname", b"two words\n"));
    }

    #[test]
    fn outputs_are_named_for_what_they_are() {
        for (text, expected) in [
            (
                "RTNETLINK answers: Invalid argument\nNetid State  Recv-Q Send-Q Local Address:Port\n",
                "sockets (ss)",
            ),
            ("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\nctxt 5\nbtime 3\n", "/proc/stat"),
            ("0.10 0.20 0.30 1/91 25616\n", "/proc/loadavg"),
            ("12372.07 7492.54\n", "/proc/uptime"),
            (
                "        1      0 drwxr-xr-x   6 root     root         2200 Nov 27 10:07 /dev\n",
                "files (find -ls)",
            ),
            ("0:\tfrom all lookup local\n32766:\tfrom all lookup main\n", "rules of routing (ip rule)"),
            ("[{\"dst\":\"1.1.1.1\",\"age\":1.3,\"rttvar\":0.2}]", "TCP metrics (ip tcp_metrics)"),
        ] {
            assert_eq!(name(text.as_bytes()), Some(expected), "{text}");
        }
        for text in ["hello\n", "a b c d e\n", "{\"kind\":\"Pod\"}", "1 2\n3 4\n", ""] {
            assert_eq!(name(text.as_bytes()), None, "{text}");
        }
    }
}
