//! A node's addresses and their true owners, written down as each source really writes them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use kubetriage::Options;
use kubetriage::bundle::Input;
use kubetriage::cluster::ipam::{Ipam, Ledger, NodeIpam};
use serde_json::{Value, json};

pub(crate) const NODE: &str = "aks-np1-vmss000001";
pub(crate) const OTHER: &str = "aks-np1-vmss000002";

/// What became of the pod that an address was given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Running,
    Terminating,
    /// Made just now: it has no address of its own in the API yet.
    Pending,
    /// Ended, its object is still there.
    Succeeded,
    Deleted,
    /// Made anew under the same name with another address.
    Restarted,
    /// The address belongs to a pod of another node by now.
    Elsewhere,
}

pub(crate) const FATES: [Fate; 7] = [
    Fate::Running,
    Fate::Terminating,
    Fate::Pending,
    Fate::Succeeded,
    Fate::Deleted,
    Fate::Restarted,
    Fate::Elsewhere,
];

/// An address of the node and its story.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) number: usize,
    pub(crate) fate: Fate,
}

impl Slot {
    fn v4(&self) -> String {
        format!("10.244.1.{}", self.number + 2)
    }
    fn v6(&self) -> String {
        format!("fd00:1::{:x}", self.number + 2)
    }
    fn sandbox(&self) -> String {
        format!("{:064x}", 0xabc_0000_u64 + self.number as u64)
    }
    fn pod(&self) -> String {
        format!("web-{}", self.number)
    }
    fn held(&self, named: bool) -> bool {
        matches!(self.fate, Fate::Running | Fate::Terminating) || (named && self.fate == Fate::Pending)
    }
}

pub(crate) fn pod(name: &str, namespace: &str, node: &str, phase: &str, ips: &[String]) -> Value {
    let ips: Vec<Value> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
    let first = ips.first().map_or(json!(""), |ip| ip["ip"].clone());
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace, "creationTimestamp": "2026-11-23T08:00:00Z" },
        "spec": { "nodeName": node, "containers": [{ "name": "main" }] },
        "status": { "phase": phase, "podIP": first, "podIPs": ips, "startTime": "2026-11-23T08:00:00Z" },
    })
}

/// The API's side of the truth.
pub(crate) fn pods(slots: &[Slot], dual: bool) -> Value {
    let ips = |slot: &Slot| if dual { vec![slot.v4(), slot.v6()] } else { vec![slot.v4()] };
    let mut items = vec![];
    let mut system = pod("kube-proxy-1", "kube-system", NODE, "Running", &["10.224.0.4".to_owned()]);
    system["spec"]["hostNetwork"] = json!(true);
    items.push(system);
    items.push(pod("coredns-2", "kube-system", OTHER, "Running", &["10.244.2.9".to_owned()]));
    for slot in slots {
        let name = slot.pod();
        match slot.fate {
            Fate::Running => items.push(pod(&name, "shop", NODE, "Running", &ips(slot))),
            Fate::Terminating => {
                let mut terminating = pod(&name, "shop", NODE, "Running", &ips(slot));
                terminating["metadata"]["deletionTimestamp"] = json!("2026-11-23T08:10:00Z");
                items.push(terminating);
            }
            Fate::Pending => items.push(pod(&name, "shop", NODE, "Pending", &[])),
            Fate::Succeeded => items.push(pod(&name, "shop", NODE, "Succeeded", &ips(slot))),
            Fate::Deleted => {}
            Fate::Restarted => {
                let new =
                    [format!("10.244.1.{}", slot.number + 130), format!("fd00:1::{:x}", slot.number + 130)];
                items.push(pod(&name, "shop", NODE, "Running", &new[..if dual { 2 } else { 1 }]));
            }
            Fate::Elsewhere => {
                items.push(pod(&format!("moved-{}", slot.number), "shop", OTHER, "Running", &ips(slot)));
            }
        }
    }
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

pub(crate) fn nodes() -> Value {
    let node = |name: &str, ranges: [&str; 2], ours: &str| {
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": name },
            "spec": { "podCIDR": ranges[0], "podCIDRs": ranges },
            "status": { "addresses": [{ "type": "InternalIP", "address": ours }], "allocatable": { "pods": "250" } },
        })
    };
    json!({ "apiVersion": "v1", "kind": "List", "items": [
        node(NODE, ["10.244.1.0/24", "fd00:1::/64"], "10.224.0.4"),
        node(OTHER, ["10.244.2.0/24", "fd00:2::/64"], "10.224.0.5"),
    ] })
}

pub(crate) fn write(folder: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The sources, and whether they name the pods.
pub(crate) const SOURCES: [(Ipam, bool); 9] = [
    (Ipam::HostLocal, false),
    (Ipam::HostLocal, false),
    (Ipam::AzureVnetIpam, false),
    (Ipam::AzureVnet, true),
    (Ipam::CnsPool, true),
    (Ipam::CnsEndpoints, true),
    (Ipam::Calico, true),
    (Ipam::Cilium, true),
    (Ipam::Whereabouts, true),
];

/// Writes the node's addresses as a source does.
pub(crate) fn render(folder: &Path, source: usize, slots: &[Slot], dual: bool) {
    match source {
        0 => {
            let store = format!("{NODE}/var/lib/cni/networks/kubenet");
            for slot in slots {
                write(folder, &format!("{store}/{}", slot.v4()), format!("{}\r\neth0", slot.sandbox()));
                if dual {
                    write(folder, &format!("{store}/{}", slot.v6()), format!("{}\r\neth0", slot.sandbox()));
                }
            }
            write(folder, &format!("{store}/lock"), "");
        }
        1 => {
            let mut text =
                format!("root@{NODE}:/# ls -la --full-time /var/lib/cni/networks/kubenet\ntotal 80\n");
            for slot in slots {
                let day = 1 + slot.number % 20;
                for ip in [Some(slot.v4()), dual.then(|| slot.v6())].into_iter().flatten() {
                    text += &format!(
                        "-rw------- 1 root root 70 2026-11-{day:02} 03:00:00.000000000 +0000 {ip}\n"
                    );
                }
            }
            text += "-rwxr-x--- 1 root root 0 2026-10-01 08:00:00.000000000 +0000 lock\n";
            write(folder, "ipam.txt", text);
        }
        2 => {
            let mut addresses = serde_json::Map::new();
            for number in 0..120 {
                let slot = slots.iter().find(|slot| slot.number == number);
                let ip = Slot { number, fate: Fate::Deleted }.v4();
                let id = slot.map(Slot::sandbox).unwrap_or_default();
                addresses.insert(ip.clone(), json!({ "ID": id, "Addr": ip, "InUse": slot.is_some() }));
            }
            let state = json!({ "IPAM": { "Version": "v1", "TimeStamp": "2026-11-23T08:00:00Z", "AddressSpaces": { "local": {
                "Pools": { "10.244.0.0/16": { "Addresses": addresses } } } } } });
            write(folder, &format!("{NODE}/azure-vnet-ipam.json"), state.to_string());
        }
        3 => {
            let endpoints: serde_json::Map<String, Value> = slots.iter().map(|slot| (format!("{}-eth0", &slot.sandbox()[56..]), json!({
                "IfName": "eth0", "ContainerID": slot.sandbox(), "PODName": slot.pod(), "PODNameSpace": "shop",
                "IPAddresses": [{ "IP": slot.v4(), "Mask": "//8AAA==" }],
            }))).collect();
            let state = json!({ "Network": { "Version": "v1", "ExternalInterfaces": { "eth0": { "Networks": { "azure": { "Endpoints": endpoints } } } } } });
            write(folder, &format!("{NODE}/azure-vnet.json"), state.to_string());
        }
        4 => {
            let mut all: Vec<Value> = slots.iter().map(|slot| json!({
                "state": "Assigned", "ID": "x", "IPAddress": slot.v4(), "LastStateTransition": "2026-11-10T08:00:00Z", "NCID": "y",
                "PodInfo": { "PodName": slot.pod(), "PodNamespace": "shop", "PodInfraContainerID": slot.sandbox() },
            })).collect();
            all.push(json!({ "state": "Available", "IPAddress": "10.244.1.250", "LastStateTransition": "0001-01-01T00:00:00Z" }));
            write(folder, &format!("{NODE}/cns.json"), json!({ "IPConfigurationStatus": all }).to_string());
        }
        5 => {
            let endpoints: serde_json::Map<String, Value> = slots.iter().map(|slot| (slot.sandbox(), json!({
                "PodName": slot.pod(), "PodNamespace": "shop", "IfnameToIPMap": { "eth0": { "IPv4": [{ "IP": slot.v4(), "Mask": "//8AAA==" }] } },
            }))).collect();
            write(
                folder,
                &format!("{NODE}/azure-endpoints.json"),
                json!({ "Endpoints": endpoints }).to_string(),
            );
        }
        6 => {
            let mut allocations = vec![Value::Null; 256];
            let mut attributes = vec![
                json!({ "handle_id": format!("ipip-tunnel-addr-{NODE}"), "secondary": { "node": NODE, "type": "ipipTunnelAddress" } }),
            ];
            allocations[1] = json!(0);
            for slot in slots {
                allocations[slot.number + 2] = json!(attributes.len());
                attributes.push(json!({ "handle_id": format!("k8s-pod-network.{}", slot.sandbox()), "secondary": {
                    "namespace": "shop", "pod": slot.pod(), "node": NODE, "timestamp": "2026-11-10 08:00:00.1 +0000 UTC" } }));
            }
            let block = json!({ "apiVersion": "crd.projectcalico.org/v1", "kind": "IPAMBlock", "metadata": { "name": "10-244-1-0-24" },
                "spec": { "cidr": "10.244.1.0/24", "affinity": format!("host:{NODE}"), "allocations": allocations, "attributes": attributes, "unallocated": [] } });
            write(
                folder,
                "blocks.json",
                json!({ "apiVersion": "v1", "kind": "List", "items": [block] }).to_string(),
            );
        }
        7 => {
            let mut used: serde_json::Map<String, Value> = slots
                .iter()
                .map(|slot| (slot.v4(), json!({ "owner": format!("shop/{}", slot.pod()) })))
                .collect();
            used.insert("10.244.1.1".to_owned(), json!({ "owner": "router" }));
            let node = json!({ "apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": { "name": NODE },
                "spec": { "ipam": { "podCIDRs": ["10.244.1.0/24"] } }, "status": { "ipam": { "used": used } } });
            write(
                folder,
                "ciliumnodes.json",
                json!({ "apiVersion": "v1", "kind": "List", "items": [node] }).to_string(),
            );
        }
        _ => {
            let allocations: serde_json::Map<String, Value> = slots
                .iter()
                .map(|slot| {
                    (
                        (slot.number + 2).to_string(),
                        json!({
                "id": slot.sandbox(), "podref": format!("shop/{}", slot.pod()), "ifname": "net1" }),
                    )
                })
                .collect();
            let pool = json!({ "apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "IPPool", "metadata": { "name": "192.168.9.0-24", "namespace": "kube-system" },
                "spec": { "range": "192.168.9.0/24", "allocations": allocations } });
            write(
                folder,
                "pools.json",
                json!({ "apiVersion": "v1", "kind": "List", "items": [pool] }).to_string(),
            );
        }
    }
}

pub(crate) fn ledger(slots: &[Slot], source: usize, dual: bool) -> Ledger {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "pods.json", pods(slots, dual).to_string());
    write(folder.path(), "nodes.json", nodes().to_string());
    render(folder.path(), source, slots, dual);
    let options = Options { threads: Some(1), ..Options::default() };
    kubetriage::read(&[Input::Path(folder.path().to_owned())], &options).unwrap().ledger
}

/// Live, orphaned and moved addresses, as the truth has them.
pub(crate) fn truth(slots: &[Slot], named: bool, dual: bool) -> (u64, BTreeSet<IpAddr>, BTreeSet<IpAddr>) {
    let ips = |slot: &Slot| -> Vec<IpAddr> {
        let both = [Some(slot.v4()), dual.then(|| slot.v6())];
        both.into_iter().flatten().map(|ip| ip.parse().unwrap()).collect()
    };
    let mut found = (0, BTreeSet::new(), BTreeSet::new());
    for slot in slots {
        if slot.held(named) {
            found.0 += ips(slot).len() as u64;
        } else if slot.fate == Fate::Elsewhere {
            found.2.extend(ips(slot));
        } else {
            found.1.extend(ips(slot));
        }
    }
    found
}

pub(crate) fn told(books: &[&NodeIpam]) -> (u64, BTreeSet<IpAddr>, BTreeSet<IpAddr>) {
    let mut found = (0, BTreeSet::new(), BTreeSet::new());
    for books in books {
        found.0 += books.v4.live + books.v6.live;
        found.1.extend(books.orphans.iter().map(|orphan| orphan.ip));
        found.2.extend(books.elsewhere.iter().map(|(ip, _)| *ip));
    }
    found
}

/// The ledger has the true owner of every address, whichever source wrote them down.
pub(crate) fn check(slots: Vec<Slot>, source: usize, dual: bool) {
    let (ipam, named) = SOURCES[source];
    let dual = dual && ipam == Ipam::HostLocal;
    // Addresses of an extra network are in no pod's status, so none is seen to have moved.
    let extra = ipam == Ipam::Whereabouts;
    let moves = |slot: &Slot| matches!(slot.fate, Fate::Elsewhere | Fate::Restarted);
    let slots: Vec<Slot> = slots.into_iter().filter(|slot| !(extra && moves(slot))).collect();
    // A listing of a single address, or of none, is no listing.
    if slots.len() < 3 {
        return;
    }
    let ledger = ledger(&slots, source, dual);
    let books: Vec<&NodeIpam> = ledger.books.iter().filter(|books| books.ipam == ipam).collect();
    assert!(!books.is_empty(), "{ipam:?} gives no books");
    let (live, orphans, elsewhere) = truth(&slots, named, dual);
    let (told_live, told_orphans, told_elsewhere) = told(&books);
    if extra {
        assert_eq!((told_live, told_orphans.len()), (live, orphans.len()));
    } else {
        assert_eq!((told_live, told_orphans, told_elsewhere), (live, orphans, elsewhere), "{ipam:?}");
        assert_eq!(&books[0].node, NODE);
    }
}
