//! State files of Azure's CNI (Azure/azure-container-networking `cni/`): `azure-vnet.json` (endpoints), `azure-vnet-ipam.json` (pools),
//! `azure-endpoints.json` and the debug dump of Azure CNS.
//!
//! They are rewritten in place: one may be empty or cut.

use std::net::IpAddr;

use serde_json::Value;

use super::{Head, InputFormat, Piece};
use crate::bundle::{Framer, Whole};
use crate::facts::time;
use crate::facts::{AddressBook, Facts, Held, Holding, Place, Records};

pub(super) struct CniState;
pub(super) const FORMAT: CniState = CniState;

impl InputFormat for CniState {
    fn name(&self) -> &'static str {
        "azure-cni-state"
    }

    fn about(&self) -> &'static str {
        "state of Azure CNI and CNS: azure-vnet.json, azure-vnet-ipam.json, azure-endpoints.json, debug dump"
    }

    fn score(&self, head: &Head<'_>) -> u8 {
        let text = head.bytes.trim_ascii_start();
        let has = |word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
        let known = (has("\"Network\"") && has("\"ExternalInterfaces\""))
            || (has("\"AddressSpaces\"") && has("\"Pools\""))
            || (has("\"Endpoints\"") && has("\"IfnameToIPMap\""))
            || has("\"IPConfigurationStatus\"")
            || (has("\"ContainerNetworkService\"") && has("\"TimeStamp\""));
        if text.starts_with(b"{") && known { 95 } else { 0 }
    }

    fn framer(&self, _head: &Head<'_>) -> Box<dyn Framer> {
        Box::new(Whole)
    }

    fn in_transcripts(&self) -> bool {
        true
    }

    fn read(&self, piece: &Piece<'_>, facts: &mut Facts) -> u64 {
        let Ok(state) = serde_json::from_slice::<Value>(piece.bytes) else {
            facts.problem(piece.source, "state of Azure CNI is cut or damaged");
            return 0;
        };
        let books = [vnet(&state), ipam(&state), endpoints(&state), configurations(&state)];
        let mut records = 0;
        for (book, at) in books.into_iter().flatten().zip(0..) {
            records += book.entries.len() as u64;
            if book.left_out > 0 {
                let what = "addresses of Azure CNI's state that could not be understood, or too many of them";
                *facts.coverage.entry(piece.source).problems.entry(what.to_owned()).or_default() +=
                    book.left_out;
            }
            let place = Place { source: piece.source.clone(), line: piece.first_line };
            if let Some(slot) = facts.address_books.books.slot((place, at)) {
                *slot = AddressBook { node: piece.node.map(Into::into), ..book };
            }
        }
        records.max(1)
    }
}

/// The members of an object, or nothing.
fn members<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn held(ip: IpAddr, holding: Holding) -> Held {
    Held { ip, holding, namespace: "".into(), pod: "".into(), sandbox: "".into(), since: None }
}

fn book(records: Records) -> AddressBook {
    AddressBook { records: Some(records), ..AddressBook::default() }
}

fn vnet(state: &Value) -> Option<AddressBook> {
    let interfaces = state.get("Network").filter(|network| network.get("ExternalInterfaces").is_some())?;
    let mut book = book(Records::AzureVnet);
    for (_, network) in
        members(interfaces, "ExternalInterfaces").flat_map(|(_, member)| members(member, "Networks"))
    {
        for (_, endpoint) in members(network, "Endpoints") {
            for address in endpoint.get("IPAddresses").and_then(Value::as_array).into_iter().flatten() {
                book.add(text(address, "IP"), |ip| Held {
                    namespace: text(endpoint, "PODNameSpace").into(),
                    pod: text(endpoint, "PODName").into(),
                    sandbox: text(endpoint, "ContainerID").into(),
                    ..held(ip, Holding::Assigned)
                });
            }
        }
    }
    Some(book)
}

fn ipam(state: &Value) -> Option<AddressBook> {
    // Old dumps hold the value of the root key alone.
    let ipam = state.get("IPAM").unwrap_or(state);
    ipam.get("AddressSpaces")?;
    let mut book = book(Records::AzureVnetIpam);
    for (range, pool) in members(ipam, "AddressSpaces").flat_map(|(_, space)| members(space, "Pools")) {
        book.ranges.push(range.as_str().into());
        for (key, address) in members(pool, "Addresses") {
            let used = address.get("InUse").and_then(Value::as_bool) == Some(true);
            let ip = match text(address, "Addr") {
                "" => key,
                ip => ip,
            };
            book.add(ip, |ip| Held {
                sandbox: text(address, "ID").into(),
                ..held(ip, if used { Holding::Assigned } else { Holding::Available })
            });
        }
    }
    Some(book)
}

fn endpoints(state: &Value) -> Option<AddressBook> {
    state.get("Endpoints")?;
    let mut book = book(Records::CnsEndpoints);
    for (sandbox, endpoint) in members(state, "Endpoints") {
        for (_, addresses) in members(endpoint, "IfnameToIPMap") {
            let both = ["IPv4", "IPv6"].into_iter().filter_map(|family| addresses.get(family)?.as_array());
            for address in both.flatten() {
                book.add(text(address, "IP"), |ip| Held {
                    namespace: text(endpoint, "PodNamespace").into(),
                    pod: text(endpoint, "PodName").into(),
                    sandbox: sandbox.as_str().into(),
                    ..held(ip, Holding::Assigned)
                });
            }
        }
    }
    Some(book)
}

fn configurations(state: &Value) -> Option<AddressBook> {
    let all = state.get("IPConfigurationStatus")?.as_array()?;
    let mut book = book(Records::CnsPool);
    for item in all {
        let pod = item.get("PodInfo").unwrap_or(&Value::Null);
        let first = |keys: &[&str]| keys.iter().find_map(|key| pod.get(key)?.as_str()).unwrap_or_default();
        let state =
            item.get("state").or_else(|| item.get("State")).and_then(Value::as_str).unwrap_or_default();
        let holding = match state.to_ascii_lowercase().as_str() {
            "available" => Holding::Available,
            "assigned" | "allocated" => Holding::Assigned,
            _ => Holding::Moving,
        };
        let since = time::rfc3339(text(item, "LastStateTransition").as_bytes()).map(|(when, _)| when);
        book.add(text(item, "IPAddress"), |ip| Held {
            namespace: first(&["PodNamespace", "podNamespace", "Namespace"]).into(),
            pod: first(&["PodName", "podName", "Name"]).into(),
            sandbox: first(&["PodInfraContainerID", "InfraContainerID"]).into(),
            // The zero time of Go: no transition yet.
            since: since.filter(|_| !text(item, "LastStateTransition").starts_with("0001")),
            ..held(ip, holding)
        });
    }
    Some(book)
}
