//! The endpoints of services, as the bundle has them: of slices, and of the older `Endpoints`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::facts::{Key, Objects, Text};

/// What is published of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Addresses that get traffic.
    pub ready: BTreeSet<IpAddr>,
    /// Addresses that do not.
    pub not_ready: BTreeSet<IpAddr>,
    /// Ports by name and number.
    pub ports: BTreeSet<(Text, u16)>,
    /// The names of ports are told: tables leave them out.
    pub names_ports: bool,
    /// Nothing was left out.
    pub complete: bool,
    /// The objects: kind and key.
    pub from: Vec<(&'static str, Key)>,
}

/// By service.
pub(super) fn published(objects: &Objects) -> BTreeMap<Key, Published> {
    let mut all: BTreeMap<Key, Published> = BTreeMap::new();
    let parse = |ip: &Text| ip.parse::<IpAddr>().ok();
    for (key, seen) in objects.endpoint_slices.iter() {
        let slice = &seen.object;
        let label = slice.metadata.labels.get("kubernetes.io/service-name");
        let Some(service) = label.or_else(|| owner(&slice.metadata.owner_references)) else { continue };
        let entry = all
            .entry(Key::new(key.namespace.clone(), service.clone()))
            .or_insert_with(|| Published { complete: true, ..Published::default() });
        entry.from.push(("EndpointSlice", key.clone()));
        entry.complete &= slice.left_out == 0;
        entry.names_ports |= seen.form == crate::facts::Form::Full;
        // Slices without ports lead nowhere, but for headless services.
        entry.ports.extend(
            slice.ports.iter().filter_map(|port| Some((port.name.clone(), u16::try_from(port.port).ok()?))),
        );
        for endpoint in &slice.endpoints {
            let ready = endpoint.conditions.ready != Some(false);
            let list = if ready { &mut entry.ready } else { &mut entry.not_ready };
            list.extend(endpoint.addresses.iter().filter_map(parse));
        }
    }
    for (key, seen) in objects.endpoints.iter() {
        let fresh = !all.contains_key(key);
        let entry =
            all.entry(key.clone()).or_insert_with(|| Published { complete: true, ..Published::default() });
        if !fresh {
            continue;
        }
        entry.from.push(("Endpoints", key.clone()));
        entry.complete &= seen.object.left_out == 0;
        entry.names_ports |= seen.form == crate::facts::Form::Full;
        for subset in &seen.object.subsets {
            entry.ready.extend(subset.addresses.iter().filter_map(|address| parse(&address.ip)));
            entry.not_ready.extend(
                subset
                    .not_ready_addresses
                    .iter()
                    .filter_map(|not_ready_address| parse(&not_ready_address.ip)),
            );
            entry.ports.extend(
                subset
                    .ports
                    .iter()
                    .filter_map(|port| Some((port.name.clone(), u16::try_from(port.port).ok()?))),
            );
        }
    }
    all
}

/// The service that owns a slice, where the label is not shown.
fn owner(owners: &[crate::facts::Owner]) -> Option<&Text> {
    owners.iter().find(|owner| &*owner.kind == "Service").map(|owner| &owner.name)
}
