//! State files of Azure's CNI (FORMATS §4.2): `azure-vnet.json` (endpoints), `azure-vnet-ipam.json` (pools),
//! `azure-endpoints.json` and the debug dump of Azure CNS.
//!
//! They are rewritten in place: one may be empty or cut.

use serde_json::Value;

use super::{Format, Head, Piece};
use crate::bundle::{Framer, Whole};
use crate::facts::{CniAddress, Facts, Place};

pub(super) struct CniState;
pub(super) const FORMAT: CniState = CniState;

impl Format for CniState {
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
            || (has("\"IPAM\"") && has("\"AddressSpaces\""))
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
        let mut found = Vec::new();
        vnet(&state, &mut found);
        ipam(&state, &mut found);
        endpoints(&state, &mut found);
        configurations(&state, &mut found);
        let records = found.len() as u64;
        for (mut address, at) in found.into_iter().zip(0..) {
            address.node = piece.node.map(Into::into);
            // Each takes a place of its own.
            let place = Place { source: piece.source.clone(), line: piece.first_line + at };
            if let Some(slot) = facts.nodes.cni_addresses.slot(place) {
                *slot = address;
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

fn vnet(state: &Value, found: &mut Vec<CniAddress>) {
    let interfaces = state.get("Network").into_iter().flat_map(|network| members(network, "ExternalInterfaces"));
    for (_, endpoint) in interfaces.flat_map(|(_, one)| members(one, "Networks")).flat_map(|(_, one)| members(one, "Endpoints")) {
        for address in endpoint.get("IPAddresses").and_then(Value::as_array).into_iter().flatten() {
            found.push(CniAddress {
                records: "azure-vnet".into(),
                address: text(address, "IP").into(),
                namespace: text(endpoint, "PODNameSpace").into(),
                pod: text(endpoint, "PODName").into(),
                sandbox: text(endpoint, "ContainerID").into(),
                state: "assigned".into(),
                ..CniAddress::default()
            });
        }
    }
}

fn ipam(state: &Value, found: &mut Vec<CniAddress>) {
    let spaces = state.get("IPAM").into_iter().flat_map(|ipam| members(ipam, "AddressSpaces"));
    for (_, address) in spaces.flat_map(|(_, space)| members(space, "Pools")).flat_map(|(_, pool)| members(pool, "Addresses")) {
        let used = address.get("InUse").and_then(Value::as_bool) == Some(true);
        found.push(CniAddress {
            records: "azure-vnet-ipam".into(),
            address: text(address, "Addr").into(),
            sandbox: text(address, "ID").into(),
            state: if used { "assigned" } else { "available" }.into(),
            ..CniAddress::default()
        });
    }
}

fn endpoints(state: &Value, found: &mut Vec<CniAddress>) {
    for (sandbox, endpoint) in members(state, "Endpoints") {
        for (_, addresses) in members(endpoint, "IfnameToIPMap") {
            let both = ["IPv4", "IPv6"].into_iter().filter_map(|family| addresses.get(family)?.as_array());
            for address in both.flatten() {
                found.push(CniAddress {
                    records: "azure-cns".into(),
                    address: text(address, "IP").into(),
                    namespace: text(endpoint, "PodNamespace").into(),
                    pod: text(endpoint, "PodName").into(),
                    sandbox: sandbox.as_str().into(),
                    state: "assigned".into(),
                    ..CniAddress::default()
                });
            }
        }
    }
}

fn configurations(state: &Value, found: &mut Vec<CniAddress>) {
    for one in state.get("IPConfigurationStatus").and_then(Value::as_array).into_iter().flatten() {
        let pod = one.get("PodInfo").unwrap_or(&Value::Null);
        let first = |keys: [&str; 3]| keys.iter().find_map(|key| pod.get(key)?.as_str()).unwrap_or_default();
        found.push(CniAddress {
            records: "azure-cns".into(),
            address: text(one, "IPAddress").into(),
            namespace: first(["PodNamespace", "podNamespace", "Namespace"]).into(),
            pod: first(["PodName", "podName", "Name"]).into(),
            state: one.get("state").or_else(|| one.get("State")).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase().into(),
            ..CniAddress::default()
        });
    }
}
