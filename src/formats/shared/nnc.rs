//! `kubectl get nnc -n kube-system [-o wide]` in all its generations (Azure/azure-container-networking `crd/nodenetworkconfig`), aligned or pasted
//! with single spaces.
//!
//! Blank cells (zone, IPv6 range) vanish in a paste, so cells are told apart by their type, not by where
//! they stand: integers, GUID, CIDR, `dynamic`/`static`, `vnet`/`vnetblock`/`overlay`.

use crate::facts::{Meta, NetworkContainer, NncSpec, NncStatus, NodeNetworkConfig};

/// Which columns a table of `NodeNetworkConfig`s has.
pub(in crate::formats) struct NncColumns {
    namespaced: bool,
    requested: bool,
    zone: bool,
}

impl NncColumns {
    pub(in crate::formats) fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line.get(..400).unwrap_or(line)).ok()?;
        let columns = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let has = |name: &str| columns.contains(name);
        let ours = (columns.starts_with("NAME ") || columns.starts_with("NAMESPACE NAME "))
            && (has("ALLOCATED IPS") || has("ASSIGNED IPS"))
            && (has("NC VERSION") || has("NC MODE") || has("NC ID"));
        ours.then(|| Self {
            namespaced: columns.starts_with("NAMESPACE "),
            requested: has("REQUESTED IPS"),
            zone: has("AVAILABILITY ZONE"),
        })
    }

    pub(in crate::formats) fn row(&self, line: &str) -> Option<NodeNetworkConfig> {
        let mut words = line.split_whitespace();
        let namespace = if self.namespaced { words.next()? } else { "kube-system" };
        let name = words
            .next()
            .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)))?;
        let cells: Vec<&str> = words.collect();
        let is_range = |cell: &&&str| cell.contains('/') && cell.starts_with(|c: char| c.is_ascii_hexdigit());
        let is_mode = |cell: &&&str| matches!(**cell, "dynamic" | "static");
        // The counts stand before the first cell that is none of number, zone or status.
        let numbers: Vec<u64> =
            cells.iter().map_while(|cell| cell.parse().ok().or(zone_or_status(cell))).flatten_numbers();
        let (requested, allocated) = match (self.requested, self.zone, numbers.as_slice()) {
            (true, true, [requested, _zone, allocated, ..]) => (Some(*requested), *allocated),
            (true, _, [requested, allocated, ..]) => (Some(*requested), *allocated),
            (false, _, [allocated, ..]) => (None, *allocated),
            _ => return None,
        };
        let container = NetworkContainer {
            id: cells.iter().find(|cell| is_guid(cell)).map_or("", |cell| *cell).into(),
            assignment_mode: cells.iter().find(is_mode).map_or("", |cell| *cell).into(),
            r#type: cells
                .iter()
                .find(|cell| matches!(**cell, "vnet" | "vnetblock" | "overlay"))
                .map_or("", |cell| *cell)
                .into(),
            subnet_address_space: cells.iter().find(is_range).map_or("", |cell| *cell).into(),
            subnet_name: cells
                .iter()
                .position(|cell| is_range(&cell))
                .and_then(|at| cells.get(at.checked_sub(1)?))
                .filter(|cell| cell.parse::<u64>().is_err())
                .map_or("", |cell| *cell)
                .into(),
            ..NetworkContainer::default()
        };
        Some(NodeNetworkConfig {
            metadata: Meta { name: name.into(), namespace: namespace.into(), ..Meta::default() },
            spec: NncSpec { requested_ip_count: requested, ..NncSpec::default() },
            status: NncStatus {
                assigned_ip_count: Some(allocated),
                network_containers: [container].into(),
                ..NncStatus::default()
            },
        })
    }
}

/// Cells that may stand among the counts without being one.
fn zone_or_status(cell: &str) -> Option<u64> {
    (matches!(cell, "Updating" | "Updated" | "Error")
        || cell.contains('-') && cell.ends_with(|c: char| c.is_ascii_digit()) && !is_guid(cell))
    .then_some(u64::MAX)
}

trait FlattenNumbers {
    fn flatten_numbers(self) -> Vec<u64>;
}

impl<I: Iterator<Item = u64>> FlattenNumbers for I {
    /// Drops the stand-ins of [`zone_or_status`].
    fn flatten_numbers(self) -> Vec<u64> {
        self.filter(|number| *number != u64::MAX).collect()
    }
}

fn is_guid(cell: &str) -> bool {
    cell.len() == 36
        && cell.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        && cell.matches('-').count() == 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> (String, Option<u64>, Option<u64>, String) {
        let mut lines = text.lines();
        let header = NncColumns::parse(lines.next().unwrap().as_bytes()).unwrap();
        let row = header.row(lines.next().unwrap()).unwrap();
        let container = &row.status.network_containers[0];
        (
            row.metadata.name.to_string(),
            row.spec.requested_ip_count,
            row.status.assigned_ip_count,
            format!(
                "{} {} {}",
                container.subnet_name, container.subnet_address_space, container.assignment_mode
            ),
        )
    }

    #[test]
    fn the_guides_paste_with_single_spaces() {
        let text = "NAME REQUESTED IPS ALLOCATED IPS SUBNET SUBNET CIDR NC ID NC MODE NC TYPE NC VERSION\n\
                    aks-agentpool-12345678-vmss000000 32 32 subnet 10.18.0.0/15 559e239d-f744-4f84-bbe0-c7c6fd12ec17 dynamic vnet 1";
        let expected = (
            "aks-agentpool-12345678-vmss000000".into(),
            Some(32),
            Some(32),
            "subnet 10.18.0.0/15 dynamic".into(),
        );
        assert_eq!(only(text), expected);
    }

    #[test]
    fn blank_zone_and_ipv6_cells() {
        let text = "NAMESPACE     NAME      REQUESTED IPS   AVAILABILITY ZONE   ALLOCATED IPS   SUBNET   SUBNET CIDR    SUBNET CIDR V6   NC ID   NC MODE   NC TYPE   NC VERSION\n\
                    kube-system   node-2    48                                  32              subnet   10.18.0.0/15                    31dfd874-0000-4000-8000-000000000000   dynamic   vnet      12";
        assert_eq!(only(text), ("node-2".into(), Some(48), Some(32), "subnet 10.18.0.0/15 dynamic".into()));
    }

    #[test]
    fn the_oldest_and_the_narrow_generation() {
        let old = "NAME   STATUS    REQUESTED IPS   ASSIGNED IPS   SUBNET   SUBNET CIDR   NC ID   NC VERSION\n\
                   node-1 Updated   16   16   default   10.1.0.0/16   31dfd874-0000-4000-8000-000000000000   3";
        assert_eq!(only(old).2, Some(16));
        let narrow = "NAME   ALLOCATED IPS   NC MODE   NC VERSION\nnode-1   32   dynamic   1";
        assert_eq!((only(narrow).1, only(narrow).2), (None, Some(32)));
    }
}
